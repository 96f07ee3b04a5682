//! [`Pool`]: connections over HTTP/1.1, each of which serves one request at a time.

use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use biped::{
    provider::{Clock, SystemClock},
    tower::Body,
};
use http::{
    HeaderValue, Request, Response, Uri,
    header::HOST,
    uri::{Authority, Scheme},
};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use tokio::runtime::Handle;
use tower_service::Service;

use super::{
    connector::Connector,
    failure::SendError,
    open::{Open, Use},
};

/// How long an unused connection is kept.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// How many unused connections to one server are kept.
pub(super) const IDLE_CONNECTIONS: usize = 512;
/// The largest head of a response.
pub(crate) const MAX_HEAD: usize = 64 * 1024;

/// The end of one attempt: an answer on a connection that it uses, or why there is none and whether its
/// connection had served before.
pub(crate) type Attempt = Result<(Response<Incoming>, Option<InUse>), (SendError, bool)>;

/// A connection that an answer is still on, until this is dropped. One of the pool goes back to it then.
pub(crate) struct InUse {
    // Dropped in this order.
    _use: Use,
    _lease: Option<Lease>,
}

impl From<Use> for InUse {
    fn from(it: Use) -> Self {
        Self {
            _use: it,
            _lease: None,
        }
    }
}

/// Connections that are not in use, and the way to more.
pub(super) struct Pool {
    connector: Connector,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// By authority: those in plain HTTP, and those with TLS.
    unused: [HashMap<Box<str>, Vec<Unused>>; 2],
    /// Whether a task closes those that have been unused for too long.
    is_swept: bool,
}

/// A server of an API.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

struct Unused {
    line: Line,
    since: Duration,
}

/// A connection.
struct Line {
    sender: SendRequest<Body>,
    open: Open,
}

/// A connection that goes back to its pool when this is dropped, and its request has ended.
struct Lease {
    pool: Arc<Pool>,
    origin: Origin,
    line: Option<Line>,
}

impl Lease {
    fn new(pool: Arc<Pool>, origin: Origin, line: Line) -> Self {
        let line = Some(line);
        Self { pool, origin, line }
    }
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Self {
        Self {
            connector,
            idle: Mutex::default(),
        }
    }

    /// Sends a request; on a new connection if `fresh`. One that was not begun, because its connection had
    /// been closed meanwhile, is sent on another.
    pub(super) async fn send(
        self: &Arc<Self>,
        origin: Origin,
        mut request: Request<Body>,
        fresh: bool,
    ) -> Attempt {
        origin.name_in(&mut request);
        loop {
            let unused = if fresh { None } else { self.take(&origin) };
            let mut line = match unused {
                Some(line) => line,
                // Rare, and large.
                None => Box::pin(self.connect(&origin))
                    .await
                    .map_err(|error| (error, false))?,
            };
            let (it, was_used) = line.open.begin();
            let mut error = match line.sender.try_send_request(request).await {
                Ok(response) => {
                    let lease = Lease::new(self.clone(), origin, line);
                    let in_use = InUse {
                        _use: it,
                        _lease: Some(lease),
                    };
                    return Ok((response, Some(in_use)));
                }
                Err(error) => error,
            };
            match error.take_message() {
                Some(unsent) if was_used => request = unsent,
                _ => return Err((SendError::Sent(error.into_error()), was_used)),
            }
        }
    }

