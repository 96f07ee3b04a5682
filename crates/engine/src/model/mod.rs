//! The model check of the flight, rejection and rotation protocols: the manager itself, on primitives whose
//! every access is a point where another task may go first, in thousands of orders.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test -p biped-engine --lib --target-dir target/model
//! ```
//!
//! `MODEL_RUNS=100000` tries more orders, `SHUTTLE_RANDOM_SEED=7` others. A run that fails prints its
//! schedule, which `shuttle::replay` plays again.
//!
//! What it doesn't see: memory orderings weaker than sequential consistency, and what happens
//! within `arc_swap` and tokio.
#![allow(clippy::unwrap_used)]

mod account;
mod failures;
mod flights;
mod keys;
mod parts;
mod rejection;
mod rotation;
pub(super) mod sync;

use std::{
    collections::HashSet,
    future::{Future, poll_fn},
    panic::resume_unwind,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Poll, Waker},
    time::Duration,
};

use biped_core::{
    Clock, Error, ErrorKind, ExposeSecret, FetchContext, HttpClient, Now, Provider, ProviderId,
    Timestamp, Token, TokenRequest, TokenStore, VendorError, async_trait,
};
use biped_memory::MemoryStore;
use bytes::Bytes;
use shuttle::{
    Config, MaxSteps, Runner,
    future::JoinHandle,
    scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler},
};

use self::sync::{Handle, ProviderPanic, Step};
use crate::{CachedToken, Rejection, Settings, TokenManager, TokenSource};

/// How often a scenario is played, half of it with each kind of scheduler.
const RUNS: usize = 2000;

/// Plays a scenario in many orders: such where any task may go next, and such where one goes as
/// far as it gets, but for up to three interruptions.
fn explore<F: Future<Output = ()>>(scenario: impl Fn() -> F + Clone + Send + Sync + 'static) {
    explore_some(1, scenario);
}

/// Plays a scenario that takes long in fewer orders, divided by `share`.
fn explore_some<F: Future<Output = ()>>(
    share: usize,
    scenario: impl Fn() -> F + Clone + Send + Sync + 'static,
) {
    let wanted = std::env::var("MODEL_RUNS").ok();
    let runs = wanted.map_or(RUNS, |wanted| wanted.parse().unwrap()) / share;
    run(
        RandomScheduler::new_from_seed(1, runs / 2),
        scenario.clone(),
    );
    for depth in 2..=4 {
        let scheduler = PctScheduler::new_from_seed(1, depth, runs / 6);
        run(scheduler, scenario.clone());
    }
}

/// Plays a scenario in every order there is.
fn exhaust<F: Future<Output = ()>>(scenario: impl Fn() -> F + Send + Sync + 'static) {
    run(DfsScheduler::new(None, false), scenario);
}

fn run<F: Future<Output = ()>>(
    scheduler: impl Scheduler + 'static,
    scenario: impl Fn() -> F + Send + Sync + 'static,
) {
    let mut config = Config::new();
    config.stack_size = 0x4_0000;
    config.max_steps = MaxSteps::FailAfter(50_000);
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(move || {
        fastrand::seed(1);
        Handle::default().enter();
        shuttle::future::block_on(scenario());
    });
}

/// How much later than a warm source its token is no longer fresh.
const PAST_REFRESH: Duration = Duration::from_secs(840);

/// A manager, its vendor, and the time.
struct World {
    clock: Arc<ModelClock>,
    vendor: Arc<Vendor>,
    manager: TokenManager,
}

impl World {
    /// A vendor that always gives tokens of 1000 s.
    fn new() -> Self {
        Self::with(Settings::default(), |_| Answer::Token)
    }

    /// The same, and a store that others may be using.
    fn with_store() -> Self {
        let clock = Arc::new(ModelClock::default());
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        Self::build(clock, Some(store), Settings::default(), |_| Answer::Token)
    }

    /// `answers` says what the nth request gets.
    fn with(settings: Settings, answers: fn(usize) -> Answer) -> Self {
        Self::build(Arc::default(), None, settings, answers)
    }

