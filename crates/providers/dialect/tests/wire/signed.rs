//! JWTs that are the token themselves, what their headers say, and keys in other forms.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{digest, signature};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{ErrorKind, SecretRef, TokenRequest};
use biped_engine::TokenManager;
use biped_reqwest::{ApiClient, TokenClient};
use biped_testing::ManualClock;
use serde_json::{Value, json};

use crate::server::{Sent, Server};

/// Made for these tests with openssl and node.
const KEY_AND_CERTIFICATE: &str = include_str!("../data/key_and_certificate.pem");
const RSA: &str = include_str!("../data/rsa.jwk");
/// RFC 8037 appendix A.1.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed-1",
    "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// RFC 7515 appendix A.3.
const P256: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Header and claims.
fn opened(jwt: &str) -> (Value, Value) {
    let parts: Vec<_> = jwt.split('.').collect();
    let json = |part| serde_json::from_slice(&decoded(part)).unwrap();
    (json(parts[0]), json(parts[1]))
}

/// Checks the signature with the public part of a JSON Web Key.
fn verify(jwt: &str, jwk: &str) {
    let jwk: Value = serde_json::from_str(jwk).unwrap();
    let part = |name: &str| decoded(jwk[name].as_str().unwrap());
    let (message, signed) = jwt.rsplit_once('.').unwrap();
    let (message, signed) = (message.as_bytes(), decoded(signed));
    let verified = match jwk["kty"].as_str().unwrap() {
        "OKP" => signature::UnparsedPublicKey::new(&signature::ED25519, part("x"))
            .verify(message, &signed),
        "EC" => {
            let point = [vec![4], part("x"), part("y")].concat();
            signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                .verify(message, &signed)
        }
        _ => aws_lc_rs::rsa::PublicKeyComponents {
            n: part("n"),
            e: part("e"),
        }
        .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, &signed),
    };
    verified.unwrap();
}

const TOKEN: &str = r#"
auth = "jwt"
[jwt]
alg = "ES256"
key = "{key}"
use = "token"
lifetime = 3600
kid = "k-1"
header = { typ = "at+jwt", tenant = "{client_id}", level = 7 }
claims = { iss = "{client_id}", scope = "{scope}", aud = "snow" }
[attach]
headers = { Authorization = "Bearer {token}", X-Token-Type = "KEYPAIR_JWT" }
"#;

async fn api_calls(server: &Server) -> Vec<String> {
    let calls = server.requests().await.into_iter().map(|call| {
        assert_eq!(call.url.path(), "/api");
        assert_eq!(call.headers["x-token-type"], "KEYPAIR_JWT");
        let call = Sent(call);
        let value = call.header("authorization").unwrap();
        value.strip_prefix("Bearer ").unwrap().to_owned()
    });
    calls.collect()
}

