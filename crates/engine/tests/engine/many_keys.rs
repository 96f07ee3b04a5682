//! One manager for very many tenants: what is told apart, what is kept, and what goes.

use std::{sync::Arc, time::Duration};

use biped_core::{
    ExposeSecret, Generation, IdentityKey, Lease, Provider, ProviderId, StoreError, StoredToken,
    TokenKey, TokenRequest, TokenStore, async_trait,
};
use biped_engine::{Rejection, Settings, TokenManager, TokenState};
use biped_memory::MemoryStore;
use biped_testing::{ManualClock, Reply, ScriptedHttp, TestProvider, settle};

use crate::stage::{Stage, ask, failure, seconds, text};

/// A vendor that writes on each token what it is for.
fn telling_tokens(stage: &Stage) {
    stage.http.answer_with(|_, request| {
        let body = String::from_utf8_lossy(&request.body);
        let (_, rest) = body.split_once("the-secret").unwrap();
        Reply::token(&format!("for{rest}"), 1000)
    });
}

#[tokio::test]
async fn tokens_for_different_requests_never_meet() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    telling_tokens(&stage);
    let source = stage.source();
    assert_eq!(text(&source).await, "for");
    assert_eq!(text(&source.with_scopes("a")).await, "for&scope=a");
    assert_eq!(text(&source.with_scopes("a b")).await, "for&scope=a+b");
    assert_eq!(text(&source.param("audience", "x")).await, "for&audience=x");
    assert_eq!(text(&source.param("audience", "y")).await, "for&audience=y");
    assert_eq!(text(&source.param("resource", "x")).await, "for&resource=x");
    assert_eq!(stage.http.count(), 6);
}

#[tokio::test]
async fn the_order_of_scopes_makes_no_other_key() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    telling_tokens(&stage);
    let source = stage.source();
    assert_eq!(
        text(&source.with_scopes("b a")).await,
        text(&source.with_scopes("a b a")).await
    );
    assert_eq!(stage.http.count(), 1);
}

#[tokio::test]
async fn a_refresh_drops_no_parameter() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage
        .http
        .answer_with(|number, _| Reply::token(&format!("t-{number}"), 100));
    let source = stage
        .source()
        .param("audience", "https://api.example")
        .with_scopes("a");
    text(&source).await;
    stage.advance(86.0);
    text(&source).await;
    settle().await;
    let requests = stage.http.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn idle_keys_cost_no_task_and_no_timer() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    for number in 0..500 {
        text(&stage.tenant(number)).await;
    }
    settle().await;
    assert_eq!(stage.clock.sleepers(), 0);
    assert_eq!(
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks(),
        0
    );
}

#[tokio::test]
async fn a_fresh_token_is_found_without_a_handle() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    let provider = TestProvider::default();
    let request = TokenRequest::new().param("tenant", 7);
    assert!(stage.manager.fresh(provider.id(), &request).is_none());
    text(&stage.tenant(7)).await;
    let found = stage.manager.fresh(provider.id(), &request).unwrap();
    assert_eq!(found.expose_secret(), "t");
}

fn tenants_kept(stage: &Stage) -> usize {
    stage.manager.statuses().len()
}

#[tokio::test]
async fn keys_without_a_handle_stay_within_the_bound() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().max_keys(160));
    stage.http.answer_with(|_, _| Reply::token("t", 1_000_000));
    for number in 0..2000 {
        text(&stage.tenant(number)).await;
        stage.advance(1.0);
    }
    assert!(tenants_kept(&stage) <= 160, "{}", tenants_kept(&stage));
    // What was used last is still there.
    let before = stage.http.count();
    text(&stage.tenant(1999)).await;
    assert_eq!(stage.http.count(), before);
}

#[tokio::test]
async fn keys_that_lay_idle_go_and_those_in_use_stay() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().idle(seconds(100.0)));
    stage.http.answer_with(|_, _| Reply::token("t", 1_000_000));
    for number in 0..100 {
        text(&stage.tenant(number)).await;
    }
    for _ in 0..20 {
        stage.advance(10.0);
        text(&stage.tenant(5)).await;
    }
    // New keys make it look.
    for number in 1000..1200 {
        drop(stage.tenant(number));
    }
    assert!(tenants_kept(&stage) <= 201, "{}", tenants_kept(&stage));
    let before = stage.http.count();
    text(&stage.tenant(5)).await;
    assert_eq!(stage.http.count(), before);
}

#[tokio::test]
async fn a_key_somebody_holds_a_handle_to_is_never_evicted() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().max_keys(16));
    stage
        .http
        .answer_with(|number, _| Reply::token(&format!("t-{number}"), 1_000_000));
    let handles: Vec<_> = (0..200).map(|number| stage.tenant(number)).collect();
    for handle in &handles {
        text(handle).await;
    }
    for (at, handle) in handles.iter().enumerate() {
        assert_eq!(text(handle).await, format!("t-{}", at + 1));
        let number = i64::try_from(at).unwrap();
        assert_eq!(
            text(&stage.tenant(number)).await,
            format!("t-{}", at + 1),
            "the same key"
        );
    }
}

#[tokio::test]
async fn a_flight_is_never_evicted() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().max_keys(1));
    stage.http.close_gate();
    stage
        .http
        .answer_with(|number, _| Reply::token(&format!("t-{number}"), 1000));
    let caller = ask(&stage.tenant(0));
    stage.http.arrivals(1).await;
    caller.abort();
    for number in 1..100 {
        drop(stage.tenant(number));
    }
    let again = ask(&stage.tenant(0));
    settle().await;
    stage.http.open_gate();
    assert_eq!(again.await.unwrap().unwrap(), "t-1");
    assert_eq!(stage.http.count(), 1);
}

