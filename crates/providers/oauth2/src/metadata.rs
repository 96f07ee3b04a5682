//! The metadata of a server (RFC 8414, OpenID Connect Discovery): found, checked and remembered.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use biped_core::{Error, ErrorKind, FetchContext, Timestamp, check_secure, is_loopback, wire};
use bytes::Bytes;
use http::header;
use serde_json::Value;
use url::Url;

/// How long a server's metadata is used before it is requested again: one hour.
pub const METADATA_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The endpoints, and the methods and algorithms that the server supports.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) issuer: String,
    pub(crate) token_endpoint: Url,
    pub(crate) introspection_endpoint: Option<Url>,
    pub(crate) revocation_endpoint: Option<Url>,
    pub(crate) authentication_methods: Option<Vec<String>>,
    pub(crate) assertion_algorithms: Option<Vec<String>>,
    pub(crate) proof_algorithms: Option<Vec<String>>,
    /// Whether the server binds tokens to the certificate that a client presents (RFC 8705 §3.3).
    pub(crate) binds_to_certificates: bool,
    /// The APIs that the server issues tokens for, if it lists them (RFC 9728 §4).
    protected_resources: Option<Vec<String>>,
    seen_at: Timestamp,
}

impl Metadata {
    /// Refuses an API that the server does not list.
    pub(crate) fn check_resource(&self, resource: &str) -> Result<(), Error> {
        let listed = self.protected_resources.as_ref();
        if listed.is_none_or(|all| all.iter().any(|one| one == resource)) {
            return Ok(());
        }
        let message = format!("the server's protected_resources do not include {resource}");
        Err(Error::configuration(message)
            .with_remedy("check api and issuer; no credential was sent"))
    }
}

/// The metadata as it was last received.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Option<Known>>);

#[derive(Clone, Debug)]
struct Known {
    metadata: Arc<Metadata>,
    /// Whether the token endpoint was still there.
    trusted: bool,
}

impl Known {
    fn is_current(&self, now: Timestamp) -> bool {
        let seen_at = self.metadata.seen_at;
        self.trusted && now < seen_at.after(METADATA_LIFETIME) && seen_at <= now
    }
}

impl Cache {
    /// Returns the server's metadata, and whether it is from an earlier fetch. If a server no longer
    /// has any, the earlier metadata remains in use.
    pub(crate) async fn get(
        &self,
        issuer: &str,
        mutual_tls: bool,
        cx: &FetchContext<'_>,
    ) -> Result<(Arc<Metadata>, bool), Error> {
        let mut known = self.lock().clone();
        // Which server is asked may be the API's word.
        known = known.filter(|known| known.metadata.issuer == issuer);
        if let Some(known) = known.as_ref().filter(|known| known.is_current(cx.now())) {
            return Ok((known.metadata.clone(), true));
        }
        match discover(issuer, mutual_tls, cx).await? {
            Discovery::Found(metadata) => {
                let metadata = Arc::new(*metadata);
                *self.lock() = Some(Known {
                    metadata: metadata.clone(),
                    trusted: true,
                });
                Ok((metadata, false))
            }
            Discovery::Absent(error) => known.map(|known| (known.metadata, true)).ok_or(error),
        }
    }

    /// Returns the metadata as it was last received, however long ago.
    pub(crate) fn last_seen(&self) -> Option<Arc<Metadata>> {
        self.lock().as_ref().map(|known| known.metadata.clone())
    }

