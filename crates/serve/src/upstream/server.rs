//! [`Server`]: a server of an API, and the connections to it that are not in use.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use biped::{Error, tower::Body};
use http::{
    HeaderValue, Request, Uri, Version,
    header::HOST,
    uri::{Authority, Parts, Scheme},
};
use hyper::client::conn::http1::SendRequest;

use super::{failure::SendError, open::Open};

/// How long an unused connection is kept.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// How many unused connections to one server are kept.
pub(super) const IDLE_CONNECTIONS: usize = 512;

/// A server of an API.
pub(crate) struct Server {
    scheme: Scheme,
    authority: Authority,
    /// How `Host` names it.
    named: HeaderValue,
    /// Whether it chose HTTP/1.1 where it could have chosen HTTP/2.
    chose_http1: AtomicBool,
    unused: Mutex<Vec<Unused>>,
}

/// A connection.
pub(super) struct Line {
    pub(super) sender: SendRequest<Body>,
    pub(super) open: Open,
}

struct Unused {
    line: Line,
    since: Duration,
}

impl Server {
    /// The server that the beginning of a URL names: scheme, host and port.
    pub(super) fn new(origin: &str) -> Result<Self, Error> {
        let wrong = || Error::configuration("the request's URL is not a valid URI");
        let mut parts = origin.parse::<Uri>().map_err(|_| wrong())?.into_parts();
        let scheme = parts.scheme.take().ok_or_else(wrong)?;
        let authority = parts.authority.take().ok_or_else(wrong)?;
        let usual = if scheme == Scheme::HTTP { 80 } else { 443 };
        let host = authority.host();
        let named = match authority.port_u16() {
            Some(port) if port != usual => HeaderValue::try_from(format!("{host}:{port}")),
            _ => HeaderValue::from_str(host),
        };
        Ok(Self {
            named: named.map_err(|_| wrong())?,
            scheme,
            authority,
            chose_http1: AtomicBool::default(),
            unused: Mutex::default(),
        })
    }

    pub(crate) fn host(&self) -> &str {
        self.authority.host()
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.scheme != Scheme::HTTP
    }

    /// Whether it chose HTTP/1.1 the last time that it could choose.
    pub(super) fn chose_http1(&self) -> bool {
        self.chose_http1.load(Ordering::Relaxed)
    }

    /// Notes what it chose.
    pub(super) fn chose(&self, version: Version) {
        let is_http1 = version <= Version::HTTP_11;
        self.chose_http1.store(is_http1, Ordering::Relaxed);
    }

    /// Names the server in `Host`, as HTTP/1.1 wants it.
    pub(super) fn name_in<B>(&self, request: &mut Request<B>) {
        let headers = request.headers_mut();
        headers.entry(HOST).or_insert_with(|| self.named.clone());
    }

    /// The whole address of a request whose target is a path.
    pub(super) fn address(&self, target: Uri) -> Result<Uri, SendError> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = target.into_parts().path_and_query;
        Uri::from_parts(parts).map_err(|error| SendError::Connect(error.into()))
    }

    /// A connection that is unused at `now`, the latest first.
    pub(super) fn take(&self, now: Duration) -> Option<Line> {
        let mut unused = self.unused();
        while let Some(latest) = unused.pop() {
            if latest.is_good(now) {
                return Some(latest.line);
            }
        }
        None
    }

    /// Keeps a connection that is unused from `now` on.
    pub(super) fn put(&self, line: Line, now: Duration) {
        let mut unused = self.unused();
        if unused.len() < IDLE_CONNECTIONS {
            unused.push(Unused { line, since: now });
        }
    }

    /// Closes what has been unused for too long at `now`, and says whether nothing is left.
    pub(super) fn close_unused(&self, now: Duration) -> bool {
        let mut unused = self.unused();
        unused.retain(|one| one.is_good(now));
        unused.is_empty()
    }

    pub(super) fn has_unused(&self) -> bool {
        !self.unused().is_empty()
    }

    fn unused(&self) -> MutexGuard<'_, Vec<Unused>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unused {
    fn is_good(&self, now: Duration) -> bool {
        !self.line.sender.is_closed() && now.saturating_sub(self.since) < IDLE
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}
