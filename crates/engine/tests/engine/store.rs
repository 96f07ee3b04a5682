//! The store behind a manager: what it saves, and how little it can break.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use biped_core::{
    Claim, Clock, Error, ExposeSecret, FetchContext, Generation, IdentityKey, Lease, LeaseFailure,
    LeaseId, Provider, ProviderId, SecretRef, StoreError, StoredToken, Token, TokenKey,
    TokenRequest, TokenStore, async_trait,
};
use biped_engine::{Settings, TokenManager, TokenSource, TokenState};
use biped_memory::MemoryStore;
use biped_testing::{ManualClock, Reply, ScriptedHttp, TestProvider, settle};

use crate::stage::{Stage, ask, failure, seconds, text};

/// A store that can be watched and broken.
#[derive(Debug)]
struct Watched {
    inner: MemoryStore,
    clock: Arc<ManualClock>,
    fault: Mutex<Fault>,
    calls: Mutex<Vec<&'static str>>,
}

#[derive(Clone, Debug, Default)]
enum Fault {
    #[default]
    None,
    Down,
    /// Each operation takes this long.
    Slow(Duration),
    /// Only this operation fails.
    DownFor(&'static str),
    /// The claim that is answered, whatever is asked.
    Claims(Claim),
}

impl Watched {
    fn new(clock: &Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::with_clock(clock.clone()),
            clock: clock.clone(),
            fault: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    async fn before(&self, call: &'static str) -> Result<(), StoreError> {
        self.calls.lock().unwrap().push(call);
        let fault = self.fault.lock().unwrap().clone();
        match fault {
            Fault::Down => Err(StoreError::new("connection refused")),
            Fault::DownFor(it) if it == call => Err(StoreError::new("connection refused")),
            Fault::Slow(duration) => {
                self.clock.sleep(duration).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl TokenStore for Watched {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        self.before("get").await?;
        self.inner.get(key).await
    }
    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        self.before("put").await?;
        self.inner.put(key, token, lease).await
    }
    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.before("forget").await?;
        self.inner.forget(key, through, keep).await
    }
    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        self.before(if renew.is_some() { "renew" } else { "lease" })
            .await?;
        if let Fault::Claims(claim) = &*self.fault.lock().unwrap() {
            return Ok(claim.clone());
        }
        self.inner.lease(key, ttl, renew).await
    }
    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        self.before("release").await?;
        self.inner.release(key, lease, failed).await
    }
    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        self.before("changed").await?;
        self.inner.changed(key, after).await
    }
    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        self.inner.identity_key().await
    }
}

struct Fleet {
    clock: Arc<ManualClock>,
    store: Arc<Watched>,
}

impl Fleet {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let store = Watched::new(&clock);
        Self { clock, store }
    }

    /// A process, and its handle to the one key of these tests.
    fn process(&self) -> (Stage, TokenSource) {
        let stage = Stage::sharing(&self.clock, &self.store);
        let source = stage.source();
        (stage, source)
    }

    fn advance(&self, by: f64) {
        self.clock.advance(seconds(by));
    }

    /// The name of the one key in the store.
    async fn key(&self) -> TokenKey {
        self.process().1.store_key().await.unwrap()
    }
}

#[tokio::test]
async fn a_token_is_looked_up_before_a_fetch_and_put_after_it() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (first, source) = fleet.process();
    first.http.push(Reply::token("t-1", 1000));
    assert_eq!(text(&source).await, "t-1");
    settle().await;
    assert_eq!(fleet.store.take_calls(), ["get", "lease", "get", "put"]);
    let (second, source) = fleet.process();
    assert_eq!(text(&source).await, "t-1");
    assert_eq!(fleet.store.take_calls(), ["get"]);
    assert_eq!(second.http.count(), 0);
}

/// Its tokens have another scheme, and no key that they are bound to is known.
#[derive(Debug)]
struct OtherScheme(TestProvider);

#[async_trait]
impl Provider for OtherScheme {
    fn id(&self) -> &ProviderId {
        self.0.id()
    }
    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let token = self.0.fetch(request, cx).await?;
        let other = Token::new(token.expose_secret(), cx.now()).scheme("DPoP");
        other.expires_in(token.lifetime()).build()
    }
}

#[tokio::test]
async fn a_token_of_another_scheme_stays_in_its_process() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, _) = fleet.process();
    stage.http.push(Reply::token("t-1", 1000));
    let provider = Arc::new(OtherScheme(TestProvider::default()));
    let source = stage.manager.source(provider, TokenRequest::new());
    assert_eq!(text(&source).await, "t-1");
    settle().await;
    let calls = fleet.store.take_calls();
    assert!(!calls.contains(&"put"), "{calls:?}");
    let key = source.store_key().await.unwrap();
    assert_eq!(fleet.store.inner.get(&key).await.unwrap(), None);
}

#[tokio::test]
async fn a_token_from_the_store_keeps_its_expiry() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (first, source) = fleet.process();
    first.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    settle().await;
    fleet.advance(500.0);
    let (second, source) = fleet.process();
    let token = source.token().await.unwrap().into_owned();
    assert_eq!(
        token.expires_at().unwrap().since(fleet.clock.now().wall),
        seconds(500.0)
    );
    // Its end of use is kept on the monotonic clock too, from when it was loaded.
    fleet.clock.step_wall_back(seconds(400.0));
    fleet.advance(471.0);
    second.http.push(Reply::token("t-2", 1000));
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn a_token_is_published_before_it_is_put() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    stage.http.push(Reply::token("t-1", 1000));
    stage.http.close_gate();
    let caller = ask(&source);
    stage.http.arrivals(1).await;
    fleet.store.set(Fault::Slow(seconds(3600.0)));
    stage.http.open_gate();
    assert_eq!(caller.await.unwrap().unwrap(), "t-1");
    assert!(source.fresh().is_some());
}

