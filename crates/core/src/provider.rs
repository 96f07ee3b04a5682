//! [`Provider`]: what to write for a new vendor.

use std::{fmt, net::SocketAddrV4, pin::Pin, sync::Mutex, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    ApiRequest, ApiResponse, AttachContext, BaseUrls, ClientIdentity, Clock, Error, HttpClient,
    IdentityKey, Now, ProviderId, References, SecretRef, SecretUse, Timestamp, Token, TokenRequest,
    Verdict, check_secure, judge_by_status, redact::credentials, text::Redactor,
};

/// A vendor's token endpoint, and one client of it.
///
/// Implement [`id`](Self::id) and [`fetch`](Self::fetch); everything else has a default that most
/// vendors leave alone. A provider asks, once, and reads the answer. It never caches, retries,
/// locks, logs or reads a clock: the `TokenManager` does all of that, and
/// [`FetchContext`] is the only world a provider sees.
///
/// ```
/// use async_trait::async_trait;
/// use biped_core::{
///     ExposeSecret, Error, FetchContext, Provider, ProviderId, SecretRef, Token, TokenRequest,
///     VendorError, wire,
/// };
///
/// /// Acme hands out a token for an API key.
/// #[derive(Debug)]
/// struct Acme {
///     id: ProviderId,
///     key: SecretRef,
/// }
///
/// impl Acme {
///     fn new(token_endpoint: &str, key: SecretRef) -> Self {
///         // Acme has no client identifiers: the key tells clients apart.
///         let id = ProviderId::new("acme", token_endpoint, "").credential(&key);
///         Self { id, key }
///     }
/// }
///
/// #[async_trait]
/// impl Provider for Acme {
///     fn id(&self) -> &ProviderId {
///         &self.id
///     }
///
///     async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
///         let key = cx.secret(&self.key).await?;
///         let body = serde_json::json!({ "api_key": key.expose_secret() });
///         let response = cx.post_json(self.id.token_endpoint(), &body).await?;
///         if !response.status().is_success() {
///             let vendor = VendorError::new(response.status().as_u16());
///             return Err(wire::failure(&response, vendor, cx.now()));
///         }
///         let answer = wire::json(&response)?;
///         let text = answer["token"].as_str().ok_or_else(|| Error::invalid_response("no token"))?;
///         Token::new(text, cx.sent_at()).expires_in(wire::seconds(&answer["ttl"])).build()
///     }
/// }
/// ```
///
/// A provider in a crate of its own needs `biped-core`, and of the crates in its signatures what it
/// uses: `http` 1, `bytes` 1, `url` 2, `serde_json` 1; [`async_trait`](crate::async_trait) and
/// [`ExposeSecret`](crate::ExposeSecret) are here. `ProviderKind` makes it configurable.
///
/// What to get right, each checked by `biped_testing::provider::conformance`, which takes the
/// vendor's answers and is a development dependency:
///
/// - The same configuration always gives the same id; whatever makes tokens differ is in it or in
///   the request, each credential above all: two configurations that differ in a secret share
///   nothing.
/// - An answer that is neither token nor error is an [`Error`], never a panic, and no error shows
///   what the answer or a secret held.
/// - The vendor's own words go into [`VendorError`](crate::VendorError); look at the status first
///   ([`wire::failure`](crate::wire::failure)).
/// - A base URL that the answer names is one of [`base_urls`](Self::base_urls).
/// - A header that holds a secret or the token is marked sensitive
///   ([`HeaderValue::set_sensitive`](http::HeaderValue::set_sensitive)).
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// Who issues, where, to which client, and on which credentials. Part of the cache key: each
    /// secret that [`fetch`](Self::fetch) reads is named in it
    /// ([`ProviderId::credential`](crate::ProviderId::credential)), else two configurations get each
    /// other's tokens, and each other's refusals.
    fn id(&self) -> &ProviderId;

    /// Asks the vendor for a new access token.
    ///
    /// # Errors
    /// Whatever went wrong, as the [kind](crate::ErrorKind) that it is. A rule of the vendor that
    /// the request breaks is a [`Configuration`](crate::ErrorKind::Configuration) error, found
    /// before anything is sent.
    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error>;

    /// Puts the token on an API request. Default: `Authorization: Bearer`.
    ///
    /// # Errors
    /// Where the request can't be signed.
    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        cx: &AttachContext<'_>,
    ) -> Result<(), Error> {
        let _ = cx;
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, token.header().clone());
        Ok(())
    }

    /// The secrets that [`attach`](Self::attach) needs, for vendors that sign each call. They are
    /// read when a token is taken in, and kept as long as it is. Default: none.
    fn attach_secrets(&self) -> &[SecretRef] {
        &[]
    }

    /// What an API response says about the token it was sent with. Default: 401 rejects it, unless
    /// `WWW-Authenticate` says `insufficient_scope` (RFC 6750 §3.1).
    fn judge(&self, response: &ApiResponse<'_>) -> Verdict {
        judge_by_status(response)
    }

    /// Whether a token from a store may be used here: whether the vendor's answer to `request` could
    /// have been this. Default: not if it is bound to a key that another process has.
    ///
    /// What a provider checks of its vendor's answers beyond the base URL and the life of a token, it
    /// checks here again, for who writes to a store is not always the vendor.
    fn accepts_stored(&self, token: &Token, request: &TokenRequest) -> bool {
        let _ = request;
        token.confirmation().is_none()
    }

    /// Whether the vendor's tokens may be good until they are rejected
    /// ([`Lifetime::UntilRejected`](crate::Lifetime::UntilRejected)). Where they can't be, a token
    /// from a store that claims to be one is not used. Default: no.
    fn lives_until_rejected(&self) -> bool {
        false
    }

    /// The certificate for token requests and for API calls with their tokens (RFC 8705 §3).
    /// Default: none.
    fn client_identity(&self) -> Option<&IdentityRef> {
        None
    }

    /// Whether a request's signature covers its URL, so that a redirect can't be followed with it.
    /// Default: no.
    fn signs_url(&self) -> bool {
        false
    }

    /// Which base URLs the vendor's answers may name. Default: none.
    ///
    /// This is the one place that says so. A token whose base URL is not among them is used neither
    /// from an answer nor from a store, and a call of a whole URL that is neither among them nor at
    /// the configured `api_base_url` is refused before a token is asked for. `cx` is for secrets
    /// that the hosts depend on; nothing is sent with it.
    ///
    /// # Errors
    /// Where a secret can't be read.
    async fn base_urls(&self, cx: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        let _ = cx;
        Ok(BaseUrls::none())
    }

    /// What the vendor says these credentials are good for (`/oauth/me`, RFC 7662). Default: it
    /// doesn't say.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    async fn inspect(
        &self,
        request: &TokenRequest,
        cx: &FetchContext<'_>,
    ) -> Result<Option<Inspection>, Error> {
        let _ = (request, cx);
        Ok(None)
    }

    /// Makes the vendor forget a token (RFC 7009). Default: not supported.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    async fn revoke(&self, token: &Token, cx: &FetchContext<'_>) -> Result<(), Error> {
        let _ = (token, cx);
        Err(Error::configuration("this vendor has no revocation"))
    }

    /// Something the operator should know about these credentials that no answer tells, such as
    /// that they will expire next month. Default: nothing.
    fn warning(&self, now: Timestamp) -> Option<String> {
        let _ = now;
        None
    }
}

