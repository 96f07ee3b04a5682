//! Every method of client authentication.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use biped_core::{Error, ErrorKind, Provider as _, SecretRef};
use biped_oauth2::{Algorithm, BasicEncoding, ClientAuthentication, OAuth2};
use jsonwebtoken::{DecodingKey, Validation};
use wiremock::Request;

use crate::server::{CLIENT, SECRET, Server, claims, field, header, json_answer, now};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!("../keys/", $name))
    };
}

/// What the server decodes from a Basic header.
fn basic(request: &Request) -> String {
    let value = request.headers["authorization"].to_str().unwrap();
    let pair = STANDARD
        .decode(value.strip_prefix("Basic ").unwrap())
        .unwrap();
    String::from_utf8(pair).unwrap()
}

#[tokio::test]
async fn basic_escapes_what_most_servers_unescape() {
    let server = Server::generous().await;
    server.fetch(&server.client_with_secret()).await.unwrap();
    let requests = server.requests().await;
    assert_eq!(
        basic(&requests[0]),
        "client-7:p%20%25%26%3A%2B~%2F-._%2A%C3%A9"
    );
    assert_eq!(field(&requests[0], "client_id"), None);
    assert_eq!(field(&requests[0], "client_secret"), None);
}

#[tokio::test]
async fn basic_can_be_written_as_in_a_form_or_as_it_is() {
    let server = Server::generous().await;
    for (encoding, expected) in [
        (
            BasicEncoding::Form,
            "client-7:p+%25%26%3A%2B%7E%2F-._*%C3%A9".to_owned(),
        ),
        (BasicEncoding::Raw, format!("client-7:{SECRET}")),
    ] {
        let provider = server.client_with_secret().basic_encoding(encoding);
        server.fetch(&provider).await.unwrap();
        assert_eq!(basic(server.requests().await.last().unwrap()), expected);
    }
}

