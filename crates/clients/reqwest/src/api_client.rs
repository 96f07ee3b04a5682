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

/// An HTTP client for one vendor's API. Each request carries a fresh token.
///
/// Its methods take a path on the API and return a [`RequestBuilder`][builder]; responses are reqwest's own. If
/// the API rejects the token, the request is sent once more with a new one, provided that its body can
/// be sent again. Every other response is returned unchanged.
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
/// # URLs
/// A path is appended to the base URL of the API, which comes from the configuration or from the
/// vendor's response: `/v1/exports` on `https://api.vendor.example/eu` becomes
/// `https://api.vendor.example/eu/v1/exports`. The leading slash is optional, and the path may contain
/// a query. Characters that a URL can't contain, such as spaces, are percent-encoded. A `#` would start
/// a fragment, which is never sent, so it is an error; write `%23`. A segment `..` removes parts of the
/// given path, never of the base URL, and `//host/path` is an ordinary path.
///
/// A text that starts with `https://` or `http://` is a URL. It must have the origin of the base URL
/// and no user name. Otherwise the call returns a
/// [`Configuration`](biped_core::ErrorKind::Configuration) error, and no request is sent. For URLs
/// elsewhere, such as presigned downloads, use a plain `reqwest::Client`. If only the vendor's response
/// names the base URL, a token is fetched before the origin is checked.
///
/// A token that is sent in `Authorization` replaces the caller's own `Authorization` header.
///
/// [`ApiClients`] describes redirects, time limits and certificates.
///
/// # Errors
/// A response is `Ok`, whatever its status; reqwest's
/// [`error_for_status`](reqwest::Response::error_for_status) converts a status to an error. A call
/// without a response returns a [`reqwest_middleware::Error`][middleware-error]:
///
/// - `Middleware`: the token can't be fetched, or the URL is not allowed.
///   [`token_error`](crate::token_error) returns Biped's own error, with its kind, the vendor's error
///   and the time to wait.
/// - `Reqwest`: the call itself failed, for example because of the network or a time limit. It is not
///   retried; the application decides about that. Its URL names the server only, since the rest may
///   contain a token; [`connection_error`](crate::connection_error) says why there was no connection.
///
/// Reading the body of a response fails with reqwest's own error.
///
/// A response that arrives while the body is still being sent is returned at once, and a 401 among them
/// replaces the token. If the server also resets the connection, the failed write may be noticed first;
/// the call then fails, and the response is lost.
///
/// # Time
/// A call without a usable token waits for one, 10 s at most (`max_wait`), and without a limit for its
/// turn among [concurrent requests](Self::max_concurrent_requests). A
/// [`timeout`](RequestBuilder::timeout) starts when the request is sent, and again when it is repeated.
/// To limit the total time, drop the call; a token that is still being fetched serves the next call.
///
/// [builder]: https://docs.rs/reqwest-middleware/latest/reqwest_middleware/struct.RequestBuilder.html
/// [middleware-error]: https://docs.rs/reqwest-middleware/latest/reqwest_middleware/enum.Error.html
#[derive(Clone)]
pub struct ApiClient {
    source: TokenSource,
    connections: ApiClients,
    limits: Option<Arc<Limits>>,
    client: ClientWithMiddleware,
}

impl ApiClient {
    /// Returns a client with its own connections and default settings. Several clients should share
    /// connections; see [`ApiClients::client`].
    ///
    /// # Errors
    /// Returns a [`Configuration`](biped_core::ErrorKind::Configuration) error if the platform has no
    /// trusted certificates.
    pub fn new(source: TokenSource) -> Result<Self, Error> {
        Ok(ApiClients::new()?.client(source))
    }

    fn made_of(connections: ApiClients, source: TokenSource, limits: Option<Arc<Limits>>) -> Self {
        let mut builder = ClientBuilder::new(connections.reqwest_client());
        if let Some(limits) = &limits {
            builder = builder.with(limits.of(&source));
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

    /// Returns a client for one tenant of the provider: the customer whose credentials are found by this
    /// name. If no tenant may have the name, every call fails with a
    /// [`Configuration`](biped_core::ErrorKind::Configuration) error, and nothing is sent.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Self {
        self.with_source(self.source.tenant(name))
    }

    /// Returns a client with another value for one parameter of the token request, such as the project.
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

    /// Returns a client with a limit on concurrent calls (at least 1); further calls wait. A call counts
    /// from before its token is fetched until its response body is read or dropped, or until it fails
    /// or is dropped itself. Sending it again is part of the same call.
    ///
    /// Clones share the limit. Clients derived with [`tenant`](Self::tenant), [`param`](Self::param) and
    /// [`with_scopes`](Self::with_scopes) have the same limit, but count each tenant and each token request
    /// separately, as vendors count by account and project. Default: no limit.
    #[must_use]
    pub fn max_concurrent_requests(&self, calls: usize) -> Self {
        let limits = Some(Arc::new(Limits::new(calls)));
        Self::made_of(self.connections.clone(), self.source.clone(), limits)
    }

    /// Returns the source of its tokens.
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
    /// The builder reports its own errors, such as an invalid URL, when it is sent.
    /// [`token_error`](crate::token_error) finds those of Biped.
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> RequestBuilder {
        let path = path.as_ref();
        if is_absolute(path) {
            return match Url::parse(path) {
                // Unchanged: reqwest's builder would remove a user name.
                Ok(url) => {
                    RequestBuilder::from_parts(self.client.clone(), Request::new(method, url))
                }
                Err(_) => self.client.request(method, path),
            };
        }
        // The slash ends the host, so that the rest is a path.
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = escaped(path);
        self.client
            .request(method, format!("{BASE_URL_PLACEHOLDER}/{path}"))
    }
}

impl ApiClients {
    /// Returns a client that calls the API of `source` with its tokens.
    #[must_use]
    pub fn client(&self, source: TokenSource) -> ApiClient {
        ApiClient::made_of(self.clone(), source, None)
    }
}

/// Percent-encodes the characters of a path that a URL parser would drop or trim; the parser encodes
/// the others.
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
