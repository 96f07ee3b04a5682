//! Private keys, certificates and JWTs may be anything: reading one returns it or an error that shows
//! none of it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{SecretString, pem_blocks};
use biped_sources::{Claims, KeySource, SigningKey, key_of_certificate};

pub(crate) fn keys(data: &[u8]) {
    let _ = key_of_certificate(data);
    let _ = pem_blocks(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let secret = SecretString::from(text.to_owned());
    let password = SecretString::from("password");
    let source = KeySource {
        name: "key",
        password: Some(&password),
        kid: None,
    };
    match SigningKey::read(&secret, source) {
        Ok(key) => {
            for alg in key.algorithms() {
                let header = serde_json::Map::new().into();
                let _ = key.jws(alg, header, &serde_json::json!({ "iss": "c" }));
            }
        }
        Err(error) => {
            // Long enough to be no word of the message.
            let shown = format!("{error} {error:?}");
            let words = text.split_ascii_whitespace();
            let found = words
                .filter(|word| word.len() > 32)
                .find(|word| shown.contains(word));
            assert_eq!(found, None);
        }
    }
}

pub(crate) fn claims(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = format!("{:?}", Claims::of(text));
    // The text as the claims of a token.
    let claims = URL_SAFE_NO_PAD.encode(text);
    let _ = format!("{:?}", Claims::of(&format!("e30.{claims}.e30")));
}
