//! [`SharedStore`]: the store behind a manager, bounded in time and never able to fail a call.

mod by_hand;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use biped_core::{
    Claim, Clock, Error, ErrorKind, Generation, IdentityKey, Lease, LeaseFailure, MAX_LIFETIME,
    Now, ProviderId, SecretUse, StoreError, StoreKey, StoredToken, Token, TokenKey, TokenRequest,
    TokenStore,
};

use crate::{
    failure::FetchFailure,
    fleet::{format, vet},
    key::{cached::CachedToken, schedule::nanos},
    settings::{IDLE_POLL, LEASE, LEASE_POLL, LEAST_WAIT, MAX_RETRY_AFTER, TOMBSTONE},
    telemetry,
};

/// A store, and how long it is still not used after a fault.
#[derive(Clone)]
pub(crate) struct SharedStore {
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
    /// The time for all that a call asks before a fetch, and for each thing that is told afterwards.
    limit: Duration,
    /// Left alone until this moment on the monotonic clock, in nanoseconds.
    rest_until: Arc<AtomicU64>,
    /// Whether it was said that the store has no key.
    told: Arc<AtomicBool>,
    /// Whether there is no token without it: what fails is asked again for [`PATIENT`].
    is_needed: bool,
}

/// The least time for all that a call asks of a store without which there is no token, and how long it asks
/// again.
const PATIENT: Duration = Duration::from_secs(3);
/// How often a store may wake a flight before that takes a pause each time.
const FREE_WAKES: u32 = 3;

/// The store as one flight sees it: one key, and what is left of the time for it.
pub(crate) struct StoreSession<'a> {
    shared: &'a SharedStore,
    place: StoreKey,
    id: &'a ProviderId,
    left: Duration,
    /// Until when what fails is asked again.
    insists_until: Duration,
    /// The newest generation that was read.
    seen: Generation,
    /// How often it was woken while it waited.
    woken: u32,
    /// It failed late, and may only be slow.
    is_slow: bool,
}

/// Whether this process may fetch.
pub(crate) enum LeaseAnswer {
    /// It may, with a lease where the store gives one.
    Granted(Option<Lease>),
    /// Another process fetches, for this much longer at the most.
    Taken(Duration),
    /// Another process failed, and the fleet leaves the vendor alone for this long.
    CoolingDown(Error, Duration),
}

impl SharedStore {
    pub(crate) fn new(store: Arc<dyn TokenStore>, clock: Arc<dyn Clock>, limit: Duration) -> Self {
        Self {
            store,
            clock,
            limit,
            rest_until: Arc::default(),
            told: Arc::default(),
            is_needed: false,
        }
    }

    /// The same store with more time, for a flight that has no token without it.
    pub(crate) fn needed(self) -> Self {
        Self {
            limit: self.limit.max(PATIENT),
            is_needed: true,
            ..self
        }
    }

    /// The store as a flight for this request uses it; `None` where it can't be used.
    pub(crate) async fn session<'a>(
        &'a self,
        id: &'a ProviderId,
        request: &TokenRequest,
    ) -> Option<StoreSession<'a>> {
        let mut left = self.limit;
        let asked = self.store.identity_key();
        let identity = self
            .bounded(&mut left, id.name(), "identity_key", asked)
            .await?;
        self.note(identity.as_ref());
        if StoreKey::stays_in_process(identity.as_ref(), id) {
            return None;
        }
        let started = self.clock.now().mono;
        // A secret that can't be read in time is not the store's fault.
        let place = tokio::select! {
            biased;
            place = StoreKey::make(identity, id, request, &*self.clock) => place.ok()?,
            () = self.clock.sleep(left) => return None,
        };
        let took = self.clock.now().mono.saturating_sub(started);
        Some(StoreSession {
            shared: self,
            place,
            id,
            left: left.saturating_sub(took),
            insists_until: match self.is_needed {
                true => started.saturating_add(PATIENT),
                false => Duration::ZERO,
            },
            seen: Generation(0),
            woken: 0,
            is_slow: false,
        })
    }

    /// Under which name the store has what belongs to this; `None` where it has none of it.
    pub(crate) async fn key_of(
        &self,
        id: &ProviderId,
        request: &TokenRequest,
    ) -> Result<Option<TokenKey>, Error> {
        let identity = self.store.identity_key().await?;
        self.note(identity.as_ref());
        if StoreKey::stays_in_process(identity.as_ref(), id) {
            return Ok(None);
        }
        let place = StoreKey::make(identity, id, request, &*self.clock).await?;
        Ok(Some(place.key()))
    }

    /// Whether the tokens of this client may be in the store.
    pub(crate) async fn may_keep(&self, id: &ProviderId) -> bool {
        match self.store.identity_key().await {
            Ok(identity) => !StoreKey::stays_in_process(identity.as_ref(), id),
            Err(_) => true,
        }
    }

    /// How much longer the store is left alone after a fault; `None` where it can be used.
    pub(crate) fn rest(&self, now: &Now) -> Option<Duration> {
        let until = Duration::from_nanos(self.rest_until.load(Ordering::Relaxed));
        let left = until.saturating_sub(now.mono);
        (!self.is_needed && !left.is_zero()).then_some(left)
    }

    /// Whether a token that is bound to a key may be in the store.
    pub(crate) fn is_sealed(&self) -> bool {
        self.store.is_sealed()
    }

    /// Says that the store has no key, where that can be told at once.
    pub(crate) fn look_for_key(&self) {
        let mut asked = self.store.identity_key();
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Ok(identity)) = asked.as_mut().poll(&mut cx) {
            self.note(identity.as_ref());
        }
    }

    fn note(&self, identity: Option<&IdentityKey>) {
        if identity.is_none() && !self.told.swap(true, Ordering::Relaxed) {
            telemetry::store_without_key();
        }
    }

    /// One operation within `left`, unless the store is left alone.
    async fn bounded<T>(
        &self,
        left: &mut Duration,
        provider: &str,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        match self.rest(&self.clock.now()) {
            Some(_) => None,
            None => self.tried(left, provider, operation, work).await,
        }
    }

    /// One operation within `left`, which gets less by what it takes. A store that fails or is slow
    /// is left alone for a while, and the call goes on without it.
    async fn tried<T>(
        &self,
        left: &mut Duration,
        provider: &str,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        let clock = &self.clock;
        let started = clock.now().mono;
        let done = tokio::select! {
            biased;
            done = work => done,
            () = clock.sleep(*left) => Err(StoreError::new("the store did not respond in time")),
        };
        let now = clock.now().mono;
        *left = left.saturating_sub(now.saturating_sub(started));
        match done {
            Ok(value) => Some(value),
            Err(error) => {
                let rest = nanos(now.saturating_add(self.store.rest()));
                self.rest_until.store(rest, Ordering::Relaxed);
                telemetry::store_fault(provider, operation, &error.to_string());
                None
            }
        }
    }
}

