//! [`Transport`]: how an HTTP library sends API requests. [`CallError`]: why there is no response.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use biped_core::{ApiRequestParts, Error};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::{
    key::{cached::CachedToken, state::Rejection},
    source::TokenSource,
};

/// How an HTTP library sends API requests.
///
/// It does nothing but that: what a response means and what follows from it is decided by
/// [`call`](crate::call()).
pub trait Transport: Send {
    /// A request on its way out.
    type Request: Send;
    /// A response, its body still to come.
    type Response: Send;
    /// Why there is none.
    type Error: Send;

    /// Lends the parts of a request.
    fn parts<'r>(&self, request: &'r mut Self::Request) -> impl ApiRequestParts + Send + 'r;

    /// Returns a second copy, to send again; `None` where the body is a stream.
    fn duplicate(&self, request: &Self::Request) -> Option<Self::Request>;

    /// Sends a request, with the certificate that the token is bound to
    /// ([`CachedToken::client_identity`]), if it is. No redirect to another origin is followed, and none
    /// at all where the provider [signs the URL](biped_core::Provider::signs_url).
    fn send(
        &mut self,
        request: Self::Request,
        token: &CachedToken,
    ) -> impl Future<Output = Result<Self::Response, Self::Error>> + Send;

    /// Returns what a response shows before its body is read.
    fn seen<'r>(
        &self,
        response: &'r Self::Response,
    ) -> (StatusCode, &'r HeaderMap, Option<&'r Url>);

    /// Reads the body ahead, until it ends, `limit` bytes are exceeded, or `deadline` completes.
    /// The response that comes back still has all of its body; the bytes come along only where
    /// they are the whole body.
    fn peek(
        &mut self,
        response: Self::Response,
        limit: usize,
        deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> impl Future<Output = (Self::Response, Option<Bytes>)> + Send;

    /// Is called when the last response rejected its token, with what follows from it. Default: nothing.
    fn rejected(&mut self, rejection: Rejection) {
        let _ = rejection;
    }

    /// Returns the response, whose token was accepted. A protocol that may say otherwise after the
    /// body (gRPC, in trailers) remembers the token here, and tells
    /// [`judge_late`](TokenSource::judge_late). Default: nothing to remember.
    fn accepted(
        &mut self,
        response: Self::Response,
        source: &TokenSource,
        token: &Arc<CachedToken>,
    ) -> Self::Response {
        let _ = (source, token);
        response
    }
}

/// Why a call has no response.
#[derive(Clone, Debug)]
pub enum CallError<E> {
    /// There was no token for it, or nowhere to send it. Nothing was sent, or what was sent was
    /// rejected.
    Token(Error),
    /// The HTTP library's own error.
    Transport(E),
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => error.fmt(f),
            Self::Transport(error) => error.fmt(f),
        }
    }
}

/// It shows the text of the error inside, and so has its causes.
impl<E: std::error::Error + 'static> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Token(error) => error.source(),
            Self::Transport(error) => error.source(),
        }
    }
}

impl<E> From<Error> for CallError<E> {
    fn from(error: Error) -> Self {
        Self::Token(error)
    }
}
