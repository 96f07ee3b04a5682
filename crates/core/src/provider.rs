//! [`Provider`]: the trait to implement for a new vendor. [`Inspection`]: what a vendor says about
//! credentials.

use std::{fmt, mem, sync::Arc, time::Duration};

use async_trait::async_trait;
use biped_redact::Redactor;
use http::header;
use serde_json::Value;
use url::Url;

use crate::{
    Account, ApiRequest, ApiResponse, AttachContext, BaseUrls, Error, FetchContext, Input,
    ParamValue, PlainHttp, Proof, ProviderId, SecretRef, Timestamp, Token, TokenRequest, Verdict,
    judge_by_status,
};

/// A vendor's token endpoint, and one client of it.
///
/// Implement [`id`](Self::id) and [`fetch`](Self::fetch). All other methods have a default that suits
/// most vendors. A provider sends one request and reads the response. It never caches, retries, locks,
/// logs or reads a clock: the `TokenManager` does all of that, and the provider uses nothing but the
/// [`FetchContext`].
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
/// A provider in its own crate needs `biped-core`, and those crates in its signatures that it uses:
/// `http` 1, `bytes` 1, `url` 2, `serde_json` 1. [`async_trait`](crate::async_trait) and
/// [`ExposeSecret`](crate::ExposeSecret) are re-exported here. `ProviderKind` in `biped-config` makes it
/// configurable.
///
/// `biped_testing::provider::conformance`, a development dependency, checks these rules with the
/// vendor's responses:
///
/// - The same configuration always gives the same id. Everything that makes tokens differ is in the id
///   or in the request, above all each credential: two configurations that differ in a secret share
///   nothing.
/// - A response that is neither a token nor an error is an [`Error`], never a panic, and no error shows
///   a part of the response or a secret.
/// - The vendor's own words go into [`VendorError`](crate::VendorError). Look at the status first
///   ([`wire::failure`](crate::wire::failure)).
/// - A base URL in a response is one of [`base_urls`](Self::base_urls).
/// - A header that contains a secret or the token is marked sensitive
///   ([`HeaderValue::set_sensitive`](http::HeaderValue::set_sensitive)).
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// Returns which kind of provider issues tokens, where, to which client, and for which credentials:
    /// a part of the cache key. It must name each secret that [`fetch`](Self::fetch) reads
    /// ([`ProviderId::credential`](crate::ProviderId::credential)); otherwise two configurations get
    /// each other's tokens and refusals.
    fn id(&self) -> &ProviderId;

    /// Asks the vendor for a new access token.
    ///
    /// # Errors
    /// What went wrong, with its [kind](crate::ErrorKind). A request that breaks a rule of the vendor is
    /// a [`Configuration`](crate::ErrorKind::Configuration) error, before anything is sent.
    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error>;

    /// Returns the tokens of other providers that [`fetch`](Self::fetch) needs
    /// ([`FetchContext::input`](crate::FetchContext::input)). The id must name each of them
    /// ([`ProviderId::input`](crate::ProviderId::input)). Default: none.
    fn inputs(&self) -> &[Input] {
        &[]
    }

    /// Returns the account whose credential changes with each use. [`fetch`](Self::fetch) gets the
    /// present one from [`FetchContext::refresh_token`](crate::FetchContext::refresh_token), and notes
    /// the next with
    /// [`FetchContext::replace_refresh_token`](crate::FetchContext::replace_refresh_token). Default:
    /// none.
    fn account(&self) -> Option<&Account> {
        None
    }

    /// Returns the tenants of this provider. Without a tenant, a provider that has tenants gives no
    /// token. Default: none.
    fn tenants(&self) -> Option<&dyn Tenants> {
        None
    }

    /// Returns whether this provider may be made anew for each fetch. That is so if it keeps nothing
    /// from one fetch to the next, and if all it does to calls of the API is the same for every tenant.
    /// Where it is so, a hundred thousand tenants take little memory. Default: false.
    fn is_made_anew(&self) -> bool {
        false
    }

    /// Puts the token on an API request. Default: `Authorization: Bearer`.
    ///
    /// # Errors
    /// If the request can't be signed.
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

    /// Returns the secrets that [`attach`](Self::attach) needs, for vendors that sign each call. They
    /// are read when a token is fetched, and kept as long as the token. Default: none.
    fn attach_secrets(&self) -> &[SecretRef] {
        &[]
    }

    /// Returns what an API response says about the request's token. Default: the rule of RFC 6750 §3.1
    /// ([`judge_by_status`](crate::judge_by_status)). `WWW-Authenticate` with `invalid_token` rejects
    /// it at any status, and so does 401, unless it says `insufficient_scope`.
    fn judge(&self, response: &ApiResponse<'_>) -> Verdict {
        judge_by_status(response)
    }

    /// Returns whether a token from a store may be used: whether the vendor's response to `request`
    /// could have been this token. Default: not if it is bound to a key.
    ///
    /// A provider repeats here its checks of the vendor's responses, except those of the base URL and
    /// the lifetime, because not only this process writes to a store.
    fn accepts_stored(&self, token: &Token, request: &TokenRequest) -> bool {
        let _ = request;
        token.confirmation().is_none()
    }

    /// Returns whether this process was given the key with this thumbprint, as the other processes of a
    /// fleet are. Then a sealed store keeps tokens that are bound to it ([`Token::confirmation`]), and
    /// such a token from a sealed store is used. A key that the process made itself is not given.
    /// Default: no.
    async fn is_given_key(&self, thumbprint: &str, cx: &FetchContext<'_>) -> bool {
        let _ = (thumbprint, cx);
        false
    }

    /// Returns whether the vendor's tokens may be good until they are rejected
    /// ([`Lifetime::UntilRejected`](crate::Lifetime::UntilRejected)). If not, such a token in a store
    /// is not used. Default: no.
    fn lives_until_rejected(&self) -> bool {
        false
    }

    /// Returns the client certificate for token requests, and for API calls with their tokens (RFC 8705
    /// §3). Default: none.
    fn client_identity(&self) -> Option<&IdentityRef> {
        None
    }

    /// Returns the servers that the configuration lists in `plain_http`: the token endpoint, its
    /// metadata and the API may be asked there without TLS. Default: none.
    fn plain_http(&self) -> Option<&PlainHttp> {
        None
    }

    /// Returns whether a request's signature covers its URL, so that a redirect can't be followed.
    /// Default: no.
    fn signs_url(&self) -> bool {
        false
    }

    /// Returns the base URLs that the vendor's responses may name. Default: none.
    ///
    /// A token with another base URL is not used, neither from a response nor from a store. A call to a
    /// whole URL that is neither at one of these nor at the configured `api_base_url` is refused before
    /// a token is fetched. `cx` is for secrets that the hosts depend on; nothing is sent with it.
    ///
    /// # Errors
    /// If a secret can't be read.
    async fn base_urls(&self, cx: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        let _ = cx;
        Ok(BaseUrls::none())
    }

    /// Returns what the vendor says these credentials are good for (`/oauth/me`, RFC 7662). Default:
    /// `None`, for a vendor that doesn't say.
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

    /// Returns how this client proves who it is, for people. It may ask the source of an assertion, and
    /// sends nothing to the vendor. Default: where the credentials of its [id](Self::id) are read from.
    ///
    /// # Errors
    /// If the source of an assertion or a secret can't be read.
    async fn proof(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Proof, Error> {
        let _ = (request, cx);
        Ok(Proof {
            source: self.id().places(),
            ..Proof::default()
        })
    }

    /// Returns the method that [`proof`](Self::proof) names, without sending a request. It is shown for
    /// a proof whose source fails. Default: none.
    fn proof_method(&self) -> Option<&'static str> {
        None
    }

    /// Revokes a token at the vendor (RFC 7009). Default: not supported.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    async fn revoke(&self, token: &Token, cx: &FetchContext<'_>) -> Result<(), Error> {
        let _ = (token, cx);
        Err(Error::configuration(
            "this provider does not support revocation",
        ))
    }

    /// Returns how long a session lasts without use: a token that was neither issued nor used for this
    /// long is not served. Default: `None`, for tokens that do not expire from disuse.
    fn idle_limit(&self) -> Option<Duration> {
        None
    }

    /// Returns how many token requests the vendor allows. The engine sends no more than these to the
    /// token endpoint, unless its own settings say how many. Default: no limit is known.
    fn fetch_limit(&self) -> Option<FetchLimit> {
        None
    }

    /// Returns a harmless request to the vendor's API that succeeds with any valid token. Default: none
    /// is known.
    fn probe(&self) -> Option<Probe> {
        None
    }

    /// Returns a warning about these credentials that no response contains, such as that they expire
    /// next month. Default: none.
    fn warning(&self, now: Timestamp) -> Option<String> {
        let _ = now;
        None
    }

    /// Returns a warning about a token request that is sent all the same, such as that it breaks a rule
    /// that many servers don't keep. It must not show a parameter's value. Default: none.
    fn request_warning(&self, request: &TokenRequest) -> Option<String> {
        let _ = request;
        None
    }
}