#[tokio::test]
async fn a_running_cool_down_is_never_evicted() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().max_keys(1));
    stage.http.push(Reply::error(400, "invalid_scope"));
    failure(&stage.tenant(0)).await;
    for number in 1..100 {
        drop(stage.tenant(number));
    }
    failure(&stage.tenant(0)).await;
    assert_eq!(stage.http.count(), 1);
}

#[tokio::test]
async fn a_refused_client_is_not_forgotten_with_its_last_key() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().max_keys(1));
    stage.http.push(Reply::error(401, "invalid_client"));
    failure(&stage.tenant(0)).await;
    let other = Arc::new(TestProvider::new("client-2"));
    for number in 1..100 {
        let request = TokenRequest::new().param("tenant", number);
        drop(stage.manager.source(other.clone(), request));
    }
    failure(&stage.tenant(0)).await;
    assert_eq!(stage.http.count(), 1);
}

#[tokio::test]
async fn a_key_whose_new_tokens_are_rejected_too_is_not_evicted_meanwhile() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().max_keys(1));
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    for expected in [Rejection::Renewing, Rejection::CoolingDown] {
        stage.advance(2.0);
        let source = stage.tenant(0);
        let token = source.token().await.unwrap().into_owned();
        assert_eq!(source.reject(&token), expected);
        settle().await;
    }
    stage.advance(2.0);
    let before = stage.http.count();
    for number in 1..100 {
        drop(stage.tenant(number));
    }
    let source = stage.tenant(0);
    let token = source.token().await.unwrap().into_owned();
    assert_eq!(source.reject(&token), Rejection::CoolingDown);
    assert_eq!(stage.http.count(), before);
}

/// A store that can't be told to forget anything.
#[derive(Debug)]
struct Stubborn(MemoryStore);

#[async_trait]
impl TokenStore for Stubborn {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        self.0.get(key).await
    }
    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        self.0.put(key, token, lease).await
    }
    async fn forget(&self, _: &TokenKey, _: Generation, _: Duration) -> Result<(), StoreError> {
        Err(StoreError::new("not now"))
    }
    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        self.0.identity_key().await
    }
}

#[tokio::test]
async fn a_rejected_token_that_the_store_still_has_does_not_come_back_by_an_eviction() {
    let _limit = biped_testing::TimeLimit::start();
    let clock = Arc::new(ManualClock::new());
    let http = Arc::new(ScriptedHttp::new());
    let manager = TokenManager::builder(http.clone())
        .clock(clock.clone())
        .settings(Settings::default().max_keys(1))
        .store(Arc::new(Stubborn(MemoryStore::with_clock(clock.clone()))))
        .build();
    let provider = Arc::new(TestProvider::default());
    let tenant =
        |number: i64| manager.source(provider.clone(), TokenRequest::new().param("t", number));
    http.push(Reply::token("rejected", 100_000));
    let token = tenant(0).token().await.unwrap().into_owned();
    settle().await;
    clock.advance(seconds(20.0));
    http.push(Reply::error(400, "invalid_scope"));
    tenant(0).reject(&token);
    settle().await;
    // Long after the refusal, which would keep the key as well.
    clock.advance(seconds(1000.0));
    for number in 1..100 {
        drop(tenant(number));
    }
    http.push(Reply::token("new", 1000));
    let token = tenant(0).token().await.unwrap();
    assert_eq!(token.expose_secret(), "new");
}

#[tokio::test]
async fn keys_that_were_refused_or_rejected_go_when_their_cool_down_is_over() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().max_keys(16));
    for number in 0..200 {
        stage.http.push(Reply::error(400, "invalid_scope"));
        failure(&stage.tenant(number)).await;
    }
    for number in 200..400 {
        stage.http.push(Reply::token("t", 1000));
        let source = stage.tenant(number);
        let token = source.token().await.unwrap().into_owned();
        stage.advance(2.0);
        stage.http.push(Reply::token("t", 1000));
        source.reject(&token);
        settle().await;
    }
    stage.advance(3600.0);
    for number in 1000..1100 {
        drop(stage.tenant(number));
    }
    assert!(tenants_kept(&stage) <= 16 + 16, "{}", tenants_kept(&stage));
}

#[tokio::test]
async fn keys_of_a_client_that_is_gone_go_too() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().max_keys(16));
    stage.http.push(Reply::error(401, "invalid_client"));
    for number in 0..200 {
        failure(&stage.tenant(number)).await;
    }
    stage.advance(3600.0);
    let other = |number: i64| {
        let request = TokenRequest::new().param("tenant", number);
        stage
            .manager
            .source(Arc::new(TestProvider::new("client-2")), request)
    };
    for number in 1000..1200 {
        drop(other(number));
    }
    assert!(tenants_kept(&stage) <= 16 + 16, "{}", tenants_kept(&stage));
}

#[tokio::test]
async fn a_cold_start_of_ten_thousand_tenants_is_a_ramp() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    stage.http.close_gate();
    let callers: Vec<_> = (0..10_000)
        .map(|number| ask(&stage.tenant(number)))
        .collect();
    settle().await;
    assert_eq!(stage.http.count(), 8);
    stage.http.open_gate();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(stage.http.count(), 10_000);
}

#[tokio::test]
async fn providers_with_equal_ids_share_their_tokens_whatever_their_names() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.push(Reply::token("t-1", 1000));
    text(&stage.source_of(TestProvider::default().named("shop"))).await;
    let same = stage.source_of(TestProvider::default().named("store"));
    assert_eq!(same.status().state, TokenState::Fresh);
    let id =
        ProviderId::new("test", "https://login.example/token", "client-1").with("audience", "x");
    assert_ne!(&id, same.provider().id());
}
