//! What an answer that the sidecar made itself means.
//!
//! Such an answer is `application/problem+json` (RFC 9457) and has a `Proxy-Status` header (RFC 9209).
//! An answer without that header is the API's own, whatever its status.
//!
//! | member | value |
//! | --- | --- |
//! | `type` | the address of the section below |
//! | `problem` | the word |
//! | `title`, `status`, `detail` | as RFC 9457 says; `detail` says what to do |
//! | `provider` | the provider's name, if one is known |
//! | `kind` | the [`ErrorKind`](biped::ErrorKind), if a token could not be had |
//! | `sent` | `true`: the API may have acted on the request. `false`: nothing was sent, or it was rejected together with its token; any method may be sent again |
//! | `vendor` | what the vendor said: `status`, `code`, `reason`, `message` |
//! | `retry_after` | after how many seconds to try again |
//!
//! A caller that sent `Content-Type: application/grpc…` gets a gRPC status instead.
//!
//! # unknown-provider
//! 404. There is no such provider, or no such route below `/-/`, or the configuration switches the route off.
//!
//! # not-allowed
//! 403. The configuration does not allow this method and path, or this route.
//!
//! # other-origin
//! 403. `Biped-Url` leads away from the API.
//!
//! # parameter
//! 400 or 403. A parameter or a scope is unknown, has a wrong type, or is not allowed.
//!
//! # caller
//! 401 or 403. The caller is unknown, or may not use this provider.
//!
//! # too-many-keys
//! 429. The caller used too many new combinations of parameters and scopes in a minute.
//!
//! # bad-request
//! 400. The request is not valid HTTP.
//!
//! # bad-path
//! 400. Servers disagree about what such a path means.
//!
//! # method
//! 405. The route does not take this method.
//!
//! # target-too-long
//! 414. The target has more than 8 KiB.
//!
//! # expectation
//! 417. The only expectation that is met is `100-continue`.
//!
//! # wrong-host
//! 421. The `Host` is not one of this listener's names.
//!
//! # cross-origin
//! 403. A web page of another origin sent the request.
//!
//! # head-too-large
//! 431. The head of the request is too large.
//!
//! # transfer-coding
//! 501. The only transfer coding that is understood is `chunked`.
//!
//! # upgrade
//! 501. This release does not upgrade connections.
//!
//! # body-too-large
//! 413. The body has more than `max_body` bytes.
//!
//! # incomplete-body
//! 400. The body of the request ended early, or stopped arriving.
//!
//! # overloaded
//! 503. Too many calls are under way.
//!
//! # stopping
//! 503. The sidecar is stopping.
//!
//! # refused
//! 502. The vendor refuses the credentials or the scope.
//!
//! # secret
//! 500 or 503. A secret can't be read.
//!
//! # configuration
//! 500. The configuration is wrong in a way that only a call shows.
//!
//! # no-token
//! 502 or 503. The vendor gives no token at present.
//!
//! # unreachable
//! 502 or 504. There is no connection to the API.
//!
//! # cut-off
//! 502. The connection to the API ended before its response started.
//!
//! # silent
//! 504. The API did not respond in time.
//!
//! # bad-answer
//! 502. What the API sent is not HTTP, or its head is too large.
//!
//! # loop
//! 508. The API's address is this sidecar's own.
//!
//! # internal
//! 500. A bug in Biped.

mod answer;
mod token;

pub(crate) use self::answer::PROXY_STATUS;

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use biped::VendorError;
use http::{HeaderValue, StatusCode};

/// An answer that the sidecar makes itself.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Parts>);

/// The parts of a [`Problem`], on the heap: few calls have one.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) status: StatusCode,
    pub(crate) word: &'static str,
    title: &'static str,
    pub(crate) detail: String,
    /// The error of RFC 9209.
    error: &'static str,
    provider: Option<Arc<str>>,
    kind: Option<&'static str>,
    sent: bool,
    vendor: Option<VendorError>,
    pub(crate) retry_after: Option<Duration>,
    /// Whether the API rejected a token.
    rejected: bool,
    close: bool,
    /// Whether the caller went away.
    pub(crate) is_gone: bool,
    headers: Vec<(http::HeaderName, HeaderValue)>,
}

