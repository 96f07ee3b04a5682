//! [`TenantPattern`]: which names tenants may have, and where a configuration contains them.

use std::collections::BTreeMap;

use biped_core::Error;
use regex_lite::Regex;
use url::{Position, Url};

use crate::{
    field::FieldType,
    origin::Origin,
    problem::Problem,
    provider::ProviderKind,
    table::ConfigTable,
    value::{ConfigValue, PLACE, Value},
};

/// The key of the pattern.
const KEY: &str = "tenant";

/// The longest name, in bytes.
const LONGEST: usize = 64;

/// The name that a configuration is checked with.
const SAMPLE: &str = "t";

/// The names that the tenants of a provider may have: the key `tenant` of its configuration, a regular
/// expression that has to match the whole name.
///
/// A name is 1 to 64 of `A–Z a–z 0–9 _ -` and begins with a letter or a digit, whatever the pattern
/// allows.
#[derive(Clone, Debug)]
pub struct TenantPattern(Regex);

impl TenantPattern {
    /// Reads the pattern of a provider, and checks the places of `{tenant}`. `None` if the provider has no
    /// tenants, as is every provider of a kind that declares a key `tenant` of its own.
    ///
    /// # Errors
    /// Every place where `{tenant}` is not allowed, a pattern that is not one, and settings that no
    /// provider with tenants may have.
    pub fn read(
        kind: &ProviderKind,
        path: &str,
        values: &BTreeMap<String, ConfigValue>,
    ) -> Result<Option<Self>, Vec<Problem>> {
        if kind.has_own(KEY) {
            return Ok(None);
        }
        let mut problems = Vec::new();
        let mut report = |origin: &Origin, key: &str, message: &str| {
            problems.push(Problem {
                origin: origin.clone(),
                key: format!("{path}.{key}"),
                message: message.into(),
            });
        };
        let pattern = values.get(KEY).map(|value| {
            let read = pattern(value);
            if let Err(message) = &read {
                report(&value.origin, KEY, message);
            }
            read.ok()
        });
        for (key, value) in values.iter().filter(|(key, _)| *key != KEY) {
            let spot = Spot::of(kind, key);
            if let Err((origin, message)) = filled(value, spot, SAMPLE) {
                report(&origin, key, &message);
            } else if pattern.is_none() && spot.is_read() && holds_place(value) {
                report(
                    &value.origin,
                    key,
                    "{tenant} needs the provider to have tenants; set tenant to a pattern, such as \
                     \"[a-z0-9-]{1,40}\"",
                );
            }
        }
        if let Some(rotates) = values.get("rotates").filter(|_| pattern.is_some())
            && rotates.to_bool() == Some(true)
        {
            let message =
                "a provider with tenants can't keep rotating tokens; remove tenant or rotates";
            report(&rotates.origin, "rotates", message);
        }
        match problems.is_empty() {
            true => Ok(pattern.flatten().map(Self)),
            false => Err(problems),
        }
    }

    /// Checks that a tenant may have this name.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) if not. The error does not show the name.
    pub fn check(&self, name: &str) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::configuration(what.to_owned()));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let starts = |byte: &u8| byte.is_ascii_alphanumeric();
        if name.len() > LONGEST
            || !name.bytes().all(is_plain)
            || !name.as_bytes().first().is_some_and(starts)
        {
            return wrong(
                "the name of the tenant is not valid; expected 1 to 64 letters, digits, - and _, \
                 beginning with a letter or a digit",
            );
        }
        if !self.0.is_match(name) {
            return wrong("the name of the tenant does not match the provider's pattern (tenant)");
        }
        Ok(())
    }

    /// Returns the values of a provider with the name of a tenant in them.
    #[must_use]
    pub fn fill(
        kind: &ProviderKind,
        values: &BTreeMap<String, ConfigValue>,
        name: &str,
    ) -> BTreeMap<String, ConfigValue> {
        let fill = |(key, value): (&String, &ConfigValue)| {
            let spot = Spot::of(kind, key);
            let value = filled(value, spot, name).unwrap_or_else(|_| value.clone());
            (key.clone(), value)
        };
        values.iter().map(fill).collect()
    }

    /// Returns the values with a name that stands for all, to check a configuration with.
    #[must_use]
    pub fn sample(
        kind: &ProviderKind,
        values: &BTreeMap<String, ConfigValue>,
    ) -> BTreeMap<String, ConfigValue> {
        Self::fill(kind, values, SAMPLE)
    }

    /// Returns the text of a table that is `text` once the sample is filled in, such as the token
    /// endpoint of all tenants.
    #[must_use]
    pub fn unfilled(table: &ConfigTable, text: &str) -> Option<String> {
        let values = table.entries().into_iter();
        let mut texts = values.filter_map(|(_, value)| value.to_text());
        texts.find(|known| known.contains(PLACE) && of_tenant(known, SAMPLE) == text)
    }
}

/// Returns the text with the name of a tenant in every place for it.
#[must_use]
pub fn of_tenant(text: &str, name: &str) -> String {
    text.replace(PLACE, name)
}

fn pattern(value: &ConfigValue) -> Result<Regex, String> {
    let expected =
        "expected a regular expression for the names of tenants, such as \"[a-z0-9-]{1,40}\"";
    let text = value.to_text().filter(|text| !text.is_empty());
    let text = text.ok_or(expected)?;
    // On its own first: a parenthesis too many must not end the group.
    Regex::new(&text)
        .and_then(|_| Regex::new(&format!("^(?:{text})$")))
        .map_err(|error| format!("{expected}: {error}"))
}

/// What a value is, which decides where it may contain `{tenant}`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// A reference, or the secret itself.
    Secret,
    /// A parameter or a scope: any part of it.
    Plain,
    /// A reference or a URL.
    Other,
    /// Something whose reader may know other places in braces.
    Unread,
}

