//! Contentsquare for Biped: the provider of kind `contentsquare`.
//!
//! | at Contentsquare | in this crate |
//! | --- | --- |
//! | The token request is JSON; `project_id` and `integration_id` are integers. | [`ContentsquareRequest::project`], [`integration`](ContentsquareRequest::integration) |
//! | Every token names the base URL of its project's cloud. | [`Token::base_url`](biped_core::Token::base_url); other hosts than `contentsquare.com` are refused |
//! | The scope `enrichment` can't be combined with others and needs an integration. | a configuration error before a request is sent |
//! | Account-level credentials need a project. | the error of a refusal for a missing or a wrong one lists the permitted projects |
//! | `/v1/oauth/me` describes the credentials. | [`Provider::inspect`](biped_core::Provider::inspect) |
//! | Credentials expire after a year, without notice in a response. | [`Contentsquare::client_secret_created`], [`Provider::warning`](biped_core::Provider::warning) |
//!
//! Account-level credentials give access to many projects, so the project is part of the request. Two
//! projects may be on two clouds:
//!
//! ```
//! use biped_contentsquare::{Contentsquare, ContentsquareRequest as _, Scope};
//! use biped_core::{SecretRef, TokenRequest};
//!
//! let provider = Contentsquare::new(
//!     SecretRef::inline("c3133d76-a768-4f5a"),
//!     SecretRef::env("CONTENTSQUARE_SECRET"),
//! );
//! let exports = TokenRequest::new().scopes([Scope::DataExport, Scope::Metrics]).project(42);
//! let push = TokenRequest::new().scope(Scope::Enrichment).project(42).integration(123);
//! # let _ = (provider, exports, push);
//! ```
//!
//! In a configuration file:
//!
//! ```toml
//! [providers.analytics]
//! kind = "contentsquare"
//! client_id = "c3133d76-a768-4f5a"
//! client_secret = "env:CONTENTSQUARE_SECRET"
//! client_secret_created = 2026-03-01
//! scope = ["data-export", "metrics"]
//! project_id = 42
//! ```
//!
//! The vendor's documentation is at <https://docs.contentsquare.com/en/api/export/>; see
//! "Authentication" of each API.

mod answer;
mod config;
mod inspection;
mod provider;
mod request;

pub use self::{
    config::kind,
    provider::{CREDENTIALS_LIFETIME, Contentsquare, TOKEN_ENDPOINT, WARNING_PERIOD},
    request::{ContentsquareRequest, INTEGRATION_ID, PROJECT_ID, Scope},
};
