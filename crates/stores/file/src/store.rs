//! [`FileStore`]: a directory of tokens.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use biped_core::{
    Claim, Clock, Error, Generation, IdentityKey, Lease, LeaseFailure, LeaseId, Now, StoreError,
    StoredToken, SystemClock, TokenKey, TokenStore,
};
use etcetera::BaseStrategy;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    directory::{Directory, Guard},
    entry::{Entry, Span},
};

/// A store that keeps each token in a file of its own, in a private directory
/// ([what is in there](crate)).
///
/// Leases are kept among the processes of one host: one that dies gives its lease back at once, one
/// that hangs when its time is over. A change waits for the changes of others, which take no longer
/// than a file takes to be written, and fails where somebody keeps it waiting for 5 s.
///
/// ```
/// use biped_file::FileStore;
///
/// let store = FileStore::new("/var/lib/exporter/tokens");
/// # let _ = store;
/// ```
#[derive(Clone)]
pub struct FileStore(Arc<Inner>);

struct Inner {
    directory: Directory,
    clock: Arc<dyn Clock>,
    /// Whether the directory was found to be private.
    prepared: OnceLock<()>,
    /// The leases of this process. Their locks go with it.
    held: Mutex<HashMap<LeaseId, (File, Duration)>>,
    /// When to sweep next, in milliseconds on the monotonic clock.
    sweep_at: AtomicU64,
    /// The right to have a thread at the files.
    operations: Arc<Semaphore>,
}

/// How long a change waits for others to be done with the files before it takes the holder of the
/// lock for one that hangs. Each holder reads and writes one small file, but a busy machine may not
/// let it run for a while. A caller with less time than that drops the change.
const HANGS: Duration = Duration::from_secs(5);
/// How many operations have a thread at a time: a file system that does not respond keeps them, and
/// a runtime has only so many.
const OPERATIONS: usize = 16;
/// How often those look who wait for a token.
const POLL: Duration = Duration::from_millis(40);
/// How often what is over is removed.
const SWEEP: Duration = Duration::from_secs(60 * 60);
/// What a `put` takes for that, which is a part of the time that it has …
const SWEEPING: Duration = Duration::from_millis(25);
/// … and when the next goes on, where there was more.
const SWEEP_ON: Duration = Duration::from_secs(1);
/// A lease that nobody gave back, long after it was over: its holder was cut off.
const LEFT_BEHIND: Duration = Duration::from_secs(10 * 60);

