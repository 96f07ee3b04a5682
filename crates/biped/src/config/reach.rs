//! [`Reach`]: what a configuration file resolves, and where it sends secrets and tokens.

use std::{collections::BTreeSet, fmt};

use biped_config::{ConfigValue, FieldType, ProviderKind, Value};
use biped_core::wire;
use sha2::{Digest, Sha256};

use super::{ConfigFile, Table, http, show::shown_pkcs11};
use crate::registry::Registry;

/// What a configuration file resolves, and where it sends secrets and tokens: its references, its
/// hosts, and the files it names ([`Builder::reach`](crate::Builder::reach)).
///
/// A user who trusts the file approves its reach. The reach includes every value of the file except
/// those that can be neither a reference nor a part of a host, whatever the kind of provider: scopes,
/// dates, durations, all of `[engine]`, `[http] max_body`, and an inline `client_secret`. It includes
/// the whole text of each file that the configuration names, such as a description of a vendor.
#[derive(Clone)]
pub struct Reach {
    lines: Vec<String>,
    content: Vec<u8>,
}

impl Reach {
    /// `own` and `seen` are lines about where providers request tokens: according to the file alone, and
    /// according to the whole configuration.
    pub(crate) fn of(
        root: &Table,
        file: &ConfigFile,
        registry: &Registry,
        own: &BTreeSet<String>,
        seen: &BTreeSet<String>,
    ) -> Self {
        let mut reach = Self {
            lines: own.union(seen).cloned().collect(),
            content: Vec::new(),
        };
        for host in own {
            reach.put("host", host.as_bytes());
        }
        for (section, value) in root {
            match &value.raw {
                Value::Table(providers) if section == "providers" => {
                    for (name, provider) in providers {
                        reach.provider(&joined("providers", name), provider, registry);
                    }
                }
                Value::Table(values) => reach.section(section, section, values, registry),
                _ => reach.add(section, value, None),
            }
        }
        for (path, text) in file.named() {
            // No line is cut, since the user approves what it says.
            let shown = path.to_string_lossy();
            reach
                .lines
                .push(format!("{} is read", wire::Escaped(&shown)));
            reach.put("file", path.as_os_str().as_encoded_bytes());
            reach.put("text", text.as_bytes());
        }
        reach
    }

    /// Returns the reach as lines for a terminal: references, commands with all their arguments, and the
    /// hosts that tokens are requested from and sent to. An inline secret is shown only if it is an
    /// argument of a command, since the user has to see what would run.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Returns a digest that changes when the reach changes. It covers inline secrets, so `key`
    /// should be random, and kept as safe as the file.
    #[must_use]
    pub fn digest(&self, key: &[u8; 32]) -> [u8; 32] {
        let hash = Sha256::new().chain_update(key);
        hash.chain_update(&self.content).finalize().into()
    }

    /// Adds the keys of a section, whose path is `path`.
    fn section(&mut self, path: &str, section: &str, values: &Table, registry: &Registry) {
        for (key, value) in values {
            let field = registry.field(section, key);
            let is_number = section == "engine" || key == "max_body";
            if field.is_none() || !is_number {
                let ty = field.map(biped_config::Field::ty);
                self.add(&joined(path, key), value, ty);
            }
        }
    }

    fn provider(&mut self, path: &str, provider: &ConfigValue, registry: &Registry) {
        let Value::Table(values) = &provider.raw else {
            return self.add(path, provider, None);
        };
        let kind = values.get("kind").and_then(ConfigValue::to_text);
        let kind = kind.and_then(|name| registry.provider(&name));
        for (key, value) in values {
            let mut fields = kind.into_iter().flat_map(ProviderKind::fields);
            let field = fields.find(|field| field.name() == key);
            let ty = field.map(biped_config::Field::ty);
            // Every kind has scopes, even a kind that is not known here.
            let ty = ty.or((key == "scope").then_some(FieldType::Scopes));
            let path = joined(path, key);
            match (key.as_str(), &value.raw) {
                ("client_secret", _) => self.client_secret(&path, value, ty),
                (http::NAME, Value::Table(own)) => self.section(&path, http::NAME, own, registry),
                ("credentials", Value::List(pairs)) => {
                    for (at, pair) in pairs.iter().enumerate() {
                        let path = format!("{path}.{at}");
                        let Value::Table(pair) = &pair.raw else {
                            self.add(&path, pair, ty);
                            continue;
                        };
                        for (key, value) in pair {
                            let path = joined(&path, key);
                            match key.as_str() {
                                "client_secret" => self.client_secret(&path, value, ty),
                                _ => self.add(&path, value, ty),
                            }
                        }
                    }
                }
                _ => self.add(&path, value, ty),
            }
        }
    }

