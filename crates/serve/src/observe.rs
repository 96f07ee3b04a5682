//! [`Call`]: what is known of a call when it ends, for the access log.

use std::{fmt, sync::Arc, time::Duration};

use biped::provider::{Clock, SystemClock};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tracing::{Span, field::Empty};

use crate::{
    body::Progress,
    config::AccessLog,
    meter::{self, Series, UnderWay},
};

/// Where the lines of the access log go.
#[derive(Clone)]
pub(crate) struct LogSink(Arc<dyn Fn(&str) + Send + Sync>);

impl LogSink {
    pub(crate) fn new(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    pub(crate) fn none() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}

/// Makes the text of all metrics.
#[derive(Clone)]
pub(crate) struct Render(pub(crate) Arc<dyn Fn() -> String + Send + Sync>);

impl fmt::Debug for Render {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Render")
    }
}

/// A call under way. Its `Drop` logs it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) sink: LogSink,
    pub(crate) which: AccessLog,
    pub(crate) started: Duration,
    pub(crate) provider: Option<Arc<str>>,
    pub(crate) caller: Option<String>,
    pub(crate) method: Method,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) status: Option<StatusCode>,
    /// The problem's word, where the sidecar answered.
    pub(crate) error: Option<&'static str>,
    pub(crate) replayed: bool,
    pub(crate) api_time: Option<Duration>,
    pub(crate) upload: Progress,
    pub(crate) under_way: Option<UnderWay>,
    /// The provider's, or those of requests that are for none.
    pub(crate) series: Arc<Series>,
    pub(crate) span: Span,
    verb: &'static str,
    bytes_out: u64,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The caller went away, if this is the end.
    Open,
    Gone,
    Complete,
    CutOff,
}

impl Call {
    pub(crate) fn new(
        sink: LogSink,
        series: Arc<Series>,
        which: AccessLog,
        method: &Method,
        path: &str,
    ) -> Self {
        let verb = meter::method(method);
        Self {
            span: span(verb),
            sink,
            which,
            series,
            started: SystemClock.now().mono,
            provider: None,
            caller: None,
            method: method.clone(),
            verb,
            under_way: None,
            path: without_values(path),
            status: None,
            error: None,
            replayed: false,
            api_time: None,
            upload: Progress::default(),
            bytes_out: 0,
            end: End::Open,
        }
    }

    /// Notes the provider that the call is for.
    pub(crate) fn set_provider(&mut self, name: &Arc<str>, series: &Arc<Series>) {
        if !self.span.is_disabled() {
            let named = format!("{} {name}", self.verb);
            self.span.record("otel.name", &*named);
            self.span.record("biped.provider", &**name);
        }
        self.provider = Some(name.clone());
        self.series = series.clone();
        self.under_way = Some(UnderWay::new(series));
    }

    /// Logs the call only if all are logged.
    pub(crate) fn set_routine(&mut self) {
        if self.which == AccessLog::Errors {
            self.which = AccessLog::Off;
        }
    }

    pub(crate) fn out(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    pub(crate) fn complete(&mut self) {
        if self.end == End::Open {
            self.end = End::Complete;
        }
    }

    /// The caller went away before its request was whole.
    pub(crate) fn gone(&mut self) {
        self.end = End::Gone;
    }

    /// The status; 499 if the caller went away.
    fn counted(&self) -> u16 {
        const GONE: u16 = 499;
        // Nothing is read of a body that HEAD has none of.
        let is_cut = self.end == End::Open && self.error.is_none() && self.method != Method::HEAD;
        match self.status {
            Some(status) if self.end != End::Gone && !is_cut => status.as_u16(),
            _ => GONE,
        }
    }

    pub(crate) fn cut_off(&mut self) {
        self.end = End::CutOff;
    }

    fn is_logged(&self) -> bool {
        let is_failure = self.error.is_some()
            || self.end == End::CutOff
            || self.status.is_some_and(|status| status.is_server_error());
        match self.which {
            AccessLog::Off => false,
            AccessLog::Errors => is_failure,
            AccessLog::All => true,
        }
    }

    /// One line of JSON, without a query, a header or a body.
    fn line(&self) -> Value {
        let now = SystemClock.now();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut line = Map::new();
        let error = match self.end {
            End::CutOff => Some("cut-off"),
            _ => self.error,
        };
        line.insert("ts".into(), json!(format!("{:.3}", now.wall)));
        line.insert(
            "level".into(),
            json!(if error.is_some() { "error" } else { "info" }),
        );
        line.insert("provider".into(), json!(self.provider.as_deref()));
        line.insert("caller".into(), json!(self.caller));
        line.insert("method".into(), json!(self.method.as_str()));
        line.insert("path".into(), json!(self.path));
        line.insert("status".into(), json!(self.counted()));
        line.insert(
            "ms".into(),
            json!(ms(now.mono.saturating_sub(self.started))),
        );
        line.insert("api_ms".into(), json!(self.api_time.map(ms)));
        line.insert("bytes_in".into(), json!(self.upload.bytes()));
        line.insert("bytes_out".into(), json!(self.bytes_out));
        line.insert("replayed".into(), json!(self.replayed));
        line.insert("error".into(), json!(error));
        Value::Object(line)
    }
}

/// The span of a request. Attempts at the API are inside it; a fetch of a token is linked to it.
fn span(method: &'static str) -> Span {
    tracing::info_span!(
        "serve",
        otel.name = method,
        otel.kind = "server",
        biped.provider = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
        error.type = Empty,
    )
}

/// A path without the values of parameters: `/NAME;K=V/rest` becomes `/NAME/rest`.
fn without_values(path: &str) -> String {
    let body = path.strip_prefix('/').unwrap_or(path);
    let end = body.find('/').unwrap_or(body.len());
    let (first, rest) = body.split_at(end);
    match first.split_once(';') {
        Some((name, _)) => format!("/{name}{rest}"),
        None => path.to_owned(),
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let time = SystemClock.now().mono.saturating_sub(self.started);
        let status = self.counted();
        self.series.answered(self.verb, status, self.error, time);
        self.span.record("http.response.status_code", status);
        let error = match (self.end, self.error) {
            (End::CutOff, None) => Some("cut-off"),
            (_, error) => error,
        };
        if let Some(error) = error {
            self.span.record("error.type", error);
        } else if status >= 500 {
            self.span.record("error.type", status.to_string());
        }
        if self.is_logged() {
            (self.sink.0)(&self.line().to_string());
        }
    }
}
