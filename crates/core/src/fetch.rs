//! [`FetchContext`]: all that a provider sees while it fetches.

use std::{fmt, pin::Pin, sync::Mutex, time::Duration};

use biped_io::before;
use biped_redact::Redactor;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    ClientIdentity, Clock, Error, HttpClient, IdentityKey, Input, Now, PlainHttp, References,
    RequestObserver, SecretRef, SecretUse, SourceContext, Timestamp, check_platform, redacted_url,
};

/// How long a platform's own service may take to respond.
const PLATFORM_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest response of a platform's own service, in bytes.
const LARGEST_PLATFORM_RESPONSE: usize = 1024 * 1024;

/// What a provider works with during one fetch: the network, the time and the secrets.
pub struct FetchContext<'a> {
    http: &'a dyn HttpClient,
    clock: &'a dyn Clock,
    candidate: usize,
    references: References,
    identity: Option<ClientIdentity>,
    observer: Option<&'a dyn RequestObserver>,
    /// The store's key, under which what is read is marked.
    marks: Option<IdentityKey>,
    /// The account's present credential.
    refresh_token: Option<SecretString>,
    /// The tokens of other providers.
    inputs: Vec<(Input, SecretString)>,
    plain_http: Option<&'a PlainHttp>,
    notes: Mutex<Notes>,
}

/// What the engine asks for after a fetch.
#[derive(Default)]
struct Notes {
    sent: Option<Now>,
    secrets: Vec<SecretUse>,
    /// How many places the reference names that could not be read.
    unread: usize,
    /// The secrets themselves, which are dropped with the context.
    values: Vec<SecretString>,
    /// The refresh token that replaces the one that was presented.
    replacement: Option<SecretString>,
    /// The inputs that the vendor refused.
    refused: Vec<Input>,
    /// Another secret of a list may be accepted.
    try_next: bool,
    /// What is presented is this process's own.
    is_own: bool,
}

/// A request that is being sent.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, Error>> + Send + 'a>>;

impl<'a> FetchContext<'a> {
    /// Creates a context for calling a provider directly, as tests do. The token manager makes its own.
    #[must_use]
    pub fn new(http: &'a dyn HttpClient, clock: &'a dyn Clock) -> Self {
        Self {
            http,
            clock,
            candidate: 0,
            references: References::All,
            identity: None,
            observer: None,
            marks: None,
            refresh_token: None,
            inputs: Vec::new(),
            plain_http: None,
            notes: Mutex::default(),
        }
    }

