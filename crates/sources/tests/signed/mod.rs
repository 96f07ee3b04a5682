//! Verifies signatures with the public half of a key.

use jsonwebtoken::{DecodingKey, Validation};

/// Whether the key of this name, whose public half is `pem`, signed the assertion.
pub(crate) fn is_valid(jwt: &str, name: &str, pem: &str) -> bool {
    if name == "p521" {
        return is_valid_es512(jwt, pem);
    }
    let pem = pem.as_bytes();
    let key = match name {
        "rsa" => DecodingKey::from_rsa_pem(pem),
        "ed25519" => DecodingKey::from_ed_pem(pem),
        _ => DecodingKey::from_ec_pem(pem),
    };
    let alg = jsonwebtoken::decode_header(jwt).unwrap().alg;
    let validation = Validation::new(alg);
    jsonwebtoken::decode::<serde_json::Value>(jwt, &key.unwrap(), &validation).is_ok()
}

/// That crate does not know ES512.
fn is_valid_es512(jwt: &str, pem: &str) -> bool {
    use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};

    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).unwrap();
    let point = &der[der.len() - 133..];
    let (message, signature) = jwt.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point);
    key.verify(message.as_bytes(), &signature).is_ok()
}