impl StoreSession<'_> {
    /// The token stored under the key, if it is one.
    pub(crate) async fn read(&mut self) -> Option<(Token, Generation)> {
        let store = self.shared.store.clone();
        let key = self.place.key();
        let stored = self.insisted("get", || store.get(&key)).await??;
        self.seen = self.seen.max(stored.generation);
        let is_sealed = self.shared.store.is_sealed();
        let token = vet::decode(&stored, is_sealed, self.shared.clock.now().wall);
        if token.is_none() {
            self.ignored("it is damaged, or written by another version");
        }
        token
    }

    /// Tells that what is stored is not used.
    pub(crate) fn ignored(&self, why: &str) {
        telemetry::stored_ignored(self.id.name(), why);
    }

    /// The name of the tokens in the store.
    pub(crate) fn key(&self) -> TokenKey {
        self.place.key()
    }

    /// The store's key.
    pub(crate) fn identity(&self) -> Option<&IdentityKey> {
        self.place.identity()
    }

    /// Whether a token that was fetched with these secrets belongs here.
    pub(crate) fn is_for(&self, secrets: &[SecretUse]) -> bool {
        self.place.is_of(self.id, secrets)
    }

    /// Stores a token, and gives the lease back. A slow store is told as well, since no caller waits for
    /// that: with this token the others need not ask the vendor.
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
        let key = self.place.key();
        let shared = self.shared;
        if self.is_slow {
            let (mut left, put) = (PATIENT, store.put(&key, &stored, lease));
            let done = shared.tried(&mut left, self.id.name(), "put", put).await;
            if done.is_some() {
                shared.rest_until.store(0, Ordering::Relaxed);
            }
        } else {
            self.left = shared.limit;
            self.insisted("put", || store.put(&key, &stored, lease))
                .await;
        }
    }

    /// Tells the store what was rejected: under this name, and under the one that it was stored
    /// under, should a secret have changed since.
    pub(crate) async fn forget(&mut self, stored: Option<TokenKey>, through: Generation) -> bool {
        let own = self.place.key();
        for key in [Some(own), stored.filter(|key| *key != own)] {
            let Some(key) = key else { continue };
            let store = self.shared.store.clone();
            let told = self.bounded("forget", store.forget(&key, through, TOMBSTONE));
            if told.await.is_none() {
                return false;
            }
        }
        true
    }

    /// Asks whether this process may fetch.
    pub(crate) async fn claim(&mut self) -> LeaseAnswer {
        let store = self.shared.store.clone();
        let key = self.place.key();
        let claim = self.insisted("lease", || store.lease(&key, LEASE, None));
        let claim = claim.await;
        let now = self.shared.clock.now().wall;
        match claim {
            // A store that doesn't answer stops no process.
            None => LeaseAnswer::Granted(None),
            Some(Claim::Granted(lease)) if lease.generation.is_plausible(now) => {
                LeaseAnswer::Granted(Some(lease))
            }
            Some(Claim::Granted(_)) => {
                let why = "its lease has a generation far in the future; check the store's clock";
                telemetry::store_fault(self.id.name(), "lease", why);
                LeaseAnswer::Granted(None)
            }
            Some(Claim::Taken { left }) if vet::may_be_leased(left) => LeaseAnswer::Taken(left),
            Some(Claim::CoolingDown { left, why }) if vet::may_cool_down(left) => {
                self.heard(&why, left.min(MAX_RETRY_AFTER)).await
            }
            // No process of Biped writes such a lease, and what wrote it must not stop this one.
            Some(Claim::Taken { .. } | Claim::CoolingDown { .. }) => {
                let why =
                    "its lease lasts longer than Biped sets; check who else writes to the store";
                telemetry::store_fault(self.id.name(), "lease", why);
                LeaseAnswer::Granted(None)
            }
        }
    }

    /// What another process's failure means here. A refusal of what it sent is obeyed only if this
    /// process would send the same.
    async fn heard(&self, why: &[u8], left: Duration) -> LeaseAnswer {
        let (error, refused) = format::read_failure(why);
        let clock = &*self.shared.clock;
        let is_ours = error.kind() != ErrorKind::Refused
            || self.place.would_be_refused(self.id, &refused, clock).await;
        if is_ours {
            LeaseAnswer::CoolingDown(error, left)
        } else {
            LeaseAnswer::Granted(None)
        }
    }

    /// Gives the lease back without a token, and says why: the failure, and for how long the fleet
    /// leaves the vendor alone.
    pub(crate) async fn release(
        &mut self,
        lease: &Lease,
        failed: Option<(&FetchFailure, Duration)>,
    ) {
        let failure = failed.and_then(|(FetchFailure { error, secrets, .. }, cool_down)| {
            let refused = match error.kind() {
                // Where that can't be told, each process hears it for itself.
                ErrorKind::Refused => self.place.refused(self.id, secrets)?,
                _ => Vec::new(),
            };
            Some(LeaseFailure {
                cool_down,
                why: format::write_failure(error, refused),
            })
        });
        let store = self.shared.store.clone();
        let key = self.place.key();
        self.left = self.shared.limit;
        self.bounded("release", store.release(&key, lease, failure))
            .await;
    }

    /// Waits until the entry may have changed since it was read, or `left` is over, and no longer than
    /// [`LEASE_POLL`]; while no caller waits, until one does (`caller`), and no longer than [`IDLE_POLL`].
    ///
    /// A store that has just told of a lease works, so its time begins anew, but the wait of a caller
    /// counts: a store that freezes during it costs a call no more than at any other moment.
    pub(crate) async fn wait(
        &mut self,
        known: Generation,
        left: Duration,
        has_caller: bool,
        caller: impl Future<Output = ()>,
    ) {
        let clock = &self.shared.clock;
        let started = clock.now().mono;
        let longest = if has_caller { LEASE_POLL } else { IDLE_POLL };
        let after = known.max(self.seen);
        let key = self.place.key();
        let changed = async {
            if self.shared.store.changed(&key, after).await.is_err() {
                // It can't tell: then by the clock alone.
                std::future::pending::<()>().await;
            }
        };
        let is_woken = tokio::select! {
            () = changed => true,
            () = clock.sleep(left.clamp(LEAST_WAIT, longest)) => false,
            () = caller, if !has_caller => false,
        };
        self.woken = self.woken.saturating_add(u32::from(is_woken));
        // A store that wakes again and again may be mistaken.
        if is_woken && self.woken > FREE_WAKES {
            clock.sleep(LEAST_WAIT).await;
        }
        self.left = self.shared.limit;
        if has_caller {
            // No more than it was to be: that the machine stood still is not the store's fault.
            let waited = clock.now().mono.saturating_sub(started).min(LEASE_POLL);
            self.left = self.left.saturating_sub(waited);
        }
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
            self.left = self.shared.limit;
            let store = self.shared.store.clone();
            let key = self.place.key();
            let renewed = self.bounded("lease", store.lease(&key, LEASE, Some(&lease)));
            tokio::select! {
                biased;
                done = &mut work => return done,
                claim = renewed => if !matches!(claim, None | Some(Claim::Granted(_))) {
                    telemetry::lease_lost(self.id.name());
                }
            }
        }
    }

    /// One operation within what is left of the time, and again for a while if it fails and the store is
    /// needed.
    async fn insisted<T, W>(&mut self, operation: &'static str, work: impl Fn() -> W) -> Option<T>
    where
        W: Future<Output = Result<T, StoreError>>,
    {
        loop {
            let done = self.bounded(operation, work()).await;
            let is_late = self.shared.clock.now().mono >= self.insists_until;
            if done.is_some() || is_late || self.left.is_zero() {
                return done;
            }
            self.shared.clock.sleep(LEAST_WAIT).await;
            self.left = self.left.saturating_sub(LEAST_WAIT);
        }
    }

    /// One operation within what is left of the time.
    async fn bounded<T>(
        &mut self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        let Self {
            shared, left, id, ..
        } = self;
        let started = shared.clock.now().mono;
        let done = shared.bounded(left, id.name(), operation, work).await;
        let took = shared.clock.now().mono.saturating_sub(started);
        self.is_slow |= done.is_none() && took >= shared.limit / 2;
        done
    }
}