/// A client certificate and its key, where they are.
#[derive(Clone, Debug)]
pub struct IdentityRef {
    /// The certificate chain in PEM.
    pub certificate: SecretRef,
    /// Its private key in PEM.
    pub key: SecretRef,
}

/// What a vendor says that a client's credentials are good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The scopes that can be asked for.
    pub scopes: Vec<String>,
    /// The projects that can be asked for, where the vendor has such a thing.
    pub projects: Vec<Project>,
    /// When the credentials (or the token that was looked at) expire.
    pub expires_at: Option<Timestamp>,
    /// Whatever else it says, to be shown to people.
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// A project that a client may ask tokens for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its number at the vendor.
    pub id: i64,
    /// Its name at the vendor.
    pub name: String,
}

/// The world of a provider during one fetch: the wire, the time, the secrets.
pub struct FetchContext<'a> {
    http: &'a dyn HttpClient,
    clock: &'a dyn Clock,
    candidate: usize,
    references: References,
    identity: Option<ClientIdentity>,
    /// Makes marks of what is read, for the store.
    marks: Option<IdentityKey>,
    notes: Mutex<Notes>,
}

/// What core wants to know of a fetch afterwards.
#[derive(Default)]
struct Notes {
    sent: Option<Now>,
    secrets: Vec<SecretUse>,
    /// The secrets themselves, gone with the fetch.
    values: Vec<SecretString>,
}

