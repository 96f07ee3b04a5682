//! Environment variables such as `BIPED_PROVIDERS__NAME__KEY`.

use std::{collections::BTreeSet, ffi::OsString, sync::Arc};

use biped_config::{ConfigValue, Origin, Problem, Value};
use biped_core::VariableNames;

use super::{Layer, Table, insert};

const PREFIX: &str = "BIPED_";

/// The variables that Biped's programs read themselves.
const OWN: [&str; 4] = [
    "BIPED_CONFIG",
    "BIPED_URL",
    "BIPED_SOCKET",
    "BIPED_CALLER_TOKEN",
];

/// The section of the sidecar, which shares its environment with an application.
const SIDECAR: &str = "serve";

/// How many keys a variable may name below its section. It bounds the depth of the tables that a long
/// name makes.
const DEEPEST: usize = 8;

/// The source of the variables.
#[derive(Clone, Default)]
pub(crate) enum Environment {
    /// The process's environment.
    #[default]
    Process,
    /// None.
    Off,
    /// The application.
    Given(Vec<(OsString, OsString)>),
}

impl Environment {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        match self {
            Self::Process => std::env::vars_os().collect(),
            Self::Off => Vec::new(),
            Self::Given(variables) => variables.clone(),
        }
    }

    /// Returns what is wrong with each `BIPED_…` variable that sets nothing and that no reference names,
    /// sorted.
    pub(crate) fn unused(&self, sections: &[&str], referenced: &VariableNames) -> Vec<String> {
        let known = || sections.iter().copied().chain([SIDECAR]);
        let is_unused = |name: &String| {
            name.starts_with(PREFIX)
                && !OWN.contains(&&**name)
                && !referenced.contains(name)
                && !known().any(|section| inside(name, section).is_some())
        };
        let names = self.variables().into_iter();
        let names = names.filter_map(|(name, _)| name.into_string().ok());
        let unused: BTreeSet<_> = names.filter(is_unused).collect();
        let told = unused.into_iter().map(|name| {
            let remedy = match known().find_map(|section| single(&name, section)) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "expected BIPED_PROVIDERS__NAME__KEY or BIPED_SECTION__KEY".into(),
            };
            format!("{name}: this variable sets nothing; {remedy}")
        });
        told.collect()
    }

    /// Returns a layer for each variable of one of the `sections`, sorted by name. `names` are the
    /// providers that other sources configure.
    pub(crate) fn layers(
        &self,
        sections: &[&str],
        names: &BTreeSet<String>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Layer> {
        let mut variables = self.variables();
        variables.sort();
        let mut layers = Vec::new();
        for (name, value) in variables {
            let Some(name) = name.to_str() else {
                continue;
            };
            let inside = |section| Some((section, inside(name, section)?));
            let Some((section, rest)) = sections.iter().copied().find_map(inside) else {
                continue;
            };
            let origin = Origin::Variable(Arc::from(name));
            let read = path(section, rest, names)
                .and_then(|path| Ok((path, value.into_string().map_err(|_| "not UTF-8")?)));
            match read {
                Ok((path, value)) => {
                    let value = ConfigValue {
                        raw: Value::Text(value),
                        origin,
                    };
                    let mut root = Table::new();
                    insert(&mut root, path.iter().map(String::as_str), value);
                    layers.push(Layer {
                        name: name.to_owned(),
                        root,
                    });
                }
                Err(message) => {
                    let key = String::new();
                    problems.push(Problem {
                        origin,
                        key,
                        message: message.into(),
                    });
                }
            }
        }
        layers
    }
}

/// Returns the rest of a variable's name after the section, if the variable is of the section.
fn inside<'v>(variable: &'v str, section: &str) -> Option<&'v str> {
    let section = section.replace('-', "_").to_ascii_uppercase();
    let rest = variable.strip_prefix(PREFIX)?.strip_prefix(&*section)?;
    rest.strip_prefix("__")
}

/// Returns the name that was meant, if a single `_` follows the section.
fn single(variable: &str, section: &str) -> Option<String> {
    let section = section.replace('-', "_").to_ascii_uppercase();
    let rest = variable.strip_prefix(PREFIX)?.strip_prefix(&*section)?;
    let rest = rest.trim_start_matches('_');
    (!rest.is_empty()).then(|| format!("{PREFIX}{section}__{rest}"))
}

/// The path of the key that a variable sets.
fn path(section: &str, rest: &str, names: &BTreeSet<String>) -> Result<Vec<String>, &'static str> {
    let keys = |rest: &str| {
        let keys: Vec<_> = rest.split("__").map(str::to_ascii_lowercase).collect();
        (keys.len() <= DEEPEST && !keys.iter().any(String::is_empty)).then_some(keys)
    };
    if section != "providers" {
        let keys = keys(rest).ok_or("expected the name of a key after the section's")?;
        return Ok(std::iter::once(section.to_owned()).chain(keys).collect());
    }
    let needs = "expected a variable of the form BIPED_PROVIDERS__NAME__KEY";
    let (name, rest) = match known(rest, names)? {
        Some(known) => known,
        None => {
            let (name, rest) = rest.split_once("__").ok_or(needs)?;
            (name.to_ascii_lowercase(), rest)
        }
    };
    let keys = keys(rest).filter(|_| !name.is_empty()).ok_or(needs)?;
    Ok([section.to_owned(), name].into_iter().chain(keys).collect())
}

/// Returns the longest name of a known provider with which `rest` starts, and what follows it.
fn known<'v>(
    rest: &'v str,
    names: &BTreeSet<String>,
) -> Result<Option<(String, &'v str)>, &'static str> {
    let follows = |name: &String| {
        let start = rest.get(..name.len())?;
        let rest = rest.get(name.len()..)?.strip_prefix("__")?;
        (plain(start) == plain(name)).then_some((name.clone(), rest))
    };
    let mut found: Vec<_> = names.iter().filter_map(follows).collect();
    found.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    match &*found {
        [(a, _), (b, _), ..] if a.len() == b.len() => {
            Err("several providers have this name, apart from case, - and _")
        }
        _ => Ok(found.into_iter().next()),
    }
}

/// A name in lower case, with `_` for `-`.
fn plain(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

/// The names under `[providers]`.
pub(crate) fn provider_names(root: &Table) -> impl Iterator<Item = &String> {
    let providers = match root.get("providers").map(|value| &value.raw) {
        Some(Value::Table(providers)) => Some(providers),
        _ => None,
    };
    providers.into_iter().flat_map(|providers| providers.keys())
}
