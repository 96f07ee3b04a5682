//! Writes TOML.

use serde_json::Value;

/// A TOML string.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

pub(crate) fn key(text: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match !text.is_empty() && text.chars().all(is_bare) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// A TOML inline table.
pub(crate) fn table<'e>(entries: impl IntoIterator<Item = (&'e str, String)>) -> String {
    let entries = entries.into_iter();
    let entries: Vec<_> = entries
        .map(|(name, value)| format!("{} = {value}", key(name)))
        .collect();
    format!("{{ {} }}", entries.join(", "))
}

/// JSON as a TOML value.
pub(crate) fn inline(value: &Value) -> String {
    match value {
        Value::Object(inside) if inside.is_empty() => "{}".into(),
        Value::Object(inside) => table(
            inside
                .iter()
                .map(|(name, value)| (name.as_str(), inline(value))),
        ),
        Value::Array(list) => {
            let all: Vec<_> = list.iter().map(inline).collect();
            format!("[{}]", all.join(", "))
        }
        Value::Null => "{}".into(),
        scalar => scalar.to_string(),
    }
}
