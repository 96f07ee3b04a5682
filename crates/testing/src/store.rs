//! What tests of token stores stand on.
//!
//! | for | use |
//! | --- | --- |
//! | whether an implementation keeps the promises of [`TokenStore`](biped_core::TokenStore) | [`conformance`] |
//! | two handles to the same backend, as two processes have them | [`Alternating`] |

mod alternating;
pub mod conformance;

pub use self::alternating::Alternating;
