//! [`Files`]: a process's use of the directory: its threads, its leases, and changes under the lock.

use std::{
    collections::HashMap,
    fs::File,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use biped_core::{Clock, Lease, LeaseId, Now, StoreError, TokenKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    directory::{Directory, Guard},
    entry::{Entry, Span},
};

/// A process's use of the directory.
pub(crate) struct Files {
    pub(crate) directory: Directory,
    pub(crate) clock: Arc<dyn Clock>,
    /// Set when the directory was found to be private.
    prepared: OnceLock<()>,
    /// The leases of this process, with their locks.
    held: Mutex<HashMap<LeaseId, (File, Duration)>>,
    /// The time of the next sweep, in milliseconds on the monotonic clock.
    pub(crate) sweep_at: AtomicU64,
    /// Bounds the threads that work on files.
    pub(crate) operations: Arc<Semaphore>,
}

/// How long a change waits for the lock before it assumes that the holder hangs. A holder reads and
/// writes one small file, but a busy machine may not run it for a while. A caller with less time than
/// that drops the change.
pub(crate) const HANGS: Duration = Duration::from_secs(5);
/// How many operations have a thread at a time. A file system that does not respond keeps those threads,
/// and a runtime's threads are limited.
pub(crate) const OPERATIONS: usize = 16;
/// How long after its expiry a lease that was not released is removed. Its holder was cut off.
const LEFT_BEHIND: Duration = Duration::from_secs(10 * 60);

impl Files {
    pub(crate) fn new(directory: Directory, clock: Arc<dyn Clock>) -> Self {
        Self {
            directory,
            clock,
            prepared: OnceLock::new(),
            held: Mutex::default(),
            sweep_at: AtomicU64::new(0),
            operations: Arc::new(Semaphore::new(OPERATIONS)),
        }
    }

    /// Waits until another thread is allowed. Callers poll and don't queue: in a queue, a caller whose
    /// runtime stands still would keep the permit that it is given.
    pub(crate) async fn room(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let end = self.clock.now().mono.saturating_add(HANGS);
        loop {
            if let Ok(permit) = self.operations.clone().try_acquire_owned() {
                return Ok(permit);
            }
            if self.clock.now().mono >= end {
                return Err(StoreError::new(format!(
                    "the directory {} does not respond; check the file system it is on",
                    self.directory.path().display()
                )));
            }
            self.clock.sleep(a_moment()).await;
        }
    }

    /// Runs work on files on a thread that may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = self.room().await?;
        tokio::task::spawn_blocking(move || {
            // Held until the thread ends, even if the caller is gone.
            let _permit = permit;
            work()
        })
        .await
        .unwrap_or_else(|_| Err(StoreError::new("the work on the files was interrupted")))
    }
}

enum Attempt<T, A> {
    Done(T),
    /// Another process or thread has the lock.
    Busy(A),
}

/// The lock and the time of a change.
pub(crate) struct Change<'a> {
    pub(crate) files: &'a Files,
    guard: &'a Guard,
    pub(crate) now: Now,
}

impl Files {
    /// Makes the directory and checks it, at the first use, and again if it was removed or opened to others
    /// since.
    pub(crate) fn prepare(&self) -> Result<(), StoreError> {
        if self.prepared.get().is_none() || !self.directory.is_safe() {
            self.directory.prepare()?;
            let _ = self.prepared.set(());
        }
        Ok(())
    }

