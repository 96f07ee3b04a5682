//! What can happen between the processes of a fleet, in any order: never two holders of a lease,
//! never an older token over a newer one, never a rejected token served.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use biped_core::async_trait;
use biped_core::{
    Claim, Clock, Error, ExposeSecret, Generation, HttpClient, IdentityKey, Lease, LeaseFailure,
    StoreError, StoredToken, TokenKey, TokenRequest, TokenStore,
};
use biped_engine::{Rejection, TokenManager, TokenSource};
use biped_memory::MemoryStore;
use biped_testing::{ManualClock, TestProvider, settle};
use bytes::Bytes;
use proptest::prelude::*;

fn on_a_runtime(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(work);
}

/// The protocol itself: single operations of single processes, in any order.
mod protocol {
    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Lease(usize),
        Renew(usize),
        /// The vendor answered; the token isn't put yet.
        Fetch(usize),
        Put(usize),
        Release(usize, bool),
        Get,
        /// Somebody saw this token, counted from the newest, rejected.
        Reject(usize),
        Crash(usize),
        Pass(u64),
    }

    const PROCESSES: usize = 3;
    const TTL: Duration = Duration::from_secs(5);
    const KEY: TokenKey = TokenKey::from_bytes([3; 32]);

    fn step() -> impl Strategy<Value = Step> {
        let process = 0..PROCESSES;
        prop_oneof![
            4 => process.clone().prop_map(Step::Lease),
            1 => process.clone().prop_map(Step::Renew),
            3 => process.clone().prop_map(Step::Fetch),
            3 => process.clone().prop_map(Step::Put),
            1 => (process.clone(), any::<bool>()).prop_map(|(of, failed)| Step::Release(of, failed)),
            3 => Just(Step::Get),
            1 => (0..3usize).prop_map(Step::Reject),
            1 => process.prop_map(Step::Crash),
            2 => (0..4_000u64).prop_map(Step::Pass),
        ]
    }

    #[derive(Default)]
    struct Process {
        lease: Option<(Lease, Duration)>,
        fetched: Vec<StoredToken>,
    }

    #[derive(Default)]
    struct Seen {
        newest_lease: Generation,
        newest_got: Generation,
        rejected: Generation,
        issued: Vec<Generation>,
    }

    async fn take(
        step: Step,
        store: &dyn TokenStore,
        clock: &ManualClock,
        processes: &mut [Process],
        seen: &mut Seen,
    ) {
        let now = clock.now().mono;
        match step {
            Step::Lease(at) => {
                if let Claim::Granted(lease) = store.lease(&KEY, TTL, None).await.unwrap() {
                    for other in &*processes {
                        let valid = other.lease.is_some_and(|(_, until)| now < until);
                        assert!(!valid, "two holders");
                    }
                    assert!(lease.generation > seen.newest_lease, "a lease goes back");
                    seen.newest_lease = lease.generation;
                    processes[at].lease = Some((lease, now + TTL));
                }
            }
            Step::Renew(at) => {
                let Some((lease, _)) = processes[at].lease else {
                    return;
                };
                let claim = store.lease(&KEY, TTL, Some(&lease)).await.unwrap();
                processes[at].lease = match claim {
                    Claim::Granted(same) => {
                        assert_eq!(same, lease);
                        Some((lease, now + TTL))
                    }
                    _ => None,
                };
                let valid =
                    |process: &&Process| process.lease.is_some_and(|(_, until)| now < until);
                assert!(processes.iter().filter(valid).count() <= 1, "two holders");
            }
            Step::Fetch(at) => {
                let Some((lease, _)) = processes[at].lease else {
                    return;
                };
                seen.issued.push(lease.generation);
                processes[at].fetched.push(StoredToken {
                    generation: lease.generation,
                    keep: Duration::from_secs(60),
                    bytes: lease.generation.0.to_be_bytes().to_vec(),
                });
            }
            Step::Put(at) => {
                let Some(token) = processes[at].fetched.pop() else {
                    return;
                };
                let lease = processes[at].lease.take().map(|(lease, _)| lease);
                store.put(&KEY, &token, lease.as_ref()).await.unwrap();
            }
            Step::Release(at, failed) => {
                let Some((lease, _)) = processes[at].lease.take() else {
                    return;
                };
                let failed = failed.then(|| LeaseFailure {
                    cool_down: Duration::from_secs(1),
                    why: b"down".to_vec(),
                });
                store.release(&KEY, &lease, failed).await.unwrap();
            }
            Step::Get => {
                let Some(got) = store.get(&KEY).await.unwrap() else {
                    return;
                };
                assert!(
                    got.generation >= seen.newest_got,
                    "an older token over a newer"
                );
                assert!(got.generation > seen.rejected, "a rejected token is back");
                assert_eq!(
                    got.bytes,
                    got.generation.0.to_be_bytes(),
                    "another token's bytes"
                );
                seen.newest_got = got.generation;
            }
            Step::Reject(back) => {
                let Some(through) = seen.issued.iter().rev().nth(back).copied() else {
                    return;
                };
                let day = Duration::from_secs(24 * 60 * 60);
                store.forget(&KEY, through, day).await.unwrap();
                seen.rejected = seen.rejected.max(through);
            }
            // What it had under way is gone; what it left in the store stays.
            Step::Crash(at) => processes[at].fetched.clear(),
            Step::Pass(millis) => clock.advance(Duration::from_millis(millis)),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_order_of_operations_breaks_the_protocol(steps in prop::collection::vec(step(), 1..80)) {
            let _limit = biped_testing::TimeLimit::start();
            on_a_runtime(async {
                let clock = Arc::new(ManualClock::new());
                let store = MemoryStore::with_clock(clock.clone());
                let mut processes: [Process; PROCESSES] = Default::default();
                let mut seen = Seen::default();
                for step in steps {
                    take(step, &store, &clock, &mut processes, &mut seen).await;
                }
            });
        }
    }
}

