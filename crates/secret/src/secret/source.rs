//! [`SecretSource`]: a place for secrets that Biped doesn't know.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use biped_error::{Clock, Error, SystemClock, Timestamp};
use biped_io::{before, block_on};
use biped_wire::{HttpClient, check_secure};
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::command::COMMAND_TIMEOUT;

/// How long after a refusal a source is read again: that costs a request, as a rule.
const SOURCE_RECHECK: Duration = Duration::from_secs(30);

/// A place for secrets that Biped doesn't know, such as a vault. A
/// [`SecretRef`](crate::SecretRef) holds it, and reads it at each fetch.
///
/// ```
/// use biped_core::{Error, SecretRef, SecretSource, SecretString, SourceContext, async_trait};
///
/// /// Secrets of a service that returns each as text.
/// #[derive(Debug)]
/// struct Acme {
///     path: String,
///     /// What opens the service.
///     key: SecretRef,
/// }
///
/// #[async_trait]
/// impl SecretSource for Acme {
///     fn reference(&self) -> String {
///         format!("acme:{}", self.path)
///     }
///
///     async fn read(&self, cx: &SourceContext<'_>) -> Result<SecretString, Error> {
///         let key = cx.secret(&self.key).await?;
///         let response = cx.send(request(&self.path, &key)?).await?;
///         if !response.status().is_success() {
///             let reference = self.reference();
///             let message = format!("{reference} can't be read: HTTP {}", response.status());
///             return Err(Error::secret(message).transient(response.status().is_server_error()));
///         }
///         let text = String::from_utf8(response.into_body().into());
///         let text = text.map_err(|_| Error::secret("the secret is not text"))?;
///         Ok(text.into())
///     }
/// }
///
/// fn request(path: &str, key: &SecretString) -> Result<http::Request<bytes::Bytes>, Error> {
///     use biped_core::ExposeSecret;
///     let mut key = http::HeaderValue::from_str(key.expose_secret())
///         .map_err(|_| Error::secret("the service's key can't be sent in a header"))?;
///     key.set_sensitive(true);
///     http::Request::get(format!("https://secrets.example/{path}"))
///         .header("x-api-key", key)
///         .body(bytes::Bytes::new())
///         .map_err(|_| Error::secret(format!("acme:{path} does not name a secret")))
/// }
/// ```
#[async_trait]
pub trait SecretSource: fmt::Debug + Send + Sync {
    /// Returns the reference, such as `vault:kv/shop`. It is shown.
    fn reference(&self) -> String;

    /// Returns what tells this place from others, and is not shown: two sources with one identity are
    /// the same place. A source adds what its reference leaves out, such as the server's address.
    /// Default: the [`reference`](Self::reference).
    fn identity(&self) -> String {
        self.reference()
    }

    /// Reads the secret. It has 10 s.
    ///
    /// # Errors
    /// [`Secret`](biped_error::ErrorKind::Secret), transient where a later read may succeed. The message
    /// must not show a secret.
    async fn read(&self, cx: &SourceContext<'_>) -> Result<SecretString, Error>;

    /// Returns how long after a refusal the secret is read again, to see whether it has changed.
    /// Default: 30 s.
    fn recheck_interval(&self) -> Duration {
        SOURCE_RECHECK
    }
}

/// What a [`SecretSource`] has while it reads: the network, the time and other secrets.
#[derive(Clone, Copy)]
pub struct SourceContext<'a> {
    pub(super) clock: &'a dyn Clock,
    http: Option<&'a dyn HttpClient>,
}

impl<'a> SourceContext<'a> {
    /// Creates a context on this clock, which sends nothing.
    #[must_use]
    pub fn new(clock: &'a dyn Clock) -> Self {
        Self { clock, http: None }
    }

    /// Sets what sends requests.
    #[must_use]
    pub fn with_http(mut self, http: &'a dyn HttpClient) -> Self {
        self.http = Some(http);
        self
    }

    /// Sends a request and reads the whole response. Any status is `Ok`.
    ///
    /// The client of token requests sends it: redirects are not followed, and the size and time of the
    /// response are limited. The address is https, or http to this machine. Mark the values of headers
    /// that are secrets as sensitive.
    ///
    /// # Errors
    /// [`Configuration`](biped_error::ErrorKind::Configuration) for another address, and where nothing can
    /// be sent yet because the configuration is still being read;
    /// [`Unreachable`](biped_error::ErrorKind::Unreachable) without a complete response.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Error> {
        let url = Url::parse(&request.uri().to_string())
            .map_err(|_| Error::configuration("the address of the secret is not a valid URL"))?;
        check_secure(&url)?;
        self.http()?.send(request).await
    }

    /// Returns what sends requests, for sources that check the addresses themselves.
    ///
    /// # Errors
    /// [`Configuration`](biped_error::ErrorKind::Configuration) where nothing can be sent yet.
    pub fn http(&self) -> Result<&'a dyn HttpClient, Error> {
        self.http.ok_or_else(|| {
            let message = "a secret of [store] or [http] can't be read with a request, because these \
                           tables are read first";
            Error::configuration(message).with_remedy("use a file, a variable or a command")
        })
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &'a dyn Clock {
        self.clock
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now().wall
    }
}

impl fmt::Debug for SourceContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceContext").finish_non_exhaustive()
    }
}

/// Reads a source within the time that it has.
pub(super) async fn read(
    source: &dyn SecretSource,
    cx: &SourceContext<'_>,
) -> Result<SecretString, Error> {
    let timeout = cx.clock.sleep(COMMAND_TIMEOUT);
    let Some(read) = before(timeout, source.read(cx)).await else {
        let reference = source.reference();
        let seconds = COMMAND_TIMEOUT.as_secs();
        let what = format!("reading the secret {reference} took more than {seconds} s");
        return Err(Error::secret(what).transient(true));
    };
    let secret = read?;
    if secret.expose_secret().is_empty() {
        let what = format!("the secret {} is empty", source.reference());
        return Err(Error::secret(what).transient(true));
    }
    Ok(secret)
}

/// The same without a runtime.
pub(super) fn read_now(source: &dyn SecretSource) -> Result<SecretString, Error> {
    block_on(read(source, &SourceContext::new(&SystemClock)))
        .unwrap_or_else(|error| Err(Error::internal(format!("a secret can't be read: {error}"))))
}
