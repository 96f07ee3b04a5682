//! [`kind`]: the kind `postgres` of `[store]`.

use std::sync::Arc;

use biped_config::{Field, FieldType, StoreConfig, StoreKind, Value};
use biped_core::{Error, ExposeSecret, TokenStore};

use crate::PostgresStore;

/// The kind `postgres`, to be registered where configuration is read.
///
/// | key | |
/// | --- | --- |
/// | `url` | `postgres://user:password@host:5432/database`, with libpq's options; or a reference to it |
/// | `table` | `table` or `schema.table`; default: [`DEFAULT_TABLE`](crate::DEFAULT_TABLE) |
/// | `create` | whether a missing table is made; default: `true` |
/// | `pooler` | whether a pooler in transaction mode is in between; default: `false` |
/// | `ca` | the authorities that may vouch for the server; default: the platform's |
#[must_use]
pub fn kind() -> StoreKind {
    StoreKind::new("postgres", from_config)
        .about("Tokens shared by a fleet, in PostgreSQL")
        .field(Field::new("url", FieldType::Secret).required().about(
            "For kind = \"postgres\": postgres://user:password@host:5432/database, with libpq's \
             options; or a reference to it.",
        ))
        .field(
            Field::new("table", FieldType::Text).about(
                "For kind = \"postgres\": the table, or schema.table. Default: biped_tokens.",
            ),
        )
        .field(
            Field::new("create", FieldType::Bool)
                .about("For kind = \"postgres\": whether a missing table is made. Default: true."),
        )
        .field(Field::new("pooler", FieldType::Bool).about(
            "For kind = \"postgres\": whether a pooler in transaction mode is in between. Default: \
             false.",
        ))
        .field(Field::new("ca", FieldType::Secret).about(
            "For sslmode=verify-full: the authorities that may vouch for the server, \"file:PATH\" \
             or PEM text. Default: the platform's.",
        ))
}

fn from_config(config: &StoreConfig) -> Result<Arc<dyn TokenStore>, Error> {
    let value = config.value("url");
    if value.is_some_and(|value| matches!(value.raw, Value::List(_))) {
        return Err(config.invalid(
            "url",
            "expected one URL, not a list; several hosts stand in one, as in \
             postgres://user:password@one,two/database?target_session_attrs=read-write",
        ));
    }
    let url = config.read_secret("url")?;
    let url = url.ok_or_else(|| config.missing("url"))?;
    let store = match config.read_secret("ca")? {
        None => PostgresStore::new(&url),
        Some(ca) => PostgresStore::with_ca(&url, ca.expose_secret()),
    };
    let mut store = store.map_err(|error| config.invalid("url", error.to_string()))?;
    if let Some(table) = config.string("table") {
        let named = store.table(&table);
        store = named.map_err(|error| config.invalid("table", error.to_string()))?;
    }
    let store = store
        .create(config.boolean("create").unwrap_or(true))
        .pooler(config.boolean("pooler").unwrap_or(false));
    Ok(Arc::new(store))
}
