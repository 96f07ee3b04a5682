//! An API call as a provider sees it: [`ApiRequest`] to put a token on, [`ApiResponse`] to judge.

use std::{borrow::Cow, fmt, time::Duration};

use http::{HeaderMap, Method, StatusCode};
use secrecy::SecretString;
use url::Url;

use crate::{Clock, Error, SecretRef, Timestamp, redacted_url, wire::challenge_parameters};

/// An API request as a provider sees it: enough to carry a token or a signature, for any HTTP
/// library.
pub struct ApiRequest<'a>(&'a mut dyn ApiRequestParts);

/// The parts of an API request that an HTTP library lends to [`ApiRequest`]. Only the integration of
/// an HTTP library implements it.
pub trait ApiRequestParts {
    /// Returns the method.
    fn method(&self) -> &Method;
    /// Returns the whole URL.
    fn url(&self) -> Cow<'_, Url>;
    /// Replaces the URL.
    ///
    /// # Errors
    /// If the library can't express the URL.
    fn set_url(&mut self, url: Url) -> Result<(), Error>;
    /// Returns the headers.
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// Returns the body if all of it is in memory, as an empty one always is.
    fn body(&self) -> Option<&[u8]>;
}

impl<'a> ApiRequest<'a> {
    /// Lends a library's request to a provider.
    pub fn new(parts: &'a mut dyn ApiRequestParts) -> Self {
        Self(parts)
    }

    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.0.method()
    }

    /// Returns the whole URL, with its query.
    #[must_use]
    pub fn url(&self) -> Cow<'_, Url> {
        self.0.url()
    }

    /// Returns the headers, to add to.
    #[must_use]
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.0.headers_mut()
    }

    /// Sets a query parameter, for vendors whose tokens travel in the URL. An existing parameter of
    /// that name is replaced, so that a replay doesn't carry two.
    ///
    /// # Errors
    /// If the HTTP library can't express the URL.
    pub fn set_query(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let mut url = self.0.url().into_owned();
        let others: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(known, _)| known != name)
            .map(|(known, value)| (known.into_owned(), value.into_owned()))
            .collect();
        if others.len() == url.query_pairs().count() {
            url.query_pairs_mut().append_pair(name, value);
        } else {
            url.query_pairs_mut()
                .clear()
                .extend_pairs(others)
                .append_pair(name, value);
        }
        self.0.set_url(url)
    }

    /// Returns the body if all of it is in memory: an empty one always is, a stream never.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        self.0.body()
    }
}

impl fmt::Debug for ApiRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiRequest")
            .field("method", self.method())
            .finish_non_exhaustive()
    }
}

/// What a provider may know while it attaches a token.
pub struct AttachContext<'a> {
    clock: &'a dyn Clock,
    secrets: &'a [(SecretRef, SecretString)],
}

impl<'a> AttachContext<'a> {
    /// Creates a context with the secrets that the provider declared, as they were when the token was
    /// fetched.
    #[must_use]
    pub fn new(clock: &'a dyn Clock, secrets: &'a [(SecretRef, SecretString)]) -> Self {
        Self { clock, secrets }
    }

    /// Returns the wall-clock time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// Returns one of the secrets that the provider declared with
    /// [`attach_secrets`](crate::Provider::attach_secrets).
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) for a secret that it did not declare.
    pub fn secret(&self, secret: &SecretRef) -> Result<&SecretString, Error> {
        self.secrets
            .iter()
            .find(|(known, _)| known == secret)
            .map(|(_, value)| value)
            .ok_or_else(|| {
                Error::internal("attach needs a secret that attach_secrets does not list")
            })
    }
}

impl fmt::Debug for AttachContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachContext").finish_non_exhaustive()
    }
}

/// An API response as a provider sees it.
pub struct ApiResponse<'a> {
    status: StatusCode,
    headers: &'a HeaderMap,
    url: Option<&'a Url>,
    now: Timestamp,
    body: Option<&'a [u8]>,
}

impl<'a> ApiResponse<'a> {
    /// Creates a response with this status and these headers, which arrived at `now`.
    #[must_use]
    pub fn new(status: StatusCode, headers: &'a HeaderMap, now: Timestamp) -> Self {
        Self {
            status,
            headers,
            url: None,
            now,
            body: None,
        }
    }

    /// Adds the URL that the response came from.
    #[must_use]
    pub fn with_url(mut self, url: &'a Url) -> Self {
        self.url = Some(url);
        self
    }

    /// Adds the body.
    #[must_use]
    pub fn with_body(mut self, body: &'a [u8]) -> Self {
        self.body = Some(body);
        self
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers
    }

    /// Returns the URL that the response came from, if the HTTP library says so.
    #[must_use]
    pub fn url(&self) -> Option<&Url> {
        self.url
    }

    /// Returns when the response arrived.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns the body, after [`Verdict::NeedsBody`] asked for it.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        self.body
    }
}

/// Leaves out headers and body, which belong to the API and its caller.
impl fmt::Debug for ApiResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiResponse")
            .field("status", &self.status)
            .field("url", &self.url.map(redacted_url))
            .field("now", &self.now)
            .field("body", &self.body.map(<[u8]>::len))
            .finish_non_exhaustive()
    }
}

/// The largest body of an API response that is read ahead to judge it, in bytes.
pub const PEEK_LIMIT: usize = 64 * 1024;

/// How long a body may take after its headers; a slower one passes unjudged.
pub const PEEK_TIME: Duration = Duration::from_millis(50);

/// Judges by the rule of RFC 6750 §3.1, by status and headers alone: the error `invalid_token` in a
/// challenge rejects the token whatever the status, since many APIs send it with 400 or 403. A 401
/// without it rejects the token too, unless a challenge says `insufficient_scope`.
#[must_use]
pub fn judge_by_status(response: &ApiResponse<'_>) -> Verdict {
    let errors = challenge_parameters(response.headers(), "error");
    let says = |code: &str| errors.iter().any(|error| error == code);
    let is_rejected = says("invalid_token")
        || response.status() == StatusCode::UNAUTHORIZED && !says("insufficient_scope");
    if is_rejected {
        Verdict::Rejected
    } else {
        Verdict::Accepted
    }
}

/// What an API response says about the token it was sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The token is fine, even if the response reports another error.
    Accepted,
    /// The API no longer accepts this token: the request is sent once more, with a new one.
    Rejected,
    /// The same token must be attached again, once, such as with a DPoP nonce.
    Resend,
    /// The body decides. It is read ahead if it is JSON, not encoded, and no larger than `limit`
    /// (64 KiB at most), and the response is judged again; otherwise the response passes as accepted.
    NeedsBody {
        /// The largest body worth reading, in bytes.
        limit: usize,
    },
}
