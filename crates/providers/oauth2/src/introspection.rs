//! Reads what a server says about a token (RFC 7662 §2.2).

use biped_core::{Error, ExposeSecret, Inspection, Timestamp, Token, wire};
use bytes::Bytes;
use serde_json::{Map, Value};

/// Reads an introspection response.
pub(crate) fn read(response: &http::Response<Bytes>, token: &Token) -> Result<Inspection, Error> {
    let Value::Object(mut answer) = wire::json(response)? else {
        return Err(wire::invalid_response(
            response,
            "the response is not a JSON object",
        ));
    };
    let Some(active) = answer.get("active").and_then(Value::as_bool) else {
        return Err(wire::invalid_response(
            response,
            "the response does not say whether the token is active",
        ));
    };
    // If the token is not active, what the token response said no longer applies.
    let granted = Some(token).filter(|_| active);
    remove_token(&mut answer, token.expose_secret());
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

/// Removes every member that contains the token, since details are shown to people.
fn remove_token(answer: &mut Map<String, Value>, token: &str) {
    answer.retain(|_, value| !value.to_string().contains(token));
}
