//! `biped vendors test`: a vendor file against its vendor.

use std::{env, fmt::Write as _, path::Path, sync::Arc};

use biped::{
    Builder, Error,
    dialect::{About, Dialect, check},
    provider::wire::Escaped,
};
use serde::Serialize;

use super::found::of_catalogue;
use crate::{
    args::PageFormat,
    commands::check::{Finding, only},
    environment::prefix,
    failure::{Failure, Outcome},
    output,
    session::Session,
};

/// The file that is tried.
struct Tried {
    /// The provider's name, from which the names of the variables are made.
    name: String,
    /// The file, as an author knows it.
    file: String,
    dialect: Arc<Dialect>,
    /// The key of the provider's entry that names the file, and its value.
    entry: (&'static str, String),
}

/// The result.
#[derive(Serialize)]
struct Tested {
    file: String,
    #[serde(flatten)]
    finding: Finding,
    /// What to change in the file; null if there was no token.
    change: Option<Change>,
}

/// What an author changes in `[about]` after a token was fetched.
#[derive(Serialize)]
struct Change {
    live: bool,
    /// The facts that are still unverified.
    unverified: Vec<String>,
}

pub(super) fn run(session: &Session, vendor: &str, format: PageFormat) -> Outcome {
    let tried = Tried::find(vendor)?;
    let biped = session.made(tried.configured(session.builder_without_file())?)?;
    let finding = only(session, &biped, &tried.name)?;
    let is_accepted = finding.verified == Some(true);
    let change = finding.ok.then(|| tried.change(is_accepted));
    let cause = finding.cause.clone();
    match format {
        PageFormat::Json => output::json(&Tested {
            file: tried.file.clone(),
            finding,
            change,
        })?,
        PageFormat::Text | PageFormat::Markdown => {
            let mut text = finding.to_text();
            if let Some(change) = &change {
                text.push_str(&change.to_text(&tried.file));
            }
            output::text(&text)?;
        }
    }
    cause.map_or(Ok(()), |error| Err(Failure::Told(error)))
}

impl Tried {
    fn find(vendor: &str) -> Result<Self, Error> {
        let path = Path::new(vendor);
        let is_file =
            path.extension().is_some_and(|end| end == "toml") || path.components().nth(1).is_some();
        if !is_file {
            let (entry, dialect) = of_catalogue(vendor)?;
            return Ok(Self {
                name: entry.name().to_owned(),
                file: format!("vendors/{}.toml", entry.name()),
                dialect,
                entry: ("vendor", entry.name().to_owned()),
            });
        }
        let unreadable = |error: &dyn std::fmt::Display| {
            Error::configuration(format!("{vendor} can't be read: {error}"))
        };
        let report = check(path).map_err(|error| unreadable(&error))?;
        let Some(dialect) = report.dialect() else {
            let what = format!("{vendor} has problems");
            let remedy = format!("run `biped vendors check {vendor}`");
            return Err(Error::configuration(what).with_remedy(remedy));
        };
        let whole = std::path::absolute(path).map_err(|error| unreadable(&error))?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy());
        let plain = |c: char| if c.is_alphanumeric() { c } else { '-' };
        Ok(Self {
            name: stem.unwrap_or_default().chars().map(plain).collect(),
            file: vendor.to_owned(),
            dialect: dialect.clone(),
            entry: ("file", whole.to_string_lossy().into_owned()),
        })
    }

    /// The variable of a credential or a parameter.
    fn variable(&self, what: &str) -> String {
        format!("{}_{}", prefix(&self.name), prefix(what))
    }

    /// Adds the provider's entry to `builder`, from the variables. All variables that are missing are
    /// named at once.
    fn configured(&self, builder: Builder) -> Result<Builder, Error> {
        let key = |key: &str| format!("providers.{}.{key}", self.name);
        // Each run shows what the vendor does now.
        let mut builder = builder.value("store.kind", "memory");
        builder = builder.value(key("kind"), "dialect");
        builder = builder.value(key(self.entry.0), self.entry.1.as_str());
        let mut missing = Vec::new();
        let needs = [
            ("client_id", self.dialect.uses_client_id()),
            ("client_secret", self.dialect.uses_client_secret()),
            ("certificate", self.dialect.uses_client_certificate()),
            ("certificate_key", self.dialect.uses_client_certificate()),
        ];
        for (credential, _) in needs.into_iter().filter(|(_, is_needed)| *is_needed) {
            let variable = self.variable(credential);
            if value(&variable).is_none() {
                missing.push(told(&variable, self.says_of(credential)));
            }
            builder = builder.option(
                variable.as_str(),
                key(credential),
                format!("env:{variable}"),
            );
        }
        for param in self.dialect.params() {
            let variable = self.variable(param.name());
            let key = key(&format!("params.{}", param.name()));
            let given = value(&variable);
            if given.is_none() && !param.is_optional() {
                missing.push(told(&variable, param.says()));
            }
            if let Some(given) = given {
                let written = match param.is_secret() {
                    true => format!("env:{variable}"),
                    false => given,
                };
                builder = builder.option(variable.as_str(), key, written);
            }
        }
        if !missing.is_empty() {
            let remedy = match missing.len() {
                1 => "set this variable",
                _ => "set these variables",
            };
            return Err(Error::configuration_lines(missing).with_remedy(remedy));
        }
        let variable = self.variable("scope");
        if let Some(scope) = value(&variable) {
            builder = builder.option(variable.as_str(), key("scope"), scope);
        }
        let variable = self.variable("api_base_url");
        if let Some(api) = value(&variable).or_else(|| self.api()) {
            builder = builder.option(variable.as_str(), key("api_base_url"), api);
        }
        Ok(builder)
    }

    fn says_of(&self, what: &str) -> &str {
        let about = self.dialect.about();
        about.and_then(|about| about.says_of(what)).unwrap_or("")
    }

    /// The API's URL in the file, with the parameters filled in.
    fn api(&self) -> Option<String> {
        let mut api = self.dialect.about().and_then(About::api)?.to_owned();
        for param in self.dialect.params() {
            if let Some(value) = value(&self.variable(param.name())) {
                api = api.replace(&format!("{{{}}}", param.name()), &value);
            }
        }
        (!api.contains('{')).then_some(api)
    }

    /// What to change after a token was fetched. `is_accepted` is whether the API accepted it.
    fn change(&self, is_accepted: bool) -> Change {
        let is_proved = |fact: &str| match fact {
            "request" | "answer" => true,
            "api" | "verify" => is_accepted,
            _ => false,
        };
        let facts = self.dialect.about().into_iter().flat_map(About::unverified);
        Change {
            live: true,
            unverified: facts
                .filter(|fact| !is_proved(fact))
                .map(str::to_owned)
                .collect(),
        }
    }
}

impl Change {
    fn to_text(&self, file: &str) -> String {
        let mut text = format!(
            "\nChange [about] in {}:\n  live = {}\n",
            Escaped(file),
            self.live
        );
        match &self.unverified[..] {
            [] => text.push_str("  and remove unverified, if the table has it\n"),
            facts => {
                let _ = writeln!(text, "  unverified = {facts:?}");
            }
        }
        text
    }
}

/// Returns the variable's value, unless it is empty or not Unicode.
fn value(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

fn told(variable: &str, says: &str) -> String {
    match says {
        "" => format!("{variable} is not set"),
        says => format!("{variable} is not set: {says}"),
    }
}
