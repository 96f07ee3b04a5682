//! The processes of a fleet: who stands still for a moment, whose clock is off, who can't use what others
//! stored.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use biped_core::{
    Claim, Error, FetchContext, Generation, IdentityKey, Lease, Provider, ProviderId, StoreError,
    StoredToken, Token, TokenKey, TokenRequest, TokenStore, async_trait,
};
use biped_memory::MemoryStore;
use biped_testing::{ManualClock, Reply, TestProvider, settle};

use crate::stage::{Stage, ask, seconds, text};

/// A store that answers in no time, but not at once: it is asked over a network.
#[derive(Debug)]
struct Distant {
    inner: MemoryStore,
    /// It gives no leases.
    is_down: AtomicBool,
}

impl Distant {
    fn on(clock: &Arc<ManualClock>) -> Self {
        Self {
            inner: MemoryStore::with_clock(clock.clone()),
            is_down: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl TokenStore for Distant {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        tokio::task::yield_now().await;
        self.inner.get(key).await
    }
    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        self.inner.put(key, token, lease).await
    }
    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.inner.forget(key, through, keep).await
    }
    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        tokio::task::yield_now().await;
        if self.is_down.load(Relaxed) {
            return Err(StoreError::new("not now"));
        }
        self.inner.lease(key, ttl, renew).await
    }
    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        self.inner.identity_key().await
    }
}

#[tokio::test]
async fn who_stood_still_while_waiting_for_anothers_lease_goes_on_waiting() {
    let _limit = biped_testing::TimeLimit::start();
    let clock = Arc::new(ManualClock::new());
    let store = Arc::new(Distant::on(&clock));
    let source = Stage::sharing(&clock, &store).source();
    let key = source.store_key().await.unwrap();
    // Somebody who died has it.
    store.lease(&key, seconds(5.0), None).await.unwrap();
    let fleet = [(); 3].map(|()| Stage::sharing(&clock, &store));
    let callers = fleet.each_ref().map(|stage| {
        stage.http.push(Reply::token("t-1", 1000));
        ask(&stage.source())
    });
    let asked = || fleet.iter().map(|stage| stage.http.count()).sum::<usize>();
    settle().await;
    // Twice for longer than all of a store's work may take.
    for _ in 0..2 {
        clock.advance(seconds(1.5));
        settle().await;
        assert_eq!(asked(), 0);
    }
    clock.advance(seconds(3.0));
    settle().await;
    assert_eq!(asked(), 1, "one takes over");
    for caller in callers {
        clock.advance(seconds(0.1));
        settle().await;
        assert_eq!(caller.await.unwrap().unwrap(), "t-1");
    }
    assert_eq!(asked(), 1);
}

#[tokio::test]
async fn a_token_stored_by_somebody_whose_clock_is_ahead_ends_by_ours() {
    let _limit = biped_testing::TimeLimit::start();
    let clock = Arc::new(ManualClock::new());
    let store = Arc::new(Distant::on(&clock));
    let [ahead, ours] = [(); 2].map(|()| Stage::sharing(&clock, &store));
    clock.step_wall_ahead(seconds(3600.0));
    ahead.http.push(Reply::token("t-1", 1000));
    text(&ahead.source()).await;
    settle().await;
    clock.step_wall_back(seconds(3600.0));
    let source = ours.source();
    assert_eq!(text(&source).await, "t-1");
    assert_eq!(ours.http.count(), 0);
    clock.advance(seconds(1000.0));
    ours.http.push(Reply::token("t-2", 1000));
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn a_refresh_is_not_content_with_a_stored_token_that_is_due_itself() {
    let _limit = biped_testing::TimeLimit::start();
    let clock = Arc::new(ManualClock::new());
    let store = Arc::new(Distant::on(&clock));
    let [one, other] = [(); 2].map(|()| Stage::sharing(&clock, &store));
    let (source, others) = (one.source(), other.source());
    one.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    settle().await;
    clock.advance(seconds(5.0));
    other.http.push(Reply::token("t-2", 1000));
    others.fetch().await.unwrap();
    settle().await;
    clock.advance(seconds(860.0));
    one.http.push(Reply::token("t-3", 1000));
    assert_eq!(text(&source).await, "t-1");
    settle().await;
    assert_eq!(text(&source).await, "t-3");
}

/// Only who holds some key can use its tokens; this one doesn't.
#[derive(Debug)]
struct Stranger(TestProvider);

#[async_trait]
impl Provider for Stranger {
    fn id(&self) -> &ProviderId {
        self.0.id()
    }
    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        self.0.fetch(request, cx).await
    }
    fn accepts_stored(&self, _: &Token, _: &TokenRequest) -> bool {
        false
    }
}

