//! [`Fill`]: fills in the templates of fields.

use std::borrow::Cow;

use biped_core::Error;
use serde_json::Value;

use crate::{
    answer_path::Pointer,
    step::{Field, FieldName, FieldValue},
    template::{Template, Values},
};

/// Renders a template that the request needs.
pub(crate) fn needed<'v>(
    template: &'v Template,
    values: &Values<'v>,
) -> Result<Cow<'v, str>, Error> {
    template.render(values).ok_or_else(|| {
        let names: Vec<_> = template.names().collect();
        Error::configuration(format!(
            "this vendor needs a value for {}",
            names.join(" and ")
        ))
    })
}

/// Fills in fields.
pub(crate) struct Fill<'a> {
    pub(crate) values: &'a Values<'a>,
    pub(crate) assertion: Option<&'a str>,
}

impl<'a> Fill<'a> {
    /// Names and values, for a form or a query. A list repeats its name.
    pub(crate) fn pairs(&self, fields: &'a [Field]) -> Result<Vec<(&'a str, Cow<'a, str>)>, Error> {
        let mut pairs = Vec::with_capacity(fields.len());
        for field in fields {
            let FieldName::Name(name) = &field.at else {
                return Err(Error::internal("a form contains a JSON pointer"));
            };
            match &field.value {
                FieldValue::List(all) => {
                    for value in all {
                        pairs.extend(self.text(value)?.map(|text| (&**name, text)));
                    }
                }
                value => pairs.extend(self.text(value)?.map(|text| (&**name, text))),
            }
        }
        Ok(pairs)
    }

    pub(crate) fn json(&self, fields: &'a [Field]) -> Result<Vec<u8>, Error> {
        let mut body = Value::Object(serde_json::Map::new());
        for field in fields {
            let Some(value) = self.value(&field.value)? else {
                continue;
            };
            let fits = match &field.at {
                FieldName::Name(name) => Pointer::key(name).put(&mut body, value),
                FieldName::Pointer(pointer) => pointer.put(&mut body, value),
            };
            if !fits {
                return Err(Error::configuration(
                    "the fields of the vendor file contradict each other in one JSON body",
                ));
            }
        }
        serde_json::to_vec(&body).map_err(|_| Error::internal("the body can't be written as JSON"))
    }

    fn text(&self, value: &'a FieldValue) -> Result<Option<Cow<'a, str>>, Error> {
        Ok(match value {
            FieldValue::Text(template) => template.render(self.values),
            FieldValue::Fixed(Value::String(text)) => Some(text.as_str().into()),
            FieldValue::Assertion => self.assertion.map(Cow::Borrowed),
            other => self.value(other)?.map(|value| value.to_string().into()),
        })
    }

    /// Returns `None` if an optional parameter has no value.
    pub(crate) fn value(&self, value: &'a FieldValue) -> Result<Option<Value>, Error> {
        Ok(match value {
            FieldValue::Text(template) => template.render(self.values).map(Value::from),
            FieldValue::Number(template) => match template.render(self.values) {
                Some(text) => Some(number(&text).ok_or_else(|| not_a_number(template))?),
                None => None,
            },
            FieldValue::Fixed(value) => Some(value.clone()),
            FieldValue::List(all) => {
                let mut list = Vec::with_capacity(all.len());
                for value in all {
                    list.extend(self.value(value)?);
                }
                Some(list.into())
            }
            FieldValue::Assertion => self.assertion.map(Value::from),
        })
    }
}

fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let number: f64 = text.parse().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

fn not_a_number(template: &Template) -> Error {
    let names: Vec<_> = template.names().collect();
    Error::configuration(format!("{}: expected a number", names.join(", ")))
}
