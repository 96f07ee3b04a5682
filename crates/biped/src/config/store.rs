//! `[store]`: where tokens are kept beyond the process.

use std::sync::Arc;

use biped_config::{Field, FieldType, Problem};
use biped_core::{Error, TokenStore};

use super::{Table, section::Section};

pub(crate) const STORE: &[Field] = &[
    Field::new("kind", FieldType::Text)
        .about("The kind of store. Default: memory, which keeps tokens nowhere beyond the process."),
    Field::new("path", FieldType::Text).about(
        "For kind = \"file\": the directory, which must be its owner's alone. Default: biped in the \
         platform's directory for a user's state.",
    ),
    Field::new("url", FieldType::Secret).about(
        "For kind = \"redis\": redis://user:password@host:6379/0, or rediss://… for TLS; or a \
         reference to it.",
    ),
    Field::new("prefix", FieldType::Text)
        .about("For kind = \"redis\": what names in it begin with. Default: biped."),
    Field::new("ca", FieldType::Secret).about(
        "For rediss://: the authorities that may vouch for the server, \"file:PATH\" or PEM text. \
         Default: the platform's.",
    ),
    Field::new("seal", FieldType::Secret).about(
        "Encrypts what is stored: a key of 32 bytes, in base64 or as 64 hexadecimal digits, or a \
         reference to it; or a list, of which the first writes and all read. A redis without it \
         gets no tokens of secrets that stand in the configuration itself.",
    ),
];

/// The kinds of store, each with the feature that it lacks.
pub(crate) const STORES: &[(&str, Option<&str>)] = &[
    ("memory", None),
    (
        "file",
        if cfg!(feature = "file") {
            None
        } else {
            Some("file")
        },
    ),
    (
        "redis",
        if cfg!(feature = "redis") {
            None
        } else {
            Some("redis")
        },
    ),
];

/// Reads `[store]`, and makes what it says; nothing for memory. Keys of another kind than the one
/// chosen count for nothing, so that a kind can be chosen from outside. Where a configuration is only
/// shown, a secret that can't be read is no problem, but `unread`.
pub(crate) fn store(
    root: &Table,
    problems: &mut Vec<Problem>,
    unread: &mut Option<Error>,
) -> Option<Arc<dyn TokenStore>> {
    let mut section = Section::read(root, "store", STORE, problems);
    let store = made(&mut section);
    *unread = section.unread.take();
    store.filter(|_| unread.is_none())
}

fn made(section: &mut Section<'_>) -> Option<Arc<dyn TokenStore>> {
    let Some(value) = section.value("kind") else {
        if let Some((key, value)) = section.any_but("kind") {
            let message = "this needs the kind of store as well: kind = \"file\" or \"redis\"";
            section.problem(&key, value.origin, message);
        }
        return None;
    };
    let kind = value.to_text().unwrap_or_default();
    match STORES.iter().find(|(name, _)| *name == kind) {
        Some(("memory", _)) => return None,
        Some((_, None)) => {}
        Some((name, Some(feature))) => {
            let message = format!("{name} needs the feature {feature} of biped, which is off");
            section.problem("kind", value.origin, message);
            return None;
        }
        None => {
            let known: Vec<_> = STORES.iter().map(|(name, _)| *name).collect();
            let message = format!("unknown kind of store; known are {}", known.join(", "));
            section.problem("kind", value.origin, message);
            return None;
        }
    }
    let store: Option<Arc<dyn TokenStore>> = None;
    #[cfg(feature = "file")]
    let store = match &*kind {
        "file" => file(section, &value),
        _ => store,
    };
    #[cfg(feature = "redis")]
    let store = match &*kind {
        "redis" => redis(section, &value),
        _ => store,
    };
    sealed(section, store)
}

#[cfg(feature = "file")]
fn file(
    section: &mut Section<'_>,
    kind: &biped_config::ConfigValue,
) -> Option<Arc<dyn TokenStore>> {
    use biped_file::FileStore;

    if let Some(path) = section.value("path") {
        let text = path.to_text().unwrap_or_default();
        if let Some(problem) = no_directory(&text) {
            section.problem("path", path.origin, problem);
            return None;
        }
        let beside = path.origin.directory().unwrap_or(std::path::Path::new(""));
        return Some(Arc::new(FileStore::new(beside.join(&*text))));
    }
    match FileStore::in_state_directory() {
        Ok(store) => Some(Arc::new(store)),
        Err(error) => {
            section.problem("kind", kind.origin.clone(), error.to_string());
            None
        }
    }
}

/// Why a text names no directory that somebody can have meant.
#[cfg(feature = "file")]
fn no_directory(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("a directory is expected")
    } else if text == "~" || text.starts_with("~/") {
        Some("~ means nothing here; write the directory out")
    } else if ["env:", "file:", "cmd:"]
        .iter()
        .any(|it| text.starts_with(it))
    {
        Some("a directory is expected, and no reference (BIPED_STORE__PATH sets it from outside)")
    } else {
        None
    }
}

#[cfg(feature = "redis")]
fn redis(
    section: &mut Section<'_>,
    kind: &biped_config::ConfigValue,
) -> Option<Arc<dyn TokenStore>> {
    use biped_core::ExposeSecret;
    use biped_redis::RedisStore;

    let Some(value) = section.value("url") else {
        let message = "missing; kind = \"redis\" needs it: \"redis://host:6379\"";
        section.problem("url", kind.origin.clone(), message);
        return None;
    };
    let url = section.secret("url", &value)?;
    let made = match section.value("ca") {
        None => RedisStore::new(&url),
        Some(ca) => RedisStore::with_ca(&url, section.secret("ca", &ca)?.expose_secret()),
    };
    let store = match made {
        Ok(store) => store,
        Err(error) => {
            section.problem("url", value.origin, error.to_string());
            return None;
        }
    };
    let Some(prefix) = section.value("prefix") else {
        return Some(Arc::new(store));
    };
    match store.prefix(prefix.to_text().unwrap_or_default()) {
        Ok(store) => Some(Arc::new(store)),
        Err(error) => {
            section.problem("prefix", prefix.origin, error.to_string());
            None
        }
    }
}

#[cfg(feature = "sealed")]
fn sealed(
    section: &mut Section<'_>,
    store: Option<Arc<dyn TokenStore>>,
) -> Option<Arc<dyn TokenStore>> {
    use biped_config::Value;
    use biped_sealed::{SealKey, SealedStore};

    let Some(value) = section.value("seal") else {
        return store;
    };
    let all = match value.raw {
        Value::List(all) => all,
        _ => vec![value],
    };
    let mut keys = Vec::new();
    for value in &all {
        let secret = section.secret("seal", value)?;
        match SealKey::parse(&secret) {
            Ok(key) => keys.push(key),
            Err(error) => section.problem("seal", value.origin.clone(), error.to_string()),
        }
    }
    let mut keys = keys.into_iter();
    let sealed = SealedStore::new(store?, keys.next()?);
    Some(Arc::new(keys.fold(sealed, SealedStore::also_reading)))
}

/// What was to be sealed is not stored unsealed.
#[cfg(not(feature = "sealed"))]
fn sealed(
    section: &mut Section<'_>,
    store: Option<Arc<dyn TokenStore>>,
) -> Option<Arc<dyn TokenStore>> {
    let Some(value) = section.value("seal") else {
        return store;
    };
    let message = "needs the feature sealed of biped, which is off";
    section.problem("seal", value.origin, message);
    None
}
