//! [`Api`]: the API's address, and which other addresses may follow from it.

use biped_core::{Error, PlainHttp, check_secure, is_loopback};
use url::{Host, Url};

use crate::metadata::parse_issuer;

/// The API that tokens are for, by its URL.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    /// As it is configured, since a parsed URL may be spelt otherwise.
    text: String,
    /// Where its metadata is, instead of a search.
    metadata: Option<String>,
    /// Whether token requests name the API (RFC 8707).
    pub(crate) sends_resource: bool,
    /// The servers that are asked without TLS.
    pub(crate) plain_http: Option<PlainHttp>,
}

impl Api {
    pub(crate) fn new(text: String) -> Self {
        Self {
            text,
            metadata: None,
            sends_resource: true,
            plain_http: None,
        }
    }

    pub(crate) fn with_metadata(mut self, url: String) -> Self {
        self.metadata = Some(url);
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn has_fixed_metadata(&self) -> bool {
        self.metadata.is_some()
    }

    /// Parses the address: a base URL, to which calls add their query.
    pub(crate) fn url(&self) -> Result<Url, Error> {
        let wrong = |what: &str| Error::configuration(format!("api {what}"));
        let url = Url::parse(&self.text).map_err(|_| wrong("is not a valid URL"))?;
        PlainHttp::check_with(self.plain_http.as_ref(), &url)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must not have a query or a fragment"));
        }
        Ok(url)
    }

    /// Returns the configured address of the metadata, which is at the API's origin.
    pub(crate) fn fixed_metadata(&self) -> Option<Result<Url, Error>> {
        let text = self.metadata.as_deref()?;
        Some(self.own_address(text).ok_or_else(|| {
            Error::configuration("resource_metadata is not a URL of the API's origin")
        }))
    }

    /// Parses an address of the API's origin.
    pub(crate) fn own_address(&self, text: &str) -> Option<Url> {
        let api = self.url().ok()?;
        let url = Url::parse(text).ok()?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        (is_plain && url.fragment().is_none() && url.origin() == api.origin()).then_some(url)
    }

    /// Whether a resource of this name includes the API: it is the API, or of its origin with a path
    /// that the API's path continues at a slash. RFC 9728 §3.3 alone would refuse most servers.
    pub(crate) fn is_within(&self, resource: &str) -> bool {
        if resource == self.text {
            return true;
        }
        let is_text = resource.bytes().all(|byte| byte.is_ascii_graphic());
        let Some(resource) = self.own_address(resource).filter(|_| is_text) else {
            return false;
        };
        let Ok(api) = self.url() else { return false };
        let rest = api.path().strip_prefix(resource.path());
        let continues =
            |rest: &str| rest.is_empty() || rest.starts_with('/') || resource.path().ends_with('/');
        resource.query().is_none() && rest.is_some_and(continues)
    }
}

/// Checks an issuer that only the API names: it must not lead to a machine of the caller's network,
/// unless the API itself is there.
pub(super) fn check_found_issuer(issuer: &str, api: &Api) -> Result<(), Error> {
    let refuse = |what: &str| {
        Err(Error::configuration(format!(
            "the authorization server that the API names {what}"
        ))
        .with_remedy("if you trust it, set issuer"))
    };
    if !issuer.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("is not a valid URL");
    }
    let Ok(url) = parse_issuer(issuer, check_secure) else {
        return refuse("is not an https URL without query and fragment");
    };
    let api = api.url()?;
    if is_local(&url) && is_local(&api) {
        return Ok(());
    }
    if is_local(&url) {
        return refuse("is on this machine, but the API is not");
    }
    if is_address(&url) && !is_address(&api) {
        return refuse("is an IP address, but the API's host is a name");
    }
    Ok(())
}

fn is_address(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)))
}

/// Whether the host may be this machine, however some resolvers read it.
fn is_local(url: &Url) -> bool {
    let name = match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.').to_ascii_lowercase(),
        _ => String::new(),
    };
    is_loopback(url) || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_includes_the_api_if_its_path_continues_at_a_slash() {
        let api = Api::new("https://api.example/v2/crm".into());
        for within in [
            "https://api.example/v2/crm",
            "https://api.example/v2/",
            "https://api.example/v2",
            "https://api.example/",
            "https://api.example",
            "https://API.example:443/v2",
        ] {
            assert!(api.is_within(within), "{within}");
        }
        for other in [
            "https://api.example/v",
            "https://api.example/v2/crm/",
            "https://api.example/v2/crm/x",
            "https://api.example//",
            "https://api.example/v2?x",
            "https://api.example/v2#x",
            "https://api.example:8443/v2",
            "https://user@api.example/v2",
            "http://api.example/v2",
            "https://api.example.evil.example/v2",
            "https://evil.example/v2",
            "//api.example/v2",
            "/v2",
            "https://api.example/v2\n",
            "",
        ] {
            assert!(!api.is_within(other), "{other}");
        }
    }

    #[test]
    fn an_issuer_that_only_the_api_names_is_not_in_the_callers_network() {
        let remote = Api::new("https://api.example/v2".into());
        assert!(check_found_issuer("https://login.example/t", &remote).is_ok());
        for issuer in [
            "https://10.0.0.1",
            "https://169.254.169.254",
            "https://[fd00::1]",
            "https://2130706433",
            "https://0x7f.1",
            "https://localhost",
            "https://localhost.",
            "https://x.localhost",
            "https://127.0.0.1",
            "http://127.0.0.1",
            "http://login.example",
            "https://login.example?x",
            "https://user@login.example",
            "https://login.example\n",
            "//login.example",
            "",
        ] {
            assert!(check_found_issuer(issuer, &remote).is_err(), "{issuer}");
        }
        let local = Api::new("http://127.0.0.1:1/v2".into());
        assert!(check_found_issuer("http://localhost:2", &local).is_ok());
        let numbered = Api::new("https://10.0.0.1".into());
        assert!(check_found_issuer("https://10.0.0.2", &numbered).is_ok());
        assert!(check_found_issuer("http://127.0.0.1:2", &numbered).is_err());
    }
}
