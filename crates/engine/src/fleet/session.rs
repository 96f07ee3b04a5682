//! [`Shared`]: the store behind a manager, bounded in time and never able to fail a call.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use biped_core::{
    Claim, Clock, Error, Failure, Generation, Lease, MAX_LIFETIME, StoreError, StoredToken, Token,
    TokenKey, TokenStore,
};

use crate::{
    fleet::{format, vet},
    key::cached::CachedToken,
    settings::{LEASE, LEASE_POLL, LEAST_WAIT, MAX_RETRY_AFTER, STORE_REST, STORE_TIME, TOMBSTONE},
    telemetry,
};

/// A store, and the patience with it.
#[derive(Clone)]
pub(crate) struct Shared {
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
    /// Left alone until this moment on the monotonic clock, in nanoseconds.
    rest_until: Arc<AtomicU64>,
}

/// How often a store may wake a flight before that takes a pause each time.
const FREE_WAKES: u32 = 3;

/// The store as one flight sees it: one key, and what is left of the time for it.
pub(crate) struct Desk<'a> {
    shared: &'a Shared,
    key: TokenKey,
    provider: &'a str,
    left: Duration,
    /// The newest generation that was read.
    seen: Generation,
    /// How often it was woken while it waited.
    woken: u32,
}

/// Whether this process may fetch.
pub(crate) enum Turn {
    /// Yes, with a lease where the store gives one.
    Ours(Option<Lease>),
    /// Somebody else is at it, for so much longer at the most.
    Theirs(Duration),
    /// Somebody failed, and everybody leaves the vendor alone for so long.
    Failed(Error, Duration),
}

impl Shared {
    pub(crate) fn new(store: Arc<dyn TokenStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            rest_until: Arc::default(),
        }
    }

    pub(crate) fn desk<'a>(&'a self, key: TokenKey, provider: &'a str) -> Desk<'a> {
        Desk {
            shared: self,
            key,
            provider,
            left: STORE_TIME,
            seen: Generation(0),
            woken: 0,
        }
    }

    /// Forgets a key's tokens, and says if that failed: somebody wants to be sure.
    pub(crate) async fn forget(&self, key: &TokenKey, through: Generation) -> Result<(), Error> {
        Ok(self.store.forget(key, through, TOMBSTONE).await?)
    }

    /// Reads what is stored, expired or not; for people who want to see it.
    pub(crate) async fn peek(&self, key: &TokenKey) -> Result<Option<Token>, Error> {
        let stored = self.store.get(key).await?;
        let now = self.clock.now().wall;
        let decoded = stored.and_then(|stored| vet::decode(&stored, now));
        Ok(decoded.map(|(token, _)| token))
    }
}

