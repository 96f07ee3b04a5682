//! Processes that are killed at each step of a refresh, with a real store: SIGKILL, and what the next
//! process makes of what was left behind.
//!
//! This binary is the process as well: [`process`] refreshes once, and stands still at the step that its
//! environment names.

use std::{
    env, fmt,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use biped::{
    Biped, ErrorKind, ExposeSecret, Timestamp, TokenSource,
    file::FileStore,
    postgres::PostgresStore,
    provider::{Clock, SystemClock, async_trait},
    sealed::{SealKey, SealedStore},
    store::{
        AccountKey, DurableEntry, DurableLock, DurableStore, Generation, Lease, Revision,
        StoreError, StoredToken, TokenKey, TokenStore,
    },
};
use biped_testing::TimeLimit;

use crate::rotating_vendor::{Hold, RotatingVendor};

/// Where a process is killed, in the order of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// It has the account's lock.
    Locked,
    /// It has read the entry.
    Loaded,
    /// It has written that the vendor is being asked.
    Asking,
    /// The vendor has the request, and has not read it.
    Sent,
    /// The vendor has replaced the credential, and has not answered.
    Replaced,
    /// It has the answer.
    Answered,
    /// It has written the new credential.
    Stored,
    /// It gives the lock back.
    Unlocking,
}

const STEPS: [Step; 8] = [
    Step::Locked,
    Step::Loaded,
    Step::Asking,
    Step::Sent,
    Step::Replaced,
    Step::Answered,
    Step::Stored,
    Step::Unlocking,
];

impl Step {
    /// Where the vendor stops the process; elsewhere the process stops by itself.
    fn hold(self) -> Option<Hold> {
        match self {
            Self::Sent => Some(Hold::BeforeReplacing),
            Self::Replaced => Some(Hold::BeforeAnswering),
            _ => None,
        }
    }

