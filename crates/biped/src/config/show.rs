//! The merged configuration, redacted.

use biped_config::{ConfigValue, Field, FieldType, Origin, ProviderKind, Value};
use biped_core::{redacted_url, wire::Escaped};
use url::Url;

use super::{Table, http};
use crate::registry::Registry;

const REDACTED: &str = "[redacted]";

/// A value of the merged configuration, redacted, and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The whole path of the key: `providers.shop.client_id`.
    pub key: String,
    /// The value as text. A secret is shown as its reference (`env:SHOP_SECRET`) or as `[redacted]`, and
    /// so is a value that is not declared or has the wrong type, since it may be a secret.
    pub value: String,
    /// Where the value is from.
    pub origin: Origin,
}

/// `key = value  # origin` on one line, with control characters escaped.
impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = self.origin.to_string();
        let [key, value, origin] = [&self.key, &self.value, &origin].map(|text| Escaped(text));
        write!(f, "{key} = {value}  # {origin}")
    }
}

/// Every value of the merged configuration, sorted by key.
pub(crate) fn settings(root: &Table, registry: &Registry) -> Vec<Setting> {
    let mut shown = Vec::new();
    for (section, value) in root {
        let Value::Table(table) = &value.raw else {
            push(&mut shown, section.clone(), value, None);
            continue;
        };
        if section != "providers" {
            keys(&mut shown, section, table, |key| {
                registry.field(section, key).map(Field::ty)
            });
            continue;
        }
        for (name, provider) in table {
            let path = format!("providers.{name}");
            let Value::Table(values) = &provider.raw else {
                push(&mut shown, path, provider, None);
                continue;
            };
            let kind = values.get("kind").and_then(ConfigValue::to_text);
            let kind = kind.and_then(|name| registry.provider(&name));
            for (key, value) in values {
                let path = format!("{path}.{key}");
                if let (http::NAME, Value::Table(own)) = (&**key, &value.raw) {
                    keys(&mut shown, &path, own, |key| {
                        registry.field(http::NAME, key).map(Field::ty)
                    });
                    continue;
                }
                let mut fields = kind.into_iter().flat_map(ProviderKind::fields);
                let field = fields.find(|field| field.name() == key);
                push(&mut shown, path, value, field.map(Field::ty));
            }
        }
    }
    shown
}

fn keys(
    shown: &mut Vec<Setting>,
    path: &str,
    table: &Table,
    ty: impl Fn(&str) -> Option<FieldType>,
) {
    for (key, value) in table {
        push(shown, format!("{path}.{key}"), value, ty(key));
    }
}

fn push(shown: &mut Vec<Setting>, key: String, value: &ConfigValue, ty: Option<FieldType>) {
    match (&value.raw, ty) {
        (Value::Table(inner), Some(FieldType::SecretTable)) => {
            keys(shown, &key, inner, |_| Some(FieldType::Secret));
        }
        (Value::Table(inner), Some(FieldType::Table)) => {
            for (name, value) in inner {
                let value_shown = plain(value);
                let key = format!("{key}.{name}");
                shown.push(Setting {
                    key,
                    value: value_shown,
                    origin: value.origin.plain().clone(),
                });
            }
        }
        _ => {
            let value_shown = text(value, ty).unwrap_or_else(|| REDACTED.into());
            shown.push(Setting {
                key,
                value: value_shown,
                origin: value.origin.plain().clone(),
            });
        }
    }
}

fn text(value: &ConfigValue, ty: Option<FieldType>) -> Option<String> {
    if ty == Some(FieldType::Url) {
        return shown_url(value);
    }
    let ty = ty.filter(|ty| value.fits(*ty))?;
    match ty {
        FieldType::Secret => Some(value.to_secret()?.to_string()),
        FieldType::Identifier => Some(identifier(value)),
        FieldType::Integer => value.to_integer().map(|number| number.to_string()),
        FieldType::Number => value.to_float().map(|number| number.to_string()),
        FieldType::Bool => value.to_bool().map(|yes| yes.to_string()),
        FieldType::TokenSource | FieldType::Key => Some(token_source(value)),
        FieldType::Any => None,
        _ if ty.is_secret() => None,
        _ => Some(plain(value)),
    }
}

