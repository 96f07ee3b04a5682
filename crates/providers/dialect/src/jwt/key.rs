//! Reading a key: PEM, a JSON Web Key, or a shared secret; and the certificate beside it.

use aws_lc_rs::{
    digest,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::Engine as _;
use biped_core::{Error, pem_blocks};
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey};
use zeroize::Zeroizing;

use super::jwk;

/// A key, and the name that a JSON Web Key gives itself.
pub(super) struct Key {
    pub(super) signer: EncodingKey,
    pub(super) kid: Option<String>,
}

/// Reads a key. `prefix` stands before it in the text, and is cut off.
pub(super) fn read(alg: Algorithm, prefix: Option<&str>, text: &str) -> Result<Key, Error> {
    let text = match prefix {
        None => text,
        Some(prefix) => text.trim().strip_prefix(prefix).ok_or_else(|| {
            Error::secret(format!("the key does not start with {prefix}"))
                .with_remedy("set the whole secret, as the vendor shows it")
        })?,
    };
    if let Some(jwk) = jwk::find(text) {
        let signer = jwk.signer(alg).ok_or_else(|| unfit(alg))?;
        return Ok(Key {
            signer,
            kid: jwk.kid(),
        });
    }
    let signer = from_text(alg, text)?;
    Ok(Key { signer, kid: None })
}

/// Returns the SHA-1 thumbprint of the first certificate in a PEM text (RFC 7515 §4.1.7).
pub(super) fn thumbprint(pem: &str) -> Result<Vec<u8>, Error> {
    let pem = pem_blocks(pem.as_bytes());
    let der = || {
        let (_, rest) = std::str::from_utf8(&pem)
            .ok()?
            .split_once("-----BEGIN CERTIFICATE-----")?;
        let (text, _) = rest.split_once("-----END CERTIFICATE-----")?;
        let text: String = text.split_whitespace().collect();
        base64::engine::general_purpose::STANDARD.decode(text).ok()
    };
    let der = der().ok_or_else(|| {
        Error::secret("the key has no certificate beside it, which x5t needs")
            .with_remedy("add the certificate in PEM")
    })?;
    Ok(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &der)
        .as_ref()
        .to_vec())
}

fn from_text(alg: Algorithm, text: &str) -> Result<EncodingKey, Error> {
    if alg.family() == AlgorithmFamily::Hmac {
        return Ok(EncodingKey::from_secret(text.as_bytes()));
    }
    let pem = pem_blocks(text.as_bytes());
    let key = match alg.family() {
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(&pem),
        AlgorithmFamily::Ec => match sec1(alg, std::str::from_utf8(&pem).unwrap_or_default()) {
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

pub(super) fn unfit(alg: Algorithm) -> Error {
    let what = match alg.family() {
        AlgorithmFamily::Hmac => "a shared secret",
        AlgorithmFamily::Rsa => "an RSA key in PEM (PKCS #1 or #8), or as a JSON Web Key",
        AlgorithmFamily::Ec => {
            "a key on the algorithm's curve in PEM (SEC 1 or PKCS #8), or as a JSON Web Key"
        }
        AlgorithmFamily::Ed => "an Ed25519 key in PEM (PKCS #8), or as a JSON Web Key",
    };
    Error::secret(format!("the key can't sign a JWT with {alg:?}"))
        .with_remedy(format!("give {what}"))
}
