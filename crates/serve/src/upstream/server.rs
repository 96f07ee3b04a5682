//! [`Server`]: a server of an API, and the connections to it that are not in use.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use biped::Error;
use http::{
    HeaderValue, Request, Uri, Version,
    header::HOST,
    uri::{Authority, Parts, Scheme},
};

use super::{failure::SendError, http1::Http1Connection};

/// How long an unused connection is kept.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// How long a server that chose HTTP/1.1 is not asked again.
const CHOICE: Duration = Duration::from_secs(300);
/// How many unused connections to one server are kept.
pub(super) const IDLE_CONNECTIONS: usize = 512;

/// A server of an API.
pub(crate) struct Server {
    scheme: Scheme,
    authority: Authority,
    /// How `Host` names it.
    named: HeaderValue,
    /// Until when it is taken for one that chooses HTTP/1.1, in milliseconds of the monotonic clock.
    http1_until: AtomicU64,
    unused: Mutex<Vec<Unused>>,
}

struct Unused {
    connection: Http1Connection,
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
            http1_until: AtomicU64::default(),
            unused: Mutex::default(),
        })
    }

    pub(crate) fn host(&self) -> &str {
        self.authority.host()
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.scheme != Scheme::HTTP
    }

    /// Whether it chose HTTP/1.1 when it could choose, not long before `now`.
    pub(super) fn chose_http1(&self, now: Duration) -> bool {
        now < Duration::from_millis(self.http1_until.load(Ordering::Relaxed))
    }

    /// Notes what it chose at `now`.
    pub(super) fn chose(&self, version: Version, now: Duration) {
        let until = match version {
            Version::HTTP_2 => 0,
            _ => u64::try_from((now + CHOICE).as_millis()).unwrap_or(u64::MAX),
        };
        self.http1_until.store(until, Ordering::Relaxed);
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
    pub(super) fn take(&self, now: Duration) -> Option<Http1Connection> {
        loop {
            let latest = self.unused().pop();
            let latest = latest?;
            if latest.is_good(now) {
                return Some(latest.connection);
            }
            latest.connection.close();
        }
    }

    /// Keeps a connection that is unused from `now` on.
    pub(super) fn put(&self, connection: Http1Connection, now: Duration) {
        let mut unused = self.unused();
        if unused.len() < IDLE_CONNECTIONS {
            unused.push(Unused {
                connection,
                since: now,
            });
            return;
        }
        connection.close();
    }

    /// Closes what has been unused for too long at `now`, and says whether nothing is left.
    pub(super) fn close_unused(&self, now: Duration) -> bool {
        let mut unused = self.unused();
        for one in unused.extract_if(.., |one| !(one.is_good(now) && one.connection.is_ready())) {
            one.connection.close();
        }
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
        now.saturating_sub(self.since) < IDLE && !self.connection.is_closed()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_choose_again_after_a_while() {
        let server = Server::new("https://a.example").unwrap();
        let now = Duration::from_secs(1);
        assert!(!server.chose_http1(now));
        server.chose(Version::HTTP_11, now);
        assert!(server.chose_http1(now + CHOICE - Duration::from_millis(1)));
        assert!(!server.chose_http1(now + CHOICE));
        server.chose(Version::HTTP_2, now);
        assert!(!server.chose_http1(now));
    }

    #[test]
    fn a_server_is_named_with_a_port_that_is_not_the_usual_one() {
        for (origin, host) in [
            ("https://a.example", "a.example"),
            ("https://a.example:443", "a.example"),
            ("http://a.example:443", "a.example:443"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            let server = Server::new(origin).unwrap();
            let mut request = Request::new(());
            server.name_in(&mut request);
            assert_eq!(request.headers()[HOST], host);
        }
    }
}
