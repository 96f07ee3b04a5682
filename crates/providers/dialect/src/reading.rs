//! [`VendorTable`]: what a vendor's file has beside what every configuration has.

use biped_config::{ConfigTable, ConfigValue, Origin, Problem, Value};

use crate::{answer_path::AnswerPath, template::Template};

/// Reads of a [`ConfigTable`] that know what a vendor's file holds.
pub(crate) trait VendorTable {
    /// The line where the table starts.
    fn line(&self) -> usize;

    /// The line of a key, or of the table where there is no such key.
    fn line_of(&self, key: &str) -> usize;

    /// A string, and its line.
    fn text(&self, key: &str) -> Option<(String, usize)>;

    /// A list of strings, each with its line.
    fn list(&self, key: &str) -> Option<Vec<(String, usize)>>;

    /// A number of seconds above zero, a year at most.
    fn seconds(&self, key: &str) -> Option<u64>;

    fn template(&self, key: &str) -> Option<Template>;

    /// A template from a text of this table.
    fn parsed(&self, key: &str, text: &str, line: usize) -> Option<Template>;

    fn place(&self, key: &str) -> Option<AnswerPath>;

    /// Notes what is wrong with a line. The message never quotes a value: it may be a secret.
    fn wrong(&self, line: usize, key: &str, message: impl Into<String>);
}

impl VendorTable for ConfigTable {
    fn line(&self) -> usize {
        self.origin().line().unwrap_or(1)
    }

    fn line_of(&self, key: &str) -> usize {
        self.value(key).map_or_else(|| self.line(), line)
    }

    fn text(&self, key: &str) -> Option<(String, usize)> {
        Some((self.string(key)?, self.line_of(key)))
    }

    fn list(&self, key: &str) -> Option<Vec<(String, usize)>> {
        let text = |value: &ConfigValue| Some((value.to_text()?, line(value)));
        let all = match &self.value(key)?.raw {
            Value::List(all) => all.iter().map(text).collect(),
            _ => None,
        };
        self.checked(key, all, "a list of strings", |_| true)
    }

    fn seconds(&self, key: &str) -> Option<u64> {
        let number = match self.value(key)?.raw {
            Value::Integer(number @ 1..=31_536_000) => u64::try_from(number).ok(),
            _ => None,
        };
        self.checked(key, number, "a number of seconds, a year at most", |_| true)
    }

    fn template(&self, key: &str) -> Option<Template> {
        let (text, line) = self.text(key)?;
        self.parsed(key, &text, line)
    }

    fn parsed(&self, key: &str, text: &str, line: usize) -> Option<Template> {
        match Template::parse(text, line) {
            Ok(template) => Some(template),
            Err(why) => {
                self.wrong(line, key, why);
                None
            }
        }
    }

    fn place(&self, key: &str) -> Option<AnswerPath> {
        let (text, line) = self.text(key)?;
        match AnswerPath::parse(&text) {
            Ok(place) => Some(place),
            Err(why) => {
                self.wrong(line, key, why);
                None
            }
        }
    }

    fn wrong(&self, line: usize, key: &str, message: impl Into<String>) {
        let mut origin = self.origin().clone();
        if let Origin::File { line: at, .. } = &mut origin {
            *at = line;
        }
        self.note(Problem {
            origin,
            key: self.key(key),
            message: message.into(),
        });
    }
}

/// The line of a value.
pub(crate) fn line(value: &ConfigValue) -> usize {
    value.origin.line().unwrap_or(1)
}

/// The value as JSON, with its type; a date is its text.
pub(crate) fn to_json(value: &ConfigValue) -> serde_json::Value {
    match &value.raw {
        Value::Text(text) | Value::Date(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Bool(yes) => (*yes).into(),
        Value::List(all) => all.iter().map(to_json).collect(),
        Value::Table(table) => {
            let table = table
                .iter()
                .map(|(key, value)| (key.clone(), to_json(value)));
            table.collect::<serde_json::Map<_, _>>().into()
        }
    }
}
