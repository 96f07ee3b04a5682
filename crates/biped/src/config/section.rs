//! Typed reads of `[store]`, `[http]` and `[engine]`.

use std::time::Duration;

use biped_config::{ConfigValue, Field, Origin, Problem};
use biped_core::Error;

use super::{Table, table};

/// A section, its names and types checked against a table of fields.
pub(crate) struct Section<'p> {
    name: &'static str,
    values: Table,
    problems: &'p mut Vec<Problem>,
    /// Why a secret was not read that may be missing where a configuration is only shown.
    pub(crate) unread: Option<Error>,
}

impl<'p> Section<'p> {
    /// The section `name`, with the values that are what they should be; the others are problems.
    pub(crate) fn read(
        root: &Table,
        name: &'static str,
        fields: &[Field],
        problems: &'p mut Vec<Problem>,
    ) -> Self {
        let written = table(root, name, problems).cloned().unwrap_or_default();
        let mut section = Self {
            name,
            values: Table::new(),
            problems,
            unread: None,
        };
        for (key, value) in written {
            match fields.iter().find(|field| field.name() == key) {
                Some(field) if value.fits(field.ty()) => {
                    section.values.insert(key, value);
                }
                Some(field) => {
                    let message = format!("{} is expected", field.ty().expected());
                    section.problem(&key, value.origin, message);
                }
                None => {
                    let known = fields.iter().map(Field::name);
                    let path = format!("{name}.{key}");
                    section
                        .problems
                        .push(Problem::unknown_key(value.origin, path, &key, known));
                }
            }
        }
        section
    }

    pub(crate) fn value(&self, key: &str) -> Option<ConfigValue> {
        self.values.get(key).cloned()
    }

    /// One of the values, other than this one.
    pub(crate) fn any_but(&self, key: &str) -> Option<(String, ConfigValue)> {
        let mut others = self.values.iter().filter(|(name, _)| *name != key);
        others
            .next()
            .map(|(name, value)| (name.clone(), value.clone()))
    }

    /// The secret that a value is, or refers to, read at once.
    #[cfg(any(feature = "redis", feature = "sealed"))]
    pub(crate) fn secret(
        &mut self,
        key: &str,
        value: &ConfigValue,
    ) -> Option<biped_core::SecretString> {
        match value.to_secret()?.read_now() {
            Ok(secret) => Some(secret),
            Err(error) if value.origin.references() != biped_core::References::All => {
                let place = format!("{}.{key}", self.name);
                let message = format!("{place}: {}", error.message());
                self.unread.get_or_insert(error.with_message(message));
                None
            }
            Err(error) => {
                self.problem(key, value.origin.clone(), error.to_string());
                None
            }
        }
    }

    pub(crate) fn problem(&mut self, key: &str, origin: Origin, message: impl Into<String>) {
        let key = format!("{}.{key}", self.name);
        self.problems.push(Problem {
            origin,
            key,
            message: message.into(),
        });
    }

    /// A length of time that is more than none.
    pub(crate) fn duration(&mut self, key: &str) -> Option<Duration> {
        let value = self.value(key)?;
        self.within(key, &value, value.to_duration(), "more than zero", |time| {
            !time.is_zero()
        })
    }

    /// `true` or `false`; the declared type was checked when the section was read.
    pub(crate) fn boolean(&self, key: &str) -> Option<bool> {
        self.value(key)?.to_bool()
    }

    /// A whole number from 1 up.
    pub(crate) fn count<N: TryFrom<i64>>(&mut self, key: &str) -> Option<N> {
        let value = self.value(key)?;
        let number = value.to_integer().filter(|number| *number > 0);
        let number = number.and_then(|number| N::try_from(number).ok());
        self.within(key, &value, number, "a whole number from 1 up", |_| true)
    }

    /// A number between two others.
    pub(crate) fn between(&mut self, key: &str, low: f64, high: f64) -> Option<f64> {
        let value = self.value(key)?;
        let expected = format!("a number between {low} and {high}");
        self.within(key, &value, value.to_float(), &expected, |n| {
            (low..=high).contains(n)
        })
    }

    fn within<T>(
        &mut self,
        key: &str,
        value: &ConfigValue,
        typed: Option<T>,
        expected: &str,
        holds: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let typed = typed.filter(holds);
        if typed.is_none() {
            self.problem(key, value.origin.clone(), format!("{expected} is expected"));
        }
        typed
    }
}
