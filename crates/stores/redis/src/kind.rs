//! [`kind`]: the kind `redis` of `[store]`.

use std::sync::Arc;

use biped_config::{Field, FieldType, StoreConfig, StoreKind};
use biped_core::{Error, ExposeSecret, TokenStore};

use crate::RedisStore;

/// The kind `redis`, to be registered where configuration is read.
///
/// | key | |
/// | --- | --- |
/// | `url` | `redis://user:password@host:6379/0`, or `rediss://…` for TLS; or a reference to it |
/// | `prefix` | the start of all names; default: [`DEFAULT_PREFIX`](crate::DEFAULT_PREFIX) |
/// | `ca` | for `rediss://`: the authorities that may vouch for the server; default: the platform's |
#[must_use]
pub fn kind() -> StoreKind {
    StoreKind::new("redis", from_config)
        .about("Tokens shared by a fleet")
        .field(Field::new("url", FieldType::Secret).required().about(
            "For kind = \"redis\": redis://user:password@host:6379/0, or rediss://… for TLS; or a \
             reference to it.",
        ))
        .field(
            Field::new("prefix", FieldType::Text)
                .about("For kind = \"redis\": the start of all names in it. Default: biped."),
        )
        .field(Field::new("ca", FieldType::Secret).about(
            "For rediss://: the authorities that may vouch for the server, \"file:PATH\" or PEM \
             text. Default: the platform's.",
        ))
}

fn from_config(config: &StoreConfig) -> Result<Arc<dyn TokenStore>, Error> {
    let url = config.read_secret("url")?;
    let url = url.ok_or_else(|| config.missing("url"))?;
    let store = match config.read_secret("ca")? {
        None => RedisStore::new(&url),
        Some(ca) => RedisStore::with_ca(&url, ca.expose_secret()),
    };
    let mut store = store.map_err(|error| config.invalid("url", error.to_string()))?;
    if let Some(prefix) = config.string("prefix") {
        let prefixed = store.prefix(prefix);
        store = prefixed.map_err(|error| config.invalid("prefix", error.to_string()))?;
    }
    Ok(Arc::new(store))
}
