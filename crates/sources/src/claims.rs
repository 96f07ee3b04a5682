//! [`Claims`]: what a JWT says about itself.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{Timestamp, wire};
use serde_json::{Map, Value};

/// What a JWT says about itself (RFC 7519 §4.1). Its signature is not verified: that is up to the server
/// that it is presented to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims {
    /// `iss`.
    pub issuer: Option<String>,
    /// `sub`.
    pub subject: Option<String>,
    /// `aud`.
    pub audience: Vec<String>,
    /// `exp`.
    pub expires_at: Option<Timestamp>,
    /// `nbf`.
    pub not_before: Option<Timestamp>,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
}

impl Claims {
    /// Reads the claims of a JWT; `None` for any other text.
    #[must_use]
    pub fn of(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (header, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        object(header)?;
        let claims = object(payload)?;
        let text = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
        #[allow(clippy::cast_possible_truncation)] // a cast saturates
        let time = |name: &str| {
            let seconds = claims.get(name)?.as_f64()?;
            Some(Timestamp::from_unix_seconds(seconds as i64))
        };
        let audience = match claims.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(all)) => all
                .iter()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        };
        Some(Self {
            issuer: text("iss"),
            subject: text("sub"),
            audience,
            expires_at: wire::jwt_expiry(token),
            not_before: time("nbf"),
            issued_at: time("iat"),
        })
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}
