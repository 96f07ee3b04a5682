//! [`ApiTransport`]: how the sidecar sends a call that [`call`](biped::client::call) made of a caller's
//! request: with the caller's own bytes of path and query.

mod outgoing;

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use biped::{
    CachedToken, Rejection, TokenSource,
    client::Transport,
    provider::{ApiRequestParts, Clock, SystemClock},
    tower::{Body, TransportResponse},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use url::Url;

pub(crate) use self::outgoing::Outgoing;
use crate::{
    body::Progress,
    config::{Http2, Replay},
    links::{self, Attached},
    meter::{self, Series},
    upstream::{
        ApiBody, Attempt, Clients, Failure, MAX_HEAD, Server, Upstream, is_dead_connection,
    },
};

/// An API's response.
pub(crate) type Answer = TransportResponse<ApiBody>;

/// Sends one call, and remembers what happened.
pub(crate) struct ApiTransport<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) source: &'a TokenSource,
    pub(crate) http2: Http2,
    pub(crate) replay: Replay,
    pub(crate) is_grpc: bool,
    pub(crate) timeout: Duration,
    pub(crate) upload: Progress,
    pub(crate) series: &'a Series,
    pub(crate) seen: Seen,
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Attempts that were answered or failed.
    pub(crate) sends: u32,
    /// The last rejection.
    pub(crate) rejection: Option<Rejection>,
    /// Whether the call was sent again after a rejection.
    pub(crate) was_replayed: bool,
    /// How long the last attempt took.
    pub(crate) api_time: Option<Duration>,
    /// The API's server.
    pub(crate) server: Option<Arc<Server>>,
    /// What addresses in the answer are seen from, if it names any.
    pub(crate) answered: Option<Answered>,
}

/// Where a call went.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) called: Url,
    /// The base URL at that time.
    pub(crate) base: Url,
    pub(crate) attached: Attached,
}

impl Transport for ApiTransport<'_> {
    // Boxed, because the values are moved often.
    type Request = Box<Outgoing>;
    type Response = Box<Answer>;
    type Error = Failure;

    fn parts<'r>(&self, request: &'r mut Box<Outgoing>) -> impl ApiRequestParts + Send + 'r {
        &mut **request
    }

    fn duplicate(&self, request: &Box<Outgoing>) -> Option<Box<Outgoing>> {
        let may_replay = match self.replay {
            Replay::All => true,
            Replay::Safe => is_safe(&request.method),
            Replay::Off => false,
        };
        may_replay
            .then(|| request.duplicate().map(Box::new))
            .flatten()
    }

    async fn send(
        &mut self,
        request: Box<Outgoing>,
        token: &CachedToken,
    ) -> Result<Box<Answer>, Failure> {
        self.seen.was_replayed |= self.seen.rejection.is_some();
        self.seen.sends += 1;
        let verb = meter::method(&request.method);
        let answer = self.send_once(request, token).await;
        let outcome = match &answer {
            Ok(answer) => Ok(answer.response.status().as_u16()),
            // Nothing was attempted.
            Err(Failure::Unusable(_)) => return answer,
            Err(failure) => Err(failure.problem().word),
        };
        let server = self.seen.server.as_ref().map_or("", |server| server.host());
        let time = self.seen.api_time;
        self.series
            .attempted(verb, outcome, server, time.unwrap_or_default());
        answer
    }

    fn seen<'r>(&self, answer: &'r Box<Answer>) -> (StatusCode, &'r HeaderMap, Option<&'r Url>) {
        answer.seen()
    }

    async fn peek(
        &mut self,
        answer: Box<Answer>,
        limit: usize,
        deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> (Box<Answer>, Option<Bytes>) {
        let (answer, read) = Box::pin(answer.peek(limit, deadline)).await;
        (Box::new(answer), read)
    }

    fn rejected(&mut self, rejection: Rejection) {
        self.seen.rejection = Some(rejection);
    }

    fn accepted(
        &mut self,
        mut answer: Box<Answer>,
        source: &TokenSource,
        token: &Arc<CachedToken>,
    ) -> Box<Answer> {
        if self.is_grpc {
            answer.watch_grpc(source, token);
        }
        answer
    }
}

impl ApiTransport<'_> {
    /// Sends a request, and once more on another connection where its own turns out dead.
    async fn send_once(
        &mut self,
        mut request: Box<Outgoing>,
        token: &CachedToken,
    ) -> Result<Box<Answer>, Failure> {
        let clients = self
            .upstream
            .clients(self.http2, token.client_identity())
            .map_err(Failure::Unusable)?;
        let base = self.source.base_url(token);
        let server = clients.server(request.origin());
        let server = server.map_err(Failure::Unusable)?;
        self.seen.server = Some(server.clone());
        let signs_url = self.source.provider().signs_url();
        let target = request.target(base, signs_url);
        let target = target.map_err(Failure::Unusable)?;
        let is_whole = request.body.bytes().is_some();
        // A connection that turns out dead is replaced once.
        let copy = match is_idempotent(&request.method) {
            true => request.copy(target.clone()),
            false => None,
        };
        let may_repeat = copy.is_some();
        let first = copy.unwrap_or_else(|| request.take(target.clone()));
        let started = SystemClock.now().mono;
        let answer = match self.attempt(&clients, &server, first, false).await {
            Ok(Err((error, true))) if may_repeat && is_dead_connection(&error) => {
                let again = request.take(target);
                // Rare, as what else is boxed here: the futures would be in the memory of every call.
                Box::pin(self.attempt(&clients, &server, again, true)).await
            }
            first => first,
        };
        self.seen.api_time = Some(SystemClock.now().mono.saturating_sub(started));
        let answer = answer?;
        let response = answer.map_err(|(error, _)| Failure::Send(error))?;
        // hyper's own limit is one of its buffer, which may have been larger.
        let lines = response.headers().iter();
        let head: usize = lines
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        if head > MAX_HEAD {
            return Err(Failure::LargeHead);
        }
        if let Some(base) = base
            && links::are_in(response.headers())
        {
            self.seen.answered = Some(Answered {
                called: request.url.clone(),
                base: base.clone(),
                attached: request.attached(token),
            });
        }
        let answer = Answer::new(response, request.url);
        Ok(Box::new(match self.is_grpc {
            true => Box::pin(answer.with_grpc_status(is_whole, &SystemClock)).await,
            false => answer,
        }))
    }

    /// Sends once. The time counts from when the caller's body last moved.
    async fn attempt(
        &self,
        clients: &Clients,
        server: &Arc<Server>,
        request: Box<Request<Body>>,
        fresh: bool,
    ) -> Result<Attempt, Failure> {
        let started = SystemClock.now().mono;
        // tokio's pin! would keep room for it twice.
        let mut sending = pin!(clients.send(server, request, fresh));
        loop {
            let last = self.upload.moved().max(started);
            let left = (last + self.timeout).saturating_sub(SystemClock.now().mono);
            if left.is_zero() {
                return Err(Failure::Silent);
            }
            tokio::select! {
                biased;
                attempt = &mut sending => return Ok(attempt),
                () = SystemClock.sleep(left) => {}
            }
        }
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// RFC 9110 §9.2.2.
fn is_idempotent(method: &Method) -> bool {
    is_safe(method) || matches!(*method, Method::PUT | Method::DELETE)
}