    /// Adds a client secret. An inline one reaches nothing.
    fn client_secret(&mut self, path: &str, value: &ConfigValue, ty: Option<FieldType>) {
        match &value.raw {
            Value::Text(_) if !value.is_reference() => self.put(path, b"itself"),
            Value::List(all) => {
                for (at, value) in all.iter().enumerate() {
                    self.client_secret(&format!("{path}.{at}"), value, ty);
                }
            }
            _ => self.add(path, value, ty),
        }
    }

    fn add(&mut self, path: &str, value: &ConfigValue, ty: Option<FieldType>) {
        let reaches_nothing = match ty {
            Some(ty @ (FieldType::Scopes | FieldType::Date | FieldType::Duration)) => {
                value.fits(ty)
            }
            _ => false,
        };
        if reaches_nothing {
            return;
        }
        match &value.raw {
            Value::Table(table) => {
                if value.to_secret().is_some() {
                    self.show(path, value, ty);
                    self.put_all(path, value);
                    return;
                }
                if ["signer", "pkcs11"]
                    .iter()
                    .any(|key| table.contains_key(*key))
                {
                    self.show(path, value, ty);
                }
                // Tells an empty table from a missing one.
                self.put(path, b"{}");
                let inner = ty.filter(|ty| ty.is_secret());
                for (key, value) in table {
                    self.add(&joined(path, key), value, inner);
                }
            }
            Value::List(all) => {
                self.put(path, b"[]");
                for (at, value) in all.iter().enumerate() {
                    self.add(&format!("{path}.{at}"), value, ty);
                }
            }
            _ => {
                self.show(path, value, ty);
                self.put_all(path, value);
            }
        }
    }

    fn show(&mut self, path: &str, value: &ConfigValue, ty: Option<FieldType>) {
        let shown = match &value.raw {
            Value::Table(table) => match command(table).map(|command| &command.raw) {
                Some(Value::List(argv)) => {
                    let argv: Vec<_> = argv.iter().filter_map(ConfigValue::to_text).collect();
                    Some(format!("runs {argv:?}"))
                }
                _ => match table.get("pkcs11").and_then(ConfigValue::to_text) {
                    Some(uri) => Some(format!("loads the module of {:?}", shown_pkcs11(&uri))),
                    None => value.to_secret().map(|secret| secret.to_string()),
                },
            },
            Value::Text(text) if value.is_reference() => Some(text.clone()),
            Value::Text(text) => match url::Url::parse(text.trim()) {
                // The rest of the URL may be a secret: a path, a query, a password.
                Ok(url) if url.has_host() => Some(origin(&url)),
                _ if matches!(ty, Some(FieldType::Text)) && !path.ends_with(".kind") => {
                    Some(format!("{text:?}"))
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(shown) = shown.filter(|shown| !shown.trim().is_empty()) {
            let [path, shown] = [path, shown.trim()].map(wire::Escaped);
            self.lines.push(format!("{path}: {shown}"));
        }
    }

    fn put_all(&mut self, path: &str, value: &ConfigValue) {
        match &value.raw {
            Value::Text(text) => self.put(path, format!("t{text}").as_bytes()),
            Value::Integer(number) => self.put(path, format!("i{number}").as_bytes()),
            Value::Float(number) => self.put(path, format!("f{number}").as_bytes()),
            Value::Bool(yes) => self.put(path, format!("b{yes}").as_bytes()),
            Value::Date(date) => self.put(path, format!("d{date}").as_bytes()),
            Value::List(all) => {
                self.put(path, format!("l{}", all.len()).as_bytes());
                for value in all {
                    self.put_all("", value);
                }
            }
            Value::Table(table) => {
                self.put(path, format!("m{}", table.len()).as_bytes());
                for (key, value) in table {
                    self.put_all(key, value);
                }
            }
        }
    }

    /// Adds a key and a value, with their lengths: no other keys and values give the same content.
    fn put(&mut self, key: &str, value: &[u8]) {
        for part in [key.as_bytes(), value] {
            self.content.extend((part.len() as u64).to_le_bytes());
            self.content.extend(part);
        }
    }
}

/// Joins keys to a path that is different for different keys.
fn joined(path: &str, key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match key.is_empty() || !key.chars().all(is_bare) {
        true => format!("{path}.{key:?}"),
        false => format!("{path}.{key}"),
    }
}

/// The command that a table runs: one that prints a secret, or one that signs.
fn command(table: &Table) -> Option<&ConfigValue> {
    table.get("cmd").or_else(|| table.get("signer"))
}

fn origin(url: &url::Url) -> String {
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    format!(
        "{}://{}{port}",
        url.scheme(),
        url.host_str().unwrap_or_default()
    )
}

/// Leaves out the lines, since arguments of commands may be secrets.
impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach")
            .field("lines", &self.lines.len())
            .finish_non_exhaustive()
    }
}
