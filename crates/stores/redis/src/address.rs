//! [`Address`]: the URLs of a server, checked, and what they lead to.

use biped_core::{Error, ExposeSecret, SecretString, pem_blocks};
use redis::{
    Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisError, TlsCertificates,
};
use url::Url;

#[cfg(feature = "cluster")]
use crate::cluster::Nodes;
use crate::connection::kept_alive;
#[cfg(feature = "sentinel")]
use crate::sentinel::{Sentinel, Sentinels};

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Where the tokens are.
#[derive(Clone)]
pub(crate) enum Target {
    One(Client),
    #[cfg(feature = "cluster")]
    Cluster(Nodes),
    #[cfg(feature = "sentinel")]
    Sentinel(Sentinels),
}

/// The address of a server, of a cluster or of sentinels.
pub(crate) struct Address {
    pub(crate) target: Target,
    /// The URLs without users and passwords.
    pub(crate) shown: String,
}

/// Checked URLs, which have their scheme and their credentials in common.
struct Checked {
    all: Vec<ConnectionInfo>,
    shown: String,
    is_tls: bool,
    pem: Option<Vec<u8>>,
}

impl Address {
    /// The address in a URL. `pem` holds certificates of the authorities that may vouch for the server,
    /// instead of the platform's.
    pub(crate) fn new(url: &SecretString, pem: Option<Vec<u8>>) -> Result<Self, Error> {
        let checked = Checked::new(std::slice::from_ref(url), pem)?;
        let Checked {
            all,
            shown,
            is_tls,
            pem,
        } = checked;
        let Some(info) = all.into_iter().next() else {
            return Err(Error::configuration("no URL of a Redis server is given"));
        };
        let client = if is_tls {
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: pem,
            };
            Client::build_with_tls(info, certificates)
        } else {
            Client::open(info)
        };
        let client = client.map_err(|error| refused(&shown, &error))?;
        Ok(Self {
            target: Target::One(client),
            shown,
        })
    }

    /// The nodes of a cluster.
    #[cfg(feature = "cluster")]
    pub(crate) fn cluster(urls: &[SecretString], pem: Option<Vec<u8>>) -> Result<Self, Error> {
        let checked = Checked::new(urls, pem)?;
        if checked
            .all
            .iter()
            .any(|info| info.redis_settings().db() != 0)
        {
            return Err(Error::configuration(
                "the URL of a node of a Redis cluster names a database, and a cluster has only 0",
            )
            .with_remedy("remove the number from the URLs"));
        }
        let nodes = Nodes {
            all: checked.all,
            pem: checked.pem,
        };
        // A cluster refuses some combinations by itself.
        redis::cluster::ClusterClient::new(nodes.all.clone())
            .map_err(|error| refused(&checked.shown, &error))?;
        Ok(Self {
            target: Target::Cluster(nodes),
            shown: checked.shown,
        })
    }

    /// Sentinels.
    #[cfg(feature = "sentinel")]
    pub(crate) fn sentinel(
        urls: &[SecretString],
        pem: Option<Vec<u8>>,
        settings: Sentinel,
    ) -> Result<Self, Error> {
        let checked = Checked::new(urls, pem)?;
        Ok(Self {
            target: Target::Sentinel(Sentinels {
                all: checked.all,
                is_tls: checked.is_tls,
                pem: checked.pem,
                settings,
            }),
            shown: checked.shown,
        })
    }
}

fn refused(shown: &str, error: &RedisError) -> Error {
    let category = error.category();
    Error::configuration(format!(
        "the Redis server at {shown} can't be used: {category}"
    ))
}

impl Checked {
    fn new(urls: &[SecretString], pem: Option<Vec<u8>>) -> Result<Self, Error> {
        let pem = pem.map(|pem| pem_blocks(&pem).to_vec());
        let has_certificate = |pem: &Vec<u8>| pem.windows(BEGIN.len()).any(|text| text == BEGIN);
        if pem.as_ref().is_some_and(|pem| !has_certificate(pem)) {
            return Err(Error::configuration(
                "the certificates for the Redis server are not certificates in PEM",
            ));
        }
        let parsed: Vec<Url> = urls.iter().map(parse).collect::<Result<_, _>>()?;
        let Some(first) = parsed.first() else {
            return Err(Error::configuration(
                "the list of URLs of Redis servers is empty",
            ));
        };
        let common = |url: &Url| {
            let (user, password) = (url.username().to_owned(), url.password().map(str::to_owned));
            (
                url.scheme().to_owned(),
                user,
                password,
                url.path().to_owned(),
            )
        };
        if parsed.iter().any(|url| common(url) != common(first)) {
            return Err(Error::configuration(
                "the URLs of the Redis servers differ in more than the host and the port",
            )
            .with_remedy("give all the same scheme, user, password and database"));
        }
        let shown: Vec<_> = parsed.iter().map(biped_core::redacted_url).collect();
        let shown = shown.join(", ");
        let is_tls = first.scheme() == "rediss";
        if pem.is_some() && !is_tls {
            return Err(Error::configuration(format!(
                "the Redis server at {shown} is used without TLS, but certificates are set"
            ))
            .with_remedy("use rediss:// in its URL, or remove the certificates"));
        }
        if is_tls {
            choose_cryptography();
        }
        let info = |url: &SecretString| {
            let info = url.expose_secret().into_connection_info();
            let info = info.map_err(|error| refused(&shown, &error))?;
            // RESP3 needs one connection for responses and messages. A user's ACL may forbid CLIENT SETINFO.
            let settings = info
                .redis_settings()
                .clone()
                .set_protocol(ProtocolVersion::RESP3)
                .set_skip_set_lib_name();
            let info = info.set_tcp_settings(kept_alive());
            Ok(info.set_redis_settings(settings))
        };
        let all = urls.iter().map(info).collect::<Result<_, Error>>()?;
        Ok(Self {
            all,
            shown,
            is_tls,
            pem,
        })
    }
}

/// Parses and checks the URL. Errors don't show it, since it may hold a password.
fn parse(url: &SecretString) -> Result<Url, Error> {
    let refused = |why: &str| {
        Err(
            Error::configuration(format!("the URL of the Redis server {why}")).with_remedy(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_kept_alive() {
        let url = "redis://localhost".to_owned().into();
        let Target::One(client) = Address::new(&url, None).unwrap().target else {
            panic!("it is one server");
        };
        let settings = client.get_connection_info().tcp_settings();
        assert!(settings.keepalive().is_some());
    }
}
