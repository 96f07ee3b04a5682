//! The envelope vendor for Biped: the provider of kind `envelope`, for token endpoints at
//! `{base_url}/v1/auth/token` that wrap every answer.
//!
//! | its peculiarity | here |
//! | --- | --- |
//! | The form holds `client_id` and `client_secret` only. | no `grant_type` and no `scope`, unless configured |
//! | A token comes inside `data`: an object, or a string that holds the JSON of one. | both are read |
//! | An error comes as `error`: an object, a string with JSON in it, or the message itself; or its fields stand at the top. | all of them are read |
//! | Error codes are numbers or strings, the words of RFC 6749 stand in `code_reason`. | `invalid_client` there refuses the client |
//!
//! ```
//! use biped_core::{Provider as _, SecretRef};
//! use biped_envelope::Envelope;
//! use url::Url;
//!
//! let base_url = Url::parse("https://api.vendor.example/v1")?;
//! let provider = Envelope::new(&base_url, SecretRef::inline("id"), SecretRef::env("SHOP_SECRET"));
//! assert_eq!(provider.id().token_endpoint(), "https://api.vendor.example/v1/auth/token");
//! # Ok::<(), url::ParseError>(())
//! ```
//!
//! In a configuration file:
//!
//! ```toml
//! [providers.shop]
//! kind = "envelope"
//! base_url = "https://api.vendor.example"
//! client_id = "shop-7"
//! client_secret = "file:/run/secrets/shop"
//! ```
//!
//! # Where relative API paths go
//!
//! The vendor's answer names no base URL, so its tokens carry the configured one: `api_base_url`
//! where there is one, else `base_url`, just as it is written. A path is appended to it: with
//! `https://api.vendor.example` call `/v1/orders`, with `https://api.vendor.example/v1` call
//! `/orders`. With `token_endpoint` alone there is none, and relative paths are an error.

mod answer;
mod config;
mod provider;

pub use self::{config::kind, provider::Envelope};
