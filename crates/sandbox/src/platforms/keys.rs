//! Keys that sign the platforms' tokens, and what a verified token says.

use std::io;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Map, Value, json};

/// The claims of a JWT.
pub(super) type Claims = Map<String, Value>;

/// A key pair of the curve P-256, which lives as long as the sandbox.
pub(super) struct Key {
    id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    /// The public point: x and y.
    public: Vec<u8>,
    pkcs8: Vec<u8>,
}

impl Key {
    pub(super) fn generate(id: &str) -> io::Result<Self> {
        let failed = |_| io::Error::other("a key can't be generated");
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(failed)?;
        let pkcs8 = document.as_ref().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8)
            .map_err(io::Error::other)?;
        // The first byte says that the point is not compressed.
        let public = pair.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = public.split_at(public.len() / 2);
        let coordinates = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        let verifying = DecodingKey::from_ec_components(&coordinates[0], &coordinates[1])
            .map_err(io::Error::other)?;
        Ok(Self {
            id: id.to_owned(),
            signing: EncodingKey::from_ec_der(&pkcs8),
            verifying,
            public: public.to_vec(),
            pkcs8,
        })
    }

    /// The private key as PEM (PKCS#8).
    pub(super) fn pem(&self) -> String {
        let encoded = STANDARD.encode(&self.pkcs8);
        let lines = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy);
        let lines: Vec<_> = lines.collect();
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        )
    }

    /// The public key as a JSON Web Key (RFC 7517).
    pub(super) fn jwk(&self) -> Value {
        let (x, y) = self.public.split_at(self.public.len() / 2);
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// A JWT with these claims.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        // Signing with a key that was generated here can't fail.
        encode(&header, claims, &self.signing).unwrap_or_default()
    }

    /// The claims of a JWT, if this key has signed it.
    pub(super) fn open(&self, jwt: &str) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::ES256);
        // Time and audience are judged with the sandbox's clock and by what a token is for.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let decoded = decode::<Claims>(jwt, &self.verifying, &validation).ok()?;
        Some(decoded.claims)
    }
}

/// Whom a JWT names as its issuer, whose key then verifies it.
pub(super) fn named_issuer(jwt: &str) -> Option<String> {
    let claims = jwt.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Some(claims.get("iss")?.as_str()?.to_owned())
}

/// Whether claims name one of these audiences.
pub(super) fn is_for(claims: &Claims, audiences: &[&str]) -> bool {
    let named = |value: &Value| value.as_str().is_some_and(|it| audiences.contains(&it));
    match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(named),
        Some(one) => named(one),
        None => false,
    }
}
