//! [`Token`]: an access token, and what the vendor said about it.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroize;

use crate::{DEFAULT_LIFETIME, Error, Lifetime, MAX_LIFETIME, NoLifetime, Timestamp, wire};

/// An access token (RFC 6749 §1.4) with its type, its life, and what the vendor said beside it.
///
/// Its text is in memory once, inside the header value that carries it; clones share it, and it is
/// zeroed when the last user drops it. Only [`ExposeSecret`] and the header show it.
///
/// ```
/// use std::time::Duration;
/// use biped_core::{ExposeSecret, Timestamp, Token};
///
/// let asked = Timestamp::from_unix_seconds(1_800_000_000);
/// let token = Token::new("2YotnFZFEjr1zCsicMWpAA", asked)
///     .expires_in(Some(Duration::from_secs(3600)))
///     .build()?;
/// assert_eq!(token.expires_at(), Some(Timestamp::from_unix_seconds(1_800_003_600)));
/// assert_eq!(token.expose_secret(), "2YotnFZFEjr1zCsicMWpAA");
/// assert_eq!(token.header(), "Bearer 2YotnFZFEjr1zCsicMWpAA");
/// # Ok::<(), biped_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Token {
    header: HeaderValue,
    requested_at: Timestamp,
    /// [`Timestamp::MAX`] if it is good until it is rejected.
    expires_at: Timestamp,
    base_url: Option<Box<Url>>,
    rare: Option<Box<Rare>>,
    secret_at: u16,
    token_type: TypeTag,
    /// Why its lifetime is assumed, if it is.
    assumed: Option<NoLifetime>,
}

/// What many tokens don't have, behind a pointer to keep a token small.
#[derive(Clone, Default)]
struct Rare {
    token_type: Box<str>,
    scope: Option<Box<str>>,
    extra: Map<String, Value>,
    confirmation: Option<Box<str>>,
}

/// A token type without an allocation for the usual ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TypeTag {
    Bearer,
    LowerBearer,
    /// Kept in [`Rare`].
    Other,
}

impl TypeTag {
    fn of(text: &str) -> Self {
        match text {
            "Bearer" => Self::Bearer,
            "bearer" => Self::LowerBearer,
            _ => Self::Other,
        }
    }
}

impl Token {
    /// Starts a token from the vendor's text and the moment its request was sent
    /// ([`FetchContext::sent_at`](crate::FetchContext::sent_at)).
    #[allow(clippy::new_ret_no_self)] // `Token::new(…)….build()?` reads as one thing
    pub fn new(access_token: impl Into<SecretString>, sent_at: Timestamp) -> TokenBuilder {
        TokenBuilder {
            access_token: access_token.into(),
            sent_at,
            scheme: "Bearer",
            token_type: None,
            stated: None,
            assumed: Lifetime::For(DEFAULT_LIFETIME),
            unstated: Some(NoLifetime::Missing),
            written: None,
            scope: None,
            base_url: None,
            extra: Map::new(),
            confirmation: None,
        }
    }

    /// Returns the value of the `Authorization` header that carries it, marked sensitive. Cloning it
    /// doesn't copy the text.
    #[inline]
    #[must_use]
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Returns the type that the vendor gave (RFC 6749 §7.1), or `Bearer` if it gave none.
    #[must_use]
    pub fn token_type(&self) -> &str {
        match (self.token_type, &self.rare) {
            (TypeTag::LowerBearer, _) => "bearer",
            (TypeTag::Other, Some(rare)) => &rare.token_type,
            _ => "Bearer",
        }
    }

    /// Returns when its request was sent. Its life starts then.
    #[must_use]
    pub fn requested_at(&self) -> Timestamp {
        self.requested_at
    }

    /// Returns when it expires; `None` for a token that is good until it is rejected.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        (self.expires_at != Timestamp::MAX).then_some(self.expires_at)
    }

    /// Its whole life; `None` for a token that is good until it is rejected.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        let expiry = self.expires_at()?;
        Some(expiry.since(self.requested_at))
    }

    /// Returns why its lifetime is an assumption: neither the response nor the token itself told it,
    /// and the vendor is not known to leave it out. `None` also for a token that was stored.
    #[must_use]
    pub fn assumed_lifetime(&self) -> Option<NoLifetime> {
        self.assumed
    }

    /// Returns the scopes that the vendor granted, in one text; `None` if it doesn't say, which means
    /// the requested ones (RFC 6749 §5.1).
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.rare.as_ref()?.scope.as_deref()
    }

    /// Returns the base URL of the API that this token is for, if the vendor named one.
    #[must_use]
    pub fn base_url(&self) -> Option<&Url> {
        self.base_url.as_deref()
    }

    /// Returns a further field of the vendor's response.
    #[must_use]
    pub fn extra(&self, name: &str) -> Option<&Value> {
        self.rare.as_ref()?.extra.get(name)
    }

    /// Returns all further fields of the vendor's response.
    pub fn extras(&self) -> impl Iterator<Item = (&str, &Value)> {
        let extra = self.rare.iter().flat_map(|rare| &rare.extra);
        extra.map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the thumbprint of the key that it is bound to (RFC 7800), if any.
    #[must_use]
    pub fn confirmation(&self) -> Option<&str> {
        self.rare.as_ref()?.confirmation.as_deref()
    }
}

