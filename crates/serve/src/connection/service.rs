//! [`Service`]: makes a response to each request of a connection.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
};

use http::{HeaderValue, Method, Request, Response, Version, header::CONNECTION};
use hyper::body::Incoming;
use tracing::Instrument as _;

use crate::{
    activity::Activity,
    body::{AnswerBody, Watch},
    callers::Identity,
    guard::{self, Names},
    headers,
    live::Live,
    oauth::Refused,
    observe::Call,
    peer::{ListenerInfo, Peer},
    problem::Problem,
    proxy::ProxyRequest,
    route_context::RouteContext,
    routes::{self, Route},
    shared::{Shared, Stage},
};

/// Makes a response to each request of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Service(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    shared: Arc<Shared>,
    listener: Arc<ListenerInfo>,
    peer: Peer,
    activity: Activity,
}

impl Service {
    pub(super) fn new(
        shared: Arc<Shared>,
        listener: Arc<ListenerInfo>,
        peer: Peer,
        activity: Activity,
    ) -> Self {
        Self(Arc::new(Parts {
            shared,
            listener,
            peer,
            activity,
        }))
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let parts = self.0.clone();
        let active = parts.activity.request();
        let ends_with_connection =
            request.version() == Version::HTTP_10 && request.method() != Method::HEAD;
        // Boxed, because the value is moved often.
        let request = Box::new(request);
        Box::pin(async move {
            let response = parts.answer(request).await;
            if ends_with_connection {
                active.ends_with_connection();
            }
            // The connection is busy until the body's end.
            Ok(response.map(|body| body.active(active)))
        })
    }
}

impl Parts {
    async fn answer(&self, request: Box<Request<Incoming>>) -> Response<AnswerBody> {
        let shared = &self.shared;
        let live = shared.live.load_full();
        let is_grpc = headers::is_grpc(request.headers());
        let version = request.version();
        let method = request.method().clone();
        let path = request.uri().path();
        let which = live.serve.access_log;
        let (log, series) = (shared.log.clone(), shared.series.clone());
        let mut call = Box::new(Call::new(log, series, which, &method, path));
        let span = call.span.clone();
        let (mut response, call) = match self.admit(&request, &live).await {
            Ok((route, identity)) => {
                call.caller = identity.as_ref().map(|caller| caller.name().to_owned());
                match route {
                    None => {
                        let proxied = ProxyRequest {
                            shared,
                            live: &live,
                            identity: &identity,
                            listener: self.listener.provider.as_deref(),
                        };
                        let run = pin!(proxied.run(request, call));
                        run.instrument(span).await
                    }
                    Some(route) => {
                        let route = route.of();
                        if route.is_probe() {
                            // Probes come by the second, and their answers are no faults.
                            call.set_routine();
                        }
                        let context = RouteContext {
                            shared,
                            live: &live,
                            identity: &identity,
                            peer: &self.peer,
                        };
                        // Its future would be in the memory of every call.
                        let answer = Box::pin(routes::answer(&context, route, *request));
                        let response = match answer.instrument(span).await {
                            Ok(response) => {
                                call.status = Some(response.status());
                                let refused = response.extensions().get::<Refused>();
                                call.error = refused.map(|refused| refused.0);
                                response
                            }
                            Err(problem) => shared.refuse(problem, is_grpc, &mut call),
                        };
                        (response, Some(call))
                    }
                }
            }
            Err(problem) => {
                let response = shared.refuse(problem, is_grpc, &mut call);
                (response, Some(call))
            }
        };
        if version == Version::HTTP_10 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        if version == Version::HTTP_2 {
            response.headers_mut().remove(CONNECTION);
        }
        match call {
            Some(call) => response.map(|body| {
                body.watched(Watch {
                    call,
                    _permits: None,
                })
            }),
            None => response,
        }
    }

    /// The route and the caller of a request that is admitted.
    async fn admit(
        &self,
        request: &Request<Incoming>,
        live: &Live,
    ) -> Result<(Option<OwnedRoute>, Identity), Problem> {
        let path = request.uri().path();
        let is_whole = self.listener.provider.is_some();
        let route = if is_whole { None } else { routes::of(path) };
        if self.listener.is_probe {
            return match route.filter(|route| route.is_probe()) {
                Some(_) => Ok((Some(OwnedRoute(path.to_owned())), None)),
                None => Err(Problem::unknown_route(
                    "this listener serves /-/health, /-/ready and /-/metrics only",
                )),
            };
        }
        let names = Names {
            port: self.listener.port,
            is_local: self.listener.is_local,
            hosts: &live.serve.hosts,
            origins: match route {
                Some(route) if route.is_page() => &live.serve.origins,
                _ => &[],
            },
            secured: self.peer.secured.as_ref(),
        };
        guard::check(request, &names)?;
        let is_health = matches!(route, Some(Route::Health | Route::Ready));
        if *self.shared.stage.borrow() >= Stage::Closing && !is_health {
            let what = "the sidecar is stopping; try again on a new connection";
            return Err(Problem::new("stopping", what).close());
        }
        let identity = if route.is_some_and(|route| route.is_open(&self.peer)) {
            None
        } else {
            let found = live.callers.identify(request.headers(), &self.peer);
            found.await?
        };
        Ok((route.map(|_| OwnedRoute(path.to_owned())), identity))
    }
}

/// A route, apart from the request that it was read from.
struct OwnedRoute(String);

impl OwnedRoute {
    fn of(&self) -> Route<'_> {
        routes::of(&self.0).unwrap_or(Route::Unknown)
    }
}
