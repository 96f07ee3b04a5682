//! [`kind`]: the kind `redis` of `[store]`.

use std::sync::Arc;

use biped_config::{Field, FieldType, StoreConfig, StoreKind, Value};
use biped_core::{Error, ExposeSecret, SecretString, TokenStore};

use crate::RedisStore;

/// The kind `redis`, to be registered where configuration is read.
///
/// | key | |
/// | --- | --- |
/// | `url` | `redis://user:password@host:6379/0`, or `rediss://…` for TLS; or a reference to it. A list, even of a single one: nodes of a cluster |
/// | `sentinel` | the name by which sentinels know the primary; then `url` names the sentinels |
/// | `sentinel_user`, `sentinel_password` | what the sentinels want, where it differs from what the primary wants |
/// | `prefix` | the prefix of every key; default: [`DEFAULT_PREFIX`](crate::DEFAULT_PREFIX) |
/// | `ca` | for `rediss://`: the authorities that may vouch for the server; default: the platform's |
#[must_use]
pub fn kind() -> StoreKind {
    StoreKind::new("redis", from_config)
        .about("Tokens shared by a fleet")
        .field(Field::new("url", FieldType::Secret).required().about(
            "For kind = \"redis\": redis://user:password@host:6379/0, or rediss://… for TLS; or a \
             reference to it. A list, even of a single one, names nodes of a cluster.",
        ))
        .field(Field::new("sentinel", FieldType::Text).about(
            "For kind = \"redis\": the name by which sentinels know the primary. Then url names the \
             sentinels.",
        ))
        .field(
            Field::new("sentinel_user", FieldType::Text)
                .about("For sentinel: the user of the sentinels. Default: that of url."),
        )
        .field(
            Field::new("sentinel_password", FieldType::Secret)
                .about("For sentinel: the password of the sentinels. Default: that of url."),
        )
        .field(
            Field::new("prefix", FieldType::Text)
                .about("For kind = \"redis\": the prefix of every key. Default: biped."),
        )
        .field(Field::new("ca", FieldType::Secret).about(
            "For rediss://: the authorities that may vouch for the server, \"file:PATH\" or PEM \
             text. Default: the platform's.",
        ))
}

fn from_config(config: &StoreConfig) -> Result<Arc<dyn TokenStore>, Error> {
    let value = config.value("url").ok_or_else(|| config.missing("url"))?;
    let (urls, is_list) = match &value.raw {
        Value::List(all) => {
            let read = all.iter().map(|one| config.reveal("url", one));
            (read.collect::<Result<Vec<_>, _>>()?, true)
        }
        _ => (vec![config.reveal("url", value)?], false),
    };
    let ca = config.read_secret("ca")?;
    let ca = ca.map(|ca| ca.expose_secret().as_bytes().to_vec());
    let store = match (config.string("sentinel"), &urls[..]) {
        (Some(primary), _) => sentinel(config, &primary, &urls, ca)?,
        (None, [url]) if !is_list => match ca {
            None => RedisStore::new(url),
            Some(ca) => RedisStore::with_ca(url, ca),
        },
        (None, _) => cluster(&urls, ca),
    };
    if config.value("sentinel").is_none() {
        for key in ["sentinel_user", "sentinel_password"] {
            if config.value(key).is_some() {
                drop(config.invalid(
                    key,
                    "sentinel is missing; set it to the name of the primary",
                ));
            }
        }
    }
    let mut store = store.map_err(|error| config.invalid("url", error.to_string()))?;
    if let Some(prefix) = config.string("prefix") {
        let prefixed = store.prefix(prefix);
        store = prefixed.map_err(|error| config.invalid("prefix", error.to_string()))?;
    }
    Ok(Arc::new(store))
}

#[cfg(feature = "cluster")]
fn cluster(urls: &[SecretString], ca: Option<Vec<u8>>) -> Result<RedisStore, Error> {
    RedisStore::cluster(urls, ca)
}

#[cfg(not(feature = "cluster"))]
fn cluster(_: &[SecretString], _: Option<Vec<u8>>) -> Result<RedisStore, Error> {
    Err(Error::configuration(
        "a list of URLs needs biped-redis's feature cluster, which is not enabled",
    ))
}

/// The store, or what is wrong with the URLs; fails for what is wrong with another key, which is noted.
#[cfg(feature = "sentinel")]
fn sentinel(
    config: &StoreConfig,
    primary: &str,
    urls: &[SecretString],
    ca: Option<Vec<u8>>,
) -> Result<Result<RedisStore, Error>, Error> {
    if primary.is_empty() {
        return Err(config.invalid("sentinel", "expected the name of the primary"));
    }
    let mut sentinel = crate::Sentinel::new(primary);
    if let Some(user) = config.string("sentinel_user") {
        sentinel = sentinel.user(user);
    }
    if let Some(password) = config.read_secret("sentinel_password")? {
        sentinel = sentinel.password(password);
    }
    Ok(RedisStore::sentinel(urls, ca, sentinel))
}

#[cfg(not(feature = "sentinel"))]
fn sentinel(
    config: &StoreConfig,
    _: &str,
    _: &[SecretString],
    _: Option<Vec<u8>>,
) -> Result<Result<RedisStore, Error>, Error> {
    Err(config.invalid(
        "sentinel",
        "sentinel needs biped-redis's feature sentinel, which is not enabled",
    ))
}
