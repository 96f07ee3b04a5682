//! Files that people write may be anything: reading one returns a configuration or problems, and shows no
//! secret.

use std::collections::BTreeMap;

use biped::Biped;
use biped_config::{ConfigTable, ConfigValue, Origin, ProviderConfig, TenantPattern, Value};
use biped_core::References;
use biped_dialect::check_text;
use biped_learn::{Material, learn};
use url::Url;

use crate::input::line;

pub(crate) const SECRET: &str = "pl4nted-secret-8d1f";

/// The word `SECRET` in a file is replaced by a secret, which no output shows.
pub(crate) fn biped_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let text = text.replace("SECRET", SECRET);
    // A test must not run what a file says, or read what it names.
    let builder = Biped::builder().references(References::None);
    let builder = builder
        .provider_kind(biped_oauth2::kind())
        .provider_kind(biped_platform::kind())
        .without_environment()
        .toml(text.clone());
    let shown = match builder.build() {
        Ok(biped) => format!("{biped:?} {:?}", biped.config()),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(is_plain(&text) || !shown.contains(SECRET), "{shown}");
}

/// Whether the secret stands anywhere but at the start of a value: names of keys are shown. So are the values
/// of keys that are no secrets.
fn is_plain(text: &str) -> bool {
    const VALUES: [&str; 3] = ["= \"", "= '", "://u:"];
    const SHOWN: [&str; 4] = ["scope", "audience", "kind", "tenant"];
    let mut found = text.match_indices(SECRET);
    found.any(|(at, _)| {
        let before = &text[..at];
        let Some(key) = VALUES.iter().find_map(|start| before.strip_suffix(start)) else {
            return true;
        };
        SHOWN.iter().any(|shown| key.trim_end().ends_with(shown))
    })
}

/// A token source, in an entry of kind `platform`.
pub(crate) fn sources(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let text = text.replace("SECRET", SECRET);
    for kind in [biped_platform::kind(), biped_oauth2::kind()] {
        let Ok(table) = ConfigTable::from_toml("biped.toml".as_ref(), &text) else {
            return;
        };
        let values = table.into_values();
        let config = ProviderConfig::new("fuzz", kind.name(), Origin::Builder, values);
        let shown = match kind.build(&config) {
            Ok(provider) => format!("{provider:?} {:?}", provider.id()),
            Err(problems) => format!("{problems:?}"),
        };
        assert!(is_plain(&text) || !shown.contains(SECRET), "{shown}");
    }
}

/// A vendor file: loading returns problems with lines, or a dialect whose examples run.
pub(crate) fn vendor_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = format!("{:?}", check_text(text, "any.toml"));
}

/// The texts of `biped vendors learn`, between lines of `===`: curl, response, error, call of the API.
pub(crate) fn curl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut texts = text.split("\n===\n");
    let mut material = Material::new("acme", texts.next().unwrap_or_default());
    material.response = texts.next();
    material.error = texts.next();
    material.api = texts.next();
    if let Ok(learned) = learn(&material) {
        // What is written can be read.
        let (first, _) = line(learned.text.as_bytes());
        assert!(!first.is_empty());
        assert!(ConfigTable::from_toml("learned.toml".as_ref(), &learned.text).is_ok());
    }
}

/// A pattern of tenants, a name, and a text with `{tenant}` in it: a name stays within its place.
pub(crate) fn tenants(data: &[u8]) {
    let (pattern, rest) = line(data);
    let (name, rest) = line(rest);
    let (endpoint, _) = line(rest);
    let text = |text: &str| ConfigValue {
        raw: Value::Text(text.to_owned()),
        origin: Origin::Builder,
    };
    let values = [
        ("tenant", text(pattern)),
        ("token_endpoint", text(endpoint)),
        ("client_id", text("c")),
        ("client_secret", text(SECRET)),
    ];
    let values: BTreeMap<_, _> = values.map(|(key, value)| (key.to_owned(), value)).into();
    let kind = biped_oauth2::kind();
    let Ok(Some(tenants)) = TenantPattern::read(&kind, "providers.fuzz", &values) else {
        return;
    };
    if tenants.check(name).is_ok() {
        assert!((1..=64).contains(&name.len()));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(name.bytes().all(is_plain));
    }
    // One tenant's name changes one label of the host, below two fixed ones, and no more.
    let address = |name: &str| {
        let filled = TenantPattern::fill(&kind, &values, name);
        Url::parse(&filled.get("token_endpoint")?.to_text()?).ok()
    };
    let (Some(one), Some(other)) = (address("aa"), address("bb")) else {
        return;
    };
    let origin = |url: &Url| {
        (
            url.scheme().to_owned(),
            url.username().to_owned(),
            url.port(),
        )
    };
    assert_eq!(origin(&one), origin(&other), "{endpoint}");
    let labels = |url: &Url| -> Vec<String> {
        let host = url.host_str().unwrap_or_default();
        host.split('.').rev().map(Into::into).collect()
    };
    let (one, other) = (labels(&one), labels(&other));
    assert_eq!(one.len(), other.len(), "{endpoint}");
    let shared = one
        .iter()
        .zip(&other)
        .take_while(|(one, other)| one == other);
    assert!(one == other || shared.count() >= 2, "{endpoint}");
}

/// What kubectl says of the credential that it takes: an error shows nothing of it.
pub(crate) fn exec_info(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let text = text.replace("SECRET", SECRET);
    match biped_cli::fuzzing::exec_info(&text) {
        Ok(version) => {
            assert!(text.is_empty() || version.starts_with("client.authentication.k8s.io/"));
        }
        Err(error) => assert!(!format!("{error:?} {error}").contains(SECRET)),
    }
}
