//! How a token is written down for a store, and read again.

use std::io;

use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

use super::{Lifetime, MAX_LIFETIME, Token};
use crate::Timestamp;

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
}

const FORMAT: u32 = 1;

/// The scheme of every token that is stored.
const SCHEME: &str = "Bearer";

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

impl Token {
    /// Whether its scheme is the one of all that are stored.
    pub(crate) fn is_bearer(&self) -> bool {
        let scheme = usize::from(self.secret_at).saturating_sub(1);
        self.header.as_bytes().get(..scheme) == Some(SCHEME.as_bytes())
    }

    /// The token as bytes for a store, text included. It is one of scheme `Bearer`.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let written = Written {
            v: FORMAT,
            token: self.expose_secret().into(),
            scheme: SCHEME.into(),
            token_type: self.token_type().into(),
            requested_at: self.requested_at.unix_millis(),
            expires_at: self.expires_at().map(Timestamp::unix_millis),
            scope: self.scope().map(Into::into),
            base_url: self.base_url.as_deref().cloned(),
            extra: self
                .rare
                .as_ref()
                .map(|rare| rare.extra.clone())
                .unwrap_or_default(),
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
    pub(crate) fn decode(bytes: &[u8], now: Timestamp) -> Option<Self> {
        let written: Written<'_> = serde_json::from_slice(bytes).ok()?;
        if written.v != FORMAT {
            return None;
        }
        // A token of another scheme is bound to a key (RFC 9449 §7.1), and never stored.
        if written.scheme != SCHEME {
            return None;
        }
        let asked = Timestamp::from_unix_millis(written.requested_at);
        let expiry = written.expires_at.map(Timestamp::from_unix_millis);
        let life = expiry.map(|expiry| expiry.since(asked).min(MAX_LIFETIME));
        let asked = asked.min(now);
        let mut token = Self::new(&*written.token, asked)
            .token_type(Some(&written.token_type))
            .scope(written.scope)
            .base_url(written.base_url)
            .extra(written.extra)
            .assumed_lifetime(Lifetime::UntilRejected)
            .build()
            .ok()?;
        token.expires_at = life.map_or(Timestamp::MAX, |life| asked.after(life));
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_written_in_one_go_however_much_there_is_beside_it() {
        let refresh = "r".repeat(5_000);
        let extra = [("refresh_token".to_owned(), refresh.into())];
        let token = Token::new("t-1", Timestamp::from_unix_seconds(1_800_000_000))
            .extra(extra.into_iter().collect())
            .build()
            .unwrap();
        let bytes = token.encode();
        assert!(bytes.len() > 5_000);
        // A buffer that had grown would have room left, and copies of it elsewhere.
        assert_eq!(bytes.capacity(), bytes.len());
        let read = Token::decode(&bytes, token.requested_at()).unwrap();
        assert_eq!(read.extra("refresh_token"), token.extra("refresh_token"));
    }
}
