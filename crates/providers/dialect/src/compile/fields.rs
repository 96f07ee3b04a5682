//! Reading fields and headers.

use http::HeaderName;

use crate::{
    answer_path::Pointer,
    section::Section,
    source::{Entry, Node, Value},
    step::{Encoding, Field, FieldName, FieldValue, Header, HeaderTitle},
    template::Template,
};

pub(crate) fn user_and_password(section: &Section<'_>) -> (Option<Template>, Option<Template>) {
    let both = (section.template("user"), section.template("password"));
    for key in ["user", "password"] {
        if section.node(key).is_none() {
            section.wrong(section.line(), key, "missing; expected a string");
        }
    }
    for entry in section.entries() {
        if !["user", "password"].contains(&entry.key.as_str()) {
            section.faults().unknown(
                entry.line,
                section.path(&entry.key),
                &entry.key,
                &["user", "password"],
            );
        }
    }
    both
}

pub(crate) fn read_fields(section: &Section<'_>, encoding: Encoding) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for entry in section.entries() {
        let wrong = |why: &str| section.wrong(entry.line, &entry.key, why);
        let at = match field_name(&entry.key) {
            Ok(FieldName::Pointer(_)) if encoding != Encoding::Json => {
                wrong("a JSON pointer needs encoding = \"json\"");
                continue;
            }
            Ok(at) => at,
            Err(why) => {
                wrong(why);
                continue;
            }
        };
        if fields.iter().any(|field| field.at.is(&at)) {
            wrong("this field is a duplicate");
        }
        if let Some(value) = field_value(section, entry) {
            fields.push(Field { at, value });
        }
    }
    if encoding == Encoding::Json && !fit_together(&fields) {
        let why = "these fields contradict each other in one JSON body";
        section.wrong(section.line(), "", why);
    }
    fields
}

/// Whether one JSON body can hold all fields.
fn fit_together(fields: &[Field]) -> bool {
    let mut body = serde_json::Value::Object(serde_json::Map::new());
    fields.iter().all(|field| match &field.at {
        FieldName::Name(name) => Pointer::key(name).put(&mut body, true.into()),
        FieldName::Pointer(pointer) => pointer.put(&mut body, true.into()),
    })
}

pub(crate) fn field_name(key: &str) -> Result<FieldName, &'static str> {
    if key.is_empty() {
        return Err("expected a name");
    }
    if key.starts_with('/') {
        return Pointer::parse(key).map(FieldName::Pointer);
    }
    Ok(FieldName::Name(key.into()))
}

impl FieldName {
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a == b,
            (Self::Pointer(a), Self::Pointer(b)) => a == b,
            (Self::Name(name), Self::Pointer(pointer))
            | (Self::Pointer(pointer), Self::Name(name)) => *pointer == Pointer::key(name),
        }
    }
}

pub(crate) fn field_value(section: &Section<'_>, entry: &Entry) -> Option<FieldValue> {
    value(section, &entry.key, &entry.node, true)
}

fn value(section: &Section<'_>, key: &str, node: &Node, list: bool) -> Option<FieldValue> {
    match &node.value {
        Value::Text(text) => section.parsed(key, text, node.line).map(FieldValue::Text),
        Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
            Some(FieldValue::Fixed(node.to_json()))
        }
        Value::List(all) if list => all
            .iter()
            .map(|node| value(section, key, node, false))
            .collect::<Option<_>>()
            .map(FieldValue::List),
        Value::Table(table) if table.entries.len() == 1 && table.entries[0].key == "number" => {
            let inside = &table.entries[0].node;
            match &inside.value {
                Value::Text(text) => section.parsed(key, text, node.line).map(FieldValue::Number),
                _ => {
                    section.wrong(node.line, key, "expected a template as number");
                    None
                }
            }
        }
        Value::Table(_) => {
            let why = "expected a template, a number, true or false, a list or { number = \"{name}\" }; \
                       name a field inside an object by a pointer such as \"/auth/user\"";
            section.wrong(node.line, key, why);
            None
        }
        Value::List(_) | Value::Date(_) => {
            section.wrong(
                node.line,
                key,
                "expected a template, a number, true or false",
            );
            None
        }
    }
}

pub(crate) fn read_headers(section: &Section<'_>) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for entry in section.entries() {
        let wrong = |why: &str| section.wrong(entry.line, &entry.key, why);
        let Some(name) = header_title(entry) else {
            wrong("this is not a valid header name");
            continue;
        };
        if headers.iter().any(|known| known.name.is(&name)) {
            wrong("this header is a duplicate");
        }
        match &entry.node.value {
            Value::Text(text) => {
                if let Some(value) = section.parsed(&entry.key, text, entry.node.line) {
                    headers.push(Header { name, value });
                }
            }
            _ => wrong("expected a string"),
        }
    }
    headers
}

fn header_title(entry: &Entry) -> Option<HeaderTitle> {
    if let Ok(name) = entry.key.parse() {
        return Some(HeaderTitle::Fixed(name));
    }
    let template = Template::parse(&entry.key, entry.line).ok()?;
    let sample = template.outline(|_| Some("x"));
    let can_be = !template.is_fixed() && sample.parse::<HeaderName>().is_ok();
    can_be.then_some(HeaderTitle::Made(template))
}

impl HeaderTitle {
    fn is(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Fixed(a), Self::Fixed(b)) if a == b)
    }
}
