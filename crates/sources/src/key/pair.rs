//! [`Pair`]: the private key itself, and what each type of key does in its own way.

use aws_lc_rs::{
    rand,
    rsa::KeyPair as RsaKeyPair,
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        KeyPair as _, RsaEncoding,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::algorithm::Algorithm;
use crate::der;

/// A private key and its public half, by its type.
pub(super) enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static Curve),
    Ed25519(Ed25519KeyPair),
}

/// A curve that keys for ECDSA are on.
pub(super) struct Curve {
    /// As a JSON Web Key names it.
    pub(super) name: &'static str,
    alg: Algorithm,
    pub(super) signing: &'static EcdsaSigningAlgorithm,
    /// The length of a coordinate, in bytes.
    coordinate: usize,
}

pub(super) static CURVES: [Curve; 3] = [
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

impl Pair {
    /// Generates a key for ES256.
    pub(super) fn generate() -> Option<Self> {
        let curve = &CURVES[0];
        let pair = EcdsaKeyPair::generate(curve.signing).ok()?;
        Some(Self::Ec(pair, curve))
    }

    /// The public key as JSON (RFC 7517), its members in the order of RFC 7638.
    pub(super) fn public_jwk(&self) -> Option<String> {
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Some(match self {
            Self::Rsa(pair) => {
                let (n, e) = der::rsa_public(pair.public_key().as_ref())?;
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, base64(e), base64(n))
            }
            Self::Ec(pair, curve) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..)?.split_at_checked(curve.coordinate)?;
                let name = curve.name;
                let (x, y) = (base64(x), base64(y));
                format!(r#"{{"crv":"{name}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Self::Ed25519(pair) => {
                let x = base64(pair.public_key().as_ref());
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
            }
        })
    }

    /// The public key as certificates contain it.
    pub(super) fn public_der(&self) -> &[u8] {
        match self {
            Self::Rsa(pair) => pair.public_key().as_ref(),
            Self::Ec(pair, _) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    /// The algorithms that the key can sign with, the default first.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        use Algorithm::*;
        match self {
            Self::Rsa(_) => vec![RS256, PS256, RS384, PS384, RS512, PS512],
            Self::Ec(_, curve) => vec![curve.alg],
            // Two names of the same algorithm (RFC 9864); most servers know the old one.
            Self::Ed25519(_) => vec![EdDSA, Ed25519],
        }
    }

    /// Signs with one of [`algorithms`](Self::algorithms).
    pub(super) fn sign(&self, alg: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = rand::SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
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
            Self::Ec(pair, _) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
        }
    }
}
