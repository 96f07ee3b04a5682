//! Tokens of platforms as access tokens, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_config::{ConfigTable, Origin, Problem, ProviderConfig};
use biped_core::{
    Clock as _, Error, ErrorKind, ExposeSecret, FetchContext, Provider, SystemClock, Token,
    TokenRequest,
};
use biped_reqwest::TokenClient;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

fn build(toml: &str) -> Result<(Arc<dyn Provider>, TokenRequest), Vec<Problem>> {
    let values = ConfigTable::from_toml("biped.toml".as_ref(), toml).unwrap();
    let values = values.into_values();
    let config = ProviderConfig::new("vault", "platform", Origin::Builder, values);
    let kind = biped_platform::kind();
    Ok((kind.build(&config)?, kind.request(&config)))
}

async fn server(answer: Value) -> MockServer {
    let server = MockServer::start().await;
    let answer = match answer {
        Value::String(text) => ResponseTemplate::new(200).set_body_string(text),
        json => ResponseTemplate::new(200).set_body_json(json),
    };
    let answer = answer.insert_header("Metadata-Flavor", "Google");
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

async fn fetch(toml: &str, request: Option<TokenRequest>) -> Result<Token, Error> {
    let (provider, configured) = build(toml).unwrap();
    let http = TokenClient::new().unwrap();
    let cx = FetchContext::new(&http, &SystemClock);
    provider.fetch(&request.unwrap_or(configured), &cx).await
}

fn azure(server: &MockServer) -> String {
    format!(
        "token = {{ azure = {{ resource = 'https://vault', endpoint = '{}' }} }}",
        server.uri()
    )
}

fn jwt(expiry: i64) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.c2ln",
        part(json!({})),
        part(json!({ "exp": expiry }))
    )
}

fn seconds(token: &Token) -> u64 {
    token.lifetime().unwrap().as_secs()
}

#[tokio::test]
async fn a_token_lives_as_long_as_its_source_says() {
    let now = SystemClock.now().wall.unix_seconds();
    for (answer, expected) in [
        (
            json!({ "access_token": "opaque", "expires_in": "3599" }),
            3599..3600,
        ),
        (
            json!({ "access_token": "opaque", "expires_in": 60 }),
            60..61,
        ),
        (
            json!({ "access_token": "opaque", "expires_on": (now + 1000).to_string() }),
            980..1001,
        ),
        (
            json!({ "access_token": "opaque", "expires_on": now + 1000 }),
            980..1001,
        ),
        (json!({ "access_token": jwt(now + 500) }), 480..501),
        (json!({ "access_token": "opaque" }), 900..901),
    ] {
        let server = server(answer.clone()).await;
        let token = fetch(&azure(&server), None).await.unwrap();
        assert!(expected.contains(&seconds(&token)), "{answer}: {token:?}");
        assert_eq!(token.token_type(), "Bearer");
        let text = answer["access_token"].as_str().unwrap();
        assert_eq!(token.header().to_str().unwrap(), format!("Bearer {text}"));
    }
}

#[tokio::test]
async fn a_token_that_has_expired_is_not_used() {
    let now = SystemClock.now().wall.unix_seconds();
    let server = server(json!(jwt(now - 20))).await;
    let toml = format!(
        "token = {{ gcp = {{ audience = 'https://run', endpoint = '{}' }} }}",
        server.uri()
    );
    let error = fetch(&toml, None).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_transient()),
        (ErrorKind::Secret, true)
    );
    assert_eq!(error.token_source(), Some("gcp"));
}

#[tokio::test]
async fn a_request_asks_for_another_audience_resource_or_scope() {
    let server = server(json!({ "access_token": "t", "expires_in": 60 })).await;
    let request = TokenRequest::new().param("resource", "https://other");
    fetch(&azure(&server), Some(request)).await.unwrap();
    let toml = format!(
        "token = {{ gcp = {{ access = true, endpoint = '{}' }} }}\nscope = 'b a'",
        server.uri()
    );
    fetch(&toml, None).await.unwrap();
    let toml = format!(
        "token = {{ gcp = {{ audience = 'https://one', endpoint = '{}' }} }}\naudience = 'https://two'",
        server.uri()
    );
    fetch(&toml, None).await.unwrap();
    let requests = server.received_requests().await.unwrap();
    let queries: Vec<_> = requests.iter().map(|it| it.url.query().unwrap()).collect();
    assert_eq!(
        queries,
        [
            "api-version=2018-02-01&resource=https%3A%2F%2Fother",
            "scopes=b%2Ca",
            "audience=https%3A%2F%2Ftwo&format=full",
        ]
    );
}

#[tokio::test]
async fn a_manager_keeps_the_token_and_asks_again_after_a_rejection() {
    let server = server(json!({ "access_token": "t", "expires_in": 3600 })).await;
    let (provider, request) = build(&azure(&server)).unwrap();
    let http = Arc::new(TokenClient::new().unwrap());
    let manager = biped_engine::TokenManager::builder(http).build();
    let source = manager.source(provider, request);
    let token = source.token().await.unwrap().into_owned();
    assert_eq!(source.token().await.unwrap().expose_secret(), "t");
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    source.reject(&token);
    source.token_with(Duration::ZERO).await.unwrap();
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

#[test]
fn a_source_is_required_and_google_needs_an_audience() {
    for toml in ["", "token = { gcp = {} }", "token = { other = {} }"] {
        let problems = build(toml).unwrap_err();
        assert_eq!(problems.len(), 1, "{toml}: {problems:?}");
        assert_eq!(problems[0].key, "providers.vault.token", "{toml}");
    }
    assert!(build("token = { gcp = {} }\naudience = 'https://run'").is_ok());
}

#[test]
fn a_source_that_signs_needs_an_audience() {
    for (sign, fits) in [
        ("iss = 'a'", false),
        ("iss = 'a', aud = 'issuer'", false),
        ("aud = 'https://api.example'", false),
        ("iss = 'a', aud = 'https://api.example'", true),
        ("iss = 'a', claims = { aud = 'https://api.example' }", true),
    ] {
        let toml = format!("token = {{ sign = {{ key = 'file:key.pem', {sign} }} }}");
        assert_eq!(build(&toml).is_ok(), fits, "{sign}");
    }
}
