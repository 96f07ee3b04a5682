//! [`TokenClient`]: the HTTP client for token requests.

use std::fmt;

use async_trait::async_trait;
use biped_core::{ClientIdentity, Error, HttpClient, VendorError};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, header};
use reqwest::{Client, Response, redirect::Policy};
use url::Url;

use crate::{HttpSettings, decode, failure, pool::Pool, server::Servers, settings::Route};

/// Sends token requests: rustls, no redirects, bounded in time and size.
///
/// A request does not ask for compression. A response that is compressed all the same (gzip, deflate or
/// brotli) is decoded, and its limit counts the decoded bytes.
///
/// A request with a [`ClientIdentity`] among its extensions presents that certificate, on separate
/// connections. Share the client in an [`Arc`](std::sync::Arc).
///
/// ```
/// use std::sync::Arc;
/// use biped_core::HttpClient;
/// use biped_reqwest::TokenClient;
///
/// let http: Arc<dyn HttpClient> = Arc::new(TokenClient::new()?);
/// # Ok::<(), biped_core::Error>(())
/// ```
pub struct TokenClient {
    settings: HttpSettings,
    clients: Pool<Route>,
    servers: Servers,
}

impl TokenClient {
    /// Returns a client with the default settings.
    ///
    /// # Errors
    /// Never with these settings; the signature is that of [`with`](Self::with).
    pub fn new() -> Result<Self, Error> {
        Self::with(HttpSettings::new())
    }

    /// Returns a client with these settings.
    ///
    /// The platform's trusted certificates are read with the first request: a process that finds its
    /// token in a store needs none. If there are none, that request fails with a
    /// [`Configuration`](biped_core::ErrorKind::Configuration) error.
    ///
    /// # Errors
    /// Returns a [`Configuration`](biped_core::ErrorKind::Configuration) error for an invalid proxy or
    /// CA.
    pub fn with(settings: HttpSettings) -> Result<Self, Error> {
        let clients = Pool::new({
            let settings = settings.clone();
            move |route: &Route| make(&settings, route)
        });
        // What is wrong in the settings is told now instead of at the first token.
        settings.check_proxy()?;
        if settings.extra_cas().next().is_some() {
            clients.client(&Route::default())?;
        }
        Ok(Self {
            settings,
            clients,
            servers: Servers::new(),
        })
    }

    /// Starts a request, and returns its server's name. Separate from [`send`](HttpClient::send) to keep
    /// that future small.
    fn start(
        &self,
        mut request: http::Request<Bytes>,
    ) -> Result<(Url, impl Future<Output = reqwest::Result<Response>> + use<>), Error> {
        let identity = request.extensions_mut().remove::<ClientIdentity>();
        let url = self
            .servers
            .url(request.uri())
            .ok_or_else(|| Error::configuration("the URL of the token request is not valid"))?;
        let route = self.settings.route(&url, identity.as_ref());
        let client = self.clients.client(&route)?;
        let sending = client.execute(outgoing(request, url.clone()));
        Ok((url, sending))
    }

    async fn read(&self, response: &mut Response) -> Result<Bytes, Error> {
        // The announced length may be wrong, but a body that is announced as too large is not read.
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |announced| announced > self.settings.max_body) {
            return Err(self.too_large(response));
        }
        // Most responses arrive as one chunk, which needs no copy.
        let Some(first) = self.chunk(response, 0).await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk(response, first.len()).await? else {
            return Ok(first);
        };
        let mut body = BytesMut::from(first);
        body.extend_from_slice(&second);
        while let Some(next) = self.chunk(response, body.len()).await? {
            body.extend_from_slice(&next);
        }
        Ok(body.freeze())
    }

    /// Reads the next chunk of a body.
    async fn chunk(&self, response: &mut Response, read: usize) -> Result<Option<Bytes>, Error> {
        let chunk = match response.chunk().await {
            Ok(chunk) => chunk,
            Err(error) => return Err(failure::unreachable(response.url(), error, &self.settings)),
        };
        let length = chunk.as_ref().map_or(0, Bytes::len);
        if length > self.settings.max_body.saturating_sub(read) {
            return Err(self.too_large(response));
        }
        Ok(chunk)
    }

    fn too_large(&self, response: &Response) -> Error {
        let (place, limit) = (failure::place(response.url()), self.settings.max_body);
        Error::invalid_response(format!(
            "the response of {place} is larger than {limit} bytes"
        ))
        .with_remedy("check that the URL is that of a token endpoint")
        .with_vendor(VendorError::new(response.status().as_u16()))
    }
}

fn make(settings: &HttpSettings, route: &Route) -> Result<Client, Error> {
    let builder = settings.client_builder(route)?;
    builder
        .redirect(Policy::none())
        .timeout(settings.timeout)
        // `decode` does it, so that no request asks for it, whatever reqwest's features are.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .build()
        .map_err(failure::client)
}

#[async_trait]
impl HttpClient for TokenClient {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        let (url, sending) = self.start(request)?;
        let mut response = sending
            .await
            .map_err(|error| failure::unreachable(&url, error, &self.settings))?;
        let body = self.read(&mut response).await?;
        let mut answer = http::Response::new(body);
        *answer.status_mut() = response.status();
        *answer.version_mut() = response.version();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        decode::in_place(&mut answer, self.settings.max_body)
            .map_err(|_| self.too_large(&response))?;
        Ok(answer)
    }
}

fn outgoing(request: http::Request<Bytes>, url: Url) -> reqwest::Request {
    let (parts, body) = request.into_parts();
    let mut request = reqwest::Request::new(parts.method, url);
    *request.headers_mut() = parts.headers;
    if !body.is_empty() {
        *request.body_mut() = Some(body.into());
    } else if matches!(*request.method(), Method::POST | Method::PUT) {
        // Some servers refuse a POST without a length (411), even an empty one.
        let none = HeaderValue::from_static("0");
        request.headers_mut().insert(header::CONTENT_LENGTH, none);
    }
    request
}

impl fmt::Debug for TokenClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClient")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
