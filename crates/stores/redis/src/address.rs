//! [`Address`]: the URL of a server, checked, and the client that it makes.

use biped_core::{Error, ExposeSecret, SecretString, pem_blocks};
use redis::{Client, IntoConnectionInfo, ProtocolVersion, RedisError, TlsCertificates};
use url::Url;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The address of a server.
pub(crate) struct Address {
    pub(crate) client: Client,
    /// The URL without user and password.
    pub(crate) shown: String,
}

impl Address {
    /// The address in a URL. `pem` holds certificates of the authorities that may vouch for the server,
    /// instead of the platform's.
    pub(crate) fn new(url: &SecretString, pem: Option<Vec<u8>>) -> Result<Self, Error> {
        let pem = pem.map(|pem| pem_blocks(&pem).to_vec());
        let has_certificate = |pem: &Vec<u8>| pem.windows(BEGIN.len()).any(|text| text == BEGIN);
        if pem.as_ref().is_some_and(|pem| !has_certificate(pem)) {
            return Err(Error::configuration(
                "the certificates for the Redis are not certificates in PEM",
            ));
        }
        let parsed = parse(url)?;
        let shown = biped_core::redacted_url(&parsed);
        let refused = |error: &RedisError| {
            let category = error.category();
            Error::configuration(format!("the Redis at {shown} can't be used: {category}"))
        };
        let info = url.expose_secret().into_connection_info();
        let info = info.map_err(|error| refused(&error))?;
        // RESP3 needs one connection for responses and messages. A user's ACL may forbid CLIENT SETINFO.
        let settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        let info = info.set_redis_settings(settings);
        if pem.is_some() && parsed.scheme() != "rediss" {
            return Err(Error::configuration(format!(
                "the Redis at {shown} is used without TLS, but certificates are set"
            ))
            .with_remedy("use rediss:// in its URL, or remove the certificates"));
        }
        let client = if parsed.scheme() == "rediss" {
            choose_cryptography();
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: pem,
            };
            Client::build_with_tls(info, certificates)
        } else {
            Client::open(info)
        };
        let client = client.map_err(|error| refused(&error))?;
        Ok(Self { client, shown })
    }
}

/// Parses and checks the URL. Errors don't show it, since it may hold a password.
fn parse(url: &SecretString) -> Result<Url, Error> {
    let refused = |why: &str| {
        Err(
            Error::configuration(format!("the URL of the Redis {why}")).with_remedy(
                "use redis://user:password@host:6379/0, or rediss://… for TLS; escape special \
                 characters of the password (%40 for @)",
            ),
        )
    };
    let Ok(parsed) = Url::parse(url.expose_secret()) else {
        return refused("can't be read");
    };
    if !matches!(parsed.scheme(), "redis" | "rediss") {
        return refused("begins with neither redis:// nor rediss://");
    }
    if parsed.host_str().is_none_or(str::is_empty) {
        return refused("has no host");
    }
    let database = parsed.path().trim_start_matches('/');
    if !database.bytes().all(|byte| byte.is_ascii_digit()) {
        return refused("has a database that is not a number");
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        // A fragment could turn off the check of certificates.
        return refused("has a query or a fragment");
    }
    Ok(parsed)
}

/// Chooses a provider of cryptography: rustls panics if a program enables several and chooses none.
fn choose_cryptography() {
    use rustls::crypto::{CryptoProvider, aws_lc_rs};
    if CryptoProvider::get_default().is_none() {
        let _ = aws_lc_rs::default_provider().install_default();
    }
}
