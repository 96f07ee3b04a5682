//! The media type of a request.

use axum::http::{HeaderMap, header};

/// Whether the body of a request has this media type, whatever its parameters are (RFC 9110 §8.3.1).
pub(crate) fn is(wanted: &str, headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let essence = value.and_then(|value| value.to_str().ok()?.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(wanted))
}
