//! Connections to the APIs, behind [`Upstream`]: hyper-util's client, and beside it a pool for what is
//! certain to be HTTP/1.1.

mod connector;
mod failure;
mod open;
mod plain;
mod pool;
mod trust;
mod way;

use std::{
    collections::HashMap,
    fmt,
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

use self::{
    connector::Connector,
    open::Open,
    plain::Plain,
    pool::{IDLE, IDLE_CONNECTIONS, Origin, Pool},
    way::Way,
};
pub(crate) use self::{
    failure::{Failure, SendError, is_dead_connection},
    plain::OwnAddresses,
    pool::{Attempt, InUse, MAX_HEAD},
};
use crate::{config::Http2, meter::OpenConnections};

/// The connections to the APIs of the providers with the same settings.
pub(crate) struct Upstream {
    settings: Arc<HttpSettings>,
    own: OwnAddresses,
    clients: Mutex<HashMap<Kind, Kept>>,
    open: OpenConnections,
}

/// What tells connections to the same server apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    http2: Http2,
    identity: Option<ClientIdentity>,
}

#[derive(Debug)]
struct Kept {
    clients: Arc<Clients>,
    /// When it was last asked for.
    used: Duration,
}

/// A client that keeps connections, and one that makes a new one for each request; and a pool, which costs
/// less, for where no handshake can choose HTTP/2.
#[derive(Debug)]
pub(crate) struct Clients {
    http2: Http2,
    pool: Arc<Pool>,
    pooled: Client<Connector, Body>,
    fresh: Client<Connector, Body>,
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
        let kind = Kind {
            http2,
            identity: identity.cloned(),
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemClock.now().mono;
        if let Some(known) = clients.get_mut(&kind) {
            known.used = now;
            return Ok(known.clients.clone());
        }
        forget_unused(&mut clients, now);
        let tls = trust::config(&self.settings, identity)?;
        let limit = self.settings.connect_limit();
        let to_proxy = trust::config(&self.settings, None)?;
        let way = Way::new(&self.settings, to_proxy, Plain::new(self.own.clone()));
        let connector = Connector::new(tls, http2, limit, way, self.open.clone());
        let client = |idle| {
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
        };
        let made = Arc::new(Clients {
            http2,
            pool: Arc::new(Pool::new(connector.clone())),
            pooled: client(IDLE_CONNECTIONS),
            fresh: client(0),
        });
        let kept = Kept {
            clients: made.clone(),
            used: now,
        };
        clients.insert(kind, kept);
        Ok(made)
    }
}

/// A certificate that was replaced leaves a client behind, which has no connection that is worth keeping
/// once it has not been used for a while.
fn forget_unused(clients: &mut HashMap<Kind, Kept>, now: Duration) {
    clients.retain(|_, kept| now.saturating_sub(kept.used) < IDLE);
}

impl Clients {
    /// Sends a request; on a connection of its own if `fresh`.
    pub(crate) async fn send(&self, request: Request<Body>, fresh: bool) -> Attempt {
        let origin = Origin::of(request.uri()).filter(|origin| match self.http2 {
            Http2::Auto => !origin.is_encrypted(),
            Http2::Off => true,
            Http2::PriorKnowledge => false,
        });
        match origin {
            Some(origin) => self.pool.send(origin, request, fresh).await,
            // Much larger.
            None => Box::pin(self.send_by_client(request, fresh)).await,
        }
    }

    async fn send_by_client(&self, mut request: Request<Body>, fresh: bool) -> Attempt {
        let mut captured = capture_connection(&mut request);
        let client = if fresh { &self.fresh } else { &self.pooled };
        let answer = client.request(request);
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
            Ok(response) => Ok((response, in_use)),
            Err(error) => Err((SendError::Client(error), was_used.unwrap_or(false))),
        }
    }
}

fn begin(connected: Option<&Connected>) -> Option<(InUse, bool)> {
    let mut extras = http::Extensions::new();
    connected?.get_extras(&mut extras);
    let (it, was_used) = extras.remove::<Open>()?.begin();
    Some((it.into(), was_used))
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
            let now = clients.values().next().unwrap().used;
            forget_unused(&mut clients, now + IDLE - Duration::from_millis(1));
            assert_eq!(clients.len(), 1);
            forget_unused(&mut clients, now + IDLE);
            assert_eq!(clients.len(), 0);
        }
    }
}
