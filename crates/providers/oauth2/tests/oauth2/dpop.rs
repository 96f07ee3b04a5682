//! Tokens that are worth nothing without a key.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{
    ApiResponse, ErrorKind, Provider as _, SecretRef, SystemClock, Timestamp, Token, TokenRequest,
    Verdict,
};
use biped_engine::TokenManager;
use biped_oauth2::OAuth2;
use biped_reqwest::{ApiClients, HttpSettings, TokenClient};
use http::{HeaderMap, StatusCode};
use jsonwebtoken::{DecodingKey, Validation, jwk::Jwk};
use serde_json::{Value, json};
use wiremock::{Mock, Request, ResponseTemplate, matchers::path};

use crate::server::{Server, claims, field, header, json_answer, now};

const P256: &str = include_str!("../keys/p256.pkcs8.pem");
/// As somebody else's code computes it.
const P256_THUMBPRINT: &str = "wEHSL8s8e4DtlhuHk_yvqgZmtiGKBMx_GXvby-A_gx0";

fn bound(text: &str) -> ResponseTemplate {
    json_answer(
        200,
        &json!({ "access_token": text, "token_type": "DPoP", "expires_in": 3600 }),
    )
}

fn challenge(nonce: &str) -> ResponseTemplate {
    json_answer(400, &json!({ "error": "use_dpop_nonce" })).insert_header("DPoP-Nonce", nonce)
}

async fn server() -> Server {
    let server = Server::new().await;
    server.answers("/token", bound("t-1")).await;
    server
}

/// The proof of a request, its signature checked by somebody else's code with the key it names.
fn proof(request: &Request) -> String {
    let all: Vec<_> = request.headers.get_all("dpop").iter().collect();
    assert_eq!(all.len(), 1);
    let jwt = all[0].to_str().unwrap().to_owned();
    assert_eq!(header(&jwt)["typ"], "dpop+jwt");
    let jwk: Jwk = serde_json::from_value(header(&jwt)["jwk"].clone()).unwrap();
    assert!(header(&jwt)["jwk"]["d"].is_null());
    let mut validation = Validation::new(jsonwebtoken::decode_header(&jwt).unwrap().alg);
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    jsonwebtoken::decode::<Value>(&jwt, &key, &validation).unwrap();
    let age = now() - claims(&jwt)["iat"].as_i64().unwrap();
    assert!((0..60).contains(&age), "{age}");
    jwt
}

#[tokio::test]
async fn a_token_request_proves_the_key() {
    let server = server().await;
    let token = server
        .fetch(&server.client_with_secret().dpop())
        .await
        .unwrap();
    assert_eq!(token.header(), "DPoP t-1");
    assert_eq!(token.token_type(), "DPoP");
    let jwt = proof(&server.requests().await[0]);
    assert_eq!(header(&jwt)["alg"], "ES256");
    let said = claims(&jwt);
    assert_eq!(said["htm"], "POST");
    assert_eq!(said["htu"], server.url("/token").as_str());
    assert!(said["ath"].is_null());
    assert!(said["nonce"].is_null());
    assert_eq!(said["jti"].as_str().unwrap().len(), 22);
}

#[tokio::test]
async fn a_token_is_bound_to_the_key_that_was_given() {
    let server = server().await;
    let given = server
        .client_with_secret()
        .dpop_key(SecretRef::inline(P256));
    let token = server.fetch(&given).await.unwrap();
    assert_eq!(token.confirmation(), Some(P256_THUMBPRINT));
    let own = server
        .fetch(&server.client_with_secret().dpop())
        .await
        .unwrap();
    let again = server
        .fetch(&server.client_with_secret().dpop())
        .await
        .unwrap();
    assert_ne!(own.confirmation(), Some(P256_THUMBPRINT));
    assert_eq!(own.confirmation(), again.confirmation());
}

#[tokio::test]
async fn every_kind_of_key_proves() {
    let server = server().await;
    for key in [
        include_str!("../keys/rsa.jwk.json"),
        include_str!("../keys/p384.sec1.pem"),
        include_str!("../keys/ed25519.pkcs8.pem"),
    ] {
        let provider = server.client_with_secret().dpop_key(SecretRef::inline(key));
        server.fetch(&provider).await.unwrap();
        proof(server.requests().await.last().unwrap());
    }
}

