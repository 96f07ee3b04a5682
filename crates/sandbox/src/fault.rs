//! [`Fault`]: a fault on request.

use std::time::Duration;

use axum::http::HeaderValue;
use biped_core::Timestamp;
use serde::{Deserialize, Serialize};

/// One of the sandbox's vendors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Vendor {
    /// JSON requests, JWTs, two clouds.
    Contentsquare,
    /// Form requests, responses in `data` and `error`.
    Envelope,
}

/// A fault: its requests, its number of times and its effect.
///
/// As JSON, in which only `effect` is required:
///
/// ```json
/// {
///   "vendor": "contentsquare", "path": "/v1/exports", "times": 2,
///   "latency_ms": 100, "effect": { "status": 429 }, "retry_after": { "date_in": 5 }
/// }
/// ```
///
/// | field | meaning | default |
/// | --- | --- | --- |
/// | `vendor` | `contentsquare` or `envelope` | both |
/// | `path` | a path; a prefix if it ends in `*`; `%20` equals a space | every path |
/// | `times` | how many requests it affects; `null`: all until faults are cleared | 1 |
/// | `latency_ms` | how long an affected request waits first, on the sandbox's clock | 0 |
/// | `effect` | an [`Effect`] | – |
/// | `retry_after` | a [`RetryAfter`], sent with a `status` effect | none |
///
/// Only the first queued fault that matches a request affects it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default)]
    vendor: Option<Vendor>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default = "once")]
    times: Option<u32>,
    #[serde(default)]
    latency_ms: u64,
    pub(crate) effect: Effect,
    #[serde(default)]
    pub(crate) retry_after: Option<RetryAfter>,
}

/// What a [`Fault`] does to a response. As JSON: `"stall"`, or `{"status": 503}`.
///
/// `faulted` in the statistics counts the requests that did not get the vendor's whole response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// No effect but the latency. Does not count as `faulted`.
    None,
    /// This status (200 to 599) with an error in the vendor's own form; no token is issued. For any
    /// other number the status is 500.
    Status(u16),
    /// Revokes a token early: for an API call that of the call, before it is checked; for a token
    /// request that succeeds the new one, and all others of its key. Does not count as `faulted`.
    Revoke,
    /// The vendor's response, but the connection is reset, at the latest after half of the body. An empty
    /// body is sent whole.
    Reset,
    /// The vendor's response, but nothing follows after half of the body. An empty body is sent whole.
    Stall,
    /// The vendor's response, labelled `text/html`. Does not count as `faulted`.
    WrongContentType,
    /// 200 with an HTML page, like the login page of a proxy.
    Html,
    /// 200 with endless `application/json`.
    Endless,
    /// 200 with `application/json` and an empty body.
    Empty,
}

/// The value of a `Retry-After` header. As JSON: `5`, `{"date_in": 5}`, or `"any text"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
#[non_exhaustive]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u64),
    /// The date this many seconds from now, or before.
    DateIn {
        /// Seconds from the time of the response; a negative number is in the past.
        date_in: i64,
    },
    /// This text, unchanged.
    Text(String),
}

impl Fault {
    /// Returns a fault that affects the next request of any kind.
    #[must_use]
    pub const fn new(effect: Effect) -> Self {
        Self {
            vendor: None,
            path: None,
            times: once(),
            latency_ms: 0,
            effect,
            retry_after: None,
        }
    }

    /// Affects only requests to this vendor.
    #[must_use]
    pub const fn vendor(mut self, vendor: Vendor) -> Self {
        self.vendor = Some(vendor);
        self
    }

    /// Affects only requests for this path; a path that ends in `*` is a prefix.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Affects this many requests. Default: one.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Affects all requests until faults are cleared.
    #[must_use]
    pub const fn until_cleared(mut self) -> Self {
        self.times = None;
        self
    }

    /// Delays affected requests, on the sandbox's clock. Fractions of a millisecond are dropped.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Sends `Retry-After` with the status.
    #[must_use]
    pub fn retry_after(mut self, retry_after: RetryAfter) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    pub(crate) const fn wait(&self) -> Duration {
        Duration::from_millis(self.latency_ms)
    }

    /// Returns what is wrong with a fault from JSON.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match self.effect {
            Effect::Status(status) if !(200..=599).contains(&status) => {
                Some("expected a status from 200 to 599")
            }
            _ if self.times == Some(0) => Some("expected 1 or more, or null, as times"),
            _ => self.path_problem().or_else(|| self.retry_after_problem()),
        }
    }

    fn path_problem(&self) -> Option<&'static str> {
        let path = self.path.as_deref()?;
        if !path.starts_with(['/', '*']) {
            return Some("expected a path that starts with a slash");
        }
        path.contains('?')
            .then_some("expected a path without a query")
    }

    fn retry_after_problem(&self) -> Option<&'static str> {
        let Some(RetryAfter::Text(text)) = &self.retry_after else {
            return None;
        };
        let is_header = HeaderValue::try_from(text).is_ok();
        (!is_header).then_some("expected a text without control characters as retry_after")
    }

    fn hits(&self, vendor: Vendor, path: &str) -> bool {
        self.vendor.is_none_or(|wanted| wanted == vendor)
            && self.path.as_deref().is_none_or(|wanted| {
                let (wanted, path) = (spaced(wanted), spaced(path));
                match wanted.strip_suffix('*') {
                    Some(prefix) => path.starts_with(prefix),
                    None => path == wanted,
                }
            })
    }
}

/// Returns the fault that affects this request, and counts it down.
pub(crate) fn take(queue: &mut Vec<Fault>, vendor: Vendor, path: &str) -> Option<Fault> {
    queue.retain(|fault| fault.times != Some(0));
    let at = queue.iter().position(|fault| fault.hits(vendor, path))?;
    let fault = queue[at].clone();
    if let Some(times) = &mut queue[at].times {
        *times -= 1;
        if *times == 0 {
            queue.remove(at);
        }
    }
    Some(fault)
}

impl RetryAfter {
    /// Returns the header's value at this time.
    pub(crate) fn text(&self, now: Timestamp) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::DateIn { date_in } => {
                let distance = Duration::from_secs(date_in.unsigned_abs());
                let date = if *date_in < 0 {
                    now.before(distance)
                } else {
                    now.after(distance)
                };
                // HTTP dates start with the Unix epoch.
                httpdate::fmt_http_date(date.max(Timestamp::from_unix_seconds(0)).into())
            }
            Self::Text(text) => text.clone(),
        }
    }
}

const fn once() -> Option<u32> {
    Some(1)
}

fn spaced(path: &str) -> String {
    path.replace("%20", " ")
}

/// What a request is for, and so where a fault affects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultPoint {
    Token,
    Inspection,
    Api,
}
