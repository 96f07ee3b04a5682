//! [`TokenLayer`] and its service.

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

/// Puts a fresh token on each request, and sends a request once more if the API rejects its token.
///
/// - **URL.** A URI without scheme and authority (`/v1/orders`) is completed with the base URL of the
///   API, which comes from the configuration or from the vendor's response. A complete URI must have
///   that origin and no user name. Otherwise the call returns a
///   [`Configuration`](biped_core::ErrorKind::Configuration) error, and no request is sent. If only the
///   vendor's response names the base URL, a token is fetched before the origin is checked. A `#` in a
///   path is written as `%23`: [`Uri`](http::Uri) drops everything after a `#` when it is parsed.
/// - **Headers.** A token that is sent in `Authorization` replaces an existing `Authorization` header.
/// - **Sending again.** A body can be sent again if it is complete when the call starts, as text, bytes
///   and the bodies of unary gRPC calls are. The layer reads ahead without waiting, up to
///   [`READ_AHEAD`](crate::READ_AHEAD) and one frame. A stream can't be sent again: the caller gets the
///   response, and the next call has a new token.
/// - **Order.** Put retries, time limits and tracing above the layer: each attempt then gets its own
///   token. Put a layer that follows redirects above it as well, because a redirected request would
///   carry the token; a redirect to another origin is then an error.
/// - **Silent connections.** The client below decides how long it keeps an HTTP/2 connection that went
///   silent. Set its keep-alive: `http2_keep_alive_interval` of hyper-util, `http2_keep_alive_interval`
///   and `keep_alive_while_idle` of tonic's `Endpoint`.
/// - **Certificates.** If a token is bound to a certificate, the extensions of its requests contain it
///   as a [`ClientIdentity`](biped_core::ClientIdentity), for a connector that presents it. The layer
///   itself opens no connections.
///
/// The service below is cloned for each call, which clients of hyper-util and tonic are designed for.
/// Errors are boxed: those of the service are unchanged, and [`token_error`] finds those of Biped.
pub struct TokenLayer<R = Body> {
    source: TokenSource,
    grpc: bool,
    request_body: fn(Body) -> R,
}

impl TokenLayer {
    /// Returns a layer that puts the tokens of `source` on requests.
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
    /// Treats `grpc-status: 16` (`UNAUTHENTICATED`) with HTTP 200 like status 401. Default: the header
    /// has no meaning.
    ///
    /// In headers, which fail a call at once, it rejects the token, and the call is sent again. The same
    /// applies to trailers before any message: the response to a call that can be sent again is
    /// returned with its first message or trailers, or 50 ms after its headers
    /// ([`PEEK_TIME`](biped_core::PEEK_TIME)). After the first message, and while messages are being
    /// sent, the call can't be sent again, but the next call has a new token.
    #[must_use]
    pub fn grpc(mut self) -> Self {
        self.grpc = true;
        self
    }

    /// Sets the conversion to the body type of the service below, such as `tonic::body::Body::new`.
    /// Default: the service takes [`Body`].
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

/// The future of a [`TokenService`]'s response.
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
        // Use the service that is ready; its clone may not be.
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

/// Returns Biped's own error if a call failed because its token can't be fetched or attached. It may be
/// the error itself or its cause, as in a `tonic::Status`.
#[must_use]
pub fn token_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    let found: Option<&Error> = causes.find_map(|cause| cause.downcast_ref());
    found.map(Error::as_told)
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
