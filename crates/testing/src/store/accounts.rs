//! [`TestAccounts`]: a store with a durable half that fails when a test wants it to.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use biped_core::{
    AccountKey, Claim, Clock, DurableEntry, DurableLock, DurableStore, Generation, IdentityKey,
    Lease, LeaseFailure, Revision, StoreError, StoredToken, TokenKey, TokenStore, async_trait,
};
use biped_memory::MemoryStore;

/// A token store in memory with a durable half, which counts as sealed. It fails on demand, and stops a
/// process at any of its operations as if it had been killed there.
///
/// Each handle is a process: [`process`](Self::process) returns another one with the same tokens and
/// credentials.
#[derive(Clone)]
pub struct TestAccounts {
    clock: Arc<dyn Clock>,
    tokens: Arc<MemoryStore>,
    /// How long it takes to read a token.
    latency: Duration,
    /// How many reads of tokens fail.
    failing: usize,
    failed: Arc<AtomicUsize>,
    accounts: Arc<Mutex<Accounts>>,
    /// The number of this process.
    process: usize,
    is_down: Arc<AtomicBool>,
    /// How many halves of operations are done before the process is stopped.
    left: Arc<AtomicUsize>,
    is_stopped: Arc<AtomicBool>,
}

#[derive(Default)]
struct Accounts {
    entries: HashMap<AccountKey, (u64, Vec<u8>)>,
    locks: HashMap<AccountKey, usize>,
    processes: usize,
}

#[derive(Debug)]
struct Lock {
    store: TestAccounts,
    key: AccountKey,
}

impl TestAccounts {
    /// A store without tokens and credentials, on this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            tokens: Arc::new(MemoryStore::with_clock(clock.clone())),
            clock,
            latency: Duration::ZERO,
            failing: 0,
            failed: Arc::default(),
            accounts: Arc::default(),
            process: 0,
            is_down: Arc::default(),
            left: Arc::new(AtomicUsize::new(usize::MAX)),
            is_stopped: Arc::default(),
        }
    }

    /// Sets how long it takes to read a token. Default: no time.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Sets how many reads of tokens fail in each process. Default: none.
    #[must_use]
    pub fn failing(mut self, reads: usize) -> Self {
        self.failing = reads;
        self
    }

    /// The same store, as another process uses it.
    #[must_use]
    pub fn process(&self) -> Self {
        let process = {
            let mut accounts = self.accounts();
            accounts.processes += 1;
            accounts.processes
        };
        Self {
            process,
            is_down: Arc::default(),
            left: Arc::new(AtomicUsize::new(usize::MAX)),
            is_stopped: Arc::default(),
            clock: self.clock.clone(),
            tokens: self.tokens.clone(),
            latency: self.latency,
            failing: self.failing,
            failed: Arc::default(),
            accounts: self.accounts.clone(),
        }
    }

    /// Lets all operations on credentials of this process fail from now on, or succeed again.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Stops this process after so many halves of operations on credentials: an odd number stops it
    /// after an operation had its effect and before its caller hears of it. Its locks end then, as the
    /// operating system ends those of a process that was killed.
    pub fn stop_after(&self, halves: usize) {
        self.left.store(halves, Ordering::SeqCst);
    }

    /// Whether this process was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Whether an entry of an account contains this text.
    #[must_use]
    pub fn holds(&self, text: &str) -> bool {
        let accounts = self.accounts();
        let mut all = accounts.entries.values();
        all.any(|(_, bytes)| String::from_utf8_lossy(bytes).contains(text))
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One half of an operation: before its effect, or after it.
    async fn half(&self) {
        let stops = self.left.load(Ordering::SeqCst) == 0;
        if stops {
            self.is_stopped.store(true, Ordering::SeqCst);
            {
                let mut accounts = self.accounts();
                let own = self.process;
                accounts.locks.retain(|_, holder| *holder != own);
            }
            return std::future::pending().await;
        }
        let left = self.left.load(Ordering::SeqCst);
        if left != usize::MAX {
            self.left.store(left - 1, Ordering::SeqCst);
        }
    }

    async fn operation<T>(&self, act: impl FnOnce(&mut Accounts) -> T) -> Result<T, StoreError> {
        self.half().await;
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::new("the store is down"));
        }
        let done = act(&mut self.accounts());
        self.half().await;
        Ok(done)
    }
}

#[async_trait]
impl DurableStore for TestAccounts {
    async fn load(&self, key: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
        let load = |accounts: &mut Accounts| {
            let entry = accounts.entries.get(key);
            entry.map(|(revision, bytes)| DurableEntry {
                revision: Revision(*revision),
                bytes: bytes.clone(),
            })
        };
        self.operation(load).await
    }

    async fn swap(
        &self,
        key: &AccountKey,
        expected: Revision,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let swap = |accounts: &mut Accounts| {
            let present = accounts
                .entries
                .get(key)
                .map_or(0, |(revision, _)| *revision);
            let is_expected = present == expected.0;
            if is_expected {
                let entry = (expected.0 + 1, bytes.to_vec());
                accounts.entries.insert(*key, entry);
            }
            is_expected
        };
        self.operation(swap).await
    }

    async fn lock(&self, key: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
        let process = self.process;
        let take = |accounts: &mut Accounts| {
            let is_free = !accounts.locks.contains_key(key);
            if is_free {
                accounts.locks.insert(*key, process);
            }
            is_free
        };
        let is_taken = self.operation(take).await?;
        let (store, key) = (self.clone(), *key);
        Ok(is_taken.then(|| Box::new(Lock { store, key }) as Box<dyn DurableLock>))
    }

    fn is_sealed(&self) -> bool {
        true
    }
}

#[async_trait]
impl DurableLock for Lock {
    fn lease(&self) -> Option<Duration> {
        None
    }

    async fn unlock(self: Box<Self>) {
        self.store.half().await;
        self.store.accounts().locks.remove(&self.key);
        self.store.half().await;
    }
}

#[async_trait]
impl TokenStore for TestAccounts {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        if !self.latency.is_zero() {
            self.clock.sleep(self.latency).await;
        }
        if self.failed.fetch_add(1, Ordering::SeqCst) < self.failing {
            return Err(StoreError::new("the store is down"));
        }
        self.tokens.get(key).await
    }

    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        self.tokens.put(key, token, lease).await
    }

    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.tokens.forget(key, through, keep).await
    }

    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        self.tokens.lease(key, ttl, renew).await
    }

    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        self.tokens.release(key, lease, failed).await
    }

    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        self.tokens.changed(key, after).await
    }

    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        self.tokens.identity_key().await
    }

    fn durable(&self) -> Option<Arc<dyn DurableStore>> {
        Some(Arc::new(self.clone()))
    }
}

impl fmt::Debug for TestAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestAccounts")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}