impl Spot {
    fn of(kind: &ProviderKind, key: &str) -> Self {
        let field = kind.fields().find(|field| field.name() == key);
        if matches!(key, "params" | "parameters" | "scope") {
            return Self::Plain;
        }
        match field {
            Some(field) if field.per_request => Self::Plain,
            Some(field) => match field.ty() {
                FieldType::Secret
                | FieldType::Identifier
                | FieldType::SecretTable
                | FieldType::TokenSource
                | FieldType::Key => Self::Secret,
                FieldType::Any if key == "credentials" => Self::Secret,
                FieldType::Any | FieldType::Table => Self::Unread,
                _ => Self::Other,
            },
            None => Self::Other,
        }
    }

    fn is_read(self) -> bool {
        self != Self::Unread
    }
}

fn holds_place(value: &ConfigValue) -> bool {
    match &value.raw {
        Value::Text(text) => text.contains(PLACE) && !value.origin.is_text_only(),
        Value::List(all) => all.iter().any(holds_place),
        Value::Table(table) => table.values().any(holds_place),
        _ => false,
    }
}

type Wrong = (Origin, String);

fn filled(value: &ConfigValue, spot: Spot, name: &str) -> Result<ConfigValue, Wrong> {
    let with = |raw| ConfigValue {
        raw,
        origin: value.origin.clone(),
    };
    let wrong = |message: String| (value.origin.clone(), message);
    if spot == Spot::Unread {
        return Ok(value.clone());
    }
    match &value.raw {
        Value::Text(text) if text.contains(PLACE) => {
            if value.origin.is_text_only() && spot == Spot::Secret {
                // The text is the secret itself.
                return Ok(value.clone());
            }
            check(value, text, spot).map_err(|message| wrong(message.into()))?;
            Ok(with(Value::Text(of_tenant(text, name))))
        }
        Value::List(all) => {
            let all: Result<_, _> = all.iter().map(|one| filled(one, spot, name)).collect();
            Ok(with(Value::List(all?)))
        }
        Value::Table(table) => {
            let mut filled_table = BTreeMap::new();
            for (key, inner) in table {
                if key.contains(PLACE) {
                    return Err(wrong("{tenant} can't be part of a key's name".into()));
                }
                let place = match (key.as_str(), &inner.raw) {
                    ("cmd" | "signer", Value::List(argv)) => {
                        if argv.first().is_some_and(holds_place) {
                            return Err(wrong("{tenant} can't be part of a program's name".into()));
                        }
                        Spot::Plain
                    }
                    // Parts of references that are written as tables.
                    ("file" | "at" | "pkcs11" | "vault", _) if spot == Spot::Secret => Spot::Plain,
                    _ => spot,
                };
                filled_table.insert(key.clone(), filled(inner, place, name)?);
            }
            Ok(with(Value::Table(filled_table)))
        }
        _ => Ok(value.clone()),
    }
}

/// Checks that this text may contain the name of a tenant.
fn check(value: &ConfigValue, text: &str, spot: Spot) -> Result<(), &'static str> {
    if text.contains("://") {
        // What is in front of the host is part of the URL, unless the text is not a URL but holds one.
        let is_url = spot != Spot::Plain && !value.is_reference();
        check_host(text, is_url)?;
    }
    // Its query names a module, which is code.
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    if path.starts_with("pkcs11:") && query.contains(PLACE) {
        return Err("{tenant} can't be part of module-path");
    }
    if spot == Spot::Plain {
        return Ok(());
    }
    if let Some(command) = text.strip_prefix("cmd:") {
        let program = command.split_ascii_whitespace().next();
        if program.is_some_and(|program| program.contains(PLACE)) {
            return Err("{tenant} can't be part of a program's name");
        }
    }
    let is_reference = value.is_reference() && !text.starts_with("inline:");
    let is_url = spot == Spot::Other && text.contains("://");
    match is_reference || is_url || (spot == Spot::Secret && text.contains("://")) {
        true => Ok(()),
        false => Err("{tenant} is not allowed here; use it in a reference, a URL, params or scope"),
    }
}

/// Checks that the name of a tenant is one whole label of a host, if it is part of one, and that the
/// tenant can't choose the domain.
fn check_host(text: &str, is_url: bool) -> Result<(), &'static str> {
    let Some((before, rest)) = text.split_once("://") else {
        return Ok(());
    };
    if before.contains(PLACE) && (is_url || !before.contains(':')) {
        return Err("{tenant} can't be in front of a URL's host");
    }
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest);
    let expected = "expected {tenant} as one whole label of the host, with at least two fixed labels \
                    after it, such as {tenant}.api.example";
    if !authority.contains(PLACE) {
        // Readers of URLs forgive missing and further slashes, and drop tabs.
        let origin = |name| {
            let url = Url::parse(&of_tenant(text, name)).ok();
            url.map(|url| url[..Position::BeforePath].to_owned())
        };
        return match origin("a") == origin("b") {
            true => Ok(()),
            false => Err(expected),
        };
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    if authority.contains('@') || port.contains(PLACE) {
        return Err(expected);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut labels = host.split('.').skip_while(|label| !label.contains(PLACE));
    let is_whole = labels.next() == Some(PLACE);
    let fixed: Vec<_> = labels.collect();
    let is_name = |label: &&str| !label.is_empty() && !label.contains(PLACE);
    // A last label that begins with a digit may make the host an address.
    let top = fixed.last().and_then(|label| label.bytes().next());
    let is_domain = top.is_some_and(|first| !first.is_ascii_digit());
    match is_whole && is_domain && fixed.len() >= 2 && fixed.iter().all(is_name) {
        true => Ok(()),
        false => Err(expected),
    }
}
