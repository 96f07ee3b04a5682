//! [`TokenStore`]: keeps tokens that outlive a process or are shared by several.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{DurableStore, IdentityKey, MAX_LIFETIME, StoreError, Timestamp, TokenKey};

/// Keeps tokens that outlive a process or are shared by several.
///
/// A store may forget anything at any time: a miss is not an error, and a broken store never fails a
/// call. It sees bytes, whose format belongs to the engine. [`get`](Self::get), [`put`](Self::put) and
/// [`forget`](Self::forget) keep tokens; leases let a fleet fetch once.
/// `biped_testing::store::conformance` checks that an implementation keeps these promises:
///
/// - `get` returns the token for which `put` returned `true`, until a newer one is put, it is
///   forgotten, or its time to keep is over;
/// - a generation never goes back: an older token never replaces a newer one, and a forgotten one
///   never returns;
/// - two leases of a key are never valid at once;
/// - its [identity key](Self::identity_key), if it has one, is the same for all processes that share
///   the store.
///
/// A complete store for the tokens of one process:
///
/// ```
/// use std::{collections::HashMap, sync::Mutex, time::Duration};
/// use biped_core::{
///     Clock, Generation, Lease, StoreError, StoredToken, SystemClock, TokenKey, TokenStore,
///     async_trait,
/// };
///
/// #[derive(Debug, Default)]
/// struct Ledger(Mutex<HashMap<TokenKey, Row>>);
///
/// /// What a key has, and until when.
/// #[derive(Debug, Default)]
/// struct Row {
///     token: Option<(StoredToken, Duration)>,
///     forgotten: Option<(Generation, Duration)>,
/// }
///
/// impl Ledger {
///     fn with<T>(&self, key: &TokenKey, act: impl FnOnce(&mut Row) -> T) -> Result<T, StoreError> {
///         let mut rows = self.0.lock().map_err(|_| StoreError::new("a task panicked"))?;
///         let row = rows.entry(*key).or_default();
///         let now = SystemClock.now().mono;
///         row.token.take_if(|(_, until)| *until <= now);
///         row.forgotten.take_if(|(_, until)| *until <= now);
///         Ok(act(row))
///     }
/// }
///
/// #[async_trait]
/// impl TokenStore for Ledger {
///     async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
///         self.with(key, |row| row.token.as_ref().map(|(token, _)| token.clone()))
///     }
///
///     async fn put(
///         &self,
///         key: &TokenKey,
///         token: &StoredToken,
///         _: Option<&Lease>,
///     ) -> Result<bool, StoreError> {
///         self.with(key, |row| {
///             let held = row.token.as_ref().map(|(held, _)| held.generation);
///             let forgotten = row.forgotten.map(|(through, _)| through);
///             let is_news = held.max(forgotten).is_none_or(|known| known < token.generation);
///             if is_news {
///                 row.token = Some((token.clone(), SystemClock.now().mono + token.keep));
///             }
///             is_news
///         })
///     }
///
///     async fn forget(
///         &self,
///         key: &TokenKey,
///         through: Generation,
///         keep: Duration,
///     ) -> Result<(), StoreError> {
///         self.with(key, |row| {
///             row.token.take_if(|(token, _)| token.generation <= through);
///             // What was forgotten before stays forgotten for its own time.
///             let end = SystemClock.now().mono + keep;
///             let (known, until) = row.forgotten.unwrap_or((through, end));
///             row.forgotten = Some((known.max(through), until.max(end)));
///         })
///     }
/// }
/// # use biped_testing::store::conformance;
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(
/// #     conformance::run(std::sync::Arc::new(Ledger::default()), conformance::STORAGE)
/// # );
/// ```
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the token stored under `key`.
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError>;

    /// Stores a token, gives `lease` back, and wakes callers of [`changed`](Self::changed).
    ///
    /// Returns `false`, and stores nothing, if the store has this or a later generation or was told to
    /// forget it.
    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError>;

    /// Forgets every token of `key` up to and including this generation, and refuses them for `keep`, so
    /// that a rejected token never comes back.
    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError>;

    /// Claims the right to fetch this key for `ttl`, so that a fleet fetches once, or renews a lease
    /// that is still held. Default: always granted.
    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        let _ = (key, ttl);
        Ok(Claim::Granted(renew.copied().unwrap_or_default()))
    }

    /// Gives a lease back without a token. A failure is kept for its time, and is the answer to others
    /// that ask for the lease. Default: does nothing.
    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        let _ = (key, lease, failed);
        Ok(())
    }

    /// Returns when the entry may have changed since `after`; it may also return early. Default: never.
    /// The manager polls from time to time as well.
    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        let _ = (key, after);
        std::future::pending().await
    }

    /// Returns how long the store is left alone after it failed. A store of several servers, of which
    /// another takes over within a second or two, is tried again sooner. Default: 5 s.
    fn rest(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Returns whether what is stored is encrypted. Only then may a token enter that is bound to a key.
    /// Default: no.
    fn is_sealed(&self) -> bool {
        false
    }

    /// Returns the store's own key. The names of tokens contain digests of secrets under this key, so
    /// that a process finds only tokens that its own secret could have fetched. It is read before each
    /// fetch, and once, without waiting, when a manager is made. Default: none.
    ///
    /// The key is random, protected like the tokens, and the same for all processes that share the
    /// store. It must be kept: if it changes, the stored tokens are no longer found. Without a key only the place
    /// of a secret counts. Then tokens stay in the process if the configuration contains their secret
    /// itself, or if their provider has no client identifier.
    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        Ok(None)
    }

    /// Returns the part of this store that keeps credentials which change with each use. Default:
    /// `None`, for a store that may lose what it keeps.
    fn durable(&self) -> Option<Arc<dyn DurableStore>> {
        None
    }
}

