//! The vendor's words, in every envelope that is known.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

use biped_core::{VendorError, wire};
use bytes::Bytes;
use serde_json::{Value, json};

fn response(status: u16, body: impl ToString) -> http::Response<Bytes> {
    let response = http::Response::builder().status(status);
    response.body(body.to_string().into()).unwrap()
}

fn words(vendor: &VendorError) -> [Option<&str>; 3] {
    [&vendor.code, &vendor.reason, &vendor.message].map(Option::as_deref)
}

#[test]
fn the_words_are_found_in_every_envelope_that_is_known() {
    let _limit = biped_testing::TimeLimit::start();
    let nested = json!({ "code": 403, "status": "PERMISSION_DENIED", "message": "no" });
    for (body, expected) in [
        // RFC 6749.
        (
            json!({ "error": "invalid_client", "error_description": "no" }),
            [Some("invalid_client"), None, Some("no")],
        ),
        // Okta.
        (
            json!({ "errorCode": "E0000011", "errorSummary": "no", "errorId": "x" }),
            [Some("E0000011"), None, Some("no")],
        ),
        // Google.
        (
            json!({ "error": nested }),
            [Some("403"), Some("PERMISSION_DENIED"), Some("no")],
        ),
        // Microsoft Graph, and the login of Entra ID.
        (
            json!({ "error": { "code": "InvalidToken", "message": "no", "innerError": {} } }),
            [Some("InvalidToken"), None, Some("no")],
        ),
        (
            json!({ "error": "invalid_client", "error_description": "no", "error_codes": [7] }),
            [Some("invalid_client"), None, Some("no")],
        ),
        // Stripe.
        (
            json!({ "error": { "type": "invalid_request_error", "message": "no" } }),
            [Some("invalid_request_error"), None, Some("no")],
        ),
        // problem+json (RFC 9457).
        (
            json!({ "type": "about:blank", "title": "Forbidden", "status": 403, "detail": "no" }),
            [None, None, Some("no")],
        ),
        // Lists.
        (
            json!({ "errors": [{ "message": "no" }] }),
            [None, None, Some("no")],
        ),
        (
            json!({ "errors": [{ "code": "E7", "detail": "no" }, { "code": "E8" }] }),
            [Some("E7"), None, Some("no")],
        ),
        (json!({ "errors": ["no"] }), [None, None, Some("no")]),
        (
            json!([{ "errorCode": "INVALID_SESSION_ID", "message": "no" }]),
            [Some("INVALID_SESSION_ID"), None, Some("no")],
        ),
        // Envelopes, and JSON in a text.
        (
            json!({ "data": { "error": { "code": "E7", "message": "no" } } }),
            [Some("E7"), None, Some("no")],
        ),
        (
            json!({ "error": nested.to_string() }),
            [Some("403"), Some("PERMISSION_DENIED"), Some("no")],
        ),
        (
            json!({ "meta": { "errors": [{ "msg": "no" }] } }),
            [None, None, Some("no")],
        ),
        (
            json!({ "data": { "code": "E7", "message": "no" } }),
            [Some("E7"), None, Some("no")],
        ),
        // Apigee, WSO2.
        (
            json!({ "fault": { "faultstring": "no", "detail": { "errorcode": "oauth.v2.X" } } }),
            [Some("oauth.v2.X"), None, Some("no")],
        ),
        (
            json!({ "fault": { "code": 900_901, "message": "no" } }),
            [Some("900901"), None, Some("no")],
        ),
        // Spring, Nest, Kong, AWS, FastAPI, .NET, WeChat, Twilio.
        (
            json!({ "status": 401, "error": "Unauthorized", "message": "no", "path": "/" }),
            [Some("Unauthorized"), None, Some("no")],
        ),
        (json!({ "message": "no" }), [None, None, Some("no")]),
        (
            json!({ "__type": "NotAuthorizedException", "message": "no" }),
            [Some("NotAuthorizedException"), None, Some("no")],
        ),
        (
            json!({ "detail": [{ "msg": "no" }] }),
            [None, None, Some("no")],
        ),
        (json!({ "Message": "no" }), [None, None, Some("no")]),
        (
            json!({ "errcode": 40013, "errmsg": "no" }),
            [Some("40013"), None, Some("no")],
        ),
        (
            json!({ "code": 20003, "message": "no" }),
            [Some("20003"), None, Some("no")],
        ),
        // A sentence is the message.
        (
            json!({ "error": "not this time" }),
            [None, None, Some("not this time")],
        ),
        (
            json!({ "error": true, "message": "no" }),
            [None, None, Some("no")],
        ),
    ] {
        let vendor = wire::vendor_error(&response(403, &body));
        assert_eq!(words(&vendor), expected, "{body}");
        assert_eq!(vendor.status, Some(403));
    }
}