#[tokio::test]
async fn a_store_that_is_down_fails_no_call_and_is_left_alone_for_five_seconds() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    fleet.store.set(Fault::Down);
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    text(&source).await;
    settle().await;
    assert_eq!(fleet.store.take_calls(), ["get"]);
    for number in 0..20 {
        fleet.advance(0.2);
        text(&stage.tenant(number)).await;
    }
    assert_eq!(fleet.store.take_calls(), [""; 0]);
    fleet.advance(1.1);
    fleet.store.set(Fault::None);
    text(&stage.tenant(100)).await;
    settle().await;
    assert_eq!(fleet.store.take_calls(), ["get", "lease", "get", "put"]);
}

#[tokio::test]
async fn all_the_work_of_a_slow_store_before_a_fetch_has_250_ms() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    fleet.store.set(Fault::Slow(seconds(0.1)));
    stage.http.push(Reply::token("t-1", 1000));
    let start = fleet.clock.now().mono;
    let caller = ask(&source);
    settle().await;
    while stage.http.count() == 0 {
        fleet.clock.advance(fleet.clock.next_wake().unwrap());
        settle().await;
    }
    // Looking and claiming took 200 ms; looking again got 50 more, and no more.
    assert_eq!(fleet.clock.now().mono - start, seconds(0.25));
    assert_eq!(caller.await.unwrap().unwrap(), "t-1");
}

#[tokio::test]
async fn a_slow_store_gets_the_time_that_is_set() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (first, source) = fleet.process();
    first.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    settle().await;
    fleet.store.set(Fault::Slow(seconds(1.5)));
    let (default, impatient) = fleet.process();
    default.http.push(Reply::token("t-2", 1000));
    let patient = Stage::sharing_with(
        &fleet.clock,
        &fleet.store,
        Settings::default().store_wait(seconds(2.0)),
    );
    let (impatient, patient) = (ask(&impatient), ask(&patient.source()));
    settle().await;
    while !patient.is_finished() {
        fleet.clock.advance(fleet.clock.next_wake().unwrap());
        settle().await;
    }
    assert_eq!(impatient.await.unwrap().unwrap(), "t-2");
    assert_eq!(patient.await.unwrap().unwrap(), "t-1");
}

#[tokio::test]
async fn each_operation_may_fail_by_itself() {
    let _limit = biped_testing::TimeLimit::start();
    for call in [
        "get", "lease", "changed", "renew", "put", "forget", "release",
    ] {
        let fleet = Fleet::new();
        let (stage, source) = fleet.process();
        // Somebody who died has the lease; whoever has it then renews it, since the vendor is slow.
        let key = fleet.key().await;
        let lease = fleet.store.inner.lease(&key, seconds(5.0), None).await;
        assert!(matches!(lease, Ok(Claim::Granted(_))));
        fleet.store.set(Fault::DownFor(call));
        stage.http.close_gate();
        stage
            .http
            .answer_with(|number, _| Reply::token(&format!("t-{number}"), 1000));
        let caller = ask(&source);
        stage.pass(8.0).await;
        stage.http.open_gate();
        assert_eq!(caller.await.unwrap().unwrap(), "t-1", "{call}");
        settle().await;
        fleet.advance(20.0);
        let token = source.token().await.unwrap().into_owned();
        source.reject(&token);
        assert_eq!(text(&source).await, "t-2", "{call}");
        settle().await;
        fleet.advance(1000.0);
        stage.http.push(Reply::error(400, "invalid_scope"));
        let error = failure(&source).await;
        assert_eq!(error.kind(), biped_core::ErrorKind::Refused, "{call}");
        settle().await;
        fleet.advance(61.0);
        assert_eq!(text(&source).await, "t-4", "{call}");
        assert!(fleet.store.take_calls().contains(&call), "no {call}");
    }
}

