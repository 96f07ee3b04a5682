//! `BIPED_PROVIDERS__NAME__KEY` and the like.

use std::{collections::BTreeSet, ffi::OsString, sync::Arc};

use biped_config::{ConfigValue, Origin, Problem, Value};

use super::{Layer, Table, insert};

const PROVIDERS: &str = "BIPED_PROVIDERS__";
const SECTIONS: [(&str, &str); 3] = [
    ("BIPED_STORE__", "store"),
    ("BIPED_HTTP__", "http"),
    ("BIPED_ENGINE__", "engine"),
];

/// How deep in a section a variable may reach: no key is deeper, and a name may be long.
const DEEPEST: usize = 8;

/// Where the variables are from.
#[derive(Clone, Default)]
pub(crate) enum Environment {
    /// The process has them.
    #[default]
    Process,
    /// Nowhere.
    Off,
    /// The application gave them.
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

    /// A layer for each variable that is configuration, in the order of their names. `names` are
    /// the providers that other sources know.
    pub(crate) fn layers(
        &self,
        names: &BTreeSet<String>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Layer> {
        let mut variables = self.variables();
        variables.sort();
        let mut layers = Vec::new();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| is_configuration(name)) else {
                continue;
            };
            let origin = Origin::Variable(Arc::from(name));
            let read = path(name, names)
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

fn is_configuration(name: &str) -> bool {
    name.starts_with(PROVIDERS) || SECTIONS.iter().any(|(prefix, _)| name.starts_with(prefix))
}

/// The path of the key that a variable sets.
fn path(variable: &str, names: &BTreeSet<String>) -> Result<Vec<String>, &'static str> {
    let keys = |rest: &str| {
        let keys: Vec<_> = rest.split("__").map(str::to_ascii_lowercase).collect();
        (keys.len() <= DEEPEST && !keys.iter().any(String::is_empty)).then_some(keys)
    };
    for (prefix, section) in SECTIONS {
        if let Some(rest) = variable.strip_prefix(prefix) {
            let keys = keys(rest).ok_or("the name of a key is expected after the section's")?;
            return Ok(std::iter::once(section.to_owned()).chain(keys).collect());
        }
    }
    let needs = "BIPED_PROVIDERS__NAME__KEY is expected";
    let rest = variable.strip_prefix(PROVIDERS).ok_or(needs)?;
    let (name, rest) = match known(rest, names)? {
        Some(known) => known,
        None => {
            let (name, rest) = rest.split_once("__").ok_or(needs)?;
            (name.to_ascii_lowercase(), rest)
        }
    };
    let keys = keys(rest).filter(|_| !name.is_empty()).ok_or(needs)?;
    Ok(["providers".to_owned(), name]
        .into_iter()
        .chain(keys)
        .collect())
}

/// The known provider whose name `rest` starts with (the longest such name), and what follows it.
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
            Err("several providers have this name, but for case, - and _")
        }
        _ => Ok(found.into_iter().next()),
    }
}

/// A name without regard to case, and `-` as `_`.
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
