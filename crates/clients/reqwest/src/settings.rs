//! [`HttpSettings`]: the settings of connections, shared by all clients.

use std::{fmt, time::Duration};

use biped_core::{
    ClientIdentity, Error, ExposeSecret, SecretString, is_loopback, is_on_host, pem_blocks,
};
use reqwest::{Certificate, ClientBuilder, Identity, Proxy};
use url::Url;

/// How long connecting may take, including TLS: 10 s.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a token request may take, including its whole response: 30 s.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an API may send nothing: 30 s.
pub const DEFAULT_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// After how much silence an HTTP/2 connection is checked, and how long it may take to respond: 10 s.
pub const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(10);

/// The largest response to a token request: 1 MiB.
pub const DEFAULT_MAX_BODY: usize = 1024 * 1024;

/// The settings of connections, for token requests and API calls.
///
/// ```
/// use std::time::Duration;
/// use biped_reqwest::{HttpSettings, TokenClient};
///
/// let settings = HttpSettings::new().connect_timeout(Duration::from_secs(3)).no_proxy();
/// let client = TokenClient::with(settings)?;
/// # Ok::<(), biped_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct HttpSettings {
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) read_timeout: Duration,
    ping_interval: Duration,
    pub(crate) max_body: usize,
    extra_ca: Vec<Vec<u8>>,
    proxy: ProxySetting,
}

/// Which proxy connections use.
#[derive(Clone)]
#[non_exhaustive]
pub enum ProxySetting {
    /// That of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    Environment,
    /// None.
    Direct,
    /// The proxy at this URL, which may contain a password.
    At(SecretString),
}

/// What distinguishes connections to the same server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// Without the proxy of the settings.
    direct: bool,
    identity: Option<ClientIdentity>,
}

impl HttpSettings {
    /// Returns the defaults: the limits above, the platform's certificates and the environment's proxy.
    pub fn new() -> Self {
        Self {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            timeout: DEFAULT_TIMEOUT,
            read_timeout: DEFAULT_READ_TIMEOUT,
            ping_interval: DEFAULT_PING_INTERVAL,
            max_body: DEFAULT_MAX_BODY,
            extra_ca: Vec::new(),
            proxy: ProxySetting::Environment,
        }
    }

    /// Sets how long connecting may take, including TLS. Default: 10 s.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Sets how long a token request may take in total. Default: 30 s. It does not apply to API calls;
    /// set a timeout on the call itself.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long an API may send nothing, before the headers and between chunks of its response.
    /// Default: 30 s. It does not apply to token requests, whose total time is limited.
    pub fn read_timeout(mut self, read_timeout: Duration) -> Self {
        self.read_timeout = read_timeout;
        self
    }

    /// Sets after how much silence an HTTP/2 connection is checked with a ping, and how long the reply
    /// may take. Default: 10 s. A connection without a reply is closed, its requests fail, and the next
    /// request opens another one. Idle connections are checked as well, so that a connection that a
    /// firewall dropped is found before the next request.
    pub fn ping_interval(mut self, ping_interval: Duration) -> Self {
        self.ping_interval = ping_interval;
        self
    }

    /// Sets the largest response to a token request, in bytes, compressed and decoded. Default: 1 MiB.
    /// The responses of APIs have no limit.
    pub fn max_body(mut self, max_body: usize) -> Self {
        self.max_body = max_body;
        self
    }

    /// Forgets the certificates that [`extra_ca`](Self::extra_ca) added.
    pub fn without_extra_ca(mut self) -> Self {
        self.extra_ca.clear();
        self
    }

