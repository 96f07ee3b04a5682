//! [`Mention`]: a name in the configuration, and where it stands.

use std::ops::Deref;

use biped::config::{ConfigTable, Origin, Problem, Value};

/// A name that the configuration mentions. Two are equal if their names are, wherever they stand.
#[derive(Clone, Debug)]
pub(crate) struct Mention {
    name: String,
    /// The whole path of the key.
    key: String,
    origin: Origin,
}

impl PartialEq for Mention {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Mention {}

impl Mention {
    /// A name that the application gave.
    pub(crate) fn of_application(name: String, key: &str) -> Self {
        Self {
            name,
            key: key.to_owned(),
            origin: Origin::Builder,
        }
    }

    /// The name in the value of a key.
    pub(super) fn one(table: &ConfigTable, key: &str) -> Option<Self> {
        let name = table.string(key)?;
        let origin = table.value(key)?.origin.clone();
        let key = table.key(key);
        Some(Self { name, key, origin })
    }

    /// The names in the list of a key.
    pub(super) fn list(table: &ConfigTable, key: &str) -> Option<Vec<Self>> {
        let names = table.texts(key)?;
        let value = table.value(key)?;
        // A variable has them all.
        let origin = |at: usize| match &value.raw {
            Value::List(all) => all.get(at).map(|value| value.origin.clone()),
            _ => None,
        };
        let names = names.into_iter().enumerate();
        let names = names.map(|(at, name)| Self {
            name,
            key: table.key(key),
            origin: origin(at).unwrap_or_else(|| value.origin.clone()),
        });
        Some(names.collect())
    }

    /// The names of the tables in a table.
    pub(super) fn keys(table: &ConfigTable) -> Vec<Self> {
        let entries = table.entries().into_iter();
        let names = entries.map(|(name, value)| Self {
            name: name.to_owned(),
            key: table.key(name),
            origin: value.origin.clone(),
        });
        names.collect()
    }

    /// What is wrong with the name.
    pub(crate) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            origin: self.origin.clone(),
            key: self.key.clone(),
            message: message.into(),
        }
    }
}

impl Deref for Mention {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}
