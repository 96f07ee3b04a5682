//! [`PlainHttp`]: the servers that a configuration trusts without TLS.

use std::fmt;

use url::{Host, Url};

use biped_error::Error;

use crate::check_secure;

/// The servers that secrets and tokens may be sent to in plain http, by exact host and port: those of a
/// service mesh, which encrypts what its applications send in clear
/// (`Provider::plain_http`).
///
/// It concerns what the configuration names. An address in a vendor's answer is never one of these, except
/// at the origin of the configured issuer.
///
/// ```
/// use biped_core::PlainHttp;
/// use url::Url;
///
/// let plain = PlainHttp::new(["keycloak.auth.svc:8080"])?;
/// assert!(plain.check(&Url::parse("http://keycloak.auth.svc:8080/token")?).is_ok());
/// assert!(plain.check(&Url::parse("http://keycloak.auth.svc/token")?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainHttp(Vec<(Host, u16)>);

impl PlainHttp {
    /// Creates the list of the servers at these hosts and ports, such as `keycloak.auth.svc:8080`
    /// or `[fd00::1]:8080`.
    ///
    /// # Errors
    /// [`Configuration`](biped_error::ErrorKind::Configuration) if one is not a host with a port.
    pub fn new(servers: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, Error> {
        let all: Option<_> = servers
            .into_iter()
            .map(|server| server_of(server.as_ref()))
            .collect();
        all.map(Self).ok_or_else(|| {
            Error::configuration("expected a host and a port, such as keycloak.auth.svc:8080")
                .with_remedy("name each server in full, without http:// and path")
        })
    }

    /// Checks that a token or a secret may be sent to `url`, as [`check_secure`] does, or because it is
    /// listed here.
    ///
    /// # Errors
    /// [`Configuration`](biped_error::ErrorKind::Configuration), which says what is wrong with it.
    pub fn check(&self, url: &Url) -> Result<(), Error> {
        let has_user = !url.username().is_empty() || url.password().is_some();
        if url.scheme() == "http" && !has_user && self.lists(url) {
            return Ok(());
        }
        check_secure(url)
    }

    /// Checks a URL with a list that may be missing: then with [`check_secure`] alone.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_with(servers: Option<&Self>, url: &Url) -> Result<(), Error> {
        servers.map_or_else(|| check_secure(url), |servers| servers.check(url))
    }

    fn lists(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        url.host().is_some_and(|host| {
            let mut all = self.0.iter();
            all.any(|(listed, at)| Some(*at) == port && *listed == host.to_owned())
        })
    }

    /// Returns what to tell people when a provider with this list is started or checked; `None` for an
    /// empty list.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| {
            format!(
                "secrets and tokens go to {self} in plain http; leave plain_http out unless a service \
                 mesh encrypts them"
            )
        })
    }
}

impl fmt::Display for PlainHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (host, port)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{host}:{port}")?;
        }
        Ok(())
    }
}

fn server_of(text: &str) -> Option<(Host, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    // A URL's parser would accept more: user names, paths, a missing port.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if !host.chars().all(is_plain) || !port.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((Host::parse(&host.to_ascii_lowercase()).ok()?, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> PlainHttp {
        PlainHttp::new(["Keycloak.auth.svc:8080", "[fd00::1]:80", "10.0.0.7:81"]).unwrap()
    }

    #[test]
    fn only_listed_hosts_and_ports_are_asked_without_tls() {
        for (url, allowed) in [
            ("http://keycloak.auth.svc:8080/token", true),
            ("https://keycloak.auth.svc:8080/token", true),
            ("http://[fd00::1]/token", true),
            ("http://10.0.0.7:81/token", true),
            ("http://localhost:1/token", true),
            ("http://keycloak.auth.svc/token", false),
            ("http://keycloak.auth.svc:8081/token", false),
            ("http://keycloak.auth.svc.:8080/token", false),
            ("http://a.keycloak.auth.svc:8080/token", false),
            ("http://keycloak.auth.svc.evil.example:8080/", false),
            ("http://user@keycloak.auth.svc:8080/token", false),
            ("http://:word@keycloak.auth.svc:8080/token", false),
            ("ftp://keycloak.auth.svc:8080/token", false),
        ] {
            let checked = plain().check(&Url::parse(url).unwrap());
            assert_eq!(checked.is_ok(), allowed, "{url}: {checked:?}");
        }
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        for wrong in [
            "",
            "keycloak.auth.svc",
            "keycloak.auth.svc:",
            ":8080",
            "keycloak.auth.svc:0",
            "keycloak.auth.svc:70000",
            "keycloak.auth.svc:+80",
            "http://keycloak.auth.svc:8080",
            "keycloak.auth.svc:8080/path",
            "user@keycloak.auth.svc:8080",
            "*.auth.svc:8080",
            "fd00::1",
            " keycloak.auth.svc:8080",
        ] {
            let error = PlainHttp::new([wrong]).unwrap_err();
            assert!(error.to_string().contains("host and a port"), "{wrong}");
        }
    }

    #[test]
    fn what_goes_in_clear_is_named_in_a_warning() {
        let warning = plain().warning().unwrap();
        assert!(
            warning.contains("keycloak.auth.svc:8080, [fd00::1]:80, 10.0.0.7:81"),
            "{warning}"
        );
        assert_eq!(PlainHttp::new([""; 0]).unwrap().warning(), None);
    }
}
