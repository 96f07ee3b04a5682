//! Spans of `tracing`, with the attributes of OpenTelemetry's HTTP conventions. None holds a query, a
//! header, a body or a token.

use std::sync::Arc;

use biped_core::{Error, HttpClient, TokenRequest, async_trait, wire::escaped};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use tracing::{Instrument as _, Span, field::Empty, info_span};
use url::Url;

/// The span of a flight. A flight outlives the callers that wait for it: each of them is linked to it, and
/// none is its parent.
pub(crate) fn of_flight(provider: &str, request: &TokenRequest) -> Span {
    info_span!(
        parent: None,
        "fetch",
        biped.provider = &*escaped(provider),
        biped.request = %request,
        biped.outcome = Empty,
        error.type = Empty,
    )
}

/// Notes in the span of a flight how it ended.
pub(crate) fn flight_ended(outcome: Result<&'static str, &Error>) {
    let span = Span::current();
    match outcome {
        Ok(outcome) => span.record("biped.outcome", outcome),
        Err(error) => span.record("error.type", error.kind().as_str()),
    };
}

/// The span of one attempt of a call, and what is noted of it.
pub(crate) struct Attempt<'a> {
    pub(crate) provider: &'a str,
    pub(crate) method: &'a Method,
    /// Without a query and secrets.
    pub(crate) shown: &'a str,
    pub(crate) url: &'a Url,
    /// How often the call was sent before.
    pub(crate) resends: u32,
}

/// Whether spans are wanted.
pub(crate) fn are_on() -> bool {
    tracing::enabled!(tracing::Level::INFO)
}

pub(crate) fn of_attempt(attempt: &Attempt<'_>) -> Span {
    let Attempt { method, url, .. } = attempt;
    let span = info_span!(
        "call",
        otel.name = method_name(method),
        otel.kind = "client",
        biped.provider = &*escaped(attempt.provider),
        http.request.method = method_name(method),
        http.request.resend_count = Empty,
        http.response.status_code = Empty,
        server.address = url.host_str(),
        server.port = url.port_or_known_default(),
        url.full = &*escaped(attempt.shown),
        error.type = Empty,
    );
    if attempt.resends > 0 {
        span.record("http.request.resend_count", attempt.resends);
    }
    span
}

/// Notes the response of a request in its span, or that there was none.
pub(crate) fn answered(span: &Span, status: Option<StatusCode>) {
    let Some(status) = status else {
        span.record("error.type", "_OTHER");
        return;
    };
    span.record("http.response.status_code", status.as_u16());
    if status.is_client_error() || status.is_server_error() {
        span.record("error.type", status.as_str());
    }
}

/// The methods that OpenTelemetry knows; others are one.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}

/// A client whose requests are spans. Their URLs are left out, because some vendors have secrets in them.
#[derive(Debug)]
pub(crate) struct Spanned(pub(crate) Arc<dyn HttpClient>);

#[async_trait]
impl HttpClient for Spanned {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        let method = method_name(request.method());
        let span = info_span!(
            "request",
            otel.name = method,
            otel.kind = "client",
            http.request.method = method,
            http.response.status_code = Empty,
            server.address = request.uri().host(),
            server.port = port(request.uri()),
            error.type = Empty,
        );
        let answer = self.0.send(request).instrument(span.clone()).await;
        match &answer {
            Ok(response) => answered(&span, Some(response.status())),
            Err(error) => {
                span.record("error.type", error.kind().as_str());
            }
        }
        answer
    }
}

fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or(match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    })
}