/// Tells which of two tokens of a key is newer: strictly increasing microseconds since the Unix epoch. A
/// store that grants leases may number them by its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl Generation {
    /// Returns the generation of a token that is requested at `now`, if the last one is `self`.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        Self(
            u64::try_from(now.unix_micros())
                .unwrap_or(0)
                .max(self.0.saturating_add(1)),
        )
    }

    /// Returns whether it is at most a year ahead of `now`.
    #[must_use]
    pub fn is_plausible(self, now: Timestamp) -> bool {
        let latest = now.after(MAX_LIFETIME).min(Timestamp::MAX).unix_micros();
        i64::try_from(self.0).is_ok_and(|micros| micros < latest)
    }
}

/// A token as a store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// Tells which of two tokens is newer.
    pub generation: Generation,
    /// How long to keep it.
    pub keep: Duration,
    /// The token in the engine's format, including its text. A store that outlives the process must
    /// protect these bytes and never show them.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for StoredToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredToken")
            .field("generation", &self.generation)
            .field("keep", &self.keep)
            .field("bytes", &"[redacted]")
            .finish()
    }
}

impl Drop for StoredToken {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.bytes);
    }
}

/// The right to fetch a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// Tells this lease from all others of the key.
    pub id: LeaseId,
    /// The generation of the token that is fetched under it (a fencing token).
    pub generation: Generation,
}

/// Tells a lease from all others of its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeaseId(pub u128);

/// What a store returns to a process that asks for a lease.
///
/// It is not `#[non_exhaustive]`, because the engine and every wrapper of a store must treat each
/// answer: a new one has to be a breaking change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The caller has the lease.
    Granted(Lease),
    /// Another process has the lease.
    Taken {
        /// How long that lease is still valid.
        left: Duration,
    },
    /// The last holder's fetch failed, and no process asks the vendor for a while.
    CoolingDown {
        /// How much of that time is left.
        left: Duration,
        /// Why it failed, in the engine's format.
        why: Vec<u8>,
    },
}

/// What a holder whose fetch failed tells the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseFailure {
    /// How long no process asks the vendor.
    pub cool_down: Duration,
    /// Why it failed, in the engine's format.
    pub why: Vec<u8>,
}
