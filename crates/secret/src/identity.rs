//! [`IdentityKey`]: the key under which digests of secrets are made.

use std::{
    fmt,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::OnceLock,
};

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use biped_error::StoreError;

/// A store's own key. Digests under it tell secrets apart whose tokens share the store
/// (`TokenStore::identity_key`).
///
/// With the key, secrets can be guessed from the names of tokens. It must be protected like the
/// tokens.
#[derive(Clone)]
pub struct IdentityKey(Zeroizing<[u8; 32]>);

impl IdentityKey {
    /// Creates the key with these bytes, which must be secret.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Creates a new key of random bytes.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn random() -> Result<Self, StoreError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut bytes[..])
            .map_err(|_| StoreError::new("the system provides no random numbers"))?;
        Ok(Self(bytes))
    }

    /// Returns the key's 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Starts a digest of several parts under this key. `domain` says what it is for.
    #[must_use]
    pub fn hash(&self, domain: &[u8]) -> KeyedHash {
        // RFC 2104 pads a key that is shorter than a block.
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(&self.0[..]);
        let mut hash = KeyedHash(Hmac::new(&(*block).into()));
        hash.bytes(domain);
        hash
    }

    /// Returns the digest of a value under this key.
    #[must_use]
    pub fn digest(&self, value: &str) -> Mark {
        let mut hash = self.hash(b"biped value");
        hash.bytes(value.as_bytes());
        hash.end()
    }
}

/// A digest that tells a value from others. Without the key it says nothing about the value.
pub type Mark = [u8; 32];

/// HMAC-SHA-256 over parts, each with its length.
#[derive(Clone)]
pub struct KeyedHash(Hmac<Sha256>);

impl KeyedHash {
    /// Adds a number.
    pub fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_le_bytes());
    }

    /// Adds a part, with its length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    /// Returns the digest of all parts.
    #[must_use]
    pub fn end(self) -> Mark {
        self.0.finalize().into_bytes().into()
    }
}

/// The key of this process, for digests that never leave it.
pub(crate) fn of_this_process() -> &'static IdentityKey {
    static KEY: OnceLock<IdentityKey> = OnceLock::new();
    KEY.get_or_init(|| {
        IdentityKey::random().unwrap_or_else(|_| {
            // The standard library's maps are seeded with random numbers from another source.
            let seeded = || RandomState::new().build_hasher().finish().to_le_bytes();
            let mut bytes = [0; 32];
            bytes
                .chunks_exact_mut(8)
                .for_each(|part| part.copy_from_slice(&seeded()));
            IdentityKey::from_bytes(bytes)
        })
    })
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash([redacted])")
    }
}

impl PartialEq for IdentityKey {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(other.0.iter());
        pairs.fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl Eq for IdentityKey {}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKey([redacted])")
    }
}
