//! [`Needs`]: which providers need a token of which others.

use std::collections::{BTreeMap, BTreeSet};

use biped_config::{ConfigValue, Value, nearest};
use biped_core::{ProviderId, TokenRequest};

use crate::config::Table;

/// What other providers need to know of one; `None` if it has problems of its own.
pub(super) type Others = BTreeMap<String, Option<Lent>>;

/// What a provider that needs another's token has to know of that one.
#[derive(Clone)]
pub(super) struct Lent {
    pub(super) id: ProviderId,
    pub(super) request: TokenRequest,
    pub(super) has_tenants: bool,
}

/// Which providers need a token of which others, by the names in the configuration.
#[derive(Clone)]
pub(super) struct Needs(BTreeMap<String, BTreeSet<String>>);

impl Needs {
    /// Reads the names of other providers in token sources. The application's `own` need none.
    pub(super) fn of(providers: &Table, own: impl Fn(&str) -> bool) -> Self {
        let needs = providers.iter().filter(|(name, _)| !own(name));
        Self(
            needs
                .map(|(name, provider)| (name.clone(), named(provider)))
                .collect(),
        )
    }

    /// The names, each after those that it needs, as far as there is such an order.
    pub(super) fn in_order(&self) -> Vec<&str> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in self.0.keys() {
            self.put(name, &mut seen, &mut order);
        }
        order
    }

    fn put<'n>(&'n self, name: &'n str, seen: &mut BTreeSet<&'n str>, order: &mut Vec<&'n str>) {
        let Some(needs) = self.0.get(name).filter(|_| seen.insert(name)) else {
            return;
        };
        for other in needs {
            self.put(other, seen, order);
        }
        order.push(name);
    }

    /// The cycle that arises if `name` needs `other`: all its names.
    pub(super) fn cycle(&self, name: &str, other: &str) -> Option<String> {
        let mut path = vec![name];
        let leads = self.lead(other, name, &mut BTreeSet::new(), &mut path);
        leads.then(|| path.join(" → "))
    }

    /// Whether needs lead from one provider to another. Adds the names on the way.
    fn lead<'n>(
        &'n self,
        from: &'n str,
        to: &str,
        seen: &mut BTreeSet<&'n str>,
        path: &mut Vec<&'n str>,
    ) -> bool {
        if !seen.insert(from) {
            return false;
        }
        path.push(from);
        let mut needs = self.0.get(from).into_iter().flatten();
        if from == to || needs.any(|next| self.lead(next, to, seen, path)) {
            return true;
        }
        path.pop();
        false
    }

    /// What is known of a provider that `name` needs, or a message that there is none.
    pub(super) fn find(
        &self,
        name: &str,
        other: &str,
        known: &Others,
    ) -> Result<Option<(ProviderId, TokenRequest)>, String> {
        match known.get(other) {
            Some(Some(lent)) if lent.has_tenants => {
                return Err(format!(
                    "the provider {other} has tenants, so another provider can't use its tokens"
                ));
            }
            Some(found) => return Ok(found.clone().map(|lent| (lent.id, lent.request))),
            None => {}
        }
        if self.0.contains_key(other) {
            return Ok(None);
        }
        let names = self.0.keys().chain(known.keys()).filter(|it| *it != name);
        let meant = nearest(other, names.map(String::as_str));
        let meant = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
        Err(format!("no provider has this name{meant}"))
    }
}

/// The names under `provider` in the tables of a provider.
fn named(provider: &ConfigValue) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut open = vec![provider];
    while let Some(value) = open.pop() {
        if let Value::Table(values) = &value.raw {
            names.extend(values.get("provider").and_then(ConfigValue::to_text));
            open.extend(values.values());
        }
    }
    names
}
