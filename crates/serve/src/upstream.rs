//! Connections to the APIs, behind [`Upstream`]: hyper-util's client, and beside it a pool for what is
//! certain to be HTTP/1.1.

mod body;
mod connector;
mod failure;
mod http1;
mod open;
mod pool;
mod proxy;
mod server;
mod tcp;
mod trust;

use std::{
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use biped::{
    Error,
    client::ClientIdentity,
    provider::{Clock, SystemClock},
    reqwest::HttpSettings,
    tower::Body,
};
use http::Request;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};

pub(crate) use self::{
    body::{ApiBody, Attempt},
    failure::{Failure, SendError, is_dead_connection},
    http1::MAX_HEAD,
    server::Server,
    tcp::OwnAddresses,
};
use self::{
    connector::Connector,
    open::{Open, Use},
    pool::Pool,
    proxy::ProxyConnector,
    server::{IDLE, IDLE_CONNECTIONS},
    tcp::TcpConnector,
};
use crate::{
    config::Http2,
    headers,
    limiter::{Limiter, Permit},
    meter::OpenConnections,
};

/// How many requests are on an HTTP/2 connection at a time: servers usually take 100 or more.
const STREAMS: usize = 100;

/// The connections to the APIs of the providers with the same settings.
pub(crate) struct Upstream {
    settings: Arc<HttpSettings>,
    own: OwnAddresses,
    clients: Mutex<Vec<Kept>>,
    open: OpenConnections,
}

/// Clients, and what tells their connections to a server from others to it.
#[derive(Debug)]
struct Kept {
    http2: Http2,
    identity: Option<ClientIdentity>,
    clients: Arc<Clients>,
    /// When it was last asked for.
    used: Duration,
}

/// A client that keeps connections, and one that makes a new one for each request; and a pool, which costs
/// less, for where no handshake chooses HTTP/2.
#[derive(Debug)]
pub(crate) struct Clients {
    http2: Http2,
    pool: Arc<Pool>,
    /// Each has one HTTP/2 connection to a server.
    pooled: Mutex<Vec<Pooled>>,
    fresh: Client<Connector, Body>,
    connector: Connector,
}

/// A client, and how many requests are on its connections.
#[derive(Debug)]
struct Pooled {
    client: Client<Connector, Body>,
    streams: Arc<Limiter>,
}

impl Upstream {
    pub(crate) fn new(settings: Arc<HttpSettings>, own: OwnAddresses) -> Self {
        Self {
            settings,
            own,
            clients: Mutex::default(),
            open: OpenConnections::new(),
        }
    }

    /// Whether other settings lead to the same connections.
    pub(crate) fn is_for(&self, settings: &HttpSettings) -> bool {
        let own = &self.settings;
        own.connect_limit() == settings.connect_limit()
            && own.proxy_setting() == settings.proxy_setting()
            && own.extra_cas().eq(settings.extra_cas())
    }

    /// The client for a protocol and a certificate.
    pub(crate) fn clients(
        &self,
        http2: Http2,
        identity: Option<&ClientIdentity>,
    ) -> Result<Arc<Clients>, Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemClock.now().mono;
        let is_it = |kept: &&mut Kept| kept.http2 == http2 && kept.identity.as_ref() == identity;
        if let Some(known) = clients.iter_mut().find(is_it) {
            known.used = now;
            return Ok(known.clients.clone());
        }
        forget_unused(&mut clients, now);
        let tls = trust::config(&self.settings, identity)?;
        let limit = self.settings.connect_limit();
        let to_proxy = match identity {
            Some(_) => trust::config(&self.settings, None)?,
            None => tls.clone(),
        };
        let proxied = ProxyConnector::new(
            &self.settings,
            to_proxy,
            TcpConnector::new(self.own.clone()),
        );
        let connector = |http2| {
            let (tls, proxied, open) = (tls.clone(), proxied.clone(), self.open.clone());
            Connector::new(tls, http2, limit, proxied, open)
        };
        let own = connector(http2);
        let made = Arc::new(Clients {
            http2,
            pool: Arc::new(Pool::new(connector(Http2::Off))),
            pooled: Mutex::default(),
            fresh: client(&own, http2, 0),
            connector: own,
        });
        clients.push(Kept {
            http2,
            identity: identity.cloned(),
            clients: made.clone(),
            used: now,
        });
        Ok(made)
    }
}

