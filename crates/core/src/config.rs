//! [`Kind`] and [`ProviderConfig`]: how a provider is made from configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use url::Url;

use crate::{Error, ParamValue, Provider, SecretRef, Timestamp, TokenRequest, check_secure};

/// A kind of provider: the value of `kind = "…"` in the configuration, the keys it takes, and what
/// makes a [`Provider`] of them.
///
/// Built-in kinds and an application's own go through this same door.
///
/// ```
/// # use std::sync::Arc;
/// # use biped_core::{async_trait, Error, FetchContext, Provider, Token, TokenRequest};
/// use biped_core::{Field, FieldType, Kind, ProviderConfig, ProviderId, SecretRef};
/// # #[derive(Debug)] struct Acme { id: ProviderId, key: SecretRef }
/// # #[async_trait] impl Provider for Acme {
/// #     fn id(&self) -> &ProviderId { &self.id }
/// #     async fn fetch(&self, _: &TokenRequest, _: &FetchContext<'_>) -> Result<Token, Error> {
/// #         Err(Error::internal("an example")) }
/// # }
///
/// fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
///     let key = config.secret("api_key").ok_or_else(|| config.missing("api_key"))?;
///     let region = config.string("region").unwrap_or_else(|| "eu".into());
///     let endpoint = format!("https://{region}.acme.example/token");
///     let id = ProviderId::new("acme", endpoint, key.identity()).named(config.name());
///     Ok(Arc::new(Acme { id, key }))
/// }
///
/// let kind = Kind::new("acme", from_config)
///     .about("Acme's token service")
///     .field(Field::new("api_key", FieldType::Secret).required().about("The key Acme gave out."))
///     .field(Field::new("region", FieldType::Text).about("`eu` (default) or `us`."));
/// ```
#[derive(Clone)]
pub struct Kind {
    name: Box<str>,
    about: Box<str>,
    fields: Vec<Field>,
    open_params: bool,
    build: Arc<Build>,
}

type Build = dyn Fn(&ProviderConfig) -> Result<Arc<dyn Provider>, Error> + Send + Sync;

/// A key that a kind of provider takes. The reader, the JSON Schema and the redaction of
/// `config show` all go by it.
#[derive(Clone, Debug)]
pub struct Field {
    name: &'static str,
    ty: FieldType,
    required: bool,
    per_request: bool,
    about: &'static str,
}

/// What a key's value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldType {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Bool,
    /// An https URL (or http to loopback).
    Url,
    /// A list of strings, or one.
    Texts,
    /// A list of scopes, or one string with spaces between them.
    Scopes,
    /// A secret: `env:NAME`, `file:PATH`, `{ cmd = ["argv", …] }`, the secret itself, or a list of
    /// these.
    Secret,
    /// A date: `2026-03-01`.
    Date,
    /// A number, whole or not.
    Number,
    /// A length of time: seconds as a number, or a string with a unit (`"500ms"`, `"30s"`, `"5m"`,
    /// `"1h"`, `"1d"`).
    Duration,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A table whose keys the kind itself knows.
    Table,
    /// A table whose values may be secrets, so that none of them is shown.
    SecretTable,
    /// Anything; the kind reads it itself.
    Any,
}

impl FieldType {
    /// What was expected, in words for an error.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Text => "a string".into(),
            Self::Integer => "a whole number".into(),
            Self::Bool => "true or false".into(),
            Self::Url => "a URL, https or to loopback".into(),
            Self::Texts => "a string or a list of strings".into(),
            Self::Scopes => "a list of scopes, or one string with spaces between them".into(),
            Self::Secret => {
                "a secret: \"env:NAME\", \"file:PATH\", { cmd = [\"argv\", …] }, the secret \
                 itself, or a list of these"
                    .into()
            }
            Self::Date => "a date like 2026-03-01".into(),
            Self::Number => "a number".into(),
            Self::Duration => {
                "a length of time, in seconds or like \"500ms\", \"30s\", \"5m\", \"1h\"".into()
            }
            Self::Choice(choices) => format!("one of {}", choices.join(", ")),
            Self::Table | Self::SecretTable => "a table".into(),
            Self::Any => "a value".into(),
        }
    }

    /// Whether a value of this type must never be shown.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretTable)
    }
}

