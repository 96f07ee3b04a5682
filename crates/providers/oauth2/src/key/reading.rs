//! Reading a private key from whatever file it came in.
//!
//! Errors say what was expected, what was there if that is clear, and nothing of its content.

use aws_lc_rs::{
    rsa::KeyPair as RsaKeyPair,
    signature::{EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{Error, ExposeSecret, SecretString};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    encrypted,
    fault::Fault,
    pair::{CURVES, Pair},
};
use crate::der;

/// What was read: the pair, and what a JSON Web Key says of itself.
pub(super) struct Found {
    pub(super) pair: Pair,
    pub(super) kid: Option<String>,
    pub(super) alg: Option<String>,
}

impl From<Pair> for Found {
    fn from(pair: Pair) -> Self {
        Self {
            pair,
            kid: None,
            alg: None,
        }
    }
}

/// Where a key comes from, in the configuration's words, and what it takes to read it.
#[derive(Clone, Copy)]
pub(crate) struct KeySource<'a> {
    /// The configuration's key, for errors.
    pub(crate) name: &'static str,
    /// What opens it.
    pub(crate) password: Option<&'a SecretString>,
    /// Which one is meant, where there are several.
    pub(crate) kid: Option<&'a str>,
}

pub(super) fn read(text: &SecretString, source: KeySource<'_>) -> Result<Found, Error> {
    let text = text.expose_secret().trim();
    let found = if text.starts_with('{') {
        from_json(text, source.kid)
    } else {
        from_pem(text, source.password)
    };
    found.map_err(|fault| fault.into_error(source.name))
}

const NO_KEY: Fault = Fault(
    "this is neither PEM nor a JSON Web Key",
    "give a private key: PKCS#8, PKCS#1 or SEC1 in PEM, or a JSON Web Key",
);
const UNUSABLE: Fault = Fault(
    "this private key can't be used",
    "keys may be RSA of 2048 bits and more, P-256, P-384, P-521 and Ed25519",
);

fn from_pem(text: &str, password: Option<&SecretString>) -> Result<Found, Fault> {
    // Variables often hold their newlines written out.
    let unfolded;
    let text = if text.contains("\\n") && !text.contains('\n') {
        unfolded = Zeroizing::new(text.replace("\\r", "").replace("\\n", "\n"));
        unfolded.as_str()
    } else {
        text
    };
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(encrypted::FOREIGN);
    }
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        // The parser has no such label; between the lines stands DER either way.
        let relabelled = text.replace("ENCRYPTED PRIVATE KEY", "PRIVATE KEY");
        let sealed =
            PrivatePkcs8KeyDer::from_pem_slice(relabelled.as_bytes()).map_err(|_| broken(text))?;
        let opened = encrypted::open(sealed.secret_pkcs8_der(), password)?;
        return from_pkcs8(&opened).ok_or(UNUSABLE);
    }
    let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| broken(text))?;
    let found = match &der {
        PrivateKeyDer::Pkcs8(der) => from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der())
            .ok()
            .map(|pair| Pair::Rsa(pair).into()),
        PrivateKeyDer::Sec1(der) => from_sec1(der.secret_sec1_der()),
        _ => None,
    };
    found.ok_or(UNUSABLE)
}

/// What a text is that holds no private key in PEM.
fn broken(text: &str) -> Fault {
    let has = |label: &str| text.contains(label);
    if has("BEGIN OPENSSH PRIVATE KEY") {
        Fault(
            "this is a private key in OpenSSH's own format",
            "make one with openssl genpkey, or have ssh-keygen -p -m PKCS8 rewrite a copy (RSA and \
             ECDSA only)",
        )
    } else if has("PRIVATE KEY-----") {
        Fault(
            "this PEM text is cut off or garbled",
            "give the whole file, its line breaks included",
        )
    } else if has("PUBLIC KEY-----") {
        Fault(
            "this is a public key",
            "give the private key that belongs to it",
        )
    } else if has("BEGIN CERTIFICATE") {
        Fault(
            "this is a certificate",
            "give the private key that belongs to it",
        )
    } else {
        NO_KEY
    }
}

