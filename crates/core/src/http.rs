//! [`HttpClient`]: how token requests leave the process.

use std::{fmt, hash::Hash, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretSlice};

use crate::Error;

/// Sends one token request and reads its whole answer.
///
/// An implementation enforces the limits of the wire, since nobody else does: no redirects, a
/// connect and a total timeout, a bound on the body that is counted while it streams. Any answer
/// with a status is `Ok`, 4xx and 5xx included. It honours a [`ClientIdentity`] among the request's
/// extensions, and keeps connections of different identities apart.
#[async_trait]
pub trait HttpClient: fmt::Debug + Send + Sync + 'static {
    /// Sends `request`.
    ///
    /// # Errors
    /// [`Unreachable`](crate::ErrorKind::Unreachable) where no complete answer came.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error>;
}

/// A client certificate and its key in PEM, for mutual TLS (RFC 8705).
#[derive(Clone)]
pub struct ClientIdentity {
    pem: Arc<SecretSlice<u8>>,
    fingerprint: [u8; 32],
}

impl ClientIdentity {
    /// A certificate chain and its private key, in one PEM text.
    #[must_use]
    pub fn from_pem(pem: impl Into<Vec<u8>>) -> Self {
        use sha2::Digest;
        let pem: Vec<u8> = pem.into();
        let fingerprint = sha2::Sha256::digest(&pem).into();
        Self {
            pem: Arc::new(pem.into()),
            fingerprint,
        }
    }

    /// The PEM text, private key included.
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
