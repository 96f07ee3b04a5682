//! Reads what a server answers: the status and the error first, then the token.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{Error, NoLifetime, Timestamp, Token, wire};
use bytes::Bytes;
use oauth2::{AccessToken, RefreshToken, Scope, TokenResponse, TokenType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    dpop::{SCHEME, USE_NONCE},
    grant::TOKEN_EXCHANGE,
};
use biped_sources::SigningKey;

/// The type of a token that no API takes (RFC 8693 §2.2.1).
pub(crate) const NOT_APPLICABLE: &str = "N_A";

/// Returns the error in a response, if there is one. `advice` says what to check if the server
/// refuses the client.
pub(crate) fn check(
    response: &http::Response<Bytes>,
    advice: &str,
    grant: &str,
    now: Timestamp,
) -> Result<(), Error> {
    if response.status().is_success() {
        let answer = wire::json(response).unwrap_or_default();
        if answer["access_token"].is_string() {
            return Ok(());
        }
    }
    // A response with an error is a refusal even if its status is 2xx.
    let words = wire::vendor_error(response);
    if response.status().is_success() && !words.has_words() {
        return Ok(());
    }
    Err(explain(wire::failure(response, words, now), advice, grant))
}

/// Adds a remedy for the error codes of the standard, and says whether the client is refused.
fn explain(error: Error, advice: &str, grant: &str) -> Error {
    if error.is_transient() {
        return error;
    }
    let names = |code: &str| error.vendor().is_some_and(|vendor| vendor.names(code));
    let remedy: Cow<'static, str> = if names("invalid_dpop_proof") {
        "check this machine's clock, and which types of key the server accepts".into()
    } else if names(USE_NONCE) {
        "the server asks for a DPoP nonce, but provides none that it accepts; ask its operator"
            .into()
    } else if names("invalid_target") {
        "check resource and audience".into()
    } else if names("invalid_scope") {
        "check scope".into()
    } else if names("unsupported_grant_type") {
        format!("the server does not support the grant {grant}; check that it is the right server")
            .into()
    } else if names("unauthorized_client") {
        format!("the client is not allowed to use the grant {grant}; ask the server's operator")
            .into()
    } else if names("invalid_grant") {
        match grant {
            "password" => "check username and password".into(),
            "refresh_token" => {
                "the refresh token has expired, was revoked or was used before; get a \
                                new one"
                    .into()
            }
            _ => "check that the server trusts the issuer, the subject and the audience of the \
                  presented token"
                .into(),
        }
    } else if names("invalid_request") && grant == TOKEN_EXCHANGE {
        // RFC 8693 §2.2.2 has this code for a token that is not accepted as well.
        "check that the server trusts the issuer, the subject and the audience of the presented \
         token, and takes the request's parameters"
            .into()
    } else if error.refuses_client() {
        advice.to_owned().into()
    } else {
        return error;
    };
    // A wrong proof or target is about the request and not the client, whatever the status.
    let client = error.refuses_client()
        && !["invalid_dpop_proof", USE_NONCE, "invalid_target"]
            .into_iter()
            .any(names);
    error.refusing_client(client).with_remedy(remedy)
}

/// Returns a body that JSON parsers accept: without a byte order mark, and valid UTF-8.
pub(crate) fn readable(body: &[u8]) -> Vec<u8> {
    let body = body.trim_ascii();
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    String::from_utf8_lossy(body).into_owned().into_bytes()
}

/// Returns why a response contains no token.
pub(crate) fn missing(answer: &Value) -> &'static str {
    if !answer.is_object() {
        "the response is not a JSON object"
    } else if answer["access_token"].is_string() {
        "the token_type in the response is not a string"
    } else {
        "the response has no access_token"
    }
}

