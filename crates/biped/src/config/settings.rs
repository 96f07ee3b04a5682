//! The sections beside `[providers]`: their keys, and what becomes of them.

use biped_config::{Field, FieldType, Problem};
#[cfg(feature = "reqwest")]
use biped_core::References;

use super::{Table, section::Section, store::STORE};

/// The keys of a section.
pub(crate) const SECTIONS: &[(&str, &str, &[Field])] = &[
    ("store", "Where tokens are kept beyond the process.", STORE),
    ("http", "How connections are made.", HTTP),
    (
        "engine",
        "The numbers that the token manager goes by.",
        ENGINE,
    ),
];

pub(crate) const HTTP: &[Field] = &[
    Field::new("extra_ca", FieldType::Secret).about(
        "Certificates to trust beside the platform's: \"file:PATH\", or PEM text; one or a list.",
    ),
    Field::new("connect_timeout", FieldType::Duration)
        .about("How long a connection may take to stand, TLS included. Default: 10 s."),
    Field::new("timeout", FieldType::Duration)
        .about("How long a token request may take in all. Default: 30 s."),
    Field::new("read_timeout", FieldType::Duration)
        .about("How long an API may be silent. Default: 30 s."),
    Field::new("max_body", FieldType::Integer)
        .about("The largest answer to a token request, in bytes. Default: 1048576."),
    Field::new("proxy", FieldType::Secret).about(
        "The proxy's URL (or a reference to it: it may hold a password), or \"none\". Default: \
         what the environment says (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY).",
    ),
];

pub(crate) const ENGINE: &[Field] = &[
    Field::new("refresh_at", FieldType::Number).about(
        "The part of a token's life after which it is renewed while it still serves, between 0.1 \
         and 0.85. Default: 0.80, and up to 0.05 more, drawn once per process.",
    ),
    Field::new("margin", FieldType::Duration).about(
        "How long before its expiry a token is not sent any more; a tenth of its life, if that is \
         less. Default: 30 s.",
    ),
    Field::new("max_wait", FieldType::Duration)
        .about("The longest that a call waits for a token. Default: 10 s."),
    Field::new("concurrent_fetches", FieldType::Integer)
        .about("How many token requests one token endpoint gets at a time. Default: 8."),
    Field::new("fetches_per_minute", FieldType::Integer).about(
        "How many token requests one token endpoint gets in a minute, evenly spread. Default: any \
         number.",
    ),
    Field::new("max_keys", FieldType::Integer)
        .about("How many tokens are kept, those in use aside. Default: 200000."),
    Field::new("idle", FieldType::Duration)
        .about("How long a token is kept that nobody uses. Default: 1 h."),
    Field::new("share_failures", FieldType::Bool).about(
        "Whether processes that share a store leave the vendor alone together after one of them \
         failed. Default: true; false for the command.",
    ),
];

/// Reads `[engine]`.
pub(crate) fn engine(root: &Table, problems: &mut Vec<Problem>) -> biped_engine::Settings {
    let mut section = Section::read(root, "engine", ENGINE, problems);
    let mut settings = biped_engine::Settings::default();
    if let Some(part) = section.between("refresh_at", 0.1, 0.85) {
        settings = settings.refresh_at(part);
    }
    if let Some(margin) = section.duration("margin") {
        settings = settings.margin(margin);
    }
    if let Some(max_wait) = section.duration("max_wait") {
        settings = settings.max_wait(max_wait);
    }
    if let Some(at_a_time) = section.count("concurrent_fetches") {
        settings = settings.concurrent_fetches(at_a_time);
    }
    if let Some(rate) = section.count("fetches_per_minute") {
        settings = settings.fetches_per_minute(Some(rate));
    }
    if let Some(keys) = section.count("max_keys") {
        settings = settings.max_keys(keys);
    }
    if let Some(idle) = section.duration("idle") {
        settings = settings.idle(idle);
    }
    if let Some(share) = section.boolean("share_failures") {
        settings = settings.share_failures(share);
    }
    settings
}

/// Reads `[http]`.
#[cfg(feature = "reqwest")]
pub(crate) fn http(root: &Table, problems: &mut Vec<Problem>) -> biped_reqwest::HttpSettings {
    use biped_config::Value;
    use biped_core::ExposeSecret;

    let mut section = Section::read(root, "http", HTTP, problems);
    let mut settings = biped_reqwest::HttpSettings::new();
    if let Some(time) = section.duration("connect_timeout") {
        settings = settings.connect_timeout(time);
    }
    if let Some(time) = section.duration("timeout") {
        settings = settings.timeout(time);
    }
    if let Some(time) = section.duration("read_timeout") {
        settings = settings.read_timeout(time);
    }
    if let Some(bytes) = section.count("max_body") {
        settings = settings.max_body(bytes);
    }
    if let Some(value) = section.value("proxy") {
        match value.to_secret().and_then(|secret| read(&value, secret)) {
            Some(Ok(url)) if url.expose_secret() == "none" => settings = settings.no_proxy(),
            Some(Ok(url)) => settings = settings.proxy(url),
            Some(Err(error)) => section.problem("proxy", value.origin, error.to_string()),
            None => {}
        }
    }
    let certificates = match section.value("extra_ca") {
        Some(value) => match value.raw {
            Value::List(list) => list,
            _ => vec![value],
        },
        None => Vec::new(),
    };
    for value in certificates {
        match certificate(&value).and_then(|secret| read(&value, secret)) {
            Some(Ok(pem)) => settings = settings.extra_ca(pem.expose_secret()),
            Some(Err(error)) => section.problem("extra_ca", value.origin, error.to_string()),
            None => {}
        }
    }
    settings
}

/// What a secret is. What only shows a configuration connects to nobody, and resolves no reference for
/// it.
#[cfg(feature = "reqwest")]
fn read(
    value: &biped_config::ConfigValue,
    secret: biped_core::SecretRef,
) -> Option<Result<biped_core::SecretString, biped_core::Error>> {
    match value.origin.references() {
        References::All => Some(secret.read_now()),
        _ => secret.limited_to(References::None).read_now().ok().map(Ok),
    }
}

/// Where a certificate is. In a variable, too, `file:` names a file: no PEM text starts so.
#[cfg(feature = "reqwest")]
fn certificate(value: &biped_config::ConfigValue) -> Option<biped_core::SecretRef> {
    match &value.origin {
        biped_config::Origin::Variable(_) => value.to_text()?.parse().ok(),
        _ => value.to_secret(),
    }
}

/// Checks `[http]`, which nothing here goes by.
#[cfg(not(feature = "reqwest"))]
pub(crate) fn http(root: &Table, problems: &mut Vec<Problem>) {
    drop(Section::read(root, "http", HTTP, problems));
    if let Some(section) = root.get("http") {
        problems.push(Problem {
            origin: section.origin.clone(),
            key: "http".into(),
            message: "needs the feature reqwest of biped, which is off".into(),
        });
    }
}
