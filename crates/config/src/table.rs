//! [`ConfigTable`]: typed reads that note what is wrong, and which keys were read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use biped_core::{Error, PlainHttp, SecretRef, Timestamp};
use url::Url;

use crate::{
    field::{Field, FieldType, PLAIN_HTTP},
    origin::Origin,
    problem::{Problem, nearest},
    value::{ConfigValue, Value},
};

/// A table of the configuration, with typed reads that know the origin of each value.
///
/// A read that finds a value of the wrong type notes a problem and returns `None`, so that all
/// problems are reported together. No problem shows a value.
pub struct ConfigTable {
    name: Box<str>,
    origin: Origin,
    values: BTreeMap<String, ConfigValue>,
    read: Mutex<BTreeSet<String>>,
    plain_http: Option<PlainHttp>,
    /// Whether `plain_http` could list further servers. Tables inside share it.
    takes_plain_http: Arc<AtomicBool>,
    /// Tables inside share the list.
    problems: Arc<Mutex<Vec<Problem>>>,
    /// The keys that a misspelled one probably stands for. Tables inside share them.
    misspelled: Arc<Mutex<BTreeSet<String>>>,
}

impl ConfigTable {
    /// Creates a table of these values. `name` is the whole path of its key, such as
    /// `providers.shop`; the name of a whole file is empty.
    #[must_use]
    pub fn new(
        name: impl Into<Box<str>>,
        origin: Origin,
        values: BTreeMap<String, ConfigValue>,
    ) -> Self {
        Self {
            name: name.into(),
            origin,
            values,
            read: Mutex::default(),
            plain_http: None,
            takes_plain_http: Arc::default(),
            problems: Arc::default(),
            misspelled: Arc::default(),
        }
    }

    /// Creates a table inside this one; its problems are noted here.
    #[must_use]
    pub fn inner(&self, key: &str, origin: Origin, values: BTreeMap<String, ConfigValue>) -> Self {
        Self {
            problems: self.problems.clone(),
            misspelled: self.misspelled.clone(),
            plain_http: self.plain_http.clone(),
            takes_plain_http: self.takes_plain_http.clone(),
            ..Self::new(self.key(key), origin, values)
        }
    }

    /// Returns where the table is from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the whole path of a key in the table: `providers.shop.client_id`.
    #[must_use]
    pub fn key(&self, key: &str) -> String {
        match (&*self.name, key) {
            ("", key) => key.to_owned(),
            (name, "") => name.to_owned(),
            (name, key) => format!("{name}.{key}"),
        }
    }

    /// Returns the keys and values, in the order of their source.
    #[must_use]
    pub fn entries(&self) -> Vec<(&str, &ConfigValue)> {
        let entries = self.values.iter().map(|(key, value)| (&**key, value));
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by_key(|(_, value)| value.origin.position());
        entries
    }

