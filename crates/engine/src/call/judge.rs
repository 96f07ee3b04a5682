//! What a response says about the token.

use biped_core::{ApiResponse, PEEK_LIMIT, PEEK_TIME, Timestamp, Verdict};
use http::{HeaderMap, StatusCode, header};

use super::transport::Transport;
use crate::source::TokenSource;

/// What a response says about the token, and the response with its body still whole.
pub(super) async fn judge<T: Transport>(
    source: &TokenSource,
    response: T::Response,
    transport: &mut T,
) -> (Verdict, T::Response) {
    let provider = source.provider();
    let now = source.clock().now().wall;
    let first = view(transport, &response, now, |seen| provider.judge(&seen));
    let Verdict::NeedsBody { limit } = first else {
        return (first, response);
    };
    let limit = limit.min(PEEK_LIMIT);
    let (status, headers, _) = transport.seen(&response);
    if !is_worth_reading(status, headers, limit) {
        return (Verdict::Accepted, response);
    }
    let deadline = source.clock().sleep(PEEK_TIME);
    let (response, body) = transport.peek(response, limit, deadline).await;
    let Some(body) = body else {
        return (Verdict::Accepted, response);
    };
    match view(transport, &response, now, |seen| {
        provider.judge(&seen.with_body(&body))
    }) {
        Verdict::NeedsBody { .. } => (Verdict::Accepted, response),
        verdict => (verdict, response),
    }
}

fn view<T: Transport, V>(
    transport: &T,
    response: &T::Response,
    now: Timestamp,
    judge: impl FnOnce(ApiResponse<'_>) -> V,
) -> V {
    let (status, headers, url) = transport.seen(response);
    let seen = ApiResponse::new(status, headers, now);
    judge(match url {
        Some(url) => seen.with_url(url),
        None => seen,
    })
}

/// Whether a body may tell of a rejection: not encoded, not too long, and of a success only JSON. Errors
/// are often JSON under another label, while a success may be a download or a stream.
fn is_worth_reading(status: StatusCode, headers: &HeaderMap, limit: usize) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_json = text(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        kind.ends_with("/json") || kind.ends_with("+json")
    });
    let is_plain = text(header::CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
    let is_short = text(header::CONTENT_LENGTH)
        .and_then(|length| length.parse().ok())
        .is_none_or(|length: usize| length <= limit);
    let is_error = status.is_client_error() || status.is_server_error();
    (is_error || is_json) && is_plain && is_short
}
