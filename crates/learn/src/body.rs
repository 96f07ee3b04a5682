//! The fields of a request.

use serde_json::Value;

use crate::{
    curl::Data,
    learned::Refusal,
    naming::Params,
    placeholder::{self, Part},
    template::Template,
    value::{refuse_signature, value as value_of},
};

/// How fields are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Form,
    Json,
    Query,
    Text,
    None,
}

/// Names, or JSON pointers, and values.
pub(crate) type Fields = Vec<(String, Field)>;

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    Text(Template),
    /// A parameter that is sent as a number.
    Number(Template),
    /// A number, `true` or `false`.
    Fixed(Value),
    List(Vec<Field>),
}

/// A body as it is sent.
pub(crate) enum Body {
    Empty,
    Fields(Encoding, Vec<(String, Value)>),
    Text(String),
}

/// The decoded pairs of a form or a query.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = url::form_urlencoded::parse(text.as_bytes());
    pairs
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

pub(crate) fn data_pairs(data: &Data) -> Vec<(String, String)> {
    match data {
        Data::Raw(text) => pairs(text),
        // Without a name it is a whole pair, as documents write it.
        Data::Encode(name, value) if name.is_empty() => pairs(value),
        Data::Encode(name, value) => vec![(name.clone(), value.clone())],
    }
}

pub(crate) fn read(
    data: &[Data],
    kind: &str,
    json: bool,
    notes: &mut Vec<String>,
) -> Result<Body, Refusal> {
    let raw: Vec<_> = data
        .iter()
        .map(|data| match data {
            Data::Raw(text) => text.as_str(),
            Data::Encode(_, text) => text.as_str(),
        })
        .collect();
    let whole = raw.join("&");
    let text = whole.trim();
    if text.is_empty() {
        return Ok(Body::Empty);
    }
    if kind.contains("xml")
        || text.starts_with("<?xml")
        || text.starts_with('<') && text.contains("</")
    {
        return Err(Refusal::beyond(
            "the request's body is XML, which a vendor file can't express",
        ));
    }
    if kind.contains("multipart") {
        return Err(Refusal::beyond(
            "the request's body is multipart/form-data, which a vendor file can't express",
        ));
    }
    let looks_like_json = text.starts_with('{') && text.contains(':');
    if json || kind.contains("json") || looks_like_json {
        if !json && !kind.contains("json") {
            notes.push(
                "the body is JSON, but the command does not say so; the file sends it as JSON"
                    .into(),
            );
        }
        let Some(value) = tolerant(text) else {
            return Err(Refusal::new(
                "the request's body is not valid JSON",
                "put quotes around its placeholders, and remove its comments",
            ));
        };
        let mut fields = Vec::new();
        let Value::Object(inside) = &value else {
            return Err(Refusal::beyond(
                "the request's body is not a JSON object, which a vendor file can't express",
            ));
        };
        flatten(inside, "", &mut fields)?;
        return Ok(match fields.is_empty() {
            true => Body::Empty,
            false => Body::Fields(Encoding::Json, fields),
        });
    }
    if kind.starts_with("text/plain") {
        return Ok(Body::Text(text.to_owned()));
    }
    let all: Vec<_> = data.iter().flat_map(data_pairs).collect();
    let has_names = data.iter().all(|data| match data {
        Data::Raw(text) => text.contains('='),
        Data::Encode(name, value) => !name.is_empty() || value.contains('='),
    });
    if all.iter().any(|(name, _)| name.is_empty()) || !has_names {
        return Err(Refusal::new(
            "the request's body is neither JSON nor a form",
            "check the quotes of the command",
        ));
    }
    let all = all
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)));
    Ok(Body::Fields(Encoding::Form, all.collect()))
}

/// Reads JSON as documents print it: with placeholders that are not in quotes, trailing commas and
/// comments at the end of a line.
pub(crate) fn tolerant(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let mut out = String::new();
    let mut rest = text;
    let (mut is_quoted, mut is_escaped) = (false, false);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if is_quoted {
            is_quoted = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
            out.push(c);
            continue;
        }
        match c {
            '"' => {
                is_quoted = true;
                out.push(c);
            }
            '/' if rest.starts_with('/') => {
                rest = rest.find('\n').map_or("", |end| &rest[end..]);
            }
            ',' if rest.trim_start().starts_with(['}', ']']) => {}
            '<' | '$' | '{' if out.trim_end().ends_with(':') => {
                let start = format!("{c}{rest}");
                let end = start.find([',', '\n']).unwrap_or(start.len());
                let value = start[..end].trim();
                // The last one on a line is followed by the braces of the object.
                let value = match c {
                    '<' => value.split_inclusive('>').next().unwrap_or(value),
                    _ => value,
                };
                if let [Part::Hole(hint)] = &*placeholder::parts(value) {
                    out.push_str(&Value::String(format!("<{hint}>")).to_string());
                    rest = &rest[value.len() - c.len_utf8()..];
                } else {
                    out.push(c);
                }
            }
            _ => out.push(c),
        }
    }
    serde_json::from_str(&out).ok()
}

/// Names the fields of an object; inside of others by pointers.
fn flatten(
    inside: &serde_json::Map<String, Value>,
    start: &str,
    fields: &mut Vec<(String, Value)>,
) -> Result<(), Refusal> {
    for (key, value) in inside {
        let escaped = key.replace('~', "~0").replace('/', "~1");
        let name = match start {
            "" if escaped == *key => key.clone(),
            start => format!("{start}/{escaped}"),
        };
        let is_plain = |value: &Value| !value.is_object() && !value.is_array() && !value.is_null();
        match value {
            Value::Null => {}
            Value::Object(further) => flatten(further, &format!("{start}/{escaped}"), fields)?,
            Value::Array(list) if !list.iter().all(is_plain) => {
                return Err(Refusal::beyond(format!(
                    "{name} is a list of objects, which a vendor file can't express"
                )));
            }
            _ => fields.push((name, value.clone())),
        }
    }
    Ok(())
}

/// A field as the file writes it.
pub(crate) fn field(
    params: &mut Params,
    name: &str,
    value: &Value,
    notes: &mut Vec<String>,
) -> Result<Field, Refusal> {
    let last = name.rsplit('/').next().unwrap_or(name);
    refuse_signature(last, &format!("the field {name}"))?;
    Ok(match value {
        Value::String(text) => Field::Text(value_of(params, last, text, notes)?),
        Value::Array(list) => {
            let all = list.iter().map(|value| field(params, name, value, notes));
            Field::List(all.collect::<Result<_, _>>()?)
        }
        Value::Number(number) if crate::naming::is_identity(last) => {
            let template = value_of(params, last, &number.to_string(), notes)?;
            if let Some(crate::template::Piece::Hole(name)) = template.pieces.first() {
                params.mark_number(name);
            }
            Field::Number(template)
        }
        other => {
            notes.push(format!(
                "{name} is sent as a constant, as the example shows it"
            ));
            Field::Fixed(other.clone())
        }
    })
}