async fn with_entry(change: impl Fn(&mut StoredToken)) -> (Fleet, String, usize) {
    let fleet = Fleet::new();
    let (first, source) = fleet.process();
    first.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    settle().await;
    let mut stored = fleet
        .store
        .inner
        .get(&fleet.key().await)
        .await
        .unwrap()
        .unwrap();
    stored.generation = Generation(stored.generation.0 + 1);
    change(&mut stored);
    fleet
        .store
        .inner
        .put(&fleet.key().await, &stored, None)
        .await
        .unwrap();
    let (second, source) = fleet.process();
    second.http.push(Reply::token("t-2", 1000));
    let got = text(&source).await;
    let requests = second.http.count();
    (fleet, got, requests)
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_a_miss() {
    let _limit = biped_testing::TimeLimit::start();
    let (_, got, requests) = with_entry(|_| ()).await;
    assert_eq!((&*got, requests), ("t-1", 0), "unchanged, it is read");
    let broken: [&dyn Fn(&mut StoredToken); 5] = [
        &|stored| stored.bytes = b"\xff\x00garbage".to_vec(),
        &|stored| stored.bytes.clear(),
        &|stored| stored.bytes.truncate(20),
        &|stored| {
            let text = String::from_utf8(stored.bytes.clone()).unwrap();
            assert!(text.contains(r#""v":1"#), "{text}");
            stored.bytes = text.replace(r#""v":1"#, r#""v":99"#).into_bytes();
        },
        &|stored| stored.generation = Generation(u64::MAX),
    ];
    for (at, change) in broken.into_iter().enumerate() {
        let (_, got, requests) = with_entry(change).await;
        assert_eq!((&*got, requests), ("t-2", 1), "{at}");
    }
}

#[tokio::test]
async fn an_expired_token_in_the_store_is_no_token() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (first, source) = fleet.process();
    first.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    settle().await;
    fleet.advance(975.0);
    let (second, source) = fleet.process();
    second.http.push(Reply::token("t-2", 1000));
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn a_rejected_token_never_comes_back_from_the_store() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (first, source) = fleet.process();
    let (_, other) = fleet.process();
    first.http.push(Reply::token("t-1", 1000));
    let token = source.token().await.unwrap().into_owned();
    settle().await;
    assert_eq!(text(&other).await, "t-1");
    fleet.advance(20.0);
    first.http.push(Reply::token("t-2", 1000));
    source.reject(&token);
    assert_eq!(text(&source).await, "t-2");
    settle().await;
    // The other process rejects the same token, and finds the new one in the store.
    let old = other.token().await.unwrap().into_owned();
    assert_eq!(old.expose_secret(), "t-1");
    other.reject(&old);
    assert_eq!(text(&other).await, "t-2");
    // And nobody who comes later sees it.
    assert_eq!(text(&fleet.process().1).await, "t-2");
}

#[tokio::test]
async fn a_rejection_that_the_store_did_not_hear_is_told_again() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    stage.http.push(Reply::token("t-1", 1000));
    let token = source.token().await.unwrap().into_owned();
    settle().await;
    fleet.advance(20.0);
    fleet.store.set(Fault::Down);
    stage.http.push(Reply::error(400, "invalid_scope"));
    source.reject(&token);
    settle().await;
    fleet.store.set(Fault::None);
    fleet.advance(61.0);
    stage.http.push(Reply::token("t-2", 1000));
    assert_eq!(text(&source).await, "t-2", "and not t-1 from the store");
}

#[tokio::test]
async fn a_rejection_while_the_store_hears_of_an_earlier_one_is_told_as_well() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    for token in ["t-1", "t-2", "t-3", "t-4"] {
        stage.http.push(Reply::token(token, 3600));
    }
    text(&source).await;
    settle().await;
    stage.advance(2.0);

    fleet.store.set(Fault::Slow(seconds(30.0)));
    let hears = source.clone();
    let hears = tokio::spawn(async move { hears.forget().await });
    settle().await;
    fleet.store.set(Fault::Down);
    assert_eq!(text(&source).await, "t-2");
    stage.advance(2.0);
    let rejected = source.token().await.unwrap().into_owned();
    source.reject(&rejected);
    assert_eq!(text(&source).await, "t-3");

    // Now it knows of the first; the second it did not hear.
    fleet.store.set(Fault::None);
    stage.advance(30.0);
    hears.await.unwrap().unwrap();
    fleet.store.take_calls();
    assert_eq!(source.fetch().await.unwrap().expose_secret(), "t-4");
    assert_eq!(fleet.store.take_calls()[0], "forget");
}

#[tokio::test]
async fn a_slow_old_fetch_never_overwrites_a_newer_token_in_the_store() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (slow, slow_source) = fleet.process();
    let (fast, fast_source) = fleet.process();
    slow.http.close_gate();
    slow.http.push(Reply::token("old", 1000));
    // The store loses its leases meanwhile.
    fleet.store.set(Fault::DownFor("renew"));
    let caller = ask(&slow_source);
    slow.http.arrivals(1).await;
    settle().await;
    for _ in 0..6 {
        fleet.advance(1.0);
        settle().await;
    }
    fleet.store.set(Fault::None);
    fast.http.push(Reply::token("new", 1000));
    assert_eq!(text(&fast_source).await, "new");
    settle().await;
    slow.http.open_gate();
    assert_eq!(caller.await.unwrap().unwrap(), "old");
    settle().await;
    assert_eq!(text(&fleet.process().1).await, "new");
}

#[tokio::test]
async fn of_a_fleet_one_fetches_and_the_others_get_its_token() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let processes: Vec<_> = (0..10).map(|_| fleet.process()).collect();
    for (at, (stage, _)) in processes.iter().enumerate() {
        stage.http.close_gate();
        stage.http.push(Reply::token(&format!("t-{at}"), 1000));
    }
    let callers: Vec<_> = processes.iter().map(|(_, source)| ask(source)).collect();
    settle().await;
    let requests = || {
        processes
            .iter()
            .map(|(stage, _)| stage.http.count())
            .sum::<usize>()
    };
    assert_eq!(requests(), 1);
    for (stage, _) in &processes {
        stage.http.open_gate();
    }
    let mut tokens = Vec::new();
    for caller in callers {
        tokens.push(caller.await.unwrap().unwrap());
    }
    tokens.dedup();
    assert_eq!((tokens.len(), requests()), (1, 1));
}