/// How many token requests a vendor allows in any period of a given length. They may follow each other
/// at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchLimit {
    /// The number of requests; at least one is allowed.
    pub requests: u32,
    /// The length of the period.
    pub period: Duration,
}

impl FetchLimit {
    /// This number of requests in a period of this length.
    #[must_use]
    pub fn new(requests: u32, period: Duration) -> Self {
        Self { requests, period }
    }
}

/// A provider whose credentials are a function of the tenant, such as the customer of a platform that
/// calls one vendor for many customers ([`Provider::tenants`]).
pub trait Tenants {
    /// Returns the provider of one tenant. Calls with the same name give equal providers: the tenant is
    /// part of the provider's id ([`ProviderId::of_tenant`](ProviderId::of_tenant)).
    ///
    /// `request` is what was asked of this provider so far. Its configured scopes and parameters may
    /// depend on the tenant.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) for a name that no tenant may have.
    fn tenant(&self, name: &str, request: &TokenRequest) -> Result<Tenant, Error>;
}

/// One tenant of a provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tenant {
    /// The tenant's provider.
    pub provider: Arc<dyn Provider>,
    /// What is asked of it.
    pub request: TokenRequest,
    /// Where relative API paths go, if the vendor's answer names no base URL.
    pub api_base_url: Option<Url>,
}

