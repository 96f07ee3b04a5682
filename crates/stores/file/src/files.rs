//! [`Files`]: the directory as a process uses it.

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

/// The directory as a process uses it: which threads are at the files, and which leases it holds.
pub(crate) struct Files {
    pub(crate) directory: Directory,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether the directory was found to be private.
    prepared: OnceLock<()>,
    /// The leases of this process. Their locks go with it.
    held: Mutex<HashMap<LeaseId, (File, Duration)>>,
    /// When to sweep next, in milliseconds on the monotonic clock.
    pub(crate) sweep_at: AtomicU64,
    /// The right to have a thread at the files.
    pub(crate) operations: Arc<Semaphore>,
}

/// How long a change waits for others to be done with the files before it takes the holder of the
/// lock for one that hangs. Each holder reads and writes one small file, but a busy machine may not
/// let it run for a while. A caller with less time than that drops the change.
pub(crate) const HANGS: Duration = Duration::from_secs(5);
/// How many operations have a thread at a time: a file system that does not respond keeps them, and
/// a runtime has only so many.
pub(crate) const OPERATIONS: usize = 16;
/// A lease that nobody gave back, long after it was over: its holder was cut off.
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

    /// Waits until there may be one more thread. Who waits stands in no queue: one whose runtime
    /// nobody drives would keep what it was given there.
    pub(crate) async fn room(&self) -> Result<OwnedSemaphorePermit, StoreError> {
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
    pub(crate) async fn blocking<T: Send + 'static>(
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

pub(crate) enum Attempt<T, A> {
    Done(T),
    /// Somebody else is at the files.
    Busy(A),
}

/// What a change needs beside the entry.
pub(crate) struct Change<'a> {
    pub(crate) files: &'a Files,
    guard: &'a Guard,
    pub(crate) now: Now,
}

impl Files {
    pub(crate) fn prepare(&self) -> Result<(), StoreError> {
        if self.prepared.get().is_none() {
            self.directory.prepare()?;
            let _ = self.prepared.set(());
        }
        Ok(())
    }

    pub(crate) fn try_alone<T, A>(&self, act: A) -> Result<Attempt<T, A>, StoreError>
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
                self.directory.set_aside(guard, key, now.wall)?;
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
            // A disk that is full keeps neither a lease that nobody got …
            if let Some((lease, _)) = entry.lease.filter(|(lease, _)| Some(lease.id) != leased) {
                change.give_back(&mut entry, &lease);
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

    pub(crate) fn hold(&self, id: LeaseId, file: File, ttl: Duration) {
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

    /// Ends the lease, if it is this one.
    pub(crate) fn give_back(&self, entry: &mut Entry, lease: &Lease) -> bool {
        let given = entry.lease.take_if(|(held, _)| held.id == lease.id);
        self.files.held().remove(&lease.id);
        if given.is_some() {
            self.files.directory.give_back(lease.id);
        }
        given.is_some()
    }
}

/// How long those wait who find others at the files: each another time, so that they don't meet again.
pub(crate) fn a_moment() -> Duration {
    Duration::from_micros(fastrand::u64(500..5_000))
}