impl Field {
    /// A key and what its value has to be.
    #[must_use]
    pub const fn new(name: &'static str, ty: FieldType) -> Self {
        Self {
            name,
            ty,
            required: false,
            per_request: false,
            about: "",
        }
    }

    /// The key must be there.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The value is a default for a parameter of the token request, which an application may set
    /// for each call (`.param(…)`, `--param`).
    #[must_use]
    pub const fn per_request(mut self) -> Self {
        self.per_request = true;
        self
    }

    /// Says in a sentence what it is.
    #[must_use]
    pub const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// The key.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What its value has to be.
    #[must_use]
    pub fn ty(&self) -> FieldType {
        self.ty
    }

    /// Whether it must be there.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// What it is, in a sentence.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.about
    }
}

/// The keys that every kind takes.
const COMMON: &[Field] = &[
    Field::new("kind", FieldType::Text)
        .required()
        .about("The kind of provider."),
    Field::new("client_id", FieldType::Secret).about(
        "The client identifier (RFC 6749 §2.2); like a secret it may be a reference, or a list.",
    ),
    Field::new("client_secret", FieldType::Secret)
        .about("The client secret (RFC 6749 §2.3.1), or a list tried in order."),
    Field::new("credentials", FieldType::Any).about(
        "Instead of client_id and client_secret: a list of { client_id, client_secret }, tried in \
         order.",
    ),
    Field::new("scope", FieldType::Scopes).about("The scopes to ask for (RFC 6749 §3.3)."),
    Field::new("token_endpoint", FieldType::Url)
        .about("The token endpoint, where it is not the vendor's usual one."),
    Field::new("api_base_url", FieldType::Url)
        .about("Where relative API paths go, if the vendor's answer names no base URL."),
];

