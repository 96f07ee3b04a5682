//! The request of `[revoke]`, which ends a token.

use biped_core::{ErrorKind, SecretRef};
use serde_json::json;
use wiremock::{
    Mock, ResponseTemplate,
    matchers::{method, path},
};

use crate::server::{Sent, Server};

const SESSION: &str = r#"
url = "{origin}/login"
encoding = "json"
response = { token = "/sid", export = { user = "/uid" }, lifetime = 600 }

[revoke]
url = "{origin}/logout/{user}"
encoding = "json"
fields = { reason = "done" }
headers = { X-Session = "{token}" }

[revoke.response]
ok = { at = "/code", equals = 0, or_absent = true }
error = { code = "/code", message = "/say" }
"#;

async fn server(status: u16, body: serde_json::Value) -> Server {
    let server = Server::empty().await;
    server
        .at("/login", 200, json!({ "sid": "s-1", "uid": "u-7" }))
        .await
        .at("/logout/u-7", status, body)
        .await;
    server
}

#[tokio::test]
async fn a_token_is_ended_by_the_request_that_the_file_describes() {
    let server = server(200, json!({ "code": 0 })).await;
    let source = server.source(server.vendor(SESSION));
    source.token().await.unwrap();
    source.revoke().await.unwrap();
    let sent = server.last().await;
    assert_eq!(sent.line(), "POST /logout/u-7");
    assert_eq!(sent.header("x-session"), Some("s-1"));
    assert_eq!(sent.json(), json!({ "reason": "done" }));
    assert_eq!(sent.header("authorization"), None);
    // It is forgotten here as well.
    source.token().await.unwrap();
    assert_eq!(server.last().await.line(), "POST /login");
}

#[tokio::test]
async fn the_end_of_a_token_names_what_its_request_named() {
    let server = Server::empty().await;
    let answer = json!({ "access_token": "t-1" });
    server.at("/login", 200, answer).await;
    server.at("/logout", 200, json!({})).await;
    let dialect = r#"
        url = "{origin}/login"
        encoding = "json"
        fields = { account = "{account}" }
        [revoke]
        url = "{origin}/logout"
        encoding = "json"
        fields = { account = "{account}" }
    "#;
    let vendor = server.vendor(dialect);
    let vendor = vendor.param("account", SecretRef::inline("1"));
    let source = server.source(vendor).param("account", "2");
    source.token().await.unwrap();
    assert_eq!(server.last().await.json()["account"], "2");
    source.revoke().await.unwrap();
    assert_eq!(server.last().await.json(), json!({ "account": "2" }));
}

#[tokio::test]
async fn at_the_end_of_an_application_every_session_ends() {
    let server = server(200, json!({})).await;
    let http = std::sync::Arc::new(biped_reqwest::TokenClient::new().unwrap());
    let manager = biped_engine::TokenManager::builder(http).build();
    let vendor = std::sync::Arc::new(server.vendor(SESSION).build().unwrap());
    let source = manager.source(vendor, biped_core::TokenRequest::new());
    source.token().await.unwrap();
    assert_eq!(manager.revoke_unshared().await, 1);
    assert_eq!(server.last().await.line(), "POST /logout/u-7");
}

#[tokio::test]
async fn a_refused_end_is_told_in_the_vendors_words() {
    for (status, body) in [
        (403, json!({ "code": "E1", "say": "no" })),
        (200, json!({ "code": "E1", "say": "no" })),
    ] {
        let server = server(status, body).await;
        let source = server.source(server.vendor(SESSION));
        source.token().await.unwrap();
        let error = source.revoke().await.unwrap_err();
        let vendor = error.vendor().unwrap();
        assert_eq!(vendor.code.as_deref(), Some("E1"));
        assert_eq!(vendor.message.as_deref(), Some("no"));
    }
}

#[tokio::test]
async fn a_session_may_be_deleted() {
    let server = Server::empty().await;
    Mock::given(method("POST"))
        .and(path("/api/session"))
        .respond_with(ResponseTemplate::new(201).set_body_json("s-1"))
        .mount(&server.0)
        .await;
    Mock::given(method("DELETE"))
        .and(path("/api/session"))
        .respond_with(ResponseTemplate::new(204))
        .mount(&server.0)
        .await;
    let dialect = r#"
        url = "{origin}/api/session"
        encoding = "none"
        auth = "none"
        response = { token = "" }
        [revoke]
        url = "{origin}/api/session"
        method = "DELETE"
        headers = { session-id = "{token}" }
    "#;
    let source = server.source(server.vendor(dialect));
    source.token().await.unwrap();
    source.revoke().await.unwrap();
    let sent: Sent = server.last().await;
    assert_eq!(sent.line(), "DELETE /api/session");
    assert_eq!(sent.header("session-id"), Some("s-1"));
    assert_eq!(sent.body(), "");
}

#[tokio::test]
async fn the_token_goes_to_no_host_that_an_answer_names() {
    let server = Server::empty().await;
    let answer = json!({ "access_token": "t-1", "host": "https://evil.example" });
    server.at("/token", 200, answer).await;
    let dialect = r#"
        url = "{origin}/token"
        response = { export = { host = "/host" }, base_url_hosts = ["api.vendor.example"] }
        revoke = { url = "{host}/revoke", headers = { X-Token = "{token}" } }
    "#;
    let source = server.source(server.vendor(dialect));
    source.token().await.unwrap();
    let error = source.revoke().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert_eq!(server.requests().await.len(), 1);
}

#[tokio::test]
async fn without_it_there_is_no_end_but_the_tokens_own() {
    let server = Server::giving_tokens().await;
    let source = server.source(server.vendor("url = \"{origin}/token\""));
    source.token().await.unwrap();
    let error = source.revoke().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(server.requests().await.len(), 1);
}
