//! What is counted: the names, types and labels of metrics are a contract.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use biped_core::{
    Claim, Generation, IdentityKey, Lease, LeaseFailure, StoreError, StoredToken, TokenKey,
    TokenStore, async_trait,
};
use biped_engine::TokenSource;
use biped_memory::MemoryStore;
use biped_testing::{ManualClock, Reply, TestProvider, settle};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use crate::stage::{Stage, ask, failure, seconds, text};

/// Every series that was written to, with its type, and how often.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<BTreeMap<String, u64>>>);

struct Series(Ledger, String);

impl Series {
    fn of(ledger: &Ledger, kind: &str, key: &Key) -> Arc<Self> {
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let name = format!("{kind} {}{{{}}}", key.name(), labels.join(","));
        Arc::new(Self(ledger.clone(), name))
    }

    fn add(&self, count: u64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += count;
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.add(value);
    }

    fn absolute(&self, _: u64) {
        self.add(1_000_000);
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        assert!(value.is_finite() && value >= 0.0, "{value}");
        self.add(1);
    }
}

impl Recorder for Ledger {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Series::of(self, "counter", key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Series::of(self, "gauge", key).add(1);
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Series::of(self, "histogram", key))
    }
}

/// Everything that was counted while `play` was on.
fn counted(play: impl Future<Output = ()>) -> Vec<String> {
    let ledger = Ledger::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    metrics::with_local_recorder(&ledger, || runtime.block_on(play));
    let series = ledger.0.lock().unwrap();
    let lines = series.iter().map(|(name, count)| format!("{name} {count}"));
    lines.collect()
}

/// A tenant of the shop: what must be in no label.
fn source(stage: &Stage) -> TokenSource {
    let provider = TestProvider::default().named("shop");
    stage
        .source_of(provider)
        .param("tenant", 7)
        .with_scopes("orders")
}

#[test]
fn flights_waits_and_rejections_are_counted_by_outcome() {
    let _limit = biped_testing::TimeLimit::start();
    let lines = counted(async {
        let stage = Stage::new();
        let source = source(&stage);
        stage.http.push(Reply::token("t-1", 1000));
        let first = source.token().await.unwrap().into_owned();
        stage.advance(860.0);
        stage.http.push(Reply::status(503));
        text(&source).await;
        settle().await;
        stage.advance(10.0);
        stage.http.push(Reply::token("t-2", 1000));
        stage.http.close_gate();
        source.reject(&first);
        source.reject(&first);
        let waiting = [ask(&source), ask(&source)];
        settle().await;
        stage.http.open_gate();
        for caller in waiting {
            caller.await.unwrap().unwrap();
        }
        let second = source.token().await.unwrap().into_owned();
        source.reject(&second);
        stage.advance(1000.0);
        for (reply, wait) in [
            (Reply::error(400, "invalid_scope"), 61.0),
            (Reply::json(200, "<html>"), 61.0),
            (Reply::Panic, 61.0),
            (Reply::status(429).with_header("retry-after", "60"), 61.0),
        ] {
            stage.http.push(reply);
            failure(&source).await;
            stage.advance(wait);
        }
        stage.http.answer_with(|_, _| Reply::unreachable());
        let caller = ask(&source);
        stage.pass(5.0).await;
        caller.await.unwrap().unwrap_err();
    });
    assert_eq!(
        lines,
        [
            "counter biped_fetches_total{provider=shop,outcome=internal} 1",
            "counter biped_fetches_total{provider=shop,outcome=invalid_response} 1",
            "counter biped_fetches_total{provider=shop,outcome=refused} 1",
            "counter biped_fetches_total{provider=shop,outcome=token} 2",
            "counter biped_fetches_total{provider=shop,outcome=unavailable} 2",
            "counter biped_fetches_total{provider=shop,outcome=unreachable} 1",
            "counter biped_rejections_total{provider=shop,outcome=cooling_down} 1",
            "counter biped_rejections_total{provider=shop,outcome=renewing} 1",
            "counter biped_rejections_total{provider=shop,outcome=superseded} 1",
            "counter biped_stale_served_total{provider=shop} 1",
            "counter biped_waits_total{provider=shop} 8",
            "histogram biped_remaining_life_seconds{provider=shop} 1",
        ]
    );
}

#[test]
fn a_fresh_token_is_served_without_counting() {
    let _limit = biped_testing::TimeLimit::start();
    let lines = counted(async {
        let stage = Stage::new();
        let source = source(&stage);
        stage.http.push(Reply::token("t-1", 1000));
        for _ in 0..10 {
            text(&source).await;
        }
    });
    assert_eq!(
        lines,
        [
            "counter biped_fetches_total{provider=shop,outcome=token} 1",
            "counter biped_waits_total{provider=shop} 1",
        ]
    );
}

/// A store in which one thing can go wrong.
#[derive(Debug)]
struct Store {
    inner: MemoryStore,
    broken: Mutex<&'static str>,
}

impl Store {
    fn new(clock: &Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::with_clock(clock.clone()),
            broken: Mutex::default(),
        })
    }

    fn break_down(&self, operation: &'static str) {
        *self.broken.lock().unwrap() = operation;
    }

    fn is_broken(&self, operation: &str) -> bool {
        *self.broken.lock().unwrap() == operation
    }

    fn check(&self, operation: &str) -> Result<(), StoreError> {
        if self.is_broken(operation) {
            return Err(StoreError::new("connection refused"));
        }
        Ok(())
    }
}

