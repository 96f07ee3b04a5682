//! [`Provider`]: what to write for a new vendor.

use std::{fmt, mem};

use async_trait::async_trait;
use biped_redact::Redactor;
use http::header;
use serde_json::Value;

use crate::{
    ApiRequest, ApiResponse, AttachContext, BaseUrls, Error, FetchContext, ParamValue, ProviderId,
    SecretRef, Timestamp, Token, TokenRequest, Verdict, judge_by_status,
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
    /// The values that a parameter of the request may have, such as the projects of an account.
    pub choices: Vec<Choice>,
    /// When the credentials (or the token that was looked at) expire.
    pub expires_at: Option<Timestamp>,
    /// Whatever else it says, to be shown to people.
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
    /// What the vendor calls it, for people; empty where it has no name.
    pub title: String,
}

impl Choice {
    /// A value of the parameter `param`, and what the vendor calls it.
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
    /// The same without these secrets: people read what a vendor says of its credentials.
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

/// Every text in it, and every name.
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