    /// Runs `act` while the directory is locked.
    pub(crate) async fn alone<T, A>(self: &Arc<Self>, act: A) -> Result<T, StoreError>
    where
        T: Send + 'static,
        A: FnOnce(&Self, &Guard) -> Result<T, StoreError> + Send + 'static,
    {
        let deadline = self.clock.now().mono.saturating_add(HANGS);
        let mut act = act;
        loop {
            let files = self.clone();
            let work = move || files.try_alone(act);
            match self.blocking(work).await? {
                Attempt::Done(value) => return Ok(value),
                Attempt::Busy(again) => act = again,
            }
            if self.clock.now().mono >= deadline {
                return Err(StoreError::new(format!(
                    "the directory {} is locked by another process; try again, or end that process",
                    self.directory.path().display()
                )));
            }
            self.clock.sleep(a_moment()).await;
        }
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

    pub(crate) fn change<T, A>(
        &self,
        guard: &Guard,
        key: &TokenKey,
        act: A,
    ) -> Result<T, StoreError>
    where
        A: FnOnce(&mut Entry, &Change<'_>) -> Result<T, StoreError>,
    {
        let now = self.clock.now();
        let mut entry = match self.directory.read(key, now.wall)? {
            Some(entry) => entry,
            None => {
                self.directory.set_aside(guard, key)?;
                Entry::default()
            }
        };
        self.tidy(&mut entry, &now);
        let change = Change {
            files: self,
            guard,
            now,
        };
        let before = entry.write();
        let (held, leased) = (entry.held(), entry.lease.map(|(lease, _)| lease.id));
        let value = act(&mut entry, &change)?;
        if entry.write() != before
            && let Err(error) = self.directory.write(guard, key, &entry, now.wall)
        {
            // If the disk is full, a lease that its caller does not get is released,
            if let Some((lease, _)) = entry.lease.filter(|(lease, _)| Some(lease.id) != leased) {
                change.give_back(&mut entry, &lease);
            }
            // and a token that should be forgotten is removed.
            if entry.held() < held {
                self.directory.remove(guard, key);
            }
            return Err(error);
        }
        Ok(value)
    }

    /// Drops what has expired, and the lease of a process that died.
    pub(crate) fn tidy(&self, entry: &mut Entry, now: &Now) {
        entry.tidy(now.wall);
        if let Some((lease, _)) = &entry.lease
            && !self.held().contains_key(&lease.id)
            && !self.directory.is_alive(lease.id)
        {
            self.directory.give_back(lease.id);
            entry.lease = None;
        }
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, HashMap<LeaseId, (File, Duration)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change<'_> {
    /// Removes what was set aside of a key: it may hold a token.
    pub(crate) fn remove_aside(&self, key: &TokenKey) {
        self.files.directory.remove_aside(self.guard, key);
    }

    pub(crate) fn span(&self, length: Duration) -> Span {
        Span::new(self.now.wall, length)
    }

    pub(crate) fn left(&self, span: &Span) -> Duration {
        span.left(self.now.wall).unwrap_or_default()
    }

    pub(crate) fn grant(&self, entry: &mut Entry, ttl: Duration) -> Result<Lease, StoreError> {
        let newest = entry.newest.max(entry.held()).max(entry.forgotten());
        entry.newest = newest.next(self.now.wall);
        let lease = Lease {
            id: LeaseId(fastrand::u128(..)),
            generation: entry.newest,
        };
        let file = self.files.directory.take(self.guard, lease.id)?;
        self.hold(lease.id, file, ttl);
        entry.lease = Some((lease, self.span(ttl)));
        Ok(lease)
    }

    fn hold(&self, id: LeaseId, file: File, ttl: Duration) {
        let end = self.now.mono.saturating_add(ttl);
        let mut held = self.files.held();
        held.retain(|id, (_, end)| {
            let is_left_behind = end.saturating_add(LEFT_BEHIND) < self.now.mono;
            if is_left_behind {
                self.files.directory.give_back(*id);
            }
            !is_left_behind
        });
        held.insert(id, (file, end));
    }

    /// Releases the lease if it is the entry's. Returns whether it was.
    pub(crate) fn give_back(&self, entry: &mut Entry, lease: &Lease) -> bool {
        let given = entry.lease.take_if(|(held, _)| held.id == lease.id);
        self.files.held().remove(&lease.id);
        if given.is_some() {
            self.files.directory.give_back(lease.id);
        }
        given.is_some()
    }
}

/// How long to wait before another try for the lock. The time is random, so that waiting processes don't
/// collide again.
fn a_moment() -> Duration {
    Duration::from_micros(fastrand::u64(500..5_000))
}
