//! [`TokenLayer`] and the service it makes.

use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use biped_core::Error;
use biped_engine::{CallError, TokenSource, call};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Body, BoxError, ResponseBody,
    transport::{Outgoing, OverService},
};

/// Puts a fresh token on each request that passes, and sends a request once again whose token the
/// API rejects.
///
/// - **Where a request goes.** A URI without scheme and authority (`/v1/orders`) is completed with
///   the base URL of the API, which the configuration or the vendor's answer names. A whole URI
///   must have that origin and no user name, else the call is a
///   [`Configuration`](biped_core::ErrorKind::Configuration) error and nothing is sent. Only where
///   nothing but the vendor's answer can tell the origin, a token is fetched before that is known.
/// - **What it carries.** An `Authorization` header that stands on a request already gives way to a
///   token that travels there.
/// - **What is sent again.** A body that is all there when the call starts, as those are that hold
///   text or bytes and those of unary gRPC calls: what can be read of it without waiting is read
///   ahead, up to [`READ_AHEAD`](crate::READ_AHEAD) and one piece. Of a stream the beginning is
///   gone: its answer is the caller's, and the next call has a new token.
/// - **Order.** Retries, time limits and tracing belong above it: each attempt then gets a token of
///   its own. What follows redirects belongs above it as well, since a token would go along; a
///   redirect to another origin is an error then.
/// - **Certificates.** A token that is bound to one puts it among the extensions of its requests, as
///   a [`ClientIdentity`](biped_core::ClientIdentity), for a connector that knows what to do with
///   it. The layer makes no connections.
///
/// The service below is cloned for each call, as clients of hyper-util and tonic are made for. Errors
/// are boxed: the service's own as they are, those of Biped found by [`token_error`].
pub struct TokenLayer<R = Body> {
    source: TokenSource,
    grpc: bool,
    request_body: fn(Body) -> R,
}

impl TokenLayer {
    /// A layer that puts the tokens of `source` on requests.
    #[must_use]
    pub fn new(source: TokenSource) -> Self {
        Self {
            source,
            grpc: false,
            request_body: |body| body,
        }
    }
}

impl<R> TokenLayer<R> {
    /// Understands gRPC: `grpc-status: 16` (`UNAUTHENTICATED`) with HTTP 200 is judged as a 401
    /// would be. Default: it means nothing.
    ///
    /// In headers, as of a call that fails at once, it rejects the token and the call is sent again.
    /// So it does in trailers that come before any message: where a call can be sent again, its
    /// answer is handed over with its first message or trailers, or 50 ms after its headers
    /// ([`PEEK_TIME`](biped_core::PEEK_TIME)). In trailers after messages, and where messages are
    /// still being sent, it is too late for that, but the next call has a new token.
    #[must_use]
    pub fn grpc(mut self) -> Self {
        self.grpc = true;
        self
    }

    /// How the service below wants its bodies: `tonic::body::Body::new`, for one. Default: it takes
    /// [`Body`].
    #[must_use]
    pub fn request_body<T>(self, wrap: fn(Body) -> T) -> TokenLayer<T> {
        let Self { source, grpc, .. } = self;
        TokenLayer {
            source,
            grpc,
            request_body: wrap,
        }
    }
}

impl<S, R> Layer<S> for TokenLayer<R> {
    type Service = TokenService<S, R>;

    fn layer(&self, inner: S) -> TokenService<S, R> {
        TokenService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service that calls with tokens; see [`TokenLayer`].
pub struct TokenService<S, R = Body> {
    inner: S,
    layer: TokenLayer<R>,
}

/// The response of a [`TokenService`], to come.
pub type ResponseFuture<P> =
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody<P>>, BoxError>> + Send>>;

impl<S, R, B, P> Service<Request<B>> for TokenService<S, R>
where
    S: Service<Request<R>, Response = Response<P>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: 'static,
    B: HttpBody + Send + 'static,
    B::Error: Into<BoxError>,
    P: HttpBody<Data = Bytes> + Send + 'static,
    P::Error: Send,
{
    type Response = Response<ResponseBody<P>>;
    type Error = BoxError;
    type Future = ResponseFuture<P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<P> {
        // The one that was polled ready goes along; its clone may not be.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let TokenLayer {
            source,
            grpc,
            request_body,
        } = self.layer.clone();
        Box::pin(async move {
            let request = Outgoing::read_ahead(request).await?;
            let grpc = grpc.then(|| source.clock().clone());
            let mut transport = OverService::new(ready, request_body, grpc);
            let answered = call(&source, request, &mut transport).await;
            answered
                .map(|answer| answer.response)
                .map_err(|error| match error {
                    CallError::Token(error) => error.into(),
                    CallError::Transport(error) => error,
                })
        })
    }
}

/// Why there was no token, or why it could not be attached, where that is what a call failed of: the
/// error itself, or what caused it (a `tonic::Status` has one).
#[must_use]
pub fn token_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.find_map(|cause| cause.downcast_ref())
}

impl<R> Clone for TokenLayer<R> {
    fn clone(&self) -> Self {
        Self {
            source: self.source.clone(),
            grpc: self.grpc,
            request_body: self.request_body,
        }
    }
}

impl<S: Clone, R> Clone for TokenService<S, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<R> fmt::Debug for TokenLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenLayer")
            .field("source", &self.source)
            .field("grpc", &self.grpc)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, R> fmt::Debug for TokenService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}
