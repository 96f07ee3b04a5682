//! [`HttpClient`]: how token requests leave the process.

use std::{fmt, hash::Hash, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretSlice};
use url::{Host, Url};

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

/// Whether a token or a secret may be sent to `url`: https, or http to this very machine, and no
/// user name in it.
///
/// # Errors
/// [`Configuration`](crate::ErrorKind::Configuration), saying what is wrong with it.
pub fn check_secure(url: &Url) -> Result<(), Error> {
    let refuse = |what: &str| Error::configuration(format!("{} {what}", redacted_url(url)));
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("has a user name in it")
            .with_remedy("give credentials as client_id and client_secret"));
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err(refuse("is not https").with_remedy(
            "secrets and tokens travel over https only (http to loopback is allowed)",
        )),
        _ => Err(refuse("is not an https address")),
    }
}

/// Whether `url` names this very machine: `localhost`, `127.0.0.0/8` or `::1`. Names below
/// `localhost` are not: where the system's resolver doesn't know better, a name server answers.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A URL as it may be shown: without user name, query and fragment, where secrets hide.
#[must_use]
pub fn redacted_url(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}
