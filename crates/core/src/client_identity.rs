//! [`ClientIdentity`]: the client certificate that an [`HttpClient`](crate::HttpClient) presents.

use std::{fmt, hash::Hash, mem, sync::Arc};

use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

use crate::pem_blocks;

/// A client certificate and its key in PEM, for mutual TLS (RFC 8705).
#[derive(Clone)]
pub struct ClientIdentity {
    pem: Arc<SecretSlice<u8>>,
    fingerprint: [u8; 32],
}

impl ClientIdentity {
    /// Creates an identity of a certificate chain and its private key, in one PEM text ([`pem_blocks`]).
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

    /// Returns the PEM text, including the private key.
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