    fn build(
        clock: Arc<ModelClock>,
        store: Option<Arc<dyn TokenStore>>,
        settings: Settings,
        answers: fn(usize) -> Answer,
    ) -> Self {
        let vendor = Arc::new(Vendor {
            id: ProviderId::new("model", "https://vendor.example/token", "us"),
            answers,
            asked: AtomicUsize::new(0),
            revoked: AtomicUsize::new(0),
            asking: Mutex::default(),
            at_once: AtomicUsize::new(settings.concurrent_fetches),
            arrived: Gate::default(),
            gate: Gate::default(),
        });
        let mut manager = TokenManager::builder(Arc::new(NoWire))
            .clock(clock.clone())
            .settings(settings);
        if let Some(store) = store {
            manager = manager.store(store);
        }
        Self {
            clock,
            vendor,
            manager: manager.build(),
        }
    }

    fn source(&self) -> TokenSource {
        self.manager
            .source(self.vendor.clone(), TokenRequest::new())
    }

    fn tenant(&self, number: i64) -> TokenSource {
        self.tenants()(number)
    }

    /// Makes handles to the keys of one client.
    fn tenants(&self) -> impl Fn(i64) -> TokenSource + Send + use<> {
        let (manager, vendor) = (self.manager.clone(), self.vendor.clone());
        move |number| {
            let request = TokenRequest::new().param("tenant", number);
            manager.source(vendor.clone(), request)
        }
    }

    /// A handle that has a token, fetched long enough ago for another fetch.
    async fn warm_source(&self) -> (TokenSource, Arc<CachedToken>) {
        let source = self.source();
        let token = source.token().await.unwrap().into_owned();
        self.manager.drain().await;
        self.clock.advance(Duration::from_secs(20));
        (source, token)
    }

    fn asked(&self) -> usize {
        self.vendor.asked.load(SeqCst)
    }
}

fn number(token: &Token) -> usize {
    token.expose_secret().parse().unwrap()
}

/// A task.
struct Running<T>(JoinHandle<Option<T>>);

/// Starts a task on this task's runtime.
fn spawn<F>(task: F) -> Running<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let runtime = Handle::try_current().ok().unwrap();
    Running(runtime.spawn(task).unwrap())
}

impl<T> Running<T> {
    async fn end(self) -> T {
        self.0.await.unwrap().unwrap()
    }

    fn abort(&self) {
        self.0.abort();
    }
}

async fn end_of_all<T>(tasks: impl IntoIterator<Item = Running<T>>) -> Vec<T> {
    let mut ends = Vec::new();
    for task in tasks {
        ends.push(task.end().await);
    }
    ends
}

/// Looks at the token that is served, now and then: it is never older than `oldest`, and never
/// goes back.
fn watch(source: &TokenSource, oldest: usize) -> Running<()> {
    let source = source.clone();
    spawn(async move {
        let mut newest = oldest;
        for _ in 0..3 {
            if let Some(token) = source.fresh() {
                assert!(number(&token) >= newest, "an older token over a newer one");
                newest = number(&token);
            }
            elsewhere().await;
        }
    })
}

/// Stands still until it is advanced.
#[derive(Debug, Default)]
struct ModelClock(Arc<Mutex<Time>>);

#[derive(Debug, Default)]
struct Time {
    passed: Duration,
    sleepers: Vec<(Duration, Waker)>,
}

impl ModelClock {
    fn advance(&self, by: Duration) {
        Step::default().take();
        let due: Vec<_> = {
            let mut time = lock(&self.0);
            time.passed += by;
            let now = time.passed;
            let due = time.sleepers.extract_if(.., |(until, _)| *until <= now);
            due.collect()
        };
        for (_, sleeper) in due {
            sleeper.wake();
        }
    }
}

impl Clock for ModelClock {
    fn now(&self) -> Now {
        let mono = lock(&self.0).passed;
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        Now {
            mono,
            wall: start.after(mono),
        }
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let time = self.0.clone();
        let until = self.now().mono.saturating_add(duration);
        Box::pin(poll_fn(move |cx| {
            let mut time = lock(&time);
            if until <= time.passed {
                return Poll::Ready(());
            }
            time.sleepers.push((until, cx.waker().clone()));
            Poll::Pending
        }))
    }
}

