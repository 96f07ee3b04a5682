//! Reading `[[example]]`.

use biped_config::{ConfigTable, ConfigValue, Value};
use http::{HeaderName, header};
use serde_json::Value as Json;

use super::{
    ApiAnswer, Example, Exchange, ExpectedBody, ExpectedError, ExpectedRequest, ExpectedToken,
    GivenResponse, Outcome,
};
use crate::reading::{VendorTable as _, line};

/// Reads an example of a dialect. One that `sends` nothing has no requests to show.
pub(crate) fn example(section: &ConfigTable, sends: bool) -> Example {
    let mut exchanges = match sends {
        true => vec![exchange(section)],
        false => Vec::new(),
    };
    for then in section.tables("then", false).unwrap_or_default() {
        exchanges.push(exchange(&then));
        then.report_unread();
    }
    let outcome = match (section.table("expect"), section.table("error")) {
        (Some(expect), None) => Outcome::Token(Box::new(expected_token(&expect))),
        (None, Some(error)) => Outcome::Error(expected_error(&error)),
        _ => {
            section.wrong(
                section.line(),
                "",
                "expected one of [example.expect], [example.error]",
            );
            Outcome::Unsaid
        }
    };
    let api = section.tables("api", true).unwrap_or_default();
    let example = Example {
        line: section.line(),
        assumed: section.boolean("assumed").unwrap_or(false),
        given: pairs(section, "given")
            .into_iter()
            .map(|(name, text)| (name.into(), text))
            .collect(),
        exchanges,
        outcome,
        api: api.iter().map(api_answer).collect(),
    };
    section.report_unread();
    example
}

fn exchange(section: &ConfigTable) -> Exchange {
    let missing = |key: &str| {
        section.wrong(section.line(), key, "missing; expected a table");
    };
    let request = section.table("request");
    if request.is_none() && section.value("request").is_none() {
        missing("request");
    }
    let response = section.table("response");
    if response.is_none() && section.value("response").is_none() {
        missing("response");
    }
    Exchange {
        request: request.as_ref().map(expected_request).unwrap_or_default(),
        response: response.as_ref().map(given_response).unwrap_or_default(),
    }
}

fn expected_request(section: &ConfigTable) -> ExpectedRequest {
    let text = |key| section.text(key).map(|(text, _)| text);
    let bodies = [
        text("form").map(ExpectedBody::Form),
        text("text").map(ExpectedBody::Text),
        section
            .value("json")
            .map(|node| ExpectedBody::Json(node.to_json())),
    ];
    let mut bodies: Vec<_> = bodies.into_iter().flatten().collect();
    if bodies.len() > 1 {
        section.wrong(
            section.line(),
            "",
            "form, json and text exclude each other; keep one of them",
        );
    }
    let (jwt_header, jwt_claims) = jwt(section);
    let request = ExpectedRequest {
        line: section.line(),
        method: text("method"),
        url: text("url"),
        headers: header_pairs(section),
        body: bodies.pop().unwrap_or_default(),
        jwt_header,
        jwt_claims,
    };
    section.report_unread();
    request
}

/// The header and the claims of a JWT.
fn jwt(section: &ConfigTable) -> (Option<Json>, Option<Json>) {
    let Some(jwt) = section.table("jwt") else {
        return (None, None);
    };
    let part = |key| jwt.value(key).map(biped_config::ConfigValue::to_json);
    let parts = (part("header"), part("claims"));
    jwt.report_unread();
    parts
}

fn given_response(section: &ConfigTable) -> GivenResponse {
    let response = read_response(section);
    section.report_unread();
    response
}

fn read_response(section: &ConfigTable) -> GivenResponse {
    let status = section
        .value("status")
        .map_or(Some(200), |node| match node.raw {
            Value::Integer(status @ 100..=599) => u16::try_from(status).ok(),
            _ => {
                section.wrong(line(node), "status", "expected an HTTP status");
                None
            }
        });
    let json = section.value("json").map(|node| node.to_json().to_string());
    let text = section.text("text").map(|(text, _)| text);
    let mut headers = header_pairs(section);
    if json.is_some() && !headers.iter().any(|(name, _)| name == header::CONTENT_TYPE) {
        headers.push((header::CONTENT_TYPE, "application/json".into()));
    }
    GivenResponse {
        status: status.unwrap_or(200),
        headers,
        body: json.or(text).unwrap_or_default().into(),
    }
}

fn api_answer(section: &ConfigTable) -> ApiAnswer {
    let answer = ApiAnswer {
        line: section.line(),
        response: read_response(section),
        rejected: section.boolean("rejected").unwrap_or(true),
    };
    section.report_unread();
    answer
}

fn expected_token(section: &ConfigTable) -> ExpectedToken {
    let text = |key| section.text(key).map(|(text, _)| text);
    let lifetime = match section.value("lifetime").map(|node| &node.raw) {
        Some(Value::Bool(false)) => Some(None),
        Some(_) => section.seconds("lifetime").map(Some),
        None => None,
    };
    let (jwt_header, jwt_claims) = jwt(section);
    let mut expected = ExpectedToken {
        jwt_header,
        jwt_claims,
        line: section.line(),
        token: text("token"),
        lifetime,
        base_url: text("base_url"),
        scope: text("scope"),
        export: pairs(section, "export"),
        ..ExpectedToken::default()
    };
    if let Some(attach) = section.table("attach") {
        expected.attach_headers = header_pairs(&attach);
        expected.attach_query = attach.text("query").map(|(text, _)| text);
        attach.report_unread();
    }
    section.report_unread();
    expected
}

fn expected_error(section: &ConfigTable) -> ExpectedError {
    let scalar = |key| section.value(key).and_then(plain);
    let error = ExpectedError {
        line: section.line(),
        kind: scalar("kind"),
        code: scalar("code"),
        reason: scalar("reason"),
        message: scalar("message"),
        invalid_client: section.boolean("invalid_client"),
    };
    section.report_unread();
    error
}

fn header_pairs(section: &ConfigTable) -> Vec<(HeaderName, String)> {
    let mut headers = Vec::new();
    for (name, text) in pairs(section, "headers") {
        match name.parse() {
            Ok(name) => headers.push((name, text)),
            Err(_) => section.wrong(
                section.line(),
                "headers",
                "headers contains an invalid header name",
            ),
        }
    }
    headers
}

/// A table of plain values, as texts.
fn pairs(section: &ConfigTable, key: &'static str) -> Vec<(String, String)> {
    let Some(inside) = section.table(key) else {
        return Vec::new();
    };
    let mut pairs = Vec::new();
    for (key, value) in inside.entries() {
        match plain(value) {
            Some(text) => pairs.push((key.to_owned(), text)),
            None => inside.wrong(
                line(value),
                key,
                "expected a string, a number, a date, true or false",
            ),
        }
    }
    pairs
}

fn plain(node: &ConfigValue) -> Option<String> {
    match &node.raw {
        Value::Text(text) | Value::Date(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::List(_) | Value::Table(_) => None,
    }
}