#[tokio::test]
async fn a_jwt_that_is_the_token_needs_no_request_and_is_renewed() {
    let server = Server::answering(200, json!({})).await;
    let clock = Arc::new(ManualClock::new());
    let vendor = server.vendor(TOKEN).param("key", SecretRef::inline(P256));
    let source = TokenManager::builder(Arc::new(TokenClient::new().unwrap()))
        .clock(clock.clone())
        .build()
        .source(
            Arc::new(vendor.build().unwrap()),
            TokenRequest::new().scope("read"),
        )
        .with_api_base_url(Some(server.0.uri().parse().unwrap()));
    let api = ApiClient::new(source).unwrap();
    for _ in 0..2 {
        api.get("/api").send().await.unwrap();
    }
    clock.advance(Duration::from_secs(3600));
    api.get("/api").send().await.unwrap();

    let tokens = api_calls(&server).await;
    assert_eq!(tokens[0], tokens[1]);
    assert_ne!(tokens[1], tokens[2]);
    for token in &tokens {
        verify(token, P256);
    }
    let (header, claims) = opened(&tokens[0]);
    assert_eq!(
        header,
        json!({ "typ": "at+jwt", "alg": "ES256", "kid": "k-1", "tenant": "client 7", "level": 7 })
    );
    assert_eq!(claims["iss"], "client 7");
    assert_eq!(claims["scope"], "read");
    let (_, renewed) = opened(&tokens[2]);
    assert_eq!(
        renewed["iat"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        3600
    );
}

#[tokio::test]
async fn its_life_is_that_of_its_claims() {
    let server = Server::empty().await;
    let vendor = |text: &str| server.vendor(text).param("key", SecretRef::inline(P256));
    let request = TokenRequest::new();
    let token = server.fetch(vendor(TOKEN), &request).await.unwrap();
    // It is dated back for a vendor whose clock is behind.
    assert!((3530..=3540).contains(&token.lifetime().unwrap().as_secs()));
    let short = TOKEN.replace("aud = \"snow\"", "exp = { number = \"{now+2m}\" }");
    let token = server.fetch(vendor(&short), &request).await.unwrap();
    assert!((110..=120).contains(&token.lifetime().unwrap().as_secs()));
    assert!(server.requests().await.is_empty());
}

#[tokio::test]
async fn a_header_names_the_certificate_beside_the_key() {
    let server = Server::giving_tokens().await;
    let dialect = |more: &str| {
        format!(
            "url = \"{{origin}}/token\"\nauth = \"jwt\"\n[jwt]\nalg = \"ES256\"\nkey = \"{{key}}\"\n\
             x5t = true\n{more}"
        )
    };
    let body = KEY_AND_CERTIFICATE
        .split_once("-----BEGIN CERTIFICATE-----")
        .unwrap()
        .1
        .replace("-----END CERTIFICATE-----", "")
        .replace('\n', "");
    let der = base64::engine::general_purpose::STANDARD
        .decode(body)
        .unwrap();
    let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &der);
    let expected = URL_SAFE_NO_PAD.encode(sha1);
    let (key, certificate) = KEY_AND_CERTIFICATE.split_at(
        KEY_AND_CERTIFICATE
            .find("-----BEGIN CERTIFICATE-----")
            .unwrap(),
    );
    let request = TokenRequest::new();
    let beside = server.vendor(&dialect("")).param(
        "key",
        SecretRef::inline(KEY_AND_CERTIFICATE.replace('\n', "\\n")),
    );
    let apart = server
        .vendor(&dialect("certificate = \"{certificate}\""))
        .param("key", SecretRef::inline(key))
        .param("certificate", SecretRef::inline(certificate));
    for vendor in [beside, apart] {
        server.fetch(vendor, &request).await.unwrap();
        let sent = server.last().await;
        let form: Vec<_> = url::form_urlencoded::parse(sent.body().as_bytes()).collect();
        let assertion = form.iter().find(|(name, _)| name == "client_assertion");
        let (header, _) = opened(&assertion.unwrap().1);
        assert_eq!(header["x5t"], expected);
    }
    let without = server
        .vendor(&dialect(""))
        .param("key", SecretRef::inline(key));
    let error = server.fetch(without, &request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
}

#[tokio::test]
async fn a_key_may_be_a_json_web_key() {
    let server = Server::empty().await;
    let request = TokenRequest::new();
    for (alg, jwk) in [("EdDSA", ED25519), ("ES256", P256), ("RS256", RSA)] {
        for text in [jwk.to_owned(), URL_SAFE_NO_PAD.encode(jwk)] {
            let dialect = format!(
                "auth = \"jwt\"\njwt = {{ alg = \"{alg}\", key = \"{{key}}\", use = \"token\" }}"
            );
            let vendor = server
                .vendor(&dialect)
                .param("key", SecretRef::inline(text));
            let token = server.fetch(vendor, &request).await.unwrap();
            let text = biped_core::ExposeSecret::expose_secret(&token).to_owned();
            verify(&text, jwk);
            let (header, _) = opened(&text);
            let kid: Value = serde_json::from_str::<Value>(jwk).unwrap()["kid"].clone();
            assert_eq!(header.get("kid").cloned().unwrap_or_default(), kid);
        }
    }
    // A key of another kind does not fit, and is not quoted.
    let dialect = "auth = \"jwt\"\njwt = { alg = \"ES384\", key = \"{key}\", use = \"token\" }";
    let vendor = server.vendor(dialect).param("key", SecretRef::inline(P256));
    let error = server.fetch(vendor, &request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(!format!("{error:?}").contains("jpsQnn"));
}

#[tokio::test]
async fn a_secret_loses_its_prefix() {
    let server = Server::empty().await;
    let request = TokenRequest::new();
    let dialect = "auth = \"jwt\"\njwt = { alg = \"EdDSA\", key = \"{client_secret}\", \
                   use = \"token\", prefix = \"secret-token:c1.example:v1:\" }";
    let secret = |text: String| {
        server
            .vendor(dialect)
            .client_secret(SecretRef::inline(text))
    };
    let whole = format!(
        "secret-token:c1.example:v1:{}",
        URL_SAFE_NO_PAD.encode(ED25519)
    );
    let token = server.fetch(secret(whole), &request).await.unwrap();
    verify(biped_core::ExposeSecret::expose_secret(&token), ED25519);
    let bare = secret(URL_SAFE_NO_PAD.encode(ED25519));
    let error = server.fetch(bare, &request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(error.to_string().contains("secret-token:c1.example:v1:"));
}