impl FileStore {
    /// A store in this directory, which is made when it is first needed.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::with_clock(directory, Arc::new(SystemClock))
    }

    /// A store in this directory, on this clock.
    #[must_use]
    pub fn with_clock(directory: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self::of(Directory::new(directory.into()), clock)
    }

    fn of(directory: Directory, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            directory,
            clock,
            prepared: OnceLock::new(),
            held: Mutex::default(),
            sweep_at: AtomicU64::new(0),
            operations: Arc::new(Semaphore::new(OPERATIONS)),
        }))
    }

    /// A store in the directory that the platform has for a user's state: on Linux
    /// `$XDG_STATE_HOME/biped`, which is `~/.local/state/biped` where that is not set. Should others
    /// be able to enter it, that is put right.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) where there is no home directory.
    pub fn in_state_directory() -> Result<Self, Error> {
        let base = etcetera::choose_base_strategy().map_err(|_| {
            Error::configuration("there is no home directory to keep tokens in")
                .with_remedy("name a directory ([store] path), or use another store")
        })?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir());
        let directory = Directory::own(state.join("biped"));
        Ok(Self::of(directory, Arc::new(SystemClock)))
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.0.directory.path()
    }

    /// Removes files of what is over, and answers how many. Once an hour, and when a process stores
    /// its first token, a `put` does some of it by the way.
    ///
    /// # Errors
    /// Where the directory can't be read.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let inner = self.0.clone();
        let work = move || {
            inner.prepare()?;
            let swept = inner.directory.sweep(inner.clock.now().wall, || true)?;
            Ok(swept.removed)
        };
        self.0.blocking(work).await
    }

    /// Sweeps for a moment, where it is time to. Within the `put`, since a command ends after it.
    async fn sweep_now_and_then(&self) {
        let now = self.0.clock.now();
        let sweep_at = |time: Duration| millis(now.mono.saturating_add(time));
        let due = self.0.sweep_at.load(Ordering::Relaxed);
        let swap = |due, next| {
            let at = &self.0.sweep_at;
            at.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if due > millis(now.mono) || !swap(due, sweep_at(SWEEP)) {
            return;
        }
        let inner = self.0.clone();
        let end = now.mono.saturating_add(SWEEPING);
        let swept = self.0.blocking(move || {
            let in_time = || inner.clock.now().mono < end;
            inner.directory.sweep(now.wall, in_time)
        });
        if swept.await.is_ok_and(|swept| !swept.all) {
            swap(sweep_at(SWEEP), sweep_at(SWEEP_ON));
        }
    }

    /// Changes an entry, with nobody else at the files.
    async fn change<T, A>(&self, key: &TokenKey, act: A) -> Result<T, StoreError>
    where
        T: Send + 'static,
        A: FnOnce(&mut Entry, &Desk<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let key = *key;
        self.alone(move |inner, guard| inner.change(guard, &key, act))
            .await
    }

    /// Does something with nobody else at the files.
    async fn alone<T, A>(&self, act: A) -> Result<T, StoreError>
    where
        T: Send + 'static,
        A: FnOnce(&Inner, &Guard) -> Result<T, StoreError> + Send + 'static,
    {
        let clock = &self.0.clock;
        let deadline = clock.now().mono.saturating_add(HANGS);
        let mut act = act;
        loop {
            let inner = self.0.clone();
            let work = move || inner.try_alone(act);
            match self.0.blocking(work).await? {
                Attempt::Done(value) => return Ok(value),
                Attempt::Busy(again) => act = again,
            }
            if clock.now().mono >= deadline {
                return Err(StoreError::new(format!(
                    "the directory {} is locked by another process",
                    self.directory().display()
                )));
            }
            clock.sleep(a_moment()).await;
        }
    }

    /// The entry as it is now, without waiting for anybody; `None` where the file is no entry.
    async fn peek(&self, key: &TokenKey) -> Result<Option<Entry>, StoreError> {
        let (inner, key) = (self.0.clone(), *key);
        let work = move || {
            inner.prepare()?;
            let now = inner.clock.now().wall;
            let entry = inner.directory.read(&key, now)?;
            Ok(entry.map(|mut entry| {
                inner.tidy(&mut entry, &inner.clock.now());
                entry
            }))
        };
        self.0.blocking(work).await
    }
}

impl Inner {
    /// Waits until there may be one more thread. Who waits stands in no queue: one whose runtime
    /// nobody drives would keep what it was given there.
    async fn room(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let end = self.clock.now().mono.saturating_add(HANGS);
        loop {
            if let Ok(permit) = self.operations.clone().try_acquire_owned() {
                return Ok(permit);
            }
            if self.clock.now().mono >= end {
                return Err(StoreError::new(format!(
                    "the directory {} does not respond",
                    self.directory.path().display()
                )));
            }
            self.clock.sleep(a_moment()).await;
        }
    }

    /// Does work on the files, where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = self.room().await?;
        tokio::task::spawn_blocking(move || {
            // Kept for as long as the thread is, whoever waits for it.
            let _permit = permit;
            work()
        })
        .await
        .unwrap_or_else(|_| Err(StoreError::new("the work on the files was interrupted")))
    }
}

enum Attempt<T, A> {
    Done(T),
    /// Somebody else is at the files.
    Busy(A),
}

/// What a change needs beside the entry.
struct Desk<'a> {
    inner: &'a Inner,
    guard: &'a Guard,
    now: Now,
}

impl Inner {
    fn prepare(&self) -> Result<(), StoreError> {
        if self.prepared.get().is_none() {
            self.directory.prepare()?;
            let _ = self.prepared.set(());
        }
        Ok(())
    }

    fn try_alone<T, A>(&self, act: A) -> Result<Attempt<T, A>, StoreError>
    where
        A: FnOnce(&Self, &Guard) -> Result<T, StoreError>,
    {
        self.prepare()?;
        let Some(guard) = self.directory.lock()? else {
            return Ok(Attempt::Busy(act));
        };
        act(self, &guard).map(Attempt::Done)
    }

