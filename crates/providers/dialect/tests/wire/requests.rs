//! What goes out.

use biped_core::{ErrorKind, IdentityRef, Provider as _, SecretRef, TokenRequest};
use serde_json::json;

use crate::server::Server;

const CREDENTIALS: &str =
    "client_id=client+7&client_secret=s3cret%26with%3Dall%2Bof+%25that%3B%C3%A9";

#[tokio::test]
async fn the_defaults_are_rfc_6749() {
    let server = Server::giving_tokens().await;
    let sent = server.sent(r#"url = "{origin}/oauth/token""#).await;
    assert_eq!(sent.line(), "POST /oauth/token");
    assert_eq!(
        sent.body(),
        format!("grant_type=client_credentials&{CREDENTIALS}")
    );
    assert_eq!(
        sent.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(sent.header("accept"), Some("application/json"));
    for absent in ["authorization", "cookie", "referer"] {
        assert_eq!(sent.header(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn fields_travel_as_json_typed_and_nested() {
    let server = Server::giving_tokens().await;
    let sent = server
        .sent(
            r#"
            url = "{origin}/token"
            encoding = "json"
            auth = "none"
            grant_type = "x"

            [fields]
            "/auth/identity/user" = "{client_id}"
            "/auth/identity/methods/0" = "password"
            "/a~1b" = true
            count = { number = "{origin_count}" }
            half = 0.5
            list = ["{client_id}", 2, false]
            "#
            .replace("{origin_count}", "42")
            .as_str(),
        )
        .await;
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!(
        sent.json(),
        json!({
            "grant_type": "x",
            "auth": { "identity": { "user": "client 7", "methods": ["password"] } },
            "a/b": true,
            "count": 42,
            "half": 0.5,
            "list": ["client 7", 2, false],
        })
    );
}

#[tokio::test]
async fn fields_travel_in_the_query_beside_the_query() {
    let server = Server::giving_tokens().await;
    let sent = server
        .sent(
            r#"
            url = "{origin}/token?v=1"
            method = "GET"
            encoding = "query"
            query = { "a b" = "{client_id}" }
            "#,
        )
        .await;
    let line = format!("GET /token?v=1&a+b=client+7&grant_type=client_credentials&{CREDENTIALS}");
    assert_eq!(sent.line(), line);
    assert_eq!(sent.body(), "");
    assert_eq!(sent.header("content-type"), None);
}

#[tokio::test]
async fn a_body_may_be_a_text_or_nothing() {
    let server = Server::giving_tokens().await;
    let sent = server
        .sent(
            r#"
            url = "{origin}/token"
            method = "PUT"
            encoding = "text"
            body = "{{{client_secret}}}"
            headers = { Content-Type = "text/x-key" }
            "#,
        )
        .await;
    assert_eq!(sent.line(), "PUT /token");
    assert_eq!(sent.body(), "{s3cret&with=all+of %that;é}");
    assert_eq!(sent.header("content-type"), Some("text/x-key"));

    let sent = server
        .sent("url = \"{origin}/token\"\nencoding = \"none\"")
        .await;
    assert_eq!(sent.line(), "POST /token");
    assert_eq!(sent.body(), "");
}

#[tokio::test]
async fn basic_is_encoded_unless_the_file_says_what_it_is() {
    let server = Server::giving_tokens().await;
    let sent = server
        .sent("url = \"{origin}/token\"\nauth = \"basic\"")
        .await;
    assert_eq!(sent.body(), "grant_type=client_credentials");
    assert_eq!(
        sent.header("authorization"),
        Some("Basic Y2xpZW50JTIwNzpzM2NyZXQlMjZ3aXRoJTNEYWxsJTJCb2YlMjAlMjV0aGF0JTNCJUMzJUE5")
    );
    let sent = server
        .sent(
            r#"
            url = "{origin}/token"
            auth = "basic"
            basic = { user = "{client_id|b64}", password = "" }
            "#,
        )
        .await;
    // Base64 of `Y2xpZW50IDc=:`.
    assert_eq!(
        sent.header("authorization"),
        Some("Basic WTJ4cFpXNTBJRGM9Og==")
    );
}

#[tokio::test]
async fn what_the_file_names_replaces_what_is_sent_of_its_own_accord() {
    let server = Server::giving_tokens().await;
    let dialect = r#"
        url = "{origin}/token"
        scopes = ["b", "a"]
        scope_separator = ","
        fields = { client_id = "other", audience = "x", scope = "all {scope}" }
    "#;
    let sent = server.sent(dialect).await;
    let body = "grant_type=client_credentials&client_secret=s3cret%26with%3Dall%2Bof+%25that%3B%C3%A9\
                &client_id=other&audience=x&scope=all+b%2Ca";
    assert_eq!(sent.body(), body);
}

#[tokio::test]
async fn scopes_of_the_request_take_the_place_of_the_files() {
    let server = Server::giving_tokens().await;
    let dialect = "url = \"{origin}/token\"\nscopes = [\"a\", \"b\"]\nauth = \"none\"";
    let token = server.token(dialect).await.unwrap();
    assert_eq!(token.scope(), Some("a b"), "the response is silent");
    assert_eq!(
        server.last().await.body(),
        "grant_type=client_credentials&scope=a+b"
    );
    let request = TokenRequest::new().scope("d c");
    server
        .fetch(server.vendor(dialect), &request)
        .await
        .unwrap();
    assert_eq!(
        server.last().await.body(),
        "grant_type=client_credentials&scope=d+c"
    );
}

#[tokio::test]
async fn a_uuid_is_fresh_for_each_request_and_one_within_it() {
    let server = Server::giving_tokens().await;
    let dialect = r#"
        url = "{origin}/token"
        auth = "none"
        headers = { X-Request-ID = "{uuid}", X-Again = "{uuid}", X-Day = "{now|%Y-%m-%d}" }
    "#;
    let first = server.sent(dialect).await;
    let second = server.sent(dialect).await;
    assert_eq!(first.header("x-request-id"), first.header("x-again"));
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert_eq!(first.header("x-request-id").unwrap().len(), 36);
    assert_eq!(first.header("x-day").unwrap().len(), 10);
}

const OPTIONAL: &str = r#"
    url = "{origin}/token"
    encoding = "json"
    auth = "none"
    grant_type = false
    fields = { project = { number = "{project}" }, audience = "{audience}" }
    headers = { X-Audience = "{audience}" }

    [about]
    title = "A test"
    docs = "https://vendor.example"

    [about.params]
    origin = "where it is"
    project = { says = "a number", optional = true }
    audience = { says = "a text", optional = true }
    key = { says = "a secret", secret = true, optional = true }

    [attach]
    headers = { Authorization = "Bearer {token}", X-Key = "{key}" }
"#;

#[tokio::test]
async fn what_names_a_parameter_that_is_not_given_is_left_out() {
    let server = Server::giving_tokens().await;
    let sent = server.sent(OPTIONAL).await;
    assert_eq!(sent.json(), json!({}));
    assert_eq!(sent.header("x-audience"), None);
}

#[tokio::test]
async fn requests_may_carry_parameters_of_their_own() {
    let server = Server::giving_tokens().await;
    let request = TokenRequest::new()
        .param("project", 42)
        .param("audience", "a");
    let vendor = server
        .vendor(OPTIONAL)
        .param("audience", SecretRef::inline("b"));
    server.fetch(vendor, &request).await.unwrap();
    let sent = server.last().await;
    assert_eq!(sent.json(), json!({ "project": 42, "audience": "a" }));

    for request in [
        TokenRequest::new().param("unheard_of", 1),
        TokenRequest::new().param("client_secret", "x"),
        TokenRequest::new().param("origin", "https://evil.example"),
        TokenRequest::new().param("key", "x"),
        TokenRequest::new().param("project", "no number"),
    ] {
        let error = server
            .fetch(server.vendor(OPTIONAL), &request)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{request}");
    }
    assert_eq!(server.requests().await.len(), 1);
}

#[tokio::test]
async fn a_header_that_would_be_two_is_refused_without_showing_it() {
    let server = Server::giving_tokens().await;
    let vendor = server
        .vendor("url = \"{origin}/token\"\nauth = \"none\"\nheaders = { X-Key = \"{key}\" }")
        .param("key", SecretRef::inline("pl4nted\r\nX-Evil: 1"));
    let error = server
        .fetch(vendor, &TokenRequest::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(!format!("{error} {error:?}").contains("pl4nted"));
    assert!(server.requests().await.is_empty());
}

#[tokio::test]
async fn a_secret_in_the_address_is_not_shown() {
    let server = Server::giving_tokens().await;
    for origin in ["http://vendor.example", "ftp://vendor.example", "no url"] {
        let vendor = server
            .vendor("url = \"{place}/{key}/token\"\nauth = \"none\"")
            .param("place", SecretRef::inline(origin))
            .param("key", SecretRef::inline("pl4nted"));
        let error = server
            .fetch(vendor, &TokenRequest::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{origin}");
        assert!(!format!("{error} {error:?}").contains("pl4nted"), "{error}");
    }
    assert!(server.requests().await.is_empty());
}

#[tokio::test]
async fn the_token_endpoint_may_be_elsewhere() {
    let server = Server::giving_tokens().await;
    let elsewhere = format!("{}/proxy", server.0.uri()).parse().unwrap();
    let vendor = server
        .vendor("url = \"https://vendor.example/token\"")
        .token_endpoint(elsewhere);
    server.fetch(vendor, &TokenRequest::new()).await.unwrap();
    assert_eq!(server.last().await.line(), "POST /proxy");
}

#[test]
fn a_client_certificate_is_asked_for_and_used() {
    let dialect = "url = \"https://v.example/token\"\nclient_certificate = true";
    let dialect = std::sync::Arc::new(biped_dialect::Dialect::from_toml(dialect, "t").unwrap());
    let vendor = || {
        biped_dialect::Vendor::builder(dialect.clone())
            .client_id(SecretRef::inline("id"))
            .client_secret(SecretRef::inline("secret"))
    };
    let error = vendor().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let identity = IdentityRef {
        certificate: SecretRef::file("client.pem"),
        key: SecretRef::file("client.key"),
    };
    let vendor = vendor().certificate(identity).build().unwrap();
    let certificate = &vendor.client_identity().unwrap().certificate;
    assert_eq!(*certificate, SecretRef::file("client.pem"));
}

#[tokio::test]
async fn names_of_headers_are_templates_too() {
    let server = Server::giving_tokens().await;
    let dialect = r#"
        url = "{origin}/token"
        auth = "none"
        headers = { "X-{tenant}-Key" = "{key}", X-Fixed = "f" }
    "#;
    let vendor = |tenant: &str| {
        let vendor = server.vendor(dialect).param("key", SecretRef::inline("k"));
        vendor.param("tenant", SecretRef::inline(tenant))
    };
    let request = TokenRequest::new();
    server.fetch(vendor("acme"), &request).await.unwrap();
    let sent = server.last().await;
    assert_eq!(sent.header("x-acme-key"), Some("k"));
    assert_eq!(sent.header("x-fixed"), Some("f"));
    let error = server.fetch(vendor("a\nb"), &request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("tenant"), "{error}");
}
