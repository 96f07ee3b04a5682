//! [`HttpClient`]: how token requests leave the process.

use std::fmt;

use async_trait::async_trait;
use biped_error::Error;
use bytes::Bytes;

/// Sends one token request and reads the whole response.
///
/// Only the implementation enforces the limits of the network: no redirects, a connect and a total
/// timeout, and a limit of the body that is counted while it streams. Every response with a status is
/// `Ok`, including 4xx and 5xx. An implementation presents the `ClientIdentity` among the request's
/// extensions, and keeps connections of different identities apart.
#[async_trait]
pub trait HttpClient: fmt::Debug + Send + Sync + 'static {
    /// Sends `request`.
    ///
    /// # Errors
    /// [`Unreachable`](biped_error::ErrorKind::Unreachable) without a complete response.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error>;
}
