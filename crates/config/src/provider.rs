//! [`ProviderConfig`]: one provider's part of the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use biped_core::{Error, MAX_FILE_SIZE, SecretRef, Timestamp, read_text_file};
use url::Url;

use crate::{
    field::{COMMON, Field, FieldType},
    problem::Problem,
    value::{ConfigValue, Origin, RawValue, any_of},
};

/// One provider's part of the configuration: typed reads that know where each value is from.
///
/// A read that finds a value of the wrong type notes a problem and answers `None`, so that all
/// problems are reported together. No problem ever shows a value.
pub struct ProviderConfig {
    name: Arc<str>,
    kind: Box<str>,
    origin: Origin,
    pub(crate) values: BTreeMap<String, ConfigValue>,
    read: Mutex<BTreeSet<String>>,
    problems: Mutex<Vec<Problem>>,
    read_file: Arc<ReadFile>,
}

type ReadFile = dyn Fn(&Origin, &Path) -> io::Result<String> + Send + Sync;

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
            read_file: Arc::new(|_, path| read_text_file(path, MAX_FILE_SIZE)),
        }
    }

    /// Reads the files that it names with `read`, which gets where the name stands and the path.
    #[must_use]
    pub fn reading_files_with(
        mut self,
        read: impl Fn(&Origin, &Path) -> io::Result<String> + Send + Sync + 'static,
    ) -> Self {
        self.read_file = Arc::new(read);
        self
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
        let secret = self.read(key, FieldType::Secret, to_secret)?;
        Some(secret.configured_at(self.place(key)))
    }

    /// Where a key stands, for errors about what its value refers to.
    fn place(&self, key: &str) -> String {
        let at = self.problem_at(Some(key));
        format!("{}, {}", at.key, at.origin)
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
            let (id, secret) = to_pairs(value).ok_or_else(|| {
                self.invalid(
                    "credentials",
                    "a list of { client_id, client_secret } is expected",
                )
            })?;
            let place = self.place("credentials");
            return Ok((id.configured_at(&*place), secret.configured_at(&*place)));
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

    /// The text of a file that the configuration names, such as a description of a vendor.
    ///
    /// A kind that reads its files here has them checked as the configuration file itself is: their
    /// owner, who may write them, and whether they have changed since they were trusted.
    #[must_use]
    pub fn text_of_file(&self, key: &str) -> Option<Result<String, Error>> {
        let path = self.path(key)?;
        let origin = &self.values.get(key)?.origin;
        let read = (self.read_file)(origin, &path);
        Some(read.map_err(|error| {
            let shown = path.display();
            self.invalid(key, format!("{shown} can't be read: {error}"))
        }))
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

    pub(crate) fn problem_at(&self, key: Option<&str>) -> Problem {
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

    pub(crate) fn unknown<'k>(&self, key: &str, known: impl IntoIterator<Item = &'k str>) {
        let at = self.problem_at(Some(key));
        self.problems()
            .push(Problem::unknown_key(at.origin, at.key, key, known));
    }

    pub(crate) fn report_unread<'k>(&self, common: impl Iterator<Item = &'k str>) {
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

    pub(crate) fn check(&self, field: &Field, value: &ConfigValue) {
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

    pub(crate) fn has_problems(&self) -> bool {
        !self.problems().is_empty()
    }

    pub(crate) fn take_problems(&self) -> Vec<Problem> {
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

/// `[{ client_id, client_secret }, …]` as two references whose candidates belong together.
fn to_pairs(value: &ConfigValue) -> Option<(SecretRef, SecretRef)> {
    let RawValue::List(pairs) = &value.raw else {
        return None;
    };
    let column = |key: &'static str| {
        any_of(pairs.iter().map(move |pair| match &pair.raw {
            RawValue::Table(table) if table.len() == 2 => {
                to_secret(table.get(key)?).filter(|secret| secret.candidates() == 1)
            }
            _ => None,
        }))
    };
    Some((column("client_id")?, column("client_secret")?))
}

/// The value as a secret that is one: the empty text is a mistake, here as in a file or a variable.
fn to_secret(value: &ConfigValue) -> Option<SecretRef> {
    value.to_secret().filter(|secret| !secret.is_empty())
}