/// A client that keeps as many idle connections to a server.
fn client(connector: &Connector, http2: Http2, idle: usize) -> Client<Connector, Body> {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(idle)
        .http1_max_buf_size(MAX_HEAD)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http2_only(http2 == Http2::PriorKnowledge)
        .http2_max_header_list_size(MAX_HEAD as u32)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .http2_keep_alive_timeout(Duration::from_secs(10));
    builder.build(connector.clone())
}

/// A certificate that was replaced leaves a client behind, which has no connection that is worth keeping
/// once it has not been used for a while.
fn forget_unused(clients: &mut Vec<Kept>, now: Duration) {
    clients.retain(|kept| now.saturating_sub(kept.used) < IDLE);
}

impl Clients {
    /// The server that the beginning of a URL names.
    pub(crate) fn server(&self, origin: &str) -> Result<Arc<Server>, Error> {
        self.pool.server(origin)
    }

    /// Sends a request to a server; on a connection of its own if `fresh`.
    pub(crate) async fn send(
        &self,
        server: &Arc<Server>,
        request: Box<Request<Body>>,
        fresh: bool,
    ) -> Attempt {
        let is_http1 = match self.http2 {
            Http2::Auto if server.is_encrypted() => {
                let now = SystemClock.now().mono;
                server.chose_http1(now) && !headers::is_grpc(request.headers())
            }
            Http2::Auto => true,
            Http2::Off => true,
            Http2::PriorKnowledge => false,
        };
        if is_http1 {
            let (response, it, lease) = self.pool.send(server, request, fresh).await?;
            return Ok(response.map(|body| ApiBody::new(body, Some(it), Some(lease), None)));
        }
        // Much larger.
        Box::pin(self.send_by_client(server, request, fresh)).await
    }

    /// A client with room for one more request on its HTTP/2 connections. A server may take no more on one,
    /// and the client would keep the next one back until it does.
    fn pooled(&self) -> (Client<Connector, Body>, Option<Permit>) {
        let mut all = self.pooled.lock().unwrap_or_else(PoisonError::into_inner);
        let free = all
            .iter()
            .find_map(|it| Some((it, it.streams.try_take(STREAMS)?)));
        if let Some((pooled, stream)) = free {
            return (pooled.client.clone(), Some(stream));
        }
        let made = Pooled {
            client: client(&self.connector, self.http2, IDLE_CONNECTIONS),
            streams: Arc::default(),
        };
        let first = (made.client.clone(), made.streams.try_take(STREAMS));
        all.push(made);
        first
    }

    async fn send_by_client(
        &self,
        server: &Server,
        mut request: Box<Request<Body>>,
        fresh: bool,
    ) -> Attempt {
        let target = mem::take(request.uri_mut());
        *request.uri_mut() = server.address(target).map_err(|error| (error, false))?;
        let mut captured = capture_connection(&mut request);
        let (client, stream) = match fresh {
            true => (self.fresh.clone(), None),
            false => self.pooled(),
        };
        let answer = client.request(*request);
        tokio::pin!(answer);
        let mut in_use = None;
        let answer = loop {
            tokio::select! {
                biased;
                connected = captured.wait_for_connection_metadata(), if in_use.is_none() => {
                    in_use = Some(begin(connected.as_ref()));
                }
                answer = &mut answer => break answer,
            }
        };
        let (in_use, was_used) = in_use.flatten().unzip();
        match answer {
            // Until the body's end.
            Ok(response) => {
                server.chose(response.version(), SystemClock.now().mono);
                Ok(response.map(|body| ApiBody::new(body, in_use, None, stream)))
            }
            Err(error) => Err((SendError::Client(error), was_used.unwrap_or(false))),
        }
    }
}

fn begin(connected: Option<&Connected>) -> Option<(Use, bool)> {
    let mut extras = http::Extensions::new();
    connected?.get_extras(&mut extras);
    Some(extras.remove::<Open>()?.begin())
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_of_a_replaced_certificate_is_forgotten_once_it_is_unused() {
        let upstream = Upstream::new(Arc::default(), OwnAddresses::default());
        for number in 0..3 {
            let params = rcgen::CertificateParams::default();
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
            let identity = ClientIdentity::from_pem(pem.into_bytes());
            upstream.clients(Http2::Auto, Some(&identity)).unwrap();
            let mut clients = upstream.clients.lock().unwrap();
            assert_eq!(clients.len(), 1, "{number}");
            let now = clients[0].used;
            forget_unused(&mut clients, now + IDLE - Duration::from_millis(1));
            assert_eq!(clients.len(), 1);
            forget_unused(&mut clients, now + IDLE);
            assert_eq!(clients.len(), 0);
        }
    }
}
