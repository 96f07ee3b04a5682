//! A field of the JSON in a place of secrets.

use std::fmt::Display;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use biped_error::Error;

/// Splits `PLACE#/POINTER`.
pub(super) fn split(text: &str) -> (&str, Option<&str>) {
    match text.find("#/") {
        Some(at) => (&text[..at], text.get(at + 1..)),
        None => (text, None),
    }
}

/// The field that a pointer names in what was read of a place, which is fixed or may be replaced.
pub(super) fn of(
    read: SecretString,
    pointer: Option<&str>,
    place: &dyn Display,
    is_fixed: bool,
) -> Result<SecretString, Error> {
    let Some(pointer) = pointer else {
        return Ok(read);
    };
    match value(read.expose_secret(), pointer) {
        Some(value) if !value.is_empty() => Ok(value.into()),
        _ => {
            let message = format!("{place} has no text and no number at {pointer}");
            Err(Error::secret(message).transient(!is_fixed))
        }
    }
}

/// The text or number that a pointer names in a JSON text.
pub(super) fn value(json: &str, pointer: &str) -> Option<String> {
    let json: Value = serde_json::from_str(json).ok()?;
    match json.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