/// A request on its way.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, Error>> + Send + 'a>>;

impl<'a> FetchContext<'a> {
    /// A context for calling a provider directly, as its tests do. The token manager makes its own.
    #[must_use]
    pub fn new(http: &'a dyn HttpClient, clock: &'a dyn Clock) -> Self {
        Self {
            http,
            clock,
            candidate: 0,
            references: References::All,
            identity: None,
            marks: None,
            notes: Mutex::default(),
        }
    }

    /// Sends a request to the vendor and reads its whole answer. Any status is `Ok`.
    ///
    /// Redirects are not followed; time and size are bounded.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) for an address that is neither https nor
    /// loopback, [`Unreachable`](crate::ErrorKind::Unreachable) where no complete answer came.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Error> {
        self.start(request)?.await
    }

    /// Puts a request on its way.
    fn start(&self, mut request: http::Request<Bytes>) -> Result<Sending<'_>, Error> {
        check_address(request.uri())?;
        if let Some(identity) = &self.identity {
            request.extensions_mut().insert(identity.clone());
        }
        {
            let mut notes = self.notes();
            notes.sent = Some(self.clock.now());
            notes.values.extend(credentials(request.headers()));
        }
        Ok(self.http.send(request))
    }

    /// Sends a form (`application/x-www-form-urlencoded`) by POST.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn post_form<'f>(
        &self,
        url: &str,
        fields: impl IntoIterator<Item = (&'f str, &'f str)>,
    ) -> Result<http::Response<Bytes>, Error> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.post(url, "application/x-www-form-urlencoded", body.into())?
            .await
    }

    /// Sends JSON by POST.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn post_json(
        &self,
        url: &str,
        body: &impl serde::Serialize,
    ) -> Result<http::Response<Bytes>, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|_| Error::internal("the token request can't be written as JSON"))?;
        self.post(url, "application/json", body.into())?.await
    }

    /// Does `work` if it takes no longer than `limit`: for what is good to know, but not worth making
    /// a caller wait for what is known already.
    pub async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.clock.sleep(limit) => None,
        }
    }

    fn post(
        &self,
        url: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Sending<'_>, Error> {
        let mut request = http::Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url
            .parse()
            .map_err(|_| Error::configuration("the token endpoint is no URL"))?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        self.start(request)
    }

    /// What the clock on the wall says.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// When the latest request was sent, which is when the life of the token in its answer starts.
    #[must_use]
    pub fn sent_at(&self) -> Timestamp {
        self.last_sent().unwrap_or_else(|| self.clock.now()).wall
    }

    /// Reads a secret. Ask at each fetch and keep nothing: that is what makes rotation work.
    ///
    /// A vendor that repeats it in its error message doesn't get it into an [`Error`]: what was
    /// read here is redacted there, encoded or not ([`wire::Redactor`](crate::wire::Redactor)), and
    /// so are the credentials of an `Authorization` header. The `TokenManager` does that when the fetch ends; until
    /// then the error has the vendor's words as they came.
    ///
    /// # Errors
    /// [`Secret`](crate::ErrorKind::Secret).
    pub async fn secret(&self, secret: &SecretRef) -> Result<SecretString, Error> {
        let value = self.resolve(secret).await?;
        self.notes().values.push(value.clone());
        Ok(value)
    }

    /// Tells of a text that no error may show, though no configuration holds it: a signature, a
    /// session of an earlier request.
    pub fn conceal(&self, text: impl Into<SecretString>) {
        self.notes().values.push(text.into());
    }

    /// Reads what is no secret but may stand in the same places, such as the client identifier.
    ///
    /// # Errors
    /// As [`secret`](Self::secret).
    pub async fn identifier(&self, reference: &SecretRef) -> Result<String, Error> {
        Ok(self.resolve(reference).await?.expose_secret().to_owned())
    }

    async fn resolve(&self, secret: &SecretRef) -> Result<SecretString, Error> {
        let value = match self.references {
            References::All => secret.resolve(self.candidate, self.clock).await?,
            limit => {
                let secret = secret.clone().limited_to(limit);
                secret.resolve(self.candidate, self.clock).await?
            }
        };
        let noted = SecretUse::new(secret, self.candidate, &value, self.marks.as_ref());
        let mut notes = self.notes();
        if !notes.secrets.contains(&noted) {
            notes.secrets.push(noted);
        }
        Ok(value)
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// For whoever runs providers.
impl FetchContext<'_> {
    /// Reads this one of several secrets, counted from 0. Default: the first.
    #[must_use]
    pub fn with_candidate(mut self, candidate: usize) -> Self {
        self.candidate = candidate;
        self
    }

    /// Resolves no more than these references: for a look that is to have no effect. Default: all.
    #[must_use]
    pub fn limited_to(mut self, references: References) -> Self {
        self.references = references;
        self
    }

    /// Presents this client certificate with the requests to come.
    pub fn set_identity(&mut self, identity: Option<ClientIdentity>) {
        self.identity = identity;
    }

    /// When the latest request was sent, on both clocks; `None` where nothing was.
    #[must_use]
    pub fn last_sent(&self) -> Option<Now> {
        self.notes().sent
    }

    /// The clock that everything goes by.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.clock
    }

    /// Takes the secrets that were read, each once.
    #[must_use]
    pub fn take_secrets_used(&self) -> Vec<SecretUse> {
        std::mem::take(&mut self.notes().secrets)
    }

    /// Marks the secrets that are read, for a store with this key.
    #[must_use]
    pub fn with_identity_key(mut self, key: Option<IdentityKey>) -> Self {
        self.marks = key;
        self
    }

    /// Finds the secrets of this fetch, should the vendor's words repeat them.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        let notes = self.notes();
        Redactor::new(notes.values.iter().map(ExposeSecret::expose_secret))
    }
}

