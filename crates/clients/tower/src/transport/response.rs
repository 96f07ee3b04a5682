//! [`TransportResponse`]: a response as a transport hands it to the engine.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use biped_core::{Clock, PEEK_TIME};
use biped_engine::{CachedToken, TokenSource};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as HttpBody;
use url::Url;

use crate::{ResponseBody, grpc};

/// A response as a [`Transport`](biped_engine::Transport) over HTTP or gRPC hands it to the engine, for
/// those who send calls in another way than with [`TokenLayer`](crate::TokenLayer).
pub struct TransportResponse<P: HttpBody<Data = Bytes>> {
    /// The response, its body still to come.
    pub response: Response<ResponseBody<P>>,
    /// The equivalent HTTP status.
    status: StatusCode,
    /// Trailers without a message before them; they count as headers.
    trailers: Option<HeaderMap>,
    url: Url,
}

impl<P: HttpBody<Data = Bytes>> TransportResponse<P> {
    /// Creates it from the response of the API at `url`.
    #[must_use]
    pub fn new(response: Response<P>, url: Url) -> Self {
        Self {
            status: response.status(),
            response: response.map(ResponseBody::new),
            trailers: None,
            url,
        }
    }

    /// Reads the gRPC status, if there is one yet: `UNAUTHENTICATED` counts as 401. `is_whole` says whether
    /// the request was sent as a whole; then trailers without a message are waited for, for
    /// [`PEEK_TIME`].
    pub async fn with_grpc_status(mut self, is_whole: bool, clock: &dyn Clock) -> Self {
        if self.status != StatusCode::OK {
            return self;
        }
        if is_whole && !grpc::has_status(self.response.headers()) {
            let (parts, body) = self.response.into_parts();
            let (body, trailers) = body.peek_trailers(clock.sleep(PEEK_TIME)).await;
            self.response = Response::from_parts(parts, body);
            self.trailers = trailers;
        }
        if grpc::is_unauthenticated(self.headers()) {
            self.status = StatusCode::UNAUTHORIZED;
        }
        self
    }

    /// Returns what the engine judges: [`Transport::seen`](biped_engine::Transport::seen).
    #[must_use]
    pub fn seen(&self) -> (StatusCode, &HeaderMap, Option<&Url>) {
        (self.status, self.headers(), Some(&self.url))
    }

    fn headers(&self) -> &HeaderMap {
        let trailers = self.trailers.as_ref();
        trailers.unwrap_or(self.response.headers())
    }

    /// Reads the body ahead: [`Transport::peek`](biped_engine::Transport::peek).
    pub async fn peek(
        mut self,
        limit: usize,
        deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> (Self, Option<Bytes>) {
        let (parts, body) = self.response.into_parts();
        let (body, read) = body.peek(limit, deadline).await;
        self.response = Response::from_parts(parts, body);
        (self, read)
    }

    /// Rejects the token if the trailers of a gRPC response, which are still to come, say so.
    pub fn watch_grpc(&mut self, source: &TokenSource, token: &Arc<CachedToken>) {
        if self.trailers.is_none() && !grpc::has_status(self.response.headers()) {
            let body = self.response.body_mut();
            body.watch(source.clone(), token.clone());
        }
    }
}

impl<P: HttpBody<Data = Bytes>> fmt::Debug for TransportResponse<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
