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
            let message = format!(
                "{place} has no text and no number at {pointer}, or a number that must be written as a text"
            );
            Err(Error::secret(message).transient(!is_fixed))
        }
    }
}

/// The text or number that a pointer names in a JSON text. `None` for a number that is written in another
/// way than a parser writes it, such as `1.10` or one of thirty digits: what it was is lost.
pub(super) fn value(json: &str, pointer: &str) -> Option<String> {
    let read: Value = serde_json::from_str(json).ok()?;
    match read.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => {
            let text = number.to_string();
            (!number.is_f64() || is_written(&text, json)).then_some(text)
        }
        _ => None,
    }
}

/// Whether a number that is not whole, or too large for one, is written just so wherever it is in a JSON
/// text.
fn is_written(number: &str, json: &str) -> bool {
    let bits = |text: &str| text.parse().map(f64::to_bits).ok();
    let mut all = json.split(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c)));
    all.all(|text| text == number || bits(text) != bits(number))
}
