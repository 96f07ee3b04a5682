//! Reads a private key in any of the formats that people have.
//!
//! Errors say what was expected, and what was found instead if that is clear, but never its content.

use aws_lc_rs::{
    rsa::KeyPair as RsaKeyPair,
    signature::{EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{Error, ExposeSecret, SecretString, pem_blocks};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    encrypted,
    fault::Fault,
    pair::{CURVES, Pair},
};
use crate::der;

/// What was read: the pair, and what a JSON Web Key says about itself.
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

/// Where a key comes from in the configuration, and what is needed to read it.
#[derive(Clone, Copy, Debug)]
pub struct KeySource<'a> {
    /// The configuration's key, for errors.
    pub name: &'static str,
    /// The password of an encrypted key.
    pub password: Option<&'a SecretString>,
    /// The name of the key to use out of a set.
    pub kid: Option<&'a str>,
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
    "set it to a private key: PKCS#8, PKCS#1 or SEC1 in PEM, or a JSON Web Key",
);
const UNUSABLE: Fault = Fault(
    "this private key is not supported",
    "use RSA with at least 2048 bits, P-256, P-384, P-521 or Ed25519",
);

fn from_pem(text: &str, password: Option<&SecretString>) -> Result<Found, Fault> {
    let blocks = pem_blocks(text.as_bytes());
    let text = std::str::from_utf8(&blocks).map_err(|_| broken(text))?;
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(encrypted::FOREIGN);
    }
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        // The parser does not know this label; the content is DER in both cases.
        let relabelled = Zeroizing::new(text.replace("ENCRYPTED PRIVATE KEY", "PRIVATE KEY"));
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

/// Returns what is wrong with a text that contains no private key in PEM.
fn broken(text: &str) -> Fault {
    let has = |label: &str| text.contains(label);
    if has("BEGIN OPENSSH PRIVATE KEY") {
        Fault(
            "this private key has OpenSSH's own format",
            "generate a key with openssl genpkey, or convert a copy with ssh-keygen -p -m PKCS8 (RSA \
             and ECDSA only)",
        )
    } else if has("PRIVATE KEY-----") {
        Fault(
            "this PEM text is incomplete or damaged",
            "copy the whole file, with its line breaks",
        )
    } else if has("PUBLIC KEY-----") {
        Fault(
            "this is a public key",
            "use the private key that belongs to it",
        )
    } else if has("BEGIN CERTIFICATE") {
        Fault(
            "this is a certificate",
            "use the private key that belongs to it",
        )
    } else {
        NO_KEY
    }
}

/// Tries each type of key: PKCS#8 names the type, and only the right parser accepts it.
fn from_pkcs8(der: &[u8]) -> Option<Found> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        return Some(Pair::Ed25519(pair).into());
    }
    if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
        return Some(Pair::Rsa(pair).into());
    }
    // The parser does not accept an RSA key that is for PSS only, but it accepts its content.
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

/// Reads a JSON Web Key, or the one to use out of a set (RFC 7517 §5).
fn from_json(text: &str, kid: Option<&str>) -> Result<Found, Fault> {
    let json: Value = serde_json::from_str(text).map_err(|_| NO_KEY)?;
    let Some(set) = json["keys"].as_array() else {
        return from_jwk(&json);
    };
    let is_private = |jwk: &&Value| !jwk["d"].is_null();
    let is_selected = |jwk: &&Value| kid.is_none_or(|kid| jwk["kid"] == kid);
    let mut selected = set.iter().filter(is_private).filter(is_selected);
    match (selected.next(), selected.next()) {
        (Some(jwk), None) => from_jwk(jwk),
        (None, _) if kid.is_some() && set.iter().any(|jwk| is_private(&jwk)) => Err(Fault(
            "no private key of this JSON Web Key Set has the configured kid",
            "check kid",
        )),
        (None, _) => Err(Fault(
            "this JSON Web Key Set contains no private key",
            "use the private key; it has a member d",
        )),
        (Some(_), Some(_)) => Err(Fault(
            "this JSON Web Key Set contains several private keys",
            "set kid to the kid of the key to use",
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
            "use a private key, or set client_secret instead",
        ));
    }
    if jwk["d"].is_null() {
        return Err(Fault(
            "this JSON Web Key is a public key",
            "use the private key; it has a member d",
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