/// A fleet whose processes all have the token `t-1`, which lives for 1000 s, of which 860 are over.
async fn due(processes: usize) -> (Fleet, Vec<(Stage, TokenSource)>) {
    let fleet = Fleet::new();
    let processes: Vec<_> = (0..processes).map(|_| fleet.process()).collect();
    for (at, (stage, source)) in processes.iter().enumerate() {
        if at == 0 {
            stage.http.push(Reply::token("t-1", 1000));
        }
        assert_eq!(text(source).await, "t-1");
        stage.http.answer_with(|_, _| Reply::token("t-2", 1000));
        settle().await;
    }
    fleet.advance(860.0);
    fleet.store.take_calls();
    (fleet, processes)
}

/// What the processes ask of the vendor beside the first token.
fn renewals(processes: &[(Stage, TokenSource)]) -> usize {
    let asked: usize = processes.iter().map(|(stage, _)| stage.http.count()).sum();
    asked - 1
}

#[tokio::test]
async fn a_fleet_whose_store_fails_while_its_token_serves_renews_it_once_when_the_store_is_back() {
    let _limit = biped_testing::TimeLimit::start();
    for fault in [Fault::Down, Fault::Slow(seconds(3600.0))] {
        let (fleet, processes) = due(20).await;
        fleet.store.set(fault);
        for (_, source) in &processes {
            assert_eq!(text(source).await, "t-1");
        }
        settle().await;
        fleet.advance(0.25);
        settle().await;
        assert_eq!(renewals(&processes), 0);
        fleet.store.set(Fault::None);
        for _ in 0..10 {
            fleet.advance(1.0);
            for (_, source) in &processes {
                text(source).await;
                settle().await;
            }
        }
        assert_eq!(renewals(&processes), 1);
        for (_, source) in &processes {
            assert_eq!(text(source).await, "t-2");
        }
    }
}

#[tokio::test]
async fn while_the_store_stays_away_a_token_is_renewed_before_it_ends() {
    let _limit = biped_testing::TimeLimit::start();
    let (fleet, processes) = due(1).await;
    fleet.store.set(Fault::Down);
    let [(stage, source)] = &processes[..] else {
        unreachable!()
    };
    let mut passed = 0;
    // No call has to wait: there is always a token that serves.
    while text(source).await == "t-1" {
        settle().await;
        fleet.advance(1.0);
        passed += 1;
    }
    // The token serves for 110 s more, and is due again before the last 85 of them.
    assert!((10..100).contains(&passed), "{passed} s");
    assert_eq!(stage.http.count(), 2);
}

#[tokio::test]
async fn a_caller_whom_the_token_does_not_last_long_enough_never_waits_for_a_store_to_come_back() {
    let _limit = biped_testing::TimeLimit::start();
    let (fleet, processes) = due(1).await;
    fleet.store.set(Fault::Down);
    let [(_, source)] = &processes[..] else {
        unreachable!()
    };
    assert_eq!(text(source).await, "t-1");
    settle().await;
    assert_eq!(renewals(&processes), 0);
    let token = source.token_with(seconds(600.0)).await.unwrap();
    assert_eq!(token.expose_secret(), "t-2");
}

#[tokio::test]
async fn a_renewal_for_which_no_caller_waits_looks_for_anothers_token_twice_a_second() {
    let _limit = biped_testing::TimeLimit::start();
    let (fleet, processes) = due(1).await;
    let [(_, source)] = &processes[..] else {
        unreachable!()
    };
    let key = fleet.key().await;
    let lease = fleet.store.inner.lease(&key, seconds(5.0), None).await;
    assert!(matches!(lease, Ok(Claim::Granted(_))));
    assert_eq!(text(source).await, "t-1");
    settle().await;
    fleet.store.take_calls();
    for _ in 0..20 {
        fleet.advance(0.1);
        settle().await;
    }
    let looks = |calls: &[&str]| calls.iter().filter(|call| **call == "get").count();
    assert_eq!(looks(&fleet.store.take_calls()), 4);
    // A caller comes who can't do with the token: from then on it is looked for as often as for any.
    let wanted = source.clone();
    let caller = tokio::spawn(async move { wanted.token_with(seconds(600.0)).await.map(drop) });
    settle().await;
    assert_eq!(looks(&fleet.store.take_calls()), 1);
    for _ in 0..10 {
        fleet.advance(0.1);
        settle().await;
    }
    assert_eq!(looks(&fleet.store.take_calls()), 10);
    caller.abort();
}

#[tokio::test]
async fn a_store_that_was_too_slow_hears_of_the_token_that_was_fetched_without_it() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    stage.http.push(Reply::token("t-1", 1000));
    fleet.store.set(Fault::Slow(seconds(0.3)));
    let caller = ask(&source);
    settle().await;
    fleet.advance(0.25);
    assert_eq!(caller.await.unwrap().unwrap(), "t-1");
    settle().await;
    fleet.advance(0.3);
    settle().await;
    fleet.store.set(Fault::None);
    let (other, source) = fleet.process();
    assert_eq!(text(&source).await, "t-1");
    assert_eq!(other.http.count(), 0);
}

