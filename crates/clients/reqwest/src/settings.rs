//! [`HttpSettings`]: what an operator may set about connections, once for all clients.

use std::{fmt, time::Duration};

use biped_core::{ClientIdentity, Error, ExposeSecret, SecretString, is_loopback};
use reqwest::{Certificate, ClientBuilder, Identity, Proxy};
use url::Url;

/// How long a connection may take to stand, TLS included: 10 s.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a token request may take in all, its whole answer included: 30 s.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an API may be silent: 30 s.
pub const DEFAULT_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer to a token request: 1 MiB.
pub const DEFAULT_MAX_BODY: usize = 1024 * 1024;

/// How connections are made, for token requests and API calls alike.
///
/// ```
/// use std::time::Duration;
/// use biped_reqwest::{HttpSettings, TokenClient};
///
/// let settings = HttpSettings::new().connect_timeout(Duration::from_secs(3)).no_proxy();
/// let client = TokenClient::with(settings)?;
/// # Ok::<(), biped_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct HttpSettings {
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) max_body: usize,
    extra_ca: Vec<Vec<u8>>,
    proxy: ProxySetting,
}

#[derive(Clone)]
enum ProxySetting {
    Environment,
    Direct,
    /// The URL may hold a password.
    At(SecretString),
}

/// What tells the connections to one server apart from others to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// Past the proxy that the settings name.
    direct: bool,
    identity: Option<ClientIdentity>,
}

impl HttpSettings {
    /// The defaults: the limits above, the platform's certificates, the environment's proxy.
    pub fn new() -> Self {
        Self {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            timeout: DEFAULT_TIMEOUT,
            read_timeout: DEFAULT_READ_TIMEOUT,
            max_body: DEFAULT_MAX_BODY,
            extra_ca: Vec::new(),
            proxy: ProxySetting::Environment,
        }
    }

    /// How long a connection may take to stand, TLS included. Default: 10 s.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// How long a token request may take in all. Default: 30 s. API calls have no such limit: set
    /// one on the call itself.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long an API may be silent before its headers, and between two pieces of its answer.
    /// Default: 30 s. It doesn't hold for token requests, whose whole time is bounded.
    pub fn read_timeout(mut self, read_timeout: Duration) -> Self {
        self.read_timeout = read_timeout;
        self
    }

    /// The largest answer to a token request, in bytes. Default: 1 MiB. Answers of APIs may have
    /// any size.
    pub fn max_body(mut self, max_body: usize) -> Self {
        self.max_body = max_body;
        self
    }

    /// Trusts the certificates in this PEM text, beside those that the platform trusts. Call it
    /// again for more.
    pub fn extra_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.extra_ca.push(pem.into());
        self
    }

    /// Sends everything through the proxy at this URL, which may hold a user name and a password.
    /// Default: what the environment says (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    ///
    /// Loopback is never reached through a proxy: plain http is allowed there because nobody
    /// listens on the way.
    pub fn proxy(mut self, url: impl Into<SecretString>) -> Self {
        self.proxy = ProxySetting::At(url.into());
        self
    }

    /// Uses no proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxySetting::Direct;
        self
    }

    /// How to connect to `url`, with this certificate.
    pub(crate) fn route(&self, url: &Url, identity: Option<&ClientIdentity>) -> Route {
        let direct = is_loopback(url) && !matches!(self.proxy, ProxySetting::Direct);
        Route {
            direct,
            identity: identity.cloned(),
        }
    }

    /// A builder with everything that token requests and API calls have in common.
    pub(crate) fn client_builder(&self, route: &Route) -> Result<ClientBuilder, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_rustls()
            .user_agent(concat!("biped/", env!("CARGO_PKG_VERSION")))
            .referer(false)
            .connect_timeout(self.connect_timeout);
        builder = match &self.proxy {
            _ if route.direct => builder.no_proxy(),
            ProxySetting::Environment => builder,
            ProxySetting::Direct => builder.no_proxy(),
            ProxySetting::At(url) => builder.proxy(proxy(url)?),
        };
        if !self.extra_ca.is_empty() {
            builder = builder.tls_certs_merge(self.certificates()?);
        }
        if let Some(identity) = &route.identity {
            // The cause is left out: nobody knows how much of a PEM text a parser's message shows.
            let identity = Identity::from_pem(identity.expose_pem()).map_err(|_| {
                Error::configuration("the client certificate can't be read")
                    .with_remedy("give a certificate chain and its unencrypted private key as PEM")
            })?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }

    fn certificates(&self) -> Result<Vec<Certificate>, Error> {
        let mut all = Vec::new();
        for pem in &self.extra_ca {
            let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(Error::configuration("extra_ca holds no certificate")
                    .with_remedy("give PEM text, with a BEGIN CERTIFICATE line"));
            }
            all.extend(certificates);
        }
        Ok(all)
    }
}

/// Neither the URL nor the parser's message is shown: both may hold the proxy's password.
fn proxy(url: &SecretString) -> Result<Proxy, Error> {
    Proxy::all(url.expose_secret()).map_err(|_| {
        Error::configuration("the proxy's address is no URL")
            .with_remedy("write it as http://host:port")
    })
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = match &self.proxy {
            ProxySetting::Environment => "environment",
            ProxySetting::Direct => "none",
            ProxySetting::At(_) => "[redacted]",
        };
        f.debug_struct("HttpSettings")
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("read_timeout", &self.read_timeout)
            .field("max_body", &self.max_body)
            .field("extra_ca", &self.extra_ca.len())
            .field("proxy", &proxy)
            .finish()
    }
}
