//! The store of an account, its vendor, and the processes that use both.

use std::{fmt, future::pending};

use biped_core::{
    AccountKey, DurableEntry, DurableLock, DurableStore, Generation, Lease, Revision, StoreError,
    StoredToken, TokenKey,
};
use shuttle::future::yield_now;

use super::*;

/// The lease of stores that have one.
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// The vendor and the store of one account.
#[derive(Debug)]
pub(super) struct World {
    pub(super) clock: Arc<ModelClock>,
    /// How long a lock lasts; `None` if it ends with its owner.
    pub(super) lease: Option<Duration>,
    /// Whether the vendor answers the latest replaced credential again.
    pub(super) has_grace: bool,
    pub(super) facts: Mutex<Facts>,
}

#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) entry: Option<(u64, Vec<u8>)>,
    /// The number of the latest credential that was stored.
    pub(super) stored: usize,
    /// Who has the lock, and until when.
    pub(super) lock: Option<(usize, Option<Duration>)>,
    pub(super) dead: HashSet<usize>,
    /// Which owners pause until when.
    pub(super) pauses: Vec<(usize, Duration)>,
    pub(super) owners: usize,
    /// The number of the credential that is good.
    pub(super) current: usize,
    pub(super) is_revoked: bool,
    /// Whether an answer was lost that replaced the credential.
    pub(super) is_lost: bool,
    /// Which request loses its answer.
    pub(super) loses: Option<usize>,
    pub(super) requests: usize,
    /// Whose requests are on their way.
    pub(super) on_the_wire: HashSet<usize>,
}

impl World {
    pub(super) fn new(lease: Option<Duration>, has_grace: bool) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::default(),
            lease,
            has_grace,
            facts: Mutex::default(),
        })
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    /// Lets time pass until `is_over`: to the end of the next pause, once no owner has more to do before it
    /// than to pause, and to the end of a dead owner's lease. No living owner outlasts its own.
    pub(super) async fn pass(&self, is_over: impl Fn() -> bool) {
        while !is_over() {
            if let Some(wait) = self.wait() {
                self.clock.advance(wait);
            }
            yield_now().await;
        }
    }

    fn wait(&self) -> Option<Duration> {
        let now = self.clock.now().mono;
        let facts = self.facts();
        let next = facts.pauses.iter().map(|(_, until)| *until).min()?;
        let next = next.checked_sub(now).filter(|left| !left.is_zero())?;
        let Some((owner, until)) = facts.lock else {
            return Some(next);
        };
        let left = until.unwrap_or_default().saturating_sub(now);
        let is_pausing = facts.pauses.iter().any(|(pausing, _)| *pausing == owner);
        match facts.dead.contains(&owner) {
            true => Some(next.max(left)),
            false => is_pausing.then_some(next),
        }
    }
}

/// A process, which ends where it is to be killed.
pub(super) struct Process {
    pub(super) world: Arc<World>,
    pub(super) number: usize,
    pub(super) runtime: Handle,
    pub(super) left: AtomicUsize,
}

/// How long a sleep is that is no limit.
const PAUSE: Duration = Duration::from_secs(1);

/// The world's clock, which tells who pauses.
impl Clock for Process {
    fn now(&self) -> Now {
        self.world.clock.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let sleep = self.world.clock.sleep(duration);
        if duration > PAUSE {
            return sleep;
        }
        let until = self.now().mono + duration;
        let pause = Pause {
            world: self.world.clone(),
            of: (self.number, until),
        };
        self.world.facts().pauses.push(pause.of);
        Box::pin(async move {
            let _pause = pause;
            sleep.await;
        })
    }
}

pub(super) struct Pause {
    world: Arc<World>,
    of: (usize, Duration),
}

impl Drop for Pause {
    fn drop(&mut self) {
        let pauses = &mut self.world.facts().pauses;
        let at = pauses.iter().position(|pause| *pause == self.of).unwrap();
        pauses.swap_remove(at);
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({})", self.number)
    }
}

