//! What a server says of a token (RFC 7662 §2.2).

use biped_core::{Error, ExposeSecret, Inspection, Timestamp, Token, wire};
use bytes::Bytes;
use serde_json::{Map, Value};

/// Reads an introspection response.
pub(crate) fn read(response: &http::Response<Bytes>, token: &Token) -> Result<Inspection, Error> {
    let Value::Object(mut answer) = wire::json(response)? else {
        return Err(wire::unusable(response, "the answer is no JSON object"));
    };
    let Some(active) = answer.get("active").and_then(Value::as_bool) else {
        return Err(wire::unusable(
            response,
            "the answer doesn't say whether the token is active",
        ));
    };
    // What the token response said holds no more for a token that isn't.
    let granted = Some(token).filter(|_| active);
    without(&mut answer, token.expose_secret());
    let scope = wire::scope(&answer.remove("scope").unwrap_or_default());
    let expires_at = answer.get("exp").and_then(wire::integer);
    let mut inspection = Inspection::default();
    inspection.scopes = scope
        .as_deref()
        .or(granted.and_then(Token::scope))
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    inspection.expires_at = expires_at
        .map(Timestamp::from_unix_seconds)
        .or(granted.and_then(Token::expires_at));
    inspection.details = answer;
    Ok(inspection)
}

/// Details are shown to people: no part of them repeats the token.
fn without(answer: &mut Map<String, Value>, token: &str) {
    answer.retain(|_, value| !value.to_string().contains(token));
}
