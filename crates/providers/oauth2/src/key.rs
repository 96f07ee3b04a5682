//! [`Algorithm`] and the keys that sign: for client assertions and for DPoP proofs.

use std::{fmt, str::FromStr};

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
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::Value;

use crate::der;

/// A signature algorithm for JSON Web Signatures (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // their names are the standard's
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

impl Algorithm {
    /// Their names, as the configuration has them.
    pub(crate) const NAMES: &[&str] = &[
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
        "ES384", "ES512", "EdDSA",
    ];

    /// For a client secret, the default first.
    pub(crate) const OF_SECRETS: [Self; 3] = [Self::HS256, Self::HS384, Self::HS512];

    /// The `alg` of a signature's header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The one to use of those that fit a key: the one asked for, else the first that the server
    /// lists, else the first.
    pub(crate) fn choose(
        fitting: &[Self],
        asked: Option<Self>,
        listed: Option<&[String]>,
    ) -> Result<Self, Error> {
        if let Some(asked) = asked {
            return if fitting.contains(&asked) {
                Ok(asked)
            } else {
                let names: Vec<_> = fitting.iter().map(|fit| fit.as_str()).collect();
                Err(
                    Error::configuration(format!("alg = \"{asked}\" doesn't fit the key"))
                        .with_remedy(format!("what fits it is {}", names.join(", "))),
                )
            };
        }
        let is_listed =
            |fit: &&Self| listed.is_some_and(|all| all.iter().any(|name| name == fit.as_str()));
        fitting
            .iter()
            .find(is_listed)
            .or(fitting.first())
            .copied()
            .ok_or_else(|| Error::internal("no algorithm fits the key"))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        use Algorithm::*;
        [
            HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512,
            EdDSA,
        ]
        .into_iter()
        .find(|known| known.as_str() == name)
        .ok_or_else(|| Error::configuration("this signature algorithm is not known"))
    }
}

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
    pub(crate) fn read(text: &SecretString) -> Result<Self, Error> {
        let text = text.expose_secret().trim();
        if text.starts_with('{') {
            return Self::from_jwk(text);
        }
        if text.contains("ENCRYPTED") {
            return Err(Error::secret("the key is encrypted").with_remedy(
                "give it without a passphrase; openssl pkey -in key.pem decrypts it",
            ));
        }
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| no_key())?;
        let pair = match &der {
            PrivateKeyDer::Pkcs8(der) => from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der())
                .ok()
                .map(Pair::Rsa),
            PrivateKeyDer::Sec1(der) => from_sec1(der.secret_sec1_der()),
            _ => None,
        };
        Self::of(pair.ok_or_else(unusable_key)?, None, None)
    }

    /// Makes an ES256 key.
    pub(crate) fn generate() -> Result<Self, Error> {
        let curve = &CURVES[0];
        let pair = EcdsaKeyPair::generate(curve.signing)
            .map_err(|_| Error::internal("no key could be made"))?;
        Self::of(Pair::Ec(pair, curve), None, None)
    }

    fn from_jwk(text: &str) -> Result<Self, Error> {
        let jwk: Value = serde_json::from_str(text).map_err(|_| no_key())?;
        let member = |name: &str| {
            let text = jwk[name].as_str()?;
            URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
        };
        if jwk["d"].is_null() {
            return Err(Error::secret("the JSON Web Key has no private part")
                .with_remedy("give the private key; it has a member d"));
        }
        let pair = match jwk["kty"].as_str() {
            Some("RSA") => der::rsa_private(member)
                .and_then(|der| RsaKeyPair::from_der(&der).ok().map(Pair::Rsa)),
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
        let kid = jwk["kid"].as_str().map(str::to_owned);
        let alg = jwk["alg"].as_str().and_then(|alg| alg.parse().ok());
        Self::of(pair.ok_or_else(unusable_key)?, kid, alg)
    }

    fn of(pair: Pair, kid: Option<String>, alg: Option<Algorithm>) -> Result<Self, Error> {
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = match &pair {
            Pair::Rsa(pair) => {
                let (n, e) =
                    der::rsa_public(pair.public_key().as_ref()).ok_or_else(unusable_key)?;
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, base64(e), base64(n))
            }
            Pair::Ec(pair, curve) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point
                    .get(1..)
                    .and_then(|both| both.split_at_checked(curve.coordinate))
                    .ok_or_else(unusable_key)?;
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
            Pair::Ed25519(_) => vec![EdDSA],
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

fn no_key() -> Error {
    Error::secret("the key is neither PEM nor a JSON Web Key")
        .with_remedy("give a private key: PKCS#8, PKCS#1 or SEC1 in PEM, or a JSON Web Key")
}

fn unusable_key() -> Error {
    Error::secret("the private key can't be used")
        .with_remedy("keys may be RSA of 2048 bits and more, P-256, P-384, P-521 and Ed25519")
}

/// PKCS#8 says what it holds, but only its reader needs to know: whichever can read it, does.
fn from_pkcs8(der: &[u8]) -> Option<Pair> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        return Some(Pair::Ed25519(pair));
    }
    if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
        return Some(Pair::Rsa(pair));
    }
    CURVES.iter().find_map(|curve| {
        let pair = EcdsaKeyPair::from_pkcs8(curve.signing, der).ok()?;
        Some(Pair::Ec(pair, curve))
    })
}

fn from_sec1(der: &[u8]) -> Option<Pair> {
    CURVES.iter().find_map(|curve| {
        let pair = EcdsaKeyPair::from_private_key_der(curve.signing, der).ok()?;
        Some(Pair::Ec(pair, curve))
    })
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}