#[async_trait]
impl TokenStore for Store {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        self.check("get")?;
        let mut got = self.inner.get(key).await?;
        if self.is_broken("entry")
            && let Some(token) = &mut got
        {
            token.bytes.clear();
        }
        Ok(got)
    }
    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        self.check("put")?;
        self.inner.put(key, token, lease).await
    }
    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.check("forget")?;
        self.inner.forget(key, through, keep).await
    }
    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        self.check("lease")?;
        if renew.is_some() && self.is_broken("renewal") {
            let left = ttl;
            return Ok(Claim::Taken { left });
        }
        self.inner.lease(key, ttl, renew).await
    }
    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        self.check("release")?;
        self.inner.release(key, lease, failed).await
    }
    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        self.inner.changed(key, after).await
    }
    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        self.inner.identity_key().await
    }
}

/// What is counted when a process with this store gets a token, rejects it, gets another, and fails
/// to get a third.
fn counted_with(operation: &'static str) -> Vec<String> {
    counted(async {
        let clock = Arc::new(ManualClock::new());
        let store = Store::new(&clock);
        let stage = Stage::sharing(&clock, &store);
        let source = source(&stage);
        store.break_down(operation);
        stage.http.push(Reply::token("t-1", 1000));
        let token = source.token().await.unwrap().into_owned();
        settle().await;
        stage.advance(20.0);
        stage.http.push(Reply::token("t-2", 1000));
        source.reject(&token);
        text(&source).await;
        settle().await;
        stage.advance(1000.0);
        stage.http.push(Reply::error(400, "invalid_scope"));
        failure(&source).await;
        settle().await;
    })
}

#[test]
fn what_a_store_fails_to_do_is_counted_by_operation() {
    let _limit = biped_testing::TimeLimit::start();
    let flights = [
        "counter biped_fetches_total{provider=shop,outcome=refused} 1",
        "counter biped_fetches_total{provider=shop,outcome=token} 2",
        "counter biped_rejections_total{provider=shop,outcome=renewing} 1",
    ];
    let waits = "counter biped_waits_total{provider=shop} 3";
    let fault = |operation: &str, count: u64| {
        format!("counter biped_store_faults_total{{provider=shop,operation={operation}}} {count}")
    };
    for (operation, count) in [
        ("get", 3),
        ("lease", 3),
        ("put", 2),
        // It is told again with the next flight.
        ("forget", 2),
        ("release", 1),
    ] {
        let mut expected: Vec<_> = flights.map(String::from).into();
        expected.push(fault(operation, count));
        expected.push(waits.into());
        assert_eq!(counted_with(operation), expected, "{operation}");
    }
    let mut well: Vec<_> = flights.map(String::from).into();
    well.push(waits.into());
    assert_eq!(counted_with(""), well);
}

#[test]
fn an_entry_that_cannot_be_read_is_a_fault_of_get_and_one_that_can_is_counted_as_stored() {
    let _limit = biped_testing::TimeLimit::start();
    let play = |broken: &'static str| {
        counted(async move {
            let clock = Arc::new(ManualClock::new());
            let store = Store::new(&clock);
            let (first, second) = (
                Stage::sharing(&clock, &store),
                Stage::sharing(&clock, &store),
            );
            first.http.push(Reply::token("t-1", 1000));
            text(&source(&first)).await;
            settle().await;
            store.break_down(broken);
            second.http.push(Reply::token("t-2", 1000));
            text(&source(&second)).await;
        })
    };
    assert_eq!(
        play(""),
        [
            "counter biped_fetches_total{provider=shop,outcome=stored} 1",
            "counter biped_fetches_total{provider=shop,outcome=token} 1",
            "counter biped_waits_total{provider=shop} 2",
        ]
    );
    assert_eq!(
        play("entry"),
        [
            "counter biped_fetches_total{provider=shop,outcome=token} 2",
            // Before the lease is asked for, and when it is had.
            "counter biped_store_faults_total{provider=shop,operation=get} 2",
            "counter biped_waits_total{provider=shop} 2",
        ]
    );
}

#[test]
fn a_lease_that_goes_to_somebody_else_during_the_fetch_is_counted_as_lost() {
    let _limit = biped_testing::TimeLimit::start();
    let lines = counted(async {
        let clock = Arc::new(ManualClock::new());
        let store = Store::new(&clock);
        let stage = Stage::sharing(&clock, &store);
        let source = source(&stage);
        stage.http.close_gate();
        stage.http.push(Reply::token("t-1", 1000));
        let caller = ask(&source);
        stage.http.arrivals(1).await;
        settle().await;
        // Renewed once, and then somebody else has it.
        clock.advance(seconds(2.0));
        settle().await;
        store.break_down("renewal");
        clock.advance(seconds(2.0));
        settle().await;
        stage.http.open_gate();
        caller.await.unwrap().unwrap();
    });
    assert_eq!(
        lines,
        [
            "counter biped_fetches_total{provider=shop,outcome=token} 1",
            "counter biped_leases_lost_total{provider=shop} 1",
            "counter biped_waits_total{provider=shop} 1",
        ]
    );
}