/// For code that stores tokens.
impl Token {
    /// Returns the authentication scheme before the token in the header (RFC 9110 §11.1).
    #[must_use]
    pub fn scheme(&self) -> &str {
        let scheme = self
            .header
            .as_bytes()
            .get(..usize::from(self.secret_at).saturating_sub(1));
        scheme
            .and_then(|text| std::str::from_utf8(text).ok())
            .unwrap_or("Bearer")
    }
}

/// Shows the token's text.
impl ExposeSecret<str> for Token {
    fn expose_secret(&self) -> &str {
        // The builder accepts visible ASCII only.
        let text = self
            .header
            .as_bytes()
            .get(usize::from(self.secret_at)..)
            .unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("secret", &"[redacted]")
            .field("token_type", &self.token_type())
            .field("requested_at", &self.requested_at)
            .field("expires_at", &self.expires_at())
            .field("scope", &self.scope())
            .field("base_url", &self.base_url.as_deref().map(Url::as_str))
            .finish_non_exhaustive()
    }
}

/// Makes a [`Token`]; see [`Token::new`].
#[must_use]
pub struct TokenBuilder {
    access_token: SecretString,
    sent_at: Timestamp,
    scheme: &'static str,
    token_type: Option<Box<str>>,
    stated: Option<Duration>,
    assumed: Lifetime,
    unstated: Option<NoLifetime>,
    written: Option<Option<Timestamp>>,
    scope: Option<Box<str>>,
    base_url: Option<Box<Url>>,
    extra: Map<String, Value>,
    confirmation: Option<Box<str>>,
}

impl TokenBuilder {
    /// Sets the `token_type` of the response. Default: `Bearer`.
    pub fn token_type(mut self, token_type: Option<&str>) -> Self {
        self.token_type = token_type.map(Into::into);
        self
    }

    /// Sets the authentication scheme before the token in the header (RFC 9110 §11.1). Default:
    /// `Bearer`.
    pub fn scheme(mut self, scheme: &'static str) -> Self {
        self.scheme = scheme;
        self
    }

    /// Sets the `expires_in` of the response. Zero counts as missing; more than a year is cut to a
    /// year.
    pub fn expires_in(mut self, expires_in: Option<Duration>) -> Self {
        self.stated = expires_in.filter(|life| !life.is_zero());
        self
    }

    /// Sets the `expires_in` of the response as JSON ([`wire::seconds`]), null if there is none.
    pub fn expires_in_json(self, value: &Value) -> Self {
        let unstated = match value {
            Value::Null => NoLifetime::Missing,
            _ => NoLifetime::Unreadable,
        };
        self.expires_in(wire::seconds(value))
            .unstated(Some(unstated))
    }

