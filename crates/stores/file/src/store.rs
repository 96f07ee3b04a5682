//! [`FileStore`]: a directory of tokens.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use biped_core::{
    Claim, Clock, DurableStore, Error, Generation, IdentityKey, Lease, LeaseFailure, StoreError,
    StoredToken, SystemClock, TokenKey, TokenStore,
};
use etcetera::BaseStrategy;

use crate::{
    accounts::Accounts,
    directory::{Directory, Guard},
    entry::Entry,
    files::{Change, Files},
};

/// A store that keeps each token in a file of its own, in a private directory
/// ([its files](crate)).
///
/// Leases are shared by the processes of one host. A process that dies releases its lease at once; a
/// process that hangs loses it when it expires. A change waits while another process writes a file, and
/// fails after 5 s.
///
/// ```
/// use biped_file::FileStore;
///
/// let store = FileStore::new("/var/lib/exporter/tokens");
/// # let _ = store;
/// ```
#[derive(Clone)]
pub struct FileStore(Arc<Files>);

/// How often a caller that waits for a token looks for it.
const POLL: Duration = Duration::from_millis(40);
/// How often expired files are removed.
const SWEEP: Duration = Duration::from_secs(60 * 60);
/// How long a `put` removes files, which is a part of the time that the `put` has.
const SWEEPING: Duration = Duration::from_millis(25);
/// When the next `put` goes on, if files are left.
const SWEEP_ON: Duration = Duration::from_secs(1);
impl FileStore {
    /// A store in this directory. The first use makes the directory.
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
        Self(Arc::new(Files::new(directory, clock)))
    }

    /// A store in the platform's directory for a user's state: on Linux `$XDG_STATE_HOME/biped`, by
    /// default `~/.local/state/biped`. If others can enter the directory, it is made private.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) if there is no home directory.
    pub fn in_state_directory() -> Result<Self, Error> {
        let base = etcetera::choose_base_strategy().map_err(|_| {
            Error::configuration("the home directory of this user is not known")
                .with_remedy("set a directory ([store] path), or use another store")
        })?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir());
        let directory = Directory::own(state.join("biped"));
        Ok(Self::of(directory, Arc::new(SystemClock)))
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.0.directory.path()
    }

    /// Removes expired files, and returns how many. A `put` removes some of them once an hour, and when a
    /// process stores its first token.
    ///
    /// # Errors
    /// Fails if the directory can't be read.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let inner = self.0.clone();
        let work = move || {
            inner.prepare()?;
            let swept = inner.directory.sweep(inner.clock.now().wall, || true)?;
            Ok(swept.removed)
        };
        self.0.blocking(work).await
    }

    /// Sweeps for a short time if a sweep is due. A `put` waits for it, since a command ends after that.
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

    /// Changes an entry while the directory is locked.
    async fn change<T, A>(&self, key: &TokenKey, act: A) -> Result<T, StoreError>
    where
        T: Send + 'static,
        A: FnOnce(&mut Entry, &Change<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let key = *key;
        self.alone(move |inner, guard| inner.change(guard, &key, act))
            .await
    }

    /// Runs `act` while the directory is locked.
    async fn alone<T, A>(&self, act: A) -> Result<T, StoreError>
    where
        T: Send + 'static,
        A: FnOnce(&Files, &Guard) -> Result<T, StoreError> + Send + 'static,
    {
        self.0.alone(act).await
    }

    /// Reads an entry without waiting for the lock. Returns `None` if the file is not an entry.
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

#[async_trait]
impl TokenStore for FileStore {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        let Some(entry) = self.peek(key).await? else {
            // A change sets aside a file that is not an entry.
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
        let stored = self.change(key, move |entry, change| {
            if let Some(lease) = &lease {
                change.give_back(entry, lease);
            }
            if token.generation <= entry.held().max(entry.forgotten()) {
                return Ok(false);
            }
            entry.newest = entry.newest.max(token.generation);
            entry.failure = None;
            let span = change.span(token.keep);
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
        let of = *key;
        self.change(key, move |entry, change| {
            change.remove_aside(&of);
            let until = change.now.wall.after(keep);
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
        self.change(key, move |entry, change| {
            let taken = |left| Ok(Claim::Taken { left });
            match (&mut entry.lease, renew) {
                (Some((held, span)), Some(mine)) if held.id == mine.id => {
                    *span = change.span(ttl);
                    if let Some((_, end)) = change.files.held().get_mut(&mine.id) {
                        *end = change.now.mono.saturating_add(ttl);
                    }
                    return Ok(Claim::Granted(*held));
                }
                (Some((_, span)), _) => return taken(change.left(span)),
                (None, Some(_)) => return taken(Duration::ZERO),
                (None, None) => {}
            }
            if let Some((why, span)) = &entry.failure {
                return Ok(Claim::CoolingDown {
                    left: change.left(span),
                    why: why.clone(),
                });
            }
            change.grant(entry, ttl).map(Claim::Granted)
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
        self.change(key, move |entry, change| {
            if change.give_back(entry, &lease) {
                entry.failure = failed.map(|failed| (failed.why, change.span(failed.cool_down)));
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
        // A caller that polls only once does not make the directory.
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
            // Another process was faster.
            Some(key) => Ok(Some(key)),
            None => {
                let now = inner.clock.now().wall;
                inner.directory.make_identity(guard, now).map(Some)
            }
        })
        .await
    }

    fn durable(&self) -> Option<Arc<dyn DurableStore>> {
        Some(Accounts::of(self.0.clone()))
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("directory", &self.directory())
            .finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::mpsc, task::Poll};

    use biped_testing::ManualClock;

    use super::*;
    use crate::files::{HANGS, OPERATIONS};

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
        // A caller that is gone leaves its thread behind.
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

        // Nothing drives these operations now, and they don't hold up later callers.
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