/// PKCS#8 says what it holds, but only its reader needs to know: whichever can read it, does.
fn from_pkcs8(der: &[u8]) -> Option<Found> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        return Some(Pair::Ed25519(pair).into());
    }
    if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
        return Some(Pair::Rsa(pair).into());
    }
    // Of an RSA key that is for PSS alone, the reader wants what is within.
    if let Some(pair) = der::rsa_pss(der).and_then(|der| RsaKeyPair::from_der(der).ok()) {
        return Some(Found {
            alg: Some("PS256".into()),
            ..Pair::Rsa(pair).into()
        });
    }
    CURVES.iter().find_map(|curve| {
        let pair = EcdsaKeyPair::from_pkcs8(curve.signing, der).ok()?;
        Some(Pair::Ec(pair, curve).into())
    })
}

fn from_sec1(der: &[u8]) -> Option<Found> {
    CURVES.iter().find_map(|curve| {
        let pair = EcdsaKeyPair::from_private_key_der(curve.signing, der).ok()?;
        Some(Pair::Ec(pair, curve).into())
    })
}

/// A JSON Web Key, or a set of them (RFC 7517 §5) with one that is meant.
fn from_json(text: &str, kid: Option<&str>) -> Result<Found, Fault> {
    let json: Value = serde_json::from_str(text).map_err(|_| NO_KEY)?;
    let Some(set) = json["keys"].as_array() else {
        return from_jwk(&json);
    };
    let is_private = |jwk: &&Value| !jwk["d"].is_null();
    let is_meant = |jwk: &&Value| kid.is_none_or(|kid| jwk["kid"] == kid);
    let mut meant = set.iter().filter(is_private).filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(jwk), None) => from_jwk(jwk),
        (None, _) if kid.is_some() && set.iter().any(|jwk| is_private(&jwk)) => Err(Fault(
            "no private key of this JSON Web Key Set has the configured kid",
            "check kid",
        )),
        (None, _) => Err(Fault(
            "this JSON Web Key Set has no private key in it",
            "give the private key; it has a member d",
        )),
        (Some(_), Some(_)) => Err(Fault(
            "this JSON Web Key Set has several private keys",
            "set kid to the one that is meant, or give that key alone",
        )),
    }
}

fn from_jwk(jwk: &Value) -> Result<Found, Fault> {
    let member = |name: &str| {
        let text = jwk[name].as_str()?;
        URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
    };
    if jwk["kty"] == "oct" {
        return Err(Fault(
            "this JSON Web Key is a shared secret",
            "give a private key, or set client_secret in its place",
        ));
    }
    if jwk["d"].is_null() {
        return Err(Fault(
            "this JSON Web Key has no private part",
            "give the private key; it has a member d",
        ));
    }
    let pair = match jwk["kty"].as_str() {
        Some("RSA") => {
            if ["p", "q", "dp", "dq", "qi"]
                .iter()
                .any(|name| jwk[*name].is_null())
            {
                return Err(Fault(
                    "this JSON Web Key lacks some of p, q, dp, dq and qi",
                    "export the RSA key with its primes (RFC 7518 §6.3.2)",
                ));
            }
            der::rsa_private(member).and_then(|der| RsaKeyPair::from_der(&der).ok().map(Pair::Rsa))
        }
        Some("EC") => CURVES
            .iter()
            .find(|curve| jwk["crv"] == curve.name)
            .and_then(|curve| {
                let public = [&[4][..], &member("x")?, &member("y")?].concat();
                let private = member("d")?;
                EcdsaKeyPair::from_private_key_and_public_key(curve.signing, &private, &public)
                    .ok()
                    .map(|pair| Pair::Ec(pair, curve))
            }),
        Some("OKP") if jwk["crv"] == "Ed25519" => member("d").and_then(|seed| {
            let pair = match member("x") {
                Some(public) => Ed25519KeyPair::from_seed_and_public_key(&seed, &public),
                None => Ed25519KeyPair::from_seed_unchecked(&seed),
            };
            pair.ok().map(Pair::Ed25519)
        }),
        _ => None,
    };
    let text = |name: &str| jwk[name].as_str().map(str::to_owned);
    Ok(Found {
        pair: pair.ok_or(UNUSABLE)?,
        kid: text("kid"),
        alg: text("alg"),
    })
}
