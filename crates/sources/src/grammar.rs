//! What a configuration may say about where a token is.

use std::sync::Arc;

use biped_config::{ConfigTable, ProviderConfig, Value, nearest};

use crate::{
    azure::Azure,
    gcp::Gcp,
    github::GitHub,
    google_key::{self, GoogleKey},
    provider::{self, OfProvider},
    sign::Sign,
    source::Source,
    token::ExternalToken,
    url::{self, OfUrl},
};

/// A source, by the name that a table has exactly one of.
struct Named {
    name: &'static str,
    read: Read,
}

enum Read {
    /// Of the table under the name.
    Inner(fn(&ConfigTable) -> Option<Arc<dyn Source>>),
    /// Of the table that has the name.
    Outer(fn(&ProviderConfig, &ConfigTable) -> Option<Arc<dyn Source>>),
}

/// Every source but secrets.
const SOURCES: &[Named] = &[
    Named {
        name: "github",
        read: Read::Inner(|table| Some(Arc::new(GitHub::from_config(table)))),
    },
    Named {
        name: "gcp",
        read: Read::Inner(|table| Some(Arc::new(Gcp::from_config(table)))),
    },
    Named {
        name: "azure",
        read: Read::Inner(|table| Some(Arc::new(Azure::from_config(table)))),
    },
    #[cfg(feature = "spiffe")]
    Named {
        name: "spiffe",
        read: Read::Inner(|table| Some(Arc::new(crate::spiffe::Spiffe::from_config(table)))),
    },
    #[cfg(not(feature = "spiffe"))]
    Named {
        name: "spiffe",
        read: Read::Inner(|table| {
            let message = "spiffe needs biped's feature spiffe, which is not enabled";
            drop(table.invalid("", message));
            None
        }),
    },
    Named {
        name: "sign",
        read: Read::Inner(|table| Some(Arc::new(Sign::from_config(table)?))),
    },
    Named {
        name: provider::KEY,
        read: Read::Outer(|config, table| Some(Arc::new(OfProvider::from_config(config, table)?))),
    },
    Named {
        name: url::KEY,
        read: Read::Outer(|_, table| Some(Arc::new(OfUrl::from_config(table)?))),
    },
    Named {
        name: google_key::KEY,
        read: Read::Outer(|_, table| Some(Arc::new(GoogleKey::from_config(table)?))),
    },
];

impl ExternalToken {
    /// Reads the source under a key of a provider's configuration: a secret (a text, `{ cmd = […] }` or
    /// a list), or a table with the name of exactly one source. Notes what is wrong with it. `None` if
    /// the key is missing or wrong.
    #[must_use]
    pub fn from_config(config: &ProviderConfig, key: &str) -> Option<Self> {
        Self::from_table(config, config, key)
    }

    /// Reads the source under a key of a table inside a provider's configuration, as
    /// [`from_config`](Self::from_config) does.
    #[must_use]
    pub fn from_table(config: &ProviderConfig, outer: &ConfigTable, key: &str) -> Option<Self> {
        let value = outer.value(key)?;
        let is_table = matches!(value.raw, Value::Table(_));
        if !is_table || value.to_secret().is_some() {
            return outer.secret(key).map(Self::from);
        }
        let references = value.origin.references();
        let table = outer.table(key)?;
        let names: Vec<_> = table.entries().iter().map(|(name, _)| *name).collect();
        let mut named = SOURCES.iter().filter(|it| names.contains(&it.name));
        let (Some(source), None) = (named.next(), named.next()) else {
            let all: Vec<_> = SOURCES.iter().map(|it| it.name).chain(["cmd"]).collect();
            let meant = names
                .iter()
                .find_map(|name| nearest(name, all.iter().copied()).filter(|it| it != name));
            let meant = meant.map_or(String::new(), |it| format!("; did you mean {it}?"));
            let all = all.join(", ");
            let message = format!(
                "expected exactly one of {all}{meant}; a file and a variable are a text: \"file:PATH\", \
                 \"env:NAME\""
            );
            drop(outer.invalid(key, message));
            return None;
        };
        let made = match source.read {
            Read::Outer(read) => read(config, &table),
            Read::Inner(read) => {
                for name in names.iter().filter(|name| **name != source.name) {
                    let message = format!("unknown key beside {}; put it inside", source.name);
                    drop(table.invalid(name, message));
                }
                read(&table.table(source.name)?)
            }
        };
        made.map(|made| Self::of(made).limited_to(references))
    }
}
