//! The list of the catalogue's vendors, and how each is verified.

use std::fmt::Write as _;

use biped::dialect::{About, Catalogue, Dialect, VendorFile};
use serde::Serialize;

use super::page;
use crate::output;

/// What backs a vendor's request and its answer.
#[derive(Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Backing {
    /// A token was fetched from the vendor.
    Live,
    /// Pages or code of the vendor's own.
    Own,
    /// Two sources that are independent of each other.
    Others,
    Unverified,
}

impl Backing {
    fn of(about: &About) -> Self {
        let facts = ["request", "answer"];
        let is_own = |fact: &&str| {
            let mut own = about.sources().iter().filter(|source| source.is_own());
            own.any(|source| source.says().any(|said| said == *fact))
        };
        if about.is_live() {
            Self::Live
        } else if about.unverified().any(|fact| facts.contains(&fact)) {
            Self::Unverified
        } else if facts.iter().all(is_own) {
            Self::Own
        } else {
            Self::Others
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Own => "own",
            Self::Others => "others",
            Self::Unverified => "-",
        }
    }
}

/// A vendor of the catalogue, as one line.
#[derive(Serialize)]
pub(super) struct Row {
    name: &'static str,
    title: String,
    verified: Backing,
    token_endpoint: String,
}

/// The vendors that match these words. Variants of one vendor are together.
pub(super) fn rows(words: &str) -> Vec<Row> {
    let mut rows: Vec<(String, Row)> = Vec::new();
    for entry in Catalogue::built_in().search(words) {
        let title = entry.title();
        let near = rows.iter().rposition(|(known, _)| *known == title);
        let at = near.map_or(rows.len(), |near| near + 1);
        rows.insert(at, (title, row(entry)));
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

fn row(entry: &VendorFile) -> Row {
    let dialect = entry.dialect();
    let about = dialect.as_deref().and_then(Dialect::about);
    Row {
        name: entry.name(),
        title: about.map_or_else(|| entry.title(), page::heading),
        verified: about.map_or(Backing::Unverified, Backing::of),
        token_endpoint: dialect.as_deref().map_or_else(String::new, Dialect::url),
    }
}

/// The rows as aligned columns.
pub(super) fn table(rows: &[Row]) -> String {
    let mut table = output::Table::new();
    for row in rows {
        let verified = row.verified.as_str();
        table.row([row.name, &row.title, verified, &row.token_endpoint]);
    }
    table.lines()
}

pub(super) fn markdown(rows: &[Row]) -> String {
    let mut out =
        String::from("| vendor | title | verified | token requests |\n| --- | --- | --- | --- |\n");
    for row in rows {
        let verified = row.verified.as_str();
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