#[tokio::test]
async fn a_lease_is_renewed_as_long_as_its_holder_fetches() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (slow, slow_source) = fleet.process();
    let (other, other_source) = fleet.process();
    slow.http.close_gate();
    slow.http.push(Reply::token("t-1", 1000));
    let first = ask(&slow_source);
    slow.http.arrivals(1).await;
    let second = ask(&other_source);
    // Longer than a lease lasts, and longer than all the time that a store gets.
    for _ in 0..90 {
        settle().await;
        fleet.advance(0.1);
    }
    assert_eq!(other.http.count(), 0);
    slow.http.open_gate();
    assert_eq!(first.await.unwrap().unwrap(), "t-1");
    assert_eq!(second.await.unwrap().unwrap(), "t-1");
    assert_eq!(other.http.count(), 0);
}

#[tokio::test]
async fn when_a_lease_lapses_another_takes_over() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    fleet
        .store
        .inner
        .lease(&fleet.key().await, seconds(5.0), None)
        .await
        .unwrap();
    let (stage, source) = fleet.process();
    stage.http.push(Reply::token("t-1", 1000));
    let caller = ask(&source);
    for _ in 0..49 {
        settle().await;
        fleet.advance(0.1);
    }
    settle().await;
    assert_eq!(stage.http.count(), 0);
    for _ in 0..6 {
        fleet.advance(0.1);
        settle().await;
    }
    assert_eq!(caller.await.unwrap().unwrap(), "t-1");
}

#[tokio::test]
async fn a_store_that_freezes_while_anothers_lease_is_waited_for_costs_250_ms_at_most() {
    let _limit = biped_testing::TimeLimit::start();
    for frozen_after in [0.0, 0.06, 0.11, 0.25, 1.03] {
        let fleet = Fleet::new();
        let lease = fleet
            .store
            .inner
            .lease(&fleet.key().await, seconds(5.0), None)
            .await;
        assert!(matches!(lease, Ok(Claim::Granted(_))));
        let (stage, source) = fleet.process();
        stage.http.push(Reply::token("t-1", 1000));
        let caller = ask(&source);
        let freezes_at = fleet.clock.now().mono + seconds(frozen_after);
        settle().await;
        loop {
            let next = fleet.clock.next_wake().unwrap();
            if fleet.clock.now().mono + next >= freezes_at {
                break;
            }
            fleet.clock.advance(next);
            settle().await;
        }
        fleet.clock.advance(freezes_at - fleet.clock.now().mono);
        assert_eq!(stage.http.count(), 0);
        fleet.store.set(Fault::Slow(seconds(3600.0)));
        settle().await;
        while stage.http.count() == 0 {
            fleet.clock.advance(fleet.clock.next_wake().unwrap());
            settle().await;
        }
        let cost = fleet.clock.now().mono - freezes_at;
        assert!(
            cost <= seconds(0.25),
            "frozen after {frozen_after} s: {cost:?}"
        );
        assert_eq!(caller.await.unwrap().unwrap(), "t-1");
    }
}

#[tokio::test]
async fn waiting_for_anothers_lease_takes_no_permit() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, _) = fleet.process();
    for number in 0..8 {
        let key = stage.tenant(number).store_key().await.unwrap();
        fleet
            .store
            .inner
            .lease(&key, seconds(5.0), None)
            .await
            .unwrap();
    }
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    let waiting: Vec<_> = (0..8).map(|number| ask(&stage.tenant(number))).collect();
    settle().await;
    assert_eq!(stage.http.count(), 0, "somebody else has their leases");
    assert_eq!(text(&stage.tenant(100)).await, "t");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn waiting_beside_an_entry_that_will_not_do_does_not_spin() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    let (first, other) = fleet.process();
    stage.http.push(Reply::token("t-1", 3600));
    text(&source).await;
    settle().await;
    fleet.advance(1000.0);
    // Somebody else put a newer one, and fetches once more.
    first.http.push(Reply::token("t-2", 1800));
    other.fetch().await.unwrap();
    settle().await;
    fleet
        .store
        .inner
        .lease(&fleet.key().await, seconds(5.0), None)
        .await
        .unwrap();
    fleet.store.take_calls();
    let anew = tokio::spawn({
        let source = source.clone();
        async move { source.fetch().await.map(drop) }
    });
    settle().await;
    let calls = fleet.store.take_calls();
    assert!(calls.len() <= 6, "{calls:?}");
    anew.abort();
}

#[tokio::test]
async fn a_failed_holder_leaves_its_reason_and_the_fleet_answers_from_it() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (first, source) = fleet.process();
    first
        .http
        .push(Reply::status(503).with_header("retry-after", "60"));
    failure(&source).await;
    settle().await;
    for _ in 0..5 {
        let (other, source) = fleet.process();
        let error = failure(&source).await;
        assert_eq!(error.kind(), biped_core::ErrorKind::Unavailable);
        assert_eq!(error.vendor().unwrap().status, Some(503));
        assert_eq!(other.http.count(), 0);
    }
    fleet.advance(61.0);
    let (other, source) = fleet.process();
    other.http.push(Reply::token("t-1", 1000));
    assert_eq!(text(&source).await, "t-1");
}