    /// Sends a request to the vendor and reads the whole response. Any status is `Ok`.
    ///
    /// Redirects are not followed. Time and size are limited.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) for an address that
    /// [`check_url`](Self::check_url) refuses, [`Unreachable`](crate::ErrorKind::Unreachable) without a
    /// complete response.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Error> {
        self.start(request)?.await
    }

    /// Starts sending a request.
    fn start(&self, mut request: http::Request<Bytes>) -> Result<Sending<'_>, Error> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| not_a_url())?;
        self.check_url(&url)?;
        if let Some(identity) = &self.identity {
            request.extensions_mut().insert(identity.clone());
        }
        Ok(self.transmit(request))
    }

    /// Starts sending a request to an address that was checked, and notes it.
    fn transmit(&self, request: http::Request<Bytes>) -> Sending<'_> {
        {
            let mut notes = self.notes();
            notes.sent = Some(self.clock.now());
            notes.values.extend(credentials(request.headers()));
        }
        match self.observer {
            None => self.http.send(request),
            Some(observer) => Box::pin(self.observed(request, observer)),
        }
    }

    async fn observed(
        &self,
        request: http::Request<Bytes>,
        observer: &dyn RequestObserver,
    ) -> Result<http::Response<Bytes>, Error> {
        let (method, url) = (request.method().clone(), request.uri().to_string());
        let url = Url::parse(&url).map_or_else(|_| String::new(), |url| redacted_url(&url));
        let url = self.redactor().redacted(&url).into_owned();
        observer.sending(&method, &url, request.body().len());
        let sent = self.clock.now();
        let answer = self.http.send(request).await;
        let took = self.clock.now().mono.saturating_sub(sent.mono);
        let told = answer.as_ref();
        let told = told.map(|response| (response.status(), response.body().len()));
        observer.answered(&method, &url, told, took);
        answer
    }

    /// Asks a service of the platform that this process runs on, such as a metadata server. Any status
    /// is `Ok`. It has 5 s, and 1 MiB for its response. No redirect is followed, and no client
    /// certificate is presented.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) for an address that
    /// [`check_platform`] refuses, [`Unreachable`](crate::ErrorKind::Unreachable) without a complete
    /// response, [`InvalidResponse`](crate::ErrorKind::InvalidResponse) for a larger one.
    pub async fn ask_platform(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Error> {
        let url = Url::parse(&request.uri().to_string())
            .map_err(|_| Error::configuration("the platform's address is not a valid URL"))?;
        check_platform(&url)?;
        let sending = self.transmit(request);
        let Some(answer) = self.within(PLATFORM_TIMEOUT, sending).await else {
            let seconds = PLATFORM_TIMEOUT.as_secs();
            return Err(Error::unreachable(format!(
                "no response within {seconds} s"
            )));
        };
        let answer = answer?;
        if answer.body().len() > LARGEST_PLATFORM_RESPONSE {
            return Err(Error::invalid_response("the response is larger than 1 MiB"));
        }
        Ok(answer)
    }

    /// Returns the token of another provider, which the `TokenManager` got before this fetch.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if nothing got it: the provider does not name
    /// it among its [inputs](crate::Provider::inputs), or no manager runs it.
    pub fn input(&self, input: &Input) -> Result<SecretString, Error> {
        let known = self.inputs.iter().find(|(known, _)| known == input);
        let Some((_, token)) = known else {
            let name = input.provider();
            return Err(Error::configuration(format!(
                "the token of the provider {name} is not available to this fetch"
            )));
        };
        self.conceal(token.clone());
        Ok(token.clone())
    }

    /// Notes that the vendor refused a token of another provider. That token is rejected as after a
    /// 401, and this fetch is made once more with the next one.
    pub fn refuse_input(&self, input: &Input) {
        self.notes().refused.push(input.clone());
    }

    /// Returns the present credential of the provider's [account](crate::Provider::account).
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if nothing got it: the provider has no
    /// account, or no manager runs it.
    pub fn refresh_token(&self) -> Result<SecretString, Error> {
        let Some(token) = &self.refresh_token else {
            let error = "the account's refresh token is not available to this fetch";
            return Err(Error::configuration(error));
        };
        self.conceal(token.clone());
        Ok(token.clone())
    }

    /// Notes that the vendor replaced the refresh token that this fetch presented (RFC 6749 §6). No error
    /// shows it.
    pub fn replace_refresh_token(&self, new: impl Into<SecretString>) {
        let new = new.into();
        self.conceal(new.clone());
        self.notes().replacement = Some(new);
    }

    /// Notes that the vendor refused what a secret held, although not the client: of a list of secrets
    /// the next is tried.
    pub fn try_next_secret(&self) {
        self.notes().try_next = true;
    }

    /// Notes that this fetch presents what only this process has, such as the token of its own machine:
    /// no other process hears of a refusal.
    pub fn keep_refusal(&self) {
        self.notes().is_own = true;
    }

    /// Returns whether all references may be resolved, and platforms asked.
    #[must_use]
    pub fn resolves_all(&self) -> bool {
        self.references == References::All
    }

    /// Returns the number of the secret that is read where a reference names several, counted from 0.
    #[must_use]
    pub fn candidate(&self) -> usize {
        self.candidate
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

    /// Does `work` if it takes no longer than `limit`: for information that is useful, but not worth
    /// a long wait.
    pub async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        before(self.clock.sleep(limit), work).await
    }

    fn post(
        &self,
        url: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Sending<'_>, Error> {
        let mut request = http::Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.parse().map_err(|_| not_a_url())?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        self.start(request)
    }

    /// Returns the wall-clock time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// Returns when the latest request was sent. The life of the token in its response starts then.
    #[must_use]
    pub fn sent_at(&self) -> Timestamp {
        self.last_sent().unwrap_or_else(|| self.clock.now()).wall
    }

    /// Reads a secret. Read it at each fetch and don't keep it, so that a rotated secret is noticed.
    ///
    /// A vendor may repeat it in an error message. When the fetch ends, the `TokenManager` redacts in
    /// the error every secret that was read here, encoded or not
    /// ([`wire::Redactor`](crate::wire::Redactor)), and the credentials of `Authorization` headers.
    /// Until then the error holds the vendor's words unchanged.
    ///
    /// # Errors
    /// [`Secret`](crate::ErrorKind::Secret).
    pub async fn secret(&self, secret: &SecretRef) -> Result<SecretString, Error> {
        let value = self.resolve(secret).await?;
        self.notes().values.push(value.clone());
        Ok(value)
    }

    /// Returns what a [`SecretSource`](crate::SecretSource) or a signer uses during this fetch.
    #[must_use]
    pub fn source_context(&self) -> SourceContext<'_> {
        SourceContext::new(self.clock).with_http(self.http)
    }

    /// Marks a text that no error may show although it is not a configured secret, such as a signature
    /// or the session of an earlier request.
    pub fn conceal(&self, text: impl Into<SecretString>) {
        self.notes().values.push(text.into());
    }

    /// Reads a value that is not a secret but may be in the same places, such as the client identifier.
    ///
    /// # Errors
    /// As [`secret`](Self::secret).
    pub async fn identifier(&self, reference: &SecretRef) -> Result<String, Error> {
        Ok(self.resolve(reference).await?.expose_secret().to_owned())
    }

    async fn resolve(&self, secret: &SecretRef) -> Result<SecretString, Error> {
        let cx = self.source_context();
        let value = match self.references {
            References::All => secret.resolve_in(self.candidate, &cx).await,
            limit => {
                let secret = secret.clone().limited_to(limit);
                secret.resolve_in(self.candidate, &cx).await
            }
        };
        let value = value.inspect_err(|_| self.notes().unread = secret.candidates())?;
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

/// For code that runs providers.
impl<'a> FetchContext<'a> {
    /// Reads the secret with this number where a reference names several, counted from 0. Default: the
    /// first.
    #[must_use]
    pub fn with_candidate(mut self, candidate: usize) -> Self {
        self.candidate = candidate;
        self
    }

    /// Gives the tokens of other providers.
    #[must_use]
    pub fn with_inputs(mut self, inputs: Vec<(Input, SecretString)>) -> Self {
        self.inputs = inputs;
        self
    }

    /// Gives the account's present credential.
    #[must_use]
    pub fn with_refresh_token(mut self, token: Option<SecretString>) -> Self {
        self.refresh_token = token;
        self
    }

    /// Takes the inputs that the vendor refused.
    #[must_use]
    pub fn take_refused_inputs(&self) -> Vec<Input> {
        std::mem::take(&mut self.notes().refused)
    }

    /// Takes the refresh token that replaces the one that was presented.
    #[must_use]
    pub fn take_replacement(&self) -> Option<SecretString> {
        self.notes().replacement.take()
    }

    /// Returns whether no other process is to hear of a refusal.
    #[must_use]
    pub fn keeps_refusal(&self) -> bool {
        self.notes().is_own
    }

    /// Returns whether another secret of a list may be accepted.
    #[must_use]
    pub fn tries_next_secret(&self) -> bool {
        self.notes().try_next
    }

    /// Resolves only these references, for reads that must have no effect. Default: all.
    #[must_use]
    pub fn limited_to(mut self, references: References) -> Self {
        self.references = references;
        self
    }

    /// Tells this observer of each request. Default: none.
    #[must_use]
    pub fn observed_by(mut self, observer: Option<&'a dyn RequestObserver>) -> Self {
        self.observer = observer;
        self
    }

    /// Presents this client certificate with all further requests.
    pub fn set_identity(&mut self, identity: Option<ClientIdentity>) {
        self.identity = identity;
    }

    /// Returns when the latest request was sent, on both clocks; `None` if none was.
    #[must_use]
    pub fn last_sent(&self) -> Option<Now> {
        self.notes().sent
    }

    /// Returns the clock of this fetch.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.clock
    }

    /// Takes the record of the secrets that were read, each once.
    #[must_use]
    pub fn take_secrets_used(&self) -> Vec<SecretUse> {
        std::mem::take(&mut self.notes().secrets)
    }

    /// Returns how many places the reference names that could not be read; 0 if all could be read.
    #[must_use]
    pub fn unread_candidates(&self) -> usize {
        self.notes().unread
    }

    /// Sets which servers may be asked in plain http ([`Provider::plain_http`](crate::Provider::plain_http)).
    #[must_use]
    pub fn with_plain_http(mut self, servers: Option<&'a PlainHttp>) -> Self {
        self.plain_http = servers;
        self
    }

    /// Checks that secrets and tokens may be sent to `url`, which the configuration names: https, or http
    /// to this machine or to one of the provider's [`plain_http`](crate::Provider::plain_http) servers.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), which says what is wrong with it.
    pub fn check_url(&self, url: &Url) -> Result<(), Error> {
        PlainHttp::check_with(self.plain_http, url)
    }

    /// Marks the secrets that are read under this key of a store.
    #[must_use]
    pub fn with_identity_key(mut self, key: Option<IdentityKey>) -> Self {
        self.marks = key;
        self
    }

    /// Returns a redactor that knows the secrets of this fetch.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        let notes = self.notes();
        Redactor::new(notes.values.iter().map(ExposeSecret::expose_secret))
    }
}

fn not_a_url() -> Error {
    Error::configuration("the token endpoint is not a valid URL")
}

/// The credentials after the scheme in `Authorization`.
fn credentials(headers: &HeaderMap) -> Option<SecretString> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(text.split_whitespace().last()?.into())
}

impl fmt::Debug for FetchContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchContext").finish_non_exhaustive()
    }
}
