//! Answers as real servers give them: tolerance where they differ, strictness where it protects.

use std::time::Duration;

use biped_core::{Error, ErrorKind, ExposeSecret as _, Token};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::server::{Server, json_answer};

async fn answered(answer: ResponseTemplate) -> Result<Token, Error> {
    let server = Server::new().await;
    server.answers("/token", answer).await;
    server.fetch(&server.client_with_secret()).await
}

async fn with(name: &str, value: Value) -> Result<Token, Error> {
    let mut answer = json!({ "access_token": "t-1", "token_type": "Bearer", "expires_in": 3600 });
    answer[name] = value;
    answered(json_answer(200, &answer)).await
}

async fn without(name: &str) -> Result<Token, Error> {
    let mut answer = json!({ "access_token": "t-1", "token_type": "Bearer", "expires_in": 3600 });
    answer.as_object_mut().unwrap().remove(name);
    answered(json_answer(200, &answer)).await
}

#[tokio::test]
async fn expires_in_may_be_a_number_a_fraction_or_a_text() {
    for value in [json!(90), json!(90.0), json!("90"), json!(" 90 ")] {
        let token = with("expires_in", value.clone()).await.unwrap();
        assert_eq!(token.lifetime(), Some(Duration::from_secs(90)), "{value}");
    }
}

#[tokio::test]
async fn expires_in_may_be_absent_null_or_nonsense() {
    let assumed = Some(biped_core::DEFAULT_LIFETIME);
    assert_eq!(without("expires_in").await.unwrap().lifetime(), assumed);
    for value in [Value::Null, json!("soon"), json!([1]), json!(0), json!(-5)] {
        let token = with("expires_in", value.clone()).await.unwrap();
        assert_eq!(token.lifetime(), assumed, "{value}");
    }
}

#[tokio::test]
async fn without_expires_in_the_expiry_may_be_a_point_in_time() {
    for name in ["expires_on", "expires_at"] {
        let in_an_hour = crate::server::now() + 3600;
        for value in [json!(in_an_hour), json!(in_an_hour.to_string())] {
            let answer = json!({ "access_token": "t-1", name: value });
            let token = answered(json_answer(200, &answer)).await.unwrap();
            let left = Some(Duration::from_secs(3590)) < token.lifetime();
            assert!(left, "{name} {:?}", token.lifetime());
            assert_eq!(token.extra(name), Some(&value));
        }
    }
}

#[tokio::test]
async fn token_type_may_be_absent_or_in_any_case() {
    assert_eq!(without("token_type").await.unwrap().token_type(), "Bearer");
    for value in [Value::Null, json!("")] {
        assert_eq!(
            with("token_type", value).await.unwrap().token_type(),
            "Bearer"
        );
    }
    for name in ["bearer", "BEARER", "Bearer"] {
        let token = with("token_type", json!(name)).await.unwrap();
        assert_eq!(token.token_type(), name);
        assert_eq!(token.header(), "Bearer t-1");
    }
}

#[tokio::test]
async fn a_token_type_of_another_name_is_tried_as_bearer() {
    for name in ["BearerToken", "JWT", "access_token", "application"] {
        let token = with("token_type", json!(name)).await.unwrap();
        assert_eq!(token.token_type(), name);
        assert_eq!(token.header(), "Bearer t-1");
    }
}