/// What a request gets.
enum Answer {
    Token,
    /// A token, when the gate opens.
    DelayedToken,
    /// A token, when the gate opens. Another caller may have asked again meanwhile.
    LostToken,
    InvalidClient,
    InvalidScope,
    /// A 429 with this `Retry-After`, in seconds.
    Later(u64),
    Panic,
}

/// Gives tokens whose text is the number of the request that they came for.
#[derive(Debug)]
struct Vendor {
    id: ProviderId,
    answers: fn(usize) -> Answer,
    asked: AtomicUsize,
    /// The number of the token that was revoked.
    revoked: AtomicUsize,
    /// The requests on the wire, and how many there may be.
    asking: Mutex<HashSet<String>>,
    at_once: AtomicUsize,
    /// A request is here.
    arrived: Gate,
    gate: Gate,
}

#[async_trait]
impl Provider for Vendor {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn revoke(&self, token: &Token, _: &FetchContext<'_>) -> Result<(), Error> {
        elsewhere().await;
        self.revoked.store(number(token), SeqCst);
        Ok(())
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let number = self.asked.fetch_add(1, SeqCst) + 1;
        let sent = cx.sent_at();
        let answer = (self.answers)(number);
        let counts = !matches!(answer, Answer::LostToken);
        let on_the_wire = counts.then(|| OnTheWire::new(self, request));
        self.arrived.open();
        elsewhere().await;
        if let Answer::DelayedToken | Answer::LostToken = answer {
            self.gate.opened().await;
        }
        drop(on_the_wire);
        match answer {
            Answer::Token | Answer::DelayedToken | Answer::LostToken => {
                Token::new(number.to_string(), sent)
                    .expires_in(Some(Duration::from_secs(1000)))
                    .build()
            }
            Answer::InvalidClient => {
                Err(Error::refused(VendorError::new(401).code("invalid_client"))
                    .refusing_client(true))
            }
            Answer::InvalidScope => {
                Err(Error::refused(VendorError::new(400).code("invalid_scope")))
            }
            Answer::Later(seconds) => Err(Error::unavailable(VendorError::new(429))
                .with_retry_after(Some(Duration::from_secs(seconds)))),
            Answer::Panic => resume_unwind(Box::new(ProviderPanic)),
        }
    }
}

/// A request that was sent and not answered yet: never two for one key.
struct OnTheWire<'a> {
    vendor: &'a Vendor,
    key: String,
}

impl<'a> OnTheWire<'a> {
    fn new(vendor: &'a Vendor, request: &TokenRequest) -> Self {
        let key = request.to_string();
        let mut asking = lock(&vendor.asking);
        assert!(asking.insert(key.clone()), "two fetches of a key at a time");
        assert!(
            asking.len() <= vendor.at_once.load(SeqCst),
            "too many fetches at a time"
        );
        drop(asking);
        Self { vendor, key }
    }
}

impl Drop for OnTheWire<'_> {
    fn drop(&mut self) {
        lock(&self.vendor.asking).remove(&self.key);
    }
}

/// Lets others go first, and wakes for nothing else.
async fn elsewhere() {
    let mut left = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut left, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[derive(Debug, Default)]
struct Gate(Mutex<(bool, Vec<Waker>)>);

impl Gate {
    fn open(&self) {
        Step::default().take();
        let waiting = {
            let mut gate = lock(&self.0);
            gate.0 = true;
            std::mem::take(&mut gate.1)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn close(&self) {
        lock(&self.0).0 = false;
    }

    async fn opened(&self) {
        poll_fn(|cx| {
            let mut gate = lock(&self.0);
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// While one task unwinds, to all others it looks as if they did.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nothing is sent: the vendor answers by itself.
#[derive(Debug)]
struct NoWire;

#[async_trait]
impl HttpClient for NoWire {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        Err(Error::internal("the model has no wire"))
    }
}
