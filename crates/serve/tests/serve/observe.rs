//! Metrics, the access log, and spans.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use biped_serve::{Running, Server};
use biped_testing::TimeLimit;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tokio::net::TcpStream;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

use crate::{
    stage::{Answer, Caller, address, biped, provider, until},
    vendor::{Act, Vendor, ok, reply},
};

/// A sidecar that is watched.
pub(crate) struct Watched {
    pub(crate) vendor: Vendor,
    pub(crate) running: Running,
    lines: Arc<Mutex<Vec<Value>>>,
    _limit: TimeLimit,
}

impl Watched {
    pub(crate) async fn new(serve: &str, rest: &str) -> Self {
        let limit = TimeLimit::start();
        let vendor = Vendor::start().await;
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let toml = format!(
            "[serve]\nlisten = ['127.0.0.1:0']\n{serve}\n{}\n{rest}\n",
            provider(&vendor)
        );
        let server = Server::new(biped(&toml)).access_log({
            let lines = lines.clone();
            move |line| {
                let line = serde_json::from_str(line).unwrap();
                lines.lock().unwrap().push(line);
            }
        });
        Self {
            running: server.start().await.unwrap(),
            vendor,
            lines,
            _limit: limit,
        }
    }

    pub(crate) async fn ask(&self, line: &str, headers: &str) -> Answer {
        ask(&self.running, line, headers).await
    }

    /// The lines, once there are so many.
    pub(crate) async fn lines(&self, count: usize) -> Vec<Value> {
        let lines = || self.lines.lock().unwrap().clone();
        until("the lines are logged", async || lines().len() >= count).await;
        lines()
    }
}

async fn ask(running: &Running, line: &str, headers: &str) -> Answer {
    let at = address(&running.addresses()[0]);
    let mut caller = Caller::new(TcpStream::connect(at).await.unwrap());
    caller.ask(line, headers).await
}

fn revoked(got: &crate::vendor::Got) -> Act {
    match got.header("authorization") {
        Some("Bearer token-1") => Act::Reply(reply("401 Unauthorized", "", "no")),
        _ => ok("hello"),
    }
}

#[tokio::test]
async fn a_line_tells_of_a_call_and_holds_no_value() {
    let rest = "[serve.providers.shop]\nparams = ['p']\n\
                [[serve.callers]]\nname = 'app'\ntoken = 'secret-a'\n";
    let watched = Watched::new("access_log = 'all'", rest).await;
    let caller = "Biped-Caller: secret-a\r\n";
    let line = "POST /shop;p=planted-1/v1/orders?q=planted-2";
    let mut asking = Caller::new(
        TcpStream::connect(address(&watched.running.addresses()[0]))
            .await
            .unwrap(),
    );
    let head =
        format!("{line} HTTP/1.1\r\nHost: localhost\r\n{caller}Content-Length: 4\r\n\r\nbody");
    asking.write(head).await;
    assert_eq!(asking.answer().await.status, 200);
    assert_eq!(watched.ask("GET /nope", caller).await.status, 404);
    let lines = watched.lines(2).await;
    let mut keys: Vec<&str> = lines[0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    let mut expected = vec![
        "ts",
        "level",
        "provider",
        "caller",
        "method",
        "path",
        "status",
        "ms",
        "api_ms",
        "bytes_in",
        "bytes_out",
        "replayed",
        "error",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    // In milliseconds, which is as fine as the clock is.
    let time = lines[0]["ts"].as_str().unwrap();
    assert_eq!(time.len(), "2026-11-29T12:00:00.000Z".len(), "{time}");
    for (key, value) in [
        ("level", Value::from("info")),
        ("provider", "shop".into()),
        ("caller", "app".into()),
        ("method", "POST".into()),
        ("path", "/shop/v1/orders".into()),
        ("status", 200.into()),
        ("bytes_in", 4.into()),
        ("bytes_out", 5.into()),
        ("replayed", false.into()),
        ("error", Value::Null),
    ] {
        assert_eq!(lines[0][key], value, "{key}");
    }
    assert_eq!(lines[1]["level"], "error");
    assert_eq!(lines[1]["status"], 404);
    assert_eq!(lines[1]["error"], "unknown-provider");
    let all = format!("{lines:?}");
    assert!(!all.contains("planted") && !all.contains("secret-a") && !all.contains("token-1"));
}

#[tokio::test]
async fn by_default_only_failures_are_logged() {
    let watched = Watched::new("", "").await;
    watched.vendor.api(|got| match got.path() {
        "/base/bad" => Act::Reply(reply("503 Service Unavailable", "", "later")),
        "/base/cut" => Act::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()),
        "/base/no" => Act::Reply(reply("404 Not Found", "", "no")),
        _ => ok("hello"),
    });
    for path in [
        "/shop/x",
        "/shop/no",
        "/-/health",
        "/shop/bad",
        "/shop/cut",
        "/nope",
    ] {
        watched.ask(&format!("GET {path}"), "").await;
    }
    let lines = watched.lines(3).await;
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["status"], &line["error"]))
        .collect();
    let cut = Value::from("cut-off");
    let unknown = Value::from("unknown-provider");
    assert_eq!(
        told,
        [
            (&503.into(), &Value::Null),
            (&200.into(), &cut),
            (&404.into(), &unknown)
        ]
    );
}

