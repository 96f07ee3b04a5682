//! Biped on reqwest: [`TokenClient`] sends token requests, [`ApiClient`] calls an API with the
//! tokens.
//!
//! ```no_run
//! use std::sync::Arc;
//! use biped_core::{Provider, TokenManager, TokenRequest};
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
//! An application that has a [`ClientWithMiddleware`](reqwest_middleware::ClientWithMiddleware)
//! puts [`TokenMiddleware`] into it instead.
//!
//! TLS is rustls's, with the certificates that the platform trusts and those of
//! [`HttpSettings::extra_ca`], and has no off switch.

mod api_client;
mod body;
mod connections;
mod failure;
mod limit;
mod middleware;
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
