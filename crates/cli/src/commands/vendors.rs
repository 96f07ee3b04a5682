//! `biped vendors`.

use std::{fmt::Write as _, path::Path};

use biped::{
    Error,
    dialect::{Catalogue, Dialect, Entry, check},
};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::{
    Outcome,
    args::{Format, OneVendor, Vendors},
    failure::Failure,
    output,
};

pub(crate) fn run(args: &Vendors) -> Outcome {
    match &args.command {
        Some(OneVendor::Show { name }) => show(name),
        Some(OneVendor::Check { file }) => check_file(file),
        None => list(&args.search.join(" "), args.report.format),
    }
}

/// A vendor of the catalogue, in a line.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    title: String,
    token_endpoint: String,
}

fn list(words: &str, format: Format) -> Outcome {
    let row = |entry: &Entry| Row {
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
        output::note(
            "no vendor has these words; `biped vendors` lists all, and a file of your own describes any other",
        );
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    for row in rows {
        table.add_row([row.name, &row.title, &row.token_endpoint]);
    }
    let lines: Vec<_> = table
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    output::text(&lines.concat())
}

fn show(name: &str) -> Outcome {
    let catalogue = Catalogue::built_in();
    let Some(entry) = catalogue.get(name) else {
        let remedy = match catalogue.nearest(name) {
            Some(meant) => format!("is {meant} meant?"),
            None => "`biped vendors` lists all".into(),
        };
        let error = Error::configuration(format!("no vendor {name} is in the catalogue"));
        return Err(error.with_remedy(remedy).into());
    };
    let mut out = String::new();
    let dialect = entry.dialect();
    if let Some(about) = dialect.as_deref().and_then(Dialect::about) {
        let _ = writeln!(out, "# {}", about.title());
        let _ = writeln!(out, "# {}", about.docs());
        if let Some(checked) = about.checked() {
            let live = if about.is_live() {
                "and against the vendor"
            } else {
                "not yet against the vendor"
            };
            let _ = writeln!(out, "# checked against that on {checked}, {live}");
        }
        if let Some(notes) = about.notes() {
            for line in notes.lines() {
                let _ = writeln!(out, "# {line}");
            }
        }
        out.push('\n');
    }
    out.push_str(&entry.configuration());
    output::text(&out)
}

fn check_file(file: &Path) -> Outcome {
    let shown = file.display();
    let report = check(file)
        .map_err(|error| Error::configuration(format!("{shown} can't be read: {error}")))?;
    let mut wrong: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
    wrong.extend(report.differences().iter().map(ToString::to_string));
    for advice in report.advice() {
        output::note(&format!("{shown}: {advice}"));
    }
    if report.is_good() {
        return output::text(&format!(
            "{shown}: good; {} examples run\n",
            report.examples()
        ));
    }
    Err(Failure::from(Error::configuration(wrong.join("\n"))))
}
