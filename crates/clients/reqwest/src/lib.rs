//! Biped on reqwest: [`TokenClient`] sends token requests, [`ApiClient`] calls an API with the
//! tokens.
//!
//! | for | read |
//! | --- | --- |
//! | calls of one vendor's API, by paths | [`ApiClient`]; an application has it from `biped.client("shop")?` |
//! | calls within a middleware stack that stands already, and where retries and tracing belong in it | [`TokenMiddleware`] |
//! | redirects, time limits, certificates, shared connections | [`ApiClients`] |
//! | why a call has no token | [`token_error`] |
//! | token requests | [`TokenClient`], [`HttpSettings`] |
//!
//! ```no_run
//! use std::sync::Arc;
//! use biped_core::{Provider, TokenRequest};
//! use biped_engine::TokenManager;
//! use biped_reqwest::{ApiClients, HttpSettings, TokenClient};
//!
//! # async fn example(provider: Arc<dyn Provider>) -> Result<(), Box<dyn std::error::Error>> {
//! let settings = HttpSettings::new();
//! let http = Arc::new(TokenClient::with(settings.clone())?);
//! let manager = TokenManager::builder(http).build();
//! let source = manager.source(provider, TokenRequest::new().scope("data-export"));
//!
//! let clients = ApiClients::with(settings)?;
//! let client = clients.client(source).max_concurrent_requests(10);
//! let exports = client.get("/v1/exports").send().await?.error_for_status()?;
//! # Ok(())
//! # }
//! ```
//!
//! A 401 costs one fetch and one replay, if the body can be sent again. Nothing else is tried again,
//! every other answer is handed over as it is, and nothing is ever sent without a token or to
//! another origin than the API's.
//!
//! TLS is rustls's, with the certificates that the platform trusts and those of
//! [`HttpSettings::extra_ca`], and has no off switch.

mod api_client;
mod body;
mod connections;
mod failure;
mod limit;
mod middleware;
mod needs;
mod pool;
mod recent;
mod server;
mod settings;
mod token_client;

pub use self::{
    api_client::ApiClient,
    connections::ApiClients,
    middleware::{TokenMiddleware, token_error},
    settings::{
        DEFAULT_CONNECT_TIMEOUT, DEFAULT_MAX_BODY, DEFAULT_READ_TIMEOUT, DEFAULT_TIMEOUT,
        HttpSettings,
    },
    token_client::TokenClient,
};
/// The crates whose types stand in this one's signatures.
pub use {reqwest, reqwest_middleware};
