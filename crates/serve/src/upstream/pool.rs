//! [`Pool`]: connections over HTTP/1.1, each of which serves one request at a time.

use std::{
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use biped::{
    Error,
    provider::{Clock, SystemClock},
    tower::Body,
};
use http::{Request, Response, uri::PathAndQuery};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tower_service::Service;

use super::{
    connector::Connector,
    failure::SendError,
    http1::Http1Connection,
    open::Use,
    server::{IDLE, Server},
};

/// The servers of APIs with their connections, and the way to more.
pub(super) struct Pool {
    connector: Connector,
    /// By the beginning of their URLs.
    servers: Mutex<BTreeMap<Box<str>, Arc<Server>>>,
    /// Whether a task closes connections that have been unused for too long.
    is_swept: AtomicBool,
}

/// The head of an answer, and its connection.
type Answered = (Response<Incoming>, Use, Lease);

/// A connection that goes back to its pool when this is dropped, and its request has ended.
pub(super) struct Lease {
    pool: Arc<Pool>,
    server: Arc<Server>,
    connection: Option<Http1Connection>,
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Self {
        Self {
            connector,
            servers: Mutex::default(),
            is_swept: AtomicBool::default(),
        }
    }

    /// The server that the beginning of a URL names. One that is not used is forgotten when another is met.
    pub(super) fn server(&self, origin: &str) -> Result<Arc<Server>, Error> {
        let mut servers = self.servers();
        if let Some(known) = servers.get(origin) {
            return Ok(known.clone());
        }
        servers.retain(|_, server| Arc::strong_count(server) > 1 || server.has_unused());
        let met = Arc::new(Server::new(origin)?);
        servers.insert(origin.into(), met.clone());
        Ok(met)
    }

    /// Sends a request; on a new connection if `fresh`. One that was not begun, because its connection had
    /// been closed meanwhile, is sent on another. An error tells whether its connection had served before.
    pub(super) async fn send(
        self: &Arc<Self>,
        server: &Arc<Server>,
        mut request: Box<Request<Body>>,
        fresh: bool,
    ) -> Result<Answered, (SendError, bool)> {
        server.name_in(&mut request);
        loop {
            let unused = match fresh {
                true => None,
                false => server.take(SystemClock.now().mono),
            };
            let mut connection = match unused {
                Some(connection) => connection,
                // Rare, and large.
                None => Box::pin(self.connect(server))
                    .await
                    .map_err(|error| (error, false))?,
            };
            let (it, was_used) = connection.begin();
            let (unsent, error) = match connection.send(request).await {
                Ok(response) => {
                    let lease = Lease {
                        pool: self.clone(),
                        server: server.clone(),
                        connection: Some(connection),
                    };
                    return Ok((response, it, lease));
                }
                Err(end) => end,
            };
            match unsent {
                Some(unsent) if was_used => request = unsent,
                _ => return Err((SendError::Sent(error), was_used)),
            }
        }
    }

    async fn connect(&self, server: &Server) -> Result<Http1Connection, SendError> {
        let uri = server.address(PathAndQuery::from_static("/").into())?;
        let mut connector = self.connector.clone();
        let stream = async {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(uri).await
        };
        let stream = stream.await.map_err(SendError::Connect)?;
        let mut connection = Http1Connection::new(stream).await?;
        connection.ready().await.map_err(SendError::Sent)?;
        Ok(connection)
    }

    fn put(self: &Arc<Self>, server: &Server, connection: Http1Connection) {
        server.put(connection, SystemClock.now().mono);
        if !self.is_swept.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what has been unused for too long at `now`, and says whether the task that closes has ended:
    /// nothing is left to close later, or another task does it.
    fn close_unused(&self, now: Duration) -> bool {
        // What is unused from here on is another task's, if this one finds nothing left.
        self.is_swept.store(false, Ordering::Release);
        let mut is_done = true;
        for server in self.servers().values() {
            is_done &= server.close_unused(now);
        }
        is_done || self.is_swept.swap(true, Ordering::AcqRel)
    }

    fn servers(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Arc<Server>>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Lease {
    /// Polls what comes from the connection, and moves it for that.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match &mut self.connection {
            Some(connection) => connection.poll(cx, poll),
            None => poll(cx),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The runtime may be gone.
        let (Some(mut connection), Ok(runtime)) = (self.connection.take(), Handle::try_current())
        else {
            return;
        };
        if connection.is_ready() {
            self.pool.put(&self.server, connection);
            return;
        }
        if connection.is_closed() {
            return;
        }
        let (pool, server) = (self.pool.clone(), self.server.clone());
        // What is left of the request or of the response is still on its way.
        runtime.spawn(async move {
            if connection.ready().await.is_ok() {
                pool.put(&server, connection);
            }
        });
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
        let server = clients.server(&format!("http://{at}")).unwrap();
        for _ in 0..2 {
            let request = Request::get("/").body(Body::whole(Bytes::new()));
            let answer = clients
                .send(&server, Box::new(request.unwrap()), false)
                .await;
            assert!(answer.is_ok_and(|response| response.status() == 200));
            while !server.has_unused() {
                yield_now().await;
            }
        }
        let pool = &clients.pool;
        let now = SystemClock.now().mono;
        assert!(!pool.close_unused(now));
        assert!(server.has_unused());
        assert!(pool.close_unused(now + IDLE));
        assert!(!server.has_unused());
    }

    #[test]
    fn a_server_that_is_not_used_is_forgotten_when_another_is_met() {
        let upstream = Upstream::new(Arc::default(), OwnAddresses::default());
        let clients = upstream.clients(Http2::Auto, None).unwrap();
        for number in 0..3 {
            let origin = format!("https://{number}.example");
            assert_eq!(clients.server(&origin).unwrap().host(), &origin[8..]);
            assert_eq!(clients.pool.servers().len(), 1);
        }
    }
}
