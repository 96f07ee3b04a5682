//! Makes the providers of `[providers]`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use biped_config::{
    ConfigValue, Origin, Problem, ProviderConfig, ProviderKind, TenantPattern, Value, nearest,
};
use biped_core::{Provider, TokenRequest, wire};

use super::{
    hints,
    needs::{Lent, Needs, Others},
};
use crate::{
    config::{self, ConfigFile, OwnerCheck, Table},
    registry::Registry,
    tenants::Template,
};

/// The files that were read because a configuration names them.
#[derive(Clone, Default)]
pub(super) struct NamedFiles(Arc<Mutex<BTreeSet<PathBuf>>>);

impl NamedFiles {
    fn add(&self, path: &Path) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(path.to_owned());
    }

    pub(super) fn all(&self) -> BTreeSet<PathBuf> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }
}

/// Makes providers.
pub(super) struct Maker<'b> {
    pub(super) registry: &'b Registry,
    /// The files that are open. A file that one of them names is checked like that file.
    pub(super) opened: Vec<ConfigFile>,
    pub(super) named_files: NamedFiles,
    /// The providers that the application made itself.
    pub(super) own: Others,
}

impl Maker<'_> {
    /// Makes the configured providers, except those that the application made itself.
    pub(super) fn make(
        &self,
        root: &Table,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<Arc<str>, Made> {
        let mut made = BTreeMap::new();
        let Some(providers) = config::table(root, "providers", problems) else {
            return made;
        };
        let needs = Needs::of(providers, |name| self.own.contains_key(name));
        let mut known = self.own.clone();
        for name in needs.in_order() {
            let Some((name, value)) = providers.get_key_value(name) else {
                continue;
            };
            match self.make_one(name, value, &needs, &known) {
                Ok(provider) => {
                    let id = provider.provider.id().clone();
                    let has_tenants = provider.provider.tenants().is_some();
                    let lent = Lent {
                        id,
                        request: provider.request.clone(),
                        has_tenants,
                    };
                    known.insert(name.clone(), Some(lent));
                    made.insert(Arc::from(&**name), provider);
                }
                Err(mut found) => {
                    known.insert(name.clone(), None);
                    if matches!(value.origin, Origin::Variable(_)) {
                        suggest(&mut found, name, providers);
                    }
                    problems.extend(found);
                }
            }
        }
        made
    }

    fn make_one(
        &self,
        name: &str,
        value: &ConfigValue,
        needs: &Needs,
        known: &Others,
    ) -> Result<Made, Vec<Problem>> {
        let Value::Table(values) = &value.raw else {
            let path = format!("providers.{name}");
            return Err(vec![Problem::expected_table(value.origin.clone(), path)]);
        };
        let kind = self.kind_of(name, &value.origin, values)?;
        let mut own = values.clone();
        // Read with [http].
        own.remove(config::http::NAME);
        let configure = self.configure(name, kind, &value.origin, needs, known);
        let pattern = TenantPattern::read(kind, &format!("providers.{name}"), &own)?;
        let checked = match &pattern {
            Some(_) => TenantPattern::sample(kind, &own),
            None => own.clone(),
        };
        let config = configure(checked);
        let provider = kind.build(&config).map_err(|mut problems| {
            hints::add(&mut problems, name, values, kind, self.registry);
            problems
        })?;
        let made = Made {
            provider,
            request: kind.request(&config),
            api_base_url: kind.api_base_url(&config),
            kind: Some(kind.clone()),
        };
        let Some(pattern) = pattern else {
            return Ok(made);
        };
        if made.provider.account().is_some() {
            let grant = own.get("grant").unwrap_or(value);
            let message = "a provider with tenants can't keep rotating tokens; remove tenant, or set \
                           rotates = false";
            return Err(problem(&grant.origin, name, ".grant", message.into()));
        }
        let template = Template::new(
            pattern,
            kind.clone(),
            own,
            Box::new(configure),
            made.provider,
        );
        Ok(Made {
            request: template.request().clone(),
            provider: template,
            api_base_url: None,
            kind: made.kind,
        })
    }

    /// The kind that the table of the provider `name` chooses.
    fn kind_of(
        &self,
        name: &str,
        origin: &Origin,
        values: &Table,
    ) -> Result<&ProviderKind, Vec<Problem>> {
        let Some(chosen) = values.get("kind") else {
            if let Some((key, value)) = self.misspelled_kind(values) {
                let path = format!("providers.{name}.{key}");
                let origin = value.origin.clone();
                return Err(vec![Problem::unknown_key(origin, path, key, ["kind"])]);
            }
            let message = format!("missing; {}", self.registry.known_providers());
            return Err(problem(origin, name, ".kind", message));
        };
        let Some(text) = chosen.to_text() else {
            let message = format!("expected a string; {}", self.registry.known_providers());
            return Err(problem(&chosen.origin, name, ".kind", message));
        };
        self.registry.provider(&text).ok_or_else(|| {
            let message = self.registry.unknown_provider(&text);
            problem(&chosen.origin, name, ".kind", message)
        })
    }

    /// The key that probably stands for `kind`: the names are alike, and no kind takes it.
    fn misspelled_kind<'t>(&self, values: &'t Table) -> Option<(&'t String, &'t ConfigValue)> {
        let is_taken = |key: &str| {
            let mut kinds = self.registry.providers();
            kinds.any(|kind| kind.fields().any(|field| field.name() == key))
        };
        let unknown = values.keys().map(String::as_str);
        let unknown = unknown.filter(|key| !is_taken(key));
        values.get_key_value(nearest("kind", unknown)?)
    }

    /// Makes the configuration of the provider `name` out of its values: which files it may read, and
    /// which other providers it may use.
    fn configure(
        &self,
        name: &str,
        kind: &ProviderKind,
        origin: &Origin,
        needs: &Needs,
        known: &Others,
    ) -> impl Fn(Table) -> ProviderConfig + Send + Sync + use<> {
        let (opened, needs, known) = (self.opened.clone(), needs.clone(), known.clone());
        let (name, kind) = (Arc::<str>::from(name), kind.name().to_owned());
        let (origin, named) = (origin.clone(), self.named_files.clone());
        move |values| {
            let (opened, needs, known) = (opened.clone(), needs.clone(), known.clone());
            let named = named.clone();
            let own_name = name.clone();
            ProviderConfig::new(name.clone(), &*kind, origin.clone(), values)
                .reading_files_with(move |origin, path| {
                    named.add(path);
                    let by = opened
                        .iter()
                        .find(|file| origin.file() == Some(file.path()));
                    match by {
                        Some(file) => file.read_named(path),
                        None => config::read_text(path, OwnerCheck::Off),
                    }
                })
                .finding_providers_with(move |other| match needs.cycle(&own_name, other) {
                    Some(cycle) => Err(format!(
                        "these providers need each other's tokens in a circle: {cycle}; remove one of \
                         the references"
                    )),
                    None => needs.find(&own_name, other, &known),
                })
        }
    }
}

/// A problem of a key of the provider `name`.
fn problem(origin: &Origin, name: &str, key: &str, message: String) -> Vec<Problem> {
    vec![Problem {
        origin: origin.clone(),
        key: format!("providers.{name}{key}"),
        message,
    }]
}

/// Where providers request tokens, one line each.
pub(super) fn hosts(made: &BTreeMap<Arc<str>, Made>) -> BTreeSet<String> {
    let lines = made.iter().map(|(name, made)| {
        let endpoint = config::shown_endpoint(made.provider.id().token_endpoint());
        let line = format!("providers.{name}: asks {endpoint} for tokens");
        wire::escaped(&line).into_owned()
    });
    lines.collect()
}

/// A provider that the manager does not know yet.
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

/// Suggests a provider if only a variable names this one.
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