#[tokio::test]
async fn an_identifier_with_a_colon_is_not_sent_raw() {
    let server = Server::generous().await;
    let provider = OAuth2::at(server.url("/token"), SecretRef::inline("a:b"))
        .client_secret(SecretRef::inline("s"))
        .basic_encoding(BasicEncoding::Raw);
    let error = server.fetch(&provider).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn post_has_identifier_and_secret_in_the_form() {
    let server = Server::generous().await;
    let secret = SecretRef::inline(SECRET);
    let provider = server
        .client()
        .client_authentication(ClientAuthentication::client_secret_post(secret));
    server.fetch(&provider).await.unwrap();
    assert_eq!(
        server.body().await,
        "grant_type=client_credentials&client_id=client-7\
         &client_secret=p+%25%26%3A%2B%7E%2F-._*%C3%A9"
    );
    assert!(
        !server.requests().await[0]
            .headers
            .contains_key("authorization")
    );
}

#[tokio::test]
async fn a_chosen_method_goes_before_all_other_credentials() {
    let server = Server::generous().await;
    let secret = SecretRef::inline("the chosen one");
    let provider = server
        .client_with_secret()
        .key(SecretRef::inline(key!("p256.pkcs8.pem")))
        .client_authentication(ClientAuthentication::client_secret_post(secret));
    server.fetch(&provider).await.unwrap();
    assert_eq!(
        server.body().await,
        "grant_type=client_credentials&client_id=client-7&client_secret=the+chosen+one"
    );
}

#[test]
fn a_chosen_certificate_is_presented() {
    let pem = || SecretRef::inline("pem");
    let provider = || {
        let endpoint = url::Url::parse("https://login.example/token").unwrap();
        OAuth2::at(endpoint, SecretRef::inline(CLIENT))
    };
    for method in [
        ClientAuthentication::tls_client_auth(pem(), pem()),
        ClientAuthentication::self_signed_tls_client_auth(pem(), pem()),
    ] {
        let chosen = provider().client_authentication(method);
        assert!(chosen.client_identity().is_some());
        assert_ne!(
            chosen.id(),
            provider().id(),
            "its tokens rest on the certificate"
        );
    }
}

#[tokio::test]
async fn none_sends_the_identifier_alone() {
    let server = Server::generous().await;
    server.fetch(&server.client()).await.unwrap();
    assert_eq!(
        server.body().await,
        "grant_type=client_credentials&client_id=client-7"
    );
}

/// Fetches, and gives the assertion that was sent after checking what is the same in all.
async fn assertion(server: &Server, provider: &OAuth2) -> String {
    server.fetch(provider).await.unwrap();
    let requests = server.requests().await;
    let request = requests.last().unwrap();
    assert!(!request.headers.contains_key("authorization"));
    assert_eq!(field(request, "client_secret"), None);
    assert_eq!(field(request, "client_id").as_deref(), Some(CLIENT));
    assert_eq!(
        field(request, "client_assertion_type").as_deref(),
        Some(ASSERTION_TYPE)
    );
    let jwt = field(request, "client_assertion").unwrap();
    let said = claims(&jwt);
    assert_eq!(said["iss"], CLIENT);
    assert_eq!(said["sub"], CLIENT);
    // Servers that check it may have a clock that is a minute behind.
    assert!(said["iat"].as_i64().unwrap() <= now() - 60);
    assert!(said["iat"].as_i64().unwrap() > now() - 90);
    assert!(said["exp"].as_i64().unwrap() > now());
    assert!(said["exp"].as_i64().unwrap() <= now() + 300);
    jwt
}

/// Whether somebody else's code finds the signature good.
fn is_signed(jwt: &str, key: &DecodingKey) -> bool {
    let alg = jsonwebtoken::decode_header(jwt).unwrap().alg;
    let mut validation = Validation::new(alg);
    validation.validate_aud = false;
    jsonwebtoken::decode::<serde_json::Value>(jwt, key, &validation).is_ok()
}

#[tokio::test]
async fn a_secret_signs_with_hmac() {
    let server = Server::generous().await;
    for (alg, name) in [
        (None, "HS256"),
        (Some(Algorithm::HS256), "HS256"),
        (Some(Algorithm::HS384), "HS384"),
        (Some(Algorithm::HS512), "HS512"),
    ] {
        let secret = SecretRef::inline(SECRET);
        let mut provider = server
            .client()
            .client_authentication(ClientAuthentication::client_secret_jwt(secret));
        if let Some(alg) = alg {
            provider = provider.alg(alg);
        }
        let jwt = assertion(&server, &provider).await;
        assert_eq!(header(&jwt)["alg"], name);
        assert!(is_signed(
            &jwt,
            &DecodingKey::from_secret(SECRET.as_bytes())
        ));
        assert!(!is_signed(&jwt, &DecodingKey::from_secret(b"another")));
    }
}

#[tokio::test]
async fn every_kind_and_form_of_key_signs() {
    let server = Server::generous().await;
    let rsa = || DecodingKey::from_rsa_pem(key!("rsa.public.pem").as_bytes()).unwrap();
    let p256 = || DecodingKey::from_ec_pem(key!("p256.public.pem").as_bytes()).unwrap();
    let p384 = || DecodingKey::from_ec_pem(key!("p384.public.pem").as_bytes()).unwrap();
    let ed25519 = || DecodingKey::from_ed_pem(key!("ed25519.public.pem").as_bytes()).unwrap();
    for (key, expected, public) in [
        (key!("rsa.pkcs8.pem"), "RS256", rsa()),
        (key!("rsa.pkcs1.pem"), "RS256", rsa()),
        (key!("rsa.jwk.json"), "RS256", rsa()),
        (key!("p256.pkcs8.pem"), "ES256", p256()),
        (key!("p256.sec1.pem"), "ES256", p256()),
        (key!("p256.jwk.json"), "ES256", p256()),
        (key!("p384.pkcs8.pem"), "ES384", p384()),
        (key!("p384.sec1.pem"), "ES384", p384()),
        (key!("p384.jwk.json"), "ES384", p384()),
        (key!("ed25519.pkcs8.pem"), "EdDSA", ed25519()),
        (key!("ed25519.jwk.json"), "EdDSA", ed25519()),
    ] {
        let provider = server.client().key(SecretRef::inline(key));
        let jwt = assertion(&server, &provider).await;
        assert_eq!(header(&jwt)["alg"], expected);
        assert!(is_signed(&jwt, &public), "{expected}");
    }
}

#[tokio::test]
async fn an_ed25519_key_signs_under_its_new_name_too() {
    let server = Server::generous().await;
    let provider = server
        .client()
        .key(SecretRef::inline(key!("ed25519.pkcs8.pem")))
        .alg(Algorithm::Ed25519);
    let jwt = assertion(&server, &provider).await;
    assert_eq!(header(&jwt)["alg"], "Ed25519");
}

#[tokio::test]
async fn p521_signs_in_each_form() {
    use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let server = Server::generous().await;
    let der = STANDARD
        .decode(
            key!("p521.public.pem")
                .lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<String>(),
        )
        .unwrap();
    // The point is the end of a SubjectPublicKeyInfo.
    let public = UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, &der[der.len() - 133..]);
    for key in [
        key!("p521.pkcs8.pem"),
        key!("p521.sec1.pem"),
        key!("p521.jwk.json"),
    ] {
        let jwt = assertion(&server, &server.client().key(SecretRef::inline(key))).await;
        assert_eq!(header(&jwt)["alg"], "ES512");
        let (input, signature) = jwt.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        public.verify(input.as_bytes(), &signature).unwrap();
    }
}

