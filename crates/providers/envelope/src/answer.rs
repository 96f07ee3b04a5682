//! Reading the envelope vendor's responses.

use std::borrow::Cow;

use biped_core::{Error, Timestamp, Token, TokenBuilder, VendorError, wire};
use bytes::Bytes;
use serde_json::{Map, Value};

/// Reads the token in a response of `/v1/auth/token`.
pub(crate) fn token(
    response: &http::Response<Bytes>,
    sent_at: Timestamp,
    now: Timestamp,
) -> Result<TokenBuilder, Error> {
    let mut data = data(response, now)?;
    let mut take = |name: &str| data.remove(name).unwrap_or_default();
    let Value::String(access_token) = take("access_token") else {
        return Err(wire::invalid_response(
            response,
            "data in the response does not contain access_token",
        ));
    };
    let token_type = take("token_type");
    let expires_in = take("expires_in");
    let scope = wire::scope(&take("scope")).filter(|scope| !scope.trim().is_empty());
    Ok(Token::new(access_token, sent_at)
        .token_type(token_type.as_str().filter(|name| !name.is_empty()))
        .expires_in_json(&expires_in)
        .or_expires_at(|name| data.get(name))
        .scope(scope)
        .extra(data))
}

/// Returns the object in `data` of a successful response.
fn data(response: &http::Response<Bytes>, now: Timestamp) -> Result<Map<String, Value>, Error> {
    let status = response.status().as_u16();
    if !response.status().is_success() {
        let answer = wire::json(response).unwrap_or_default();
        return Err(wire::failure(response, any_words(response, &answer), now));
    }
    let answer = wire::json(response)?;
    let inside = words_inside(status, &answer["error"]);
    if inside.has_words() {
        return Err(wire::failure(response, inside, now));
    }
    if let Some(data) = wire::object(&answer["data"]) {
        return Ok(data.into_owned());
    }
    // Beside data, a code and a message at the top may describe a success.
    let words = words(status, &answer);
    if words.code.is_some() || words.reason.is_some() {
        return Err(wire::failure(response, words, now));
    }
    if !words.has_words() {
        let words = any_words(response, &answer);
        if words.has_words() {
            return Err(wire::failure(response, words, now));
        }
    }
    let what = match &answer["data"] {
        _ if !answer.is_object() => "the response is not a JSON object",
        Value::Null => "the response does not contain data",
        Value::String(_) => "data in the response is a string that does not contain a JSON object",
        _ => "data in the response is not a JSON object",
    };
    Err(wire::invalid_response(response, what))
}

/// Reads the vendor's error in its own form, else in any that is common, unless there is `data`: what is in
/// there is not for people.
fn any_words(response: &http::Response<Bytes>, answer: &Value) -> VendorError {
    let words = words(response.status().as_u16(), answer);
    if words.has_words() || !answer["data"].is_null() {
        return words;
    }
    wire::vendor_error(response)
}

/// Reads the vendor's error: the fields in `error`, and those at the top for what it lacks.
fn words(status: u16, answer: &Value) -> VendorError {
    let mut words = words_inside(status, &answer["error"]);
    let top = in_fields(status, answer);
    words.code = words.code.or(top.code);
    words.reason = words.reason.or(top.reason);
    words.message = words.message.or(top.message);
    words
}

/// Reads `error`: an object, a string with the JSON of an object, or the message itself.
fn words_inside(status: u16, error: &Value) -> VendorError {
    if let Some(object) = wire::object(error) {
        return in_fields(status, &Value::Object(object.into_owned()));
    }
    match error {
        Value::String(message) => VendorError::new(status).message(message),
        _ => VendorError::new(status),
    }
}