#[tokio::test]
async fn a_process_that_shares_no_failures_leaves_none_and_asks_for_itself() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let alone = || {
        let http = Arc::new(ScriptedHttp::new());
        let manager = TokenManager::builder(http.clone())
            .clock(fleet.clock.clone())
            .store(fleet.store.clone())
            .settings(Settings::default().share_failures(false))
            .build();
        let source = manager.source(Arc::new(TestProvider::default()), TokenRequest::new());
        (http, source)
    };
    let refusal = || Reply::status(503).with_header("retry-after", "60");
    let (http, source) = alone();
    http.push(refusal());
    failure(&source).await;
    settle().await;
    let (sharing, other) = fleet.process();
    sharing.http.push(refusal());
    failure(&other).await;
    settle().await;
    assert_eq!(sharing.http.count(), 1);
    let (http, source) = alone();
    http.push(Reply::token("t-1", 1000));
    assert_eq!(text(&source).await, "t-1");
}

#[tokio::test]
async fn what_one_process_lacks_is_no_reason_for_the_others_to_wait() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let stage = Stage::sharing(&fleet.clock, &fleet.store);
    let secret = biped_core::SecretRef::env("BIPED_TEST_THAT_NOBODY_SETS");
    let source = stage.source_of(TestProvider::default().secret(secret));
    failure(&source).await;
    settle().await;
    let (other, source) = fleet.process();
    other.http.push(Reply::token("t-1", 1000));
    assert_eq!(text(&source).await, "t-1");
}

#[tokio::test]
async fn a_cool_down_of_the_fleet_is_believed_for_fifteen_minutes_at_most() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    let cooling = |left| {
        let why = b"nonsense".to_vec();
        Fault::Claims(Claim::CoolingDown { left, why })
    };
    fleet.store.set(cooling(seconds(900.0)));
    assert!(failure(&source).await.is_transient());
    assert_eq!(stage.http.count(), 0);
    // One that nobody writes would stop this process again and again.
    fleet.advance(900.0);
    for (left, token) in [(seconds(86_400.0), "t-1"), (Duration::MAX, "t-2")] {
        fleet.store.set(cooling(left));
        stage.http.push(Reply::token(token, 1000));
        let (other, source) = fleet.process();
        other.http.push(Reply::token(token, 1000));
        assert_eq!(text(&source).await, token);
        fleet.store.set(Fault::None);
        source.forget().await.unwrap();
    }
}

#[tokio::test]
async fn a_lease_longer_than_any_stops_nobody() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    let left = seconds(365.0 * 86_400.0);
    fleet.store.set(Fault::Claims(Claim::Taken { left }));
    stage.http.push(Reply::token("t-1", 1000));
    assert_eq!(text(&source).await, "t-1");
}

#[tokio::test]
async fn a_store_that_says_nonsense_about_leases_causes_no_busy_loop() {
    let _limit = biped_testing::TimeLimit::start();
    let nonsense = [
        Claim::CoolingDown {
            left: Duration::ZERO,
            why: Vec::new(),
        },
        Claim::Taken {
            left: Duration::ZERO,
        },
    ];
    for claim in nonsense {
        let fleet = Fleet::new();
        let (_stage, source) = fleet.process();
        fleet.store.set(Fault::Claims(claim));
        let caller = ask(&source);
        settle().await;
        let calls = fleet.store.take_calls();
        // Some rounds, and then a wait.
        assert!(calls.len() <= 12, "{calls:?}");
        caller.abort();
    }
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    let lease = Lease {
        id: LeaseId(7),
        generation: Generation(u64::MAX),
    };
    fleet.store.set(Fault::Claims(Claim::Granted(lease)));
    stage
        .http
        .answer_with(|number, _| Reply::token(&format!("t-{number}"), 1000));
    let token = source.token().await.unwrap().into_owned();
    fleet.advance(20.0);
    source.reject(&token);
    assert_eq!(text(&source).await, "t-2", "there is a generation after it");
}

#[tokio::test]
async fn a_lease_is_given_back_when_its_token_was_forgotten_on_the_way() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    stage.http.close_gate();
    stage.http.push(Reply::token("t-1", 1000));
    stage.http.push(Reply::token("t-2", 1000));
    let caller = ask(&source);
    stage.http.arrivals(1).await;
    source.forget().await.unwrap();
    stage.http.open_gate();
    // Another flight got the lease in its turn.
    assert_eq!(caller.await.unwrap().unwrap(), "t-2");
    settle().await;
    let claim = fleet
        .store
        .inner
        .lease(&fleet.key().await, seconds(5.0), None)
        .await
        .unwrap();
    assert!(matches!(claim, Claim::Granted(_)), "{claim:?}");
}

#[tokio::test]
async fn a_token_bound_to_a_key_never_enters_the_store() {
    let _limit = biped_testing::TimeLimit::start();
    use biped_core::{Error, FetchContext, ProviderId, Token};
    #[derive(Debug)]
    struct Bound(ProviderId);
    #[async_trait]
    impl Provider for Bound {
        fn id(&self) -> &ProviderId {
            &self.0
        }
        async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
            Token::new("t", cx.sent_at())
                .confirmation(Some("thumbprint"))
                .build()
        }
    }
    let fleet = Fleet::new();
    let stage = Stage::sharing(&fleet.clock, &fleet.store);
    let provider = Arc::new(Bound(ProviderId::new(
        "bound",
        "https://login.example",
        "app",
    )));
    let source = stage.manager.source(provider, TokenRequest::new());
    text(&source).await;
    settle().await;
    assert!(!fleet.store.take_calls().contains(&"put"));
    let claim = fleet
        .store
        .inner
        .lease(&source.store_key().await.unwrap(), seconds(5.0), None)
        .await
        .unwrap();
    assert!(
        matches!(claim, Claim::Granted(_)),
        "its lease is given back: {claim:?}"
    );
}

