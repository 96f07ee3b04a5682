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
//! One directory that only its owner can enter (mode 0700), and in it, all with mode 0600:
//!
//! | file | what it is |
//! | --- | --- |
//! | `KEY.token` | a token, what was forgotten, who holds the lease, a failure's cool-down; `KEY` is 64 hexadecimal digits |
//! | `ID.lease` | locked by the process that holds a lease, so that the system gives it back when the process dies |
//! | `identity.key` | 32 random bytes, made once, under which the names of tokens tell secrets apart ([`TokenStore::identity_key`](biped_core::TokenStore::identity_key)); without it each token is fetched anew |
//! | `lock` | locked for the moment that a file is changed |
//! | `KEY.….tmp` | a file being written; it takes the place of the old one at once |
//! | `KEY.….aside` | what was found under a token's name, or the key's, and is none |
//!
//! A directory that belongs to somebody else, or that others can write to, is refused; that in the
//! place for a user's state is made private again. What is over is removed by whoever stores a token,
//! once an hour; what was set aside, after a week.
//!
//! Entries carry the version of their format, and another version has another file name: versions of
//! Biped beside each other don't see each other's entries, and leave them alone.
//!
//! A token's text is as readable there as the files are: the crate `biped-sealed` encrypts it.
//!
//! Locks and renames have to work, which a network file system may not promise: for several hosts
//! there is `biped-redis`.

mod directory;
mod entry;
mod files;
mod kind;
mod store;

pub use self::{kind::kind, store::FileStore};
