//! [`DurableStore`]: keeps what must never be lost, such as a refresh token that changes with each use.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::{IdentityKey, SecretRef, StoreError};

/// Keeps the credential of each account, for credentials that change with each use.
///
/// Unlike a [`TokenStore`](crate::TokenStore) it never forgets, evicts or expires, and it fails closed:
/// without it no token is fetched. It sees bytes, whose format belongs to the engine.
/// An implementation keeps these promises. `biped_testing::store::durable` checks the first two, and that
/// a lock is held by one at a time; the rest shows when a machine fails or a process dies, and is for the
/// store's own tests:
///
/// - [`load`](Self::load) returns what the last successful [`swap`](Self::swap) wrote, in every process;
/// - of two swaps that expect the same revision, one succeeds;
/// - a swap returns when the bytes are as durable as the store can make them;
/// - a [lock](Self::lock) is held by one at a time, and ends with its process at the latest when its
///   lease does.
#[async_trait]
pub trait DurableStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the entry of an account. `None` only if none was ever written.
    async fn load(&self, key: &AccountKey) -> Result<Option<DurableEntry>, StoreError>;

    /// Writes an entry with the revision after `expected`, if the present one is `expected`
    /// ([`Revision::NONE`] if there is no entry). Returns `false`, and writes nothing, if it is not.
    ///
    /// After an error the entry may have been written or not.
    async fn swap(
        &self,
        key: &AccountKey,
        expected: Revision,
        bytes: &[u8],
    ) -> Result<bool, StoreError>;

    /// Takes the lock of an account. Returns `None`, without waiting, while another has it.
    async fn lock(&self, key: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError>;

    /// Returns whether entries are encrypted. Default: no.
    fn is_sealed(&self) -> bool {
        false
    }
}

/// The lock of an account. It ends when it is unlocked. If it is dropped, it ends at the latest after
/// its lease.
#[async_trait]
pub trait DurableLock: fmt::Debug + Send + Sync {
    /// For how long it was granted. `None` if it lasts as long as its process.
    fn lease(&self) -> Option<Duration>;

    /// Gives the lock back.
    async fn unlock(self: Box<Self>);
}

/// An entry as a durable store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct DurableEntry {
    /// How often the entry was written.
    pub revision: Revision,
    /// The credential in the engine's format. A store must protect these bytes and never show them.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for DurableEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableEntry")
            .field("revision", &self.revision)
            .field("bytes", &"[redacted]")
            .finish()
    }
}

impl Drop for DurableEntry {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.bytes);
    }
}

/// How often an entry was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of an account without an entry.
    pub const NONE: Self = Self(0);

    /// Returns the revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The name of an account in a durable store. It contains no secret and may be shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey([u8; 32]);

impl AccountKey {
    /// Creates the key with these bytes, for stores and their tests.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the key's 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Shows 64 hexadecimal digits.
impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({self})")
    }
}

/// An account whose credential changes with each use: the refresh token of RFC 6749 §6.
#[derive(Clone, Debug)]
pub struct Account {
    kind: &'static str,
    endpoint: String,
    client_id: Option<SecretRef>,
    name: String,
    seed: Option<SecretRef>,
}

impl Account {
    /// Creates the account with this name at this endpoint, for a kind of provider.
    #[must_use]
    pub fn new(kind: &'static str, endpoint: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            endpoint: endpoint.into(),
            client_id: None,
            name: name.into(),
            seed: None,
        }
    }

    /// Sets the client that the credential was issued to. Default: none.
    #[must_use]
    pub fn client_id(mut self, client_id: Option<SecretRef>) -> Self {
        self.client_id = client_id;
        self
    }

    /// Sets where the first credential is. Default: the credential is given in another way.
    #[must_use]
    pub fn seed(mut self, seed: Option<SecretRef>) -> Self {
        self.seed = seed;
        self
    }

    /// Returns the name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns where the client's identifier is.
    #[must_use]
    pub fn client_reference(&self) -> Option<&SecretRef> {
        self.client_id.as_ref()
    }

    /// Returns where the first credential is.
    #[must_use]
    pub fn seed_reference(&self) -> Option<&SecretRef> {
        self.seed.as_ref()
    }

    /// Returns the name of its entry, for the client with this identifier. No secret is in it, so that
    /// moving or replacing one loses no entry.
    #[must_use]
    pub fn key(&self, client_id: &str) -> AccountKey {
        let mut hash = IdentityKey::from_bytes([0; 32]).hash(b"biped account 1");
        for part in [self.kind, &self.endpoint, client_id, &self.name] {
            hash.bytes(part.as_bytes());
        }
        AccountKey(hash.end())
    }
}