impl Desk<'_> {
    /// The token stored under the key, if it is one.
    pub(crate) async fn look(&mut self) -> Option<(Token, Generation)> {
        let store = self.shared.store.clone();
        let key = self.key;
        let stored = self.bounded("get", store.get(&key)).await??;
        self.seen = self.seen.max(stored.generation);
        let token = vet::decode(&stored, self.shared.clock.now().wall);
        if token.is_none() {
            self.ignored("it can't be read");
        }
        token
    }

    /// Tells that what is stored is not used.
    pub(crate) fn ignored(&self, why: &str) {
        telemetry::stored_ignored(self.provider, why);
    }

    /// Stores a token, and gives the lease back.
    pub(crate) async fn put(&mut self, token: &CachedToken, lease: Option<&Lease>) {
        let keep = token.expires_at().map_or(MAX_LIFETIME, |expiry| {
            expiry.since(self.shared.clock.now().wall)
        });
        let mut bytes = format::encode(token);
        let bytes = std::mem::take(&mut *bytes);
        let stored = StoredToken {
            generation: token.generation(),
            keep,
            bytes,
        };
        let store = self.shared.store.clone();
        let key = self.key;
        self.left = STORE_TIME;
        self.bounded("put", store.put(&key, &stored, lease)).await;
    }

    /// Tells the store what was rejected.
    pub(crate) async fn forget(&mut self, through: Generation) -> bool {
        let store = self.shared.store.clone();
        let key = self.key;
        self.bounded("forget", store.forget(&key, through, TOMBSTONE))
            .await
            .is_some()
    }

    /// Asks whether this process may fetch.
    pub(crate) async fn claim(&mut self) -> Turn {
        let store = self.shared.store.clone();
        let key = self.key;
        let claim = self.bounded("lease", store.lease(&key, LEASE, None)).await;
        let now = self.shared.clock.now().wall;
        match claim {
            // A store that doesn't answer stops nobody.
            None => Turn::Ours(None),
            Some(Claim::Granted(lease)) if lease.generation.is_plausible(now) => {
                Turn::Ours(Some(lease))
            }
            Some(Claim::Granted(_)) => {
                telemetry::store_fault(self.provider, "lease", "its numbers make no sense");
                Turn::Ours(None)
            }
            Some(Claim::Taken { left }) if vet::may_be_leased(left) => Turn::Theirs(left),
            Some(Claim::CoolingDown { left, why }) if vet::may_cool_down(left) => {
                Turn::Failed(format::read_failure(&why), left.min(MAX_RETRY_AFTER))
            }
            // Nobody writes such a thing, and whoever did is not to stop this process.
            Some(Claim::Taken { .. } | Claim::CoolingDown { .. }) => {
                telemetry::store_fault(self.provider, "lease", "it lasts longer than any lease");
                Turn::Ours(None)
            }
        }
    }

    /// Gives the lease back without a token.
    pub(crate) async fn release(&mut self, lease: &Lease, failed: Option<(&Error, Duration)>) {
        let failure = failed.map(|(error, cool_down)| Failure {
            cool_down,
            why: format::write_failure(error),
        });
        let store = self.shared.store.clone();
        let key = self.key;
        self.left = STORE_TIME;
        self.bounded("release", store.release(&key, lease, failure))
            .await;
    }

    /// Waits until the entry may have changed since it was read, or `left` is over, and for a moment
    /// at the most: a store that has just told of somebody's lease is alive, so its time begins
    /// anew, but the wait counts. Should it freeze meanwhile, that is found out in the same time.
    pub(crate) async fn wait(&mut self, known: Generation, left: Duration) {
        let clock = &self.shared.clock;
        let started = clock.now().mono;
        let wait = left.clamp(LEAST_WAIT, LEASE_POLL);
        let after = known.max(self.seen);
        let changed = tokio::select! {
            changed = self.shared.store.changed(&self.key, after) => Some(changed),
            () = clock.sleep(wait) => None,
        };
        let waited = clock.now().mono.saturating_sub(started);
        self.woken = self.woken.saturating_add(u32::from(changed.is_some()));
        match changed {
            // A store that wakes again and again may be mistaken.
            Some(Ok(())) if self.woken > FREE_WAKES => clock.sleep(LEAST_WAIT).await,
            // It can't tell: then by the clock alone.
            Some(Err(_)) => clock.sleep(wait.saturating_sub(waited)).await,
            Some(Ok(())) | None => {}
        }
        // No more than it was to be: that the machine stood still is not the store's fault.
        let waited = clock.now().mono.saturating_sub(started).min(LEASE_POLL);
        self.left = STORE_TIME.saturating_sub(waited);
    }

    /// Runs `work` and keeps the lease alive meanwhile.
    pub(crate) async fn holding<T>(
        &mut self,
        lease: Option<Lease>,
        work: impl Future<Output = T>,
    ) -> T {
        let Some(lease) = lease else {
            return work.await;
        };
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.shared.clock.sleep(LEASE / 3) => {}
            }
            self.left = STORE_TIME;
            let store = self.shared.store.clone();
            let key = self.key;
            let renewed = self.bounded("lease", store.lease(&key, LEASE, Some(&lease)));
            tokio::select! {
                biased;
                done = &mut work => return done,
                claim = renewed => if !matches!(claim, None | Some(Claim::Granted(_))) {
                    telemetry::lease_lost(self.provider);
                }
            }
        }
    }

    /// One operation within what is left of the time. A store that fails or is slow is left alone
    /// for a while, and the call goes on without it.
    async fn bounded<T>(
        &mut self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        let clock = &self.shared.clock;
        let started = clock.now().mono;
        if nanos(started) < self.shared.rest_until.load(Ordering::Relaxed) {
            return None;
        }
        let done = tokio::select! {
            biased;
            done = work => done,
            () = clock.sleep(self.left) => Err(StoreError::new("it took too long")),
        };
        let now = clock.now().mono;
        self.left = self.left.saturating_sub(now.saturating_sub(started));
        match done {
            Ok(value) => Some(value),
            Err(error) => {
                let rest = nanos(now.saturating_add(STORE_REST));
                self.shared.rest_until.store(rest, Ordering::Relaxed);
                telemetry::store_fault(self.provider, operation, &error.to_string());
                None
            }
        }
    }
}

fn nanos(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}
