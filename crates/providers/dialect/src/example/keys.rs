//! Private keys for examples, generated on demand: no vendor file has to contain one.

use std::sync::OnceLock;

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair,
    },
};
use base64::Engine as _;
use biped_core::Error;

/// Returns a value of an example. `generate:rsa`, `generate:p256`, `generate:p384` and
/// `generate:ed25519` become a new private key in PEM; any other value is returned as it is.
pub(crate) fn example(text: &str) -> Result<String, Error> {
    static RSA: OnceLock<Option<String>> = OnceLock::new();
    let made = match text.strip_prefix("generate:") {
        // Generating an RSA key takes long, so all examples share one.
        Some("rsa") => RSA.get_or_init(rsa).clone(),
        Some("p256") => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Some("p384") => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Some("ed25519") => ed25519(),
        _ => Some(text.to_owned()),
    };
    made.ok_or_else(|| Error::internal("the key of an example can't be generated"))
}

fn rsa() -> Option<String> {
    let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().ok()?;
    Some(pem(der.as_ref()))
}

fn ec(algorithm: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm) -> Option<String> {
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).ok()?;
    Some(pem(document.as_ref()))
}

fn ed25519() -> Option<String> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
    Some(pem(document.as_ref()))
}

fn pem(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out.push_str("-----END PRIVATE KEY-----\n");
    out
}