#[tokio::test]
async fn only_a_client_with_proofs_adopts_a_token_that_needs_them() {
    let server = server().await;
    let given = server
        .client_with_secret()
        .dpop_key(SecretRef::inline(P256));
    let token = server.fetch(&given).await.unwrap();
    let request = TokenRequest::new();
    assert!(given.accepts_stored(&token, &request));
    let bearer = server.client_with_secret();
    assert!(!bearer.accepts_stored(&token, &request));
    let unbound = Token::new("t", token.requested_at()).build().unwrap();
    assert!(!given.accepts_stored(&unbound, &request));
    assert!(bearer.accepts_stored(&unbound, &request));
}

#[tokio::test]
async fn a_token_that_was_not_bound_is_refused() {
    let server = Server::generous().await;
    let error = server
        .fetch(&server.client_with_secret().dpop())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn a_nonce_is_taken_up_within_the_same_fetch() {
    let server = server().await;
    server.answers_once("/token", challenge("n-1")).await;
    let provider = server.client().key(SecretRef::inline(P256)).dpop();
    server.fetch(&provider).await.unwrap();
    server.fetch(&provider).await.unwrap();
    let requests = server.requests().await;
    let nonces: Vec<_> = requests
        .iter()
        .map(|request| claims(&proof(request))["nonce"].clone())
        .collect();
    assert_eq!(nonces, [Value::Null, json!("n-1"), json!("n-1")]);
    // The server has seen the first assertion already.
    let ids: Vec<_> = requests
        .iter()
        .map(|request| claims(&field(request, "client_assertion").unwrap())["jti"].clone())
        .collect();
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_good_answer_brings_the_next_nonce() {
    let server = Server::new().await;
    let answer = bound("t-1").insert_header("DPoP-Nonce", "n-2");
    server.answers("/token", answer).await;
    let provider = server.client_with_secret().dpop();
    for expected in [Value::Null, json!("n-2")] {
        server.fetch(&provider).await.unwrap();
        let requests = server.requests().await;
        assert_eq!(claims(&proof(requests.last().unwrap()))["nonce"], expected);
    }
}

#[tokio::test]
async fn a_server_that_never_takes_its_nonces_is_asked_twice() {
    let server = Server::new().await;
    server.answers("/token", challenge("n-1")).await;
    let error = server
        .fetch(&server.client_with_secret().dpop())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!error.refuses_client());
    assert_eq!(server.requests().await.len(), 2);
}

fn judged(provider: &OAuth2, status: u16, headers: &[(&'static str, &str)]) -> Verdict {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let url = "https://api.example/".parse().unwrap();
    let status = StatusCode::from_u16(status).unwrap();
    provider.judge(&ApiResponse::new(status, &map, Timestamp::default()).with_url(&url))
}

#[tokio::test]
async fn an_api_may_ask_for_a_nonce_or_reject_the_token() {
    let server = server().await;
    let provider = server.client_with_secret().dpop();
    let asks = (
        "www-authenticate",
        r#"DPoP algs="ES256", error="use_dpop_nonce""#,
    );
    let nonce = ("dpop-nonce", "n-1");
    assert_eq!(judged(&provider, 401, &[asks, nonce]), Verdict::Resend);
    assert_eq!(judged(&provider, 401, &[asks]), Verdict::Rejected);
    let invalid = ("www-authenticate", r#"DPoP error="invalid_token""#);
    assert_eq!(judged(&provider, 401, &[invalid, nonce]), Verdict::Rejected);
    assert_eq!(judged(&provider, 403, &[invalid, nonce]), Verdict::Rejected);
    let both = (
        "www-authenticate",
        r#"Bearer error="invalid_token", DPoP error="use_dpop_nonce", algs="ES256""#,
    );
    assert_eq!(judged(&provider, 401, &[both, nonce]), Verdict::Resend);
    let proof = ("www-authenticate", r#"DPoP error="invalid_dpop_proof""#);
    assert_eq!(judged(&provider, 401, &[proof]), Verdict::Accepted);
    assert_eq!(judged(&provider, 200, &[nonce]), Verdict::Accepted);
    assert_eq!(judged(&provider, 403, &[nonce]), Verdict::Accepted);
    let plain = server.client_with_secret();
    assert_eq!(judged(&plain, 401, &[asks, nonce]), Verdict::Rejected);
}

#[tokio::test]
async fn api_calls_prove_the_key_and_take_up_nonces() {
    let server = server().await;
    let url = server.url("/v1/contacts?page=2");
    let asks = ResponseTemplate::new(401)
        .insert_header("WWW-Authenticate", r#"DPoP error="use_dpop_nonce""#)
        .insert_header("DPoP-Nonce", "n-1");
    server.answers_once("/v1/contacts", asks).await;
    Mock::given(path("/v1/contacts"))
        .respond_with(ResponseTemplate::new(200).insert_header("DPoP-Nonce", "n-2"))
        .mount(&server.mock)
        .await;

    let manager = TokenManager::builder(Arc::new(TokenClient::new().unwrap()))
        .clock(Arc::new(SystemClock))
        .build();
    let provider = Arc::new(
        server
            .client_with_secret()
            .dpop_key(SecretRef::inline(P256)),
    );
    let source = manager
        .source(provider, TokenRequest::new())
        .with_api_base_url(Some(server.url("/")));
    let client = ApiClients::with(HttpSettings::new())
        .unwrap()
        .client(source);
    for _ in 0..2 {
        let answer = client.get("/v1/contacts?page=2").send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    let requests = server.requests().await;
    let calls: Vec<_> = requests
        .iter()
        .filter(|request| request.url.path() == url.path())
        .collect();
    assert_eq!(requests.len(), calls.len() + 1, "one token for all of them");
    let mut nonces = Vec::new();
    for call in &calls {
        assert_eq!(call.headers["authorization"], "DPoP t-1");
        let said = claims(&proof(call));
        assert_eq!(said["htm"], "GET");
        assert_eq!(said["htu"], server.url("/v1/contacts").as_str());
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"t-1");
        assert_eq!(said["ath"], URL_SAFE_NO_PAD.encode(hash));
        nonces.push(said["nonce"].clone());
    }
    assert_eq!(nonces, [Value::Null, json!("n-1"), json!("n-2")]);
}

#[tokio::test]
async fn proofs_are_signed_as_the_server_lists() {
    let server = server().await;
    let issuer = server.mock.uri();
    let document = json!({
        "issuer": issuer,
        "token_endpoint": server.url("/token").as_str(),
        "dpop_signing_alg_values_supported": ["ES256", "PS256"],
    });
    let metadata = ResponseTemplate::new(200).set_body_json(document);
    server
        .serves("/.well-known/oauth-authorization-server", metadata)
        .await;
    server
        .answers("/v1/contacts", ResponseTemplate::new(200))
        .await;
    let provider = OAuth2::discovered(issuer, SecretRef::inline("client-7"))
        .dpop_key(SecretRef::inline(include_str!("../keys/rsa.pkcs8.pem")));
    let manager = TokenManager::builder(Arc::new(TokenClient::new().unwrap())).build();
    let source = manager
        .source(Arc::new(provider), TokenRequest::new())
        .with_api_base_url(Some(server.url("/")));
    let client = ApiClients::new().unwrap().client(source);
    client.post("/v1/contacts").send().await.unwrap();
    let requests = server.requests().await;
    let proofs: Vec<_> = requests
        .iter()
        .filter(|request| request.headers.contains_key("dpop"))
        .map(|request| header(&proof(request))["alg"].clone())
        .collect();
    assert_eq!(proofs, ["PS256", "PS256"]);
}

#[tokio::test]
async fn nonces_of_one_side_never_go_to_the_other() {
    let server = server().await;
    let provider = server.client_with_secret().dpop();
    let mut headers = HeaderMap::new();
    headers.insert("dpop-nonce", "of-the-api".parse().unwrap());
    let response = ApiResponse::new(StatusCode::OK, &headers, Timestamp::default());
    let url = server.url("/token");
    provider.judge(&response.with_url(&url));
    server.fetch(&provider).await.unwrap();
    let requests = server.requests().await;
    assert!(claims(&proof(&requests[0]))["nonce"].is_null());
}
