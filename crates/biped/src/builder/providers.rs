//! What becomes of `[providers]`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use biped_config::{ConfigValue, Origin, Problem, ProviderConfig, ProviderKind, Value, nearest};
use biped_core::{Provider, TokenRequest, wire};

use super::{Builder, File};
use crate::config::{self, OwnerCheck, Table};

impl Builder {
    pub(super) fn make_providers(
        &self,
        root: &Table,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<Arc<str>, Made> {
        let mut made = BTreeMap::new();
        let Some(providers) = config::table(root, "providers", problems) else {
            return made;
        };
        for (name, value) in providers {
            if self.providers.contains_key(&**name) {
                continue;
            }
            match self.make_provider(name, value) {
                Ok(provider) => drop(made.insert(Arc::from(&**name), provider)),
                Err(mut found) => {
                    if matches!(value.origin, Origin::Variable(_)) {
                        suggest(&mut found, name, providers);
                    }
                    problems.extend(found);
                }
            }
        }
        made
    }

    fn make_provider(&self, name: &str, value: &ConfigValue) -> Result<Made, Vec<Problem>> {
        let problem = |origin: &Origin, key: &str, message: String| {
            let key = format!("providers.{name}{key}");
            vec![Problem {
                origin: origin.clone(),
                key,
                message,
            }]
        };
        let Value::Table(values) = &value.raw else {
            return Err(problem(&value.origin, "", "expected a table".into()));
        };
        let Some(kind_value) = values.get("kind") else {
            let message = format!("missing; {}", self.kinds.known());
            return Err(problem(&value.origin, ".kind", message));
        };
        let Some(kind_name) = kind_value.to_text() else {
            return Err(problem(
                &kind_value.origin,
                ".kind",
                "expected a string".into(),
            ));
        };
        let Some(kind) = self.kinds.get(&kind_name) else {
            let message = self.kinds.unknown(&kind_name);
            return Err(problem(&kind_value.origin, ".kind", message));
        };
        let opened: Vec<_> = self.files.iter().filter_map(File::opened).collect();
        let config = ProviderConfig::new(name, kind_name, value.origin.clone(), values.clone())
            .reading_files_with(move |origin, path| {
                let by = opened
                    .iter()
                    .find(|file| origin.file() == Some(file.path()));
                match by {
                    Some(file) => file.read_named(path),
                    None => config::read_text(path, OwnerCheck::Off),
                }
            });
        let provider = kind.build(&config)?;
        Ok(Made {
            provider,
            request: kind.request(&config),
            api_base_url: config.url("api_base_url"),
            kind: Some(kind.clone()),
        })
    }
}

/// Where providers ask for tokens, a line each.
pub(super) fn hosts(made: &BTreeMap<Arc<str>, Made>) -> BTreeSet<String> {
    let lines = made.iter().map(|(name, made)| {
        let endpoint = made.provider.id().token_endpoint();
        let line = format!("providers.{name}: asks {endpoint} for tokens");
        wire::escaped(&line).into_owned()
    });
    lines.collect()
}

/// A provider, before the manager has it.
pub(super) struct Made {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) request: TokenRequest,
    pub(super) api_base_url: Option<url::Url>,
    pub(super) kind: Option<ProviderKind>,
}

impl Made {
    pub(super) fn by_application(provider: &Arc<dyn Provider>, request: &TokenRequest) -> Self {
        Self {
            provider: provider.clone(),
            request: request.clone(),
            api_base_url: None,
            kind: None,
        }
    }
}

/// Says which provider is meant by a variable whose provider only variables know.
fn suggest(problems: &mut [Problem], name: &str, providers: &Table) {
    let others = providers.iter().filter(|(_, other)| {
        let origin = &other.origin;
        !matches!(origin, Origin::Variable(_))
    });
    let Some(meant) = nearest(name, others.map(|(other, _)| other.as_str())) else {
        return;
    };
    for problem in problems {
        problem
            .message
            .push_str(&format!("; did you mean the provider {meant}?"));
    }
}
