//! Private keys as people have them: encrypted, in sets, mixed up with something else.

use biped_core::{Error, ErrorKind, SecretRef};
use biped_oauth2::OAuth2;
use serde_json::{Value, json};

use crate::server::{Server, field, header};

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!("../keys/", $name))
    };
}

/// The header of the assertion that the server gets, or the error if it gets none.
async fn signed(change: impl FnOnce(OAuth2) -> OAuth2) -> Result<Value, Error> {
    let server = Server::generous().await;
    let outcome = server.fetch(&change(server.client())).await;
    let requests = server.requests().await;
    outcome.inspect_err(|_| assert!(requests.is_empty()))?;
    let jwt = field(&requests[0], "client_assertion").unwrap();
    Ok(header(&jwt))
}

async fn signed_with(key: &str) -> Result<Value, Error> {
    signed(|client| client.key(SecretRef::inline(key))).await
}

async fn signed_by_encrypted(key: &str, password: &str) -> Result<Value, Error> {
    signed(|client| {
        client
            .key(SecretRef::inline(key))
            .key_password(SecretRef::inline(password))
    })
    .await
}

/// What the error says, one line that names the configuration's key.
fn told(outcome: Result<Value, Error>) -> String {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret, "{error}");
    assert!(!error.is_transient());
    let text = error.to_string();
    assert!(text.starts_with("key: "), "{text}");
    assert!(!text.contains('\n'));
    text
}

#[tokio::test]
async fn an_encrypted_key_is_opened_with_its_password() {
    for (key, alg) in [
        (key!("p256.encrypted.pem"), "ES256"),
        (key!("p256.encrypted.sha1-aes128.pem"), "ES256"),
        (key!("p256.encrypted.sha512-aes192.pem"), "ES256"),
        (key!("rsa.encrypted.sha384.pem"), "RS256"),
    ] {
        let header = signed_by_encrypted(key, "secret").await.unwrap();
        assert_eq!(header["alg"], alg);
    }
}

#[tokio::test]
async fn an_encrypted_key_says_what_it_takes_to_open_it() {
    let locked = told(signed_with(key!("p256.encrypted.pem")).await);
    assert!(locked.contains("key_password") && locked.contains("openssl pkey"));
    let wrong = told(signed_by_encrypted(key!("p256.encrypted.pem"), "PL4NTED").await);
    assert!(wrong.contains("check key_password") && !wrong.contains("PL4NTED"));
    for foreign in [
        key!("p256.encrypted.scrypt.pem"),
        key!("p256.encrypted.des3.pem"),
        key!("p256.encrypted.sec1.pem"),
    ] {
        for outcome in [
            signed_by_encrypted(foreign, "secret").await,
            signed_with(foreign).await,
        ] {
            assert!(told(outcome).contains("openssl pkcs8 -topk8 -v2 aes-256-cbc"));
        }
    }
}

#[tokio::test]
async fn a_key_that_is_not_encrypted_needs_no_password() {
    let header = signed_by_encrypted(key!("p256.pkcs8.pem"), "secret").await;
    assert_eq!(header.unwrap()["alg"], "ES256");
}

#[tokio::test]
async fn a_key_for_pss_alone_signs_with_it() {
    let header = signed_with(key!("rsa-pss.pkcs8.pem")).await;
    assert_eq!(header.unwrap()["alg"], "PS256");
}

#[tokio::test]
async fn newlines_may_be_written_out_and_come_from_windows() {
    let pem = key!("p256.pkcs8.pem");
    for text in [
        pem.trim().replace('\n', "\\n"),
        pem.replace('\n', "\\r\\n"),
        pem.replace('\n', "\r\n"),
        format!("Bag Attributes\n    friendlyName: crm\n{pem}"),
        format!("# crm\n{}\n", pem.trim().replace('\n', "\\n")),
    ] {
        assert_eq!(signed_with(&text).await.unwrap()["alg"], "ES256", "{text}");
    }
}

#[tokio::test]
async fn one_key_of_a_set_is_meant() {
    let jwk = |name: &str| -> Value { serde_json::from_str(name).unwrap() };
    let mut public = jwk(key!("rsa.jwk.json"));
    public.as_object_mut().unwrap().remove("d");
    let (p256, p384) = (jwk(key!("p256.jwk.json")), jwk(key!("p384.jwk.json")));

    let one = json!({ "keys": [public, p256] }).to_string();
    let header = signed_with(&one).await.unwrap();
    assert_eq!(
        (&header["alg"], &header["kid"]),
        (&json!("ES256"), &p256["kid"])
    );

    let several = json!({ "keys": [p256, p384] }).to_string();
    let kid = p384["kid"].as_str().unwrap();
    let named = signed(|client| client.key(SecretRef::inline(several.as_str())).kid(kid)).await;
    assert_eq!(named.unwrap()["alg"], "ES384");
    assert!(told(signed_with(&several).await).contains("set kid"));
    let unknown = signed(|client| client.key(SecretRef::inline(several.as_str())).kid("k-9")).await;
    assert!(told(unknown).contains("kid"));
    let none = json!({ "keys": [public] }).to_string();
    assert!(told(signed_with(&none).await).contains("private key"));
}

#[tokio::test]
async fn what_was_given_in_place_of_a_private_key_is_named() {
    let mut numbers: Value = serde_json::from_str(key!("rsa.jwk.json")).unwrap();
    numbers.as_object_mut().unwrap().remove("qi");
    for (key, named) in [
        (key!("rsa.public.pem").to_owned(), "public key"),
        (key!("rsa.certificate.pem").to_owned(), "certificate"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----".into(),
            "OpenSSH",
        ),
        (key!("rsa.pkcs8.pem")[..200].to_owned(), "line breaks"),
        (key!("rsa.pkcs8.pem").replace('\n', " "), "line breaks"),
        (r#"{"kty":"oct","k":"c2VjcmV0"}"#.into(), "client_secret"),
        (numbers.to_string(), "lacks"),
        (r#"{"kty":"EC","crv":"secp256k1","d":"AA"}"#.into(), "P-256"),
        ("hunter2".into(), "PKCS#8"),
    ] {
        let text = told(signed_with(&key).await);
        assert!(text.contains(named), "{named}: {text}");
    }
}

#[tokio::test]
async fn a_dpop_key_that_is_none_is_told_by_its_own_name() {
    let server = Server::generous().await;
    let provider = server
        .client_with_secret()
        .dpop_key(SecretRef::inline(key!("p256.encrypted.pem")));
    let error = server.fetch(&provider).await.unwrap_err();
    assert!(error.to_string().starts_with("dpop_key: "), "{error}");
}
