//! Responses of a vendor that repeats the request in its error.

use std::sync::Arc;

use biped_core::Error;
use http::{HeaderValue, header};
use serde_json::Value;

use super::{
    case::{Answer, Case},
    fetched::manager,
};
use crate::{ManualClock, ScriptedHttp};

/// A secret that most encodings change, for vendors that repeat it.
pub(super) const REPEATED: &str = "S3/c+r\"e&t <K9>'\\=%~Z";

/// Where vendors describe errors, in addition to the fields of the case.
const WORDS: [&str; 6] = [
    "error_description",
    "error_uri",
    "errorMessage",
    "message",
    "detail",
    "description",
];

/// Whether the case's vendor can repeat the secret in each of its texts, and the provider sends it one.
pub(super) async fn repeats(case: &Case) -> bool {
    let all = answers(case, "words");
    // The last one has its words in a header.
    let is_read =
        |it: &Answer| it.body.is_empty() || serde_json::from_slice::<Value>(&it.body).is_ok();
    let are_in_bodies = refusals(case).all(is_read);
    match all.into_iter().next_back() {
        Some(answer) if are_in_bodies => ask(case, answer).await.0 > 0,
        _ => false,
    }
}

/// Fetches with [`REPEATED`] from a vendor with this answer. Returns how many requests were sent, and the
/// error.
pub(super) async fn ask(case: &Case, answer: Answer) -> (usize, Option<Error>) {
    let http = Arc::new(ScriptedHttp::new());
    http.answer_with(move |_, _| answer.reply());
    let manager = manager(&http, &Arc::new(ManualClock::new())).build();
    let source = manager.source((case.make)(REPEATED), case.request.clone());
    let asked = source.token().await;
    (http.count(), asked.err())
}

fn refusals(case: &Case) -> impl Iterator<Item = &Answer> {
    let others = case.refused_request.iter();
    [case.refused_client()].into_iter().chain(others)
}

/// The refusals of the case, with these words in each of their texts in turn.
pub(super) fn answers(case: &Case, words: &str) -> Vec<Answer> {
    let refused = case.refused_client();
    let mut answers = Vec::new();
    for answer in refusals(case) {
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