    /// Requests the metadata again at the next fetch, and keeps it if the server has no other.
    pub(crate) fn expire(&self) {
        if let Some(known) = &mut *self.lock() {
            known.trusted = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request for metadata finds.
enum Discovery {
    Found(Box<Metadata>),
    /// The server is unreachable, or has no metadata.
    Absent(Error),
}

/// Requests the metadata at both well-known URLs. A response that is not metadata, such as a login
/// page, counts as absent.
///
/// # Errors
/// If the metadata must not be trusted.
async fn discover(
    issuer: &str,
    mutual_tls: bool,
    cx: &FetchContext<'_>,
) -> Result<Discovery, Error> {
    let mut failure = None;
    let mut answers = Vec::new();
    for url in well_known(issuer, |url| cx.check_url(url))? {
        let request = http::Request::get(url.as_str())
            .header(header::ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| not_a_url())?;
        let response = match cx.send(request).await {
            Err(error) if error.is_transient() => return Ok(Discovery::Absent(error)),
            response => response?,
        };
        if let Some(document) = document(&response) {
            let metadata = read(&document, issuer, mutual_tls, cx.now(), |url| {
                cx.check_url(url)
            })?;
            return Ok(Discovery::Found(Box::new(metadata)));
        }
        answers.push(match response.status() {
            status if status.is_success() => "another document".to_owned(),
            status => format!("HTTP {}", status.as_u16()),
        });
        if wire::is_transient(response.status()) {
            let vendor = biped_core::VendorError::new(response.status().as_u16());
            failure = Some(wire::failure(&response, vendor, cx.now()));
        }
    }
    answers.dedup();
    Ok(Discovery::Absent(failure.unwrap_or_else(|| {
        Error::configuration(format!(
            "the issuer has no metadata: {} at the URLs of RFC 8414 and OpenID Connect Discovery",
            answers.join(" and ")
        ))
        .with_remedy("check issuer, or set token_endpoint instead")
    })))
}

/// RFC 8414 §3.1, then OpenID Connect Discovery §4.1.
fn well_known(issuer: &str, check: impl Fn(&Url) -> Result<(), Error>) -> Result<[Url; 2], Error> {
    let base = parse_issuer(issuer, check)?;
    let path = base.path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut url = base.clone();
        url.set_path(&path);
        url
    };
    Ok([
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("{path}/.well-known/openid-configuration")),
    ])
}

/// Parses an issuer identifier: an https URL without query and fragment (RFC 8414 §2). `check` says
/// whether it may be asked.
pub(crate) fn parse_issuer(
    issuer: &str,
    check: impl Fn(&Url) -> Result<(), Error>,
) -> Result<Url, Error> {
    let url = Url::parse(issuer).map_err(|_| not_a_url())?;
    check(&url)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Error::configuration(
            "an issuer must not have a query or a fragment",
        ));
    }
    Ok(url)
}

fn not_a_url() -> Error {
    Error::configuration("the issuer is not a valid URL")
}

fn document(response: &http::Response<Bytes>) -> Option<Value> {
    if !response.status().is_success() {
        return None;
    }
    let document = wire::json(response).ok()?;
    document["issuer"].is_string().then_some(document)
}

fn read(
    document: &Value,
    issuer: &str,
    mutual_tls: bool,
    seen_at: Timestamp,
    check: impl Fn(&Url) -> Result<(), Error>,
) -> Result<Metadata, Error> {
    let named = document["issuer"].as_str().unwrap_or_default();
    if named != issuer {
        // RFC 8414 §3.3: metadata of another issuer must not be used.
        let is_shown = |url: &Url| url.query().is_none() && check_secure(url).is_ok();
        let named = Url::parse(named)
            .ok()
            .filter(is_shown)
            .and_then(|_| wire::vendor_text(named))
            .unwrap_or_else(|| "another issuer".into());
        return Err(
            Error::configuration(format!("the metadata at the issuer belongs to {named}"))
                .with_remedy(
                    "set issuer to exactly what the server calls itself, including a final slash",
                ),
        );
    }
    let url_of = |name: &str| -> Result<Option<Url>, Error> {
        // RFC 8705 §5: there may be other endpoints for clients with a certificate.
        let alias = &document["mtls_endpoint_aliases"][name];
        let text = if mutual_tls && alias.is_string() {
            alias
        } else {
            &document[name]
        };
        let Some(text) = text.as_str() else {
            return Ok(None);
        };
        let url = Url::parse(text).map_err(|_| refuse(name, "not a valid URL"))?;
        let issuer = parse_issuer(issuer, &check)?;
        // Only what the configuration names may be in plain http, and it names the issuer.
        let checked = match url.origin() == issuer.origin() {
            true => check(&url),
            false => check_secure(&url),
        };
        checked.map_err(|_| refuse(name, "a URL that secrets must not be sent to"))?;
        if is_loopback(&url) && !is_loopback(&issuer) {
            return Err(refuse(name, "on this machine, but the issuer is not"));
        }
        Ok(Some(url))
    };
    let texts = |name: &str| -> Option<Vec<String>> {
        let all = document[name].as_array()?.iter();
        Some(all.filter_map(Value::as_str).map(Into::into).collect())
    };
    let token_endpoint = url_of("token_endpoint")?.ok_or_else(|| {
        Error::configuration("the server's metadata names no token endpoint")
            .with_remedy("set token_endpoint")
    })?;
    Ok(Metadata {
        issuer: issuer.to_owned(),
        token_endpoint,
        introspection_endpoint: url_of("introspection_endpoint")?,
        revocation_endpoint: url_of("revocation_endpoint")?,
        // RFC 8414 §2: if absent, client_secret_basic, which is the default here as well.
        authentication_methods: texts("token_endpoint_auth_methods_supported"),
        assertion_algorithms: texts("token_endpoint_auth_signing_alg_values_supported"),
        // RFC 9449 §5.1.
        proof_algorithms: texts("dpop_signing_alg_values_supported"),
        binds_to_certificates: document["tls_client_certificate_bound_access_tokens"] == true,
        protected_resources: texts("protected_resources"),
        seen_at,
    })
}

