//! The configuration: the one place that reads it.
//!
//! Four kinds of source say what is configured, each ahead of the one before it: defaults, files
//! (TOML, in the order given), `BIPED_…` environment variables, and the application's own code.
//! [`Builder`](crate::Builder) collects them.
//!
//! # The file
//!
//! ```toml
//! [providers.analytics]              # the name the application uses
//! kind = "contentsquare"
//! client_id = "c3133d76"
//! client_secret = "env:CS_SECRET"    # env:NAME, file:PATH, { cmd = ["argv", …] }, inline; or a list
//! scope = ["data-export", "metrics"]
//!
//! [providers.shop]
//! kind = "envelope"
//! base_url = "https://api.vendor.example"
//! client_id = "7f1c"
//! client_secret = "file:/run/secrets/shop"
//!
//! [store]
//! kind = "redis"                     # where tokens are kept beyond the process
//! url = "env:REDIS_URL"
//! seal = ["env:BIPED_SEAL_KEY"]      # encrypted
//!
//! [http]
//! timeout = "20s"
//! ```
//!
//! What stands under `[providers.NAME]` depends on the `kind`; the sections beside it are
#![doc = include_str!("config/sections.md")]
//!
//! File names in a file are relative to it.
//!
//! # The environment
//!
//! `BIPED_PROVIDERS__ANALYTICS__CLIENT_ID` sets `client_id` of the provider `analytics`, and
//! `BIPED_STORE__…`, `BIPED_HTTP__…` and `BIPED_ENGINE__…` set keys of these sections. Names of
//! providers are matched without regard to case, and `-` as `_`. A value is taken byte for byte: a
//! secret is the secret itself, never a reference, and `007` stays `007`. Other `BIPED_…` variables
//! are no configuration.
//!
//! # Trust
//!
//! A configuration says which programs run, and where secrets and tokens go. Whoever names a file
//! (`Biped::from_file`) trusts it. A command that finds one in the directory where it happens to be
//! started should not: [`ConfigFile`] checks who could have written it, [`Reach`] says what it would
//! do, and [`Builder::references`](crate::Builder::references) shows it without resolving anything.
//!
//! # Problems
//!
//! All that is wrong is told together, one line each: where it is, at which key, and what was
//! expected, but never the value, since any value may be a secret that slipped.
//!
//! ```text
//! biped.toml:7: providers.my-shop.client_secrt: unknown key; is client_secret meant?
//! BIPED_HTTP__TIMEOUT: http.timeout: a length of time, in seconds or like "500ms", "30s", "5m", "1h" is expected
//! ```
//!
//! Where a file is no TOML, its syntax errors come first, and alone: what could not be read may make
//! any text around it look like a key.

pub(crate) mod engine;
mod environment;
pub(crate) mod http;
mod layers;
mod opened;
mod reach;
pub(crate) mod schema;
mod show;
pub(crate) mod store;

use std::collections::BTreeMap;

use biped_config::SecretSchemes;
use biped_core::Error;

pub(crate) use self::{
    environment::{Environment, provider_names},
    layers::{Layer, merge},
    opened::read_text,
    show::settings as describe,
};
pub use biped_config::{
    ConfigTable, ConfigValue, Field, FieldType, Origin, Problem, SecretScheme, Section, Value,
    nearest,
};
pub use biped_core::{
    FILE_TIMEOUT, MAX_FILE_SIZE, References, SecretRef, SecretSource, SourceContext, async_trait,
    read_file, read_file_if, read_text_file,
};

pub use self::{
    opened::{ConfigFile, OwnerCheck},
    reach::Reach,
    schema::json_schema,
    show::Setting,
};

/// A table of the configuration.
pub(crate) type Table = BTreeMap<String, ConfigValue>;

/// Everything that is wrong, in one error: a problem a line, in the order of the sources.
pub(crate) fn report(mut problems: Vec<Problem>) -> Error {
    problems.sort_by(|a, b| place(a).cmp(&place(b)));
    // The first problem of a key is the cause of the others.
    problems.dedup_by(|next, first| {
        next == first || (!next.key.is_empty() && place(next) == place(first))
    });
    Error::configuration_lines(problems)
}

/// Files first, by line, then variables, then options, then the builder.
fn place(problem: &Problem) -> (u8, String, usize, &str) {
    let mut origin = &problem.origin;
    while let Origin::Limited { from, .. } = origin {
        origin = from;
    }
    match origin {
        Origin::File { path, line, .. } => (0, path.display().to_string(), *line, &problem.key),
        Origin::Variable(name) => (1, name.to_string(), 0, &problem.key),
        Origin::Option(name) => (2, name.to_string(), 0, &problem.key),
        _ => (3, String::new(), 0, &problem.key),
    }
}

/// Puts a value at the end of a path, in tables made for it.
pub(crate) fn insert<'p>(
    root: &mut Table,
    path: impl IntoIterator<Item = &'p str>,
    value: ConfigValue,
) {
    let mut path = path.into_iter().peekable();
    let mut table = root;
    while let Some(key) = path.next() {
        if path.peek().is_none() {
            table.insert(key.to_owned(), value);
            return;
        }
        let new = || ConfigValue {
            raw: Value::Table(Table::new()),
            origin: value.origin.clone(),
        };
        let inner = table.entry(key.to_owned()).or_insert_with(new);
        if !matches!(inner.raw, Value::Table(_)) {
            *inner = new();
        }
        let Value::Table(inner) = &mut inner.raw else {
            return;
        };
        table = inner;
    }
}

/// Lets no other references of a configuration be resolved than these, and adds schemes to those that
/// Biped knows. What is in a variable is the thing itself.
pub(crate) fn rule(table: &mut Table, references: References, schemes: &SecretSchemes) {
    for value in table.values_mut() {
        rule_value(value, references, schemes);
    }
}

fn rule_value(value: &mut ConfigValue, references: References, schemes: &SecretSchemes) {
    if !matches!(value.origin, Origin::Variable(_)) {
        value.origin = value.origin.clone().ruled(references, schemes);
    }
    match &mut value.raw {
        Value::Table(table) => rule(table, references, schemes),
        Value::List(all) => {
            for value in all {
                rule_value(value, references, schemes);
            }
        }
        _ => {}
    }
}

/// The table under `key`, or nothing; something else there is a problem.
pub(crate) fn table<'t>(
    root: &'t Table,
    key: &str,
    problems: &mut Vec<Problem>,
) -> Option<&'t Table> {
    let value = root.get(key)?;
    match &value.raw {
        Value::Table(table) => Some(table),
        _ => {
            problems.push(Problem {
                origin: value.origin.clone(),
                key: key.to_owned(),
                message: "expected a table".into(),
            });
            None
        }
    }
}
