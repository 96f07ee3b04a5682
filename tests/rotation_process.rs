//! A process that uses the credential of an account, for the tests that start it, kill it and read what it
//! prints.
//!
//! This binary is that process: [`process`] is a test, which stands still at the step that its environment
//! names.
#![allow(clippy::print_stdout)] // what the process is doing, for the test that reads it

use std::{
    env, fmt,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use biped::{
    Biped, Error, ErrorKind, ExposeSecret, TokenSource,
    client::HttpClient,
    file::FileStore,
    postgres::PostgresStore,
    provider::{Clock, SystemClock, async_trait},
    reqwest::TokenClient,
    sealed::{SealKey, SealedStore},
    store::{
        AccountKey, DurableEntry, DurableLock, DurableStore, Generation, Lease, Revision,
        StoreError, StoredToken, TokenKey, TokenStore,
    },
};
use bytes::Bytes;

use crate::rotating_vendor::Hold;

/// Where a process is killed, in the order of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
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

pub(crate) const STEPS: [Step; 8] = [
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
    pub(crate) fn hold(self) -> Option<Hold> {
        match self {
            Self::Sent => Some(Hold::BeforeReplacing),
            Self::Replaced => Some(Hold::BeforeAnswering),
            _ => None,
        }
    }

    /// Whether the vendor has replaced the credential, and no store has the new one.
    pub(crate) fn loses_the_answer(self) -> bool {
        matches!(self, Self::Replaced | Self::Answered)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

const STORE: &str = "BIPED_PROCESS_STORE";
const PROVIDER: &str = "BIPED_PROCESS_PROVIDER";
const SEED: &str = "BIPED_PROCESS_SEED";
const STEP: &str = "BIPED_PROCESS_STEP";
const FRESH: &str = "BIPED_PROCESS_FRESH";

/// For how long a process goes on asking: a lock of PostgreSQL outlives its owner by 15 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to start a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan<'a> {
    /// A directory, or the URL of a PostgreSQL.
    pub(crate) store: &'a str,
    /// The lines of the table `[providers.crm]`.
    pub(crate) provider: &'a str,
    /// What the account is seeded with first.
    pub(crate) seed: Option<&'a str>,
    /// Where it stands still.
    pub(crate) step: Option<Step>,
    /// Whether it asks the vendor whatever tokens are in the store.
    pub(crate) is_fresh: bool,
}

/// A process, and the lines that it prints.
pub(crate) struct Started {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Plan<'_> {
    pub(crate) fn start(&self) -> Started {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["rotation_process::process", "--exact", "--ignored"])
            .args(["--nocapture", "--test-threads=1"])
            .env(STORE, self.store)
            .env(PROVIDER, self.provider)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(step) = self.step {
            command.env(STEP, step.to_string());
        }
        if let Some(seed) = self.seed {
            command.env(SEED, seed);
        }
        if self.is_fresh {
            command.env(FRESH, "");
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Started { child, lines }
    }
}

impl Started {
    /// Waits until it stands still.
    pub(crate) fn wait_until_it_stands(&mut self) {
        while !self.line().starts_with("at ") {}
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The refresh tokens that it sent, and what it came to: `token …` or `error …`.
    pub(crate) fn end(mut self) -> (Vec<String>, String) {
        let mut sent = Vec::new();
        loop {
            let line = self.line();
            if let Some(token) = line.strip_prefix("sent ") {
                sent.push(token.to_owned());
            } else if line.starts_with("token ") || line.starts_with("error ") {
                self.child.wait().unwrap();
                return (sent, line);
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let length = self.lines.read_line(&mut line).unwrap();
        assert!(length > 0, "the process ended too early");
        line.trim_end().to_owned()
    }
}

#[tokio::test]
#[ignore = "the process that other tests start"]
async fn process() {
    let Ok(store) = env::var(STORE) else { return };
    let inner: Arc<dyn TokenStore> = match store.contains("://") {
        true => Arc::new(PostgresStore::new(&store.into()).unwrap()),
        false => Arc::new(FileStore::new(store)),
    };
    let sealed = SealedStore::new(inner, SealKey::from_bytes([7; 32]));
    let is_fresh = env::var(FRESH).is_ok();
    let store: Arc<dyn TokenStore> = match is_fresh {
        true => Arc::new(AccountsOnly(Arc::new(Stopping {
            inner: sealed.durable().unwrap(),
            step: env::var(STEP).ok(),
            swaps: AtomicUsize::new(0),
        }))),
        false => Arc::new(sealed),
    };
    let provider = env::var(PROVIDER).unwrap();
    let biped = Biped::builder()
        .without_environment()
        .toml(format!("[providers.crm]\n{provider}"))
        .http_client(Arc::new(Telling(TokenClient::new().unwrap())))
        .store(store)
        .build()
        .unwrap();
    let source = biped.token_source("crm").unwrap();
    if let Ok(seed) = env::var(SEED) {
        source.seed(seed.into(), true).await.unwrap();
    }
    println!("\n{}", outcome(&source, is_fresh).await);
    biped.manager().drain().await;
}

/// What comes of asking for a token, as a line.
async fn outcome(source: &TokenSource, is_fresh: bool) -> String {
    let start = SystemClock.now().mono;
    loop {
        let asked = match is_fresh {
            true => source.fetch().await,
            false => source.token().await,
        };
        let error = match asked {
            Ok(token) => return format!("token {}", token.expose_secret()),
            Err(error) => error,
        };
        let passed = SystemClock.now().mono - start;
        if error.kind() == ErrorKind::Refused || passed > PATIENCE {
            return format!("error {:?}: {error}", error.kind());
        }
    }
}

/// Prints the refresh tokens that are sent.
#[derive(Debug)]
struct Telling(TokenClient);

#[async_trait]
impl HttpClient for Telling {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        let mut fields = url::form_urlencoded::parse(request.body());
        if let Some((_, token)) = fields.find(|(name, _)| name == "refresh_token") {
            println!("\nsent {token}");
        }
        self.0.send(request).await
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
            std::future::pending::<()>().await;
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
        std::future::pending::<()>().await;
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