fn refuse(name: &str, what: &str) -> Error {
    Error::configuration(format!("the {name} in the server's metadata is {what}"))
        .with_remedy("ask the server's operator; no secret was sent there")
}

/// Whether a response of the token endpoint may mean that it has moved.
pub(crate) fn may_have_moved(error: &Error) -> bool {
    let status = error.vendor().and_then(|vendor| vendor.status);
    error.kind() == ErrorKind::Unreachable || matches!(status, Some(300..=399 | 404 | 405 | 410))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://login.vendor.example";
    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn document(issuer: &str) -> Value {
        json!({ "issuer": issuer, "token_endpoint": "https://login.vendor.example/token" })
    }

    #[test]
    fn metadata_names_plain_http_at_the_listed_issuer_only() {
        let servers = biped_core::PlainHttp::new(["sso.auth.svc:8080", "api.svc:80"]).unwrap();
        let issuer = "http://sso.auth.svc:8080/realms/a";
        let read = |endpoint: &str, issuer: &str| {
            let mut document = document(issuer);
            document["token_endpoint"] = endpoint.into();
            read(&document, issuer, false, NOW, |url| servers.check(url))
        };
        assert!(read("http://sso.auth.svc:8080/token", issuer).is_ok());
        assert!(read("https://sso.auth.svc/token", issuer).is_ok());
        for elsewhere in ["http://api.svc/token", "http://sso.auth.svc:8081/token"] {
            assert!(read(elsewhere, issuer).is_err(), "{elsewhere}");
        }
        assert!(read("http://sso.auth.svc:8080/token", ISSUER).is_err());
    }

    #[test]
    fn no_endpoint_that_metadata_names_gets_a_secret_in_the_clear_or_on_this_machine() {
        let endpoints = [
            "token_endpoint",
            "introspection_endpoint",
            "revocation_endpoint",
        ];
        for url in [
            "http://login.vendor.example/x",
            "https://user:password@login.vendor.example/x",
            "https://login.vendor.example@evil.example/x@",
            "https://localhost/x",
            "http://127.0.0.1:1/x",
            "https://[::1]/x",
            "ftp://login.vendor.example/x",
            "//login.vendor.example/x",
            "x",
        ] {
            for name in endpoints {
                let mut plain = document(ISSUER);
                plain[name] = url.into();
                let refused = read(&plain, ISSUER, false, NOW, check_secure).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Configuration, "{name} {url}");
                let mut aliased = document(ISSUER);
                aliased["mtls_endpoint_aliases"] = json!({ name: url });
                assert!(read(&aliased, ISSUER, false, NOW, check_secure).is_ok());
                assert!(
                    read(&aliased, ISSUER, true, NOW, check_secure).is_err(),
                    "{name} {url}"
                );
            }
        }
        // With an issuer on this machine, they may be there as well.
        let local = "http://127.0.0.1:1";
        let mut plain = document(local);
        plain["revocation_endpoint"] = "http://127.0.0.1:2/x".into();
        assert!(read(&plain, local, false, NOW, check_secure).is_ok());
    }
}
