//! JWTs in all their uses.

use base64::Engine as _;
use biped_core::{ErrorKind, SecretRef, TokenRequest};
use serde_json::{Value, json};

use crate::server::{Sent, Server};

fn dialect(jwt: &str, more: &str) -> String {
    format!(
        "url = \"{{origin}}/token\"\nauth = \"jwt\"\n{more}\n[jwt]\nalg = \"HS256\"\n\
         key = \"{{client_secret}}\"\n{jwt}"
    )
}

fn field(sent: &Sent, name: &str) -> String {
    url::form_urlencoded::parse(sent.body().as_bytes())
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Header and claims, after the signature was found good.
fn opened(jwt: &str, secret: &str) -> (Value, Value) {
    let parts: Vec<_> = jwt.split('.').collect();
    assert_eq!(parts.len(), 3, "{jwt}");
    let decode = |part: &str| {
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(part)
            .unwrap()
    };
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let signed = format!("{}.{}", parts[0], parts[1]);
    aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &decode(parts[2])).unwrap();
    let json = |part| serde_json::from_slice(&decode(part)).unwrap();
    (json(parts[0]), json(parts[1]))
}

#[tokio::test]
async fn the_client_asserts_itself() {
    let server = Server::giving_tokens().await;
    let jwt = "kid = \"k-{client_id}\"\nlifetime = 60\n\
               claims = { iss = \"{client_id}\", aud = \"{url}\", n = 1, list = [\"a\"] }";
    let sent = server.sent(&dialect(jwt, "")).await;
    assert_eq!(field(&sent, "grant_type"), "client_credentials");
    assert_eq!(
        field(&sent, "client_assertion_type"),
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert_eq!(field(&sent, "client_secret"), "");
    let (header, claims) = opened(&field(&sent, "client_assertion"), crate::server::SECRET);
    assert_eq!(
        header,
        json!({ "typ": "JWT", "alg": "HS256", "kid": "k-client 7" })
    );
    assert_eq!(claims["iss"], "client 7");
    assert_eq!(claims["aud"], format!("{}/token", server.0.uri()));
    assert_eq!(claims["n"], 1);
    assert_eq!(claims["list"], json!(["a"]));
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life, 60);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 36);
    // A vendor whose clock is behind must not see the future.
    let now = biped_core::Clock::now(&biped_core::SystemClock)
        .wall
        .unix_seconds();
    assert!(claims["iat"].as_i64().unwrap() < now);
}

#[tokio::test]
async fn a_jwt_is_dated_back_by_a_minute_and_by_no_more_than_half_its_life() {
    for (lifetime, backdated) in [("", 60), ("lifetime = 180", 60), ("lifetime = 20", 10)] {
        let server = Server::giving_tokens().await;
        let before = now();
        let sent = server.sent(&dialect(lifetime, "")).await;
        let (_, claims) = opened(&field(&sent, "client_assertion"), crate::server::SECRET);
        let issued = claims["iat"].as_i64().unwrap();
        let range = before - backdated..=now() - backdated;
        assert!(range.contains(&issued), "{lifetime}");
        assert!(claims["exp"].as_i64().unwrap() > before, "{lifetime}");
    }
}

fn now() -> i64 {
    let clock = biped_core::Clock::now(&biped_core::SystemClock);
    clock.wall.unix_seconds()
}

#[tokio::test]
async fn a_signed_jwt_is_not_in_the_error_that_it_was_refused_with() {
    let server = Server::empty().await;
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(|request: &wiremock::Request| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let answer = json!({ "error": "invalid_grant", "error_description": body });
            wiremock::ResponseTemplate::new(400).set_body_json(answer)
        })
        .mount(&server.0)
        .await;
    let source = server.source(server.vendor(&dialect("use = \"grant\"", "")));
    let error = source.token().await.unwrap_err().to_string();
    assert!(error.contains("assertion=[redacted]"), "{error}");
}

