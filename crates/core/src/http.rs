//! [`HttpClient`]: how token requests leave the process.

use std::{fmt, hash::Hash, mem, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

use crate::{Error, pem_blocks};

/// Sends one token request and reads the whole response.
///
/// Only the implementation enforces the limits of the network: no redirects, a connect and a total
/// timeout, and a limit of the body that is counted while it streams. Every response with a status is
/// `Ok`, including 4xx and 5xx. An implementation presents the [`ClientIdentity`] among the request's
/// extensions, and keeps connections of different identities apart.
#[async_trait]
pub trait HttpClient: fmt::Debug + Send + Sync + 'static {
    /// Sends `request`.
    ///
    /// # Errors
    /// [`Unreachable`](crate::ErrorKind::Unreachable) without a complete response.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error>;
}

/// A client certificate and its key in PEM, for mutual TLS (RFC 8705).
#[derive(Clone)]
pub struct ClientIdentity {
    pem: Arc<SecretSlice<u8>>,
    fingerprint: [u8; 32],
}

impl ClientIdentity {
    /// A certificate chain and its private key, in one PEM text ([`pem_blocks`]).
    #[must_use]
    pub fn from_pem(pem: impl Into<Vec<u8>>) -> Self {
        use sha2::Digest;
        let mut pem = pem_blocks(&Zeroizing::new(pem.into()));
        let fingerprint = sha2::Sha256::digest(&pem).into();
        Self {
            pem: Arc::new(mem::take(&mut *pem).into()),
            fingerprint,
        }
    }

    /// The PEM text, including the private key.
    #[must_use]
    pub fn expose_pem(&self) -> &[u8] {
        self.pem.expose_secret()
    }
}

impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for ClientIdentity {}

impl Hash for ClientIdentity {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity([redacted])")
    }
}
