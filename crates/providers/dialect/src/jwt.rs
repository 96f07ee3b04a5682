//! Signing the JWT of a dialect. A pure function, except for the randomness of the signature.

use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
};
use base64::Engine as _;
use biped_core::{Error, pem_blocks};
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    fill::{Fill, needed},
    step::Jwt,
    template::Values,
};

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

    let mut header = Header::new(jwt.alg);
    if let Some(kid) = &jwt.kid {
        header.kid = Some(needed(kid, values)?.into_owned());
    }
    let key = key(jwt.alg, &needed(&jwt.key, values)?)?;
    // The library's errors may contain parts of the key.
    jsonwebtoken::encode(&header, &claims, &key).map_err(|_| unfit(jwt.alg))
}

fn key(alg: Algorithm, text: &str) -> Result<EncodingKey, Error> {
    if alg.family() == AlgorithmFamily::Hmac {
        return Ok(EncodingKey::from_secret(text.as_bytes()));
    }
    let pem = pem_blocks(text.as_bytes());
    let key = match alg.family() {
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(&pem),
        AlgorithmFamily::Ec => match std::str::from_utf8(&pem)
            .ok()
            .and_then(|pem| sec1(alg, pem))
        {
            Some(der) => Ok(EncodingKey::from_ec_der(&der)),
            None => EncodingKey::from_ec_pem(&pem),
        },
        _ => EncodingKey::from_ed_pem(&pem),
    };
    key.map_err(|_| unfit(alg))
}

/// Converts a key in the format of `openssl ecparam -genkey` (RFC 5915), which the library does not
/// read, to PKCS #8. Returns `None` for other formats.
fn sec1(alg: Algorithm, pem: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = pem.split_once("-----BEGIN EC PRIVATE KEY-----")?;
    let (text, _) = rest.split_once("-----END EC PRIVATE KEY-----")?;
    let text = Zeroizing::new(text.split_whitespace().collect::<String>());
    let der = base64::engine::general_purpose::STANDARD
        .decode(&*text)
        .ok()?;
    let curve = match alg {
        Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &ECDSA_P256_SHA256_FIXED_SIGNING,
    };
    let pair = EcdsaKeyPair::from_private_key_der(curve, &Zeroizing::new(der)).ok()?;
    Some(Zeroizing::new(pair.to_pkcs8v1().ok()?.as_ref().to_vec()))
}

fn unfit(alg: Algorithm) -> Error {
    let what = match alg.family() {
        AlgorithmFamily::Hmac => "a shared secret",
        AlgorithmFamily::Rsa => "an RSA key in PEM (PKCS #1 or #8)",
        AlgorithmFamily::Ec => "a key on the algorithm's curve in PEM (SEC 1 or PKCS #8)",
        AlgorithmFamily::Ed => "an Ed25519 key in PEM (PKCS #8)",
    };
    Error::secret(format!("the key can't sign a JWT with {alg:?}"))
        .with_remedy(format!("give {what}"))
}
