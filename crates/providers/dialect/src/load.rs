//! Loading: from the text of a file to a [`Dialect`], or to all that is wrong with it.

use std::{fmt, sync::Arc};

use biped_config::Problem;
use sha2::{Digest as _, Sha256};

use crate::{
    compile,
    dialect::Dialect,
    source::{Faults, parse},
};

impl Dialect {
    /// Loads a dialect; `name` is what errors call its file.
    ///
    /// # Errors
    /// Everything that is wrong with the text, each with its line: a key that is not in the schema,
    /// a template that names an unknown parameter, a pointer that isn't one. No value is quoted.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, LoadError> {
        let faults = Faults::of(name);
        let table = parse(text, &faults);
        // What follows a slip of syntax would only be told wrong.
        let compiled = if faults.is_empty() {
            compile::dialect(&table, name, digest(text), &faults)
        } else {
            None
        };
        match compiled {
            Some(dialect) if faults.is_empty() => Ok(dialect),
            _ => Err(LoadError {
                problems: faults.into_problems().into(),
            }),
        }
    }
}

fn digest(text: &str) -> Box<str> {
    let digest = Sha256::digest(text);
    hex(&digest[..16]).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that is wrong with a dialect.
#[derive(Clone, Debug)]
pub struct LoadError {
    problems: Arc<[Problem]>,
}

impl LoadError {
    /// The problems, in the order of their lines.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}
