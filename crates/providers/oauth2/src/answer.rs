//! Reading what a server answers: its status first, then its words.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use biped_core::{Error, Timestamp, Token, VendorError, wire};
use bytes::Bytes;
use http::{HeaderMap, header};
use oauth2::{AccessToken, RefreshToken, Scope, TokenResponse, TokenType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    dpop::{SCHEME, USE_NONCE},
    key::SigningKey,
};

/// The error in an answer, if it is one.
pub(crate) fn check(
    response: &http::Response<Bytes>,
    advice: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let status = response.status();
    let answer = wire::json(response).unwrap_or_default();
    let words = words(status.as_u16(), &answer, response.headers());
    // An answer that names an error is a refusal in a 2xx too.
    if status.is_success() && (words.code.is_none() || answer["access_token"].is_string()) {
        return Ok(());
    }
    Err(explain(wire::failure(response, words, now), advice))
}

/// The words of an error response (RFC 6749 §5.2), else those of the challenge beside it (RFC 6750
/// §3), else whatever else was said.
fn words(status: u16, answer: &Value, headers: &HeaderMap) -> VendorError {
    let vendor = VendorError::new(status);
    let text = |value: &Value| wire::text(value).map(Into::into);
    let error = &answer["error"];
    let in_body = if error.is_object() {
        // An envelope that APIs have, around token endpoints too.
        let code = Some(&error["code"]).filter(|code| !code.is_null());
        let message = text(&error["message"]);
        said(&vendor, text(code.unwrap_or(&error["type"])), message, None)
    } else {
        let part = |name: &str| text(&answer[name]);
        said(
            &vendor,
            part("error"),
            part("error_description"),
            part("error_uri"),
        )
    };
    if in_body.has_words() || (200..300).contains(&status) {
        return in_body;
    }
    let part = |name: &str| challenge(headers, name);
    let in_header = said(
        &vendor,
        part("error"),
        part("error_description"),
        part("error_uri"),
    );
    if in_header.has_words() {
        return in_header;
    }
    ["error_description", "message", "detail", "title"]
        .into_iter()
        .find_map(|name| answer[name].as_str().filter(|text| !text.trim().is_empty()))
        .map_or(in_header, |message| vendor.message(message))
}

/// The words that go with a code; none without one.
fn said(
    vendor: &VendorError,
    code: Option<String>,
    message: Option<String>,
    uri: Option<String>,
) -> VendorError {
    let is_said = |text: &String| !text.trim().is_empty();
    let mut vendor = vendor.clone();
    let Some(code) = code.filter(is_said) else {
        return vendor;
    };
    vendor = vendor.code(code);
    if let Some(message) = message.filter(is_said) {
        vendor = vendor.message(message);
    }
    if let Some(uri) = uri.filter(is_said) {
        vendor = vendor.uri(uri);
    }
    vendor
}

/// What the standard's codes are about, and what to do.
fn explain(error: Error, advice: &str) -> Error {
    if error.is_transient() {
        return error;
    }
    let names = |code: &str| error.vendor().is_some_and(|vendor| vendor.names(code));
    let remedy: Cow<'static, str> = if names("invalid_dpop_proof") {
        "check this machine's clock, and what kinds of key the server takes".into()
    } else if names(USE_NONCE) {
        "the server asks for a nonce without giving one it takes; ask its operator".into()
    } else if names("invalid_target") {
        "check resource and audience".into()
    } else if names("invalid_scope") {
        "check scope".into()
    } else if names("unsupported_grant_type") {
        "the server has no client credentials grant; check that this is the right one".into()
    } else if names("unauthorized_client") {
        "the server knows the client, but not for this grant".into()
    } else if error.refuses_client() {
        advice.to_owned().into()
    } else {
        return error;
    };
    // The proof and the target are the request's fault, whatever the status.
    let client = error.refuses_client()
        && !["invalid_dpop_proof", USE_NONCE, "invalid_target"]
            .into_iter()
            .any(names);
    error.refusing_client(client).with_remedy(remedy)
}

/// A parameter of a `WWW-Authenticate` challenge (RFC 9110 §11.6.1), of the first that has it.
fn challenge(headers: &HeaderMap, name: &str) -> Option<String> {
    challenges(headers, name).into_iter().next()
}

