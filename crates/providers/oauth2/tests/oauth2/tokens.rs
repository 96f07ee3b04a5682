//! Looking at tokens and giving them back.

use biped_core::{ErrorKind, Provider as _, SecretRef, TokenRequest};
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::server::{Server, field, json_answer};

#[tokio::test]
async fn inspect_has_the_server_describe_a_token() {
    let server = Server::generous().await;
    let described = json!({
        "active": true, "scope": "read write", "exp": 1_800_000_000, "client_id": "client-7",
        "token": "t-1", "nested": { "token": "t-1" },
    });
    server
        .answers("/introspect", json_answer(200, &described))
        .await;
    let provider = server
        .client_with_secret()
        .introspection_endpoint(server.url("/introspect"));
    let request = TokenRequest::new().scope("read");
    let inspection = provider
        .inspect(&request, &server.context())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(inspection.scopes, ["read", "write"]);
    assert_eq!(
        inspection
            .expires_at
            .map(biped_core::Timestamp::unix_seconds),
        Some(1_800_000_000)
    );
    assert_eq!(inspection.details["client_id"], "client-7");
    assert!(!format!("{inspection:?}").contains("t-1"));
    let requests = server.requests().await;
    assert_eq!(requests[0].url.path(), "/token");
    assert_eq!(requests[1].url.path(), "/introspect");
    assert_eq!(
        server.body().await,
        "token=t-1&token_type_hint=access_token"
    );
    assert_eq!(
        requests[1].headers["authorization"],
        requests[0].headers["authorization"]
    );
}

#[tokio::test]
async fn of_a_token_that_is_not_active_nothing_is_told_that_the_server_does_not_say() {
    let server = Server::generous().await;
    let inactive = json_answer(200, &json!({ "active": false }));
    server.answers("/introspect", inactive).await;
    let granted = json!({ "access_token": "t-1", "expires_in": 60, "scope": "read" });
    server.answers("/scoped", json_answer(200, &granted)).await;
    let provider = server
        .client_with_secret()
        .token_endpoint(server.url("/scoped"))
        .introspection_endpoint(server.url("/introspect"));
    let request = TokenRequest::new().scope("read");
    let inspection = provider.inspect(&request, &server.context()).await;
    let inspection = inspection.unwrap().unwrap();
    assert_eq!(inspection.details["active"], false);
    assert_eq!((inspection.expires_at, inspection.scopes.len()), (None, 0));
}

#[tokio::test]
async fn inspect_needs_an_endpoint_and_an_answer() {
    let server = Server::generous().await;
    let plain = server.client_with_secret();
    let cx = server.context();
    let inspection = plain.inspect(&TokenRequest::new(), &cx).await.unwrap();
    assert_eq!(inspection, None);
    assert!(server.requests().await.is_empty());
    let provider = plain.introspection_endpoint(server.url("/introspect"));
    for (status, body, kind) in [
        (200, json!({}), ErrorKind::InvalidResponse),
        (200, json!({ "active": "yes" }), ErrorKind::InvalidResponse),
        (403, json!({ "error": "access_denied" }), ErrorKind::Refused),
        (
            401,
            json!({ "error": "invalid_client" }),
            ErrorKind::Refused,
        ),
        (503, json!({}), ErrorKind::Unavailable),
    ] {
        server
            .answers_once("/introspect", json_answer(status, &body))
            .await;
        let error = provider
            .inspect(&TokenRequest::new(), &cx)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {body}");
        if !error.refuses_client() && kind == ErrorKind::Refused {
            assert!(error.to_string().contains("introspect"), "{error}");
        }
    }
}

#[tokio::test]
async fn revoke_gives_a_token_back_with_whatever_proves_the_client() {
    let server = Server::generous().await;
    server.answers("/revoke", ResponseTemplate::new(200)).await;
    let key = include_str!("../keys/p256.pkcs8.pem");
    let provider = server
        .client()
        .key(SecretRef::inline(key))
        .revocation_endpoint(server.url("/revoke"));
    let token = server.fetch(&provider).await.unwrap();
    provider.revoke(&token, &server.context()).await.unwrap();
    let requests = server.requests().await;
    let request = requests.last().unwrap();
    assert_eq!(request.url.path(), "/revoke");
    assert_eq!(field(request, "token").as_deref(), Some("t-1"));
    assert_eq!(
        field(request, "token_type_hint").as_deref(),
        Some("access_token")
    );
    let sent = field(request, "client_assertion").unwrap();
    assert_ne!(Some(sent), field(&requests[0], "client_assertion"));
}

#[tokio::test]
async fn a_token_that_cannot_be_given_back_is_an_error() {
    let server = Server::generous().await;
    let plain = server.client_with_secret();
    let token = server.fetch(&plain).await.unwrap();
    let error = plain.revoke(&token, &server.context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let answer = json_answer(400, &json!({ "error": "unsupported_token_type" }));
    server.answers("/revoke", answer).await;
    let provider = plain.revocation_endpoint(server.url("/revoke"));
    let error = provider
        .revoke(&token, &server.context())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn both_endpoints_are_found_in_the_metadata() {
    let server = Server::generous().await;
    let document = json!({
        "issuer": server.mock.uri(),
        "token_endpoint": server.url("/token").as_str(),
        "introspection_endpoint": server.url("/introspect").as_str(),
        "revocation_endpoint": server.url("/revoke").as_str(),
    });
    server
        .serves(
            "/.well-known/openid-configuration",
            json_answer(200, &document),
        )
        .await;
    server
        .answers("/introspect", json_answer(200, &json!({ "active": true })))
        .await;
    server.answers("/revoke", ResponseTemplate::new(200)).await;
    let provider = server.client_with_secret().issuer(server.mock.uri());
    let cx = server.context();
    let inspection = provider.inspect(&TokenRequest::new(), &cx).await.unwrap();
    assert!(inspection.is_some());
    let token = server.fetch(&provider).await.unwrap();
    provider.revoke(&token, &cx).await.unwrap();
}