/// Whether a secret may be sent there; the usual cases without parsing the whole URL again.
fn check_address(uri: &http::Uri) -> Result<(), Error> {
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    let is_plain = match uri.scheme_str() {
        Some("https") => !authority.is_empty() && !authority.contains('@'),
        Some("http") => is_loopback_address(authority),
        _ => false,
    };
    if is_plain {
        return Ok(());
    }
    let url = Url::parse(&uri.to_string())
        .map_err(|_| Error::configuration("the token endpoint is no URL"))?;
    check_secure(&url)
}

/// Whether it is an IPv4 address of this very machine and a port, and nothing else. Written in any
/// other way it takes a parser for URLs to tell.
fn is_loopback_address(authority: &str) -> bool {
    authority
        .parse::<SocketAddrV4>()
        .is_ok_and(|address| address.ip().is_loopback())
}

impl fmt::Debug for FetchContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchContext").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_to_check_an_address_says_what_the_whole_check_says() {
        for (address, may_be_asked) in [
            ("https://login.example/token", true),
            ("https://login.example:8443", true),
            ("https://id:secret@login.example/token", false),
            ("http://login.example/token", false),
            ("http://127.0.0.1:7600/token", true),
            ("http://127.0.0.1/token", true),
            ("http://127.9.9.9:1/", true),
            ("http://0177.0.0.1:1/", true),
            ("http://128.0.0.1:1/", false),
            ("http://10.0.0.1:127/", false),
            ("http://127.0.0.1:1@evil.example/", false),
            ("http://127.0.0.1.evil.example:1/", false),
            ("http://localhost:7600/token", true),
            ("http://[::1]:7600/token", true),
            ("ftp://127.0.0.1:21/token", false),
            ("/token", false),
        ] {
            let uri = address.parse().unwrap();
            assert_eq!(check_address(&uri).is_ok(), may_be_asked, "{address}");
            let whole = Url::parse(address).is_ok_and(|url| check_secure(&url).is_ok());
            assert_eq!(whole, may_be_asked, "{address}");
        }
    }
}
