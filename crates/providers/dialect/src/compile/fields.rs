//! Reading fields and headers.

use biped_config::{ConfigTable, ConfigValue, Value};
use http::HeaderName;

use crate::{
    answer_path::Pointer,
    reading::{VendorTable as _, line},
    step::{Encoding, Field, FieldName, FieldValue, Header, HeaderTitle},
    template::Template,
};

pub(crate) fn user_and_password(section: &ConfigTable) -> (Option<Template>, Option<Template>) {
    let both = (section.template("user"), section.template("password"));
    for key in ["user", "password"] {
        if section.value(key).is_none() {
            section.wrong(section.line(), key, "missing; expected a string");
        }
    }
    section.report_unread();
    both
}

pub(crate) fn read_fields(section: &ConfigTable, encoding: Encoding) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for (key, value) in section.entries() {
        let wrong = |why: &str| section.wrong(line(value), key, why);
        let at = match field_name(key) {
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
        if let Some(value) = field_value(section, key, value) {
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

pub(crate) fn field_value(
    section: &ConfigTable,
    key: &str,
    value: &ConfigValue,
) -> Option<FieldValue> {
    read_value(section, key, value, true)
}

fn read_value(
    section: &ConfigTable,
    key: &str,
    node: &ConfigValue,
    list: bool,
) -> Option<FieldValue> {
    match &node.raw {
        Value::Text(text) => section.parsed(key, text, line(node)).map(FieldValue::Text),
        Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
            Some(FieldValue::Fixed(node.to_json()))
        }
        Value::List(all) if list => all
            .iter()
            .map(|node| read_value(section, key, node, false))
            .collect::<Option<_>>()
            .map(FieldValue::List),
        Value::Table(table) if table.len() == 1 && table.contains_key("number") => {
            match &table["number"].raw {
                Value::Text(text) => section
                    .parsed(key, text, line(node))
                    .map(FieldValue::Number),
                _ => {
                    section.wrong(line(node), key, "expected a template as number");
                    None
                }
            }
        }
        Value::Table(_) => {
            let why = "expected a template, a number, true or false, a list or { number = \"{name}\" }; \
                       name a field inside an object by a pointer such as \"/auth/user\"";
            section.wrong(line(node), key, why);
            None
        }
        Value::List(_) | Value::Date(_) => {
            section.wrong(
                line(node),
                key,
                "expected a template, a number, true or false",
            );
            None
        }
    }
}

pub(crate) fn read_headers(section: &ConfigTable) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for (key, value) in section.entries() {
        let wrong = |why: &str| section.wrong(line(value), key, why);
        let Some(name) = header_title(key, line(value)) else {
            wrong("this is not a valid header name");
            continue;
        };
        if headers.iter().any(|known| known.name.is(&name)) {
            wrong("this header is a duplicate");
        }
        match &value.raw {
            Value::Text(text) => {
                if let Some(value) = section.parsed(key, text, line(value)) {
                    headers.push(Header { name, value });
                }
            }
            _ => wrong("expected a string"),
        }
    }
    headers
}

fn header_title(key: &str, line: usize) -> Option<HeaderTitle> {
    if let Ok(name) = key.parse() {
        return Some(HeaderTitle::Fixed(name));
    }
    let template = Template::parse(key, line).ok()?;
    let sample = template.outline(|_| Some("x"));
    let can_be = !template.is_fixed() && sample.parse::<HeaderName>().is_ok();
    can_be.then_some(HeaderTitle::Made(template))
}

impl HeaderTitle {
    fn is(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Fixed(a), Self::Fixed(b)) if a == b)
    }
}
