//! What a token request says beside who asks.

use biped_core::{ErrorKind, ExposeSecret as _, Provider as _, SecretRef, TokenRequest};
use biped_oauth2::{
    AUDIENCE, BasicEncoding, CertificateHeader, ClientAuthentication, OAuth2, RESOURCE,
};

use crate::server::{Server, json_answer};

#[tokio::test]
async fn a_token_request_is_a_form_of_the_standard() {
    let server = Server::generous().await;
    let token = server
        .fetch_for(
            &server.client_with_secret(),
            &TokenRequest::new().scope("write read"),
        )
        .await
        .unwrap();
    assert_eq!(token.expose_secret(), "t-1");
    let requests = server.requests().await;
    let request = &requests[0];
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(request.url.path(), "/token");
    assert_eq!(
        request.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(request.headers["accept"], "application/json");
    assert_eq!(
        server.body().await,
        "grant_type=client_credentials&scope=write+read"
    );
    for absent in ["dpop", "cookie", "referer"] {
        assert!(!request.headers.contains_key(absent), "{absent}");
    }
}

#[tokio::test]
async fn without_scope_none_is_sent() {
    let server = Server::generous().await;
    server.fetch(&server.client_with_secret()).await.unwrap();
    assert_eq!(server.body().await, "grant_type=client_credentials");
}

#[tokio::test]
async fn resources_are_repeated_and_parameters_are_added() {
    let server = Server::generous().await;
    let provider = server
        .client_with_secret()
        .parameter("tier", "gold")
        .parameter(AUDIENCE, "the default");
    let resources = vec![
        "https://a.example/".to_owned(),
        "https://b.example".to_owned(),
    ];
    let request = TokenRequest::new()
        .param(RESOURCE, resources)
        .param(AUDIENCE, "crm")
        .param("level", 3)
        .param("strict", true);
    server.fetch_for(&provider, &request).await.unwrap();
    assert_eq!(
        server.body().await,
        "grant_type=client_credentials&tier=gold&audience=crm&level=3\
         &resource=https%3A%2F%2Fa.example%2F&resource=https%3A%2F%2Fb.example&strict=true"
    );
}

#[tokio::test]
async fn rules_are_checked_before_anything_is_sent() {
    let server = Server::generous().await;
    let provider = server.client_with_secret();
    for request in [
        TokenRequest::new().param("grant_type", "password"),
        TokenRequest::new().param("scope", "read"),
        TokenRequest::new().param("client_secret", "other"),
        TokenRequest::new().param("client_assertion", "x"),
        TokenRequest::new().param(RESOURCE, ""),
        TokenRequest::new().param(RESOURCE, "https://a.example/#part"),
    ] {
        let error = server.fetch_for(&provider, &request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{request}");
    }
    assert!(server.requests().await.is_empty());
}

#[tokio::test]
async fn a_resource_that_is_no_uri_is_sent_with_a_warning() {
    const GUID: &str = "00000003-0000-0000-c000-000000000000";
    let server = Server::generous().await;
    let provider = server.client_with_secret();
    for (resource, is_odd) in [
        (GUID, true),
        ("crm", true),
        ("https://a.example", false),
        ("api://a", false),
        ("urn:a:b", false),
    ] {
        let request = TokenRequest::new().param(RESOURCE, resource);
        server.fetch_for(&provider, &request).await.unwrap();
        let requests = server.requests().await;
        let sent = crate::server::field(requests.last().unwrap(), "resource");
        assert_eq!(sent.as_deref(), Some(resource));
        let warning = provider.request_warning(&request);
        assert_eq!(warning.is_some(), is_odd, "{resource}");
        assert!(warning.is_none_or(|warning| !warning.contains(resource)));
    }
    let fixed = server.client_with_secret().parameter(RESOURCE, GUID);
    assert!(fixed.request_warning(&TokenRequest::new()).is_some());
    assert!(provider.request_warning(&TokenRequest::new()).is_none());
}

#[test]
fn whatever_changes_the_tokens_is_in_the_id() {
    let plain = || OAuth2::discovered("https://login.example", SecretRef::inline("client-7"));
    assert_eq!(plain().id(), plain().named("crm").id());
    let env = SecretRef::env;
    let others = [
        plain().client_secret(SecretRef::inline("one")),
        plain().client_secret(SecretRef::inline("another")),
        plain().client_secret(env("KEY")),
        plain().key(env("KEY")),
        plain().key(env("KEY")).key_password(env("ONE")),
        plain().key(env("KEY")).key_password(env("ANOTHER")),
        plain().key(env("KEY")).kid("7"),
        plain().key(env("KEY")).assertion_audience("issuer"),
        plain().assertion_certificate(env("CERT"), [CertificateHeader::X5c]),
        plain().client_authentication(ClientAuthentication::client_secret_post(env("SECRET"))),
        plain().basic_encoding(BasicEncoding::Raw),
        plain().dpop(),
        plain().dpop_key(env("KEY")),
        plain().parameter("audience", "crm"),
        plain().parameter("audience", "erp"),
        plain().certificate(env("CERT"), env("KEY")),
        plain().certificate(env("CERT"), env("OTHER_KEY")),
        plain().certificate(env("OTHER_CERT"), env("KEY")),
        OAuth2::discovered("https://login.example", env("ID")),
        OAuth2::discovered("https://login.example", env("OTHER_ID")),
        OAuth2::discovered("https://login.example/", SecretRef::inline("client-7")),
        OAuth2::discovered("https://login.example", SecretRef::inline("client-8")),
    ];
    for (at, one) in others.iter().enumerate() {
        assert_ne!(one.id(), plain().id(), "{at}");
        for (beside, other) in others
            .iter()
            .enumerate()
            .filter(|(beside, _)| *beside != at)
        {
            assert_ne!(one.id(), other.id(), "{at} {beside}");
        }
    }
}

#[test]
fn an_id_depends_on_no_order_of_settings_and_shows_no_parameter() {
    let plain = || OAuth2::discovered("https://login.example", SecretRef::inline("client-7"));
    let (key, secret) = (SecretRef::env("KEY"), SecretRef::env("SECRET"));
    let one = plain().key(key.clone()).client_secret(secret.clone());
    let other = plain().client_secret(secret).key(key);
    assert_eq!(one.id(), other.id());
    let parameter = |value| format!("{:?}", plain().parameter("partner", value).id());
    assert_eq!(parameter("hunter2"), parameter("hunter3"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_secret() {
    let server = Server::new().await;
    let answer = wiremock::ResponseTemplate::new(307).insert_header("Location", "/elsewhere");
    server.answers("/token", answer).await;
    let error = server
        .fetch(&server.client_with_secret())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert_eq!(server.requests().await.len(), 1);
}

#[tokio::test]
async fn a_secret_goes_nowhere_without_tls() {
    let server = Server::new().await;
    let endpoint = url::Url::parse("http://login.example/token").unwrap();
    let provider = OAuth2::at(endpoint, SecretRef::inline("client-7"))
        .client_secret(SecretRef::inline("secret"));
    let error = server.fetch(&provider).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let server = Server::new().await;
    let long = serde_json::json!({ "access_token": "t", "padding": "x".repeat(2 << 20) });
    server.answers("/token", json_answer(200, &long)).await;
    let error = server
        .fetch(&server.client_with_secret())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[test]
fn debug_shows_no_secret() {
    let provider = OAuth2::discovered("https://login.example", SecretRef::inline("client-7"))
        .client_secret(SecretRef::inline("pl4nted"))
        .key(SecretRef::inline("pl4nted"))
        .dpop_key(SecretRef::inline("pl4nted"))
        .parameter("api_key", "pl4nted");
    assert!(!format!("{provider:?}").contains("pl4nted"));
}
