//! [`Problem`]: what is wrong, and where.

use std::fmt;

use crate::origin::Origin;

/// A problem of the configuration: its place, its key, and what was expected. It never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place of the problem.
    pub origin: Origin,
    /// The whole path of the key: `providers.shop.client_id`. Empty for problems without a key, such as
    /// a syntax error.
    pub key: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl Problem {
    /// Creates the problem of an unknown key. The message names the nearest known key, or all known
    /// keys if none is near.
    #[must_use]
    pub fn unknown_key<'k>(
        origin: Origin,
        path: String,
        key: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) -> Self {
        let known: Vec<_> = known.into_iter().collect();
        let message = match nearest(key, known.iter().copied()) {
            Some(meant) => format!("unknown key; did you mean {meant}?"),
            None if known.is_empty() => "unknown key".into(),
            None => format!("unknown key; expected one of {}", known.join(", ")),
        };
        Self {
            origin,
            key: path,
            message,
        }
    }

    /// Creates the problem of something other than a table where one is expected. The message says how
    /// a table is written.
    #[must_use]
    pub fn expected_table(origin: Origin, path: String) -> Self {
        // A variable or an option sets a single value.
        let message = match origin.line() {
            Some(_) => format!("expected a table; begin it with the line [{path}]"),
            None => "expected a table".into(),
        };
        Self {
            origin,
            key: path,
            message,
        }
    }
}

/// Returns the known word that is nearest to what was typed, if one is near. Case does not count.
#[must_use]
pub fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let typed = typed.to_lowercase();
    known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&typed, &word.to_lowercase()), word))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}