#[tokio::test]
async fn what_is_stored_can_be_seen_and_forgotten() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    stage.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    settle().await;
    for (later, stands) in [
        (0.0, TokenState::Fresh),
        (860.0, TokenState::Usable),
        (115.0, TokenState::Expired),
    ] {
        fleet.advance(later);
        let (token, state) = source.stored().await.unwrap().unwrap();
        assert_eq!((token.expose_secret(), state), ("t-1", stands));
    }
    source.forget().await.unwrap();
    assert!(source.stored().await.unwrap().is_none());
    fleet.store.set(Fault::Down);
    assert!(source.forget().await.is_err(), "somebody wants to be sure");
}

#[tokio::test]
async fn a_stored_token_stands_as_the_settings_say() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    stage.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    settle().await;
    let settings = Settings::default().refresh_at(0.3).margin(seconds(90.0));
    let early = TokenManager::builder(stage.http.clone())
        .clock(fleet.clock.clone())
        .store(fleet.store.clone())
        .settings(settings)
        .build()
        .source(Arc::new(TestProvider::default()), TokenRequest::new());
    for (later, stands) in [(400.0, TokenState::Usable), (520.0, TokenState::Expired)] {
        fleet.advance(later);
        assert_eq!(early.stored().await.unwrap().unwrap().1, stands);
    }
}

#[tokio::test]
async fn the_store_hears_of_a_rejection_before_the_new_token_is_fetched() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    stage.http.push(Reply::token("t-1", 1000));
    let token = source.token().await.unwrap().into_owned();
    settle().await;
    fleet.advance(20.0);
    stage.http.close_gate();
    stage.http.push(Reply::token("t-2", 1000));
    source.reject(&token);
    stage.http.arrivals(2).await;
    let newcomer = ask(&fleet.process().1);
    settle().await;
    assert!(!newcomer.is_finished(), "it must not get the rejected one");
    stage.http.open_gate();
    assert_eq!(newcomer.await.unwrap().unwrap(), "t-2");
}

#[tokio::test]
async fn a_fetch_by_hand_that_joins_a_look_in_the_store_asks_the_vendor_all_the_same() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (first, source) = fleet.process();
    first.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    settle().await;
    let (second, source) = fleet.process();
    second.http.push(Reply::token("t-2", 1000));
    fleet.store.set(Fault::Slow(seconds(0.05)));
    let looking = ask(&source);
    settle().await;
    let by_hand = tokio::spawn({
        let source = source.clone();
        async move {
            let token = source.fetch().await?;
            Ok::<_, biped_core::Error>(token.expose_secret().to_owned())
        }
    });
    second.pass(1.0).await;
    assert_eq!(by_hand.await.unwrap().unwrap(), "t-2");
    assert_eq!(looking.await.unwrap().unwrap(), "t-2");
}

#[tokio::test]
async fn a_token_from_the_store_does_not_make_a_refused_secret_right() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (first, _) = fleet.process();
    first.http.push(Reply::token("t-1", 1000));
    text(&first.tenant(1)).await;
    settle().await;
    let (second, _) = fleet.process();
    second
        .http
        .answer_with(|_, _| Reply::error(401, "invalid_client"));
    failure(&second.tenant(2)).await;
    fleet.advance(60.0);
    assert_eq!(text(&second.tenant(1)).await, "t-1", "the probe finds it");
    for number in 3..20 {
        failure(&second.tenant(number)).await;
    }
    assert_eq!(second.http.count(), 1);
}

#[tokio::test]
async fn a_token_from_the_store_ends_the_refusal_of_a_secret_that_has_changed() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    let tenant = |stage: &Stage, number: i64| {
        let provider = TestProvider::default().secret(SecretRef::file(&path));
        let request = TokenRequest::new().param("tenant", number);
        stage.manager.source(Arc::new(provider), request)
    };
    std::fs::write(&path, "old").unwrap();
    let [(first, _), (second, _)] = [fleet.process(), fleet.process()];
    second
        .http
        .answer_with(|_, _| Reply::error(401, "invalid_client"));
    failure(&tenant(&second, 1)).await;
    std::fs::write(&path, "new").unwrap();
    first.http.answer_with(|_, _| Reply::token("t", 1000));
    for number in 1..=5 {
        text(&tenant(&first, number)).await;
        settle().await;
    }
    fleet.advance(1.0);
    for number in 1..=5 {
        assert_eq!(text(&tenant(&second, number)).await, "t", "{number}");
    }
    assert_eq!(second.http.count(), 1);
}

#[test]
fn what_was_rejected_is_told_to_the_store_though_a_flight_ended_in_the_middle_of_it() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (stage, source) = fleet.process();
    stage
        .http
        .answer_with(|number, _| Reply::token(&format!("t-{number}"), 1000));
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    let first = runtime();
    first.block_on(async {
        let token = source.token().await.unwrap().into_owned();
        settle().await;
        fleet.advance(20.0);
        fleet.store.take_calls();
        fleet.store.set(Fault::Slow(seconds(3600.0)));
        source.reject(&token);
        settle().await;
    });
    assert_eq!(fleet.store.take_calls(), ["forget"]);
    drop(first);
    fleet.store.set(Fault::None);
    assert_eq!(runtime().block_on(text(&source)), "t-2");
    assert_eq!(fleet.store.take_calls()[0], "forget");
}

