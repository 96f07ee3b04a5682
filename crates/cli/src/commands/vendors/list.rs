//! The list of the catalogue's vendors, and how each is verified.

use std::fmt::Write as _;

use biped::dialect::{Backing, Catalogue, VendorFile};
use serde::{Serialize, Serializer};

use super::page;
use crate::output;

/// A vendor of the catalogue, as one line.
#[derive(Serialize)]
pub(super) struct Row {
    name: &'static str,
    title: String,
    #[serde(serialize_with = "word")]
    verified: Backing,
    token_endpoint: &'static str,
}

/// The vendors that match these words. Variants of one vendor are together.
pub(super) fn rows(words: &str) -> Vec<Row> {
    let mut rows: Vec<(&str, Row)> = Vec::new();
    for entry in Catalogue::built_in().search(words) {
        let title = entry.title();
        let near = rows.iter().rposition(|(known, _)| *known == title);
        let at = near.map_or(rows.len(), |near| near + 1);
        rows.insert(at, (title, row(entry)));
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

fn row(entry: &VendorFile) -> Row {
    Row {
        name: entry.name(),
        title: page::titled(entry.title(), entry.variant()),
        verified: entry.backing(),
        token_endpoint: entry.token_endpoint(),
    }
}

fn word<S: Serializer>(backing: &Backing, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(backing.as_str())
}

/// As `word`, for people: what is missing stands out.
fn shown(backing: Backing) -> &'static str {
    match backing {
        Backing::Unverified => "-",
        backing => backing.as_str(),
    }
}

/// The rows as aligned columns.
pub(super) fn table(rows: &[Row]) -> String {
    let mut table = output::Table::new();
    for row in rows {
        let verified = shown(row.verified);
        table.row([row.name, &row.title, verified, row.token_endpoint]);
    }
    table.lines()
}

pub(super) fn markdown(rows: &[Row]) -> String {
    let mut out =
        String::from("| vendor | title | verified | token requests |\n| --- | --- | --- | --- |\n");
    for row in rows {
        let verified = shown(row.verified);
        let _ = writeln!(
            out,
            "| {} | {} | {verified} | {} |",
            row.name, row.title, row.token_endpoint
        );
    }
    out
}

/// How many vendors are verified, and how.
pub(super) fn counts(rows: &[Row]) -> String {
    let count = |backing| rows.iter().filter(|row| row.verified == backing).count();
    let vendors = if rows.len() == 1 { "vendor" } else { "vendors" };
    format!(
        "{} {vendors}: {} tried with the vendor (live), {} verified by the vendor's own pages or code (own), {} \
         by two others (others), {} unverified (-)",
        rows.len(),
        count(Backing::Live),
        count(Backing::Own),
        count(Backing::Others),
        count(Backing::Unverified)
    )
}
