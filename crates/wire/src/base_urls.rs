//! [`BaseUrls`]: which base URLs a vendor's answers may name.

use std::fmt;

use biped_redact::vendor_text;
use url::Url;

use biped_error::Error;

use crate::{check_secure, is_loopback, redacted_url};

/// Which base URLs a vendor's answers may name (`Provider::base_urls`).
///
/// ```
/// use biped_core::BaseUrls;
/// use url::Url;
///
/// let endpoint = Url::parse("https://login.vendor.example/token")?;
/// let named = BaseUrls::at(&["*.vendor.example"], &endpoint);
/// assert!(named.read("https://eu.vendor.example/v2").is_ok());
/// assert!(named.read("https://eu.vendor.example.evil.example").is_err());
/// assert!(BaseUrls::none().read("https://eu.vendor.example/v2").is_err());
/// # Ok::<(), url::ParseError>(())
/// ```
#[derive(Clone, Default)]
pub struct BaseUrls {
    hosts: Vec<Box<str>>,
    /// Whether a base URL may be on this machine, as the token endpoint is.
    loopback: bool,
    fixed: Option<Url>,
}

impl BaseUrls {
    /// Allows no base URL: the vendor's answers don't name one.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Allows base URLs at one of `hosts`: `vendor.example` is exactly that host, `*.vendor.example`
    /// every host below it. They must be https, on the default port, without user name, query and
    /// fragment. If the token endpoint is on loopback, as in tests and with the sandbox, a base URL
    /// may be any loopback address instead.
    #[must_use]
    pub fn at(hosts: &[impl AsRef<str>], token_endpoint: &Url) -> Self {
        Self {
            hosts: hosts.iter().map(|host| host.as_ref().into()).collect(),
            loopback: is_loopback(token_endpoint),
            fixed: None,
        }
    }

    /// Allows only this base URL, which comes from the configuration: every token carries it.
    #[must_use]
    pub fn fixed(url: Url) -> Self {
        Self {
            fixed: Some(url),
            ..Self::default()
        }
    }

    /// Returns whether no answer may name a base URL.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.hosts.is_empty() && !self.loopback && self.fixed.is_none()
    }

    /// Returns the base URL that every token carries, if it is [`fixed`](Self::fixed).
    #[must_use]
    pub fn fixed_url(&self) -> Option<&Url> {
        self.fixed.as_ref()
    }

    /// Reads the base URL in an answer, and checks it before any token is sent there.
    ///
    /// # Errors
    /// [`InvalidResponse`](biped_error::ErrorKind::InvalidResponse), which says what is wrong with it.
    pub fn read(&self, text: &str) -> Result<Url, Error> {
        let refused = |why: String| Error::invalid_response(format!("the vendor's base URL {why}"));
        let refuse = |why| Err(refused(why).with_remedy("ask the vendor; no token was sent there"));
        let Ok(url) = Url::parse(text.trim()) else {
            return refuse("is not a valid URL".into());
        };
        if self.fixed.as_ref() == Some(&url) {
            return Ok(url);
        }
        let shown = vendor_text(&redacted_url(&url)).unwrap_or_default();
        if url.query().is_some() || url.fragment().is_some() {
            return refuse(format!("contains a query or a fragment: {shown}"));
        }
        if let Err(error) = check_secure(&url) {
            return refuse(format!("can't be trusted: {}", error.message()));
        }
        if is_loopback(&url) {
            return if self.loopback {
                Ok(url)
            } else {
                refuse(format!(
                    "is on this machine, but its token endpoint is not: {shown}"
                ))
            };
        }
        if url.port().is_some() {
            return refuse(format!("has a port: {shown}"));
        }
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let mut hosts = self.hosts.iter();
        if hosts.any(|pattern| host_matches(host, pattern)) {
            Ok(url)
        } else {
            Err(
                refused(format!("is outside the vendor's hosts: {shown}")).with_remedy(
                    "ask the vendor, or add the host to base_url_hosts if you trust it; no token was \
                     sent there",
                ),
            )
        }
    }

    /// Returns whether an answer may name the origin of `url` as the API's.
    #[must_use]
    pub fn covers(&self, url: &Url) -> bool {
        match &self.fixed {
            Some(fixed) => fixed.origin() == url.origin(),
            None => self.read(&url.origin().ascii_serialization()).is_ok(),
        }
    }

    /// Returns whether a call to the whole URL `url` is allowed before a token says where the API is.
    #[must_use]
    pub fn allows_url(&self, url: &Url, configured: Option<&Url>) -> bool {
        // A base URL that every token carries takes precedence over the configured one.
        let configured = configured.filter(|_| self.fixed.is_none());
        configured.is_some_and(|base| base.origin() == url.origin()) || self.covers(url)
    }
}

/// Shows URLs without the parts that may hold a secret.
impl fmt::Debug for BaseUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BaseUrls")
            .field("hosts", &self.hosts)
            .field("loopback", &self.loopback)
            .field("fixed", &self.fixed.as_ref().map(redacted_url))
            .finish()
    }
}

/// Returns whether `host` is `pattern`, or below it if the pattern starts with `*.`.
#[must_use]
pub fn host_matches(host: &str, pattern: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(parent) => host
            .strip_suffix(parent)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|below| !below.is_empty()),
        None => host == pattern,
    }
}
