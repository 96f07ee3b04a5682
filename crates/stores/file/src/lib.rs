//! Tokens on disk: for command lines, and for the processes of one host.
//!
//! ```no_run
//! use std::sync::Arc;
//! use biped_core::HttpClient;
//! use biped_engine::TokenManager;
//! use biped_file::FileStore;
//!
//! # fn example(http: Arc<dyn HttpClient>) -> Result<(), biped_core::Error> {
//! let store = FileStore::in_state_directory()?;
//! let manager = TokenManager::builder(http).store(Arc::new(store)).build();
//! # let _ = manager;
//! # Ok(()) }
//! ```
//!
//! # On disk
//!
//! A directory that only its owner can enter (mode 0700), with these files (mode 0600):
//!
//! | file | what it is |
//! | --- | --- |
//! | `KEY.token` | a token, the forgotten generations, the lease and its holder, the cool-down of a failure; `KEY` is 64 hexadecimal digits |
//! | `ID.lease` | locked by the process that holds a lease, so that the system releases the lease when the process dies |
//! | `identity.key` | 32 random bytes, made once; with them as a key, the names of tokens tell secrets apart ([`TokenStore::identity_key`](biped_core::TokenStore::identity_key)); if the file is lost, each token is fetched again |
//! | `lock` | locked while a file is changed |
//! | `KEY.….tmp` | a file that is being written; it replaces the old one atomically |
//! | `KEY.aside` | a file with the name of a token that was not one, or not its owner's alone; it is removed when the token is forgotten |
//! | `identity.….aside` | a file with the name of the key that was not one |
//!
//! A directory that was removed is made again. One that belongs to another user, or that others can write
//! to, is refused. The directory in the platform's place for a user's state is made private again. Once an
//! hour, a process that stores a token removes expired files, and files that were set aside a week ago.
//!
//! The version of the format is part of the file names, so that different versions of Biped in one
//! directory leave each other's entries alone.
//!
//! The files hold tokens as plain text. The crate `biped-sealed` encrypts them.
//!
//! The store needs locks and atomic renames, which a network file system may lack. For several hosts
//! use `biped-redis`.

mod accounts;
mod directory;
mod entry;
mod files;
mod kind;
mod store;

pub use self::{kind::kind, store::FileStore};