/// Whole managers, each a process, on one store; whatever they do is interrupted at random.
mod fleet {
    use super::*;

    #[derive(Clone, Debug)]
    enum Event {
        /// Somebody in this process wants a token.
        Call(usize),
        /// An API rejected the token that this process served last.
        Reject(usize),
        /// The process is gone in the middle of what it does, and another takes its place.
        Crash(usize),
        Pass(u64),
    }

    const PROCESSES: usize = 3;

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            6 => (0..PROCESSES).prop_map(Event::Call),
            2 => (0..PROCESSES).prop_map(Event::Reject),
            1 => (0..PROCESSES).prop_map(Event::Crash),
            4 => (0..1_000u64).prop_map(Event::Pass),
            1 => (10..100u64).prop_map(|seconds| Event::Pass(seconds * 1_000)),
        ]
    }

    /// Lets others go first, a random number of times; for ever, in a process that crashed.
    #[derive(Debug)]
    struct Chance {
        random: Mutex<fastrand::Rng>,
        crashed: AtomicBool,
    }

    impl Chance {
        async fn strike(&self) {
            let turns = self.random.lock().unwrap().u32(0..8);
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            if self.crashed.load(SeqCst) {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The shared store, as one process reaches it.
    #[derive(Debug)]
    struct Reached {
        store: Arc<MemoryStore>,
        chance: Arc<Chance>,
        /// Through which generation the store was told to forget.
        told: Arc<Mutex<Generation>>,
    }

    macro_rules! reach {
        ($self:ident, $work:expr) => {{
            $self.chance.strike().await;
            let done = $work.await;
            $self.chance.strike().await;
            done
        }};
    }

    #[async_trait]
    impl TokenStore for Reached {
        async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
            reach!(self, self.store.get(key))
        }

        async fn put(
            &self,
            key: &TokenKey,
            token: &StoredToken,
            lease: Option<&Lease>,
        ) -> Result<bool, StoreError> {
            reach!(self, self.store.put(key, token, lease))
        }

        async fn forget(
            &self,
            key: &TokenKey,
            through: Generation,
            keep: Duration,
        ) -> Result<(), StoreError> {
            self.chance.strike().await;
            self.store.forget(key, through, keep).await?;
            let mut told = self.told.lock().unwrap();
            *told = through.max(*told);
            Ok(())
        }

        async fn lease(
            &self,
            key: &TokenKey,
            ttl: Duration,
            renew: Option<&Lease>,
        ) -> Result<Claim, StoreError> {
            reach!(self, self.store.lease(key, ttl, renew))
        }

        async fn release(
            &self,
            key: &TokenKey,
            lease: &Lease,
            failed: Option<LeaseFailure>,
        ) -> Result<(), StoreError> {
            reach!(self, self.store.release(key, lease, failed))
        }

        async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
            reach!(self, self.store.changed(key, after))
        }
        async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
            reach!(self, self.store.identity_key())
        }
    }

    /// The vendor, as one process reaches it.
    #[derive(Debug)]
    struct Vendor {
        chance: Arc<Chance>,
        issued: Arc<AtomicUsize>,
        asking: Arc<Mutex<BTreeMap<usize, Arc<Chance>>>>,
    }

    #[async_trait]
    impl HttpClient for Vendor {
        async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
            let number = self.issued.fetch_add(1, SeqCst);
            {
                let mut asking = self.asking.lock().unwrap();
                asking.retain(|_, chance| !chance.crashed.load(SeqCst));
                assert!(asking.is_empty(), "two processes ask the vendor at once");
                asking.insert(number, self.chance.clone());
            }
            self.chance.strike().await;
            self.chance.strike().await;
            self.asking.lock().unwrap().remove(&number);
            let body = format!(r#"{{"access_token":"t-{number}","expires_in":60}}"#);
            Ok(http::Response::new(body.into()))
        }
    }

    struct Process {
        chance: Arc<Chance>,
        source: TokenSource,
        /// What the store had been told to forget when the process started.
        told: Generation,
        rejected: Arc<Mutex<Generation>>,
        served: Arc<Mutex<Option<biped_engine::TokenRef>>>,
    }

    /// A call in a task of its own, by the process that made it.
    type Call = (Arc<Chance>, tokio::task::JoinHandle<Result<(), Error>>);

    struct World {
        clock: Arc<ManualClock>,
        store: Arc<MemoryStore>,
        told: Arc<Mutex<Generation>>,
        issued: Arc<AtomicUsize>,
        asking: Arc<Mutex<BTreeMap<usize, Arc<Chance>>>>,
        random: fastrand::Rng,
        calls: Vec<Call>,
    }

    impl World {
        fn new(seed: u64) -> Self {
            let clock = Arc::new(ManualClock::new());
            Self {
                store: Arc::new(MemoryStore::with_clock(clock.clone())),
                clock,
                told: Arc::default(),
                issued: Arc::default(),
                asking: Arc::default(),
                random: fastrand::Rng::with_seed(seed),
                calls: Vec::new(),
            }
        }

        fn start(&mut self) -> Process {
            let chance = Arc::new(Chance {
                random: Mutex::new(self.random.fork()),
                crashed: AtomicBool::new(false),
            });
            let store = Arc::new(Reached {
                store: self.store.clone(),
                chance: chance.clone(),
                told: self.told.clone(),
            });
            let vendor = Arc::new(Vendor {
                chance: chance.clone(),
                issued: self.issued.clone(),
                asking: self.asking.clone(),
            });
            let manager = TokenManager::builder(vendor)
                .clock(self.clock.clone())
                .store(store);
            let provider = Arc::new(TestProvider::default());
            Process {
                chance,
                source: manager.build().source(provider, TokenRequest::new()),
                told: *self.told.lock().unwrap(),
                rejected: Arc::default(),
                served: Arc::default(),
            }
        }

        fn call(&mut self, process: &Process) {
            let source = process.source.clone();
            let (told, served) = (process.told, process.served.clone());
            let rejected = process.rejected.clone();
            let call = tokio::spawn(async move {
                let before = *rejected.lock().unwrap();
                let token = source.token().await?;
                let generation = token.generation();
                assert!(generation > before, "a process serves what it rejected");
                assert!(
                    generation > told,
                    "what was forgotten came back from the store"
                );
                assert!(token.expose_secret().starts_with("t-"));
                *served.lock().unwrap() = Some(token);
                Ok(())
            });
            self.calls.push((process.chance.clone(), call));
        }

        fn reject(&self, process: &Process) {
            let Some(token) = process.served.lock().unwrap().take() else {
                return;
            };
            if process.source.reject(&token) == Rejection::Renewing {
                let mut rejected = process.rejected.lock().unwrap();
                *rejected = token.generation().max(*rejected);
            }
        }

        /// Time passes little by little, so that holders that live renew their leases.
        async fn pass(&self, millis: u64) {
            settle().await;
            let mut left = Duration::from_millis(millis);
            while !left.is_zero() {
                let step = left.min(Duration::from_millis(500));
                self.clock.advance(step);
                left -= step;
                settle().await;
            }
        }
    }

    async fn run(seed: u64, events: Vec<Event>) {
        let mut world = World::new(seed);
        let mut processes: Vec<_> = (0..PROCESSES).map(|_| world.start()).collect();
        let mut crashes = 0;
        for event in events {
            match event {
                Event::Call(at) => world.call(&processes[at]),
                Event::Reject(at) => world.reject(&processes[at]),
                Event::Crash(at) => {
                    processes[at].chance.crashed.store(true, SeqCst);
                    processes[at] = world.start();
                    crashes += 1;
                }
                Event::Pass(millis) => world.pass(millis).await,
            }
            tokio::task::yield_now().await;
        }
        world.pass(15_000).await;
        for (chance, call) in std::mem::take(&mut world.calls) {
            if chance.crashed.load(SeqCst) {
                call.abort();
                continue;
            }
            assert!(call.is_finished(), "a call hangs");
            // One holder that dies costs others its lease; of several in a row, some patience.
            if let Err(error) = call.await.unwrap() {
                assert!(crashes > 1 && error.is_transient(), "{error}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn no_order_of_events_breaks_a_fleet(
            seed: u64,
            events in prop::collection::vec(event(), 1..40),
        ) {
            let _limit = biped_testing::TimeLimit::start();
            on_a_runtime(run(seed, events));
        }
    }
}

/// Two versions of Biped beside each other, of which the older can't read what the newer stores.
mod rolling_deploy {
    use super::*;

    /// Writes as a later version will; reads both.
    #[derive(Debug)]
    struct Later(Arc<MemoryStore>);

    fn other(token: &StoredToken, from: &str, to: &str) -> StoredToken {
        let mut token = token.clone();
        let text = String::from_utf8(token.bytes.clone()).unwrap();
        token.bytes = text.replacen(from, to, 1).into_bytes();
        token
    }

    const OURS: &str = r#""v":1"#;
    const THEIRS: &str = r#""v":2,"news":[1]"#;

    #[async_trait]
    impl TokenStore for Later {
        async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
            let got = self.0.get(key).await?;
            Ok(got.map(|token| other(&token, THEIRS, OURS)))
        }

        async fn put(
            &self,
            key: &TokenKey,
            token: &StoredToken,
            lease: Option<&Lease>,
        ) -> Result<bool, StoreError> {
            let written = other(token, OURS, THEIRS);
            assert_ne!(written, *token, "it says which version it is");
            self.0.put(key, &written, lease).await
        }

        async fn forget(
            &self,
            key: &TokenKey,
            through: Generation,
            keep: Duration,
        ) -> Result<(), StoreError> {
            self.0.forget(key, through, keep).await
        }
        async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
            self.0.identity_key().await
        }
    }

    #[tokio::test]
    async fn an_old_and_a_new_version_serve_side_by_side() {
        let _limit = biped_testing::TimeLimit::start();
        let clock = Arc::new(ManualClock::new());
        let below = Arc::new(MemoryStore::with_clock(clock.clone()));
        let http = Arc::new(biped_testing::ScriptedHttp::new());
        http.answer_with(|number, _| biped_testing::Reply::token(&format!("t-{number}"), 1000));
        let process = |store: Arc<dyn TokenStore>| {
            let manager = TokenManager::builder(http.clone())
                .clock(clock.clone())
                .store(store);
            let provider = Arc::new(TestProvider::default());
            manager.build().source(provider, TokenRequest::new())
        };
        for round in 0..5 {
            // Every process is new: nothing but the store is between them.
            let before = http.count();
            for turn in 0..6 {
                let later: Arc<dyn TokenStore> = Arc::new(Later(below.clone()));
                let store = if turn % 2 == 0 { later } else { below.clone() };
                process(store).token().await.unwrap();
                settle().await;
            }
            let requests = http.count() - before;
            assert!(requests <= 2, "{requests} requests in round {round}");
            clock.advance(Duration::from_secs(1000));
        }
    }
}
