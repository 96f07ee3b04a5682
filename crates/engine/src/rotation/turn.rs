//! [`Turn`]: the right to use the credential of an account, among all processes.

use std::{collections::HashSet, future::Future, sync::Arc, time::Duration};

use biped_core::{
    AccountKey, Clock, DurableLock, DurableStore, Error, IdentityKey, Revision, StoreError,
};

use super::entry::Entry;
use crate::{
    flight::activity::Activity,
    sync::{Mutex, lock},
};

/// How long one operation of a store may take.
const OPERATION: Duration = Duration::from_secs(5);
/// How often a lock that is taken is asked for again.
const POLL: Duration = Duration::from_millis(100);

/// What a manager's refreshes share.
pub(crate) struct Rotations {
    durable: Option<Arc<dyn DurableStore>>,
    /// The accounts whose credential this process uses.
    busy: Arc<Mutex<HashSet<AccountKey>>>,
    /// The credentials that are held because the store is down.
    pub(crate) held: Arc<Activity>,
    /// This process, as an entry names it.
    pub(super) who: String,
}

/// The right to use the credential of an account, until it is given back.
pub(super) struct Turn<'a> {
    durable: Arc<dyn DurableStore>,
    clock: &'a dyn Clock,
    key: AccountKey,
    lock: Box<dyn DurableLock>,
    /// When the lock was asked for, on the monotonic clock.
    since: Duration,
    _busy: Busy,
}

/// Keeps other refreshes of this process away, also when the lock's lease is over.
struct Busy {
    key: AccountKey,
    all: Arc<Mutex<HashSet<AccountKey>>>,
}

/// The error for an entry that other processes changed whenever this one wanted to.
pub(super) fn contended() -> Error {
    Error::store("other processes keep changing the account's entry").with_remedy("try again")
}

impl Rotations {
    pub(crate) fn new(durable: Option<Arc<dyn DurableStore>>) -> Self {
        Self {
            durable,
            busy: Arc::default(),
            held: Arc::default(),
            who: format!("{}-{:016x}", std::process::id(), fastrand::u64(..)),
        }
    }

    /// The store, if it may keep credentials.
    pub(super) fn durable(&self) -> Result<&Arc<dyn DurableStore>, Error> {
        let Some(durable) = &self.durable else {
            let error = "a refresh token that changes with each use needs a store that outlives \
                         the process";
            return Err(Error::configuration(error)
                .with_remedy("set [store] kind = \"file\" or \"postgres\", and seal"));
        };
        if !durable.is_sealed() {
            let error = "a refresh token that changes with each use needs a sealed store";
            return Err(Error::configuration(error).with_remedy("set [store] seal"));
        }
        Ok(durable)
    }

    /// Waits for the right to use an account's credential.
    pub(super) async fn turn<'a>(
        &self,
        key: AccountKey,
        patience: Duration,
        clock: &'a dyn Clock,
    ) -> Result<Turn<'a>, Error> {
        let durable = self.durable()?;
        let start = clock.now().mono;
        loop {
            let since = clock.now().mono;
            if let Some(busy) = self.enter(key)
                && let Some(lock) = bounded(clock, durable.lock(&key)).await?
            {
                return Ok(Turn {
                    durable: durable.clone(),
                    clock,
                    key,
                    lock,
                    since,
                    _busy: busy,
                });
            }
            if clock.now().mono.saturating_sub(start) >= patience {
                let seconds = patience.as_secs();
                return Err(Error::store(format!(
                    "the account's refresh token was in use for {seconds} s by another refresh"
                )));
            }
            clock.sleep(POLL).await;
        }
    }

    fn enter(&self, key: AccountKey) -> Option<Busy> {
        let all = self.busy.clone();
        let is_new = lock(&all).insert(key);
        is_new.then_some(Busy { key, all })
    }

    /// Reads an account's entry without its lock.
    pub(super) async fn peek(
        &self,
        key: &AccountKey,
        clock: &dyn Clock,
    ) -> Result<Option<Entry>, Error> {
        let loaded = load(&**self.durable()?, key, clock).await?;
        Ok(loaded.map(|(_, entry)| entry))
    }
}

impl Turn<'_> {
    /// Reads the entry and its revision.
    pub(super) async fn load(&self) -> Result<(Revision, Option<Entry>), StoreError> {
        let loaded = load(&*self.durable, &self.key, self.clock).await?;
        Ok(match loaded {
            Some((revision, entry)) => (revision, Some(entry)),
            None => (Revision::NONE, None),
        })
    }

    /// Writes the entry, if the store has this revision.
    pub(super) async fn swap(&self, at: Revision, entry: &Entry) -> Result<bool, StoreError> {
        let bytes = entry.encode();
        bounded(self.clock, self.durable.swap(&self.key, at, &bytes)).await
    }

    /// Whether the lock lasts longer than this.
    pub(super) fn lasts(&self, time: Duration) -> bool {
        let passed = self.clock.now().mono.saturating_sub(self.since);
        let lease = self.lock.lease();
        lease.is_none_or(|lease| lease.saturating_sub(passed) > time)
    }

    /// Gives the right back. A lock that can't be given back ends with its lease.
    pub(super) async fn end(self) {
        let unlock = async {
            self.lock.unlock().await;
            Ok(())
        };
        let _ = bounded(self.clock, unlock).await;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.key);
    }
}

/// A key for digests.
pub(super) fn salt() -> Result<IdentityKey, Error> {
    Ok(IdentityKey::random()?)
}

async fn load(
    durable: &dyn DurableStore,
    key: &AccountKey,
    clock: &dyn Clock,
) -> Result<Option<(Revision, Entry)>, StoreError> {
    let Some(stored) = bounded(clock, durable.load(key)).await? else {
        return Ok(None);
    };
    let entry = Entry::decode(&stored.bytes).ok_or_else(|| {
        StoreError::new("the stored credential is of another version; update Biped")
    })?;
    Ok(Some((stored.revision, entry)))
}

async fn bounded<T>(
    clock: &dyn Clock,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::select! {
        biased;
        done = work => done,
        () = clock.sleep(OPERATION) => {
            let seconds = OPERATION.as_secs();
            Err(StoreError::new(format!("the store did not respond within {seconds} s")))
        }
    }
}