    /// Whether the vendor has replaced the credential, and no store has the new one.
    fn loses_the_answer(self) -> bool {
        matches!(self, Self::Replaced | Self::Answered)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

const STORE: &str = "BIPED_KILLED_STORE";
const PORT: &str = "BIPED_KILLED_PORT";
const NAME: &str = "BIPED_KILLED_NAME";
const SEED: &str = "BIPED_KILLED_SEED";
const STEP: &str = "BIPED_KILLED_STEP";

/// For how long a process goes on asking: a lock of PostgreSQL outlives its owner by 15 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that refreshes the account's token once.
#[tokio::test]
#[ignore = "the process that the tests of this file kill"]
async fn process() {
    let Ok(store) = env::var(STORE) else { return };
    let of = |name| env::var(name).unwrap();
    let (port, name) = (of(PORT), of(NAME));
    let inner: Arc<dyn TokenStore> = match store.contains("://") {
        true => Arc::new(PostgresStore::new(&store.into()).unwrap()),
        false => Arc::new(FileStore::new(store)),
    };
    let sealed = SealedStore::new(inner, SealKey::from_bytes([7; 32]));
    let durable = Stopping {
        inner: sealed.durable().unwrap(),
        step: env::var(STEP).ok(),
        swaps: AtomicUsize::new(0),
    };
    let config = format!(
        "[providers.{name}]\nkind = 'oauth2'\ntoken_endpoint = 'http://127.0.0.1:{port}/token'\n\
         client_id = 'c'\nclient_secret = 's'\ngrant = 'refresh_token'\n"
    );
    let biped = Biped::builder()
        .without_environment()
        .toml(config)
        .store(Arc::new(AccountsOnly(Arc::new(durable))))
        .build()
        .unwrap();
    let source = biped.token_source(&name).unwrap();
    if let Ok(seed) = env::var(SEED) {
        source.seed(seed.into(), true).await.unwrap();
    }
    println!("\n{}", refreshed(&source).await);
    biped.manager().drain().await;
}

/// What comes of a refresh, as a line.
async fn refreshed(source: &TokenSource) -> String {
    let start = SystemClock.now().mono;
    loop {
        let error = match source.fetch().await {
            Ok(token) => return format!("token {}", token.expose_secret()),
            Err(error) => error,
        };
        let passed = SystemClock.now().mono - start;
        if error.kind() == ErrorKind::Refused || passed > PATIENCE {
            return format!("error {:?}: {error}", error.kind());
        }
    }
}

/// A durable store that stands still at a step.
#[derive(Debug)]
struct Stopping {
    inner: Arc<dyn DurableStore>,
    step: Option<String>,
    swaps: AtomicUsize,
}

impl Stopping {
    /// Tells that the process is at this step, and stays there, if it is to be killed there.
    async fn at(&self, step: Step) {
        if self.step.as_deref() == Some(&step.to_string()) {
            println!("\nat {step}");
            std::future::pending().await
        }
    }
}

#[async_trait]
impl DurableStore for Stopping {
    async fn load(&self, key: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
        self.at(Step::Locked).await;
        let loaded = self.inner.load(key).await;
        self.at(Step::Loaded).await;
        loaded
    }

    async fn swap(
        &self,
        key: &AccountKey,
        expected: Revision,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let is_first = self.swaps.fetch_add(1, Ordering::SeqCst) == 0;
        if !is_first {
            self.at(Step::Answered).await;
        }
        let swapped = self.inner.swap(key, expected, bytes).await;
        let done = if is_first { Step::Asking } else { Step::Stored };
        self.at(done).await;
        swapped
    }

    async fn lock(&self, key: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
        let lock = self.inner.lock(key).await?;
        let stops = self.step.as_deref() == Some(&Step::Unlocking.to_string());
        Ok(match lock {
            Some(lock) if stops => Some(Box::new(NeverUnlocked(lock))),
            lock => lock,
        })
    }

    fn is_sealed(&self) -> bool {
        self.inner.is_sealed()
    }
}

/// A lock that its process never gives back.
#[derive(Debug)]
struct NeverUnlocked(Box<dyn DurableLock>);

#[async_trait]
impl DurableLock for NeverUnlocked {
    fn lease(&self) -> Option<Duration> {
        self.0.lease()
    }

    async fn unlock(self: Box<Self>) {
        println!("\nat {}", Step::Unlocking);
        std::future::pending().await
    }
}

/// A store that keeps accounts and no tokens.
#[derive(Debug)]
struct AccountsOnly(Arc<dyn DurableStore>);

#[async_trait]
impl TokenStore for AccountsOnly {
    async fn get(&self, _: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        Ok(None)
    }

    async fn put(
        &self,
        _: &TokenKey,
        _: &StoredToken,
        _: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn forget(&self, _: &TokenKey, _: Generation, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    fn durable(&self) -> Option<Arc<dyn DurableStore>> {
        Some(self.0.clone())
    }
}

/// An account at a vendor of its own, which process after process uses.
struct Lane {
    vendor: RotatingVendor,
    store: String,
    name: String,
}

/// A process, and the lines that it prints.
struct Started {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Lane {
    fn new(store: &str, name: &str, has_grace: bool) -> Self {
        let lane = Self {
            vendor: RotatingVendor::start(has_grace),
            store: store.into(),
            name: name.into(),
        };
        assert_eq!(lane.outcome(Some("R-0")), "token t-0");
        lane
    }

    fn start(&self, step: Option<Step>, seed: Option<&str>) -> Started {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["rotation_kills::process", "--exact", "--ignored"])
            .args(["--nocapture", "--test-threads=1"])
            .env(STORE, &self.store)
            .env(PORT, self.vendor.port().to_string())
            .env(NAME, &self.name)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(step) = step {
            command.env(STEP, step.to_string());
        }
        if let Some(seed) = seed {
            command.env(SEED, seed);
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Started { child, lines }
    }

    /// What a process that is left alone comes to.
    fn outcome(&self, seed: Option<&str>) -> String {
        let mut started = self.start(None, seed);
        let outcome = started.line(&["token ", "error "]);
        started.child.wait().unwrap();
        outcome
    }

    /// Kills a process with SIGKILL at this step.
    fn kill_at(&self, step: Step) {
        let hold = step.hold();
        if let Some(hold) = hold {
            self.vendor.hold(hold);
        }
        let mut started = self.start(Some(step), None);
        match hold {
            Some(_) => self.vendor.wait_until_held(),
            None => drop(started.line(&["at "])),
        }
        started.child.kill().unwrap();
        started.child.wait().unwrap();
        self.vendor.release();
    }

    /// Kills a process at this step, lets another refresh, and says whether the account was lost.
    fn round(&self, step: Step) -> bool {
        let place = format!("{} at {step}", self.name);
        let before = self.vendor.current();
        let start = SystemClock.now().wall;
        self.kill_at(step);
        let end = SystemClock.now().wall;
        let is_lost = step.loses_the_answer() && !self.vendor.has_grace();
        let has_new = step >= Step::Replaced;
        assert_eq!(
            self.vendor.current(),
            before + u64::from(has_new),
            "{place}"
        );

        let outcome = self.outcome(None);
        let times = self.vendor.times_sent(before);
        if is_lost {
            assert!(outcome.starts_with("error Refused"), "{place}: {outcome}");
            assert_lost_between(start, end, &outcome);
            assert_eq!(times, 2, "{place}");
            // It is not sent by any other process either.
            assert!(self.outcome(None).starts_with("error Refused"), "{place}");
            assert_eq!(self.vendor.times_sent(before), 2, "{place}");
            let seed = self.vendor.consent();
            assert_eq!(
                self.outcome(Some(&format!("R-{seed}"))),
                format!("token t-{seed}")
            );
            return true;
        }
        // What was stored is sent, and nothing before it.
        let (expected, wanted) = match step {
            Step::Locked | Step::Loaded | Step::Asking => (before, 1),
            Step::Sent => (before, 2),
            Step::Replaced | Step::Answered => (before, 2),
            Step::Stored | Step::Unlocking => (before + 1, 1),
        };
        assert_eq!(outcome, format!("token t-{expected}"), "{place}");
        assert_eq!(times, wanted, "{place}");
        assert!(!self.vendor.is_revoked(), "{place}");
        false
    }
}

impl Started {
    /// The first line that begins with one of these.
    fn line(&mut self, beginnings: &[&str]) -> String {
        loop {
            let mut line = String::new();
            let length = self.lines.read_line(&mut line).unwrap();
            assert!(length > 0, "the process ended without {beginnings:?}");
            if beginnings.iter().any(|it| line.starts_with(it)) {
                return line.trim_end().to_owned();
            }
        }
    }
}

/// The error says that an answer was lost, and to which refresh.
fn assert_lost_between(start: Timestamp, end: Timestamp, outcome: &str) {
    let of = "the answer to the refresh of ";
    let told = outcome.split_once(of).map(|(_, rest)| rest);
    let told = told.and_then(|rest| rest.split_once(" was lost"));
    let told = told.unwrap_or_else(|| panic!("{outcome}")).0;
    let within = (start.unix_seconds()..=end.unix_seconds()).any(|second| {
        let of_day = second.rem_euclid(24 * 60 * 60);
        let (hours, minutes, seconds) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        told == format!("{hours:02}:{minutes:02}:{seconds:02}")
    });
    assert!(within, "{outcome}");
}

/// Plays rounds in several lanes at once, each step as often as any other, with vendors with a grace
/// period and without one. Returns how many accounts were lost with their answers.
fn play(store: &str, rounds: usize, lanes: usize) -> usize {
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes)
            .map(|number| {
                scope.spawn(move || {
                    let has_grace = number % 2 == 0;
                    let lane = Lane::new(store, &format!("crm{number}"), has_grace);
                    let of_lane = (number..rounds).step_by(lanes);
                    let steps = of_lane.map(|round| STEPS[(round / lanes + number / 2) % 8]);
                    steps.filter(|step| lane.round(*step)).count()
                })
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
    })
}

#[test]
fn a_process_that_is_killed_at_any_step_loses_no_account_but_with_its_answer() {
    let _limit = TimeLimit::start();
    let directory = tempfile::tempdir().unwrap();
    // Each step once with each vendor; of the vendor without a grace period two lose the account.
    assert_eq!(play(text(directory.path()), 16, 2), 2);
}

fn rounds() -> usize {
    let wanted = env::var("BIPED_KILL_ROUNDS").ok();
    wanted.map_or(208, |wanted| wanted.parse().unwrap())
}

#[test]
#[ignore = "takes minutes: tests/live/run rotation"]
fn hundreds_of_processes_are_killed_over_files() {
    let _limit = TimeLimit::of(Duration::from_secs(3600));
    let directory = tempfile::tempdir().unwrap();
    let lost = play(text(directory.path()), rounds(), 4);
    eprintln!(
        "file: {} kills, {lost} accounts lost with their answers",
        rounds()
    );
}

#[test]
#[ignore = "needs a PostgreSQL: tests/live/run rotation"]
fn hundreds_of_processes_are_killed_over_postgres() {
    let _limit = TimeLimit::of(Duration::from_secs(3600));
    let Ok(url) = env::var("BIPED_LIVE_POSTGRES") else {
        return;
    };
    // Each waits for the lease of the one before, so many are under way at once.
    let lost = play(&url, rounds(), 16);
    eprintln!(
        "postgres: {} kills, {lost} accounts lost with their answers",
        rounds()
    );
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