/// A provider whose tokens need a secret beside them, read when a token is taken in.
#[derive(Debug)]
struct Signing(TestProvider, [SecretRef; 1]);

#[async_trait]
impl Provider for Signing {
    fn id(&self) -> &ProviderId {
        self.0.id()
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        self.0.fetch(request, cx).await
    }

    fn attach_secrets(&self) -> &[SecretRef] {
        &self.1
    }
}

#[cfg(unix)]
#[tokio::test]
async fn who_wants_a_token_anew_is_not_given_one_that_a_flight_was_taking_from_the_store() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (first, source) = fleet.process();
    first.http.push(Reply::token("t-1", 1000));
    assert_eq!(text(&source).await, "t-1");
    settle().await;

    let directory = tempfile::TempDir::new().unwrap();
    let (reading, gate) = (
        directory.path().join("reading"),
        directory.path().join("gate"),
    );
    let script = format!(
        "touch {}; until [ -e {} ]; do :; done; echo the-key",
        reading.display(),
        gate.display()
    );
    let key = SecretRef::command(["sh", "-c", &script]);
    let second = Stage::sharing(&fleet.clock, &fleet.store);
    let provider = Signing(TestProvider::default(), [key]);
    let source = second
        .manager
        .source(Arc::new(provider), TokenRequest::new());
    second.http.push(Reply::token("t-2", 1000));
    let early = ask(&source);
    while !reading.exists() {
        tokio::task::yield_now().await;
    }
    let late = tokio::spawn(async move {
        let token = source.fetch().await.unwrap();
        token.expose_secret().to_owned()
    });
    settle().await;
    std::fs::write(&gate, "").unwrap();
    assert_eq!(early.await.unwrap().unwrap(), "t-1");
    assert_eq!(late.await.unwrap(), "t-2");
}

#[tokio::test]
async fn what_a_failed_holder_wrote_is_cut_and_escaped_like_a_vendors_words() {
    let _limit = biped_testing::TimeLimit::start();
    let words = format!("\u{1b}[2J{}", "x".repeat(10_000));
    let why = serde_json::json!({
        "kind": "unavailable", "message": words, "remedy": words, "client": false,
        "vendor": { "status": 503, "code": words, "reason": words, "message": words, "uri": words },
    });
    let fleet = Fleet::new();
    fleet.store.set(Fault::Claims(Claim::CoolingDown {
        left: seconds(60.0),
        why: why.to_string().into_bytes(),
    }));
    let error = failure(&fleet.process().1).await;
    assert_eq!(error.vendor().unwrap().status, Some(503));
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains('\u{1b}'));
    assert!(shown.len() < 20_000, "{}", shown.len());
}

/// A process of the fleet whose endpoint gets four requests a minute.
fn slow_process(fleet: &Fleet) -> Stage {
    let settings = Settings::default().fetches_per_minute(Some(4));
    Stage::sharing_with(&fleet.clock, &fleet.store, settings)
}

#[tokio::test]
async fn waiting_for_anothers_lease_uses_up_no_rate() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (holder, other) = fleet.process();
    holder.http.close_gate();
    holder.http.push(Reply::token("t-1", 1000));
    let fetching = ask(&other);
    holder.http.arrivals(1).await;
    let stage = slow_process(&fleet);
    stage.http.answer_with(|_, _| Reply::token("t-2", 1000));
    let waiting = ask(&stage.source());
    stage.pass(1.0).await;
    assert!(!waiting.is_finished());
    holder.http.open_gate();
    stage.pass(0.3).await;
    assert!(waiting.is_finished(), "the token is in the store");
    assert_eq!(waiting.await.unwrap().unwrap(), "t-1");
    fetching.await.unwrap().unwrap();
    // Nor does another key wait for a turn that was not used.
    let next = ask(&stage.tenant(1));
    settle().await;
    assert!(next.is_finished());
    assert_eq!(next.await.unwrap().unwrap(), "t-2");
    assert_eq!(stage.http.count(), 1);
}

#[tokio::test]
async fn a_turn_that_is_not_used_goes_to_the_next_at_once() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let stage = slow_process(&fleet);
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    let source = stage.source();
    let key = source.store_key().await.unwrap();
    let claimed = fleet.store.inner.lease(&key, seconds(5.0), None).await;
    claimed.unwrap();
    // The first has the turn while it asks the store for the lease, and the second waits for the next.
    fleet.store.set(Fault::Slow(seconds(0.05)));
    let callers = [ask(&source), ask(&stage.tenant(1))];
    stage.pass(1.0).await;
    assert!(callers[1].is_finished());
    assert_eq!(stage.http.count(), 1);
    callers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_manager_takes_over_what_the_store_was_not_told_of() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let (old, source) = fleet.process();
    old.http.push(Reply::token("leaked", 3600));
    assert_eq!(text(&source).await, "leaked");
    settle().await;
    fleet.store.set(Fault::Down);
    source.forget().await.unwrap_err();

    let (new, source) = fleet.process();
    new.manager.adopt(&old.manager);
    fleet.store.set(Fault::None);
    fleet.advance(10.0);
    new.http.push(Reply::token("next", 3600));
    assert_eq!(text(&source).await, "next");
    settle().await;
    assert_eq!(text(&fleet.process().1).await, "next");
}