/// The value of a series with this name and all of these labels.
fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let is_it = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
            && labels
                .iter()
                .all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")))
    };
    let line = text.lines().find(is_it)?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn what_happens_is_counted_under_the_names_of_the_contract() {
    let _limit = TimeLimit::start();
    let recorder = PrometheusBuilder::new()
        .set_buckets(&[0.1, 1.0])
        .unwrap()
        .build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let vendor = Vendor::start().await;
    vendor.api(revoked);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.token");
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\n{}[[serve.files]]\nprovider = 'shop'\npath = '{}'\n",
        provider(&vendor),
        file.display()
    );
    let server = Server::new(biped(&toml)).metrics(move || handle.render());
    let running = server.start().await.unwrap();
    running.warmed().await;
    assert_eq!(ask(&running, "GET /shop/x", "").await.status, 200);
    assert_eq!(ask(&running, "PROPFIND /shop/x", "").await.status, 200);
    assert_eq!(ask(&running, "GET /nope", "").await.status, 404);
    let text = ask(&running, "GET /-/metrics", "").await.text();
    let api = vendor.address.ip().to_string();
    let listener = address(&running.addresses()[0]).to_string();
    let (server, client) = (
        "http_server_request_duration_seconds_count",
        "http_client_request_duration_seconds_count",
    );
    let shop = ("biped_provider", "shop");
    let get = ("http_request_method", "GET");
    let status = |text| ("http_response_status_code", text);
    for (name, labels, expected) in [
        (server, vec![shop, get, status("200")], 1.0),
        (
            server,
            vec![shop, ("http_request_method", "_OTHER"), status("200")],
            1.0,
        ),
        (
            server,
            vec![get, status("404"), ("error_type", "unknown-provider")],
            1.0,
        ),
        (
            client,
            vec![shop, get, status("401"), ("server_address", &api)],
            1.0,
        ),
        (
            client,
            vec![shop, get, status("200"), ("server_address", &api)],
            1.0,
        ),
        ("http_server_active_requests", vec![shop], 0.0),
        ("http_client_open_connections", vec![("state", "idle")], 1.0),
        (
            "http_client_open_connections",
            vec![("state", "active")],
            0.0,
        ),
        (
            "biped_serve_replays_total",
            vec![shop, ("outcome", "accepted")],
            1.0,
        ),
        (
            "biped_serve_refused_total",
            vec![("reason", "unknown-provider")],
            1.0,
        ),
        (
            "biped_serve_connections",
            vec![("listener", &*listener)],
            1.0,
        ),
        (
            "biped_token_state",
            vec![("provider", "shop"), ("state", "fresh")],
            1.0,
        ),
        (
            "biped_token_state",
            vec![("provider", "shop"), ("state", "expired")],
            0.0,
        ),
        ("biped_config_last_reload_successful", vec![], 1.0),
        (
            "biped_build_info",
            vec![("version", env!("CARGO_PKG_VERSION"))],
            1.0,
        ),
    ] {
        assert_eq!(
            value(&text, name, &labels),
            Some(expected),
            "{name} {labels:?}\n{text}"
        );
    }
    for name in [
        "biped_token_expiry_timestamp_seconds",
        "biped_serve_file_expiry_timestamp_seconds",
        "biped_config_last_reload_success_timestamp_seconds",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ] {
        assert!(
            value(&text, name, &[]).is_some_and(|it| it >= 0.0),
            "{name}\n{text}"
        );
    }
    assert!(value(&text, "biped_serve_file_expiry_timestamp_seconds", &[]) > Some(1e9));
    assert!(!text.contains("token-1") && !text.contains("vendor-secret"));
}

