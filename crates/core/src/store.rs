//! [`TokenStore`]: where tokens outlive a process or are shared by several.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::{IdentityKey, MAX_LIFETIME, StoreError, Timestamp, TokenKey};

/// Where tokens outlive a process or are shared by several.
///
/// It may forget anything at any time; a miss is never an error, and a broken store never fails a
/// call. It sees bytes: what they mean is core's business. [`get`](Self::get), [`put`](Self::put) and
/// [`forget`](Self::forget) make one that keeps tokens; leases make a fleet fetch once.
/// `biped_testing::store::conformance` says whether an implementation keeps these promises:
///
/// - what `put` answered with `true` is what `get` answers, until something newer is put, it is
///   forgotten, or its time to keep is over;
/// - a generation never goes back: an older token never replaces a newer one, and one that was
///   forgotten never returns;
/// - two leases of a key are never valid at once;
/// - its [identity key](Self::identity_key), if it has one, is the same for all who share it.
///
/// A whole store, for the tokens of one process:
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
///             if row.forgotten.is_none_or(|(known, _)| known <= through) {
///                 row.forgotten = Some((through, SystemClock.now().mono + keep));
///             }
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
    /// The token stored under `key`.
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError>;

    /// Stores a token, gives `lease` back, and wakes those who wait for the key.
    ///
    /// Answers `false`, and stores nothing, where it holds this or a later generation or was told
    /// to forget it.
    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError>;

    /// Forgets every token of `key` up to and including this generation, and refuses them for
    /// `keep`: a rejected token never comes back.
    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError>;

    /// Claims the right to fetch this key for `ttl`, so that a fleet fetches once, or renews a claim
    /// that it still holds. Default: always granted, to everybody.
    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        let _ = (key, ttl);
        Ok(Claim::Granted(renew.copied().unwrap_or_default()))
    }

    /// Gives a lease back without a token. A failure stays for its time, and is what others are
    /// told who ask for the lease. Default: nothing.
    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        let _ = (key, lease, failed);
        Ok(())
    }

    /// Returns when the entry may have changed since `after`; spuriously is fine. Default: never.
    /// The manager looks now and then as well.
    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        let _ = (key, after);
        std::future::pending().await
    }

    /// The store's own key, under which core makes the digests of secrets that are in the names of
    /// tokens: so that nobody finds a token whose secret would not have fetched it. Asked for before
    /// each fetch, and once when a manager is made, which doesn't wait for the answer. Default: none.
    ///
    /// It is random, kept where only those can read it who may read the tokens, the same for all who
    /// share the store, and outlives everything that is forgotten; should it change, no token is
    /// found any more. Without one, of a secret only the place counts, and tokens stay in the process
    /// whose secrets stand in the configuration itself, or whose provider has no client identifier.
    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        Ok(None)
    }
}

/// Which of two tokens of a key is the newer: microseconds since the Unix epoch, strictly
/// increasing. The store that gives out leases may number them by its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation of a token asked for at `now`, when the last one known was `self`.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        Self(
            u64::try_from(now.unix_micros())
                .unwrap_or(0)
                .max(self.0.saturating_add(1)),
        )
    }

    /// Whether a clock may have said it that is at most a year ahead of `now`.
    #[must_use]
    pub fn is_plausible(self, now: Timestamp) -> bool {
        let latest = now.after(MAX_LIFETIME).min(Timestamp::MAX).unix_micros();
        i64::try_from(self.0).is_ok_and(|micros| micros < latest)
    }
}

/// A token as a store holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// Which of two is newer.
    pub generation: Generation,
    /// How long it is worth keeping.
    pub keep: Duration,
    /// The token in core's own format, text included: a store that outlives the process protects
    /// them, and never shows them.
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

/// A claim on fetching a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// Tells this claim from every other of the key.
    pub id: LeaseId,
    /// The generation that the token fetched under it gets (a fencing token).
    pub generation: Generation,
}

/// Tells one claim on a key from every other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeaseId(pub u128);

/// A store's answer to a process that asks for a lease.
///
/// It is not `#[non_exhaustive]`: whoever wraps a store must treat every answer, and an answer that an
/// older manager does not know would make it fetch without a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is yours.
    Granted(Lease),
    /// Somebody else has it.
    Taken {
        /// How much of their claim is left.
        left: Duration,
    },
    /// The last holder failed, and the fleet leaves the vendor alone.
    CoolingDown {
        /// How much of that time is left.
        left: Duration,
        /// What the holder said about it, in core's own format.
        why: Vec<u8>,
    },
}

/// What a holder whose fetch failed leaves for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseFailure {
    /// For how long the vendor is to be left alone.
    pub cool_down: Duration,
    /// Why, in core's own format.
    pub why: Vec<u8>,
}
