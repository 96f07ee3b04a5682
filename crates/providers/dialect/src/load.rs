//! Loading a [`Dialect`] from the text of a file.

use std::{fmt, path::Path, sync::Arc};

use biped_config::{ConfigTable, Problem};
use sha2::{Digest as _, Sha256};

use crate::{compile, dialect::Dialect};

impl Dialect {
    /// Loads a dialect. `name` is the file's name in errors.
    ///
    /// # Errors
    /// Reports every problem of the text with its line, such as an unknown key, a template with an
    /// unknown parameter or an invalid pointer. No problem quotes a value.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, LoadError> {
        let table = ConfigTable::from_toml(Path::new(name), text).map_err(LoadError::new)?;
        // Beside what is wrong with the text itself, further problems would be misleading.
        let compiled = match table.has_problems() {
            true => None,
            false => compile::dialect(&table, name, digest(text)),
        };
        match compiled {
            Some(dialect) if !table.has_problems() => Ok(dialect),
            _ => Err(LoadError::new(table.take_problems())),
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
#[derive(Clone)]
pub struct LoadError {
    problems: Arc<[Problem]>,
}

impl LoadError {
    fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.origin.line());
        Self {
            problems: problems.into(),
        }
    }

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

/// For people, since `main` and `unwrap` show it.
impl fmt::Debug for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for LoadError {}
