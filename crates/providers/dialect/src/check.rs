//! [`check`]: what somebody who writes a dialect wants to know of it.

use std::{io, path::Path, sync::Arc};

use biped_config::Problem;
use biped_core::{MAX_FILE_SIZE, read_text_file};
use http::Method;

use crate::{
    Dialect, Difference, LoadError,
    step::{Encoding, Step},
};

/// What [`check`] found.
#[derive(Clone, Debug)]
pub struct Report {
    dialect: Result<Arc<Dialect>, LoadError>,
    differences: Vec<Difference>,
    advice: Vec<&'static str>,
}

/// Loads a file, a regular one of at most 1 MiB, and runs its examples; nothing is sent anywhere.
///
/// # Errors
/// Where the file can't be read.
pub fn check(path: &Path) -> io::Result<Report> {
    let text = read_text_file(path, MAX_FILE_SIZE)?;
    Ok(check_text(&text, &path.display().to_string()))
}

/// As [`check`], with the text of the file at hand.
#[must_use]
pub fn check_text(text: &str, name: &str) -> Report {
    let dialect = Dialect::from_toml(text, name).map(Arc::new);
    let (differences, advice) = match &dialect {
        Ok(dialect) => (differences(dialect), advice(dialect)),
        Err(_) => (Vec::new(), Vec::new()),
    };
    Report {
        dialect,
        differences,
        advice,
    }
}

impl Report {
    /// Whether the file loads, and every example comes out as it says.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.dialect.is_ok() && self.differences.is_empty()
    }

    /// The dialect, where the file loads.
    #[must_use]
    pub fn dialect(&self) -> Option<&Arc<Dialect>> {
        self.dialect.as_ref().ok()
    }

    /// Why the file doesn't load.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        self.dialect.as_ref().err().map_or(&[], LoadError::problems)
    }

    /// Where examples come out otherwise than they say.
    #[must_use]
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// How many examples were run.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.dialect().map_or(0, |dialect| dialect.examples().len())
    }

    /// What would make the file better, though nothing is wrong.
    #[must_use]
    pub fn advice(&self) -> &[&'static str] {
        &self.advice
    }
}

fn differences(dialect: &Arc<Dialect>) -> Vec<Difference> {
    let examples = dialect.examples().iter();
    examples.flat_map(|example| example.run(dialect)).collect()
}

fn advice(dialect: &Dialect) -> Vec<&'static str> {
    let examples = dialect.examples();
    let mut advice = Vec::new();
    if dialect.about().is_none() {
        advice.push("add [about]: without params there, every parameter is taken for a secret");
    }
    let body_in_get = |step: &Step| {
        step.method == Method::GET && matches!(step.encoding, Encoding::Form | Encoding::Json)
    };
    if dialect.steps.iter().any(body_in_get) {
        advice.push("a GET has its fields in a body; encoding = \"query\" has them in the address");
    }
    if !examples.iter().any(|example| !example.is_refusal()) {
        advice.push("add an [[example]] of a token, from the vendor's documents");
    }
    if !examples.iter().any(crate::Example::is_refusal) {
        advice.push("add an [[example]] of a refusal, from the vendor's documents");
    }
    advice
}
