//! [`Example`]: an example of a vendor file, as data.

use std::fmt;

use biped_core::Timestamp;
use bytes::Bytes;
use http::HeaderName;
use serde_json::Value as Json;

mod compare;
mod keys;
pub(crate) mod read;
mod run;

/// An example of a vendor file: the parameters, the expected requests, the vendor's responses, and
/// the expected token or error.
#[derive(Clone, Debug)]
pub struct Example {
    pub(crate) line: usize,
    assumed: bool,
    given: Vec<(Box<str>, String)>,
    exchanges: Vec<Exchange>,
    outcome: Outcome,
    api: Vec<ApiAnswer>,
}

#[derive(Clone, Debug)]
struct Exchange {
    request: ExpectedRequest,
    response: GivenResponse,
}

/// The expected request.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExpectedRequest {
    pub(crate) line: usize,
    pub(crate) method: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: ExpectedBody,
    pub(crate) jwt_header: Option<Json>,
    pub(crate) jwt_claims: Option<Json>,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum ExpectedBody {
    #[default]
    Empty,
    /// Compared byte by byte.
    Form(String),
    /// Compared byte by byte.
    Text(String),
    /// Compared by value; the order of keys does not matter.
    Json(Json),
}

#[derive(Clone, Debug, Default)]
struct GivenResponse {
    status: u16,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
}

#[derive(Clone, Debug)]
enum Outcome {
    Token(Box<ExpectedToken>),
    Error(ExpectedError),
    /// The example says nothing, which is a fault.
    Unsaid,
}

#[derive(Clone, Debug, Default)]
struct ExpectedToken {
    line: usize,
    token: Option<String>,
    jwt_header: Option<Json>,
    jwt_claims: Option<Json>,
    /// In seconds; `Some(None)` for a token that lives until it is rejected.
    lifetime: Option<Option<u64>>,
    base_url: Option<String>,
    scope: Option<String>,
    export: Vec<(String, String)>,
    attach_headers: Vec<(HeaderName, String)>,
    attach_query: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct ExpectedError {
    line: usize,
    kind: Option<String>,
    code: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    invalid_client: Option<bool>,
}

/// A response of the vendor's API, and whether it rejects the token.
#[derive(Clone, Debug)]
struct ApiAnswer {
    line: usize,
    response: GivenResponse,
    rejected: bool,
}

/// A difference between an example and what the dialect does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The line of the expectation.
    pub line: usize,
    /// What differs, such as `request.url` or `expect.lifetime`.
    pub what: String,
    /// The expected value; secrets are shown by name.
    pub expected: String,
    /// The actual value; secrets are shown by name.
    pub actual: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            what,
            expected,
            actual,
        } = self;
        write!(
            f,
            "line {line}: {what}: expected {expected}, found {actual}"
        )
    }
}

/// The time at which all examples run: 2026-11-22T00:00:00Z.
pub const EXAMPLE_TIME: Timestamp = Timestamp::from_unix_seconds(1_795_305_600);

impl Example {
    /// Returns the line on which the example starts.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns whether no source shows it: its form is an assumption.
    #[must_use]
    pub fn is_assumed(&self) -> bool {
        self.assumed
    }

    /// Returns whether the vendor refuses the request in it.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.outcome, Outcome::Error(_))
    }
}
