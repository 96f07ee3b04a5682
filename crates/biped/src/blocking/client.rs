//! [`ApiClient`], its requests and responses.

use std::{
    fmt,
    future::Future,
    io::{self, Read},
    sync::Arc,
    time::Duration,
};

use biped_core::{Error, ParamValue};
use biped_engine::{CachedToken, TokenRef, TokenSource};
use biped_reqwest::{
    reqwest::{self, Body, Method, StatusCode, header::HeaderMap},
    reqwest_middleware as middleware,
};
use serde_json::Value;

use super::worker::Worker;

/// [`crate::ApiClient`] for threads without a runtime. The asynchronous client documents where requests
/// go and which of them are replayed.
///
/// The errors are those of the asynchronous client; [`token_error`](crate::token_error) finds Biped's
/// own. Every call inside a runtime fails.
#[derive(Clone, Debug)]
pub struct ApiClient {
    client: crate::ApiClient,
    worker: Worker,
}

impl ApiClient {
    /// Creates a client with a thread of its own. Clients of one [`Biped`](super::Biped) share its
    /// thread.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) if no thread can be started.
    pub fn new(client: crate::ApiClient) -> Result<Self, Error> {
        Ok(Self::over(client, Worker::start()?))
    }

    pub(crate) fn over(client: crate::ApiClient, worker: Worker) -> Self {
        Self { client, worker }
    }

    /// Returns a client for one tenant of the provider ([`ApiClient::tenant`](crate::ApiClient::tenant)).
    #[must_use]
    pub fn tenant(&self, name: &str) -> Self {
        Self::over(self.client.tenant(name), self.worker.clone())
    }

    /// Returns a client with a parameter of the token request set, such as the project.
    #[must_use]
    pub fn param(&self, name: impl AsRef<str>, value: impl Into<ParamValue>) -> Self {
        Self::over(self.client.param(name, value), self.worker.clone())
    }

    /// Returns a client with these scopes (one, or several separated by spaces) in place of its own.
    #[must_use]
    pub fn with_scopes(&self, scopes: impl AsRef<str>) -> Self {
        Self::over(self.client.with_scopes(scopes), self.worker.clone())
    }

    /// Returns a client that makes at most this many calls at a time (at least 1); further calls wait. A
    /// call counts until its response has been read or dropped. A caller that keeps a response while it
    /// makes another call needs room for both.
    #[must_use]
    pub fn max_concurrent_requests(&self, calls: usize) -> Self {
        let client = self.client.max_concurrent_requests(calls);
        Self::over(client, self.worker.clone())
    }

    /// Returns a usable token.
    ///
    /// # Errors
    /// Fails like [`TokenSource::token`], and always inside a runtime.
    pub fn token(&self) -> Result<Arc<CachedToken>, Error> {
        let source = self.token_source();
        self.worker
            .wait(async { source.token().await.map(TokenRef::into_owned) })?
    }

    /// Returns the source of the client's tokens.
    #[must_use]
    pub fn token_source(&self) -> &TokenSource {
        self.client.token_source()
    }

    /// Starts a GET request.
    pub fn get(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// Starts a POST request.
    pub fn post(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// Starts a PUT request.
    pub fn put(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PUT, path)
    }

    /// Starts a PATCH request.
    pub fn patch(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PATCH, path)
    }

    /// Starts a DELETE request.
    pub fn delete(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// Starts a HEAD request.
    pub fn head(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::HEAD, path)
    }

    /// Starts a request with any method.
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> RequestBuilder {
        RequestBuilder {
            request: self.client.request(method, path),
            worker: self.worker.clone(),
        }
    }
}

/// A request that has not been sent.
#[must_use = "`send` sends the request"]
pub struct RequestBuilder {
    request: middleware::RequestBuilder,
    worker: Worker,
}

impl RequestBuilder {
    /// Adds to the query of the URL.
    pub fn query(self, pairs: &[(&str, &str)]) -> Self {
        self.with(|request| request.query(pairs))
    }

    /// Adds a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|request| request.header(name, value))
    }

    /// Sends JSON.
    pub fn json(self, body: &Value) -> Self {
        self.with(|request| request.json(body))
    }

    /// Sends a text or bytes.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.with(|request| request.body(body))
    }

    /// Limits the time between sending the request and reading the end of its response. A replay has
    /// the same time again; fetching a token is not part of it. Default: no limit.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|request| request.timeout(timeout))
    }

    /// Applies a method of the asynchronous builder.
    ///
    /// ```no_run
    /// # fn example(shop: biped::blocking::ApiClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let answer = shop.post("/v1/orders").with(|request| request.form(&[("id", 7)])).send()?;
    /// # let _ = answer;
    /// # Ok(()) }
    /// ```
    pub fn with(
        self,
        change: impl FnOnce(middleware::RequestBuilder) -> middleware::RequestBuilder,
    ) -> Self {
        let Self { request, worker } = self;
        Self {
            request: change(request),
            worker,
        }
    }

    /// Sends the request, and waits for the head of the response.
    ///
    /// # Errors
    /// Fails like the asynchronous method, and always inside a runtime.
    pub fn send(self) -> Result<Response, middleware::Error> {
        let Self { request, worker } = self;
        let sent = worker.wait(request.send());
        let response = sent.map_err(middleware::Error::middleware)??;
        Ok(Response { response, worker })
    }
}

/// A response whose body has not been read.
pub struct Response {
    response: reqwest::Response,
    worker: Worker,
}

impl Response {
    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Returns the response if its status is not an error.
    ///
    /// # Errors
    /// Fails for a status of 400 and above.
    pub fn error_for_status(self) -> Result<Self, middleware::Error> {
        let Self { response, worker } = self;
        let response = response.error_for_status()?;
        Ok(Self { response, worker })
    }

    /// Reads the body as a text.
    ///
    /// # Errors
    /// Fails if the body is incomplete, and always inside a runtime.
    pub fn text(self) -> Result<String, middleware::Error> {
        wait(&self.worker, self.response.text())
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// Fails if the body is incomplete or is not JSON, and always inside a runtime.
    pub fn json(self) -> Result<Value, middleware::Error> {
        wait(&self.worker, self.response.json())
    }

    /// Reads the body into memory.
    ///
    /// # Errors
    /// Fails if the body is incomplete, and always inside a runtime.
    pub fn bytes(self) -> Result<Vec<u8>, middleware::Error> {
        wait(&self.worker, self.response.bytes()).map(Into::into)
    }

    /// Returns a reader of the body, for a body that does not fit into memory.
    #[must_use]
    pub fn reader(self) -> Reader {
        let Self { response, worker } = self;
        let piece = io::Cursor::default();
        Reader {
            response,
            worker,
            piece,
        }
    }
}

fn wait<T>(
    worker: &Worker,
    read: impl Future<Output = reqwest::Result<T>>,
) -> Result<T, middleware::Error> {
    let read = worker.wait(read).map_err(middleware::Error::middleware)?;
    Ok(read?)
}

/// Reads the body of a [`Response`] as it arrives.
pub struct Reader {
    response: reqwest::Response,
    worker: Worker,
    /// What arrived and has not been read.
    piece: io::Cursor<bytes::Bytes>,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match wait(&self.worker, self.response.chunk()).map_err(io::Error::other)? {
                Some(piece) => self.piece = io::Cursor::new(piece),
                None => return Ok(0),
            }
        }
    }
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBuilder").finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