fn in_fields(status: u16, fields: &Value) -> VendorError {
    let said = |name: &str| wire::text(&fields[name]).unwrap_or(Cow::Borrowed(""));
    VendorError::new(status)
        .code(said("code"))
        .reason(said("code_reason"))
        .message(said("message"))
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // answers are written where they are read
mod tests {
    use std::time::Duration;

    use biped_core::{ErrorKind, ExposeSecret as _};
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const ACCESS_TOKEN: &str = "sk-418e41a74ca2e7d941fa4456d73dbed7";

    fn example() -> Value {
        json!({ "access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 3600 })
    }

    fn read(status: u16, body: impl ToString) -> Result<Token, Error> {
        let response = http::Response::builder()
            .status(status)
            .body(body.to_string().into())
            .unwrap();
        token(&response, NOW, NOW)?.build()
    }

    fn refusal(status: u16, body: &Value) -> (ErrorKind, VendorError) {
        let error = read(status, body).unwrap_err();
        (error.kind(), error.vendor().cloned().unwrap())
    }

    #[test]
    fn data_is_an_object_or_a_string_with_its_json() {
        for data in [example(), Value::from(example().to_string())] {
            let token = read(200, json!({ "data": data })).unwrap();
            assert_eq!(token.expose_secret(), ACCESS_TOKEN);
            assert_eq!(token.token_type(), "Bearer");
            assert_eq!(
                token.expires_at(),
                Some(NOW.after(Duration::from_secs(3600)))
            );
            assert_eq!(token.extra("access_token"), None);
        }
    }

    #[test]
    fn without_expires_in_a_point_in_time_tells() {
        let data = json!({ "access_token": ACCESS_TOKEN, "expires_at": NOW.unix_seconds() + 600 });
        let token = read(200, json!({ "data": data })).unwrap();
        assert_eq!(token.lifetime(), Some(Duration::from_secs(600)));
    }

    #[test]
    fn lower_case_bearer_is_sent_as_bearer() {
        let mut data = example();
        data["token_type"] = "bearer".into();
        let token = read(200, json!({ "data": data })).unwrap();
        assert_eq!(
            token.header().to_str().unwrap(),
            format!("Bearer {ACCESS_TOKEN}")
        );
    }

    #[test]
    fn a_success_may_have_a_code_and_a_message_beside_data() {
        let body = json!({ "code": "200000", "message": "OK", "error": null, "data": example() });
        assert!(read(200, body).is_ok());
    }

    #[test]
    fn data_of_any_other_shape_is_unusable() {
        for body in [
            json!({}),
            json!({ "data": null }),
            json!({ "data": "" }),
            json!({ "data": ACCESS_TOKEN }),
            json!({ "data": "[]" }),
            json!({ "data": "\"{}\"" }),
            json!({ "data": [example()] }),
            json!({ "data": 7 }),
            json!({ "data": true }),
            json!({ "data": {} }),
            json!({ "data": { "access_token": null } }),
            json!({ "data": { "access_token": "" } }),
            json!({ "data": { "access_token": 7 } }),
            json!({ "data": "{\"access_token\": 7}" }),
            json!({ "message": "OK" }),
            example(),
            json!([]),
            Value::Null,
        ] {
            let error = read(200, &body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{body}");
            assert!(!error.is_transient(), "{body}");
            assert!(!error.to_string().contains(ACCESS_TOKEN), "{body}");
        }
    }

    #[test]
    fn answers_that_are_no_json_keep_their_status() {
        let html = "<html><body>pl4nted</body></html>";
        for (status, body, kind) in [
            (200, html, ErrorKind::InvalidResponse),
            (200, "", ErrorKind::InvalidResponse),
            (200, "pl4nted", ErrorKind::InvalidResponse),
            (302, html, ErrorKind::InvalidResponse),
            (403, html, ErrorKind::Refused),
            (404, "", ErrorKind::Refused),
            (500, html, ErrorKind::Unavailable),
        ] {
            let error = read(status, body).unwrap_err();
            assert_eq!(error.kind(), kind, "{status}");
            assert_eq!(error.vendor().unwrap().status, Some(status));
            assert!(!format!("{error} {error:?}").contains("pl4nted"));
        }
        assert!(read(200, "").unwrap_err().is_transient());
    }

    #[test]
    fn the_words_of_an_error_are_read_in_every_shape() {
        let fields = json!({
            "code": "400013",
            "code_reason": "invalid_request",
            "message": "Missing or invalid parameters"
        });
        let mut numbered = fields.clone();
        numbered["code"] = 400_013.into();
        for (status, body) in [
            (400, json!({ "error": fields })),
            (400, json!({ "error": numbered })),
            (400, json!({ "error": fields.to_string() })),
            (400, fields.clone()),
            (400, numbered.clone()),
            (200, json!({ "error": fields })),
            (200, json!({ "error": fields.to_string(), "data": null })),
            (200, fields.clone()),
        ] {
            let (kind, vendor) = refusal(status, &body);
            assert_eq!(kind, ErrorKind::Refused, "{body}");
            assert_eq!(vendor.status, Some(status));
            assert_eq!(vendor.code.as_deref(), Some("400013"), "{body}");
            assert_eq!(vendor.reason.as_deref(), Some("invalid_request"), "{body}");
            assert_eq!(
                vendor.message.as_deref(),
                Some("Missing or invalid parameters"),
                "{body}"
            );
        }
    }

    #[test]
    fn an_error_that_is_a_plain_string_is_the_message() {
        for status in [200, 403, 404] {
            let body = json!({ "error": "Access forbidden for this resource." });
            let (kind, vendor) = refusal(status, &body);
            assert_eq!(kind, ErrorKind::Refused);
            assert_eq!(
                vendor.message.as_deref(),
                Some("Access forbidden for this resource.")
            );
            assert_eq!(vendor.code, None);
        }
    }

    #[test]
    fn what_error_lacks_may_stand_at_the_top() {
        let body = json!({ "error": "forbidden", "code": 403_001 });
        let (_, vendor) = refusal(403, &body);
        assert_eq!(vendor.message.as_deref(), Some("forbidden"));
        assert_eq!(vendor.code.as_deref(), Some("403001"));
    }

    #[test]
    fn an_error_of_any_other_type_is_told_by_its_status() {
        for error in [
            Value::Null,
            json!(7),
            json!(true),
            json!([]),
            json!({}),
            json!(""),
        ] {
            let (kind, vendor) = refusal(403, &json!({ "error": error }));
            assert_eq!(kind, ErrorKind::Refused);
            assert!(!vendor.has_words(), "{error}");
            assert_eq!(vendor.status, Some(403));
            let in_a_good_answer = read(200, json!({ "error": error })).unwrap_err();
            assert_eq!(
                in_a_good_answer.kind(),
                ErrorKind::InvalidResponse,
                "{error}"
            );
            assert!(
                read(200, json!({ "error": error, "data": example() })).is_ok(),
                "{error}"
            );
        }
    }

    #[test]
    fn invalid_client_refuses_the_client_wherever_it_stands() {
        let refused = json!({
            "code": "401021",
            "code_reason": "invalid_client",
            "message": "Invalid client_id, client_secret, or session_key"
        });
        for body in [json!({ "error": refused }), refused.clone()] {
            for status in [200, 400, 401] {
                let error = read(status, &body).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Refused);
                assert!(error.refuses_client(), "{status} {body}");
            }
        }
        let request = json!({ "error": { "code": "400013", "code_reason": "invalid_request" } });
        assert!(!read(400, request).unwrap_err().refuses_client());
    }

    #[test]
    fn customer_service_is_not_contacted_before_a_retry() {
        let fields = json!({
            "code": "500999",
            "code_reason": "API_ERROR",
            "message": "Api Error, please contact customer service"
        });
        for body in [json!({ "error": fields }), fields.clone()] {
            let error = read(500, &body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.is_transient());
            assert_eq!(error.vendor().unwrap().reason.as_deref(), Some("API_ERROR"));
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
