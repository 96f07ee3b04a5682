//! The envelope vendor for Biped: the provider of kind `envelope`, for token endpoints at
//! `{base_url}/v1/auth/token` that wrap every response.
//!
//! | at this vendor | in this crate |
//! | --- | --- |
//! | The form contains only `client_id` and `client_secret`. | `grant_type` and `scope` are sent only if they are configured |
//! | The token is inside `data`: an object, or a string with the JSON of an object. | both forms are read |
//! | An error is in `error`: an object, a string with JSON, or the message itself; or its fields are at the top. | all forms are read |
//! | Error codes are numbers or strings; the codes of RFC 6749 are in `code_reason`. | `invalid_client` in `code_reason` means that the client is refused |
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
//! # The base of relative API paths
//!
//! The vendor's responses contain no base URL, so its tokens carry the configured one: `api_base_url`,
//! or else `base_url`, exactly as it is written. A path is appended to it: with
//! `https://api.vendor.example` call `/v1/orders`, with `https://api.vendor.example/v1` call
//! `/orders`. If only `token_endpoint` is set, relative paths are an error.

mod answer;
mod config;
mod provider;

pub use self::{config::kind, provider::Envelope};
