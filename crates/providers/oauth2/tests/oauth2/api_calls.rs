//! What API calls carry beside the token, and which of their answers reject it.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use biped_config::{ConfigValue, Origin, Problem, ProviderConfig, Value};
use biped_core::{ErrorKind, Provider, SecretRef, TokenRequest};
use biped_engine::TokenManager;
use biped_oauth2::kind;
use biped_reqwest::{ApiClients, TokenClient};
use serde_json::json;
use wiremock::{Mock, Request, ResponseTemplate, matchers::path};

use crate::server::{Server, json_answer};

/// The provider of this table, with its token endpoint and a secret.
fn build(server: &Server, table: &str) -> Result<Arc<dyn Provider>, Vec<Problem>> {
    let endpoint = server.url("/token");
    let head =
        format!("token_endpoint = \"{endpoint}\"\nclient_id = \"c\"\nclient_secret = \"s3cret\"\n");
    let parsed: toml::Table = format!("{head}{table}").parse().unwrap();
    let values = parsed.into_iter().map(|(key, raw)| (key, value(raw)));
    let values: BTreeMap<_, _> = values.collect();
    let origin = value(true.into()).origin;
    kind().build(&ProviderConfig::new("crm", "oauth2", origin, values))
}

fn value(raw: toml::Value) -> ConfigValue {
    let raw = match raw {
        toml::Value::String(text) => Value::Text(text),
        toml::Value::Integer(number) => Value::Integer(number),
        toml::Value::Boolean(yes) => Value::Bool(yes),
        toml::Value::Array(all) => Value::List(all.into_iter().map(value).collect()),
        toml::Value::Table(table) => Value::Table(
            table
                .into_iter()
                .map(|(key, raw)| (key, value(raw)))
                .collect(),
        ),
        other => panic!("{other:?}"),
    };
    let path = Arc::from(Path::new("biped.toml"));
    let origin = Origin::File {
        path,
        line: 2,
        column: 0,
    };
    ConfigValue { raw, origin }
}

/// A server whose tokens are `t-1`, `t-2`, …, and an API that answers `t-1` with this, and all others
/// with 200.
async fn rejecting(answer: ResponseTemplate) -> Server {
    let server = Server::new().await;
    let count = std::sync::atomic::AtomicU32::new(0);
    Mock::given(path("/token"))
        .respond_with(move |_: &Request| {
            let number = 1 + count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            json_answer(
                200,
                &json!({ "access_token": format!("t-{number}"), "expires_in": 3600 }),
            )
        })
        .mount(&server.mock)
        .await;
    Mock::given(path("/api"))
        .respond_with(move |request: &Request| {
            match request.headers["authorization"].to_str().unwrap() {
                "Bearer t-1" => answer.clone(),
                _ => ResponseTemplate::new(200),
            }
        })
        .mount(&server.mock)
        .await;
    server
}

/// Calls the API once, and returns the status.
async fn call(server: &Server, provider: Arc<dyn Provider>) -> u16 {
    let manager = TokenManager::builder(Arc::new(TokenClient::new().unwrap())).build();
    let source = manager
        .source(provider, TokenRequest::new())
        .with_api_base_url(Some(server.url("/")));
    let client = ApiClients::new().unwrap().client(source);
    client.get("/api").send().await.unwrap().status().as_u16()
}

async fn calls(server: &Server) -> Vec<Request> {
    let all = server.requests().await.into_iter();
    all.filter(|request| request.url.path() == "/api").collect()
}

#[tokio::test]
async fn an_invalid_token_is_a_rejection_whatever_the_status() {
    for status in [400, 401, 403] {
        let challenge = r#"Bearer realm="a", error="invalid_token""#;
        let answer = ResponseTemplate::new(status).insert_header("www-authenticate", challenge);
        let server = rejecting(answer).await;
        assert_eq!(
            call(&server, build(&server, "").unwrap()).await,
            200,
            "{status}"
        );
        assert_eq!(calls(&server).await.len(), 2, "{status}");
    }
}

