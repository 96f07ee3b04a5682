//! A private key as a JSON Web Key (RFC 7517).

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey};
use serde_json::Value;
use zeroize::Zeroizing;

/// A JSON Web Key. Its members are secret.
pub(super) struct Jwk(Value);

/// Finds a JSON Web Key in a text: its JSON, or that JSON in base64.
pub(super) fn find(text: &str) -> Option<Jwk> {
    let text = text.trim();
    let decoded;
    let text = if text.starts_with('{') {
        text
    } else {
        let bare = text.trim_end_matches('=');
        let bytes = URL_SAFE_NO_PAD
            .decode(bare)
            .or_else(|_| STANDARD.decode(text))
            .ok()?;
        decoded = Zeroizing::new(String::from_utf8(bytes).ok()?);
        decoded.as_str()
    };
    let value: Value = serde_json::from_str(text).ok()?;
    value.get("kty")?.as_str()?;
    Some(Jwk(value))
}

impl Jwk {
    /// Returns the key's own name.
    pub(super) fn kid(&self) -> Option<String> {
        self.text("kid").map(str::to_owned)
    }

    /// Returns the key for an algorithm; `None` if it does not fit.
    pub(super) fn signer(&self, alg: Algorithm) -> Option<EncodingKey> {
        match (alg.family(), self.text("kty")?) {
            (AlgorithmFamily::Hmac, "oct") => Some(EncodingKey::from_secret(&self.bytes("k")?)),
            (AlgorithmFamily::Ed, "OKP") => {
                let pair =
                    Ed25519KeyPair::from_seed_and_public_key(&self.bytes("d")?, &self.bytes("x")?);
                let document = pair.ok()?.to_pkcs8v1().ok()?;
                Some(EncodingKey::from_ed_der(document.as_ref()))
            }
            (AlgorithmFamily::Ec, "EC") => {
                let (curve, name) = match alg {
                    Algorithm::ES384 => (&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
                    _ => (&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
                };
                if self.text("crv")? != name {
                    return None;
                }
                // An uncompressed point (SEC 1 §2.3.3).
                let mut public = vec![4];
                public.extend_from_slice(&self.bytes("x")?);
                public.extend_from_slice(&self.bytes("y")?);
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    curve,
                    &self.bytes("d")?,
                    &public,
                );
                let document = pair.ok()?.to_pkcs8v1().ok()?;
                Some(EncodingKey::from_ec_der(document.as_ref()))
            }
            (AlgorithmFamily::Rsa, "RSA") => self.rsa(),
            _ => None,
        }
    }

    fn rsa(&self) -> Option<EncodingKey> {
        let components = rsa::KeyPairComponents {
            public_key: rsa::PublicKeyComponents {
                n: self.bytes("n")?,
                e: self.bytes("e")?,
            },
            d: self.bytes("d")?,
            p: self.bytes("p")?,
            q: self.bytes("q")?,
            dP: self.bytes("dp")?,
            dQ: self.bytes("dq")?,
            qInv: self.bytes("qi")?,
        };
        let pair = rsa::KeyPair::from_components(&components).ok()?;
        let der = pair.as_der().ok()?;
        let text = Zeroizing::new(STANDARD.encode(der.as_ref()));
        let pem = Zeroizing::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            *text
        ));
        EncodingKey::from_rsa_pem(pem.as_bytes()).ok()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    fn bytes(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let text = self.text(name)?.trim_end_matches('=');
        URL_SAFE_NO_PAD.decode(text).ok().map(Zeroizing::new)
    }
}