/// The same of all challenges: one scheme may be answered in another than the rest.
pub(crate) fn challenges(headers: &HeaderMap, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        parameters(&String::from_utf8_lossy(value.as_bytes()), name, &mut found);
    }
    found
}

fn parameters(text: &str, name: &str, found: &mut Vec<String>) {
    let mut rest = text;
    while let Some(at) = rest.find(['=', '"']) {
        let (before, after) = rest.split_at(at);
        if let Some(inner) = after.strip_prefix('"') {
            // A text that belongs to nothing.
            rest = quoted(inner).1;
            continue;
        }
        let this = before
            .trim_end()
            .rsplit([' ', ',', '\t'])
            .next()
            .unwrap_or_default();
        let after = after[1..].trim_start();
        let value;
        (value, rest) = match after.strip_prefix('"') {
            Some(inner) => quoted(inner),
            None => {
                let end = after.find([',', ' ', '\t']).unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        if this.eq_ignore_ascii_case(name) {
            found.push(value);
        }
    }
}

/// A quoted string's content, and what follows it.
fn quoted(inner: &str) -> (String, &str) {
    let mut out = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (out, &inner[at + 1..]),
            '\\' => out.extend(characters.next().map(|(_, escaped)| escaped)),
            other => out.push(other),
        }
    }
    (out, "")
}

/// A body as JSON parsers take it: without the mark that some put before UTF-8, and UTF-8 all of it.
pub(crate) fn readable(body: &[u8]) -> Vec<u8> {
    let body = body.trim_ascii();
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    String::from_utf8_lossy(body).into_owned().into_bytes()
}

/// What keeps an answer from being a token.
pub(crate) fn missing(answer: &Value) -> &'static str {
    if !answer.is_object() {
        "the answer is no JSON object"
    } else if answer["access_token"].is_string() {
        "the token_type in the answer is no text"
    } else {
        "the answer has no access_token"
    }
}

/// The token in a successful answer.
pub(crate) fn token(
    granted: Granted,
    key: Option<&Arc<SigningKey>>,
    sent_at: Timestamp,
) -> Result<Token, Error> {
    let named = granted.token_type.0.as_str();
    let is_bound = named.eq_ignore_ascii_case(SCHEME);
    let builder = match key {
        Some(key) if is_bound => Token::new(granted.access_token.secret().as_str(), sent_at)
            .scheme(SCHEME)
            .confirmation(Some(key.thumbprint())),
        // RFC 9449 §5: a token that isn't bound is not what was asked for.
        Some(_) => {
            return Err(Error::unusable(
                "the server gave a token that is not bound to the DPoP key",
            )
            .with_remedy("the server doesn't do DPoP; set dpop = false"));
        }
        None if is_bound => {
            return Err(
                Error::unusable("the server gave a token that is bound to a DPoP key")
                    .with_remedy("set dpop = true"),
            );
        }
        None if named.eq_ignore_ascii_case("bearer") => {
            Token::new(granted.access_token.secret().as_str(), sent_at)
        }
        // RFC 6749 §7.1.
        None => {
            return Err(
                Error::unusable("the token_type in the answer is neither Bearer nor DPoP")
                    .with_remedy("ask the server's operator for tokens of either type"),
            );
        }
    };
    builder
        .token_type(Some(named))
        .expires_in(granted.expires_in)
        .scope(granted.scope)
        .extra(granted.extra)
        .build()
}

/// A token response (RFC 6749 §5.1), read with the tolerance that real servers need.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(crate) struct Granted {
    access_token: AccessToken,
    token_type: GivenType,
    expires_in: Option<Duration>,
    scope: Option<String>,
    #[serde(skip)]
    extra: Map<String, Value>,
}

/// The type as the server wrote it; `Bearer` where it wrote none.
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
            _ => return Err("token_type is no text"),
        };
        let expires_in = wire::seconds(&take("expires_in"));
        let scope = wire::scope(&take("scope")).filter(|scope| !scope.trim().is_empty());
        // RFC 6749 §4.4.3: there should be none, and nobody needs it.
        drop(take("refresh_token"));
        Ok(Self {
            access_token: AccessToken::new(access_token),
            token_type: GivenType(token_type),
            expires_in,
            scope,
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
        None
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
