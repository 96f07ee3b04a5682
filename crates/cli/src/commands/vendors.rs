//! `biped vendors`.

use std::path::Path;

use biped::{
    Error,
    config::Origin,
    dialect::{Assumption, Catalogue, Report as DialectReport, check},
    provider::wire::Escaped,
};
use serde::Serialize;

use crate::{
    args::{OneVendor, PageFormat, Vendors},
    failure::{Failure, Outcome},
    output,
    session::Session,
};

pub(super) mod found;
mod learn;
mod list;
mod live;
mod page;

pub(crate) fn run(session: &Session, args: &Vendors) -> Outcome {
    match &args.command {
        Some(OneVendor::Show { name }) => show(name, args.format),
        Some(OneVendor::Check { file }) => check_file(file, args.format),
        Some(OneVendor::Learn(material)) => learn::run(material, args.format),
        Some(OneVendor::Test { vendor }) => live::run(session, vendor, args.format),
        None => listed(&args.search.join(" "), args.format),
    }
}

fn listed(words: &str, format: PageFormat) -> Outcome {
    let rows = list::rows(words);
    if format == PageFormat::Json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        let remedy = Catalogue::built_in().suggestion(words);
        let remedy = remedy.unwrap_or_else(|| {
            "list all with `biped vendors`, or describe the vendor in a file of your own".into()
        });
        output::note(&format!("no vendor matches these words; {remedy}"));
    }
    output::text(&match format {
        PageFormat::Markdown => list::markdown(&rows),
        _ => list::table(&rows),
    })?;
    if !rows.is_empty() {
        output::note(&list::counts(&rows));
    }
    Ok(())
}

fn show(name: &str, format: PageFormat) -> Outcome {
    let (entry, dialect) = found::of_catalogue(name)?;
    match format {
        PageFormat::Json => output::json(&page::Shown::of(entry, &dialect)),
        PageFormat::Text => output::text(&page::text(entry, &dialect)),
        PageFormat::Markdown => output::text(&page::markdown(entry, &dialect)),
    }
}

/// The result of checking a file.
#[derive(Serialize)]
struct Checked {
    file: String,
    good: bool,
    examples: usize,
    problems: Vec<Flaw>,
    advice: Vec<String>,
}

/// A problem of a file, with its line.
#[derive(Serialize)]
struct Flaw {
    line: Option<usize>,
    key: String,
    message: String,
}

impl Checked {
    fn of(file: &Path, report: &DialectReport) -> Self {
        let problems = report.problems().iter().map(|problem| Flaw {
            line: match problem.origin {
                Origin::File { line, .. } => Some(line),
                _ => None,
            },
            key: problem.key.clone(),
            message: problem.message.clone(),
        });
        let differences = report.differences().iter().map(|difference| Flaw {
            line: Some(difference.line),
            key: difference.what.clone(),
            message: format!(
                "expected {}, found {}",
                difference.expected, difference.actual
            ),
        });
        Self {
            file: file.display().to_string(),
            good: report.is_good(),
            examples: report.examples(),
            problems: problems.chain(differences).collect(),
            advice: report
                .advice()
                .iter()
                .map(|advice| (*advice).to_owned())
                .chain(report.assumptions().iter().map(|assumption| {
                    let Assumption { line, why, .. } = assumption;
                    format!(
                        "the lifetime of the token of the example in line {line} is assumed: {why}"
                    )
                }))
                .collect(),
        }
    }

    /// The problems as lines of `file:line: key: message`.
    fn complaint(&self) -> Error {
        Error::configuration_lines(self.problems.iter().map(|flaw| {
            let line = flaw
                .line
                .map_or_else(String::new, |line| format!(":{line}"));
            let key = match &*flaw.key {
                "" => String::new(),
                key => format!("{key}: "),
            };
            format!("{}{line}: {key}{}", self.file, flaw.message)
        }))
    }
}

fn check_file(file: &Path, format: PageFormat) -> Outcome {
    let report = check(file).map_err(|error| {
        Error::configuration(format!("{} can't be read: {error}", file.display()))
    })?;
    let checked = Checked::of(file, &report);
    match format {
        PageFormat::Json => output::json(&checked)?,
        PageFormat::Text | PageFormat::Markdown => {
            for advice in &checked.advice {
                output::note(&format!("{}: {advice}", checked.file));
            }
            if checked.good {
                let Checked { file, examples, .. } = &checked;
                let file = Escaped(file);
                output::text(&format!("{file} is valid; examples passed: {examples}\n"))?;
            }
        }
    }
    if checked.good {
        return Ok(());
    }
    Err(Failure::from(checked.complaint()))
}