/// Returns the token in a successful response. `certificate` is the thumbprint of the client's, if the
/// server says that it binds tokens to it.
pub(crate) fn token(
    granted: Granted,
    key: Option<&Arc<SigningKey>>,
    certificate: Option<&str>,
    typed: bool,
    sent_at: Timestamp,
) -> Result<Token, Error> {
    let named = granted.token_type.0.as_str();
    let is_bound = named.eq_ignore_ascii_case(SCHEME);
    let builder = match key {
        Some(key) if is_bound => Token::new(granted.access_token.secret().as_str(), sent_at)
            .scheme(SCHEME)
            .confirmation(Some(key.thumbprint())),
        // RFC 9449 §5: a token that is not bound is not what was requested.
        Some(_) => {
            return Err(Error::invalid_response(
                "the server issued a token that is not bound to the DPoP key",
            )
            .with_remedy("the server may not support DPoP; then set dpop = false"));
        }
        None if is_bound => {
            return Err(Error::invalid_response(
                "the server issued a token that is bound to a DPoP key",
            )
            .with_remedy("set dpop = true"));
        }
        None if is_sent_as_bearer(named) => {
            let text = granted.access_token.secret().as_str();
            let said = certificate_of(text);
            Token::new(text, sent_at).confirmation(said.as_deref().or(certificate))
        }
        // RFC 8693 §2.2.1: a token that is not an access token has no type of use.
        None if typed && named.eq_ignore_ascii_case(NOT_APPLICABLE) => {
            Token::new(granted.access_token.secret().as_str(), sent_at)
        }
        // RFC 6749 §7.1.
        None => {
            return Err(Error::invalid_response(
                "the token_type in the response is neither Bearer nor DPoP",
            )
            .with_remedy("ask the server's operator for tokens of one of these types"));
        }
    };
    builder
        .token_type(Some(named))
        .expires_in(granted.expires_in)
        .unstated(Some(granted.unstated))
        .or_expires_at(|name| granted.extra.get(name))
        .scope(granted.scope)
        .extra(granted.extra)
        .build()
}

/// Returns the thumbprint of the certificate that a token is bound to, if it is a JWT that says so (RFC 8705
/// §3.1).
fn certificate_of(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        cnf: Confirmation,
    }
    #[derive(Deserialize)]
    struct Confirmation {
        #[serde(rename = "x5t#S256")]
        certificate: String,
    }
    let mut parts = token.split('.').skip(1);
    let claims = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Some(claims.cnf.certificate)
}

/// Whether tokens of this type are sent as bearer tokens. Servers write much else where they mean that
/// (`BearerToken`, `access_token`, `JWT`). Those that need a proof or are no access tokens are not: `mac`,
/// `pop`, `DPoP`, and `N_A` (RFC 8693 §2.2.1).
pub(crate) fn is_sent_as_bearer(token_type: &str) -> bool {
    const OTHERS: [&str; 4] = [SCHEME, "mac", "pop", "N_A"];
    !OTHERS
        .iter()
        .any(|other| token_type.eq_ignore_ascii_case(other))
}

/// A token response (RFC 6749 §5.1), read as tolerantly as real servers require.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(crate) struct Granted {
    access_token: AccessToken,
    token_type: GivenType,
    expires_in: Option<Duration>,
    #[serde(skip)]
    unstated: NoLifetime,
    pub(crate) scope: Option<String>,
    #[serde(skip)]
    refresh_token: Option<RefreshToken>,
    #[serde(skip)]
    extra: Map<String, Value>,
}

/// The type as the server wrote it; `Bearer` if it wrote none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GivenType(String);

impl TokenType for GivenType {}

impl TryFrom<Map<String, Value>> for Granted {
    type Error = &'static str;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, Self::Error> {
        let mut take = |name: &str| fields.remove(name).unwrap_or_default();
        let Value::String(access_token) = take("access_token") else {
            return Err("no access_token");
        };
        let token_type = match take("token_type") {
            Value::Null => "Bearer".to_owned(),
            Value::String(text) if text.trim().is_empty() => "Bearer".to_owned(),
            Value::String(text) => text.trim().to_owned(),
            _ => return Err("token_type is not a string"),
        };
        let expires_in = take("expires_in");
        let unstated = match &expires_in {
            Value::Null => NoLifetime::Missing,
            _ => NoLifetime::Unreadable,
        };
        let scope = wire::scope(&take("scope")).filter(|scope| !scope.trim().is_empty());
        // Of use to the grant refresh_token only: RFC 6749 §4.4.3 wants none elsewhere.
        let refresh_token = match take("refresh_token") {
            Value::String(text) if !text.is_empty() => Some(RefreshToken::new(text)),
            _ => None,
        };
        Ok(Self {
            access_token: AccessToken::new(access_token),
            token_type: GivenType(token_type),
            expires_in: wire::seconds(&expires_in),
            unstated,
            scope,
            refresh_token,
            extra: fields,
        })
    }
}

impl TokenResponse for Granted {
    type TokenType = GivenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &GivenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").finish_non_exhaustive()
    }
}