#[tokio::test]
async fn an_api_may_tell_in_its_own_way_that_a_token_is_over() {
    let over = || json_answer(403, &json!({ "code": 40101 }));
    let server = rejecting(over()).await;
    assert_eq!(call(&server, build(&server, "").unwrap()).await, 403);
    for table in [
        "expired = { status = [403], at = \"/code\", any_of = [40101] }",
        "expired = { at = \"/code\", any_of = [\"40101\"] }",
        "[[expired]]\nstatus = [401]\n[[expired]]\nstatus = [403]",
    ] {
        let server = rejecting(over()).await;
        assert_eq!(
            call(&server, build(&server, table).unwrap()).await,
            200,
            "{table}"
        );
        assert_eq!(calls(&server).await.len(), 2, "{table}");
    }
    // It replaces the rule of the standard, as a dialect's does.
    let server = rejecting(ResponseTemplate::new(401)).await;
    let table = "expired = { status = [419] }";
    assert_eq!(call(&server, build(&server, table).unwrap()).await, 401);
}

#[tokio::test]
async fn headers_reach_the_server_and_the_api_each_its_own() {
    let server = rejecting(ResponseTemplate::new(200)).await;
    let table = "headers = { X-Gateway = \"g-1\", Accept = \"application/json\" }\n\
                 attach = { headers = { Ocp-Apim-Subscription-Key = \"k-1\" } }";
    assert_eq!(call(&server, build(&server, table).unwrap()).await, 200);
    let requests = server.requests().await;
    let seen = |at: usize, name: &str| {
        let value = requests[at].headers.get(name);
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(seen(0, "x-gateway").as_deref(), Some("g-1"));
    assert_eq!(seen(0, "ocp-apim-subscription-key"), None);
    assert_eq!(seen(1, "ocp-apim-subscription-key").as_deref(), Some("k-1"));
    assert_eq!(seen(1, "x-gateway"), None);
    assert_eq!(seen(1, "authorization").as_deref(), Some("Bearer t-1"));
}

#[tokio::test]
async fn a_header_is_a_credential_like_any_other() {
    let server = rejecting(ResponseTemplate::new(200)).await;
    let with = |table: &str| build(&server, table).unwrap();
    let plain = with("");
    let one = with("headers = { X-Key = \"k-1\" }");
    let other = with("headers = { X-Key = \"k-2\" }");
    let api = with("attach = { headers = { X-Key = \"k-1\" } }");
    let ids = [plain.id(), one.id(), other.id(), api.id()];
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[at + 1..].contains(id));
    }
    assert!(!format!("{one:?} {api:?}").contains("k-1"));
    // A server that repeats the header's value in its refusal does not get it into the error.
    let server = Server::new().await;
    let words = json!({ "error": "invalid_request", "error_description": "no pl4nted-key" });
    server.answers("/token", json_answer(400, &words)).await;
    let provider = build(&server, "headers = { X-Key = \"pl4nted-key\" }").unwrap();
    let manager = TokenManager::builder(Arc::new(TokenClient::new().unwrap())).build();
    let error = manager
        .source(provider, TokenRequest::new())
        .token()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!format!("{error} {error:?}").contains("pl4nted"));
}

#[tokio::test]
async fn a_header_that_can_not_be_sent_is_a_problem() {
    let server = Server::generous().await;
    for (table, key) in [
        (
            "headers = { Authorization = \"x\" }",
            "headers.Authorization",
        ),
        ("headers = { content-type = \"x\" }", "headers.content-type"),
        ("headers = { \"a b\" = \"x\" }", "headers.a b"),
        ("headers = { X-Key = \"\" }", "headers.X-Key"),
        ("headers = { X-Key = true }", "headers.X-Key"),
        ("headers = \"X-Key\"", "headers"),
        (
            "attach = { headers = { DPoP = \"x\" } }",
            "attach.headers.DPoP",
        ),
        ("attach = { query = { a = \"x\" } }", "attach.query"),
        ("expired = {}", "expired.status"),
        ("expired = { at = \"/x\" }", "expired.at"),
        ("expired = { at = \"x\", any_of = [1] }", "expired.at"),
        ("expired = { status = [99] }", "expired.status"),
        ("expired = { status = [401], stauts = 1 }", "expired.stauts"),
        ("expired = 401", "expired"),
    ] {
        let problems = build(&server, table).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|problem| &*problem.key).collect();
        let expected = format!("providers.crm.{key}");
        assert!(keys.contains(&&*expected), "{table}: {keys:?}");
    }
    let provider = server
        .client_with_secret()
        .header("x-key".parse().unwrap(), SecretRef::inline("a\nb"));
    let error = server.fetch(&provider).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let provider = server
        .client_with_secret()
        .header("authorization".parse().unwrap(), SecretRef::inline("x"));
    let error = server.fetch(&provider).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(server.requests().await.is_empty());
}
