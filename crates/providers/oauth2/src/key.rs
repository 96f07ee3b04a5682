//! [`Algorithm`] and the keys that sign: for client assertions and for DPoP proofs.

mod algorithm;
mod encrypted;
mod reading;

use std::fmt;

use aws_lc_rs::{
    digest, rand,
    rsa::KeyPair as RsaKeyPair,
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        KeyPair as _, RsaEncoding,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{Error, ExposeSecret, SecretString};
use serde_json::Value;

pub use self::algorithm::Algorithm;
use self::reading::Found;
pub(crate) use self::reading::Place;
use crate::der;

/// A private key, and the public half as others are told it.
pub(crate) struct SigningKey {
    pair: Pair,
    /// The public key as JSON (RFC 7517), its members in the order of RFC 7638.
    public: String,
    thumbprint: String,
    kid: Option<String>,
    alg: Option<Algorithm>,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static Curve),
    Ed25519(Ed25519KeyPair),
}

struct Curve {
    name: &'static str,
    alg: Algorithm,
    signing: &'static EcdsaSigningAlgorithm,
    coordinate: usize,
}

static CURVES: [Curve; 3] = [
    Curve {
        name: "P-256",
        alg: Algorithm::ES256,
        signing: &ECDSA_P256_SHA256_FIXED_SIGNING,
        coordinate: 32,
    },
    Curve {
        name: "P-384",
        alg: Algorithm::ES384,
        signing: &ECDSA_P384_SHA384_FIXED_SIGNING,
        coordinate: 48,
    },
    Curve {
        name: "P-521",
        alg: Algorithm::ES512,
        signing: &ECDSA_P521_SHA512_FIXED_SIGNING,
        coordinate: 66,
    },
];

impl SigningKey {
    /// Reads a key in PEM (PKCS#8, PKCS#1, SEC1) or as a JSON Web Key.
    ///
    /// The error says what was expected, and nothing of what was there.
    pub(crate) fn read(text: &SecretString, place: Place<'_>) -> Result<Self, Error> {
        let Found { pair, kid, alg } = reading::read(text, place)?;
        Self::of(pair, kid, alg.and_then(|alg| alg.parse().ok()))
    }

    /// Makes an ES256 key.
    pub(crate) fn generate() -> Result<Self, Error> {
        let curve = &CURVES[0];
        let pair = EcdsaKeyPair::generate(curve.signing)
            .map_err(|_| Error::internal("no key could be made"))?;
        Self::of(Pair::Ec(pair, curve), None, None)
    }

    fn of(pair: Pair, kid: Option<String>, alg: Option<Algorithm>) -> Result<Self, Error> {
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = match &pair {
            Pair::Rsa(pair) => {
                let (n, e) = der::rsa_public(pair.public_key().as_ref()).ok_or_else(unreadable)?;
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, base64(e), base64(n))
            }
            Pair::Ec(pair, curve) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point
                    .get(1..)
                    .and_then(|both| both.split_at_checked(curve.coordinate))
                    .ok_or_else(unreadable)?;
                let name = curve.name;
                let (x, y) = (base64(x), base64(y));
                format!(r#"{{"crv":"{name}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Pair::Ed25519(pair) => {
                let x = base64(pair.public_key().as_ref());
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
            }
        };
        let thumbprint = base64(digest::digest(&digest::SHA256, public.as_bytes()).as_ref());
        Ok(Self {
            pair,
            public,
            thumbprint,
            kid,
            alg,
        })
    }

    /// The public key as JSON.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    /// The public key's thumbprint (RFC 7638), with SHA-256.
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The public key as certificates have it.
    pub(crate) fn public_der(&self) -> &[u8] {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ec(pair, _) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    /// The name that a JSON Web Key gives itself.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What the key can sign with, its default first.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        use Algorithm::*;
        let mut fitting = match &self.pair {
            Pair::Rsa(_) => vec![RS256, PS256, RS384, PS384, RS512, PS512],
            Pair::Ec(_, curve) => vec![curve.alg],
            // Two names of the same (RFC 9864); most servers know the old one.
            Pair::Ed25519(_) => vec![EdDSA, Ed25519],
        };
        if let Some(own) = self.alg.filter(|alg| fitting.contains(alg)) {
            fitting.sort_by_key(|fit| *fit != own);
        }
        fitting
    }

    /// Signs with one of [`algorithms`](Self::algorithms).
    fn sign(&self, alg: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = rand::SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match alg {
                    Algorithm::RS256 => &signature::RSA_PKCS1_SHA256,
                    Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::PS256 => &signature::RSA_PSS_SHA256,
                    Algorithm::PS384 => &signature::RSA_PSS_SHA384,
                    Algorithm::PS512 => &signature::RSA_PSS_SHA512,
                    _ => return None,
                };
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signed).ok()?;
                Some(signed)
            }
            Pair::Ec(pair, _) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
        }
    }

    /// A JSON Web Signature in compact form (RFC 7515 §3.1), its header without `alg`.
    pub(crate) fn jws(
        &self,
        alg: Algorithm,
        header: Value,
        claims: &Value,
    ) -> Result<String, Error> {
        let input = signing_input(alg, header, claims);
        let signed = self
            .sign(alg, input.as_bytes())
            .ok_or_else(|| Error::secret("the key can't sign"))?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signed)))
    }
}

/// A JSON Web Signature made with a shared secret.
pub(crate) fn hmac_jws(
    secret: &SecretString,
    alg: Algorithm,
    header: Value,
    claims: &Value,
) -> Result<String, Error> {
    use aws_lc_rs::hmac;
    let with = match alg {
        Algorithm::HS256 => hmac::HMAC_SHA256,
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => return Err(Error::internal("this algorithm needs a private key")),
    };
    let input = signing_input(alg, header, claims);
    let key = hmac::Key::new(with, secret.expose_secret().as_bytes());
    let tag = hmac::sign(&key, input.as_bytes());
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

fn signing_input(alg: Algorithm, mut header: Value, claims: &Value) -> String {
    header["alg"] = alg.as_str().into();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(&header), part(claims))
}

/// An identifier that nobody used before: 128 random bits.
pub(crate) fn fresh_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Error::internal("there are no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The SHA-256 of a text, in base64url.
pub(crate) fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

fn unreadable() -> Error {
    Error::internal("a key's public half can't be read")
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}
