//! Reading a token response, and the errors of all responses.

use biped_core::{BaseUrls, Error, Timestamp, Token, VendorError, wire};
use bytes::Bytes;
use serde_json::{Map, Value};
use url::Url;

use crate::request::ProjectRequest;

/// The hosts of Contentsquare's APIs, on all clouds.
const HOSTS: [&str; 2] = ["contentsquare.com", "*.contentsquare.com"];

/// Reads the token in a response of `/v1/oauth/token`.
pub(crate) fn token(
    response: &http::Response<Bytes>,
    request: &ProjectRequest,
    token_endpoint: &Url,
    sent_at: Timestamp,
    now: Timestamp,
) -> Result<Token, Error> {
    let answer = good(response, now)?;
    token_in(answer, response, request, token_endpoint, sent_at)
        .map_err(|error| wire::with_status(error, response))
}

fn token_in(
    mut answer: Map<String, Value>,
    response: &http::Response<Bytes>,
    request: &ProjectRequest,
    token_endpoint: &Url,
    sent_at: Timestamp,
) -> Result<Token, Error> {
    let mut take = |name: &str| answer.remove(name).unwrap_or_default();
    let Value::String(access_token) = take("access_token") else {
        return Err(wire::invalid_response(
            response,
            "the response does not contain access_token",
        ));
    };
    let base_url = base_url(&take("endpoint"), token_endpoint)?;
    let token_type = take("token_type");
    let expires_in = take("expires_in");
    let scope = wire::scope(&take("scope")).filter(|scope| !scope.trim().is_empty());
    check_project(request, answer.get("project_id"))?;
    Token::new(access_token, sent_at)
        .token_type(token_type.as_str().filter(|name| !name.is_empty()))
        .expires_in_json(&expires_in)
        .or_expires_at(|name| answer.get(name))
        .scope(scope)
        .base_url(base_url)
        .extra(answer)
        .build()
}

/// Returns the JSON object of a successful response.
pub(crate) fn good(
    response: &http::Response<Bytes>,
    now: Timestamp,
) -> Result<Map<String, Value>, Error> {
    let status = response.status();
    if !status.is_success() {
        let answer = wire::json(response).unwrap_or_default();
        return Err(wire::failure(response, words(response, &answer), now));
    }
    let answer = wire::json(response)?;
    let words = words(response, &answer);
    if words.has_words() || answer["success"] == false {
        return Err(wire::failure(response, words, now));
    }
    match answer {
        Value::Object(answer) => Ok(answer),
        _ => Err(wire::invalid_response(
            response,
            "the response is not a JSON object",
        )),
    }
}

/// Reads the vendor's error: its own fields (`errorCode`, `errorMessage`), those of RFC 6749 §5.2, or any
/// other that is common.
fn words(response: &http::Response<Bytes>, answer: &Value) -> VendorError {
    let said = |name: &str| wire::text(&answer[name]).filter(|text| !text.trim().is_empty());
    let mut vendor = VendorError::new(response.status().as_u16());
    match (said("errorCode"), said("error")) {
        (Some(code), Some(reason)) => vendor = vendor.code(code).reason(reason),
        (Some(code), None) | (None, Some(code)) => vendor = vendor.code(code),
        (None, None) => {}
    }
    if let Some(message) = said("errorMessage").or_else(|| said("error_description")) {
        vendor = vendor.message(message);
    }
    if let Some(uri) = said("error_uri") {
        vendor = vendor.uri(uri);
    }
    if vendor.has_words() || answer["access_token"].is_string() {
        return vendor;
    }
    match answer["success"] == false {
        true => wire::vendor_error_despite_status(response),
        false => wire::vendor_error(response),
    }
}

/// Reads the base URL, which a response may omit or leave empty.
fn base_url(endpoint: &Value, token_endpoint: &Url) -> Result<Option<Url>, Error> {
    match endpoint {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => base_urls(token_endpoint).read(text).map(Some),
        _ => Err(Error::invalid_response(
            "endpoint in the response is not a string",
        )),
    }
}

/// The base URLs that a response may name.
pub(crate) fn base_urls(token_endpoint: &Url) -> BaseUrls {
    BaseUrls::at(&HOSTS, token_endpoint)
}

