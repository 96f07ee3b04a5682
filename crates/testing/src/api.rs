//! Tools for tests of API clients.
//!
//! | for | use |
//! | --- | --- |
//! | checking a way to call APIs | [`matrix`], [`api_matrix!`](crate::api_matrix) |
//! | an API on loopback that can reject tokens | [`TestApi`] |

pub mod matrix;
mod server;

pub use self::server::{Seen, TestApi};