#[tokio::test]
async fn rsa_signs_with_every_padding_and_hash() {
    let server = Server::generous().await;
    let public = DecodingKey::from_rsa_pem(key!("rsa.public.pem").as_bytes()).unwrap();
    for alg in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ] {
        let provider = server
            .client()
            .key(SecretRef::inline(key!("rsa.pkcs8.pem")))
            .alg(alg);
        let jwt = assertion(&server, &provider).await;
        assert_eq!(header(&jwt)["alg"], alg.as_str());
        assert!(is_signed(&jwt, &public), "{alg}");
    }
}

#[tokio::test]
async fn an_algorithm_that_does_not_fit_the_key_is_a_configuration_error() {
    let server = Server::generous().await;
    for (key, alg) in [
        (key!("rsa.pkcs8.pem"), Algorithm::ES256),
        (key!("p256.pkcs8.pem"), Algorithm::ES384),
        (key!("ed25519.pkcs8.pem"), Algorithm::RS256),
        (key!("rsa.pkcs8.pem"), Algorithm::HS256),
    ] {
        let provider = server.client().key(SecretRef::inline(key)).alg(alg);
        let error = server.fetch(&provider).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{alg}");
    }
}

#[tokio::test]
async fn the_key_has_the_name_that_was_given_else_its_own() {
    let server = Server::generous().await;
    let pem = server
        .client()
        .key(SecretRef::inline(key!("p256.pkcs8.pem")));
    let jwk = server
        .client()
        .key(SecretRef::inline(key!("p256.jwk.json")));
    assert!(header(&assertion(&server, &pem).await)["kid"].is_null());
    assert_eq!(header(&assertion(&server, &jwk).await)["kid"], "p256-key");
    for provider in [pem.kid("k-1"), jwk.kid("k-1")] {
        assert_eq!(header(&assertion(&server, &provider).await)["kid"], "k-1");
    }
}

#[tokio::test]
async fn assertions_are_made_out_to_the_endpoint_the_issuer_or_whom_was_said() {
    let server = Server::generous().await;
    let plain = server
        .client()
        .key(SecretRef::inline(key!("p256.pkcs8.pem")));
    let jwt = assertion(&server, &plain).await;
    assert_eq!(claims(&jwt)["aud"], server.url("/token").as_str());
    let issued = plain.issuer("https://login.example");
    let jwt = assertion(&server, &issued).await;
    assert_eq!(claims(&jwt)["aud"], "https://login.example");
    let said = issued.assertion_audience("https://other.example/token");
    let jwt = assertion(&server, &said).await;
    assert_eq!(claims(&jwt)["aud"], "https://other.example/token");
}

#[tokio::test]
async fn no_assertion_is_sent_twice() {
    let server = Server::generous().await;
    let provider = server
        .client()
        .key(SecretRef::inline(key!("p256.pkcs8.pem")));
    let first = claims(&assertion(&server, &provider).await);
    let second = claims(&assertion(&server, &provider).await);
    assert_ne!(first["jti"], second["jti"]);
}

async fn failure(key: &str) -> Error {
    let server = Server::generous().await;
    let provider = server.client().key(SecretRef::inline(key));
    let error = server.fetch(&provider).await.unwrap_err();
    assert!(server.requests().await.is_empty());
    error
}

