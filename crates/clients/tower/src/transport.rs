//! The engine's [`Transport`](biped_engine::Transport) over a tower service.

mod response;

use std::{
    borrow::Cow, future::Future, future::poll_fn, marker::PhantomData, mem, pin::Pin, sync::Arc,
};

use biped_core::{ApiRequestParts, Clock, Error};
use biped_engine::{BASE_URL_PLACEHOLDER, CachedToken, TokenSource, Transport};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, request};
use http_body::Body as HttpBody;
use tower_service::Service;
use url::Url;

pub use self::response::TransportResponse;
use crate::{Body, BoxError};

/// A request to send.
pub(crate) struct Outgoing {
    parts: request::Parts,
    /// The complete URL; it starts with the placeholder until the token's base URL is known.
    url: Url,
    body: Body,
}

impl Outgoing {
    pub(crate) async fn read_ahead<B>(request: Request<B>) -> Result<Self, Error>
    where
        B: HttpBody + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let url = url(&parts.uri)?;
        let body = Body::read_ahead(body).await;
        Ok(Self { parts, url, body })
    }
}

/// Converts a URI to a complete URL; a path is appended to the placeholder.
fn url(uri: &Uri) -> Result<Url, Error> {
    let text = match (uri.scheme(), uri.authority()) {
        (Some(_), Some(_)) => Some(uri.to_string()),
        (None, None) if uri.path().starts_with('/') => Some(format!("{BASE_URL_PLACEHOLDER}{uri}")),
        _ => None,
    };
    text.and_then(|text| Url::parse(&text).ok()).ok_or_else(|| {
        Error::configuration("the request's URI is neither a path nor a complete URL")
            .with_remedy("write it as /path, or as https://host/path")
    })
}

/// Sends requests with a service.
pub(crate) struct OverService<S, R, P> {
    service: S,
    is_ready: bool,
    request_body: fn(Body) -> R,
    /// Whether gRPC statuses are read.
    grpc: Option<Arc<dyn Clock>>,
    answers: PhantomData<fn() -> P>,
}

impl<S, R, P> OverService<S, R, P> {
    /// Sends with a service that is ready.
    pub(crate) fn new(
        service: S,
        request_body: fn(Body) -> R,
        grpc: Option<Arc<dyn Clock>>,
    ) -> Self {
        Self {
            service,
            is_ready: true,
            request_body,
            grpc,
            answers: PhantomData,
        }
    }
}

impl<S, R, P> Transport for OverService<S, R, P>
where
    S: Service<Request<R>, Response = Response<P>> + Send,
    S::Error: Into<BoxError>,
    S::Future: Send,
    P: HttpBody<Data = Bytes> + Send,
    P::Error: Send,
{
    type Request = Outgoing;
    type Response = TransportResponse<P>;
    type Error = BoxError;

    fn parts<'r>(&self, request: &'r mut Outgoing) -> impl ApiRequestParts + Send + 'r {
        request
    }

    fn duplicate(&self, request: &Outgoing) -> Option<Outgoing> {
        Some(Outgoing {
            body: request.body.duplicate()?,
            parts: request.parts.clone(),
            url: request.url.clone(),
        })
    }

    async fn send(
        &mut self,
        request: Outgoing,
        token: &CachedToken,
    ) -> Result<TransportResponse<P>, BoxError> {
        let Outgoing {
            mut parts,
            url,
            body,
        } = request;
        if !mem::take(&mut self.is_ready) {
            poll_fn(|cx| self.service.poll_ready(cx))
                .await
                .map_err(Into::into)?;
        }
        if let Some(identity) = token.client_identity() {
            parts.extensions.insert(identity.clone());
        }
        let is_whole = body.bytes().is_some();
        let sent = self
            .service
            .call(Request::from_parts(parts, (self.request_body)(body)));
        let response = TransportResponse::new(sent.await.map_err(Into::into)?, url);
        Ok(match &self.grpc {
            Some(clock) => response.with_grpc_status(is_whole, &**clock).await,
            None => response,
        })
    }

    fn seen<'r>(
        &self,
        response: &'r TransportResponse<P>,
    ) -> (StatusCode, &'r HeaderMap, Option<&'r Url>) {
        response.seen()
    }

    async fn peek(
        &mut self,
        response: TransportResponse<P>,
        limit: usize,
        deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> (TransportResponse<P>, Option<Bytes>) {
        response.peek(limit, deadline).await
    }

    fn accepted(
        &mut self,
        mut response: TransportResponse<P>,
        source: &TokenSource,
        token: &Arc<CachedToken>,
    ) -> TransportResponse<P> {
        if self.grpc.is_some() {
            response.watch_grpc(source, token);
        }
        response
    }
}

impl ApiRequestParts for &mut Outgoing {
    fn method(&self) -> &Method {
        &self.parts.method
    }

    fn url(&self) -> Cow<'_, Url> {
        Cow::Borrowed(&self.url)
    }

    fn set_url(&mut self, url: Url) -> Result<(), Error> {
        self.parts.uri = url.as_str().parse().map_err(|_| {
            Error::configuration("the request's URL is too long or not a valid URI")
        })?;
        self.url = url;
        Ok(())
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.parts.headers
    }

    fn body(&self) -> Option<&[u8]> {
        self.body.bytes()
    }
}
