//! Tools for tests of token stores.
//!
//! | for | use |
//! | --- | --- |
//! | checking that an implementation keeps the promises of [`TokenStore`](biped_core::TokenStore) | [`conformance`] |
//! | checking that an implementation keeps the promises of [`DurableStore`](biped_core::DurableStore) | [`durable`] |
//! | credentials whose store fails, and processes that are killed at any step | [`TestAccounts`] |
//! | checking that processes that share a store fetch a token once | [`fetches_once`] |
//! | two handles to the same backend, as in two processes | [`Alternating`] |

mod accounts;
mod alternating;
pub mod conformance;
pub mod durable;
mod fleet;

pub use self::{accounts::TestAccounts, alternating::Alternating, fleet::fetches_once};
