//! `[http]`, and the same keys of one provider.

use biped_config::{ConfigTable, ConfigValue, Field, FieldType, Section, Value};
use biped_core::Error;

use super::Table;

pub(crate) const NAME: &str = "http";

const FIELDS: &[Field] = &[
    Field::new("extra_ca", FieldType::Secret).about(
        "Certificates to trust beside the platform's: \"file:PATH\" or PEM text; one, or a list.",
    ),
    Field::new("connect_timeout", FieldType::Duration)
        .about("How long making a connection may take, including TLS. Default: 10 s."),
    Field::new("timeout", FieldType::Duration)
        .about("How long a token request may take in total. Default: 30 s."),
    Field::new("read_timeout", FieldType::Duration)
        .about("How long an API may send nothing. Default: 30 s."),
    Field::new("ping_interval", FieldType::Duration).about(
        "After how much silence an HTTP/2 connection is checked, and how long it may take to reply. \
         Default: 10 s.",
    ),
    Field::new("max_body", FieldType::Integer)
        .about("The largest response to a token request, in bytes. Default: 1048576."),
    Field::new("proxy", FieldType::Secret).about(
        "The proxy's URL (http, https, socks4, socks4a, socks5 or socks5h), or a reference to it, since \
         it may hold a password; or \"none\". Default: from the environment (HTTPS_PROXY, HTTP_PROXY, \
         ALL_PROXY, NO_PROXY).",
    ),
];

/// The section, read into the settings of HTTP clients.
pub(crate) fn section() -> Section {
    let section = Section::new(NAME, read).about("How connections are made.");
    FIELDS.iter().cloned().fold(section, Section::field)
}

/// The tables of providers with settings of their own.
pub(crate) fn own_tables(root: &Table) -> impl Iterator<Item = (&str, &ConfigValue)> {
    let providers = match root.get("providers").map(|value| &value.raw) {
        Some(Value::Table(providers)) => Some(providers),
        _ => None,
    };
    let providers = providers.into_iter().flatten();
    providers.filter_map(|(name, provider)| match &provider.raw {
        Value::Table(values) => Some((&**name, values.get(NAME)?)),
        _ => None,
    })
}

/// Whether `[http]` has this key.
pub(crate) fn is_key(key: &str) -> bool {
    FIELDS.iter().any(|field| field.name() == key)
}

/// The section, read into settings that change only where it says so.
#[cfg(feature = "reqwest")]
pub(crate) fn section_over(settings: biped_reqwest::HttpSettings) -> Section {
    let section = Section::new(NAME, move |table| read_over(settings.clone(), table));
    FIELDS.iter().cloned().fold(section, Section::field)
}

#[cfg(feature = "reqwest")]
fn read(table: &ConfigTable) -> Result<biped_reqwest::HttpSettings, Error> {
    read_over(biped_reqwest::HttpSettings::new(), table)
}

#[cfg(feature = "reqwest")]
fn read_over(
    mut settings: biped_reqwest::HttpSettings,
    table: &ConfigTable,
) -> Result<biped_reqwest::HttpSettings, Error> {
    use biped_core::ExposeSecret;

    if let Some(time) = table.positive_duration("connect_timeout") {
        settings = settings.connect_timeout(time);
    }
    if let Some(time) = table.positive_duration("timeout") {
        settings = settings.timeout(time);
    }
    if let Some(time) = table.positive_duration("read_timeout") {
        settings = settings.read_timeout(time);
    }
    if let Some(time) = table.positive_duration("ping_interval") {
        settings = settings.ping_interval(time);
    }
    if let Some(bytes) = table.count("max_body") {
        settings = settings.max_body(bytes);
    }
    if let Some(value) = table.value("proxy") {
        match value.to_secret().and_then(|secret| revealed(value, secret)) {
            Some(Ok(url)) if url.expose_secret() == "none" => settings = settings.no_proxy(),
            Some(Ok(url)) => settings = settings.proxy(url),
            Some(Err(error)) => drop(table.invalid("proxy", error.to_string())),
            None => {}
        }
    }
    let certificates = match table.value("extra_ca") {
        Some(value) => {
            settings = settings.without_extra_ca();
            match &value.raw {
                Value::List(list) => list.iter().collect(),
                _ => vec![value],
            }
        }
        None => Vec::new(),
    };
    for value in certificates {
        match certificate(value).and_then(|secret| revealed(value, secret)) {
            Some(Ok(pem)) => settings = settings.extra_ca(pem.expose_secret()),
            Some(Err(error)) => {
                drop(table.invalid_at(&value.origin, "extra_ca", error.to_string()));
            }
            None => {}
        }
    }
    Ok(settings)
}

/// Reads a secret. A configuration that is only shown makes no connection, so none of its references
/// is resolved.
#[cfg(feature = "reqwest")]
fn revealed(
    value: &biped_config::ConfigValue,
    secret: biped_core::SecretRef,
) -> Option<Result<biped_core::SecretString, Error>> {
    use biped_core::References;

    match value.origin.references() {
        References::All => Some(secret.read_now()),
        _ => secret.limited_to(References::None).read_now().ok().map(Ok),
    }
}

/// The reference to a certificate. `file:` is a reference in a variable, too, since PEM text never
/// starts with it.
#[cfg(feature = "reqwest")]
fn certificate(value: &biped_config::ConfigValue) -> Option<biped_core::SecretRef> {
    match &value.origin {
        biped_config::Origin::Variable(_) => value.to_text()?.parse().ok(),
        _ => value.to_secret(),
    }
}

/// Fails, since nothing would use the settings.
#[cfg(not(feature = "reqwest"))]
fn read(table: &ConfigTable) -> Result<(), Error> {
    Err(table.invalid("", "needs biped's feature reqwest, which is not enabled"))
}
