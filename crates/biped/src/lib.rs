//! Two-legged OAuth for Rust: an application names the vendors it talks to, and from then on calls
//! their APIs. Biped gets, caches, shares, renews and attaches the access tokens.
//!
//! ```no_run
//! use biped::Biped;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let biped = Biped::from_file("biped.toml")?;
//! let token = biped.token_source("shop")?.token().await?;
//! # let _ = token;
//! # Ok(()) }
//! ```
//!
//! | for | read |
//! | --- | --- |
//! | what can be configured, and how | [`config`] |
//! | a vendor that Biped doesn't know | [`Provider`], [`Builder::register`] |
//! | tests without a network | [`Builder::http_client`], [`Builder::clock`] |
//!
//! # Features
//!
//! | feature | brings | default |
//! | --- | --- | --- |
//! | `contentsquare` | providers of kind `contentsquare` | yes |
//! | `envelope` | providers of kind `envelope` | yes |
//! | `reqwest` | the HTTP client for token requests, and `Biped::client` | yes |

mod biped;
mod builder;
pub mod config;
mod kinds;

#[cfg(feature = "contentsquare")]
pub use biped_contentsquare as contentsquare;
pub use biped_core::*;
#[cfg(feature = "envelope")]
pub use biped_envelope as envelope;
#[cfg(feature = "reqwest")]
pub use biped_reqwest as reqwest;

pub use self::{
    biped::{Biped, Configured},
    builder::Builder,
};