impl Kind {
    /// A kind of this name, made by `build`.
    ///
    /// Without [`field`](Self::field)s, the keys that `build` reads are the keys there are; with
    /// them the configuration is checked before `build` sees it, and a value that is not of its
    /// type reads as if it were not there. `build` runs even then, so that what it finds is told
    /// together with the rest.
    pub fn new(
        name: impl Into<Box<str>>,
        build: impl Fn(&ProviderConfig) -> Result<Arc<dyn Provider>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            about: Box::default(),
            fields: Vec::new(),
            open_params: false,
            build: Arc::new(build),
        }
    }

    /// Says in a few words what vendor or standard it is.
    #[must_use]
    pub fn about(mut self, about: impl Into<Box<str>>) -> Self {
        self.about = about.into();
        self
    }

    /// Whether the kind declares its keys; else the keys that it reads are the keys there are.
    #[must_use]
    pub fn declares_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    /// Declares a key.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Lets requests carry parameters that no field declares; they are texts.
    #[must_use]
    pub fn with_open_params(mut self) -> Self {
        self.open_params = true;
        self
    }

    /// The value of `kind = "…"`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What vendor or standard it is.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.about
    }

    /// The keys it takes: its own first, then those that every kind takes.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let is_own = |common: &&Field| !self.fields.iter().any(|own| own.name == common.name);
        self.fields.iter().chain(COMMON.iter().filter(is_own))
    }

    /// Makes a provider.
    ///
    /// # Errors
    /// Every problem of this configuration, not only the first.
    pub fn build(&self, config: &ProviderConfig) -> Result<Arc<dyn Provider>, Vec<Problem>> {
        self.check(config);
        let built = (self.build)(config);
        if built.is_ok() && self.fields.is_empty() {
            config.report_unread(self.fields().map(Field::name));
        }
        match built {
            Ok(provider) if !config.has_problems() => Ok(provider),
            Err(error) if !config.has_problems() => Err(vec![Problem {
                message: error.to_string(),
                ..config.problem_at(None)
            }]),
            _ => Err(config.take_problems()),
        }
    }

    /// Checks names and types of all keys by the declared fields.
    fn check(&self, config: &ProviderConfig) {
        for field in self.fields() {
            match config.values.get(field.name) {
                Some(value) => config.check(field, value),
                None if field.required => drop(config.missing(field.name)),
                None => {}
            }
        }
        if !self.fields.is_empty() {
            let known: Vec<_> = self.fields().map(Field::name).collect();
            for key in config
                .values
                .keys()
                .filter(|key| !known.contains(&key.as_str()))
            {
                config.unknown(key, known.iter().copied());
            }
        }
    }

    /// The token request that the configuration describes: its scopes, and the fields that are
    /// [parameters of a request](Field::per_request).
    #[must_use]
    pub fn request(&self, config: &ProviderConfig) -> TokenRequest {
        let mut request = TokenRequest::new().scopes(config.texts("scope").unwrap_or_default());
        for field in self.fields.iter().filter(|field| field.per_request) {
            let value = match field.ty {
                FieldType::Integer => config.integer(field.name).map(ParamValue::from),
                FieldType::Bool => config.boolean(field.name).map(ParamValue::from),
                FieldType::Texts => config.texts(field.name).map(ParamValue::from),
                _ => config.string(field.name).map(ParamValue::from),
            };
            if let Some(value) = value {
                request = request.param(field.name, value);
            }
        }
        request
    }

    /// Gives a parameter that came as text (`--param project_id=42`) its type.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) for a parameter that this kind doesn't
    /// have, or a value that isn't of its type.
    pub fn param(&self, name: &str, text: &str) -> Result<ParamValue, Error> {
        let declared = || self.fields.iter().filter(|field| field.per_request);
        let Some(field) = declared().find(|field| field.name == name) else {
            if self.open_params {
                return Ok(text.into());
            }
            let known: Vec<_> = declared().map(Field::name).collect();
            let remedy = if known.is_empty() {
                format!("providers of kind {} have none", self.name)
            } else {
                format!("known are {}", known.join(", "))
            };
            return Err(
                Error::configuration(format!("unknown parameter {name}")).with_remedy(remedy)
            );
        };
        let typed = match field.ty {
            FieldType::Integer => text.trim().parse::<i64>().ok().map(ParamValue::from),
            FieldType::Bool => text.trim().parse::<bool>().ok().map(ParamValue::from),
            FieldType::Texts => Some(
                text.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
                    .into(),
            ),
            FieldType::Choice(choices) => choices.contains(&text).then(|| text.into()),
            _ => Some(text.into()),
        };
        typed.ok_or_else(|| {
            Error::configuration(format!(
                "parameter {name}: {} is expected",
                field.ty.expected()
            ))
        })
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kind")
            .field("name", &self.name)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// One provider's part of the configuration: typed reads that know where each value is from.
///
/// A read that finds a value of the wrong type notes a problem and answers `None`, so that all
/// problems are reported together. No problem ever shows a value.
pub struct ProviderConfig {
    name: Arc<str>,
    kind: Box<str>,
    origin: Origin,
    values: BTreeMap<String, ConfigValue>,
    read: Mutex<BTreeSet<String>>,
    problems: Mutex<Vec<Problem>>,
}

/// A value of the configuration, and where it is from. Its `Debug` shows the latter only.
#[derive(Clone)]
pub struct ConfigValue {
    /// The value.
    pub raw: RawValue,
    /// Where it is from.
    pub origin: Origin,
}

/// A value as it was written.
#[derive(Clone)]
#[allow(missing_docs)]
pub enum RawValue {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// A date or time, as written.
    Date(String),
    List(Vec<ConfigValue>),
    Table(BTreeMap<String, ConfigValue>),
}

/// Where a value of the configuration is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file.
    File {
        /// The file, as it was named.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable. Its values are always texts, and secrets in it are literal.
    Variable(Arc<str>),
    /// The application's own code.
    Builder,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Builder => f.write_str("the builder"),
        }
    }
}

/// Something wrong in the configuration: where, at which key, and what was expected. Never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub origin: Origin,
    /// The whole path of the key: `providers.shop.client_id`. Empty where there is none, as for an
    /// error of syntax.
    pub key: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl Problem {
    /// An unknown key, with the known one that is probably meant.
    #[must_use]
    pub fn unknown_key<'k>(
        origin: Origin,
        path: String,
        key: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) -> Self {
        let message = match nearest(key, known) {
            Some(meant) => format!("unknown key; is {meant} meant?"),
            None => "unknown key".into(),
        };
        Self {
            origin,
            key: path,
            message,
        }
    }
}

