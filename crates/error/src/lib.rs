//! [`Error`]: what went wrong when a token was fetched, who can fix it, and how. [`Clock`]: the only
//! source of time.
//!
//! `biped-core` re-exports all that a provider, a store or an application needs of it.
//!
//! Each file uses only files above it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `clock.rs` | [`Clock`], [`Timestamp`] |
//! | `error.rs`, `error/` | [`Error`], [`VendorError`], [`StoreError`] |
//! | `redact.rs` | an error without the secrets of a fetch |

mod clock;
mod error;
mod redact;

pub use self::{
    clock::{Clock, Now, SystemClock, Timestamp},
    error::{Error, ErrorKind, StoreError, VendorError},
};
