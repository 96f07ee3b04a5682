//! [`MemoryStore`]: tokens in a map, each with its expiry.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use biped_core::{
    Claim, Clock, Generation, IdentityKey, Lease, LeaseFailure, LeaseId, Now, StoreError,
    StoredToken, SystemClock, TokenKey, TokenStore, async_trait,
};
use tokio::sync::Notify;

/// A store in memory, for several token managers of one process, and for tests.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<TokenKey, Entry>>,
    arrivals: Notify,
    identity: OnceLock<IdentityKey>,
}

#[derive(Debug, Default)]
struct Entry {
    token: Option<(StoredToken, Duration)>,
    forgotten: Option<(Generation, Duration)>,
    lease: Option<(Lease, Duration)>,
    failure: Option<(Vec<u8>, Duration)>,
    newest: Generation,
}

impl Entry {
    /// Drops what has expired. Returns whether anything is left.
    fn tidy(&mut self, now: &Now) -> bool {
        let is_over = |end: &Duration| *end <= now.mono;
        self.token.take_if(|(_, end)| is_over(end));
        self.forgotten.take_if(|(_, end)| is_over(end));
        self.lease.take_if(|(_, end)| is_over(end));
        self.failure.take_if(|(_, end)| is_over(end));
        self.token.is_some()
            || self.forgotten.is_some()
            || self.lease.is_some()
            || self.failure.is_some()
            // Until the clock has passed it, the next generation must be counted from it.
            || self.newest >= Generation(0).next(now.wall)
    }

    fn forgotten(&self) -> Generation {
        self.forgotten.map_or(Generation(0), |(through, _)| through)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store on this clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            entries: Mutex::default(),
            arrivals: Notify::new(),
            identity: OnceLock::new(),
        }
    }

    fn entry<T>(&self, key: &TokenKey, act: impl FnOnce(&mut Entry, Now) -> T) -> T {
        let now = self.clock.now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == entries.capacity() {
            // Removes what has expired before the map grows.
            entries.retain(|_, entry| entry.tidy(&now));
        }
        let entry = entries.entry(*key).or_default();
        entry.tidy(&now);
        act(entry, now)
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        Ok(self.entry(key, |entry, now| {
            let (token, end) = entry.token.as_ref()?;
            let mut token = token.clone();
            token.keep = *end - now.mono;
            Some(token)
        }))
    }

    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        let stored = self.entry(key, |entry, now| {
            if let Some(given) = lease {
                entry.lease.take_if(|(held, _)| held.id == given.id);
            }
            let newest = entry
                .token
                .as_ref()
                .map_or(Generation(0), |(held, _)| held.generation);
            if token.generation <= newest.max(entry.forgotten()) {
                return false;
            }
            entry.newest = entry.newest.max(token.generation);
            entry.failure = None;
            entry.token = Some((token.clone(), now.mono.saturating_add(token.keep)));
            true
        });
        self.arrivals.notify_waiters();
        Ok(stored)
    }

    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.entry(key, |entry, now| {
            let end = now.mono.saturating_add(keep);
            let (before, until) = entry.forgotten.unwrap_or_default();
            entry.forgotten = Some((before.max(through), until.max(end)));
            entry.newest = entry.newest.max(through);
            entry
                .token
                .take_if(|(token, _)| token.generation <= through);
        });
        self.arrivals.notify_waiters();
        Ok(())
    }

    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        Ok(self.entry(key, |entry, now| {
            let end = now.mono.saturating_add(ttl);
            match (&mut entry.lease, renew) {
                (Some((held, until)), Some(mine)) if held.id == mine.id => {
                    *until = end;
                    return Claim::Granted(*held);
                }
                (Some((_, until)), _) => {
                    return Claim::Taken {
                        left: *until - now.mono,
                    };
                }
                (None, Some(_)) => {
                    return Claim::Taken {
                        left: Duration::ZERO,
                    };
                }
                (None, None) => {}
            }
            if let Some((why, until)) = &entry.failure {
                return Claim::CoolingDown {
                    left: *until - now.mono,
                    why: why.clone(),
                };
            }
            entry.newest = entry.newest.next(now.wall);
            let lease = Lease {
                id: LeaseId(fastrand::u128(..)),
                generation: entry.newest,
            };
            entry.lease = Some((lease, end));
            Claim::Granted(lease)
        }))
    }

    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        self.entry(key, |entry, now| {
            if entry
                .lease
                .take_if(|(held, _)| held.id == lease.id)
                .is_some()
            {
                entry.failure = failed.map(|f| (f.why, now.mono.saturating_add(f.cool_down)));
            }
        });
        self.arrivals.notify_waiters();
        Ok(())
    }

    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        loop {
            let arrival = self.arrivals.notified();
            let mut arrival = pin!(arrival);
            arrival.as_mut().enable();
            let moved = self.entry(key, |entry, _| {
                entry
                    .token
                    .as_ref()
                    .is_some_and(|(token, _)| token.generation > after)
                    || entry.lease.is_none()
            });
            if moved {
                return Ok(());
            }
            arrival.await;
        }
    }

    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        if self.identity.get().is_none() {
            let key = IdentityKey::random()?;
            // If another task was faster, its key stays.
            let _ = self.identity.set(key);
        }
        Ok(self.identity.get().cloned())
    }
}