    fn change<T, A>(&self, guard: &Guard, key: &TokenKey, act: A) -> Result<T, StoreError>
    where
        A: FnOnce(&mut Entry, &Desk<'_>) -> Result<T, StoreError>,
    {
        let now = self.clock.now();
        let mut entry = match self.directory.read(key, now.wall)? {
            Some(entry) => entry,
            None => {
                self.directory.set_aside(guard, key, now.wall)?;
                Entry::default()
            }
        };
        self.tidy(&mut entry, &now);
        let desk = Desk {
            inner: self,
            guard,
            now,
        };
        let before = entry.write();
        let (held, leased) = (entry.held(), entry.lease.map(|(lease, _)| lease.id));
        let value = act(&mut entry, &desk)?;
        if entry.write() != before
            && let Err(error) = self.directory.write(guard, key, &entry, now.wall)
        {
            // A disk that is full keeps neither a lease that nobody got …
            if let Some((lease, _)) = entry.lease.filter(|(lease, _)| Some(lease.id) != leased) {
                desk.give_back(&mut entry, &lease);
            }
            // … nor a token that was to be forgotten.
            if entry.held() < held {
                self.directory.remove(guard, key);
            }
            return Err(error);
        }
        Ok(value)
    }

    /// Drops what is over, and the lease of a process that died.
    fn tidy(&self, entry: &mut Entry, now: &Now) {
        entry.tidy(now.wall);
        if let Some((lease, _)) = &entry.lease
            && !self.held().contains_key(&lease.id)
            && !self.directory.is_alive(lease.id)
        {
            self.directory.give_back(lease.id);
            entry.lease = None;
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<LeaseId, (File, Duration)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk<'_> {
    fn span(&self, length: Duration) -> Span {
        Span::new(self.now.wall, length)
    }

    fn left(&self, span: &Span) -> Duration {
        span.left(self.now.wall).unwrap_or_default()
    }

    fn grant(&self, entry: &mut Entry, ttl: Duration) -> Result<Lease, StoreError> {
        let newest = entry.newest.max(entry.held()).max(entry.forgotten());
        entry.newest = newest.next(self.now.wall);
        let lease = Lease {
            id: LeaseId(fastrand::u128(..)),
            generation: entry.newest,
        };
        let file = self.inner.directory.take(self.guard, lease.id)?;
        self.hold(lease.id, file, ttl);
        entry.lease = Some((lease, self.span(ttl)));
        Ok(lease)
    }

    fn hold(&self, id: LeaseId, file: File, ttl: Duration) {
        let end = self.now.mono.saturating_add(ttl);
        let mut held = self.inner.held();
        held.retain(|id, (_, end)| {
            let is_left_behind = end.saturating_add(LEFT_BEHIND) < self.now.mono;
            if is_left_behind {
                self.inner.directory.give_back(*id);
            }
            !is_left_behind
        });
        held.insert(id, (file, end));
    }

    /// Ends the lease, if it is this one.
    fn give_back(&self, entry: &mut Entry, lease: &Lease) -> bool {
        let given = entry.lease.take_if(|(held, _)| held.id == lease.id);
        self.inner.held().remove(&lease.id);
        if given.is_some() {
            self.inner.directory.give_back(lease.id);
        }
        given.is_some()
    }
}

#[async_trait]
impl TokenStore for FileStore {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        let Some(entry) = self.peek(key).await? else {
            // What is no entry is set aside by a change.
            self.change(key, |_, _| Ok(())).await?;
            return Ok(None);
        };
        Ok(entry.token.map(|(token, _)| token))
    }

    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        let (token, lease) = (token.clone(), lease.copied());
        let stored = self.change(key, move |entry, desk| {
            if let Some(lease) = &lease {
                desk.give_back(entry, lease);
            }
            if token.generation <= entry.held().max(entry.forgotten()) {
                return Ok(false);
            }
            entry.newest = entry.newest.max(token.generation);
            entry.failure = None;
            let span = desk.span(token.keep);
            entry.token = Some((token, span));
            Ok(true)
        });
        let stored = stored.await?;
        self.sweep_now_and_then().await;
        Ok(stored)
    }

    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.change(key, move |entry, desk| {
            let until = desk.now.wall.after(keep);
            let (before, earlier) = entry.forgotten.unwrap_or((through, until));
            entry.forgotten = Some((before.max(through), earlier.max(until)));
            entry.newest = entry.newest.max(through);
            entry
                .token
                .take_if(|(token, _)| token.generation <= through);
            Ok(())
        })
        .await
    }

    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        let renew = renew.copied();
        self.change(key, move |entry, desk| {
            let taken = |left| Ok(Claim::Taken { left });
            match (&mut entry.lease, renew) {
                (Some((held, span)), Some(mine)) if held.id == mine.id => {
                    *span = desk.span(ttl);
                    if let Some((_, end)) = desk.inner.held().get_mut(&mine.id) {
                        *end = desk.now.mono.saturating_add(ttl);
                    }
                    return Ok(Claim::Granted(*held));
                }
                (Some((_, span)), _) => return taken(desk.left(span)),
                (None, Some(_)) => return taken(Duration::ZERO),
                (None, None) => {}
            }
            if let Some((why, span)) = &entry.failure {
                return Ok(Claim::CoolingDown {
                    left: desk.left(span),
                    why: why.clone(),
                });
            }
            desk.grant(entry, ttl).map(Claim::Granted)
        })
        .await
    }

    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        let lease = *lease;
        self.change(key, move |entry, desk| {
            if desk.give_back(entry, &lease) {
                entry.failure = failed.map(|failed| (failed.why, desk.span(failed.cool_down)));
            }
            Ok(())
        })
        .await
    }

    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        loop {
            let entry = self.peek(key).await?.unwrap_or_default();
            if entry.held() > after || entry.lease.is_none() {
                return Ok(());
            }
            self.0.clock.sleep(POLL).await;
        }
    }

    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        // Who only looks whether that can be told at once makes no directory.
        tokio::task::yield_now().await;
        let inner = self.0.clone();
        let known = move || {
            inner.prepare()?;
            inner.directory.identity()
        };
        if let Some(key) = self.0.blocking(known).await? {
            return Ok(Some(key));
        }
        self.alone(|inner, guard| match inner.directory.identity()? {
            // Another was faster.
            Some(key) => Ok(Some(key)),
            None => {
                let now = inner.clock.now().wall;
                inner.directory.make_identity(guard, now).map(Some)
            }
        })
        .await
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("directory", &self.directory())
            .finish_non_exhaustive()
    }
}

