//! The configuration: its sources, its keys, and how problems are reported.
//!
//! There are four kinds of source, each of which overrides the ones before it: defaults, TOML files in
//! the given order, `BIPED_…` environment variables, and values that the application sets.
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
//! The keys under `[providers.NAME]` depend on the `kind`. An application may register further kinds of
//! provider and store, further sections, and schemes of references to secrets
//! ([`Builder`](crate::Builder)).
//!
#![doc = include_str!("config/sections.md")]
//!
//! Relative paths in a file are relative to the file's directory. In `"file:${NAME}/x"`, `${NAME}` is an
//! environment variable. `"file:PATH#/a/b"` and `"env:NAME#/a"` are a field of the JSON there, as is
//! `{ cmd = […], at = "/a" }`.
//!
//! # Tokens of other parties
//!
//! Where a provider takes a token that another party makes, its source is a secret, or a table with one
//! name:
//!
//! ```toml
//! [providers.workload]
//! kind = "platform"                  # the token of the platform is the access token
//! token = { azure = { resource = "https://vault.azure.net" } }
//!
//! [providers.crm]
//! kind = "oauth2"
//! issuer = "https://login.example"
//! client_assertion = "file:/var/run/secrets/tokens/crm"
//! # client_assertion = { github = { audience = "https://login.example" } }
//! # client_assertion = { provider = "workload" }
//! ```
//!
//! # The environment
//!
//! `BIPED_PROVIDERS__ANALYTICS__CLIENT_ID` sets `client_id` of the provider `analytics`, and
//! `BIPED_STORE__…`, `BIPED_HTTP__…` and `BIPED_ENGINE__…` set keys of these sections;
//! `BIPED_SERVE__…` sets keys of a registered section `serve`. Names of providers match regardless of
//! case, and `-` matches `_`. A value is taken byte for byte: a secret is the secret itself, never a
//! reference, and `007` stays `007`. Another `BIPED_…` variable is ignored, with a warning in the log
//! unless a reference (`env:BIPED_…`, `file:${BIPED_…}/x`) names it or Biped's programs read it.
//!
//! # Trust
//!
//! A configuration decides which programs run, and where secrets and tokens go. An application that
//! names a file (`Biped::from_file`) trusts it. A command must not trust a file only because it is in
//! the working directory: [`ConfigFile`] checks who may have written the file, [`Reach`] lists what the
//! file would do, and [`Builder::references`](crate::Builder::references) shows the configuration
//! without resolving it.
//!
//! # Problems
//!
//! All problems are reported together, with one line for each: its place, its key, and what was
//! expected. A line never shows a value, since any value may be a misplaced secret.
//!
//! ```text
//! biped.toml:7: providers.my-shop.client_secrt: unknown key; did you mean client_secret?
//! BIPED_HTTP__TIMEOUT: http.timeout: expected a duration: seconds, or a text such as "500ms", "30s", "5m", "1h"
//! ```
//!
//! If a file is not TOML, only its syntax errors are reported, since a syntax error makes the text
//! around it look wrong.

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
    ConfigTable, ConfigValue, Field, FieldType, Members, Origin, Problem, SecretScheme, Section,
    Value, nearest,
};
pub use biped_core::{
    FILE_TIMEOUT, MAX_FILE_SIZE, References, SecretRef, SecretSource, SourceContext, async_trait,
    read_file, read_file_if, read_text_file, replace_file, replace_file_durably,
};

pub use self::{
    opened::{ConfigFile, OwnerCheck},
    reach::Reach,
    schema::json_schema,
    show::{Setting, shown_endpoint},
};

/// A table of the configuration.
pub(crate) type Table = BTreeMap<String, ConfigValue>;

/// All problems in one error, one line each, in the order of the sources.
pub(crate) fn report(mut problems: Vec<Problem>) -> Error {
    problems.sort_by(|a, b| place(a).cmp(&place(b)));
    // Further problems of a value follow from its first one.
    problems.dedup_by(|next, first| {
        next == first || (!next.key.is_empty() && place(next) == place(first))
    });
    Error::configuration_lines(problems)
}

/// Files first, by line, then variables, then options, then the builder.
fn place(problem: &Problem) -> (u8, String, usize, &str) {
    match problem.origin.plain() {
        Origin::File { path, line, .. } => (0, path.display().to_string(), *line, &problem.key),
        Origin::Variable(name) => (1, name.to_string(), 0, &problem.key),
        Origin::Option(name) => (2, name.to_string(), 0, &problem.key),
        _ => (3, String::new(), 0, &problem.key),
    }
}

/// Inserts a value at a path, and makes the tables on the way.
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

/// The tables that are read before anything may be sent.
const READ_FIRST: [&str; 2] = ["store", "http"];

/// Sets which references of a configuration may be resolved, and which schemes it knows. Variables hold
/// no references.
pub(crate) fn rule_all(root: &mut Table, references: References, schemes: &SecretSchemes) {
    let refused = schemes.refused(
        "a secret of [store] or [http] is read before anything may be sent; use env:, file: or { cmd }, or \
         write inline: before a secret that begins so",
    );
    for (name, value) in root.iter_mut() {
        let is_first = READ_FIRST.contains(&&**name);
        rule_value(value, references, if is_first { &refused } else { schemes });
    }
    let Some(Value::Table(providers)) = root.get_mut("providers").map(|value| &mut value.raw)
    else {
        return;
    };
    for provider in providers.values_mut() {
        if let Value::Table(keys) = &mut provider.raw
            && let Some(own) = keys.get_mut("http")
        {
            rule_value(own, references, &refused);
        }
    }
}

fn rule(table: &mut Table, references: References, schemes: &SecretSchemes) {
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

/// Returns the table under `key`, if there is one. A value of another type is a problem.
pub(crate) fn table<'t>(
    root: &'t Table,
    key: &str,
    problems: &mut Vec<Problem>,
) -> Option<&'t Table> {
    let value = root.get(key)?;
    match &value.raw {
        Value::Table(table) => Some(table),
        _ => {
            let origin = value.origin.clone();
            problems.push(Problem::expected_table(origin, key.to_owned()));
            None
        }
    }
}