/// Shows a URL, also one that is asked in plain http.
fn shown_url(value: &ConfigValue) -> Option<String> {
    let url = Url::parse(value.to_text()?.trim()).ok()?;
    matches!(url.scheme(), "https" | "http").then(|| redacted_url(&url))
}

/// Returns the token endpoint or issuer of a provider as it may be shown: without user name, query and
/// fragment, which may hold secrets. Other texts stay as they are.
///
/// ```
/// use biped::config::shown_endpoint;
///
/// let shown = shown_endpoint("https://login.example/token?api_key=7f1c");
/// assert_eq!(shown, "https://login.example/token");
/// assert_eq!(shown_endpoint("https://login.example"), "https://login.example");
/// ```
#[must_use]
pub fn shown_endpoint(endpoint: &str) -> String {
    match Url::parse(endpoint) {
        Ok(url) if holds_more(&url) => redacted_url(&url),
        Ok(_) => endpoint.to_owned(),
        Err(_) => endpoint.split(['?', '#']).next().unwrap_or_default().into(),
    }
}

/// Whether a URL has a part that is not shown.
fn holds_more(url: &Url) -> bool {
    !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
}

/// Shows a PKCS#11 URI (RFC 7512): which key, and which module is loaded. Of what stands in place of them the
/// name is shown, since `pin-value` is a secret.
pub(crate) fn shown_pkcs11(uri: &str) -> String {
    let hidden = |part: &str| match part.split_once('=') {
        Some((name, _)) => format!("{name}={REDACTED}"),
        None => REDACTED.to_owned(),
    };
    let (key, query) = uri.split_once('?').unwrap_or((uri, ""));
    let key = key.split(';').map(|part| match part.starts_with("pin-") {
        true => hidden(part),
        false => part.to_owned(),
    });
    let query = query.split('&').filter(|part| !part.is_empty());
    let query = query.map(|part| match part.starts_with("module-path=") {
        true => part.to_owned(),
        false => hidden(part),
    });
    let (key, query): (Vec<_>, Vec<_>) = (key.collect(), query.collect());
    let separator = if query.is_empty() { "" } else { "?" };
    format!("{}{separator}{}", key.join(";"), query.join("&"))
}

/// Shows a secret's reference, and of any other source, or of who signs, the names only: arguments and values
/// may be secrets.
fn token_source(value: &ConfigValue) -> String {
    match (value.to_secret(), &value.raw) {
        (Some(secret), _) => secret.to_string(),
        (None, Value::Table(table)) => {
            let names: Vec<_> = table.keys().map(|name| format!("{name} = …")).collect();
            format!("{{ {} }}", names.join(", "))
        }
        _ => REDACTED.into(),
    }
}

/// Shows an identifier like a secret, but an inline one as it is.
fn identifier(value: &ConfigValue) -> String {
    if let Value::List(all) = &value.raw {
        let all: Vec<_> = all.iter().map(identifier).collect();
        return format!("[{}]", all.join(", "));
    }
    match value.to_secret().map(|reference| reference.to_string()) {
        Some(reference) if reference != REDACTED => reference,
        _ => plain(value),
    }
}

fn plain(value: &ConfigValue) -> String {
    match &value.raw {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Date(date) => date.clone(),
        Value::List(all) => {
            let all: Vec<_> = all.iter().map(plain).collect();
            format!("[{}]", all.join(", "))
        }
        Value::Table(table) => {
            let all: Vec<_> = table
                .iter()
                .map(|(key, value)| format!("{key} = {}", plain(value)))
                .collect();
            format!("{{ {} }}", all.join(", "))
        }
    }
}