/// How long those wait who find others at the files: each another time, so that they don't meet again.
fn a_moment() -> Duration {
    Duration::from_micros(fastrand::u64(500..5_000))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::mpsc, task::Poll};

    use biped_testing::ManualClock;

    use super::*;

    #[tokio::test]
    async fn files_that_do_not_respond_keep_no_more_than_so_many_threads() {
        let _limit = biped_testing::TimeLimit::start();
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new());
        let store = FileStore::with_clock(directory.path().join("tokens"), clock.clone());
        let key = TokenKey::from_bytes([7; 32]);
        let (mut gates, mut hung) = (Vec::new(), Vec::new());
        for _ in 0..OPERATIONS {
            let (gate, at_gate) = mpsc::channel::<()>();
            gates.push(gate);
            let inner = store.0.clone();
            hung.push(tokio::spawn(async move {
                inner.blocking(move || Ok(at_gate.recv().is_ok())).await
            }));
        }
        while store.0.operations.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        // Whoever has gone away again has left a thread there all the same.
        for hung in &hung {
            hung.abort();
        }
        let get = tokio::spawn({
            let store = store.clone();
            async move { store.get(&key).await.map(|token| token.is_none()) }
        });
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(HANGS);
        let error = get.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("does not respond"), "{error}");

        // Nobody drives these any more, and they keep nothing from those who come after them.
        let mut standing: Vec<_> = (0..OPERATIONS).map(|_| store.get(&key)).collect();
        for get in &mut standing {
            assert!(
                poll_fn(|cx| Poll::Ready(get.as_mut().poll(cx)))
                    .await
                    .is_pending()
            );
        }
        drop(gates);
        while store.0.operations.available_permits() < OPERATIONS {
            tokio::task::yield_now().await;
        }
        assert!(store.get(&key).await.unwrap().is_none());
    }
}