/// The known word that is nearest to what was typed, if one is near.
#[must_use]
pub fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(typed, word), word))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}

impl ProviderConfig {
    /// The configuration of the provider `name`. `values` holds its keys, `kind` among them or not.
    #[must_use]
    pub fn new(
        name: impl Into<Arc<str>>,
        kind: impl Into<Box<str>>,
        origin: Origin,
        values: BTreeMap<String, ConfigValue>,
    ) -> Self {
        let mut values = values;
        let kind = kind.into();
        values.entry("kind".into()).or_insert_with(|| ConfigValue {
            raw: RawValue::Text(kind.clone().into()),
            origin: origin.clone(),
        });
        Self {
            name: name.into(),
            kind,
            origin,
            values,
            read: Mutex::default(),
            problems: Mutex::default(),
        }
    }

    /// The name that the application uses for the provider.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// The kind of provider.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// A string.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<String> {
        self.read(key, FieldType::Text, ConfigValue::to_text)
    }

    /// A whole number.
    #[must_use]
    pub fn integer(&self, key: &str) -> Option<i64> {
        self.read(key, FieldType::Integer, ConfigValue::to_integer)
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(&self, key: &str) -> Option<bool> {
        self.read(key, FieldType::Bool, ConfigValue::to_bool)
    }

    /// A URL to which secrets and tokens may go: https, or http to loopback.
    #[must_use]
    pub fn url(&self, key: &str) -> Option<Url> {
        self.read(key, FieldType::Url, ConfigValue::to_url)
    }

    /// A date: the start of that day, UTC.
    #[must_use]
    pub fn date(&self, key: &str) -> Option<Timestamp> {
        self.read(key, FieldType::Date, ConfigValue::to_date)
    }

    /// A length of time.
    #[must_use]
    pub fn duration(&self, key: &str) -> Option<Duration> {
        self.read(key, FieldType::Duration, ConfigValue::to_duration)
    }

    /// Several strings, or one.
    #[must_use]
    pub fn texts(&self, key: &str) -> Option<Vec<String>> {
        self.read(key, FieldType::Texts, ConfigValue::to_texts)
    }

    /// A secret, or several that overlap.
    #[must_use]
    pub fn secret(&self, key: &str) -> Option<SecretRef> {
        self.read(key, FieldType::Secret, ConfigValue::to_secret)
    }

    /// A table, for the kind to read itself.
    #[must_use]
    pub fn table(&self, key: &str) -> Option<BTreeMap<String, ConfigValue>> {
        self.read(key, FieldType::Table, |value| match &value.raw {
            RawValue::Table(table) => Some(table.clone()),
            _ => None,
        })
    }

    /// A value as it was written, for the kind to read itself.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&ConfigValue> {
        self.noted(key);
        self.values.get(key)
    }

    /// The client identifier and the client secret: `client_id` and `client_secret`, or the pairs
    /// in `credentials`.
    ///
    /// # Errors
    /// Where one is missing; it is noted as a problem as well.
    pub fn credentials(&self) -> Result<(SecretRef, SecretRef), Error> {
        if let Some(value) = self.value("credentials") {
            for key in ["client_id", "client_secret"] {
                if self.value(key).is_some() {
                    return Err(self.invalid(key, "credentials has it already; give one of them"));
                }
            }
            let pairs = to_pairs(value).ok_or_else(|| {
                self.invalid(
                    "credentials",
                    "a list of { client_id, client_secret } is expected",
                )
            })?;
            return Ok(pairs);
        }
        let id = self
            .secret("client_id")
            .ok_or_else(|| self.missing("client_id"));
        let secret = self
            .secret("client_secret")
            .ok_or_else(|| self.missing("client_secret"));
        Ok((id?, secret?))
    }

    /// A file that the configuration names, relative to the file it stands in.
    #[must_use]
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        let path = self.string(key)?;
        let value = self.values.get(key)?;
        Some(
            value
                .origin
                .directory()
                .map_or_else(|| path.clone().into(), |dir| dir.join(&path)),
        )
    }

    /// Notes that a key is missing.
    pub fn missing(&self, key: &str) -> Error {
        let known = |field: &&Field| field.name == key;
        let expected = COMMON.iter().find(known).map_or(String::new(), |field| {
            format!("; {} is expected", field.ty.expected())
        });
        self.invalid(key, format!("missing{expected}"))
    }

    /// Notes that the value of a key won't do. Say what is expected, and don't show the value.
    pub fn invalid(&self, key: &str, message: impl Into<String>) -> Error {
        let problem = Problem {
            message: message.into(),
            ..self.problem_at(Some(key))
        };
        let error = Error::configuration(problem.to_string());
        self.problems().push(problem);
        error
    }

    fn problem_at(&self, key: Option<&str>) -> Problem {
        let value = key.and_then(|key| self.values.get(key));
        Problem {
            origin: value.map_or(&self.origin, |value| &value.origin).clone(),
            key: match key {
                Some(key) => format!("providers.{}.{key}", self.name),
                None => format!("providers.{}", self.name),
            },
            message: String::new(),
        }
    }

    fn unknown<'k>(&self, key: &str, known: impl IntoIterator<Item = &'k str>) {
        let at = self.problem_at(Some(key));
        self.problems()
            .push(Problem::unknown_key(at.origin, at.key, key, known));
    }

    fn report_unread<'k>(&self, common: impl Iterator<Item = &'k str>) {
        let mut known: BTreeSet<String> = common.map(Into::into).collect();
        known.extend(
            self.read
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone(),
        );
        for key in self.values.keys().filter(|key| !known.contains(*key)) {
            self.unknown(key, known.iter().map(String::as_str));
        }
    }

    fn check(&self, field: &Field, value: &ConfigValue) {
        if !value.fits(field.ty) {
            drop(self.invalid(field.name, format!("{} is expected", field.ty.expected())));
        }
    }

    fn read<T>(
        &self,
        key: &str,
        ty: FieldType,
        as_type: impl FnOnce(&ConfigValue) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let typed = as_type(value);
        if typed.is_none() {
            drop(self.invalid(key, format!("{} is expected", ty.expected())));
        }
        typed
    }

    fn noted(&self, key: &str) {
        let mut read = self
            .read
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !read.contains(key) {
            read.insert(key.into());
        }
    }

    fn problems(&self) -> std::sync::MutexGuard<'_, Vec<Problem>> {
        self.problems
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn has_problems(&self) -> bool {
        !self.problems().is_empty()
    }

    fn take_problems(&self) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut *self.problems());
        // The first problem of a key is the cause of the others.
        let mut seen = BTreeSet::new();
        problems.retain(|problem| seen.insert(problem.key.clone()));
        problems
    }
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("values", &self.values)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[from {}]", self.origin)
    }
}

