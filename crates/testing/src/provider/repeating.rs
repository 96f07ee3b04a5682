//! Responses of a vendor that repeats the request in its error.

use http::{HeaderValue, header};
use serde_json::Value;

use super::case::{Answer, Case};

/// Where vendors describe errors, in addition to the fields of the case.
const WORDS: [&str; 6] = [
    "error_description",
    "error_uri",
    "errorMessage",
    "message",
    "detail",
    "description",
];

/// The refusals of the case, with these words in each of their texts in turn.
pub(super) fn answers(case: &Case, words: &str) -> Vec<Answer> {
    let refused = case.refused_client();
    let mut answers = Vec::new();
    for answer in [Some(refused), case.refused_request.as_ref()]
        .into_iter()
        .flatten()
    {
        let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
            continue;
        };
        let mut bodies = changed(&body, words);
        let mut more = body;
        if let Value::Object(fields) = &mut more {
            for name in WORDS {
                fields.insert(name.into(), words.into());
            }
            bodies.push(more);
        }
        answers.extend(bodies.iter().map(|body| answer.with_body(body.to_string())));
    }
    // RFC 6750 §3: some vendors use a header. Without a body, a 2xx is no refusal.
    let quoted = words.replace('\\', "\\\\").replace('"', "\\\"");
    let challenge = format!(r#"Bearer error="invalid_client", error_description="{quoted}""#);
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        let mut answer = refused.with_body("");
        if answer.status < 300 {
            answer.status = 401;
        }
        answer.headers.insert(header::WWW_AUTHENTICATE, challenge);
        answers.push(answer);
    }
    answers
}

/// Copies of a value, each with these words in place of one text. Texts that contain JSON are searched
/// as well.
fn changed(value: &Value, words: &str) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let inside = serde_json::from_str(text).ok().filter(Value::is_object);
            let inside = inside
                .map(|inside| changed(&inside, words))
                .unwrap_or_default();
            let inside = inside.into_iter().map(|inside| inside.to_string().into());
            inside.chain([words.into()]).collect()
        }
        Value::Object(fields) => {
            let mut all = Vec::new();
            for (name, value) in fields {
                for value in changed(value, words) {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), value);
                    all.push(fields.into());
                }
            }
            all
        }
        _ => Vec::new(),
    }
}
