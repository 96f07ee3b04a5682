//! [`ConfigValue`]: a value and its origin.

use std::{collections::BTreeMap, fmt, time::Duration};

use biped_core::{Error, PlainHttp, SecretRef, Timestamp, VariableNames};
use url::Url;

use crate::{field::FieldType, origin::Origin};

/// The placeholder for the name of a tenant.
pub(crate) const PLACE: &str = "{tenant}";

/// A value of the configuration and its origin. `Debug` shows the origin only.
#[derive(Clone)]
pub struct ConfigValue {
    /// The value.
    pub raw: Value,
    /// Where the value is from.
    pub origin: Origin,
}

/// A value as it was written.
///
/// The variants are TOML's types. The enum is exhaustive, since a reader has to handle each type.
#[derive(Clone)]
#[allow(missing_docs)]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// A date or time, as written.
    Date(String),
    List(Vec<ConfigValue>),
    Table(BTreeMap<String, ConfigValue>),
}

impl fmt::Debug for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[from {}]", self.origin)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

from! { &str => Text, String => Text, i64 => Integer, i32 => Integer, f64 => Float, bool => Bool }

impl ConfigValue {
    /// Returns the value as a string, if it is one.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match &self.raw {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// Returns the value as a whole number, if it is one. The text of a variable is parsed.
    #[must_use]
    pub fn to_integer(&self) -> Option<i64> {
        match &self.raw {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if self.origin.is_text_only() => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Returns the value as a number, if it is one. The text of a variable is parsed.
    #[must_use]
    pub fn to_float(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)] // settings are small
        match &self.raw {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            Value::Text(text) if self.origin.is_text_only() => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Returns the value as `true` or `false`, if it is one. The text of a variable is parsed.
    #[must_use]
    pub fn to_bool(&self) -> Option<bool> {
        match &self.raw {
            Value::Bool(yes) => Some(*yes),
            Value::Text(text) if self.origin.is_text_only() => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Returns whether the value is `false`.
    #[must_use]
    pub fn is_false(&self) -> bool {
        self.to_bool() == Some(false)
    }

    /// Returns the value as a list of strings. One string is a list of one; the text of a variable is
    /// split at spaces.
    #[must_use]
    pub fn to_texts(&self) -> Option<Vec<String>> {
        match &self.raw {
            Value::Text(text) if self.origin.is_text_only() => {
                Some(text.split_whitespace().map(Into::into).collect())
            }
            Value::Text(text) => Some(vec![text.clone()]),
            Value::List(all) => all.iter().map(Self::to_text).collect(),
            _ => None,
        }
    }

    /// Returns the value as one secret or several. The text of a variable is the secret itself; relative
    /// paths are relative to the configuration file.
    #[must_use]
    pub fn to_secret(&self) -> Option<SecretRef> {
        let secret = self.reference()?;
        Some(secret.limited_to(self.origin.references()))
    }

    /// The value as a secret, if the secret is not empty.
    pub(crate) fn to_filled_secret(&self) -> Option<SecretRef> {
        self.to_secret().filter(|secret| !secret.is_empty())
    }

    fn reference(&self) -> Option<SecretRef> {
        match &self.raw {
            Value::Text(text) if self.origin.is_text_only() => {
                Some(SecretRef::inline(text.clone()))
            }
            Value::Text(text) => {
                if let Some(reference) = self.of_scheme() {
                    return reference.ok();
                }
                let secret: SecretRef = text.parse().ok()?;
                Some(match self.origin.directory() {
                    Some(directory) => secret.relative_to(directory),
                    None => secret,
                })
            }
            Value::Table(table) => {
                if let Some(reference) = self.of_scheme() {
                    return reference.ok();
                }
                let at = table
                    .get("at")
                    .map(|at| at.to_text().filter(|at| at.starts_with('/')));
                if table.len() != 1 + usize::from(at.is_some()) {
                    return None;
                }
                let secret = self.place(table)?;
                match at {
                    None => Some(secret),
                    Some(at) => Some(secret.at(&at?)),
                }
            }
            Value::List(all) => any_of(all.iter().map(|one| match &one.raw {
                Value::List(_) => None,
                _ => one.to_secret(),
            })),
            _ => None,
        }
    }

    /// Returns the reference if the value is one of a registered scheme.
    fn of_scheme(&self) -> Option<Result<SecretRef, Error>> {
        match &self.raw {
            Value::Text(text) => self.origin.reference(text),
            Value::Table(table) if table.len() == 1 => {
                let (name, value) = table.first_key_value()?;
                let Value::Table(parts) = &value.raw else {
                    return None;
                };
                let parts = parts.iter();
                let parts = parts.map(|(name, value)| Some((name.clone(), value.to_text()?)));
                // A member of the wrong type is an error, like a missing one.
                let parts: Option<BTreeMap<_, _>> = parts.collect();
                self.origin.table(name, &parts.unwrap_or_default())
            }
            _ => None,
        }
    }

    /// What a registered scheme says against the value, or against a member of a list.
    fn refusal_of_scheme(&self) -> Option<Error> {
        match &self.raw {
            Value::List(all) => all.iter().find_map(Self::refusal_of_scheme),
            _ => self.of_scheme()?.err(),
        }
    }

    /// The place that a table names: `{ cmd = […] }`, or `{ file = "…" }` with any path.
    fn place(&self, table: &BTreeMap<String, Self>) -> Option<SecretRef> {
        if let Some(path) = table.get("file") {
            let file = SecretRef::file(path.to_text().filter(|path| !path.is_empty())?);
            let directory = self.origin.directory();
            return Some(directory.map_or(file.clone(), |directory| file.relative_to(directory)));
        }
        let Value::List(argv) = &table.get("cmd")?.raw else {
            return None;
        };
        let argv: Vec<String> = argv.iter().map(Self::to_text).collect::<Option<_>>()?;
        (!argv.is_empty()).then(|| SecretRef::command(argv))
    }

    /// Notes the environment variables that the references in the value name, at any depth.
    pub fn note_variables(&self, names: &mut VariableNames) {
        match &self.raw {
            Value::Text(text) => names.note(text),
            Value::List(all) => all.iter().for_each(|value| value.note_variables(names)),
            Value::Table(table) => table.values().for_each(|value| value.note_variables(names)),
            _ => {}
        }
    }

    /// Returns whether the value is a text that refers to a secret, or begins like such a text.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        let Value::Text(text) = &self.raw else {
            return false;
        };
        if self.origin.reference(text).is_some() {
            return true;
        }
        let itself = SecretRef::inline(text.strip_prefix("inline:").unwrap_or(text));
        text.parse()
            .map_or(true, |reference: SecretRef| reference != itself)
    }

    /// What was expected instead of a value that is not of this type.
    pub(crate) fn expected(&self, ty: FieldType) -> String {
        if let FieldType::Secret | FieldType::Identifier = ty
            && let Some(error) = self.refusal_of_scheme()
        {
            return error.to_string();
        }
        let expected = ty.expected();
        let url = self.to_text().filter(|_| ty == FieldType::Url);
        let url = url.and_then(|text| Url::parse(text.trim()).ok());
        if url.is_some_and(|url| is_for_tenants(&url)) {
            return format!("expected {expected}; write {{tenant}} in lower case");
        }
        match self.way_to_write(ty) {
            Some(remedy) => format!("expected {expected}; {remedy}"),
            None => format!("expected {expected}"),
        }
    }

    /// How a value in a file is written as one of this type, if only the quotes are wrong.
    fn way_to_write(&self, ty: FieldType) -> Option<&'static str> {
        let line = self.origin.line();
        let quoted = match (&self.raw, ty) {
            (Value::Integer(_) | Value::Float(_) | Value::Bool(_) | Value::Date(_), _) => {
                let as_text = Self {
                    raw: Value::Text("x".into()),
                    origin: self.origin.clone(),
                };
                as_text.fits(ty).then_some("put it in quotes")
            }
            (Value::Text(text), FieldType::Integer) => bare(text.parse::<i64>().is_ok()),
            (Value::Text(text), FieldType::Number) => bare(text.parse::<f64>().is_ok()),
            (Value::Text(text), FieldType::Bool) => bare(text.parse::<bool>().is_ok()),
            _ => None,
        };
        quoted.filter(|_| line.is_some())
    }

    /// Returns whether the value is of this type.
    #[must_use]
    pub fn fits(&self, ty: FieldType) -> bool {
        match ty {
            FieldType::Text => self.to_text().is_some(),
            FieldType::Integer => self.to_integer().is_some(),
            FieldType::Bool => self.to_bool().is_some(),
            FieldType::Url => self.to_url().is_some(),
            FieldType::Texts | FieldType::Scopes => self.to_texts().is_some(),
            FieldType::TextsOrFalse => self.is_false() || self.to_texts().is_some(),
            FieldType::Secret | FieldType::Identifier => self.to_filled_secret().is_some(),
            FieldType::TokenSource | FieldType::Key => {
                matches!(self.raw, Value::Table(_)) || self.to_filled_secret().is_some()
            }
            FieldType::Date => self.to_date().is_some(),
            FieldType::Number => self.to_float().is_some(),
            FieldType::Duration => self.to_duration().is_some(),
            FieldType::Choice(all) => self
                .to_text()
                .is_some_and(|text| all.contains(&text.as_str())),
            FieldType::Table | FieldType::SecretTable => matches!(self.raw, Value::Table(_)),
            FieldType::Any => true,
        }
    }

    /// Returns the value as a duration, if it is one: seconds as a number, or a text with a unit (`ms`,
    /// `s`, `m`, `h`, `d`). The text of a variable needs no unit.
    #[must_use]
    pub fn to_duration(&self) -> Option<Duration> {
        if let Some(seconds) = self.to_float() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        let text = self.to_text()?;
        let text = text.trim();
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[number.len()..] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let number: f64 = number.trim_end().parse().ok()?;
        Duration::try_from_secs_f64(number * unit).ok()
    }

    /// Returns the value as a URL to which secrets and tokens may go, if it is one: https, or http
    /// to loopback. A fragment is refused, because no request contains it.
    #[must_use]
    pub fn to_url(&self) -> Option<Url> {
        self.to_url_with(None)
    }

    /// The same, or http to one of these servers.
    pub(crate) fn to_url_with(&self, plain_http: Option<&PlainHttp>) -> Option<Url> {
        let url = Url::parse(self.to_text()?.trim()).ok()?;
        PlainHttp::check_with(plain_http, &url).ok()?;
        (url.fragment().is_none() && !is_for_tenants(&url)).then_some(url)
    }

    /// The host and port that `plain_http` would have to list for this URL to be allowed.
    pub(crate) fn plain_server(&self) -> Option<String> {
        let url = Url::parse(self.to_text()?.trim()).ok()?;
        let server = format!("{}:{}", url.host()?, url.port_or_known_default()?);
        let servers = PlainHttp::new([&server]).ok()?;
        self.to_url_with(Some(&servers)).map(|_| server)
    }

    /// Returns the value as JSON of the same type; a date becomes a string.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.raw {
            Value::Text(text) | Value::Date(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Bool(yes) => (*yes).into(),
            Value::List(all) => all.iter().map(Self::to_json).collect(),
            Value::Table(table) => {
                let fields = table
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_json()));
                fields.collect::<serde_json::Map<_, _>>().into()
            }
        }
    }

    pub(crate) fn to_date(&self) -> Option<Timestamp> {
        let (Value::Date(text) | Value::Text(text)) = &self.raw else {
            return None;
        };
        let date: jiff::civil::Date = text.trim().parse().ok()?;
        let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Timestamp::from_unix_seconds(start.timestamp().as_second()))
    }
}

/// Joins the secrets of a list into one that tries them in order.
pub(crate) fn any_of(mut all: impl Iterator<Item = Option<SecretRef>>) -> Option<SecretRef> {
    let first = all.next()??;
    all.try_fold(first, |known, next| Some(known.or(&next?)))
}

/// Whether the host of a URL holds the place of a tenant. A place is filled in before a URL is read, and
/// readers of URLs write hosts in lower case, so `{TENANT}` was written.
fn is_for_tenants(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host.contains(PLACE))
}

fn bare(is_of_type: bool) -> Option<&'static str> {
    is_of_type.then_some("remove the quotes")
}