    /// Returns the value under a key, as it was written.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&ConfigValue> {
        let mut read = locked(&self.read);
        if !read.contains(key) {
            read.insert(key.into());
        }
        self.values.get(key)
    }

    /// Returns the string under a key.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<String> {
        self.read(key, FieldType::Text, ConfigValue::to_text)
    }

    /// Returns the whole number under a key.
    #[must_use]
    pub fn integer(&self, key: &str) -> Option<i64> {
        self.read(key, FieldType::Integer, ConfigValue::to_integer)
    }

    /// Returns the number under a key, whole or not.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<f64> {
        self.read(key, FieldType::Number, ConfigValue::to_float)
    }

    /// Returns the `true` or `false` under a key.
    #[must_use]
    pub fn boolean(&self, key: &str) -> Option<bool> {
        self.read(key, FieldType::Bool, ConfigValue::to_bool)
    }

    /// Returns the URL under a key, to which secrets and tokens may go: https, or http to this
    /// machine or to a server that `plain_http` lists.
    #[must_use]
    pub fn url(&self, key: &str) -> Option<Url> {
        let value = self.value(key)?;
        let url = value.to_url_with(self.plain_http());
        if url.is_none() {
            self.wrong_type(key, value, FieldType::Url);
        }
        url
    }

    /// Returns the servers that the provider's `plain_http` lists.
    #[must_use]
    pub fn plain_http(&self) -> Option<&PlainHttp> {
        self.plain_http.as_ref()
    }

    /// Checks that secrets and tokens may go to a URL, as [`url`](Self::url) does.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration), which says what is wrong with it.
    pub fn check_url(&self, url: &Url) -> Result<(), Error> {
        PlainHttp::check_with(self.plain_http(), url)
    }

    /// Reads `plain_http`, which the other keys are read by.
    pub(crate) fn read_plain_http(&mut self) {
        let servers = self.values.get(PLAIN_HTTP).and_then(ConfigValue::to_texts);
        self.plain_http = servers.and_then(|servers| PlainHttp::new(servers).ok());
    }

    /// Says that `plain_http` could list the server of a URL without TLS.
    pub(crate) fn take_plain_http(&self) {
        self.takes_plain_http.store(true, Ordering::Relaxed);
    }

    /// Notes an error in `plain_http`.
    pub(crate) fn check_plain_http(&self) {
        if let Some(servers) = self.texts(PLAIN_HTTP)
            && let Err(error) = PlainHttp::new(servers)
        {
            drop(self.invalid(PLAIN_HTTP, error.to_string()));
        }
    }

    /// Returns the date under a key: the start of that day, UTC.
    #[must_use]
    pub fn date(&self, key: &str) -> Option<Timestamp> {
        self.read(key, FieldType::Date, ConfigValue::to_date)
    }

    /// Returns the duration under a key.
    #[must_use]
    pub fn duration(&self, key: &str) -> Option<Duration> {
        self.read(key, FieldType::Duration, ConfigValue::to_duration)
    }

    /// Returns the strings under a key: several, or one.
    #[must_use]
    pub fn texts(&self, key: &str) -> Option<Vec<String>> {
        self.read(key, FieldType::Texts, ConfigValue::to_texts)
    }

    /// Returns the secret under a key, or several that overlap.
    #[must_use]
    pub fn secret(&self, key: &str) -> Option<SecretRef> {
        // An empty secret is a mistake, as it is in a file or a variable.
        let secret = self.read(key, FieldType::Secret, ConfigValue::to_filled_secret)?;
        Some(secret.configured_at(self.place(key)))
    }

    /// Returns the path of the file that a key names. A relative path is relative to the
    /// configuration file that holds it.
    #[must_use]
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        let path = self.string(key)?;
        let directory = self.values.get(key)?.origin.directory();
        Some(directory.map_or_else(|| path.clone().into(), |directory| directory.join(&path)))
    }

    /// Returns the table under a key.
    #[must_use]
    pub fn table(&self, key: &str) -> Option<Self> {
        self.read(key, FieldType::Table, |value| self.table_of(key, value))
    }

    /// Returns the list of tables under a key (`[[key]]`). With `or_one`, a table (`[key]`) is a
    /// list of one.
    #[must_use]
    pub fn tables(&self, key: &str, or_one: bool) -> Option<Vec<Self>> {
        let value = self.value(key)?;
        let tables = match &value.raw {
            Value::List(all) => all.iter().map(|value| self.table_of(key, value)).collect(),
            _ if or_one => self.table_of(key, value).map(|one| vec![one]),
            _ => None,
        };
        let expected = match or_one {
            true => "a table or a list of tables",
            false => "a list of tables",
        };
        self.checked(key, tables, expected, |_| true)
    }

    /// Returns the value that belongs to the word under a key, which is one of `choices`.
    #[must_use]
    pub fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string(key)?;
        let chosen = choices.iter().find(|(name, _)| *name == text);
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let expected = format!("one of {}", names.join(", "));
        self.checked(key, chosen.map(|(_, value)| *value), &expected, |_| true)
    }

    /// Returns the whole number under a key, from 1 up.
    #[must_use]
    pub fn count<N: TryFrom<i64>>(&self, key: &str) -> Option<N> {
        let number = self.integer(key)?;
        let number = N::try_from(number).ok().filter(|_| number > 0);
        self.checked(key, number, "a whole number from 1 up", |_| true)
    }

    /// Returns the duration under a key, above zero.
    #[must_use]
    pub fn positive_duration(&self, key: &str) -> Option<Duration> {
        let time = Some(self.duration(key)?);
        self.checked(key, time, "a duration above zero", |time| !time.is_zero())
    }

    /// Returns the value if it satisfies `holds`; else notes what was expected of the key.
    pub fn checked<T>(
        &self,
        key: &str,
        value: Option<T>,
        expected: &str,
        holds: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        let value = value.filter(holds);
        if value.is_none() {
            drop(self.invalid(key, format!("expected {expected}")));
        }
        value
    }

    /// Notes that a key is missing.
    pub fn missing(&self, key: &str) -> Error {
        self.invalid(key, "missing")
    }

    /// Notes that the value of a key is wrong. Only the first problem of a value is kept. Say what was
    /// expected, and don't show the value. An empty key stands for the table itself, and a dot leads into
    /// a table within it.
    pub fn invalid(&self, key: &str, message: impl Into<String>) -> Error {
        let origin = origin_of(&self.values, key).unwrap_or(&self.origin);
        self.invalid_at(origin, key, message)
    }

    /// Notes that a key is wrong, at another place than its own.
    pub fn invalid_at(&self, origin: &Origin, key: &str, message: impl Into<String>) -> Error {
        let problem = Problem {
            origin: origin.clone(),
            key: self.key(key),
            message: message.into(),
        };
        let error = Error::configuration(problem.to_string());
        let is_known = |known: &Problem| known.key == problem.key && known.origin == problem.origin;
        let mut problems = locked(&self.problems);
        if !problems.iter().any(is_known) {
            problems.push(problem);
        }
        error
    }

    /// Notes a problem as it is.
    pub fn note(&self, problem: Problem) {
        locked(&self.problems).push(problem);
    }

    /// Notes every key that has not been read.
    pub fn report_unread(&self) {
        let known = locked(&self.read).clone();
        self.report_unknown(known.iter().map(String::as_str));
    }

    /// Notes every key that is not one of these fields, and every value that is not of its type.
    pub fn check<'f>(&self, fields: impl IntoIterator<Item = &'f Field>) {
        let fields: Vec<_> = fields.into_iter().collect();
        self.check_types(fields.iter().copied());
        self.report_unknown(fields.iter().map(|field| field.name()));
    }

    pub(crate) fn check_types<'f>(&self, fields: impl Iterator<Item = &'f Field>) {
        for field in fields {
            let value = self.values.get(field.name());
            let fits = |value: &&ConfigValue| match field.ty() {
                FieldType::Url => value.to_url_with(self.plain_http()).is_some(),
                ty => value.fits(ty),
            };
            if let Some(value) = value.filter(|value| !fits(value)) {
                self.wrong_type(field.name(), value, field.ty());
            }
        }
    }

    /// Notes every required field that is missing.
    pub(crate) fn require<'f>(&self, fields: impl Iterator<Item = &'f Field>) {
        for field in fields.filter(|field| field.is_required()) {
            if !self.values.contains_key(field.name()) {
                let expected = field.ty().expected();
                drop(self.invalid(field.name(), format!("missing; expected {expected}")));
            }
        }
    }

    fn report_unknown<'k>(&self, known: impl Iterator<Item = &'k str>) {
        let known: Vec<_> = known.collect();
        for (key, value) in &self.values {
            if !known.contains(&&**key) {
                let known = known.iter().copied();
                let meant = nearest(key, known.clone());
                if let Some(meant) = meant.filter(|meant| !self.values.contains_key(*meant)) {
                    locked(&self.misspelled).insert(self.key(meant));
                }
                let origin = value.origin.clone();
                self.note(Problem::unknown_key(origin, self.key(key), key, known));
            }
        }
    }

    /// Returns whether a key that was noted as unknown probably stands for this one.
    #[must_use]
    pub fn is_misspelled(&self, key: &str) -> bool {
        locked(&self.misspelled).contains(&self.key(key))
    }

    /// Returns whether a problem was noted.
    #[must_use]
    pub fn has_problems(&self) -> bool {
        !locked(&self.problems).is_empty()
    }

    /// Takes the problems that were noted, here and in the tables inside. A key that is missing because it
    /// is misspelled is one problem, not two.
    #[must_use]
    pub fn take_problems(&self) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut *locked(&self.problems));
        let misspelled = locked(&self.misspelled);
        problems.retain(|problem| !misspelled.contains(&problem.key));
        problems
    }

    /// Returns the values.
    #[must_use]
    pub fn into_values(self) -> BTreeMap<String, ConfigValue> {
        self.values
    }

    /// The key and its origin, for errors about what the value refers to.
    pub(crate) fn place(&self, key: &str) -> String {
        let value = self.values.get(key);
        let origin = value.map_or(&self.origin, |value| &value.origin);
        format!("{}, {origin}", self.key(key))
    }

    /// Returns what was built, or every problem of the table if there is one.
    pub(crate) fn finish<T>(&self, built: Result<T, Error>) -> Result<T, Vec<Problem>> {
        match built {
            Ok(built) if !self.has_problems() => return Ok(built),
            Err(error) if !self.has_problems() => drop(self.invalid("", error.to_string())),
            _ => {}
        }
        Err(self.take_problems())
    }

    fn table_of(&self, key: &str, value: &ConfigValue) -> Option<Self> {
        match &value.raw {
            Value::Table(values) => Some(self.inner(key, value.origin.clone(), values.clone())),
            _ => None,
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
            self.wrong_type(key, value, ty);
        }
        typed
    }

    fn wrong_type(&self, key: &str, value: &ConfigValue, ty: FieldType) {
        let is_listable = ty == FieldType::Url && self.takes_plain_http.load(Ordering::Relaxed);
        let listable = value.plain_server().filter(|_| is_listable);
        if let (FieldType::Table | FieldType::SecretTable, None) = (ty, listable.as_ref()) {
            let problem = Problem::expected_table(value.origin.clone(), self.key(key));
            return drop(self.invalid(key, problem.message));
        }
        let message = match listable {
            Some(server) => format!(
                "expected an https URL; if a service mesh encrypts the connection, set {PLAIN_HTTP} = \
                 [\"{server}\"]"
            ),
            None => value.expected(ty),
        };
        drop(self.invalid(key, message));
    }
}

impl fmt::Debug for ConfigTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigTable")
            .field("name", &self.name)
            .field("values", &self.values)
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a key is set; of one that is not, where the table is that it belongs to.
fn origin_of<'v>(values: &'v BTreeMap<String, ConfigValue>, key: &str) -> Option<&'v Origin> {
    if let Some(value) = values.get(key) {
        return Some(&value.origin);
    }
    let (name, rest) = key.split_once('.')?;
    let value = values.get(name)?;
    match &value.raw {
        Value::Table(inside) => origin_of(inside, rest).or(Some(&value.origin)),
        _ => Some(&value.origin),
    }
}
