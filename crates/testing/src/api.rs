//! What tests of API clients stand on.
//!
//! | for | use |
//! | --- | --- |
//! | whether a way to call APIs does what every one of them must | [`matrix`], [`api_matrix!`](crate::api_matrix) |
//! | an API on loopback that takes some tokens and not others | [`TestApi`] |

pub mod matrix;
mod server;

pub use self::server::{Seen, TestApi};
