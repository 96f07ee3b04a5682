//! Two-legged OAuth for Rust. An application names its vendors once, and calls their APIs. Biped gets,
//! caches, shares, renews and attaches the access tokens.
//!
#![cfg_attr(feature = "reqwest", doc = "```no_run")]
#![cfg_attr(not(feature = "reqwest"), doc = "```ignore")]
//! use biped::Biped;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let biped = Biped::from_file("biped.toml")?;
//! let shop = biped.client("shop")?;
//! let orders = shop.get("/v1/orders").query(&[("limit", "10")]).send().await?.text().await?;
//! # let _ = orders;
//! # Ok(()) }
//! ```
//!
//! The vendor's entry in `biped.toml`:
//!
//! ```toml
//! [providers.shop]
//! kind = "envelope"
//! base_url = "https://api.vendor.example"
//! client_id = "shop-backend"
//! client_secret = "env:SHOP_SECRET"
//! ```
//!
//! [The book](https://github.com/biped-rs/biped/tree/main/docs) has the first steps, recipes, and what to do
//! about an error.
//!
//! | for | read |
//! | --- | --- |
#![cfg_attr(
    feature = "reqwest",
    doc = "| calls of an API | [`Biped::client`], [`ApiClient`], [`token_error`] (feature `reqwest`) |"
)]
#![cfg_attr(
    feature = "blocking",
    doc = "| the same from threads without a runtime | [`blocking`] (feature `blocking`) |"
)]
#![cfg_attr(
    feature = "reqwest",
    doc = "| calls with reqwest's own client | [`reqwest::TokenMiddleware`] (feature `reqwest`) |"
)]
#![cfg_attr(
    feature = "tower",
    doc = "| calls with hyper-util, tonic, any tower client | [`tower::TokenLayer`] (feature `tower`) |"
)]
//! | tokens alone | [`Biped::token_source`], [`TokenSource`] |
//! | errors | [`Error`], [`ErrorKind`] |
//! | the configuration | [`config`] |
//! | a vendor that Biped doesn't know | [`provider`], [`Builder::register`] |
//! | a store that Biped doesn't know | [`store`], [`Builder::store_kind`] |
//! | an HTTP stack that Biped doesn't know | [`client`] |
//! | tests without a network | [`Builder::http_client`], [`Builder::clock`]; the crate [`biped-testing`](https://docs.rs/biped-testing) |
//! | tests against the vendors' servers | the crate [`biped-sandbox`](https://docs.rs/biped-sandbox) |
//!
//! # Features
//!
//! | feature | brings | default |
//! | --- | --- | --- |
//! | `blocking` | `blocking`: clients and tokens for threads without a runtime | |
//! | `catalogue` | `vendor = "…"`: the vendors that Biped describes; enables `dialect` | |
//! | `contentsquare` | providers of kind `contentsquare`: Contentsquare's APIs | yes |
//! | `dialect` | providers of kind `dialect`: any other vendor, described in a TOML file | |
//! | `envelope` | providers of kind `envelope`: vendors that wrap responses in `data` and `error` | yes |
//! | `file` | `[store]` of kind `file`: tokens on disk | |
//! | `metrics` | counters and histograms through the `metrics` facade | |
//! | `oauth2` | providers of kind `oauth2`: standard authorization servers | |
//! | `pkcs11` | keys that stay in a PKCS#11 token, for the kind `oauth2` | |
//! | `platform` | providers of kind `platform`: tokens of Azure, Google and other platforms | |
//! | `postgres` | `[store]` of kind `postgres`: tokens shared by a fleet, in PostgreSQL | |
//! | `redis` | `[store]` of kind `redis`: tokens shared by a fleet | |
//! | `reqwest` | the HTTP client for token requests, and `Biped::client` | yes |
//! | `sealed` | `seal` in `[store]`: encrypts what is stored | |
//! | `spiffe` | tokens of a SPIFFE Workload API, for the kinds `oauth2` and `platform` | |
//! | `tower` | `TokenLayer` for hyper-util, tonic and any tower client | |
//! | `vault` | secrets in OpenBao and Vault: references that begin with `vault:` | |

#![cfg_attr(docsrs, feature(doc_cfg))]

/// Compiles the examples of the README.
#[cfg(all(doctest, feature = "reqwest"))]
#[doc = include_str!("../../../README.md")]
mod readme {}

mod biped;
#[cfg(feature = "blocking")]
pub mod blocking;
mod builder;
pub mod client;
pub mod config;
mod http;
pub mod provider;
mod registry;
pub mod store;
mod tenants;

#[cfg(feature = "contentsquare")]
#[doc(inline)]
pub use biped_contentsquare as contentsquare;
pub use biped_core::{
    Error, ErrorKind, ExposeSecret, Inspection, ParamValue, SecretString, SetParam, Timestamp,
    Token, TokenRequest, VendorError,
};
#[cfg(feature = "dialect")]
#[doc(inline)]
pub use biped_dialect as dialect;
pub use biped_engine::{
    CachedToken, Rejection, Settings, Status, TokenManager, TokenRef, TokenSource, TokenState,
};
#[cfg(feature = "envelope")]
#[doc(inline)]
pub use biped_envelope as envelope;
#[cfg(feature = "file")]
#[doc(inline)]
pub use biped_file as file;
#[cfg(feature = "oauth2")]
#[doc(inline)]
pub use biped_oauth2 as oauth2;
#[cfg(feature = "platform")]
#[doc(inline)]
pub use biped_platform as platform;
#[cfg(feature = "postgres")]
#[doc(inline)]
pub use biped_postgres as postgres;
#[cfg(feature = "redis")]
#[doc(inline)]
pub use biped_redis as redis;
#[cfg(feature = "reqwest")]
#[doc(inline)]
pub use biped_reqwest as reqwest;
#[cfg(feature = "reqwest")]
pub use biped_reqwest::{ApiClient, token_error};
#[cfg(feature = "sealed")]
#[doc(inline)]
pub use biped_sealed as sealed;
#[cfg(feature = "tower")]
#[doc(inline)]
pub use biped_tower as tower;

pub use self::{
    biped::{Biped, ConfiguredProvider},
    builder::Builder,
};