#[tokio::test]
async fn a_token_type_that_nobody_can_use_is_refused() {
    for value in [
        json!("mac"),
        json!("n_a"),
        json!("PoP"),
        json!(7),
        json!("DPoP"),
    ] {
        let error = with("token_type", value.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{value}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn scope_may_be_a_text_a_list_or_absent() {
    assert_eq!(
        with("scope", json!("a b")).await.unwrap().scope(),
        Some("a b")
    );
    assert_eq!(
        with("scope", json!(["a", "b"])).await.unwrap().scope(),
        Some("a b")
    );
    for value in [Value::Null, json!(""), json!([1])] {
        assert_eq!(with("scope", value).await.unwrap().scope(), None);
    }
    assert_eq!(without("scope").await.unwrap().scope(), None);
}

#[tokio::test]
async fn any_success_and_any_content_type_will_do() {
    let body = json!({ "access_token": "t-1", "token_type": "Bearer" }).to_string();
    for (status, content_type) in [
        (201, "application/json"),
        (200, "text/html; charset=utf-8"),
        (200, "text/plain"),
        (202, "application/jwt"),
    ] {
        let answer = ResponseTemplate::new(status).set_body_raw(body.clone(), content_type);
        let token = answered(answer).await.unwrap();
        assert_eq!(token.expose_secret(), "t-1");
    }
}

#[tokio::test]
async fn further_fields_are_kept_but_no_refresh_token() {
    let token = with("instance_url", json!("https://eu1.example"))
        .await
        .unwrap();
    assert_eq!(
        token.extra("instance_url"),
        Some(&json!("https://eu1.example"))
    );
    let token = with("refresh_token", json!("r-1")).await.unwrap();
    assert_eq!(token.extra("refresh_token"), None);
    assert_eq!(token.extra("access_token"), None);
}

#[tokio::test]
async fn the_servers_words_are_kept() {
    let answer = json!({
        "error": "invalid_client",
        "error_description": "No such client.",
        "error_uri": "https://login.example/errors#client",
    });
    let error = answered(json_answer(401, &answer)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.refuses_client());
    let vendor = error.vendor().unwrap();
    assert_eq!(vendor.status, Some(401));
    assert_eq!(vendor.code.as_deref(), Some("invalid_client"));
    assert_eq!(vendor.message.as_deref(), Some("No such client."));
    assert_eq!(
        vendor.uri.as_deref(),
        Some("https://login.example/errors#client")
    );
}

#[tokio::test]
async fn an_error_needs_no_description() {
    let answer = json_answer(400, &json!({ "error": "invalid_scope" }));
    let error = answered(answer).await.unwrap_err();
    let vendor = error.vendor().unwrap();
    assert_eq!(vendor.code.as_deref(), Some("invalid_scope"));
    assert_eq!(vendor.message, None);
    assert!(!error.refuses_client());
}

#[tokio::test]
async fn a_challenge_speaks_where_the_body_is_silent() {
    for value in [
        r#"Basic realm="a, error=b", error="invalid_client", error_description="Say \"please\"""#,
        r#"Bearer error = invalid_client,error_description="Say \"please\"""#,
    ] {
        let answer = ResponseTemplate::new(401).insert_header("WWW-Authenticate", value);
        let error = answered(answer).await.unwrap_err();
        let vendor = error.vendor().unwrap();
        assert_eq!(vendor.code.as_deref(), Some("invalid_client"), "{value}");
        assert_eq!(vendor.message.as_deref(), Some(r#"Say "please""#));
    }
    let answer =
        ResponseTemplate::new(401).insert_header("WWW-Authenticate", r#"Basic realm="error""#);
    let error = answered(answer).await.unwrap_err();
    assert_eq!(error.vendor().unwrap().code, None);
    assert!(error.refuses_client());
}

#[tokio::test]
async fn an_empty_429_tells_when_to_come_back() {
    let answer = ResponseTemplate::new(429).insert_header("Retry-After", "7");
    let error = answered(answer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient());
    assert_eq!(error.vendor().unwrap().status, Some(429));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn an_error_in_a_good_status_is_a_refusal() {
    let answer = json!({ "error": "invalid_scope", "error_description": "No." });
    let error = answered(json_answer(200, &answer)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(
        error.vendor().unwrap().code.as_deref(),
        Some("invalid_scope")
    );
}

#[tokio::test]
async fn faults_of_the_request_are_not_the_clients() {
    for code in ["invalid_target", "invalid_dpop_proof", "use_dpop_nonce"] {
        for status in [400, 401] {
            let answer = json_answer(status, &json!({ "error": code }));
            let error = answered(answer).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused);
            assert!(!error.refuses_client(), "{code} {status}");
            assert!(error.remedy().is_some(), "{code}");
        }
    }
}

#[tokio::test]
async fn a_failing_server_is_transient_whatever_it_says() {
    for status in [408, 425, 429, 500, 502, 503] {
        let answer = json_answer(status, &json!({ "error": "invalid_client" }));
        let error = answered(answer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{status}");
        assert!(!error.refuses_client());
    }
}

#[tokio::test]
async fn a_success_without_a_token_is_unusable() {
    for body in [
        "{}",
        "[]",
        "null",
        "<html>pl4nted</html>",
        "pl4nted",
        r#"{"access_token":7}"#,
        r#"{"access_token":""}"#,
        r#"{"access_token":"a\nb"}"#,
        r#"{"access_token":null,"note":"pl4nted"}"#,
    ] {
        let answer = ResponseTemplate::new(200).set_body_raw(body, "application/json");
        let error = answered(answer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{body}");
        assert!(!error.is_transient(), "{body}");
        assert!(!format!("{error} {error:?}").contains("pl4nted"), "{body}");
    }
    assert!(
        answered(ResponseTemplate::new(200))
            .await
            .unwrap_err()
            .is_transient()
    );
}

#[tokio::test]
async fn a_mark_before_the_json_is_passed_over() {
    let body = b"\xef\xbb\xbf{\"access_token\":\"t-1\",\"expires_in\":60}".to_vec();
    let answer = ResponseTemplate::new(200).set_body_bytes(body);
    let token = answered(answer).await.unwrap();
    assert_eq!(token.expose_secret(), "t-1");
}

#[tokio::test]
async fn words_in_other_forms_are_kept_too() {
    for (body, code, message) in [
        (
            json!({ "error": { "code": "bad_audience", "message": "no such API" } }),
            Some("bad_audience"),
            "no such API",
        ),
        (
            json!({ "error": { "type": "denied", "message": "no" } }),
            Some("denied"),
            "no",
        ),
        (json!({ "message": "who are you?" }), None, "who are you?"),
        (
            json!({ "title": "Bad", "detail": "no such API" }),
            None,
            "no such API",
        ),
        (
            json!({ "error_description": "only this" }),
            None,
            "only this",
        ),
    ] {
        let error = answered(json_answer(400, &body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        let vendor = error.vendor().unwrap();
        assert_eq!(vendor.code.as_deref(), code, "{body}");
        assert_eq!(vendor.message.as_deref(), Some(message), "{body}");
    }
}

#[tokio::test]
async fn a_token_type_that_is_no_text_is_told_as_that() {
    let error = with("token_type", json!(7)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(error.to_string().contains("token_type"));
}

#[tokio::test]
async fn an_answer_in_another_encoding_is_read_all_the_same() {
    let latin = b"{\"error\":\"invalid_scope\",\"error_description\":\"unzul\xe4ssig\"}".to_vec();
    let answer = ResponseTemplate::new(400).set_body_bytes(latin);
    let error = answered(answer).await.unwrap_err();
    let vendor = error.vendor().unwrap();
    assert_eq!(vendor.code.as_deref(), Some("invalid_scope"));
    assert!(vendor.message.as_deref().unwrap().starts_with("unzul"));

    let latin = b"{\"access_token\":\"t-1\",\"expires_in\":60,\"owner\":\"M\xfcller\"}".to_vec();
    let answer = ResponseTemplate::new(200).set_body_bytes(latin);
    assert_eq!(answered(answer).await.unwrap().expose_secret(), "t-1");
}

#[tokio::test]
async fn a_token_that_cannot_be_used_is_told_with_the_answers_status() {
    for (name, value) in [
        ("access_token", json!("a\nb")),
        ("access_token", json!("")),
        ("access_token", Value::Null),
        ("token_type", json!("mac")),
        ("token_type", json!("DPoP")),
        ("token_type", json!(7)),
    ] {
        let error = with(name, value.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{name} {value}");
        assert_eq!(error.vendor().unwrap().status, Some(200), "{name} {value}");
    }
}

#[tokio::test]
async fn the_words_are_found_in_whatever_envelope() {
    for body in [
        json!({ "errorCode": "E7", "errorSummary": "no" }),
        json!({ "errors": [{ "code": "E7", "message": "no" }] }),
        json!({ "data": { "error": { "code": "E7", "message": "no" } } }),
        json!({ "fault": { "faultstring": "no", "detail": { "errorcode": "E7" } } }),
    ] {
        for status in [400, 200] {
            let error = answered(json_answer(status, &body)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{body}");
            let vendor = error.vendor().unwrap();
            assert_eq!(vendor.code.as_deref(), Some("E7"), "{body}");
            assert_eq!(vendor.message.as_deref(), Some("no"), "{body}");
        }
    }
}
