//! What becomes of answers.

use std::time::Duration;

use biped_core::{ErrorKind, ExposeSecret, TokenRequest};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::server::{Server, token_answer};

fn dialect(response: &str) -> String {
    format!("url = \"{{origin}}/token\"\nauth = \"none\"\n\n[response]\n{response}")
}

async fn token(response: &str, answer: Value) -> Result<biped_core::Token, biped_core::Error> {
    Server::answering(200, answer)
        .await
        .token(&dialect(response))
        .await
}

#[tokio::test]
async fn tokens_are_found_wherever_they_are() {
    for (place, answer) in [
        (
            "/data/list/1/token",
            json!({ "data": { "list": [{}, { "token": "t-1" }] } }),
        ),
        ("/0/token", json!([{ "token": "t-1" }])),
        ("/inner/token", json!({ "inner": "{\"token\": \"t-1\"}" })),
        ("", json!("t-1")),
    ] {
        let token = token(&format!("token = \"{place}\""), answer)
            .await
            .unwrap();
        assert_eq!(token.expose_secret(), "t-1", "{place}");
    }
}

#[tokio::test]
async fn a_token_may_be_in_a_header_of_an_empty_answer() {
    let answer = ResponseTemplate::new(204).insert_header("X-Token", "t-1");
    let server = Server::with(answer).await;
    let token = server
        .token(&dialect("token = \"header:x-token\"\nlifetime = 60"))
        .await
        .unwrap();
    assert_eq!(token.expose_secret(), "t-1");
    assert_eq!(token.lifetime(), Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn a_text_is_a_token_unless_it_is_a_page_or_an_error() {
    for (body, token) in [
        ("t-1\n", Some("t-1")),
        ("\u{feff}t-1", Some("t-1")),
        ("\"t-1\"", Some("t-1")),
        ("12345", Some("12345")),
        ("<html>log in</html>", None),
        ("{\"error\": \"invalid_client\"}", None),
        (
            "{\"sid\": \"s-1\", \"sig\": 7}\n",
            Some("{\"sid\": \"s-1\", \"sig\": 7}"),
        ),
        ("{\"errors\": [{\"message\": \"no\"}]}", None),
        ("[\"t-1\"]", None),
        ("{}", None),
        ("", None),
    ] {
        let server = Server::with(ResponseTemplate::new(200).set_body_string(body)).await;
        let got = server.token(&dialect("format = \"text\"")).await;
        assert_eq!(
            got.as_ref().ok().map(ExposeSecret::expose_secret),
            token,
            "{body}"
        );
        if body.contains("invalid_client") {
            assert!(got.unwrap_err().refuses_client());
        }
    }
}

#[tokio::test]
async fn without_expires_in_the_expiry_may_be_a_point_in_time() {
    let now = biped_core::Clock::now(&biped_core::SystemClock).wall;
    let in_an_hour = now.unix_seconds() + 3600;
    let about_an_hour = Duration::from_secs(3590)..=Duration::from_secs(3601);
    for name in ["expires_on", "expires_at"] {
        for (value, is_read) in [
            (json!(in_an_hour), true),
            (json!(in_an_hour.to_string()), true),
            (json!("soon"), false),
        ] {
            let answer = json!({ "access_token": "t-1", name: value });
            let got = token("", answer).await.unwrap().lifetime().unwrap();
            assert_eq!(about_an_hour.contains(&got), is_read, "{name} {value}");
        }
    }
    // A vendor file that says where the expiry is, is taken at its word.
    let answer = json!({ "access_token": "t-1", "expires_at": in_an_hour });
    let got = token("expires = { at = \"/until\" }", answer)
        .await
        .unwrap();
    assert_eq!(got.lifetime(), Some(Duration::from_secs(900)));
}

#[tokio::test]
async fn a_text_that_is_an_object_is_no_token_if_the_file_finds_an_error_in_it() {
    let file = dialect("format = \"text\"\nerror = { code = \"/why\" }");
    for (body, is_token) in [
        (json!({ "why": "no", "sid": "s-1" }), false),
        (json!({ "why": null, "sid": "s-1" }), true),
    ] {
        let server = Server::answering(200, body.clone()).await;
        assert_eq!(server.token(&file).await.is_ok(), is_token, "{body}");
    }
}

#[tokio::test]
async fn the_expiry_is_read_in_every_form() {
    let in_an_hour = biped_core::Clock::now(&biped_core::SystemClock)
        .wall
        .after(Duration::from_secs(3600));
    let seconds = in_an_hour.unix_seconds();
    for (written, value) in [
        ("seconds", json!("3600")),
        ("millis", json!(3_600_000)),
        ("unix", json!(seconds)),
        ("unix_millis", json!(in_an_hour.unix_millis().to_string())),
        ("duration", json!("1h")),
        ("auto", json!(seconds)),
    ] {
        let response = format!("expires = {{ at = \"/ends\", as = \"{written}\" }}");
        let token = token(&response, json!({ "access_token": "t", "ends": value }))
            .await
            .unwrap();
        let life = token.lifetime().unwrap().as_secs();
        assert!((3590..=3600).contains(&life), "{written}: {life}");
    }
}

#[tokio::test]
async fn a_token_that_comes_again_expires_as_it_was_issued() {
    let now = biped_core::Clock::now(&biped_core::SystemClock).wall;
    let life = |issued: Value| async move {
        let expires =
            "expires = { at = \"/expires_in\", as = \"seconds\", issued = \"/created_at\" }";
        let answer = json!({ "access_token": "t", "expires_in": 3600, "created_at": issued });
        let token = token(expires, answer).await.unwrap();
        token.lifetime().unwrap().as_secs()
    };
    let earlier = now.before(Duration::from_secs(600));
    for issued in [
        json!(earlier.to_string()),
        json!(earlier.unix_seconds()),
        json!(earlier.unix_millis().to_string()),
    ] {
        let left = life(issued.clone()).await;
        assert!((2980..=3000).contains(&left), "{issued}: {left}");
    }
    // A vendor whose clock is ahead makes no token live longer.
    let later = now.after(Duration::from_secs(600));
    assert_eq!(life(json!(later.to_string())).await, 3600);
    // A token at its end must not get the lifetime of one whose end is unknown.
    let long_ago = now.before(Duration::from_secs(7200));
    assert_eq!(life(json!(long_ago.to_string())).await, 1);
    // Without a readable issue it counts from the request.
    assert_eq!(life(Value::Null).await, 3600);
    assert_eq!(life(json!("yesterday")).await, 3600);
}

#[tokio::test]
async fn without_an_expiry_the_files_lifetime_holds() {
    let answer = || json!({ "access_token": "t", "expires_in": 0 });
    let life =
        |response: &'static str| async move { token(response, answer()).await.unwrap().lifetime() };
    assert_eq!(life("lifetime = 77").await, Some(Duration::from_secs(77)));
    assert_eq!(life("lifetime = false").await, None);
    assert_eq!(life("").await, Some(biped_core::DEFAULT_LIFETIME));
}

#[tokio::test]
async fn a_base_url_must_be_at_the_vendors_hosts() {
    let server = Server::empty().await;
    let origin = server.0.uri();
    let dialect = dialect(
        "base_url = \"/api\"\nbase_url_hosts = [\"*.vendor.example\", \"api.other.example\"]",
    );
    let ok = [
        (
            "https://eu.vendor.example/v1",
            Some("https://eu.vendor.example/v1"),
        ),
        ("eu.vendor.example", Some("https://eu.vendor.example/")),
        (
            "https://api.other.example",
            Some("https://api.other.example/"),
        ),
        (
            &origin,
            Some(&*format!("{origin}/")).map(|s| &*s.to_owned().leak()),
        ),
        ("", None),
    ];
    for (named, base_url) in ok {
        let server = Server::answering(200, json!({ "access_token": "t", "api": named })).await;
        let token = server.token(&dialect).await.unwrap();
        assert_eq!(token.base_url().map(url::Url::as_str), base_url, "{named}");
    }
    for named in [
        "https://vendor.example.evil.example",
        "https://vendor.example",
        "https://user@eu.vendor.example",
        "https://eu.vendor.example:8443",
        "http://eu.vendor.example",
    ] {
        let server = Server::answering(200, json!({ "access_token": "t", "api": named })).await;
        let error = server.token(&dialect).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{named}");
    }
}

const FLAGGED: &str = r#"
    ok = { at = "/code", equals = 0, or_absent = true }
    error = { code = "/code", reason = "/sub", message = "/msg" }
"#;

#[tokio::test]
async fn a_flag_in_the_body_tells_success_from_failure() {
    for code in [json!(0), json!("0"), json!(0.0), Value::Null] {
        let mut answer = token_answer();
        answer["code"] = code.clone();
        assert!(token(FLAGGED, answer).await.is_ok(), "{code}");
    }
    let mut answer = token_answer();
    answer["code"] = json!(40001);
    answer["sub"] = json!("bad_secret");
    answer["msg"] = json!("wrong secret");
    let error = token(FLAGGED, answer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let vendor = error.vendor().unwrap();
    assert_eq!(vendor.status, Some(200));
    assert_eq!(vendor.code.as_deref(), Some("40001"));
    assert_eq!(vendor.reason.as_deref(), Some("bad_secret"));
    assert_eq!(vendor.message.as_deref(), Some("wrong secret"));
    // A success without a token is nothing at all.
    let error = token(FLAGGED, json!({ "code": 0 })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn refusals_are_read_where_the_file_says_and_as_the_standard_has_them() {
    let response = "error = { code = \"/errors/0/code\", message = \"/errors/0/text\" }";
    for (status, answer, kind, code) in [
        (
            400,
            json!({ "errors": [{ "code": 7, "text": "no" }] }),
            ErrorKind::Refused,
            Some("7"),
        ),
        (
            200,
            json!({ "errors": [{ "code": 7 }] }),
            ErrorKind::Refused,
            Some("7"),
        ),
        (
            401,
            json!({ "error": "invalid_client" }),
            ErrorKind::Refused,
            Some("invalid_client"),
        ),
        (503, json!({}), ErrorKind::Unavailable, None),
        (200, json!({}), ErrorKind::InvalidResponse, None),
        (
            200,
            json!({ "access_token": "" }),
            ErrorKind::InvalidResponse,
            None,
        ),
        (
            200,
            json!({ "access_token": {} }),
            ErrorKind::InvalidResponse,
            None,
        ),
        (302, json!({}), ErrorKind::InvalidResponse, None),
    ] {
        let server = Server::answering(status, answer.clone()).await;
        let error = server.token(&dialect(response)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {answer}");
        let said = error.vendor().and_then(|vendor| vendor.code.clone());
        assert_eq!(said.as_deref(), code, "{status} {answer}");
        assert_eq!(server.requests().await.len(), 1);
    }
}

#[tokio::test]
async fn the_file_says_which_codes_mean_wrong_credentials_and_which_a_moments_failure() {
    let response = "error = { code = \"/code\", reason = \"/sub\", invalid_client = [40003, \"NO_KEY\"], \
                    temporarily_unavailable = [-1] }";
    for (status, answer, kind, is_client) in [
        (200, json!({ "code": 40003 }), ErrorKind::Refused, true),
        (200, json!({ "code": "40003" }), ErrorKind::Refused, true),
        (
            400,
            json!({ "code": 1, "sub": "NO_KEY" }),
            ErrorKind::Refused,
            true,
        ),
        (200, json!({ "code": 40004 }), ErrorKind::Refused, false),
        (401, json!({ "code": 40004 }), ErrorKind::Refused, true),
        (200, json!({ "code": -1 }), ErrorKind::Unavailable, false),
        (400, json!({ "code": -1 }), ErrorKind::Unavailable, false),
        (503, json!({ "code": 40003 }), ErrorKind::Unavailable, false),
    ] {
        let server = Server::answering(status, answer.clone()).await;
        let error = server.token(&dialect(response)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {answer}");
        assert_eq!(error.refuses_client(), is_client, "{status} {answer}");
        assert_eq!(error.is_transient(), kind == ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn codes_alone_are_found_where_most_vendors_write_them() {
    let response = "error = { invalid_client = [\"bad_key\"] }";
    let error = token(response, json!({ "error": "bad_key" }))
        .await
        .unwrap_err();
    assert!(error.refuses_client());
}

#[tokio::test]
async fn scope_and_type_are_the_answers_own() {
    let server = Server::answering(
        201,
        json!({ "access_token": "t", "token_type": "bearer", "scope": ["a", "b"], "expires_in": "60" }),
    )
    .await;
    let vendor = server.vendor("url = \"{origin}/token\"");
    let token = server.fetch(vendor, &TokenRequest::new()).await.unwrap();
    assert_eq!(token.token_type(), "bearer");
    assert_eq!(token.scope(), Some("a b"));
    assert_eq!(token.lifetime(), Some(Duration::from_secs(60)));
    assert_eq!(token.extra("expires_in"), None);
}

#[tokio::test]
async fn a_token_that_is_the_whole_body_needs_no_quotes() {
    for body in ["t-1", "\"t-1\""] {
        let server = Server::with(ResponseTemplate::new(200).set_body_string(body)).await;
        let token = server.token(&dialect("token = \"\"")).await.unwrap();
        assert_eq!(token.expose_secret(), "t-1", "{body}");
    }
}

#[tokio::test]
async fn an_origin_among_the_parameters_may_name_the_hosts() {
    let dialect = "url = \"{origin}/token\"\nauth = \"none\"\n[response]\nbase_url = \"/api\"\n\
                   base_url_hosts = [\"{cloud}\"]";
    for (named, is_good) in [
        ("https://api.acme.example/v1", true),
        ("https://acme.example/v1", false),
        ("https://api.acme.example.evil.example", false),
    ] {
        let server = Server::answering(200, json!({ "access_token": "t", "api": named })).await;
        let cloud = biped_core::SecretRef::inline("https://api.acme.example:443/x");
        let vendor = server.vendor(dialect).param("cloud", cloud);
        let token = server.fetch(vendor, &TokenRequest::new()).await;
        assert_eq!(token.is_ok(), is_good, "{named}");
    }
}

#[tokio::test]
async fn no_shape_of_a_secret_comes_back_in_the_vendors_words() {
    let dialect = r#"
        url = "{origin}/token"
        auth = "basic"
        headers = { X-Key = "{client_secret|b64}" }
    "#;
    let answer = |request: &wiremock::Request| {
        let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
        let words = format!(
            "{} {} {} of client 7",
            header("authorization"),
            header("x-key"),
            "s3cret%26with%3Dall%2Bof%20%25that%3B%C3%A9",
        );
        ResponseTemplate::new(401)
            .set_body_json(json!({ "error": "x", "error_description": words }))
    };
    let server = Server::empty().await;
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(answer)
        .mount(&server.0)
        .await;
    let source = server.source(server.vendor(dialect));
    let error = source.token().await.unwrap_err();
    let message = error.vendor().unwrap().message.clone().unwrap();
    // The client identifier is not a secret.
    assert_eq!(
        message,
        "Basic [redacted] [redacted] [redacted] of client 7"
    );
}

#[tokio::test]
async fn a_token_that_cannot_be_used_is_told_with_the_answers_status() {
    for answer in [
        json!({ "token": "a\nb" }),
        json!({ "token": " " }),
        json!({}),
        json!([]),
    ] {
        let server = Server::answering(201, answer.clone()).await;
        let error = server
            .token(&dialect("token = \"/token\""))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{answer}");
        assert_eq!(error.vendor().unwrap().status, Some(201), "{answer}");
    }
}

#[tokio::test]
async fn the_words_are_found_in_whatever_envelope_unless_the_file_says_where() {
    let okta = json!({ "errorCode": "E7", "errorSummary": "no" });
    for response in ["", "error = { code = \"/elsewhere\" }", "format = \"text\""] {
        for status in [400, 200] {
            let server = Server::answering(status, okta.clone()).await;
            let error = server.token(&dialect(response)).await.unwrap_err();
            let vendor = error.vendor().unwrap();
            assert_eq!(vendor.code.as_deref(), Some("E7"), "{response}");
            assert_eq!(vendor.message.as_deref(), Some("no"), "{response}");
        }
    }
    // A flag says that it is an error, whatever the status.
    let server = Server::answering(200, json!({ "ok": false, "code": 7, "msg": "no" })).await;
    let flag = "ok = { at = \"/ok\", equals = true }";
    let error = server.token(&dialect(flag)).await.unwrap_err();
    assert_eq!(error.vendor().unwrap().code.as_deref(), Some("7"));
    // The file's own place comes first.
    let body = json!({ "errorCode": "E7", "mine": "E8" });
    let server = Server::answering(400, body).await;
    let file = dialect("error = { code = \"/mine\" }");
    let error = server.token(&file).await.unwrap_err();
    assert_eq!(error.vendor().unwrap().code.as_deref(), Some("E8"));
}
