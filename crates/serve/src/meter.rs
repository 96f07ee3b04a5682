//! What is counted, in the names of the OpenTelemetry HTTP conventions: written to the recorder of the
//! `metrics` crate, if the application installed one. No label holds a path, a query, a parameter, a
//! scope or a secret.

use std::{sync::Arc, time::Duration};

use biped::{
    Status, TokenState,
    provider::{Clock, SystemClock},
};
use http::Method;
use metrics::{counter, gauge, histogram};

use crate::live::Live;

/// The methods that are labels; others are one.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

/// A method as a label.
pub(crate) fn method(method: &Method) -> &'static str {
    match METHODS.iter().position(|known| known == method) {
        Some(0) => "GET",
        Some(1) => "HEAD",
        Some(2) => "POST",
        Some(3) => "PUT",
        Some(4) => "PATCH",
        Some(5) => "DELETE",
        Some(6) => "OPTIONS",
        Some(7) => "CONNECT",
        Some(8) => "TRACE",
        _ => "_OTHER",
    }
}

/// An answered call, to the end of its body.
pub(crate) fn answered(
    provider: Option<&Arc<str>>,
    method: &'static str,
    status: u16,
    error: Option<&'static str>,
    time: Duration,
) {
    let provider = provider.map_or_else(String::new, ToString::to_string);
    let status = status.to_string();
    let histogram = match error {
        Some(error) => histogram!(
            "http_server_request_duration_seconds",
            "biped_provider" => provider,
            "http_request_method" => method,
            "http_response_status_code" => status,
            "error_type" => error
        ),
        None => histogram!(
            "http_server_request_duration_seconds",
            "biped_provider" => provider,
            "http_request_method" => method,
            "http_response_status_code" => status
        ),
    };
    histogram.record(time);
    if let Some(error) = error {
        counter!("biped_serve_refused_total", "reason" => error).increment(1);
    }
}

/// An attempt at an API, to the head of its answer, or to its failure.
pub(crate) fn attempted(
    provider: &Arc<str>,
    method: &'static str,
    outcome: Result<u16, &'static str>,
    server: &str,
    time: Duration,
) {
    let (provider, server) = (provider.to_string(), server.to_owned());
    let (key, value) = match outcome {
        Ok(status) => ("http_response_status_code", status.to_string()),
        Err(error) => ("error_type", error.to_owned()),
    };
    histogram!(
        "http_client_request_duration_seconds",
        "biped_provider" => provider,
        "http_request_method" => method,
        key => value,
        "server_address" => server
    )
    .record(time);
}

/// What came of a rejection.
pub(crate) fn rejected(provider: &Arc<str>, outcome: &'static str) {
    let provider = provider.to_string();
    counter!("biped_serve_replays_total", "biped_provider" => provider, "outcome" => outcome)
        .increment(1);
}

/// A call that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(String);

impl UnderWay {
    pub(crate) fn new(provider: &Arc<str>) -> Self {
        let provider = provider.to_string();
        gauge!("http_server_active_requests", "biped_provider" => provider.clone()).increment(1.0);
        Self(provider)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let provider = self.0.clone();
        gauge!("http_server_active_requests", "biped_provider" => provider).decrement(1.0);
    }
}

/// How many callers are connected.
pub(crate) fn connections(count: usize) {
    #[allow(clippy::cast_precision_loss)] // there are never so many
    gauge!("biped_serve_connections").set(count as f64);
}

/// What came of reading the configuration again.
pub(crate) fn reloaded(is_good: bool) {
    gauge!("biped_config_last_reload_successful").set(f64::from(u8::from(is_good)));
    if is_good {
        #[allow(clippy::cast_precision_loss)] // exact for millions of years
        let now = SystemClock.now().wall.unix_seconds() as f64;
        gauge!("biped_config_last_reload_success_timestamp_seconds").set(now);
    }
}

/// What is looked up when it is asked for.
pub(crate) fn scraped(live: &Live) {
    gauge!("biped_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let now = SystemClock.now().wall;
    for served in live.all() {
        let Status {
            state, remaining, ..
        } = served.source.status();
        for known in [
            TokenState::Fresh,
            TokenState::Usable,
            TokenState::Expired,
            TokenState::Missing,
            TokenState::Quarantined,
        ] {
            let is = f64::from(u8::from(known == state));
            let name = served.name.to_string();
            gauge!("biped_token_state", "provider" => name, "state" => known.as_str()).set(is);
        }
        #[allow(clippy::cast_precision_loss)] // exact for millions of years
        let expiry = remaining.map_or(0.0, |left| now.after(left).unix_seconds() as f64);
        let name = served.name.to_string();
        gauge!("biped_token_expiry_timestamp_seconds", "provider" => name).set(expiry);
    }
}