/// Refuses a token for another project: it would read and write the wrong data.
pub(crate) fn check_project(
    request: &ProjectRequest,
    answered: Option<&Value>,
) -> Result<(), Error> {
    let (Some(asked), Some(answered)) = (request.project_id, answered) else {
        return Ok(());
    };
    if answered.is_null() || wire::integer(answered) == Some(asked) {
        return Ok(());
    }
    Err(Error::invalid_response(format!(
        "the token is for another project than the requested {asked}"
    ))
    .with_remedy(
        "set project_id to the project of these credentials, or use account-level credentials",
    ))
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // answers are written where they are read
mod tests {
    use std::time::Duration;

    use biped_core::{ErrorKind, TokenRequest};
    use serde_json::json;

    use super::*;
    use crate::{ContentsquareRequest as _, Scope, TOKEN_ENDPOINT};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const SIGNED_IN: &str = "eyJhbGciOiJSIsImtpY5MTXXX.CNTcKWAUb2mTp2cZyiDRYYOtGCKXXX";

    /// The vendor's example, without its comments.
    fn example() -> Value {
        json!({
            "access_token": SIGNED_IN,
            "token_type": "bearer",
            "expires_in": 3600,
            "scope": "enrichment",
            "project_id": 42,
            "endpoint": "https://api.eu-west-1.production.contentsquare.com"
        })
    }

    fn example_with(name: &str, value: Value) -> Value {
        let mut answer = example();
        answer[name] = value;
        answer
    }

    fn response(status: u16, body: impl ToString) -> http::Response<Bytes> {
        http::Response::builder()
            .status(status)
            .body(body.to_string().into())
            .unwrap()
    }

    fn project_request() -> ProjectRequest {
        ProjectRequest::of(
            &TokenRequest::new()
                .scope(Scope::Enrichment)
                .project(42)
                .integration(123),
        )
        .unwrap()
    }

    fn read(status: u16, body: impl ToString) -> Result<Token, Error> {
        let endpoint = Url::parse(TOKEN_ENDPOINT).unwrap();
        token(
            &response(status, body),
            &project_request(),
            &endpoint,
            NOW,
            NOW,
        )
    }

    fn kind(answer: Result<Token, Error>) -> ErrorKind {
        answer.unwrap_err().kind()
    }

    #[test]
    fn the_documents_example_is_a_token() {
        let token = read(200, example()).unwrap();
        assert_eq!(
            token.header().to_str().unwrap(),
            format!("Bearer {SIGNED_IN}")
        );
        assert_eq!(token.token_type(), "bearer");
        assert_eq!(
            token.expires_at(),
            Some(NOW.after(Duration::from_secs(3600)))
        );
        assert_eq!(token.scope(), Some("enrichment"));
        assert_eq!(token.extra("project_id"), Some(&json!(42)));
        assert_eq!(token.extra("access_token"), None);
        assert_eq!(
            token.base_url().map(Url::as_str),
            Some("https://api.eu-west-1.production.contentsquare.com/")
        );
    }

    #[test]
    fn a_token_without_endpoint_stands() {
        for endpoint in [json!(""), json!("  "), Value::Null] {
            assert_eq!(
                read(200, example_with("endpoint", endpoint))
                    .unwrap()
                    .base_url(),
                None
            );
        }
        let mut answer = example();
        answer.as_object_mut().unwrap().remove("endpoint");
        assert_eq!(read(200, answer).unwrap().base_url(), None);
    }

    #[test]
    fn a_base_url_outside_the_vendors_hosts_is_refused() {
        for endpoint in [
            json!("https://contentsquare.com.evil.example"),
            json!("https://evilcontentsquare.com"),
            json!("https://contentsquare.com@evil.example"),
            json!("https://user:pw@api.contentsquare.com"),
            json!("https://api.contentsquare.com:8443"),
            json!("http://api.contentsquare.com"),
            json!("http://127.0.0.1:7600"),
            json!("api.contentsquare.com"),
            json!(42),
            json!(["https://api.contentsquare.com"]),
        ] {
            let answer = read(200, example_with("endpoint", endpoint.clone()));
            assert_eq!(kind(answer), ErrorKind::InvalidResponse, "{endpoint}");
        }
        for endpoint in [
            "https://contentsquare.com",
            "https://API.EU.Contentsquare.com/",
        ] {
            assert!(
                read(200, example_with("endpoint", json!(endpoint))).is_ok(),
                "{endpoint}"
            );
        }
    }

    #[test]
    fn a_token_for_another_project_is_refused() {
        for project in [json!(43), json!("43"), json!("x"), json!(42.5), json!([42])] {
            let answer = read(200, example_with("project_id", project.clone()));
            assert_eq!(kind(answer), ErrorKind::InvalidResponse, "{project}");
        }
        for project in [json!(42), json!("42"), Value::Null] {
            assert!(
                read(200, example_with("project_id", project.clone())).is_ok(),
                "{project}"
            );
        }
    }

    #[test]
    fn whatever_is_wrong_with_a_token_is_told_with_the_answers_status() {
        for (name, value) in [
            ("project_id", json!(43)),
            ("endpoint", json!("https://contentsquare.com.evil.example")),
            ("access_token", json!("a\nb")),
            ("access_token", Value::Null),
        ] {
            let error = read(200, example_with(name, value)).unwrap_err();
            assert_eq!(error.vendor().unwrap().status, Some(200), "{error}");
        }
    }

    #[test]
    fn without_expires_in_a_point_in_time_tells() {
        let mut answer = example_with("expires_on", json!(NOW.unix_seconds() + 600));
        answer["expires_in"] = Value::Null;
        let token = read(200, answer).unwrap();
        assert_eq!(token.lifetime(), Some(Duration::from_secs(600)));
    }

    #[test]
    fn without_expires_in_the_jwt_tells() {
        let mut answer = example_with("access_token", json!("e30.eyJleHAiOjE4MDAwMDA2MDB9.c2ln"));
        answer.as_object_mut().unwrap().remove("expires_in");
        let token = read(200, answer).unwrap();
        assert_eq!(
            token.expires_at(),
            Some(NOW.after(Duration::from_secs(600)))
        );
    }

    #[test]
    fn both_error_forms_are_read_at_any_status() {
        let envelope = json!({
            "success": false,
            "errorMessage": "Auth token is expired.",
            "errorCode": "JWT_EXPIRED"
        });
        let standard = json!({
            "error": "JWT_EXPIRED",
            "error_description": "Auth token is expired."
        });
        for (status, body) in [
            (200, &envelope),
            (400, &envelope),
            (200, &standard),
            (403, &standard),
        ] {
            let error = read(status, body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused);
            let vendor = error.vendor().unwrap();
            assert_eq!(vendor.status, Some(status));
            assert_eq!(vendor.code.as_deref(), Some("JWT_EXPIRED"));
            assert_eq!(vendor.message.as_deref(), Some("Auth token is expired."));
        }
    }

    #[test]
    fn an_answer_with_both_forms_keeps_both_codes() {
        let body = json!({ "success": false, "errorCode": "AUTH_7", "error": "invalid_client" });
        let error = read(400, body).unwrap_err();
        assert_eq!(error.vendor().unwrap().code.as_deref(), Some("AUTH_7"));
        assert!(error.refuses_client());
    }

    #[test]
    fn a_refusal_without_words_is_one() {
        assert_eq!(
            kind(read(200, json!({ "success": false }))),
            ErrorKind::Refused
        );
        assert_eq!(kind(read(403, "")), ErrorKind::Refused);
    }

    #[test]
    fn the_client_is_refused_by_code_or_by_status() {
        let refused = |status: u16, body: Value| read(status, body).unwrap_err().refuses_client();
        assert!(refused(400, json!({ "errorCode": "INVALID_CLIENT" })));
        assert!(refused(401, json!({ "errorCode": "BAD_CREDENTIALS" })));
        assert!(!refused(401, json!({ "error": "invalid_scope" })));
        assert!(!refused(400, json!({ "errorCode": "PROJECT_REQUIRED" })));
    }

    #[test]
    fn a_good_status_without_a_token_is_unusable() {
        for body in [
            "{}",
            "[]",
            "null",
            "\"token\"",
            "<html>x</html>",
            "not json",
        ] {
            let error = read(200, body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{body}");
            assert!(!error.is_transient(), "{body}");
        }
        for value in [Value::Null, json!(7), json!(""), json!(" "), json!("a\nb")] {
            let answer = read(200, example_with("access_token", value.clone()));
            assert_eq!(kind(answer), ErrorKind::InvalidResponse, "{value}");
        }
        assert!(read(200, "").unwrap_err().is_transient());
    }

    #[test]
    fn a_failing_vendor_is_transient_whatever_it_says() {
        for status in [408, 425, 429, 500, 503] {
            let error = read(status, json!({ "errorCode": "OOPS" })).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_eq!(error.vendor().unwrap().code.as_deref(), Some("OOPS"));
        }
    }

    #[test]
    fn the_words_are_found_in_an_envelope() {
        let body = json!({ "meta": { "error": { "code": "E7", "message": "no" } } });
        for status in [400, 200] {
            let error = read(status, &body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused);
            let vendor = error.vendor().unwrap();
            assert_eq!(vendor.code.as_deref(), Some("E7"));
            assert_eq!(vendor.message.as_deref(), Some("no"));
        }
    }
}
