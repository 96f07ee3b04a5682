//! Biped on reqwest: [`TokenClient`] sends token requests, [`ApiClient`] calls an API with the
//! tokens.
//!
//! | for | read |
//! | --- | --- |
//! | calls of one vendor's API, by path | [`ApiClient`]; an application gets it from `biped.client("shop")?` |
//! | calls in your own middleware stack, and the order of retries and tracing | [`TokenMiddleware`] |
//! | redirects, time limits, certificates, shared connections | [`ApiClients`] |
//! | why a call has no token, or no connection | [`token_error`], [`connection_error`] |
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
//! After a 401 one new token is fetched, and the request is sent once more if its body allows it.
//! Nothing else is retried. Every other response is returned unchanged. No request is sent without a
//! token, or to another origin than the API's.
//!
//! TLS uses rustls, with the platform's trusted certificates and those of [`HttpSettings::extra_ca`].
//! It can't be switched off.

mod api_client;
mod body;
mod connections;
mod decode;
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
    failure::connection_error,
    middleware::{TokenMiddleware, token_error},
    settings::{
        DEFAULT_CONNECT_TIMEOUT, DEFAULT_MAX_BODY, DEFAULT_PING_INTERVAL, DEFAULT_READ_TIMEOUT,
        DEFAULT_TIMEOUT, HttpSettings, ProxySetting,
    },
    token_client::TokenClient,
};
/// The crates whose types are part of this crate's API.
pub use {reqwest, reqwest_middleware};
