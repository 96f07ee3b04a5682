//! [`TokenMiddleware`]: the engine's way to call with a token, for reqwest.

use std::{borrow::Cow, error::Error as StdError, future::Future, io, pin::Pin};

use async_trait::async_trait;
use biped_core::{ApiRequestParts, Error};
use biped_engine::{CachedToken, CallError, TokenSource, Transport, call};
use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, StatusCode};
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use url::Url;

use crate::{
    body,
    failure::{failed, with_origin},
    needs::Needs,
};

/// Puts a fresh token on each request, and sends a request once more if the API rejects its token. This
/// is what [`ApiClient`](crate::ApiClient) does, for your own middleware stack.
///
/// - Put retries and tracing **before** it: each attempt then gets its own token, and sending again
///   after a rejection is part of the attempt.
/// - Put [`ApiClients`](crate::ApiClients) **after** it, at the end: its connections follow no redirect
///   to another origin, send no `Referer`, and present the client certificate that a token is bound
///   to. Without it, the stack's own reqwest client sends the request. With reqwest's defaults that
///   client follows redirects to any origin, with tokens in headers other than `Authorization` and in
///   the `Referer`. That client also keeps an HTTP/2 connection that went silent, unless its builder
///   sets `http2_keep_alive_interval`. Errors never contain the URL.
/// - Requests have complete URLs with the API's origin; for any other URL the call returns an error,
///   and no request is sent. If only the token names the origin, start the URL with
///   [`BASE_URL_PLACEHOLDER`](biped_engine::BASE_URL_PLACEHOLDER), which the base URL replaces.
/// - A token that is sent in `Authorization` replaces an existing `Authorization` header, including
///   the one that reqwest creates from a user name in the URL.
///
/// ```no_run
/// use biped_reqwest::{ApiClients, TokenMiddleware};
/// use reqwest_middleware::ClientBuilder;
///
/// # async fn example(source: biped_engine::TokenSource) -> Result<(), Box<dyn std::error::Error>> {
/// let client = ClientBuilder::new(reqwest::Client::new())
///     // .with(retries).with(tracing)
///     .with(TokenMiddleware::new(source))
///     .with(ApiClients::new()?)
///     .build();
/// let response = client.get("https://api.vendor.example/v1/exports").send().await?;
/// # Ok(())
/// # }
/// ```
///
/// A call without a token returns a [`Middleware`](reqwest_middleware::Error::Middleware) error, in which
/// [`token_error`] finds the cause. The usual retry middlewares do not retry such an error, and need
/// not: Biped has retried the fetch already.
#[derive(Clone, Debug)]
pub struct TokenMiddleware {
    source: TokenSource,
}

impl TokenMiddleware {
    /// Returns a middleware that puts the tokens of `source` on requests.
    #[must_use]
    pub fn new(source: TokenSource) -> Self {
        Self { source }
    }
}

#[async_trait]
impl Middleware for TokenMiddleware {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let query = request.url().query().map(str::to_owned);
        let signs_url = self.source.provider().signs_url();
        let mut transport = OverNext {
            next,
            extensions,
            query,
            signs_url,
        };
        call(&self.source, request, &mut transport)
            .await
            .map_err(|error| match error {
                CallError::Token(error) => failed(error),
                CallError::Transport(error) => error,
            })
    }
}

/// Returns Biped's own error if a call failed because its token can't be fetched or attached. It may be
/// the error itself or its cause, also where a retry middleware, an [`io::Error`] or an error type of the
/// application has wrapped it.
///
/// ```
/// # fn example(error: reqwest_middleware::Error) {
/// if let Some(error) = biped_reqwest::token_error(&error) {
///     println!("no token: {} (transient: {})", error, error.is_transient());
/// }
/// # }
/// ```
#[must_use]
pub fn token_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
    let mut causes = std::iter::successors(Some(error), |&error| {
        // It skips what it holds.
        match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(held) => Some(held),
            None => error.source(),
        }
    });
    causes.find_map(of_cause).map(Error::as_told)
}

/// Biped's error in one cause. That of a middleware is not among the causes, but in their first.
fn of_cause<'e>(cause: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
    match cause.downcast_ref() {
        Some(reqwest_middleware::Error::Middleware(error)) => {
            error.chain().find_map(|cause| cause.downcast_ref())
        }
        _ => cause.downcast_ref(),
    }
}

/// Sends with the rest of a middleware stack.
struct OverNext<'a> {
    next: Next<'a>,
    extensions: &'a mut Extensions,
    /// The caller's query, without attached parameters.
    query: Option<String>,
    signs_url: bool,
}

impl Transport for OverNext<'_> {
    type Request = Request;
    type Response = Response;
    type Error = reqwest_middleware::Error;

    fn parts<'r>(&self, request: &'r mut Request) -> impl ApiRequestParts + Send + 'r {
        Parts(request)
    }

    fn duplicate(&self, request: &Request) -> Option<Request> {
        request.try_clone()
    }

    async fn send(
        &mut self,
        request: Request,
        token: &CachedToken,
    ) -> Result<Response, reqwest_middleware::Error> {
        let attached = request
            .url()
            .query()
            .filter(|query| Some(*query) != self.query.as_deref());
        let attached = attached.map(str::to_owned);
        self.extensions.insert(Needs {
            identity: token.client_identity().cloned(),
            no_redirects: self.signs_url || attached.is_some(),
        });
        let sent = self.next.clone().run(request, self.extensions).await;
        let response = sent.map_err(with_origin)?;
        Ok(match attached {
            Some(attached) => without_attached(response, &attached, self.query.as_deref()),
            None => response,
        })
    }

    fn seen<'r>(&self, response: &'r Response) -> (StatusCode, &'r HeaderMap, Option<&'r Url>) {
        (response.status(), response.headers(), Some(response.url()))
    }

    async fn peek(
        &mut self,
        response: Response,
        limit: usize,
        deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> (Response, Option<Bytes>) {
        body::peek(response, limit, deadline).await
    }
}

/// Removes the token from the response's URL, which its `Debug` output and its body's errors
/// show.
fn without_attached(response: Response, attached: &str, query: Option<&str>) -> Response {
    if response.url().query() != Some(attached) {
        return response;
    }
    let mut url = response.url().clone();
    url.set_query(query);
    body::relocated(response, url)
}

struct Parts<'r>(&'r mut Request);

impl ApiRequestParts for Parts<'_> {
    fn method(&self) -> &Method {
        self.0.method()
    }

    fn url(&self) -> Cow<'_, Url> {
        Cow::Borrowed(self.0.url())
    }

    fn set_url(&mut self, url: Url) -> Result<(), Error> {
        *self.0.url_mut() = url;
        Ok(())
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.0.headers_mut()
    }

    fn body(&self) -> Option<&[u8]> {
        self.0.body().map_or(Some(&[]), reqwest::Body::as_bytes)
    }
}
