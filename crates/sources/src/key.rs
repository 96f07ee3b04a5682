//! [`SigningKey`]: a private key that signs assertions or DPoP proofs.

mod algorithm;
mod encrypted;
mod fault;
mod pair;
mod reading;

use std::fmt;

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{Error, ExposeSecret, SecretString};
use serde_json::Value;

pub use self::algorithm::Algorithm;
pub use self::reading::KeySource;
use self::{pair::Pair, reading::Found};

/// A private key, and its public half as servers see it.
///
/// RSA with at least 2048 bits, P-256, P-384, P-521 or Ed25519.
pub struct SigningKey {
    pair: Pair,
    /// The public key as JSON (RFC 7517), its members in the order of RFC 7638.
    public: String,
    thumbprint: String,
    kid: Option<String>,
    alg: Option<Algorithm>,
}

impl SigningKey {
    /// Reads a key in PEM (PKCS#8, PKCS#1, SEC1) or as a JSON Web Key.
    ///
    /// # Errors
    /// [`Secret`](biped_core::ErrorKind::Secret). The message never contains a part of the text.
    pub fn read(text: &SecretString, source: KeySource<'_>) -> Result<Self, Error> {
        let Found { pair, kid, alg } = reading::read(text, source)?;
        Self::of(pair, kid, alg.and_then(|alg| alg.parse().ok()))
    }

    /// Generates an ES256 key.
    ///
    /// # Errors
    /// If the system provides no random numbers.
    pub fn generate() -> Result<Self, Error> {
        let pair = Pair::generate().ok_or_else(|| Error::internal("a key can't be generated"))?;
        Self::of(pair, None, None)
    }

    fn of(pair: Pair, kid: Option<String>, alg: Option<Algorithm>) -> Result<Self, Error> {
        let public = pair
            .public_jwk()
            .ok_or_else(|| Error::internal("the public half of a key can't be read"))?;
        let thumbprint = sha256(&public);
        Ok(Self {
            pair,
            public,
            thumbprint,
            kid,
            alg,
        })
    }

    /// Returns the public key as JSON.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Returns the public key's thumbprint (RFC 7638), with SHA-256.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Returns the public key as certificates contain it.
    #[must_use]
    pub fn public_der(&self) -> &[u8] {
        self.pair.public_der()
    }

    /// Returns the name that is in a JSON Web Key.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Returns the algorithms that the key can sign with, the default first.
    #[must_use]
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let mut fitting = self.pair.algorithms();
        if let Some(own) = self.alg.filter(|alg| fitting.contains(alg)) {
            fitting.sort_by_key(|fit| *fit != own);
        }
        fitting
    }

    /// Makes a JSON Web Signature in compact form (RFC 7515 §3.1). Adds `alg` to the header.
    ///
    /// # Errors
    /// If the key does not sign with this algorithm.
    pub fn jws(&self, alg: Algorithm, header: Value, claims: &Value) -> Result<String, Error> {
        let input = signing_input(alg, header, claims);
        let signed = self
            .pair
            .sign(alg, input.as_bytes())
            .ok_or_else(|| Error::secret("the key can't sign"))?;
        Ok(format!("{input}.{}", encoded(&signed)))
    }
}

/// Makes a JSON Web Signature with a shared secret.
///
/// # Errors
/// If the algorithm is not one of [`Algorithm::OF_SECRETS`].
pub fn hmac_jws(
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
        _ => return Err(Error::internal("the algorithm needs a private key")),
    };
    let input = signing_input(alg, header, claims);
    let key = hmac::Key::new(with, secret.expose_secret().as_bytes());
    let tag = hmac::sign(&key, input.as_bytes());
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

/// Returns bytes in base64url, as the parts of a JSON Web Signature are.
pub(crate) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns what a JSON Web Signature signs.
pub(crate) fn signing_input(alg: Algorithm, mut header: Value, claims: &Value) -> String {
    header["alg"] = alg.as_str().into();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(&header), part(claims))
}

/// Returns a unique identifier: 128 random bits.
///
/// # Errors
/// If the system provides no random numbers.
pub fn fresh_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Error::internal("the system provides no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the SHA-256 of a text, in base64url.
#[must_use]
pub fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}