#[tokio::test]
async fn a_key_may_be_as_openssl_writes_it() {
    // Made for this test: `openssl ecparam -name prime256v1 -genkey -noout`.
    let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBEVpOAEMVgJOLOfHbwrSumbKSiGPKSQX9cq+amYYd0goAoGCCqGSM49\nAwEHoUQDQgAEHylmnElquHVvfLcJrmIVshLgeGRRlUuVi1shzWH6cRtGLpn8p2LM\nrTit6hft+5z5SyDtqAuijKmSJvIFtGtIaQ==\n-----END EC PRIVATE KEY-----";
    let server = Server::giving_tokens().await;
    let dialect =
        "url = \"{origin}/token\"\nauth = \"jwt\"\njwt = { alg = \"ES256\", key = \"{key}\" }";
    let vendor = |key: &str| server.vendor(dialect).param("key", SecretRef::inline(key));
    let request = TokenRequest::new();
    server.fetch(vendor(key), &request).await.unwrap();
    let sent = field(&server.last().await, "client_assertion");
    assert_eq!(sent.split('.').count(), 3);
    for other in [
        key.replace('\n', "\\n"),
        key.replace('\n', "\\r\\n"),
        format!("# the key\n{key}"),
    ] {
        server.fetch(vendor(&other), &request).await.unwrap();
    }
    let broken = key.replace("MHc", "MHd");
    let error = server.fetch(vendor(&broken), &request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
}

#[tokio::test]
async fn a_jwt_may_be_the_grant_the_secret_the_bearer_or_any_field() {
    let server = Server::giving_tokens().await;
    let jwt = |used: &str| format!("use = \"{used}\"\nclaims = {{ iss = \"{{client_id}}\" }}");

    let sent = server.sent(&dialect(&jwt("grant"), "")).await;
    assert_eq!(
        field(&sent, "grant_type"),
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    );
    opened(&field(&sent, "assertion"), crate::server::SECRET);

    let sent = server.sent(&dialect(&jwt("secret"), "")).await;
    assert_eq!(field(&sent, "client_id"), "client 7");
    opened(&field(&sent, "client_secret"), crate::server::SECRET);

    let sent = server
        .sent(&dialect(&jwt("bearer"), "encoding = \"none\""))
        .await;
    let bearer = sent
        .header("authorization")
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap();
    opened(bearer, crate::server::SECRET);
    assert_eq!(sent.body(), "");

    let more = "encoding = \"json\"\ngrant_type = false";
    let sent = server.sent(&dialect(&jwt("field:/auth/token"), more)).await;
    opened(
        sent.json()["auth"]["token"].as_str().unwrap(),
        crate::server::SECRET,
    );
}

#[tokio::test]
async fn claims_of_the_file_take_the_place_of_those_that_are_added() {
    let server = Server::giving_tokens().await;
    let jwt = "claims = { iat = { number = \"{now-1h}\" }, jti = \"mine\" }";
    let sent = server.sent(&dialect(jwt, "")).await;
    let (_, claims) = opened(&field(&sent, "client_assertion"), crate::server::SECRET);
    assert_eq!(claims["jti"], "mine");
    assert!(claims["iat"].as_i64().unwrap() < claims["exp"].as_i64().unwrap() - 3600);
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_told_without_its_text() {
    let server = Server::giving_tokens().await;
    for alg in ["RS256", "PS512", "ES256", "ES384", "EdDSA"] {
        for key in [
            "pl4nted",
            "-----BEGIN PRIVATE KEY-----\npl4ntedpl4nted\n-----END PRIVATE KEY-----\n",
        ] {
            let dialect = format!(
                "url = \"{{origin}}/token\"\nauth = \"jwt\"\njwt = {{ alg = \"{alg}\", key = \"{{key}}\" }}"
            );
            let vendor = server.vendor(&dialect).param("key", SecretRef::inline(key));
            let error = server
                .fetch(vendor, &TokenRequest::new())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Secret, "{alg}");
            assert!(
                !format!("{error} {error:?}").contains("pl4nted"),
                "{error:?}"
            );
        }
    }
    assert!(server.requests().await.is_empty());
}
