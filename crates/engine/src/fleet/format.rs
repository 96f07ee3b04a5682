//! A token, and why a fetch failed, as bytes for a store, and read again.

use std::io;

use biped_core::{
    Error, ErrorKind, ExposeSecret, MAX_LIFETIME, Timestamp, Token, VendorError, wire,
};
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

/// How a token is written down for a store. The version comes first; a reader that doesn't know it
/// treats the entry as a miss.
#[derive(serde::Serialize, serde::Deserialize)]
struct Written<'a> {
    v: u32,
    #[serde(borrow)]
    token: std::borrow::Cow<'a, str>,
    scheme: std::borrow::Cow<'a, str>,
    token_type: std::borrow::Cow<'a, str>,
    requested_at: i64,
    expires_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base_url: Option<Url>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    extra: Map<String, Value>,
    /// The thumbprint of the key that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirmation: Option<String>,
}

const FORMAT: u32 = 1;

/// The scheme of tokens that are bound to no key.
const BEARER: &str = "Bearer";
/// The schemes of tokens that are bound to one: RFC 8705 §3 and RFC 9449 §7.1.
const BOUND: [&str; 2] = [BEARER, "DPoP"];

/// How long a text is that is written here.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a token may enter any store: it is bound to no key, as one of another scheme is (RFC 9449
/// §7.1).
pub(crate) fn is_free(token: &Token) -> bool {
    token.confirmation().is_none() && token.scheme() == BEARER
}

/// The thumbprint of the key that a token is bound to, if it may enter a sealed store.
pub(crate) fn bound_to(token: &Token) -> Option<&str> {
    token
        .confirmation()
        .filter(|_| BOUND.contains(&token.scheme()))
}

/// The token as bytes for a store, text included.
pub(crate) fn encode(token: &Token) -> Zeroizing<Vec<u8>> {
    let written = Written {
        v: FORMAT,
        token: token.expose_secret().into(),
        scheme: token.scheme().into(),
        token_type: token.token_type().into(),
        requested_at: token.requested_at().unix_millis(),
        expires_at: token.expires_at().map(Timestamp::unix_millis),
        scope: token.scope().map(Into::into),
        base_url: token.base_url().cloned(),
        extra: token
            .extras()
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect(),
        confirmation: token.confirmation().map(Into::into),
    };
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut length = Length(0);
    let _ = serde_json::to_writer(&mut length, &written);
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
    if serde_json::to_writer(&mut *bytes, &written).is_err() {
        bytes.clear();
    }
    bytes
}

/// A token from a store's bytes; `None` where they are of another version or no token. Its life
/// starts `now` at the latest and is a year at most, as that of a token in an answer.
pub(crate) fn decode(bytes: &[u8], now: Timestamp) -> Option<Token> {
    let written: Written<'_> = serde_json::from_slice(bytes).ok()?;
    if written.v != FORMAT {
        return None;
    }
    let bound = written.confirmation.as_deref();
    let mut schemes = BOUND.iter();
    let scheme = schemes.find(|scheme| **scheme == written.scheme)?;
    if bound.is_none() && *scheme != BEARER {
        return None;
    }
    let asked = Timestamp::from_unix_millis(written.requested_at);
    let expiry = written.expires_at.map(Timestamp::from_unix_millis);
    let life = expiry.map(|expiry| expiry.since(asked).min(MAX_LIFETIME));
    let asked = asked.min(now);
    Token::new(&*written.token, asked)
        .scheme(scheme)
        .confirmation(bound)
        .token_type(Some(&written.token_type))
        .expiring_as_written(life.map(|life| asked.after(life)))
        .scope(written.scope)
        .base_url(written.base_url)
        .extra(written.extra)
        .build()
        .ok()
}

/// The names that earlier versions have for two kinds: while a fleet is updated, old and new processes
/// share a store.
const OLD_UNAVAILABLE: &str = "failing";
const OLD_INVALID_RESPONSE: &str = "unusable";

/// Why a holder failed, as it is written down for the others of the fleet.
#[derive(serde::Serialize, serde::Deserialize)]
struct WrittenFailure {
    kind: String,
    message: String,
    remedy: Option<String>,
    client: bool,
    vendor: Option<VendorError>,
    /// What was refused: a digest of each credential that was sent, under the store's key.
    #[serde(default)]
    refused: Vec<Option<String>>,
}

pub(crate) fn write_failure(error: &Error, refused: Vec<Option<String>>) -> Vec<u8> {
    let written = WrittenFailure {
        kind: error.kind().as_str().into(),
        message: error.message().into(),
        remedy: error.remedy().map(Into::into),
        client: error.refuses_client(),
        vendor: error.vendor().cloned(),
        refused,
    };
    serde_json::to_vec(&written).unwrap_or_default()
}

/// Reads a failure. Its words are cut and escaped, since any writer of the store may have chosen them.
pub(crate) fn read_failure(bytes: &[u8]) -> (Error, Vec<Option<String>>) {
    let Ok(written) = serde_json::from_slice::<WrittenFailure>(bytes) else {
        let error = Error::unreachable("another process failed to fetch this token");
        return (error, Vec::new());
    };
    let is = |kind: ErrorKind| written.kind == kind.as_str();
    let mut error = if is(ErrorKind::Refused) {
        Error::refused(VendorError::default()).refusing_client(written.client)
    } else if is(ErrorKind::Unavailable) || written.kind == OLD_UNAVAILABLE {
        Error::unavailable(VendorError::default())
    } else if is(ErrorKind::InvalidResponse) || written.kind == OLD_INVALID_RESPONSE {
        Error::invalid_response("").transient(true)
    } else {
        Error::unreachable("")
    };
    error = error.with_message(wire::vendor_text(&written.message).unwrap_or_default());
    if let Some(remedy) = written.remedy.and_then(|text| wire::vendor_text(&text)) {
        error = error.with_remedy(remedy);
    }
    if let Some(vendor) = written.vendor {
        error = error.with_vendor(vendor.cut_and_escaped());
    }
    (error, written.refused)
}

#[cfg(test)]
mod tests;
