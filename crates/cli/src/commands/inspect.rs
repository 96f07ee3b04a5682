//! `biped inspect`.

use biped::{
    Inspection,
    provider::{Choice, wire},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::words::rfc3339;
use crate::{
    args::{self, Format},
    failure::Outcome,
    output,
    session::Session,
};

pub(crate) fn run(session: &Session, args: &args::Inspect) -> Outcome {
    let biped = session.biped()?;
    let source = args.tenant.of(biped.token_source(&args.name)?);
    session.warn(&source);
    let inspection = session.block_on(session.limited(&args.name, source.inspect()))?;
    match (args.report.format, &inspection) {
        (Format::Json, inspection) => output::json(&Printed::of(&args.name, inspection.as_ref())),
        (Format::Text, Some(inspection)) => output::text(&text(inspection)),
        (Format::Text, None) => {
            output::note(&format!(
                "{}: this vendor does not describe its credentials",
                args.name
            ));
            Ok(())
        }
    }
}

/// The parameter whose values are the projects of a Contentsquare account.
const PROJECT: &str = "project_id";

/// What the vendor says, as JSON; all values are null if it says nothing.
#[derive(Serialize)]
struct Printed<'i> {
    provider: &'i str,
    scopes: Option<&'i [String]>,
    projects: Option<Vec<Project<'i>>>,
    expires_at: Option<String>,
    details: Option<&'i Map<String, Value>>,
}

#[derive(Serialize)]
struct Project<'i> {
    id: i64,
    name: &'i str,
}

impl<'i> Printed<'i> {
    fn of(provider: &'i str, inspection: Option<&'i Inspection>) -> Self {
        let project = |choice: &'i Choice| {
            let id = choice.value.as_integer()?;
            (choice.param == PROJECT).then_some(Project {
                id,
                name: &choice.title,
            })
        };
        let projects =
            |inspection: &'i Inspection| inspection.choices.iter().filter_map(project).collect();
        Self {
            provider,
            scopes: inspection.map(|inspection| &inspection.scopes[..]),
            projects: inspection.map(projects),
            expires_at: inspection
                .and_then(|inspection| inspection.expires_at)
                .and_then(rfc3339),
            details: inspection.map(|inspection| &inspection.details),
        }
    }
}

/// What the vendor says, one fact per line, escaped for a terminal.
fn text(inspection: &Inspection) -> String {
    let mut lines = vec![("scopes", inspection.scopes.join(" "))];
    for choice in &inspection.choices {
        let name = match choice.param.as_str() {
            PROJECT => "project",
            other => other,
        };
        lines.push((name, format!("{} {}", choice.value, choice.title)));
    }
    if let Some(expiry) = inspection.expires_at.and_then(rfc3339) {
        lines.push(("expires", expiry));
    }
    let details = inspection.details.iter();
    lines.extend(details.map(|(name, value)| (name.as_str(), value.to_string())));
    let lines = lines.into_iter().map(|(name, value)| {
        let [name, value] = [name, &value].map(|text| wire::vendor_text(text).unwrap_or_default());
        format!("{name:<8} {value}\n")
    });
    lines.collect()
}
