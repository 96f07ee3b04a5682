//! `[store]`: where tokens are kept beyond the process.

use std::sync::Arc;

use biped_config::{Problem, StoreConfig};
use biped_core::{Error, TokenStore};

use super::{Table, table};
use crate::registry::{MEMORY, Registry};

/// Reads `[store]`, and makes what it says; nothing for memory. Keys of another kind than the one
/// chosen count for nothing, so that a kind can be chosen from outside. Where a configuration is only
/// shown, a secret that can't be read is no problem, but `unread`.
pub(crate) fn store(
    root: &Table,
    registry: &Registry,
    problems: &mut Vec<Problem>,
    unread: &mut Option<Error>,
) -> Option<Arc<dyn TokenStore>> {
    let values = table(root, "store", problems)?;
    let config = StoreConfig::new(root.get("store")?.origin.clone(), values.clone());
    config.check(registry.store_fields());
    let store = made(&config, registry);
    problems.extend(config.take_problems());
    *unread = config.unread();
    store.filter(|_| unread.is_none())
}

fn made(config: &StoreConfig, registry: &Registry) -> Option<Arc<dyn TokenStore>> {
    let Some(value) = config.value("kind") else {
        let (key, _) = config.entries().into_iter().next()?;
        drop(config.invalid(key, "kind is missing; set kind = \"file\" or \"redis\""));
        return None;
    };
    let name = value.to_text()?;
    if name == MEMORY {
        return None;
    }
    let Some(kind) = registry.store(&name) else {
        drop(config.invalid("kind", registry.unknown_store(&name)));
        return None;
    };
    match kind.build(config) {
        Ok(store) => sealed(config, Some(store)),
        Err(problems) => {
            problems
                .into_iter()
                .for_each(|problem| config.note(problem));
            sealed(config, None)
        }
    }
}

#[cfg(feature = "sealed")]
fn sealed(config: &StoreConfig, store: Option<Arc<dyn TokenStore>>) -> Option<Arc<dyn TokenStore>> {
    use biped_sealed::{SealKey, SealedStore};

    let Some(value) = config.value("seal") else {
        return store;
    };
    let all = match &value.raw {
        biped_config::Value::List(all) => all.iter().collect(),
        _ => vec![value],
    };
    let mut keys = Vec::new();
    for value in all {
        let secret = config.reveal("seal", value).ok()?;
        match SealKey::parse(&secret) {
            Ok(key) => keys.push(key),
            Err(error) => drop(config.invalid_at(&value.origin, "seal", error.to_string())),
        }
    }
    let mut keys = keys.into_iter();
    let sealed = SealedStore::new(store?, keys.next()?);
    Some(Arc::new(keys.fold(sealed, SealedStore::also_reading)))
}

/// What was to be sealed is not stored unsealed.
#[cfg(not(feature = "sealed"))]
fn sealed(config: &StoreConfig, store: Option<Arc<dyn TokenStore>>) -> Option<Arc<dyn TokenStore>> {
    if config.value("seal").is_none() {
        return store;
    }
    drop(config.invalid("seal", "needs biped's feature sealed, which is not enabled"));
    None
}