impl fmt::Debug for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),* $(,)?) => {$(
        impl From<$from> for RawValue {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

from! { &str => Text, String => Text, i64 => Integer, i32 => Integer, f64 => Float, bool => Bool }

impl Origin {
    /// The directory that relative file names are relative to: that of the configuration file.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => path.parent(),
            _ => None,
        }
    }

    fn is_text_only(&self) -> bool {
        matches!(self, Self::Variable(_))
    }
}

impl ConfigValue {
    /// The value as a string, where it is one.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match &self.raw {
            RawValue::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The value as a whole number, where it is one; a variable's text is read as one.
    #[must_use]
    pub fn to_integer(&self) -> Option<i64> {
        match &self.raw {
            RawValue::Integer(number) => Some(*number),
            RawValue::Text(text) if self.origin.is_text_only() => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The value as a number, where it is one; a variable's text is read as one.
    #[must_use]
    pub fn to_float(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)] // settings are small
        match &self.raw {
            RawValue::Float(number) => Some(*number),
            RawValue::Integer(number) => Some(*number as f64),
            RawValue::Text(text) if self.origin.is_text_only() => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The value as `true` or `false`, where it is one; a variable's text is read as one.
    #[must_use]
    pub fn to_bool(&self) -> Option<bool> {
        match &self.raw {
            RawValue::Bool(yes) => Some(*yes),
            RawValue::Text(text) if self.origin.is_text_only() => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The value as a list of strings; one string is a list of one (in a variable: of what the
    /// spaces separate).
    #[must_use]
    pub fn to_texts(&self) -> Option<Vec<String>> {
        match &self.raw {
            RawValue::Text(text) if self.origin.is_text_only() => {
                Some(text.split_whitespace().map(Into::into).collect())
            }
            RawValue::Text(text) => Some(vec![text.clone()]),
            RawValue::List(all) => all.iter().map(Self::to_text).collect(),
            _ => None,
        }
    }

    /// The value as a secret or several. A variable's text is the secret itself; relative files are
    /// relative to the configuration file.
    #[must_use]
    pub fn to_secret(&self) -> Option<SecretRef> {
        match &self.raw {
            RawValue::Text(text) if self.origin.is_text_only() => {
                Some(SecretRef::inline(text.clone()))
            }
            RawValue::Text(text) => {
                let secret: SecretRef = text.parse().ok()?;
                Some(match self.origin.directory() {
                    Some(directory) => secret.relative_to(directory),
                    None => secret,
                })
            }
            RawValue::Table(table) => {
                let (key, command) = table.first_key_value()?;
                if key != "cmd" || table.len() != 1 {
                    return None;
                }
                let RawValue::List(argv) = &command.raw else {
                    return None;
                };
                let argv: Vec<String> = argv.iter().map(Self::to_text).collect::<Option<_>>()?;
                (!argv.is_empty()).then(|| SecretRef::command(argv))
            }
            RawValue::List(all) => any_of(all.iter().map(Self::to_secret)),
            _ => None,
        }
    }

    /// Whether the value is of this type.
    #[must_use]
    pub fn fits(&self, ty: FieldType) -> bool {
        match ty {
            FieldType::Text => self.to_text().is_some(),
            FieldType::Integer => self.to_integer().is_some(),
            FieldType::Bool => self.to_bool().is_some(),
            FieldType::Url => self.to_url().is_some(),
            FieldType::Texts | FieldType::Scopes => self.to_texts().is_some(),
            FieldType::Secret => self.to_secret().is_some(),
            FieldType::Date => self.to_date().is_some(),
            FieldType::Number => self.to_float().is_some(),
            FieldType::Duration => self.to_duration().is_some(),
            FieldType::Choice(all) => self
                .to_text()
                .is_some_and(|text| all.contains(&text.as_str())),
            FieldType::Table | FieldType::SecretTable => matches!(self.raw, RawValue::Table(_)),
            FieldType::Any => true,
        }
    }

    /// The value as a length of time, where it is one: seconds as a number, or a text with a unit
    /// (`ms`, `s`, `m`, `h`, `d`), which a variable's text may lack.
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

    /// The value as a URL to which secrets and tokens may go, where it is one: https, or http to
    /// loopback.
    #[must_use]
    pub fn to_url(&self) -> Option<Url> {
        let url = Url::parse(self.to_text()?.trim()).ok()?;
        check_secure(&url).ok()?;
        Some(url)
    }

    fn to_date(&self) -> Option<Timestamp> {
        let (RawValue::Date(text) | RawValue::Text(text)) = &self.raw else {
            return None;
        };
        let date: jiff::civil::Date = text.trim().parse().ok()?;
        let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Timestamp::from_unix_seconds(start.timestamp().as_second()))
    }
}

/// The secrets of a list as one that tries them in order.
fn any_of(mut all: impl Iterator<Item = Option<SecretRef>>) -> Option<SecretRef> {
    let first = all.next()??;
    all.try_fold(first, |known, next| Some(known.or(&next?)))
}

/// `[{ client_id, client_secret }, …]` as two references whose candidates belong together.
fn to_pairs(value: &ConfigValue) -> Option<(SecretRef, SecretRef)> {
    let RawValue::List(pairs) = &value.raw else {
        return None;
    };
    let column = |key: &'static str| {
        any_of(pairs.iter().map(move |pair| {
            match &pair.raw {
                RawValue::Table(table) if table.len() == 2 => table
                    .get(key)?
                    .to_secret()
                    .filter(|secret| secret.candidates() == 1),
                _ => None,
            }
        }))
    };
    Some((column("client_id")?, column("client_secret")?))
}
