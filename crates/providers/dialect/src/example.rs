//! [`Example`]: an exchange that a dialect gives as an example, as data.

use std::fmt;

use biped_core::Timestamp;
use bytes::Bytes;
use http::HeaderName;
use serde_json::Value as Json;

mod compare;
mod keys;
pub(crate) mod read;
mod run;

/// An exchange in a dialect's file: what is given, what must go out, what comes back, and what
/// follows from it.
#[derive(Clone, Debug)]
pub struct Example {
    pub(crate) line: usize,
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

/// What must go out.
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
    /// To the byte.
    Form(String),
    /// To the byte.
    Text(String),
    /// By value: the order of an object's keys means nothing.
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
    /// Nothing is said, which is a fault.
    Unsaid,
}

#[derive(Clone, Debug, Default)]
struct ExpectedToken {
    line: usize,
    token: Option<String>,
    /// Seconds; `Some(None)` for one that is good until rejected.
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
}

/// An answer of the vendor's API, and whether it rejects the token.
#[derive(Clone, Debug)]
struct ApiAnswer {
    line: usize,
    response: GivenResponse,
    rejected: bool,
}

/// Something in which an exchange is not what its example says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The line of the file that says otherwise.
    pub line: usize,
    /// What differs: `request.url`, `expect.lifetime`.
    pub what: String,
    /// What the file says; values of secrets are named, not shown.
    pub expected: String,
    /// What came of the dialect; values of secrets are named, not shown.
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
            "line {line}: {what}: {expected} is expected, but it is {actual}"
        )
    }
}

/// When all examples happen: 2026-11-22T00:00:00Z.
pub const EXAMPLE_TIME: Timestamp = Timestamp::from_unix_seconds(1_795_305_600);

impl Example {
    /// The line where it starts.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether the vendor refuses in it.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.outcome, Outcome::Error(_))
    }
}