#[tokio::test]
async fn a_connection_is_active_until_the_end_of_the_answer() {
    let _limit = TimeLimit::start();
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let vendor = Vendor::start().await;
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec();
    vendor.api(move |_| Act::Stall(half.clone()));
    let toml = format!("[serve]\nlisten = ['127.0.0.1:0']\n{}", provider(&vendor));
    let running = Server::new(biped(&toml)).start().await.unwrap();
    let at = address(&running.addresses()[0]);
    let mut caller = Caller::new(TcpStream::connect(at).await.unwrap());
    caller
        .write("GET /shop/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    caller.head().await.unwrap();
    let open = |state| {
        value(
            &handle.render(),
            "http_client_open_connections",
            &[("state", state)],
        )
    };
    assert_eq!((open("active"), open("idle")), (Some(1.0), Some(0.0)));
    let active = |text: &str| {
        value(
            text,
            "http_server_active_requests",
            &[("biped_provider", "shop")],
        )
    };
    assert_eq!(active(&handle.render()), Some(1.0));
    drop(caller);
    until("no connection is open", async || {
        (open("active"), open("idle")) == (Some(0.0), Some(0.0))
    })
    .await;
    assert_eq!(active(&handle.render()), Some(0.0));
}

/// A span: its name, the name of the one around it, its fields.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: &'static str,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Seen {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(Id, Seen)>>>);

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let span = cx.span(id).unwrap();
        let mut seen = Seen {
            name: span.name(),
            parent: span.parent().map(|parent| parent.name()),
            ..Seen::default()
        };
        attributes.record(&mut seen);
        self.0.lock().unwrap().push((id.clone(), seen));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut all = self.0.lock().unwrap();
        let span = all.iter_mut().rev().find(|(known, _)| known == id);
        values.record(&mut span.unwrap().1);
    }
}

#[tokio::test]
async fn a_request_is_a_span_with_each_attempt_inside_it() {
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    // With a single subscriber, what another test's thread does first decides whether a span is made.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    let watched = Watched::new("access_log = 'all'", "").await;
    watched.running.warmed().await;
    watched.vendor.api(revoked);
    watched.ask("GET /shop/x?planted", "").await;
    watched.ask("GET /shop\\x", "").await;
    watched.lines(2).await;
    let all = spans.0.lock().unwrap();
    let named = |name: &str| -> Vec<Seen> {
        let all = all.iter().map(|(_, span)| span.clone());
        all.filter(|span| span.name == name).collect()
    };
    let served = named("serve");
    let [call, refused] = &served[..] else {
        panic!("{served:?}");
    };
    let field = |span: &Seen, name| span.fields.get(name).cloned().unwrap_or_default();
    assert_eq!(field(call, "otel.name"), "GET shop");
    assert_eq!(field(call, "otel.kind"), "server");
    assert_eq!(field(call, "biped.provider"), "shop");
    assert_eq!(field(call, "http.request.method"), "GET");
    assert_eq!(field(call, "http.response.status_code"), "200");
    assert_eq!(field(refused, "http.response.status_code"), "404");
    assert_eq!(field(refused, "error.type"), "unknown-provider");
    let attempts = named("call");
    assert_eq!(attempts.len(), 2);
    for attempt in &attempts {
        assert_eq!(attempt.parent, Some("serve"));
    }
    assert_eq!(field(&attempts[1], "http.request.resend_count"), "1");
    let fetches = named("fetch");
    assert_eq!(fetches.len(), 2);
    for fetch in fetches {
        assert_eq!(fetch.parent, None);
    }
    assert!(!format!("{all:?}").contains("planted"));
}

#[tokio::test]
async fn a_trace_of_the_caller_goes_on_to_the_api() {
    let watched = Watched::new("", "").await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = format!("traceparent: {parent}\r\ntracestate: a=b\r\n");
    watched.ask("GET /shop/x", &headers).await;
    let got = watched.vendor.only();
    assert_eq!(got.header("traceparent"), Some(parent));
    assert_eq!(got.header("tracestate"), Some("a=b"));
}

#[tokio::test]
async fn refusals_of_the_token_endpoint_are_logged_as_well() {
    let callers = "[[serve.callers]]\nname = 'a'\ntoken = 'secret-a'\ntokens = true\n";
    let watched = Watched::new("tokens = true", callers).await;
    let at = address(&watched.running.addresses()[0]);
    let mut caller = Caller::new(TcpStream::connect(at).await.unwrap());
    for (form, status) in [
        ("grant_type=client_credentials&client_secret=wrong", 401),
        ("grant_type=client_credentials&client_secret=secret-a", 200),
        ("grant_type=password&client_secret=secret-a", 400),
    ] {
        let length = form.len();
        let head = "POST /-/oauth/shop/token HTTP/1.1\r\nHost: localhost\r\n\
                    Content-Type: application/x-www-form-urlencoded\r\nContent-Length:";
        caller.write(format!("{head} {length}\r\n\r\n{form}")).await;
        let answer = caller.answer().await;
        assert_eq!(answer.status, status, "{answer:?}");
        let said = answer.header("proxy-status").unwrap_or_default();
        assert_eq!(said.contains("details=\""), status != 200, "{said}");
    }
    drop(caller);
    let lines = watched.lines(2).await;
    let errors: Vec<_> = lines
        .iter()
        .map(|line| line["error"].as_str().unwrap())
        .collect();
    assert_eq!(errors, ["invalid_client", "unsupported_grant_type"]);
}
