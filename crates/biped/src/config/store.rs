//! `[store]`: where tokens are kept beyond the process.

use std::sync::Arc;

use biped_config::{Problem, StoreConfig};
use biped_core::{Error, TokenStore};

use super::{Table, table};
use crate::registry::{MEMORY, Registry};

/// Makes the store that `[store]` configures; `None` for memory. The keys of other kinds than the chosen
/// one are ignored, so that an option or a variable can choose another kind. A secret that can't be read
/// while a configuration is only shown is not a problem, but `unread`.
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
        if config.is_misspelled("kind") {
            return None;
        }
        drop(config.invalid(
            key,
            "kind is missing; set kind = \"file\", \"postgres\" or \"redis\"",
        ));
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

/// Tokens that should be sealed are not stored unsealed.
#[cfg(not(feature = "sealed"))]
fn sealed(config: &StoreConfig, store: Option<Arc<dyn TokenStore>>) -> Option<Arc<dyn TokenStore>> {
    if config.value("seal").is_none() {
        return store;
    }
    drop(config.invalid("seal", "needs biped's feature sealed, which is not enabled"));
    None
}