    /// Sets the expiry in `expires_on` or `expires_at` among the fields of the response
    /// ([`wire::point_in_time`]), if `expires_in` is missing or can't be read.
    pub fn or_expires_at<'v>(mut self, field: impl Fn(&str) -> Option<&'v Value>) -> Self {
        if self.stated.is_some() {
            return self;
        }
        let given = ["expires_on", "expires_at"].into_iter().filter_map(field);
        for value in given.filter(|value| !value.is_null()) {
            let expiry = wire::point_in_time(value).filter(|expiry| *expiry > self.sent_at);
            if expiry.is_some() {
                return self.expires_at(expiry);
            }
            if self.unstated == Some(NoLifetime::Missing) {
                self.unstated = Some(NoLifetime::Unreadable);
            }
        }
        self
    }

    /// Sets why the lifetime is assumed, should it be: `None` if the vendor is known to leave it out.
    /// Default: [`NoLifetime::Missing`].
    pub fn unstated(mut self, why: Option<NoLifetime>) -> Self {
        self.unstated = why;
        self
    }

    /// Sets the response's expiry as a point in time. A point in the past counts as missing.
    pub fn expires_at(self, expires_at: Option<Timestamp>) -> Self {
        let sent_at = self.sent_at;
        self.expires_in(expires_at.map(|expiry| expiry.since(sent_at)))
    }

    /// Sets the lifetime if neither the response nor the token itself (the `exp` of a JWT) says it.
    /// Default: 15 minutes.
    pub fn assumed_lifetime(mut self, lifetime: Lifetime) -> Self {
        self.assumed = lifetime;
        self
    }

    /// Sets the expiry of a token that was stored; `None` for a token that is good until it is
    /// rejected. It takes precedence over all other lifetimes.
    pub fn expiring_as_written(mut self, expires_at: Option<Timestamp>) -> Self {
        self.written = Some(expires_at);
        self
    }

    /// Sets the granted scopes, in one text.
    pub fn scope(mut self, scope: Option<impl Into<String>>) -> Self {
        self.scope = scope.map(|scope| scope.into().into());
        self
    }

    /// Sets the base URL of the API that the token is for. A token whose base URL is not one of the
    /// provider's [`base_urls`](crate::Provider::base_urls) is not used.
    pub fn base_url(mut self, base_url: Option<Url>) -> Self {
        self.base_url = base_url.map(Box::new);
        self
    }

    /// Sets further fields of the response. They are kept in memory and in stores, and never shown.
    pub fn extra(mut self, fields: Map<String, Value>) -> Self {
        self.extra = fields;
        self
    }

    /// Sets the thumbprint of the key that the token is bound to (RFC 7800 `cnf`). Such a token enters
    /// only a sealed store, and only if the provider [was given](crate::Provider::is_given_key) the
    /// key.
    pub fn confirmation(mut self, thumbprint: Option<&str>) -> Self {
        self.confirmation = thumbprint.map(Into::into);
        self
    }

    /// Makes the token.
    ///
    /// # Errors
    /// [`InvalidResponse`](crate::ErrorKind::InvalidResponse) if the text is empty or contains anything
    /// but visible ASCII and spaces (RFC 6749 appendix A.12).
    pub fn build(self) -> Result<Token, Error> {
        let text = self.access_token.expose_secret();
        if text.trim().is_empty() {
            return Err(Error::invalid_response(
                "the access token in the response is empty",
            ));
        }
        if !text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
            return Err(Error::invalid_response(
                "the access token in the response is not visible ASCII",
            ));
        }
        let known = self
            .stated
            .or_else(|| wire::jwt_expiry(text).map(|exp| exp.since(self.sent_at)))
            .filter(|life| !life.is_zero());
        let lifetime = known.map_or(self.assumed, Lifetime::For);
        let is_assumed = known.is_none() && self.written.is_none();
        let assumed = match self.assumed {
            Lifetime::For(_) if is_assumed => self.unstated,
            _ => None,
        };
        let expires_at = match (self.written, lifetime) {
            (Some(written), _) => written.unwrap_or(Timestamp::MAX),
            (None, Lifetime::For(life)) => self.sent_at.after(life.min(MAX_LIFETIME)),
            // Until an API rejects it.
            (None, _) => Timestamp::MAX,
        };
        let token_type = self
            .token_type
            .as_deref()
            .map_or(TypeTag::Bearer, TypeTag::of);
        let is_plain = token_type != TypeTag::Other
            && self.scope.is_none()
            && self.extra.is_empty()
            && self.confirmation.is_none();
        let header = header(self.scheme, text)?;
        let secret_at = u16::try_from(self.scheme.len() + 1).unwrap_or(u16::MAX);
        let rare = (!is_plain).then(|| {
            Box::new(Rare {
                token_type: self.token_type.unwrap_or_default(),
                scope: self.scope,
                extra: self.extra,
                confirmation: self.confirmation,
            })
        });
        Ok(Token {
            header,
            requested_at: self.sent_at,
            expires_at,
            base_url: self.base_url,
            rare,
            secret_at,
            token_type,
            assumed,
        })
    }
}

/// Leaves out the further fields of the response, which may be tokens as well.
impl fmt::Debug for TokenBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuilder")
            .field("access_token", &self.access_token)
            .field("sent_at", &self.sent_at)
            .field("token_type", &self.token_type)
            .field("stated", &self.stated)
            .field("assumed", &self.assumed)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// `scheme token`, in memory that is zeroed when the last clone of the value is dropped.
fn header(scheme: &str, token: &str) -> Result<HeaderValue, Error> {
    struct Wiped(Vec<u8>);
    impl AsRef<[u8]> for Wiped {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Wiped {
        fn drop(&mut self) {
            self.0.zeroize();
        }
    }
    let mut text = Vec::with_capacity(scheme.len() + 1 + token.len());
    text.extend_from_slice(scheme.as_bytes());
    text.push(b' ');
    text.extend_from_slice(token.as_bytes());
    let mut value =
        HeaderValue::from_maybe_shared(Bytes::from_owner(Wiped(text))).map_err(|_| {
            Error::invalid_response("the access token in the response is not a valid header value")
        })?;
    value.set_sensitive(true);
    Ok(value)
}
