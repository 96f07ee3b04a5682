//! [`check`]: loads a dialect, runs its examples, and gives advice to its author.

use std::{io, path::Path, sync::Arc};

use biped_config::Problem;
use biped_core::{Lifetime, MAX_FILE_SIZE, NoLifetime, read_text_file};
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
    assumptions: Vec<Assumption>,
    advice: Vec<&'static str>,
}

/// An example whose token gets a lifetime that neither the response nor the vendor file tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Assumption {
    /// The line of the example.
    pub line: usize,
    /// Why the lifetime is assumed.
    pub why: NoLifetime,
}

/// Loads a file and runs its examples, without a network. The file must be a regular file of at most
/// 1 MiB.
///
/// # Errors
/// Fails if the file can't be read.
pub fn check(path: &Path) -> io::Result<Report> {
    let text = read_text_file(path, MAX_FILE_SIZE)?;
    Ok(check_text(&text, &path.display().to_string()))
}

/// Checks the text of a file, as [`check`] does. `name` is the file's name in problems.
#[must_use]
pub fn check_text(text: &str, name: &str) -> Report {
    let dialect = Dialect::from_toml(text, name).map(Arc::new);
    let mut report = Report {
        differences: Vec::new(),
        assumptions: Vec::new(),
        advice: Vec::new(),
        dialect,
    };
    if let Ok(dialect) = &report.dialect {
        report.advice = advice(dialect);
        for example in dialect.examples() {
            let (differences, assumed) = example.try_out(dialect);
            report.differences.extend(differences);
            let line = example.line();
            report
                .assumptions
                .extend(assumed.map(|why| Assumption { line, why }));
        }
    }
    report
}

impl Report {
    /// Returns whether the file loads and every example passes.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.dialect.is_ok() && self.differences.is_empty()
    }

    /// Returns the dialect, if the file loads.
    #[must_use]
    pub fn dialect(&self) -> Option<&Arc<Dialect>> {
        self.dialect.as_ref().ok()
    }

    /// Returns the reasons why the file does not load.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        self.dialect.as_ref().err().map_or(&[], LoadError::problems)
    }

    /// Returns the differences between the examples and what the dialect does.
    #[must_use]
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// Returns the examples whose tokens get an assumed lifetime.
    #[must_use]
    pub fn assumptions(&self) -> &[Assumption] {
        &self.assumptions
    }

    /// Returns the number of examples that were run.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.dialect().map_or(0, |dialect| dialect.examples().len())
    }

    /// Returns suggestions for a file that loads.
    #[must_use]
    pub fn advice(&self) -> &[&'static str] {
        &self.advice
    }
}

/// A session that expires from disuse would be served until the vendor rejects it.
const NO_IDLE: &str = "lifetime = false serves a token until it is rejected; set idle if it ends without \
                       use, such as idle = \"20m\"";

fn advice(dialect: &Dialect) -> Vec<&'static str> {
    let examples = dialect.examples();
    let mut advice = Vec::new();
    if dialect.about().is_none() {
        advice.push("add [about] with params; without them every parameter is treated as a secret");
    }
    let body_in_get = |step: &Step| {
        step.method == Method::GET && matches!(step.encoding, Encoding::Form | Encoding::Json)
    };
    if dialect.steps.iter().any(body_in_get) {
        advice.push("a GET request sends its fields in a body; set encoding = \"query\" to send them in the URL");
    }
    if !examples.iter().any(|example| !example.is_refusal()) {
        advice.push("add an [[example]] with a token, from the vendor's documentation");
    }
    let reads = || dialect.steps.iter().map(|step| &step.reads);
    let is_endless = reads().any(|reads| reads.lifetime == Some(Lifetime::UntilRejected));
    if is_endless && reads().all(|reads| reads.idle.is_none()) {
        advice.push(NO_IDLE);
    }
    let is_unverified = dialect
        .about()
        .is_some_and(|about| about.unverified().any(|fact| fact == "refusal"));
    if !is_unverified && !examples.iter().any(crate::Example::is_refusal) {
        advice.push(
            "add an [[example]] with a refusal from the vendor's documentation, or name refusal in \
             about.unverified",
        );
    }
    advice
}
