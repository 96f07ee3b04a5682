//! Several requests for one token.

use std::time::Duration;

use biped_core::{ErrorKind, ExposeSecret as _, NoLifetime, SecretRef, TokenRequest};
use serde_json::json;

use crate::server::{Sent, Server};

const TWO: &str = r#"
    url = "{origin}/login"
    encoding = "json"
    auth = "none"
    grant_type = false
    fields = { "/auth/key" = "{client_id}" }
    response = { token = "/challenge", export = { session = "/session", live = "/live", tenant = "header:X-Tenant" } }

    [[then]]
    url = "{origin}/{tenant}/confirm"
    method = "POST"
    encoding = "json"
    fields = { answer = "{token}", session = { number = "{session}" } }
    headers = { X-From = "{client_id}", X-Live = "{live}" }

    [then.response]
    token = "/token"
    expires = { at = "/ends", as = "rfc3339" }
"#;

#[tokio::test]
async fn a_later_request_uses_what_the_earlier_answer_gave() {
    let server = Server::empty().await;
    let first = wiremock::ResponseTemplate::new(200)
        .set_body_json(json!({ "challenge": "c-1", "session": 77, "live": true }))
        .insert_header("X-Tenant", "acme");
    wiremock::Mock::given(wiremock::matchers::path("/login"))
        .respond_with(first)
        .mount(&server.0)
        .await;
    server
        .at(
            "/acme/confirm",
            200,
            json!({ "token": "t-2", "ends": "2200-01-01T00:00:00Z" }),
        )
        .await;
    let token = server.token(TWO).await.unwrap();
    assert_eq!(token.expose_secret(), "t-2");
    assert_eq!(token.lifetime(), Some(biped_core::MAX_LIFETIME));
    assert_eq!(token.extra("session"), Some(&json!("77")));

    let requests: Vec<_> = server.requests().await.into_iter().map(Sent).collect();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].line(), "POST /login");
    assert_eq!(requests[0].json(), json!({ "auth": { "key": "client 7" } }));
    assert_eq!(requests[1].line(), "POST /acme/confirm");
    assert_eq!(
        requests[1].json(),
        json!({ "answer": "c-1", "session": 77 })
    );
    assert_eq!(requests[1].header("x-live"), Some("true"));
    assert_eq!(requests[1].header("x-from"), Some("client 7"));
}

#[tokio::test]
async fn a_later_request_that_brings_no_token_says_nothing_of_its_life() {
    const OTHER: &str = "[[then]]\nurl = '{origin}/sites'\n\
                         [then.response]\nexport = { site = '/id' }\n";
    let stated = "response = { lifetime = 3600 }";
    for (lifetime, answer, assumed) in [
        (stated, json!({ "access_token": "t-1" }), None),
        (
            "",
            json!({ "access_token": "t-1", "expires_in": "soon" }),
            Some(NoLifetime::Unreadable),
        ),
    ] {
        let server = Server::empty().await;
        server.at("/token", 200, answer).await;
        server.at("/sites", 200, json!({ "id": 7 })).await;
        let dialect = format!("url = '{{origin}}/token'\n{lifetime}\n{OTHER}");
        let token = server.token(&dialect).await.unwrap();
        assert_eq!(token.assumed_lifetime(), assumed, "{dialect}");
    }
}

#[tokio::test]
async fn a_later_request_may_only_find_something_out() {
    let server = Server::empty().await;
    server
        .at(
            "/token",
            200,
            json!({ "access_token": "t-1", "expires_in": 60 }),
        )
        .await
        .at(
            "/sites",
            200,
            json!([{ "id": "s-1", "url": "http://127.0.0.1:1/api" }]),
        )
        .await;
    let dialect = r#"
        url = "{origin}/token"
        auth = "none"
        scopes = ["a"]

        [[then]]
        url = "{origin}/sites"
        headers = { Authorization = "Bearer {token}" }
        response = { export = { site = "/0/id" }, base_url = "/0/url", base_url_hosts = ["x.example"] }
    "#;
    let token = server.token(dialect).await.unwrap();
    assert_eq!(token.expose_secret(), "t-1");
    assert_eq!(token.lifetime(), Some(Duration::from_secs(60)));
    assert_eq!(token.extra("site"), Some(&json!("s-1")));
    assert_eq!(token.base_url().unwrap().as_str(), "http://127.0.0.1:1/api");
    let second = server.last().await;
    assert_eq!(second.line(), "GET /sites");
    assert_eq!(second.header("authorization"), Some("Bearer t-1"));
    assert_eq!(second.body(), "");
}

#[tokio::test]
async fn what_goes_wrong_at_any_request_is_the_error() {
    let server = Server::empty().await;
    let failing = [
        (json!({ "challenge": "c" }), ErrorKind::InvalidResponse, 1),
        (
            json!({ "challenge": "c", "session": {} }),
            ErrorKind::InvalidResponse,
            1,
        ),
        (json!({ "error": "invalid_client" }), ErrorKind::Refused, 1),
    ];
    for (answer, kind, requests) in failing {
        server.0.reset().await;
        server.at("/login", 200, answer.clone()).await;
        let error = server.token(TWO).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{answer}");
        assert_eq!(server.requests().await.len(), requests, "{answer}");
    }
}

