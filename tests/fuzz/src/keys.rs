//! Private keys, certificates and JWTs may be anything: reading one returns it or an error that shows
//! none of it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_config::{ConfigTable, ConfigValue, Origin, ProviderConfig, Value};
use biped_core::{
    Error, FetchContext, HttpClient, SecretString, SystemClock, TokenRequest, async_trait,
    pem_blocks,
};
use biped_sources::{Claims, KeySource, PublicKey, SigningKey, fuzzing, key_of_certificate};
use bytes::Bytes;

use crate::input::{line, wait};

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

/// The public half of a key that signs elsewhere.
pub(crate) fn public_keys(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = PublicKey::from_pem(text);
        let _ = PublicKey::from_jwk(text);
    }
}

/// What a signing command prints: ECDSA has both numbers, each as long as a coordinate.
pub(crate) fn signatures(data: &[u8]) {
    for length in [32, 48, 66] {
        if let Some(signature) = fuzzing::ecdsa(data, length) {
            assert_eq!(signature.len(), 2 * length);
        }
    }
}

/// Which key of which token (RFC 7512): no PIN and no module is shown.
pub(crate) fn pkcs11_uris(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(shown) = fuzzing::pkcs11(text) {
        assert!(text.starts_with(&shown) && !shown.contains('?'), "{shown}");
    }
    if let Some(shown) = fuzzing::agent(text) {
        assert!(shown.starts_with("Unix(") || shown.starts_with("Tcp("));
    }
}

#[derive(Debug)]
struct Refusing;

#[async_trait]
impl HttpClient for Refusing {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        // The file does not choose where the assertion goes.
        assert_eq!(request.uri(), "https://login.example/token");
        Err(Error::unreachable("this test has no network"))
    }
}

/// The key file of a Google service account. Its error shows no long word of it.
pub(crate) fn google_key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let entry = "token_endpoint = 'https://login.example/token'\ngrant = 'jwt_bearer'\n\
                 assertion = { google_key = 'file' }";
    let table = ConfigTable::from_toml("biped.toml".as_ref(), entry).unwrap();
    let mut values = table.into_values();
    let file = ConfigValue {
        raw: Value::Text(format!("inline:{text}")),
        origin: Origin::Builder,
    };
    let assertion = values.get_mut("assertion").unwrap();
    assertion.raw = Value::Table([("google_key".to_owned(), file)].into());
    let config = ProviderConfig::new("fuzz", "oauth2", Origin::Builder, values);
    // An empty text is not a secret.
    let Ok(provider) = biped_oauth2::kind().build(&config) else {
        return;
    };
    let cx = FetchContext::new(&Refusing, &SystemClock);
    let request = TokenRequest::new();
    let error = wait(provider.fetch(&request, &cx)).unwrap_err();
    let shown = format!("{error} {error:?}");
    let (first, _) = line(shown.as_bytes());
    assert!(!first.is_empty());
    let mut words = text.split(|it: char| it.is_ascii_whitespace() || it == '"');
    assert_eq!(
        words.find(|word| word.len() > 40 && shown.contains(word)),
        None
    );
}
