//! [`PublicKey`]: the public half of a key that is elsewhere.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{Error, pem_blocks};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use serde_json::Value;

use crate::{
    der::{self, BITS, OID, SEQUENCE, expect},
    key::Algorithm,
};

/// The public half of a key that a [`Signer`](crate::Signer) signs with: RSA, P-256, P-384, P-521 or Ed25519.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    /// As certificates contain it.
    der: Vec<u8>,
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    /// The length of a coordinate, in bytes.
    Ec(usize),
    Ed25519,
}

/// Each curve: its name, its object identifier, the length of a coordinate, and its algorithm.
const CURVES: [(&str, &[u8], usize, Algorithm); 3] = [
    (
        "P-256",
        b"\x2a\x86\x48\xce\x3d\x03\x01\x07",
        32,
        Algorithm::ES256,
    ),
    ("P-384", b"\x2b\x81\x04\x00\x22", 48, Algorithm::ES384),
    ("P-521", b"\x2b\x81\x04\x00\x23", 66, Algorithm::ES512),
];

const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
const ED25519: &[u8] = b"\x2b\x65\x70";

impl PublicKey {
    /// Reads a public JSON Web Key (RFC 7517), of which `kid` and `alg` are kept.
    ///
    /// # Errors
    /// [`Secret`](biped_core::ErrorKind::Secret) if it is not one of a supported type.
    pub fn from_jwk(text: &str) -> Result<Self, Error> {
        let jwk: Value = serde_json::from_str(text).map_err(|_| unknown())?;
        let member = |name: &str| {
            let text = jwk[name].as_str()?;
            URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
        };
        let found = match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
            (Some("RSA"), _) => {
                let key = member("n").zip(member("e"));
                key.map(|(n, e)| Self::of(KeyKind::Rsa, der::write_rsa_public(&n, &e)))
            }
            (Some("EC"), Some(name)) => {
                let curve = CURVES.iter().find(|(known, ..)| *known == name);
                let key = curve.zip(member("x").zip(member("y")));
                key.map(|((_, _, length, _), (x, y))| {
                    Self::of(KeyKind::Ec(*length), [&[4], &*x, &*y].concat())
                })
            }
            (Some("OKP"), Some("Ed25519")) => member("x").map(|x| Self::of(KeyKind::Ed25519, x)),
            _ => None,
        };
        let mut key = found.ok_or_else(unknown)?;
        key.kid = jwk["kid"].as_str().map(Into::into);
        let own = jwk["alg"].as_str().and_then(|alg| alg.parse().ok());
        key.algorithms.sort_by_key(|fit| Some(*fit) != own);
        Ok(key)
    }

    /// Reads a public key in PEM (`PUBLIC KEY`).
    ///
    /// # Errors
    /// [`Secret`](biped_core::ErrorKind::Secret) if it is not one of a supported type.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let blocks = pem_blocks(text.as_bytes());
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&blocks).map_err(|_| unknown())?;
        Self::from_der(&der).ok_or_else(unknown)
    }

    /// Reads a `SubjectPublicKeyInfo` (RFC 5280 §4.1).
    fn from_der(der: &[u8]) -> Option<Self> {
        let (info, _) = expect(SEQUENCE, der)?;
        let (algorithm, rest) = expect(SEQUENCE, info)?;
        let (bits, _) = expect(BITS, rest)?;
        let key = bits.strip_prefix(&[0])?.to_vec();
        let (id, parameters) = expect(OID, algorithm)?;
        let kind = match id {
            RSA => KeyKind::Rsa,
            ED25519 => KeyKind::Ed25519,
            EC => {
                let (curve, _) = expect(OID, parameters)?;
                let (.., length, _) = CURVES.iter().find(|(_, known, ..)| *known == curve)?;
                KeyKind::Ec(*length)
            }
            _ => return None,
        };
        Some(Self::of(kind, key))
    }

    #[cfg(feature = "pkcs11")]
    pub(super) fn of_rsa(n: &[u8], e: &[u8]) -> Self {
        Self::of(KeyKind::Rsa, der::write_rsa_public(n, e))
    }

    /// A key of ECDSA as PKCS#11 has it: the object identifier of the curve, and the point in an
    /// `OCTET STRING`, which some modules leave out.
    #[cfg(feature = "pkcs11")]
    pub(super) fn of_point(curve: &[u8], point: &[u8]) -> Option<Self> {
        let (curve, _) = expect(OID, curve)?;
        let (.., length, _) = CURVES.iter().find(|(_, known, ..)| *known == curve)?;
        let whole = 1 + 2 * length;
        let point = match expect(der::OCTETS, point) {
            Some((inner, [])) if inner.len() == whole => inner,
            _ => point,
        };
        (point.len() == whole && point[0] == 4)
            .then(|| Self::of(KeyKind::Ec(*length), point.to_vec()))
    }

    #[cfg(any(feature = "pkcs11", feature = "vault"))]
    pub(crate) fn of_edwards(point: &[u8]) -> Option<Self> {
        let point = match expect(der::OCTETS, point) {
            Some((inner, [])) if inner.len() == 32 => inner,
            _ => point,
        };
        (point.len() == 32).then(|| Self::of(KeyKind::Ed25519, point.to_vec()))
    }

    fn of(kind: KeyKind, der: Vec<u8>) -> Self {
        use Algorithm::*;
        let algorithms = match kind {
            KeyKind::Rsa => vec![RS256, PS256, RS384, PS384, RS512, PS512],
            KeyKind::Ec(length) => {
                let curves = CURVES.iter().filter(|(.., known, _)| *known == length);
                curves.map(|(.., alg)| *alg).collect()
            }
            KeyKind::Ed25519 => vec![EdDSA, Ed25519],
        };
        Self {
            kind,
            der,
            kid: None,
            algorithms,
        }
    }

    /// Sets the name of the key, which is in the header of assertions unless `kid` is configured.
    #[must_use]
    pub fn named(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// Limits the algorithms to those that the signer has, its default first. Those that don't fit the key
    /// are left out.
    #[must_use]
    pub fn signing_with(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let fitting = std::mem::take(&mut self.algorithms);
        let algorithms = algorithms.into_iter();
        self.algorithms = algorithms.filter(|alg| fitting.contains(alg)).collect();
        self
    }

    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        self.algorithms.clone()
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(super) fn kind(&self) -> KeyKind {
        self.kind
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether a signature has the length that RFC 7518 says.
    pub(crate) fn fits(&self, signature: &[u8]) -> bool {
        match self.kind {
            KeyKind::Rsa => signature.len() >= 256,
            KeyKind::Ec(length) => signature.len() == 2 * length,
            KeyKind::Ed25519 => signature.len() == 64,
        }
    }
}

fn unknown() -> Error {
    Error::secret("this is not a public key of RSA, P-256, P-384, P-521 or Ed25519")
        .with_remedy("expected PEM that begins with -----BEGIN PUBLIC KEY-----, or a JSON Web Key")
}
