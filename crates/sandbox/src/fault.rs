//! [`Fault`]: what goes wrong on request.

use std::time::Duration;

use biped_core::Timestamp;
use serde::{Deserialize, Serialize};

/// One of the sandbox's vendors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Vendor {
    /// JSON requests, JWTs, two clouds.
    Contentsquare,
    /// Form requests, `data` and `error` around every answer.
    Envelope,
}

/// Something that goes wrong: for which requests, how often, and what.
///
/// As JSON, where only `effect` has no default:
///
/// ```json
/// {
///   "vendor": "contentsquare", "path": "/v1/exports", "times": 2,
///   "latency_ms": 100, "effect": { "status": 429 }, "retry_after": { "date_in": 5 }
/// }
/// ```
///
/// | field | is | default |
/// | --- | --- | --- |
/// | `vendor` | `contentsquare` or `envelope` | both |
/// | `path` | a path; what ends in `*` is a prefix; `%20` and a space are the same | every path |
/// | `times` | how many requests it hits; `null`: all until faults are cleared | 1 |
/// | `latency_ms` | how long a hit request waits, on the sandbox's clock, before anything else happens | 0 |
/// | `effect` | an [`Effect`] | – |
/// | `retry_after` | a [`RetryAfter`], sent with a `status` effect | none |
///
/// A request is hit by the first fault queued that fits it, and by that one alone.
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

/// What a [`Fault`] does to an answer. As JSON: `"stall"`, or `{"status": 503}`.
///
/// `faulted` in the statistics counts the requests that did not get the vendor's own answer whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Nothing: the fault is its latency. Not `faulted`.
    None,
    /// This status (200 to 599) with an error in the vendor's own form; a token request issues no
    /// token. Any other number answers 500.
    Status(u16),
    /// The token is revoked early: on an API call the one that came with it, before it is judged;
    /// on a token request the one just issued, and any other of its key. Not `faulted`.
    Revoke,
    /// The vendor's own answer, but the connection is reset after half of its body.
    Reset,
    /// The vendor's own answer, but nothing comes after half of its body.
    Stall,
    /// The vendor's own answer, labelled `text/html`. Not `faulted`.
    WrongContentType,
    /// 200 with a page of HTML, as a proxy's login page would be.
    Html,
    /// 200 with `application/json` that never ends.
    Endless,
    /// 200 with `application/json` and no body.
    Empty,
}

/// The value of a `Retry-After` header. As JSON: `5`, `{"date_in": 5}`, or `"any text"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum RetryAfter {
    /// So many seconds.
    Seconds(u64),
    /// The date so many seconds from now, or before it.
    DateIn {
        /// Seconds from the time of the answer; negative is in the past.
        date_in: i64,
    },
    /// This text as it stands.
    Text(String),
}

impl Fault {
    /// A fault that hits the next request, whatever it is.
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

    /// Hits requests to this vendor only.
    #[must_use]
    pub const fn vendor(mut self, vendor: Vendor) -> Self {
        self.vendor = Some(vendor);
        self
    }

    /// Hits requests for this path only; a path that ends in `*` is a prefix.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Hits so many requests. Default: one.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Hits every request until faults are cleared.
    #[must_use]
    pub const fn until_cleared(mut self) -> Self {
        self.times = None;
        self
    }

    /// Lets a hit request wait so long, on the sandbox's clock, before anything else happens.
    /// Fractions of a millisecond are dropped.
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

    /// What is wrong with a fault that came as JSON.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match self.effect {
            Effect::Status(status) if !(200..=599).contains(&status) => {
                Some("status has to be from 200 to 599")
            }
            _ if self.times == Some(0) => Some("times has to be 1 or more, or null"),
            _ => None,
        }
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

/// Takes the fault that hits this request, and counts it down.
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
    /// The header's value at this time.
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
                // HTTP dates begin with the Unix epoch.
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

/// What a request is to, and so where a fault meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultPoint {
    Token,
    Inspection,
    Api,
}
