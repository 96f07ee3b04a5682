//! Biped on reqwest: [`TokenClient`] sends token requests.
//!
//! TLS is rustls's, with the certificates that the platform trusts, and has no off switch.

mod failure;
mod pool;
mod settings;
mod token_client;

pub use self::{
    settings::{
        DEFAULT_CONNECT_TIMEOUT, DEFAULT_MAX_BODY, DEFAULT_READ_TIMEOUT, DEFAULT_TIMEOUT,
        HttpSettings,
    },
    token_client::TokenClient,
};
