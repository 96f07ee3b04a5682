//! [`search`]: where an API's metadata is found.

use std::time::Duration;

use biped_core::{Error, FetchContext, VendorError, wire};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use url::Url;

use super::{
    address::Api,
    document::{Document, is_scope},
};

/// How long the API may take to challenge a request without a token. Some respond with an endless stream
/// instead.
const CHALLENGE_TIMEOUT: Duration = Duration::from_secs(5);

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What a search finds.
pub(super) enum Search {
    Found(Box<Document>),
    Absent {
        /// Why a later search may find some.
        error: Option<Error>,
        /// What the API's challenge asks for.
        scopes: Vec<String>,
    },
}

/// A challenge that names the API's metadata (RFC 9728 §5.1).
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    pub(super) url: Url,
    scopes: Vec<String>,
}

impl Challenge {
    /// Reads the first challenge that names metadata at the API's origin.
    pub(super) fn of(api: &Api, headers: &HeaderMap) -> Option<Self> {
        let url = api.own_address(&named(headers)?)?;
        let scopes = scopes(headers);
        Some(Self { url, scopes })
    }
}

/// Requests the API's metadata: at the well-known URL of its path (RFC 9728 §3.1), where a challenge of
/// the API says, and at the well-known URL of its origin. `challenge` is one that an API call brought, which
/// is followed first, and taken unless its metadata may be read later.
///
/// # Errors
/// If the API names metadata of another origin.
pub(super) async fn search(
    api: &Api,
    challenge: &mut Option<Challenge>,
    cx: &FetchContext<'_>,
) -> Result<Search, Error> {
    let mut asking = Asking {
        cx,
        error: None,
        scopes: Vec::new(),
    };
    if let Some(url) = api.fixed_metadata() {
        let found = asking.document(&url?).await;
        return Ok(asking.outcome(found));
    }
    if let Some(named) = challenge.clone() {
        let found = asking.document(&named.url).await;
        if !asking.error.as_ref().is_some_and(Error::is_transient) {
            *challenge = None;
        }
        if found.is_some() {
            asking.scopes = named.scopes;
            return Ok(asking.outcome(found));
        }
    }
    let base = api.url()?;
    let path = base.path().trim_end_matches('/');
    let well_known = |path: &str| {
        let mut url = base.clone();
        url.set_path(&format!("{WELL_KNOWN}{path}"));
        url
    };
    // RFC 9728 §3.1 removes a slash only if nothing else is in the path.
    let whole = if path.is_empty() { "" } else { base.path() };
    let mut found = asking.document(&well_known(whole)).await;
    if found.is_none() && asking.is_reachable() {
        let headers = asking.challenge(&base).await;
        if let Some(named) = named(&headers) {
            let url = api.own_address(&named).ok_or_else(|| {
                Error::configuration("the API names metadata that is not at its own origin")
                    .with_remedy("ask the API's operator; no credential was sent")
            })?;
            found = asking.document(&url).await;
        }
    }
    if found.is_none() && !whole.is_empty() && asking.is_reachable() {
        found = asking.document(&well_known("")).await;
    }
    Ok(asking.outcome(found))
}

/// A search that is under way.
struct Asking<'a> {
    cx: &'a FetchContext<'a>,
    error: Option<Error>,
    scopes: Vec<String>,
}

impl Asking<'_> {
    async fn document(&mut self, url: &Url) -> Option<Document> {
        match self.cx.send(request(url, "application/json")).await {
            Ok(response) => {
                if wire::is_transient(response.status()) {
                    let vendor = VendorError::new(response.status().as_u16());
                    self.error = Some(wire::failure(&response, vendor, self.cx.now()));
                }
                Document::of(&response, url)
            }
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    /// Whether the API has responded at all.
    fn is_reachable(&self) -> bool {
        self.error
            .as_ref()
            .is_none_or(|error| error.vendor().is_some())
    }

    /// Sends the API a request without a token, and returns the headers of a challenge.
    async fn challenge(&mut self, api: &Url) -> HeaderMap {
        let sending = self.cx.send(request(api, "*/*"));
        let Some(Ok(response)) = self.cx.within(CHALLENGE_TIMEOUT, sending).await else {
            return HeaderMap::new();
        };
        self.scopes = scopes(response.headers());
        response.headers().clone()
    }

    fn outcome(self, found: Option<Document>) -> Search {
        match found {
            Some(mut document) => {
                if !self.scopes.is_empty() {
                    document.scopes = self.scopes;
                }
                Search::Found(document.into())
            }
            None => Search::Absent {
                error: self.error,
                scopes: self.scopes,
            },
        }
    }
}

fn request(url: &Url, accept: &'static str) -> http::Request<Bytes> {
    let mut request = http::Request::new(Bytes::new());
    *request.method_mut() = Method::GET;
    // A URL that is not a URI is refused when it is sent.
    *request.uri_mut() = url.as_str().parse().unwrap_or_default();
    let accept = http::HeaderValue::from_static(accept);
    request.headers_mut().insert(header::ACCEPT, accept);
    request
}

fn named(headers: &HeaderMap) -> Option<String> {
    let named = wire::token_challenge_parameters(headers, "resource_metadata");
    named.into_iter().next()
}

/// The scopes that a challenge asks for (RFC 6750 §3).
fn scopes(headers: &HeaderMap) -> Vec<String> {
    let named = wire::token_challenge_parameters(headers, "scope");
    let named = named.first().map(|text| text.split_ascii_whitespace());
    let scopes = named.into_iter().flatten().filter(|text| is_scope(text));
    scopes.map(Into::into).collect()
}
