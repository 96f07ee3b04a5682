//! Problems of tokens: what Biped's errors look like to callers.

use std::time::Duration;

use biped::{Error, ErrorKind, provider::wire};
use http::StatusCode;

use super::Problem;

/// The shortest time after which a caller is told to try again.
const SHORTEST: Duration = Duration::from_secs(1);

impl Problem {
    /// Why there is no token. `rejected`: the API rejected the one there was.
    pub(crate) fn of_token(error: &Error, rejected: bool) -> Self {
        let (status, word, title, status_error) = classify(error);
        let mut problem = Self::new("internal", detail(error));
        problem.status = status;
        problem.word = word;
        problem.title = title;
        problem.error = status_error;
        problem.kind = Some(error.kind().as_str());
        problem.vendor = error.vendor().cloned();
        problem.provider = error.provider().map(Into::into);
        problem.rejected = rejected;
        problem.retry_after = match word {
            "no-token" => Some(error.retry_after().unwrap_or_default().max(SHORTEST)),
            "secret" if error.is_transient() => Some(SHORTEST),
            _ => error.retry_after().map(|time| time.max(SHORTEST)),
        };
        problem
    }
}

fn detail(error: &Error) -> String {
    let text = match error.remedy() {
        Some(remedy) => format!("{}; {remedy}", error.message()),
        None => error.message().to_owned(),
    };
    wire::escaped(&text).into_owned()
}

/// The status, the word, the title and the error of RFC 9209.
fn classify(error: &Error) -> (StatusCode, &'static str, &'static str, &'static str) {
    const CONFIGURATION: &str = "proxy_configuration_error";
    match error.kind() {
        ErrorKind::Refused => (
            StatusCode::BAD_GATEWAY,
            "refused",
            "The vendor refuses the credentials",
            CONFIGURATION,
        ),
        ErrorKind::Secret if error.is_transient() => (
            StatusCode::SERVICE_UNAVAILABLE,
            "secret",
            "A secret can't be read at present",
            "proxy_internal_error",
        ),
        ErrorKind::Secret => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "secret",
            "A secret can't be read",
            CONFIGURATION,
        ),
        ErrorKind::Configuration => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "configuration",
            "The configuration is wrong",
            CONFIGURATION,
        ),
        ErrorKind::InvalidResponse => (
            StatusCode::BAD_GATEWAY,
            "no-token",
            "The token endpoint's response is not valid",
            "http_protocol_error",
        ),
        ErrorKind::Unreachable if error.is_still_fetching() => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no-token",
            "There is no token yet",
            "connection_timeout",
        ),
        ErrorKind::Unreachable | ErrorKind::Unavailable | ErrorKind::Store => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no-token",
            "There is no token at present",
            "destination_unavailable",
        ),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "A bug in Biped",
            "proxy_internal_error",
        ),
    }
}
