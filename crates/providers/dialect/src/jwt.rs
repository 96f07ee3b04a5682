//! Signing the JWT of a dialect. A pure function, except for the randomness of the signature.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::Error;
use jsonwebtoken::Header;
use serde_json::{Map, Value};

use crate::{
    fill::{Fill, needed},
    step::Jwt,
    template::Values,
};

mod jwk;
mod key;

/// How far `iat` is dated back, in seconds: a vendor whose clock is behind would refuse a JWT from the
/// future. A JWT that lives shortly is dated back by half its life, so that it is not over when it is sent.
const BACKDATED: u64 = 60;

/// Signs the claims. Adds `iat`, `exp` and `jti` unless the file defines them.
pub(crate) fn sign(jwt: &Jwt, values: &Values<'_>) -> Result<String, Error> {
    let fill = Fill {
        values,
        assertion: None,
    };
    let mut claims = Map::new();
    for (name, value) in &jwt.claims {
        if let Some(value) = fill.value(value)? {
            claims.insert((**name).into(), value);
        }
    }
    let backdated = BACKDATED.min(jwt.lifetime / 2);
    let issued = values
        .now
        .before(Duration::from_secs(backdated))
        .unix_seconds();
    let expires = issued.saturating_add(i64::try_from(jwt.lifetime).unwrap_or(i64::MAX));
    let mut add = |name: &str, value: Value| {
        claims.entry(name).or_insert(value);
    };
    add("iat", issued.into());
    add("exp", expires.into());
    add("jti", values.uuid.into());

    let text = needed(&jwt.key, values)?;
    let key = key::read(jwt.alg, jwt.prefix.as_deref(), &text)?;
    let mut header = Header::new(jwt.alg);
    header.kid = match &jwt.kid {
        Some(kid) => Some(needed(kid, values)?.into_owned()),
        None => key.kid,
    };
    if jwt.x5t {
        let certificate = match &jwt.certificate {
            Some(certificate) => needed(certificate, values)?,
            None => text,
        };
        header.x5t = Some(URL_SAFE_NO_PAD.encode(key::thumbprint(&certificate)?));
    }
    for (name, value) in &jwt.header {
        match (&**name, fill.value(value)?) {
            (_, None) => {}
            ("typ", Some(Value::String(typ))) => header.typ = Some(typ),
            (name, Some(value)) => header.extras.insert(name, value),
        }
    }
    // The library's errors may contain parts of the key.
    jsonwebtoken::encode(&header, &claims, &key.signer).map_err(|_| key::unfit(jwt.alg))
}
