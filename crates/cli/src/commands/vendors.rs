//! `biped vendors`.

use std::{fmt::Write as _, path::Path};

use biped::{
    Error,
    config::Origin,
    dialect::{
        About, Assumption, Catalogue, Dialect, Param, Report as DialectReport, VendorFile, check,
    },
    provider::wire::Escaped,
};
use serde::Serialize;

use crate::{
    args::{Format, OneVendor, Vendors},
    failure::{Failure, Outcome},
    output,
};

pub(crate) fn run(args: &Vendors) -> Outcome {
    match &args.command {
        Some(OneVendor::Show { name }) => show(name, args.format),
        Some(OneVendor::Check { file }) => check_file(file, args.format),
        None => list(&args.search.join(" "), args.format),
    }
}

/// A vendor of the catalogue, as one line.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    title: String,
    token_endpoint: String,
}

fn list(words: &str, format: Format) -> Outcome {
    let row = |entry: &VendorFile| Row {
        name: entry.name(),
        title: entry.title(),
        token_endpoint: entry
            .dialect()
            .map_or_else(String::new, |dialect| dialect.url()),
    };
    let rows: Vec<Row> = Catalogue::built_in().search(words).map(row).collect();
    if format == Format::Json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        let remedy = match Catalogue::built_in().nearest(words) {
            Some(meant) => format!("did you mean {meant}?"),
            None => {
                "list all with `biped vendors`, or describe the vendor in a file of your own".into()
            }
        };
        output::note(&format!("no vendor matches these words; {remedy}"));
    }
    let mut table = output::Table::new();
    for row in rows {
        table.row([row.name, &row.title, &row.token_endpoint]);
    }
    output::text(&table.lines())
}

fn show(name: &str, format: Format) -> Outcome {
    let catalogue = Catalogue::built_in();
    let found = catalogue.get(name);
    let found = found.and_then(|entry| Some((entry, entry.dialect()?)));
    let Some((entry, dialect)) = found else {
        let remedy = match catalogue.nearest(name) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "list all with `biped vendors`".into(),
        };
        let error = Error::configuration(format!(
            "the catalogue does not contain a vendor named {name}"
        ));
        return Err(error.with_remedy(remedy).into());
    };
    match format {
        Format::Json => output::json(&Shown::of(entry, &dialect)),
        Format::Text => output::text(&described(entry, &dialect)),
    }
}

/// A vendor of the catalogue, and what it needs.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'static str,
    title: String,
    token_endpoint: String,
    docs: Option<&'a str>,
    checked: Option<&'a str>,
    live: bool,
    tags: Vec<&'a str>,
    api: Option<&'a str>,
    notes: Option<&'a str>,
    client_id: bool,
    client_secret: bool,
    client_certificate: bool,
    params: Vec<ShownParam<'a>>,
    configuration: String,
}

#[derive(Serialize)]
struct ShownParam<'a> {
    name: &'a str,
    says: &'a str,
    secret: bool,
    optional: bool,
}

impl<'a> Shown<'a> {
    fn of(entry: &VendorFile, dialect: &'a Dialect) -> Self {
        let about = dialect.about();
        let param = |param: &'a Param| ShownParam {
            name: param.name(),
            says: param.says(),
            secret: param.is_secret(),
            optional: param.is_optional(),
        };
        Self {
            name: entry.name(),
            title: entry.title(),
            token_endpoint: dialect.url(),
            docs: about.map(About::docs),
            checked: about.and_then(About::checked),
            live: about.is_some_and(About::is_live),
            tags: about.map_or_else(Vec::new, |about| about.tags().collect()),
            api: about.and_then(About::api),
            notes: about.and_then(About::notes),
            client_id: dialect.uses_client_id(),
            client_secret: dialect.uses_client_secret(),
            client_certificate: dialect.uses_client_certificate(),
            params: dialect.params().map(param).collect(),
            configuration: entry.configuration(),
        }
    }
}

/// A table for biped.toml, after comments that describe the vendor.
fn described(entry: &VendorFile, dialect: &Dialect) -> String {
    let mut out = String::new();
    if let Some(about) = dialect.about() {
        let _ = writeln!(out, "# {}", about.title());
        let _ = writeln!(out, "# {}", about.docs());
        if let Some(checked) = about.checked() {
            let live = if about.is_live() {
                "and tried with the vendor"
            } else {
                "but not tried with the vendor"
            };
            let _ = writeln!(out, "# checked against this page on {checked}, {live}");
        }
        if let Some(notes) = about.notes() {
            for line in notes.lines() {
                let _ = writeln!(out, "# {line}");
            }
        }
        out.push('\n');
    }
    out.push_str(&entry.configuration());
    out
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

fn check_file(file: &Path, format: Format) -> Outcome {
    let report = check(file).map_err(|error| {
        Error::configuration(format!("{} can't be read: {error}", file.display()))
    })?;
    let checked = Checked::of(file, &report);
    match format {
        Format::Json => output::json(&checked)?,
        Format::Text => {
            for advice in &checked.advice {
                output::note(&format!("{}: {advice}", checked.file));
            }
            if checked.good {
                let Checked { file, examples, .. } = &checked;
                let file = Escaped(file);
                output::text(&format!("{file}: good; {examples} examples run\n"))?;
            }
        }
    }
    if checked.good {
        return Ok(());
    }
    Err(Failure::from(checked.complaint()))
}
