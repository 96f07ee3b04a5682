//! [`VendorTable`]: typed reads of the values that only vendor files have.

use biped_config::{ConfigTable, ConfigValue, Origin, Problem, Value};

use crate::{answer_path::AnswerPath, template::Template};

/// Typed reads of a [`ConfigTable`] in a vendor file.
pub(crate) trait VendorTable {
    /// Returns the line on which the table starts.
    fn line(&self) -> usize;

    /// Returns the line of a key, or of the table if it does not have this key.
    fn line_of(&self, key: &str) -> usize;

    /// Reads a string; returns its line as well.
    fn text(&self, key: &str) -> Option<(String, usize)>;

    /// Reads a list of strings; returns their lines as well.
    fn list(&self, key: &str) -> Option<Vec<(String, usize)>>;

    /// Reads a number of seconds, from one to a year.
    fn seconds(&self, key: &str) -> Option<u64>;

    /// Reads a template.
    fn template(&self, key: &str) -> Option<Template>;

    /// Parses a template from a text of this table.
    fn parsed(&self, key: &str, text: &str, line: usize) -> Option<Template>;

    /// Reads a path into a response.
    fn answer_path(&self, key: &str) -> Option<AnswerPath>;

    /// Notes a problem of a line. The message must not quote a value, because it may be a secret.
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

    fn answer_path(&self, key: &str) -> Option<AnswerPath> {
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

/// Returns the line of a value.
pub(crate) fn line(value: &ConfigValue) -> usize {
    value.origin.line().unwrap_or(1)
}