impl Tenant {
    /// Creates a tenant with this provider and request.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, request: TokenRequest) -> Self {
        Self {
            provider,
            request,
            api_base_url: None,
        }
    }

    /// Sets where relative API paths go. Default: nowhere.
    #[must_use]
    pub fn api_base_url(mut self, url: Option<Url>) -> Self {
        self.api_base_url = url;
        self
    }
}

/// A request to a vendor's API that shows whether a token is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// The method, such as GET.
    pub method: http::Method,
    /// The path below the API's base URL.
    pub path: String,
    /// The status that a valid token brings.
    pub status: u16,
}

impl Probe {
    /// Creates a request by its method and its path, and the status that a valid token brings.
    #[must_use]
    pub fn new(method: http::Method, path: impl Into<String>, status: u16) -> Self {
        Self {
            method,
            path: path.into(),
            status,
        }
    }
}

/// Where a client certificate and its key are.
#[derive(Clone, Debug)]
pub struct IdentityRef {
    /// The certificate chain in PEM.
    pub certificate: SecretRef,
    /// Its private key in PEM.
    pub key: SecretRef,
}

/// What a vendor says a client's credentials are good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The scopes that may be requested.
    pub scopes: Vec<String>,
    /// The values that parameters of a request may have, such as the projects of an account.
    pub choices: Vec<Choice>,
    /// When the credentials, or the inspected token, expire.
    pub expires_at: Option<Timestamp>,
    /// Everything else that it says, to be shown to people.
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// A value that a parameter of the token request may have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// The parameter's name: `project_id`.
    pub param: String,
    /// The value to set.
    pub value: ParamValue,
    /// What the vendor calls it, for people; empty if it has no name.
    pub title: String,
}

impl Choice {
    /// Creates the choice of a value of the parameter `param`, and what the vendor calls it.
    #[must_use]
    pub fn new(
        param: impl Into<String>,
        value: impl Into<ParamValue>,
        title: impl Into<String>,
    ) -> Self {
        Self {
            param: param.into(),
            value: value.into(),
            title: title.into(),
        }
    }
}

impl Inspection {
    /// Returns the same inspection with these secrets redacted, since it is shown to people.
    #[must_use]
    pub fn redacting(mut self, secrets: &Redactor) -> Self {
        let redact = |text: &mut String| *text = secrets.redacted(text).into_owned();
        self.scopes.iter_mut().for_each(redact);
        for choice in &mut self.choices {
            redact(&mut choice.param);
            redact(&mut choice.title);
            choice.value = choice.value.map_texts(|text| secrets.redacted(text));
        }
        let mut details = Value::Object(mem::take(&mut self.details));
        redact_json(&mut details, secrets);
        if let Value::Object(details) = details {
            self.details = details;
        }
        self
    }
}

/// Redacts every text in it, and every name.
fn redact_json(value: &mut Value, secrets: &Redactor) {
    match value {
        Value::String(text) => *text = secrets.redacted(text).into_owned(),
        Value::Array(all) => all.iter_mut().for_each(|one| redact_json(one, secrets)),
        Value::Object(fields) => {
            let all = mem::take(fields).into_iter();
            *fields = all
                .map(|(name, mut value)| {
                    redact_json(&mut value, secrets);
                    (secrets.redacted(&name).into_owned(), value)
                })
                .collect();
        }
        _ => {}
    }
}