#[test]
fn the_page_of_an_explanation_is_no_code() {
    let _limit = biped_testing::TimeLimit::start();
    let page = "https://vendor.example/errors/7";
    for body in [
        json!({ "type": page, "title": "no" }),
        json!({ "error": "invalid_client", "error_uri": page }),
        json!({ "code": 7, "message": "no", "more_info": page }),
    ] {
        let vendor = wire::vendor_error(&response(400, &body));
        assert_eq!(vendor.uri.as_deref(), Some(page), "{body}");
        assert_ne!(vendor.code.as_deref(), Some(page), "{body}");
    }
}

#[test]
fn a_challenge_speaks_where_the_body_has_no_code() {
    let _limit = biped_testing::TimeLimit::start();
    let challenge = r#"Bearer realm="x", error="invalid_client", error_description="no""#;
    let challenged = |body: Value| {
        let mut response = response(401, body);
        let headers = response.headers_mut();
        headers.insert("www-authenticate", challenge.parse().unwrap());
        wire::vendor_error(&response)
    };
    let expected = [Some("invalid_client"), None, Some("no")];
    assert_eq!(words(&challenged(json!("<html>"))), expected);
    assert_eq!(words(&challenged(json!({ "message": "other" }))), expected);
    let in_body = challenged(json!({ "error": "invalid_scope" }));
    assert_eq!(in_body.code.as_deref(), Some("invalid_scope"));
}

#[test]
fn a_success_is_an_error_only_if_it_can_be_nothing_else() {
    let _limit = biped_testing::TimeLimit::start();
    for body in [
        json!({ "code": 200, "message": "OK" }),
        json!({ "message": "OK", "status": "success" }),
        json!({ "errcode": 0, "errmsg": "ok" }),
        json!({ "errors": [], "error": null, "data": { "error": null } }),
        json!({ "error": 0, "detail": "x" }),
        json!({ "data": { "message": "welcome", "code": 1 } }),
        json!({ "title": "t", "type": "x" }),
        json!("a text"),
        json!(["a text"]),
        json!(7),
    ] {
        assert!(
            !wire::vendor_error(&response(200, &body)).has_words(),
            "{body}"
        );
    }
    for body in [
        json!({ "error": "invalid_client" }),
        json!({ "errorCode": "E7", "errorSummary": "no" }),
        json!({ "errors": [{ "message": "no" }] }),
    ] {
        assert!(
            wire::vendor_error(&response(200, &body)).has_words(),
            "{body}"
        );
    }
    let failed = response(200, json!({ "ok": false, "code": 7, "msg": "no" }));
    let vendor = wire::vendor_error_despite_status(&failed);
    assert_eq!(words(&vendor), [Some("7"), None, Some("no")]);
}

#[test]
fn what_is_no_error_has_no_words() {
    let _limit = biped_testing::TimeLimit::start();
    let mut deep = json!({ "error": "too_deep" });
    for _ in 0..50 {
        deep = json!({ "data": deep });
    }
    for body in [
        json!({}),
        json!(null),
        json!({ "error": {} }),
        json!({ "error": "" }),
        json!({ "error": [] }),
        json!({ "error": false }),
        json!({ "error": 7 }),
        json!({ "fault": 7.5, "errors": {} }),
        deep,
    ] {
        assert!(
            wire::vendor_error(&response(403, &body)).code.is_none(),
            "{body}"
        );
    }
    assert!(!wire::vendor_error(&response(403, "<html>no</html>")).has_words());
    assert!(!wire::vendor_error(&response(403, "")).has_words());
}