/// What all problems of a word share: the status, a title, the error of RFC 9209.
const KNOWN: &[(&str, u16, &str, &str)] = &[
    ("unknown-provider", 404, "There is no such provider", DENIED),
    ("not-allowed", 403, "This call is not allowed", DENIED),
    (
        "other-origin",
        403,
        "The address is outside the API",
        DENIED,
    ),
    ("parameter", 403, "A parameter is not allowed", DENIED),
    ("caller", 401, "The caller is unknown", DENIED),
    ("too-many-keys", 429, "Too many new keys", DENIED),
    ("bad-request", 400, "The request is not valid", BAD),
    ("bad-path", 400, "The path is ambiguous", BAD),
    ("method", 405, "The method is not allowed here", DENIED),
    ("target-too-long", 414, "The target is too long", BAD),
    ("expectation", 417, "The expectation can't be met", BAD),
    ("wrong-host", 421, "The host is not this one", DENIED),
    (
        "cross-origin",
        403,
        "The request is from another web origin",
        DENIED,
    ),
    ("head-too-large", 431, "The head is too large", BAD),
    (
        "transfer-coding",
        501,
        "The transfer coding is unknown",
        BAD,
    ),
    ("upgrade", 501, "The upgrade is not supported", BAD),
    ("body-too-large", 413, "The body is too large", BAD),
    ("incomplete-body", 400, "The body is incomplete", BAD),
    ("overloaded", 503, "Too many calls at once", INTERNAL),
    ("stopping", 503, "The sidecar is stopping", INTERNAL),
    (
        "unreachable",
        502,
        "The API is unreachable",
        "destination_unavailable",
    ),
    (
        "cut-off",
        502,
        "The API ended the connection",
        "connection_terminated",
    ),
    (
        "silent",
        504,
        "The API does not respond",
        "http_response_timeout",
    ),
    (
        "bad-answer",
        502,
        "The API's response is not valid",
        "http_protocol_error",
    ),
    (
        "loop",
        508,
        "The API's address is the sidecar's own",
        "proxy_loop_detected",
    ),
    ("internal", 500, "A bug in Biped", "proxy_internal_error"),
];

const DENIED: &str = "http_request_denied";
const BAD: &str = "http_request_error";
const INTERNAL: &str = "proxy_internal_response";

impl Problem {
    /// A problem of this word, of which nothing was sent.
    pub(crate) fn new(word: &'static str, detail: impl Into<String>) -> Self {
        let known = KNOWN.iter().find(|(known, ..)| *known == word);
        let (word, status, title, error) =
            *known.unwrap_or(&("internal", 500, "A bug in Biped", "proxy_internal_error"));
        Self(Box::new(Parts {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            word,
            title,
            detail: detail.into(),
            error,
            provider: None,
            kind: None,
            sent: false,
            vendor: None,
            retry_after: None,
            rejected: false,
            close: false,
            is_gone: false,
            headers: Vec::new(),
        }))
    }

    /// A path below `/-/` that is not served.
    pub(crate) fn unknown_route(detail: &str) -> Self {
        let mut problem = Self::new("unknown-provider", detail);
        problem.title = "There is no such route";
        problem
    }

    /// A caller that is known and may not do this.
    pub(crate) fn not_permitted(detail: &str, provider: &Arc<str>) -> Self {
        let mut problem = Self::new("caller", detail).provider(provider);
        problem.title = "The caller may not do this";
        problem.status(StatusCode::FORBIDDEN)
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn error(mut self, error: &'static str) -> Self {
        self.error = error;
        self
    }

    pub(crate) fn provider(mut self, name: &Arc<str>) -> Self {
        self.provider = Some(name.clone());
        self
    }

    /// Nothing was sent yet.
    pub(crate) fn unsent(mut self) -> Self {
        self.sent = false;
        self
    }

    /// The API may have acted on the request.
    pub(crate) fn sent(mut self) -> Self {
        self.sent = true;
        self
    }

    pub(crate) fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }

    /// The connection is closed after the answer.
    pub(crate) fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// The caller went away.
    pub(crate) fn gone(mut self) -> Self {
        self.is_gone = true;
        self
    }

    pub(crate) fn header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Deref for Problem {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}