impl Process {
    /// A point where others may go first, and where the process may be killed.
    pub(super) async fn point(&self) {
        elsewhere().await;
        if self.left.load(SeqCst) == 0 {
            self.world.facts().die(self.number, self.world.lease);
            self.runtime.end();
            return pending().await;
        }
        self.left.fetch_sub(1, SeqCst);
    }

    async fn operation<T>(&self, act: impl FnOnce(&mut Facts) -> T) -> Result<T, StoreError> {
        self.point().await;
        let done = act(&mut self.world.facts());
        self.point().await;
        Ok(done)
    }
}

impl Facts {
    fn die(&mut self, owner: usize, lease: Option<Duration>) {
        self.dead.insert(owner);
        // The operating system ends the locks of a process that is gone.
        if lease.is_none() && self.lock.is_some_and(|(holder, _)| holder == owner) {
            self.lock = None;
        }
        self.is_lost |= self.current > self.stored;
    }

    /// The vendor reads a credential, and replaces it.
    pub(super) fn replace(&mut self, number: usize, has_grace: bool) -> bool {
        let is_retry = has_grace && number + 1 == self.current;
        self.is_revoked |= !(number == self.current || is_retry);
        if !self.is_revoked {
            self.current = number + 1;
        }
        !self.is_revoked
    }
}

pub(super) fn credential(text: &str) -> Option<usize> {
    text.strip_prefix("R-")?.parse().ok()
}

#[async_trait]
impl DurableStore for Process {
    async fn load(&self, _: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
        let entry = self.operation(|facts| facts.entry.clone()).await?;
        Ok(entry.map(|(revision, bytes)| DurableEntry {
            revision: Revision(revision),
            bytes,
        }))
    }

    async fn swap(
        &self,
        _: &AccountKey,
        expected: Revision,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let written: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let number = credential(written["token"].as_str().unwrap());
        let swap = |facts: &mut Facts| {
            if facts.entry.as_ref().map_or(0, |(revision, _)| *revision) != expected.0 {
                return false;
            }
            if let Some(number) = number {
                let before = facts.stored;
                assert!(number >= before, "R-{before} was lost to R-{number}");
                facts.stored = number;
            }
            facts.entry = Some((expected.0 + 1, bytes.to_vec()));
            true
        };
        self.operation(swap).await
    }

    async fn lock(&self, _: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
        let (now, lease) = (self.world.clock.now().mono, self.world.lease);
        let take = |facts: &mut Facts| {
            let is_free = match facts.lock {
                None => true,
                Some((_, until)) => until.is_some_and(|until| until <= now),
            };
            if is_free {
                facts.lock = Some((self.number, lease.map(|lease| now + lease)));
            }
            is_free
        };
        self.point().await;
        let is_taken = take(&mut self.world.facts());
        let lock = is_taken.then(|| Lock {
            world: self.world.clone(),
            owner: self.number,
        });
        self.point().await;
        Ok(lock.map(|lock| Box::new(lock) as Box<dyn DurableLock>))
    }

    fn is_sealed(&self) -> bool {
        true
    }
}

#[derive(Debug)]
pub(super) struct Lock {
    world: Arc<World>,
    owner: usize,
}

#[async_trait]
impl DurableLock for Lock {
    fn lease(&self) -> Option<Duration> {
        self.world.lease
    }

    async fn unlock(self: Box<Self>) {
        elsewhere().await;
        self.end();
        elsewhere().await;
    }
}

impl Lock {
    fn end(&self) {
        let mut facts = self.world.facts();
        if facts.lock.is_some_and(|(owner, _)| owner == self.owner) {
            facts.lock = None;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.world.lease.is_none() {
            self.end();
        }
    }
}

/// A store that keeps the account, and no tokens.
#[derive(Debug)]
pub(super) struct AccountsOnly(pub(super) Arc<Process>);

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