#[tokio::test]
async fn a_key_that_is_none_is_told_without_its_content() {
    let planted = "MC4CAQAwBQYDK2VwBCIEIPL4NTED";
    let public_jwk = r#"{"kty":"EC","crv":"P-256","x":"PL4NTED","y":"PL4NTED"}"#;
    for key in [
        planted.to_owned(),
        format!("-----BEGIN PRIVATE KEY-----\n{planted}\n-----END PRIVATE KEY-----\n"),
        format!("-----BEGIN EC PRIVATE KEY-----\n{planted}\n-----END EC PRIVATE KEY-----\n"),
        format!(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\n{planted}\n-----END ENCRYPTED PRIVATE KEY-----\n"
        ),
        format!(r#"{{"kty":"EC","crv":"P-256","d":"{planted}"}}"#),
        format!(r#"{{"kty":"oct","k":"{planted}","d":"{planted}"}}"#),
        format!(r#"{{"kty":"{planted}""#),
        public_jwk.to_owned(),
        key!("rsa.public.pem").to_owned(),
    ] {
        let error = failure(&key).await;
        assert_eq!(error.kind(), ErrorKind::Secret);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("PL4NTED"), "{shown}");
    }
}

#[tokio::test]
async fn a_rotated_key_is_read_at_the_next_fetch() {
    let server = Server::generous().await;
    let path = std::env::temp_dir().join(format!("biped-oauth2-{}.pem", std::process::id()));
    let provider = server.client().key(SecretRef::file(&path));
    for (key, alg) in [
        (key!("rsa.pkcs8.pem"), "RS256"),
        (key!("p256.pkcs8.pem"), "ES256"),
    ] {
        std::fs::write(&path, key).unwrap();
        let jwt = assertion(&server, &provider).await;
        assert_eq!(header(&jwt)["alg"], alg);
    }
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_refused_client_is_told_what_to_look_at() {
    let key = key!("p256.pkcs8.pem");
    let plain = |client: OAuth2| client.client_secret(SecretRef::inline("plain"));
    let odd = |client: OAuth2| client.client_secret(SecretRef::inline("a+b/c"));
    let hmac = |client: OAuth2, secret: &str| {
        let secret = SecretRef::inline(secret);
        client.client_authentication(ClientAuthentication::client_secret_jwt(secret))
    };
    type Change<'a> = &'a dyn Fn(OAuth2) -> OAuth2;
    let changes: [(Change<'_>, &str, &str); 6] = [
        (&plain, "client_secret", "basic_encoding"),
        (&odd, "basic_encoding = \"raw\"", "nothing"),
        (
            &|client| odd(client).basic_encoding(BasicEncoding::Raw),
            "\"percent\"",
            "nothing",
        ),
        (
            &|client| hmac(client, "a+b/c").alg(Algorithm::HS512),
            "HS512 needs a client_secret of at least 64 bytes",
            "nothing",
        ),
        (
            &|client| hmac(client, &"x".repeat(32)),
            "assertion_audience",
            "bytes",
        ),
        (
            &|client| client.key(SecretRef::inline(key)),
            "kid",
            "client_secret",
        ),
    ];
    for (change, said, unsaid) in changes {
        let server = Server::new().await;
        let answer = json_answer(401, &serde_json::json!({ "error": "invalid_client" }));
        server.answers("/token", answer).await;
        let error = server.fetch(&change(server.client())).await.unwrap_err();
        assert!(error.refuses_client());
        let text = error.to_string();
        assert!(text.contains(said) && !text.contains(unsaid), "{text}");
        assert!(!text.contains("a+b/c"));
    }
}

#[tokio::test]
async fn an_assertion_or_a_proof_that_the_server_repeats_is_redacted() {
    use biped_testing::{Reply, ScriptedHttp, secrets::Parts};
    use std::sync::{Arc, Mutex};

    let sent = Arc::new(Mutex::new(Vec::new()));
    let http = ScriptedHttp::new();
    http.answer_with({
        let sent = sent.clone();
        move |_, request| {
            let form = url::form_urlencoded::parse(&request.body);
            let assertion = form.filter(|(name, _)| name == "client_assertion");
            let assertion: Vec<_> = assertion.map(|(_, value)| value.into_owned()).collect();
            let proof = request.headers["dpop"].to_str().unwrap().to_owned();
            let words = format!("{} is not {proof}", assertion[0]);
            sent.lock().unwrap().extend([assertion[0].clone(), proof]);
            let answer =
                serde_json::json!({ "error": "invalid_request", "error_description": words });
            Reply::json(400, &answer.to_string())
        }
    });
    let endpoint = "https://login.example/token".parse().unwrap();
    let provider = OAuth2::at(endpoint, SecretRef::inline("id"))
        .client_authentication(ClientAuthentication::client_secret_jwt(SecretRef::inline(
            SECRET,
        )))
        .dpop();
    let manager = biped_engine::TokenManager::builder(Arc::new(http)).build();
    let source = manager.source(Arc::new(provider), biped_core::TokenRequest::new());
    let error = source.token().await.unwrap_err();
    let vendor = error.vendor().unwrap();
    assert_eq!(
        vendor.message.as_deref(),
        Some("[redacted] is not [redacted]")
    );
    for jwt in &*sent.lock().unwrap() {
        let signature = jwt.rsplit('.').next().unwrap();
        let shown = format!("{error} {error:?}");
        assert_eq!(Parts::of(signature).find_in(&shown), None);
    }
}