const DISCOVERED: &str = r#"
    url = "{origin}/where"
    method = "GET"
    encoding = "none"
    response = { export = { place = "/place" }, base_url_hosts = ["login.vendor.example"] }

    [[then]]
    url = "{place}"
    method = "POST"
    encoding = "form"
    grant_type = "password"
    fields = { password = "{password}" }
    response = { token = "/access_token" }
"#;

#[tokio::test]
async fn credentials_go_to_a_discovered_address_only_where_it_is_the_vendors() {
    let server = Server::empty().await;
    let token = json!({ "access_token": "t-1" });
    let place = format!("{}/token", server.0.uri());
    server
        .at("/where", 200, json!({ "place": place }))
        .await
        .at("/token", 200, token)
        .await;
    let vendor = || {
        server
            .vendor(DISCOVERED)
            .param("password", SecretRef::inline("pl4nted"))
    };
    let token = server.fetch(vendor(), &TokenRequest::new()).await.unwrap();
    assert_eq!(token.expose_secret(), "t-1");
    assert_eq!(
        server.last().await.body(),
        "grant_type=password&password=pl4nted"
    );

    for place in [
        "https://evil.example/token",
        "https://login.vendor.example.evil.example/x",
    ] {
        server.0.reset().await;
        server.at("/where", 200, json!({ "place": place })).await;
        let error = server
            .fetch(vendor(), &TokenRequest::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{place}");
        assert!(!format!("{error:?}").contains("pl4nted"));
        assert_eq!(server.requests().await.len(), 1);
    }
}

#[tokio::test]
async fn a_token_that_is_part_of_a_host_goes_only_where_the_file_says() {
    for dialect in [
        r#"
        url = "{origin}/where"
        response = { token = "/place", base_url_hosts = ["login.vendor.example"] }
        [[then]]
        url = "https://{token}/token"
        headers = { X-Key = "{password}" }
        "#,
        r#"
        url = "{origin}/where"
        response = { token = "/t", export = { place = "/place" }, base_url_hosts = ["login.vendor.example"] }
        [[then]]
        url = "https://{place}/token"
        headers = { X-Key = "{password}" }
        "#,
    ] {
        for place in [
            "evil.example",
            "evil.example/login.vendor.example",
            "login.vendor.example.evil.example",
            "evil.example#login.vendor.example",
            "login.vendor.example@evil.example",
            "login.vendor.example:8443",
            "user@login.vendor.example",
        ] {
            let server = Server::empty().await;
            server
                .at("/where", 200, json!({ "place": place, "t": "t-1" }))
                .await;
            let vendor = server
                .vendor(dialect)
                .param("password", SecretRef::inline("pl4nted"));
            let fetched = server.fetch(vendor, &TokenRequest::new()).await;
            let error = fetched.unwrap_err();
            assert!(
                [ErrorKind::InvalidResponse, ErrorKind::Configuration].contains(&error.kind()),
                "{place}: {error}"
            );
            assert_eq!(server.requests().await.len(), 1, "{place}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_part_of_a_path_needs_no_hosts() {
    let server = Server::empty().await;
    let other = Server::empty().await;
    server.at("/where", 200, json!({ "place": "p" })).await;
    other.at("/p", 200, json!({ "access_token": "t-1" })).await;
    let dialect = format!(
        "url = \"{{origin}}/where\"\nresponse = {{ export = {{ place = \"/place\" }} }}\n\
         [[then]]\nurl = \"{}/{{place}}\"\nresponse = {{ token = \"/access_token\" }}",
        other.0.uri()
    );
    let token = server.token(&dialect).await.unwrap();
    assert_eq!(token.expose_secret(), "t-1");
}

#[tokio::test]
async fn what_an_earlier_answer_gave_is_not_in_the_error_of_a_later_one() {
    let server = Server::empty().await;
    let login = json!({ "session": "pl4nted-session", "ticket": "pl4nted-ticket" });
    server.at("/login", 200, login).await;
    let refusal =
        json!({ "error": "gone", "error_description": "no pl4nted-session, pl4nted-ticket" });
    server.at("/token", 403, refusal).await;
    let dialect = r#"
        url = "{origin}/login"
        response = { token = "/session", export = { ticket = "/ticket" } }
        [[then]]
        url = "{origin}/token"
        headers = { X-Session = "{token}", X-Ticket = "{ticket}" }
        response = { token = "/token" }
    "#;
    let source = server.source(server.vendor(dialect));
    let error = source.token().await.unwrap_err();
    assert_eq!(error.vendor().unwrap().code.as_deref(), Some("gone"));
    assert!(!format!("{error} {error:?}").contains("pl4nted"), "{error}");
}
