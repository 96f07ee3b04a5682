//! Loading a [`Dialect`] from the text of a file.

use std::{fmt, sync::Arc};

use biped_config::Problem;
use sha2::{Digest as _, Sha256};

use crate::{
    compile,
    dialect::Dialect,
    source::{Faults, parse},
};

impl Dialect {
    /// Loads a dialect. `name` is the file's name in errors.
    ///
    /// # Errors
    /// Reports every problem of the text with its line, such as an unknown key, a template with an
    /// unknown parameter or an invalid pointer. No problem quotes a value.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, LoadError> {
        let faults = Faults::of(name);
        let table = parse(text, &faults);
        // After a syntax error the remaining problems would be misleading.
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

/// The problems of a vendor file that does not load.
#[derive(Clone, Debug)]
pub struct LoadError {
    problems: Arc<[Problem]>,
}

impl LoadError {
    /// Returns the problems, sorted by line.
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
