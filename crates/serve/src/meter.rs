//! What is counted, in the names of the OpenTelemetry HTTP conventions: written to the recorder of the
//! `metrics` crate, if the application installed one. No label holds a path, a query, a parameter, a
//! scope or a secret.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use biped::provider::{Clock, SystemClock};
use http::Method;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

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

/// The series of a provider. They are looked up by the recorder once, and not at each call.
pub(crate) struct Series {
    /// Empty if the request is not an API call.
    provider: Arc<str>,
    answered: Handles<(&'static str, u16, Option<&'static str>)>,
    attempted: Mutex<BTreeMap<Box<str>, Arc<Handles<Attempt>>>>,
    active: Gauge,
    replays: [Counter; 3],
    by_class: [AtomicU64; 5],
}

/// The classes of statuses that calls are counted by, for the page.
pub(crate) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// A method, and a status or why there was none.
type Attempt = (&'static str, Result<u16, &'static str>);

/// Histograms by what their labels say.
struct Handles<K>(Mutex<BTreeMap<K, Histogram>>);

impl<K: Ord + Copy> Handles<K> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn of(&self, key: K, make: impl FnOnce() -> Histogram) -> Histogram {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(key).or_insert_with(make).clone()
    }
}

/// What came of a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replayed {
    Accepted,
    Rejected,
    /// The call could not be sent again.
    Impossible,
}

impl Series {
    pub(crate) fn new(provider: &Arc<str>) -> Self {
        let name = || provider.to_string();
        let replays = |outcome: &'static str| counter!("biped_serve_replays_total", "biped_provider" => name(), "outcome" => outcome);
        Self {
            answered: Handles::new(),
            attempted: Mutex::default(),
            active: gauge!("http_server_active_requests", "biped_provider" => name()),
            replays: ["accepted", "rejected", "impossible"].map(replays),
            by_class: Default::default(),
            provider: provider.clone(),
        }
    }

    /// An answered call, to the end of its body.
    pub(crate) fn answered(
        &self,
        method: &'static str,
        status: u16,
        error: Option<&'static str>,
        time: Duration,
    ) {
        let make = || {
            let (provider, status) = (self.provider.to_string(), status.to_string());
            match error {
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
            }
        };
        let class = usize::from(status / 100).wrapping_sub(1);
        if let Some(count) = self.by_class.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.answered.of((method, status, error), make).record(time);
        if let Some(error) = error {
            counter!("biped_serve_refused_total", "reason" => error).increment(1);
        }
    }

    /// How many calls were answered with each class of status.
    pub(crate) fn by_class(&self) -> [u64; 5] {
        self.by_class
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// An attempt at an API, to the head of its answer, or to its failure.
    pub(crate) fn attempted(
        &self,
        method: &'static str,
        outcome: Result<u16, &'static str>,
        server: &str,
        time: Duration,
    ) {
        let of_server = {
            let mut all = self
                .attempted
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match all.get(server) {
                Some(known) => known.clone(),
                None => {
                    let new = Arc::new(Handles::new());
                    all.insert(server.into(), new.clone());
                    new
                }
            }
        };
        let make = || {
            let (key, value) = match outcome {
                Ok(status) => ("http_response_status_code", status.to_string()),
                Err(error) => ("error_type", error.to_owned()),
            };
            histogram!(
                "http_client_request_duration_seconds",
                "biped_provider" => self.provider.to_string(),
                "http_request_method" => method,
                key => value,
                "server_address" => server.to_owned()
            )
        };
        of_server.of((method, outcome), make).record(time);
    }

    /// What came of a rejection.
    pub(crate) fn replayed(&self, outcome: Replayed) {
        let [accepted, rejected, impossible] = &self.replays;
        match outcome {
            Replayed::Accepted => accepted,
            Replayed::Rejected => rejected,
            Replayed::Impossible => impossible,
        }
        .increment(1);
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// A call that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Series>);

impl UnderWay {
    pub(crate) fn new(series: &Arc<Series>) -> Self {
        series.active.increment(1.0);
        Self(series.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.active.decrement(1.0);
    }
}

/// A connection to a listener, until this is dropped.
pub(crate) struct Connection(Gauge);

impl Connection {
    pub(crate) fn new(listener: &str) -> Self {
        let gauge = gauge!("biped_serve_connections", "listener" => listener.to_owned());
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Connections to APIs, by whether they are in use.
#[derive(Clone)]
pub(crate) struct OpenConnections {
    pub(crate) idle: Gauge,
    pub(crate) active: Gauge,
}

impl OpenConnections {
    pub(crate) fn new() -> Self {
        let gauge = |state: &'static str| gauge!("http_client_open_connections", "state" => state);
        Self {
            idle: gauge("idle"),
            active: gauge("active"),
        }
    }
}

/// When the token in a file expires; `None` if there is none.
pub(crate) fn file_expires(provider: &str, file: &str, unix_seconds: Option<i64>) {
    #[allow(clippy::cast_precision_loss)] // exact for millions of years
    let at = unix_seconds.unwrap_or(0) as f64;
    let (provider, file) = (provider.to_owned(), file.to_owned());
    gauge!("biped_serve_file_expiry_timestamp_seconds", "provider" => provider, "file" => file)
        .set(at);
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