#[tokio::test]
async fn a_stored_token_that_the_provider_does_not_adopt_is_not_used() {
    let _limit = biped_testing::TimeLimit::start();
    let clock = Arc::new(ManualClock::new());
    let store = Arc::new(Distant::on(&clock));
    let [one, other] = [(); 2].map(|()| Stage::sharing(&clock, &store));
    one.http.push(Reply::token("t-1", 1000));
    text(&one.source()).await;
    settle().await;
    let stranger = Arc::new(Stranger(TestProvider::default()));
    let source = other.manager.source(stranger, TokenRequest::new());
    other.http.push(Reply::token("t-2", 1000));
    assert_eq!(text(&source).await, "t-2");
    // To everybody else it is a token like any other.
    settle().await;
    let third = Stage::sharing(&clock, &store);
    assert_eq!(text(&third.source()).await, "t-2");
}

#[tokio::test]
async fn a_store_whose_clock_is_behind_never_makes_a_new_token_look_old() {
    let _limit = biped_testing::TimeLimit::start();
    let (clock, behind) = (Arc::new(ManualClock::new()), Arc::new(ManualClock::new()));
    behind.step_wall_back(seconds(3600.0));
    let store = Arc::new(Distant::on(&behind));
    let stage = Stage::sharing(&clock, &store);
    let source = stage.source();
    // The first is numbered by our clock, the second by the store's.
    store.is_down.store(true, Relaxed);
    stage.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    settle().await;
    store.is_down.store(false, Relaxed);
    clock.advance(seconds(1000.0));
    behind.advance(seconds(1000.0));
    stage.http.push(Reply::token("t-2", 1000));
    assert_eq!(text(&source).await, "t-2");
}

/// Our clock, that of a store, which is five seconds ahead of it, and the store.
fn ahead_of_us() -> (Arc<ManualClock>, Arc<ManualClock>, Arc<Distant>) {
    let (clock, ahead) = (Arc::new(ManualClock::new()), Arc::new(ManualClock::new()));
    ahead.step_wall_ahead(seconds(5.0));
    let store = Arc::new(Distant::on(&ahead));
    (clock, ahead, store)
}

#[tokio::test]
async fn what_a_store_has_is_forgotten_though_its_clock_is_ahead() {
    let _limit = biped_testing::TimeLimit::start();
    let (clock, _, store) = ahead_of_us();
    let [one, other, third] = [(); 3].map(|()| Stage::sharing(&clock, &store));
    one.http.push(Reply::token("t-1", 1000));
    text(&one.source()).await;
    settle().await;
    let source = other.source();
    assert!(source.stored().await.unwrap().is_some());
    source.forget().await.unwrap();
    assert!(source.stored().await.unwrap().is_none());
    third.http.push(Reply::token("t-2", 1000));
    assert_eq!(text(&third.source()).await, "t-2");
    // What was forgotten does not come back, and what came after it stays.
    settle().await;
    assert_eq!(text(&source).await, "t-2");
    assert_eq!(other.http.count(), 0);
}

#[tokio::test]
async fn a_token_that_is_forgotten_during_its_fetch_is_not_used_though_the_stores_clock_is_ahead() {
    let _limit = biped_testing::TimeLimit::start();
    let (clock, ahead, store) = ahead_of_us();
    let stage = Stage::sharing(&clock, &store);
    let source = stage.source();
    stage.http.close_gate();
    stage.http.push(Reply::token("t-1", 1000));
    stage.http.push(Reply::token("t-2", 1000));
    let caller = ask(&source);
    stage.http.arrivals(1).await;
    source.forget().await.unwrap();
    stage.http.open_gate();
    // The lease of the first fetch ends.
    ahead.advance(seconds(5.0));
    stage.pass(1.5).await;
    assert!(caller.is_finished());
    assert_eq!(caller.await.unwrap().unwrap(), "t-2");
}