    async fn connect(&self, origin: &Origin) -> Result<Line, SendError> {
        let uri = Uri::builder()
            .scheme(origin.scheme.clone())
            .authority(origin.authority.clone())
            .path_and_query("/");
        let uri = uri
            .build()
            .map_err(|error| SendError::Connect(error.into()))?;
        let mut connector = self.connector.clone();
        let stream = async {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(uri).await
        };
        let stream = stream.await.map_err(SendError::Connect)?;
        let open = stream.open().clone();
        let (mut sender, mut connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .allow_spaces_after_header_name_in_responses(true)
            .handshake(stream)
            .await
            .map_err(SendError::Sent)?;
        tokio::select! {
            biased;
            Err(error) = &mut connection => return Err(SendError::Sent(error)),
            ready = sender.ready() => ready.map_err(SendError::Sent)?,
        }
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection to an API ended: {error}");
            }
        });
        Ok(Line { sender, open })
    }

    /// A connection that is unused, the latest first.
    fn take(&self, origin: &Origin) -> Option<Line> {
        let now = SystemClock.now().mono;
        let mut idle = self.idle();
        let unused = origin.of_its_kind(&mut idle).get_mut(origin.name())?;
        while let Some(latest) = unused.pop() {
            if latest.is_good(now) {
                return Some(latest.line);
            }
        }
        None
    }

    fn put(self: &Arc<Self>, origin: &Origin, line: Line) {
        let since = SystemClock.now().mono;
        let mut idle = self.idle();
        let all = origin.of_its_kind(&mut idle);
        match all.get_mut(origin.name()) {
            Some(unused) if unused.len() >= IDLE_CONNECTIONS => return,
            Some(unused) => unused.push(Unused { line, since }),
            None => {
                all.insert(origin.name().into(), vec![Unused { line, since }]);
            }
        }
        if !idle.is_swept {
            idle.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what has been unused for too long at `now`, and says whether nothing is left to close later.
    fn close_unused(&self, now: Duration) -> bool {
        let mut idle = self.idle();
        for of_kind in &mut idle.unused {
            of_kind.retain(|_, unused| {
                unused.retain(|one| one.is_good(now));
                !unused.is_empty()
            });
        }
        idle.is_swept = idle.unused.iter().any(|of_kind| !of_kind.is_empty());
        !idle.is_swept
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what has been unused for too long, as long as there is anything.
async fn sweep(pool: Weak<Pool>) {
    loop {
        SystemClock.sleep(IDLE).await;
        let Some(pool) = pool.upgrade() else { return };
        if pool.close_unused(SystemClock.now().mono) {
            return;
        }
    }
}

impl Unused {
    fn is_good(&self, now: Duration) -> bool {
        !self.line.sender.is_closed() && now.saturating_sub(self.since) < IDLE
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut line) = self.line.take().filter(|line| !line.sender.is_closed()) else {
            return;
        };
        // The runtime may be gone.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if line.sender.is_ready() {
            self.pool.put(&self.origin, line);
            return;
        }
        let (pool, origin) = (self.pool.clone(), self.origin.clone());
        // What is left of the request or of the response is still on its way.
        runtime.spawn(async move {
            if poll_fn(|cx| line.sender.poll_ready(cx)).await.is_ok() {
                pool.put(&origin, line);
            }
        });
    }
}

impl Origin {
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        Some(Self {
            scheme: uri.scheme()?.clone(),
            authority: uri.authority()?.clone(),
        })
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.scheme != Scheme::HTTP
    }

    fn name(&self) -> &str {
        self.authority.as_str()
    }

    fn of_its_kind<'i>(&self, idle: &'i mut Idle) -> &'i mut HashMap<Box<str>, Vec<Unused>> {
        let [plain, encrypted] = &mut idle.unused;
        if self.is_encrypted() {
            encrypted
        } else {
            plain
        }
    }

    /// Leaves path and query in the target, and names the server in `Host`, as HTTP/1.1 wants it.
    fn name_in<B>(&self, request: &mut Request<B>) {
        let target = request.uri().path_and_query().cloned();
        *request.uri_mut() = target.map_or_else(Uri::default, Uri::from);
        if request.headers().contains_key(HOST) {
            return;
        }
        let usual = if self.is_encrypted() { 443 } else { 80 };
        let host = self.authority.host();
        let named = match self.authority.port_u16() {
            Some(port) if port != usual => HeaderValue::from_str(&format!("{host}:{port}")),
            _ => HeaderValue::from_str(host),
        };
        if let Ok(named) = named {
            request.headers_mut().insert(HOST, named);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use biped::tower::Body;
    use bytes::Bytes;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::yield_now,
    };

    use super::*;
    use crate::{
        config::Http2,
        upstream::{OwnAddresses, Upstream},
    };

    #[tokio::test]
    async fn a_connection_is_kept_for_the_next_request_and_closed_once_it_is_unused_for_too_long() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            // A second connection is not taken.
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            while stream.read(&mut head).await.unwrap() > 0 {
                let empty = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(empty).await.unwrap();
            }
        });
        let upstream = Upstream::new(Arc::default(), OwnAddresses::default());
        let clients = upstream.clients(Http2::Auto, None).unwrap();
        let pool = &clients.pool;
        for _ in 0..2 {
            let request = Request::get(format!("http://{at}/")).body(Body::whole(Bytes::new()));
            let answer = clients.send(request.unwrap(), false).await;
            assert!(answer.is_ok_and(|(response, _)| response.status() == 200));
            while pool.idle().unused[0].is_empty() {
                yield_now().await;
            }
        }
        let since = pool.idle().unused[0].values().next().unwrap()[0].since;
        assert!(!pool.close_unused(since + IDLE - Duration::from_millis(1)));
        assert!(pool.close_unused(since + IDLE));
    }
}
