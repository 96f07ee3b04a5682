//! Encrypts what any token store holds, so that who reads the disk, the Redis or a backup of it
//! finds no token.
//!
//! ```
//! use std::sync::Arc;
//! use biped_core::{SecretRef};
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
//! A key is 32 random bytes, written as 64 hexadecimal digits or in base64 (the usual alphabet or
//! that for URLs, with or without `=`). `openssl rand -base64 32` makes one. Several can be in use:
//! the first writes, all read.
//!
//! # How to rotate
//!
//! In three steps, each rolled out to every process before the next begins:
//!
//! | step | keys, in order | why |
//! | --- | --- | --- |
//! | 1 | old, new | everybody can read the new key before anybody writes with it |
//! | 2 | new, old | everybody writes with the new key, and still reads what the old one wrote |
//! | 3 | new | once no token is left that the old key wrote: after the longest life of a token |
//!
//! A store without an identity key of its own, such as Redis, gets one from the first seal key: there
//! the second step costs a fetch of each token, since what was stored has other names. A directory of
//! files has one, and a rotation costs nothing.
//!
//! Out of this order nothing breaks: who can't read an entry asks the vendor, and the fleet sends
//! some requests more. After a key leaked, go to the new one alone at once, and
//! have the vendor revoke what was stored.
//!
//! # What an entry is
//!
//! XChaCha20-Poly1305 (RFC 8439, with a nonce of 24 random bytes): a version, the key's id, the
//! nonce, the encrypted bytes and their tag. The token's key and its generation are authenticated
//! with it, so that one tenant's entry can't be put in the place of another's, nor an old one be
//! passed off as new. The names of tokens, which say of secrets what a digest can, are made under an
//! identity key ([`TokenStore::identity_key`](biped_core::TokenStore::identity_key)): where the store
//! has none, HMAC-SHA-256 of the first seal key. What can't be opened (another key, cut, swapped, never sealed) is a miss, and
//! a warning says why. How large an entry is, when it was written and until when it is kept is not
//! hidden.

mod key;
mod store;

pub use self::{key::SealKey, store::SealedStore};
