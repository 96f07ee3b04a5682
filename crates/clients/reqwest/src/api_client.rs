//! [`ApiClient`]: calls an API with the tokens of a [`TokenSource`].

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    sync::Arc,
};

use biped_core::{Error, ParamValue, SetParam};
use biped_engine::{BASE_URL_PLACEHOLDER, TokenSource};
use reqwest::{Method, Request};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, RequestBuilder};
use url::Url;

use crate::{ApiClients, TokenMiddleware, limit::Limits};

/// An HTTP client whose requests go to one vendor's API, each with a fresh token.
///
/// Its methods take a path on the API and give a [`RequestBuilder`]; answers are reqwest's own. A
/// request whose token the API rejects is sent once again with a new one, if its body can be.
/// Any other answer is handed over as it is.
///
/// ```no_run
/// # async fn example(source: biped_engine::TokenSource) -> Result<(), Box<dyn std::error::Error>> {
/// let client = biped_reqwest::ApiClient::new(source)?;
///
/// let jobs: serde_json::Value = client
///     .param("project_id", 42)
///     .get("/v1/exports")
///     .query(&[("limit", "10")])
///     .send()
///     .await?
///     .error_for_status()?
///     .json()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Where a request goes
/// A path is appended to the base URL of the API, which the configuration or the vendor's answer
/// names: `/v1/exports` on `https://api.vendor.example/eu` is
/// `https://api.vendor.example/eu/v1/exports`. A leading slash may be left out; a query may be
/// part of the path. What can't stand in a URL is percent-encoded, a space for one. `..` takes back
/// parts of the path given, never of the base URL, and `//host/path` is a path like any other.
///
/// A text that starts with `https://` or `http://` is a URL. It must have the origin of the base
/// URL and no user name, else the call is a
/// [`Configuration`](biped_core::ErrorKind::Configuration) error and nothing is sent: for links to
/// other places, such as presigned downloads, use a plain `reqwest::Client`. Only where nothing but
/// the vendor's answer can tell the origin, a token is fetched before that is known.
///
/// An `Authorization` header of the caller's own gives way to a token that travels there.
///
/// What holds for redirects, time limits and certificates is described at [`ApiClients`].
///
/// # Errors
/// An answer is `Ok`, whatever its status; reqwest's
/// [`error_for_status`](reqwest::Response::error_for_status) makes an error of it. What fails is a
/// [`reqwest_middleware::Error`]:
///
/// - `Middleware`: there was no token, or the request can't go where it is meant to.
///   [`token_error`](crate::token_error) finds Biped's own error: its kind, the vendor's words, when
///   to come back.
/// - `Reqwest`: the call itself failed, on the way or of a time limit. Nothing of it is tried again;
///   that is the application's to decide.
///
/// # Time
/// A call without a usable token waits for one, 10 s at most (`max_wait`), and for
/// [room](Self::max_concurrent_requests) as long as it takes. A
/// [`timeout`](RequestBuilder::timeout) starts when the request is sent, anew for a replay. Whatever
/// should limit all of it can simply drop the call: what is fetched then is for the next one.
#[derive(Clone)]
pub struct ApiClient {
    source: TokenSource,
    connections: ApiClients,
    limits: Option<Arc<Limits>>,
    client: ClientWithMiddleware,
}

impl ApiClient {
    /// A client with connections of its own and default settings. Where there are several, let
    /// them share: [`ApiClients::client`].
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) where the platform has no
    /// certificates to trust.
    pub fn new(source: TokenSource) -> Result<Self, Error> {
        Ok(ApiClients::new()?.client(source))
    }

    fn made_of(connections: ApiClients, source: TokenSource, limits: Option<Arc<Limits>>) -> Self {
        let mut builder = ClientBuilder::new(connections.reqwest_client());
        if let Some(limits) = &limits {
            builder = builder.with(limits.of(source.request()));
        }
        let client = builder
            .with(TokenMiddleware::new(source.clone()))
            .with(connections.clone())
            .build();
        Self {
            source,
            connections,
            limits,
            client,
        }
    }

    /// The same client with a parameter of the token request set: the project, for one.
    #[must_use]
    pub fn param(&self, name: impl AsRef<str>, value: impl Into<ParamValue>) -> Self {
        self.with_source(self.source.param(name, value))
    }

    /// Returns a client with these scopes (one, or several separated by spaces) in place of its own.
    #[must_use]
    pub fn with_scopes(&self, scopes: impl AsRef<str>) -> Self {
        self.with_source(self.source.with_scopes(scopes))
    }

    fn with_source(&self, source: TokenSource) -> Self {
        Self::made_of(self.connections.clone(), source, self.limits.clone())
    }

    /// The same client with a bound on calls at once (at least 1): further ones wait. A call counts
    /// from before its token is asked for until the body of its answer has been read or dropped, or
    /// it failed, or was dropped itself; its replay is part of it.
    ///
    /// Clones share the bound. Clients derived with [`param`](Self::param) and
    /// [`scope`](Self::scope) have the same bound, counted for each token request on its own, as
    /// vendors count by project. Default: none.
    #[must_use]
    pub fn max_concurrent_requests(&self, calls: usize) -> Self {
        let limits = Some(Arc::new(Limits::new(calls)));
        Self::made_of(self.connections.clone(), self.source.clone(), limits)
    }

    /// Where its tokens come from.
    #[must_use]
    pub fn token_source(&self) -> &TokenSource {
        &self.source
    }

    /// Starts a GET request.
    pub fn get(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// Starts a POST request.
    pub fn post(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// Starts a PUT request.
    pub fn put(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PUT, path)
    }

    /// Starts a PATCH request.
    pub fn patch(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PATCH, path)
    }

    /// Starts a DELETE request.
    pub fn delete(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// Starts a HEAD request.
    pub fn head(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::HEAD, path)
    }

    /// Starts a request with any method.
    ///
    /// The builder's own errors (a URL that is none) come when it is sent. Those of Biped are found
    /// with [`token_error`](crate::token_error).
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> RequestBuilder {
        let path = path.as_ref();
        if is_absolute(path) {
            return match Url::parse(path) {
                // As it stands: reqwest's own builder would take a user name out of it.
                Ok(url) => {
                    RequestBuilder::from_parts(self.client.clone(), Request::new(method, url))
                }
                Err(_) => self.client.request(method, path),
            };
        }
        // The slash ends the host, so that whatever follows is a path.
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = escaped(path);
        self.client
            .request(method, format!("{BASE_URL_PLACEHOLDER}/{path}"))
    }
}

impl ApiClients {
    /// A client that calls the API of `source` with its tokens.
    #[must_use]
    pub fn client(&self, source: TokenSource) -> ApiClient {
        ApiClient::made_of(self.clone(), source, None)
    }
}

/// A path with what a URL's parser would drop or trim in percent-encoding: it encodes the rest.
fn escaped(path: &str) -> Cow<'_, str> {
    let lost = |c: char| c <= ' ';
    if !path.contains(lost) {
        return Cow::Borrowed(path);
    }
    let mut escaped = String::with_capacity(path.len() + 8);
    for c in path.chars() {
        if lost(c) {
            let _ = write!(escaped, "%{:02X}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

fn is_absolute(path: &str) -> bool {
    let starts = |with: &str| {
        path.get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    starts("https://") || starts("http://")
}

impl SetParam for ApiClient {
    fn with_param(self, name: &str, value: ParamValue) -> Self {
        self.param(name, value)
    }
}

impl fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiClient")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
