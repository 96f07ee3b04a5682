//! Encrypts the entries of any token store, so that the disk, the Redis server or a backup contains no
//! readable token.
//!
//! ```
//! use std::sync::Arc;
//! use biped_core::SecretRef;
//! use biped_memory::MemoryStore;
//! use biped_sealed::{SealKey, SealedStore};
//!
//! # fn example() -> Result<(), biped_core::Error> {
//! let key = SealKey::read(&SecretRef::env("BIPED_SEAL_KEY"))?;
//! let store = SealedStore::new(Arc::new(MemoryStore::new()), key);
//! # let _ = store;
//! # Ok(()) }
//! ```
//!
//! # Keys
//!
//! A key is 32 random bytes, written as 64 hexadecimal digits or in base64 (the standard alphabet or the
//! one for URLs, with or without `=`). Make one with `openssl rand -base64 32`. A store can have several
//! keys: the first one writes, and all of them read.
//!
//! # How to rotate
//!
//! In three steps. Roll each out to every process before the next:
//!
//! | step | keys, in order | why |
//! | --- | --- | --- |
//! | 1 | old, new | every process can read the new key before one writes with it |
//! | 2 | new, old | every process writes with the new key, and still reads entries of the old one |
//! | 3 | new | no entry of the old key is left, after the longest life of a token |
//!
//! A store without an identity key of its own, such as Redis, gets one from the first seal key. There
//! the second step changes the names of tokens, so each token is fetched once more. A file store has its
//! own identity key, so a rotation costs no fetch.
//!
//! Another order is safe, but costs more requests: a process that can't read an entry asks the vendor.
//! If a key leaks, change to the new key alone at once, and have the vendor revoke the stored tokens.
//!
//! # Credentials that change with each use
//!
//! The entries of a [`DurableStore`](biped_core::DurableStore) are sealed as well, each for its account
//! and its revision. One that was sealed with an older key is rewritten with the first when it is read.
//! One that can't be opened is an error and never a miss, so that an account is not seeded over it.
//!
//! # Format
//!
//! An entry is a version, the key's id, the nonce, the encrypted bytes and their tag, by
//! XChaCha20-Poly1305 (RFC 8439, with a nonce of 24 random bytes). The token's key and generation are
//! authenticated as well, so that an entry can't be moved to another tenant's place, and an old entry
//! can't pass for a new one. An entry that can't be opened (sealed with another key, truncated, moved,
//! never sealed) is a miss, and a warning says why.
//!
//! The names of tokens contain digests of secrets under an identity key
//! ([`TokenStore::identity_key`](biped_core::TokenStore::identity_key)). If the store has none, it is
//! an HMAC-SHA-256 of the first seal key. The size of an entry, when it was written and how long it is
//! kept are not hidden.

mod accounts;
mod key;
mod store;

pub use self::{key::SealKey, store::SealedStore};
