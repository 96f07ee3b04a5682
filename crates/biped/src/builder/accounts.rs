//! Whether the store may keep the credentials of accounts that change with each use.

use std::sync::Arc;

use biped_config::{Origin, Problem, Value};
use biped_core::{Provider, TokenStore};

use crate::config::Table;

/// Notes each provider whose credential the store may not keep.
pub(super) fn check<'p>(
    providers: impl IntoIterator<Item = (&'p Arc<str>, &'p Arc<dyn Provider>)>,
    root: &Table,
    store: Option<&Arc<dyn TokenStore>>,
    problems: &mut Vec<Problem>,
) {
    let durable = store.and_then(|store| store.durable());
    let message = match (&durable, store) {
        (Some(durable), _) if durable.is_sealed() => return,
        (Some(_), _) => "needs a sealed store; set [store] seal",
        (None, Some(_)) => {
            "needs a store that never loses an entry; set [store] kind = \"file\" or \"postgres\", \
             or set rotates = false if the server never replaces the refresh token"
        }
        (None, None) => {
            "needs a store that outlives the process; set [store] kind = \"file\" or \"postgres\", and \
             seal, or set rotates = false if the server never replaces the refresh token"
        }
    };
    for (name, _) in providers
        .into_iter()
        .filter(|(_, provider)| provider.account().is_some())
    {
        problems.push(Problem {
            origin: origin(root, name),
            key: format!("providers.{name}.grant"),
            message: format!("refresh_token with rotates = true {message}"),
        });
    }
}

/// The place of the provider, or the application's code.
fn origin(root: &Table, name: &str) -> Origin {
    let providers = root.get("providers").map(|value| &value.raw);
    let Some(Value::Table(providers)) = providers else {
        return Origin::Builder;
    };
    let Some(provider) = providers.get(name) else {
        return Origin::Builder;
    };
    match &provider.raw {
        Value::Table(table) => table
            .get("grant")
            .map_or(&provider.origin, |grant| &grant.origin)
            .clone(),
        _ => provider.origin.clone(),
    }
}