    /// Trusts the certificates in this PEM text, in addition to the platform's. Call it again to add
    /// more.
    pub fn extra_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.extra_ca.push(pem.into());
        self
    }

    /// Sends all requests through the proxy at this URL, which may contain a user name and a password.
    /// Default: the proxy of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    ///
    /// The scheme is `http`, `https`, `socks4`, `socks4a`, `socks5` or `socks5h`. With `socks4a` and
    /// `socks5h` the proxy resolves host names. Any other scheme here is an error; a proxy of the
    /// environment with another scheme is ignored.
    ///
    /// Requests to loopback never use a proxy: plain http is allowed there only because the data stays
    /// on this machine. Neither do requests to a metadata server of the platform.
    pub fn proxy(mut self, url: impl Into<SecretString>) -> Self {
        self.proxy = ProxySetting::At(url.into());
        self
    }

    /// Uses no proxy, and ignores that of the environment.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxySetting::Direct;
        self
    }

    /// Returns the PEM texts that [`extra_ca`](Self::extra_ca) added.
    pub fn extra_cas(&self) -> impl Iterator<Item = &[u8]> {
        self.extra_ca.iter().map(Vec::as_slice)
    }

    /// Returns which proxy to use, for a client of your own. For
    /// some servers requests use none ([`is_near`](Self::is_near)).
    #[must_use]
    pub fn proxy_setting(&self) -> &ProxySetting {
        &self.proxy
    }

    /// Returns whether requests to `url` use no proxy, whatever the settings say: those to loopback and
    /// to a metadata server of the platform.
    #[must_use]
    pub fn is_near(url: &Url) -> bool {
        is_loopback(url) || is_on_host(url)
    }

    /// Returns how long connecting may take.
    #[must_use]
    pub fn connect_limit(&self) -> Duration {
        self.connect_timeout
    }

    /// Returns how to connect to `url` with this certificate.
    pub(crate) fn route(&self, url: &Url, identity: Option<&ClientIdentity>) -> Route {
        let direct = Self::is_near(url) && !matches!(self.proxy, ProxySetting::Direct);
        Route {
            direct,
            identity: identity.cloned(),
        }
    }

    /// Returns a builder with the settings that token requests and API calls share.
    pub(crate) fn client_builder(&self, route: &Route) -> Result<ClientBuilder, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_rustls()
            .user_agent(concat!("biped/", env!("CARGO_PKG_VERSION")))
            .referer(false)
            .connect_timeout(self.connect_timeout)
            // Some servers write `Name : value`.
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http2_keep_alive_interval(self.ping_interval)
            .http2_keep_alive_timeout(self.ping_interval)
            .http2_keep_alive_while_idle(true);
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
            // The cause is dropped, because a parser's message may show parts of the PEM text.
            let identity = Identity::from_pem(identity.expose_pem()).map_err(|_| {
                Error::configuration("the client certificate can't be read")
                    .with_remedy("give a certificate chain and its unencrypted private key as PEM")
            })?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }

    /// Returns an error if the proxy's address can't be used.
    pub(crate) fn check_proxy(&self) -> Result<(), Error> {
        match &self.proxy {
            ProxySetting::At(url) => proxy(url).map(drop),
            ProxySetting::Environment | ProxySetting::Direct => Ok(()),
        }
    }

    fn certificates(&self) -> Result<Vec<Certificate>, Error> {
        let mut all = Vec::new();
        for pem in &self.extra_ca {
            let certificates = Certificate::from_pem_bundle(&pem_blocks(pem)).unwrap_or_default();
            if certificates.is_empty() {
                return Err(
                    Error::configuration("extra_ca does not contain a certificate")
                        .with_remedy("give PEM text with a BEGIN CERTIFICATE line"),
                );
            }
            all.extend(certificates);
        }
        Ok(all)
    }
}

/// The schemes of proxies, as they are written in a URL.
const PROXY_SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// Shows neither the URL nor the parser's message, because both may contain the proxy's password.
fn proxy(url: &SecretString) -> Result<Proxy, Error> {
    let url = url.expose_secret().trim();
    let remedy = format!(
        "write it as http://host:port; expected one of the schemes {}",
        PROXY_SCHEMES.join(", ")
    );
    // reqwest connects directly if it does not know the scheme.
    let scheme = url.split_once("://").map_or("http", |(scheme, _)| scheme);
    if !PROXY_SCHEMES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme))
    {
        return Err(
            Error::configuration("the proxy's address has an unknown scheme").with_remedy(remedy),
        );
    }
    Proxy::all(url).map_err(|_| {
        Error::configuration("the proxy's address is not a valid URL").with_remedy(remedy)
    })
}

impl PartialEq for ProxySetting {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Environment, Self::Environment) | (Self::Direct, Self::Direct) => true,
            (Self::At(url), Self::At(other)) => url.expose_secret() == other.expose_secret(),
            _ => false,
        }
    }
}

impl Eq for ProxySetting {}

/// Without the URL, which may contain a password.
impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::Direct => "none",
            Self::At(_) => "[redacted]",
        })
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("read_timeout", &self.read_timeout)
            .field("ping_interval", &self.ping_interval)
            .field("max_body", &self.max_body)
            .field("extra_ca", &self.extra_ca.len())
            .field("proxy", &self.proxy)
            .finish()
    }
}
