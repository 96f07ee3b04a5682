//! [`StoreKind`]: what `kind = "…"` in `[store]` names. [`StoreConfig`]: the values of `[store]`.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use biped_core::{Error, References, SecretString, TokenStore};

use crate::{
    field::Field, origin::Origin, problem::Problem, table::ConfigTable, value::ConfigValue,
};

/// A kind of token store: the value of `kind = "…"` in `[store]`, the keys that it takes, and the
/// function that makes a [`TokenStore`] of them.
///
/// Built-in kinds are declared in the same way as an application's own.
///
/// ```
/// # use std::sync::Arc;
/// # use biped_core::{Error, TokenStore};
/// use biped_config::{Field, FieldType, StoreConfig, StoreKind};
/// # fn connect(_: &str) -> Result<Arc<dyn TokenStore>, Error> { Err(Error::internal("an example")) }
/// use biped_core::ExposeSecret;
///
/// fn from_config(config: &StoreConfig) -> Result<Arc<dyn TokenStore>, Error> {
///     let dsn = config.read_secret("dsn")?.ok_or_else(|| config.missing("dsn"))?;
///     connect(dsn.expose_secret()).map_err(|error| config.invalid("dsn", error.to_string()))
/// }
///
/// let kind = StoreKind::new("postgres", from_config)
///     .field(Field::new("dsn", FieldType::Secret).required().about("Where the database is."));
/// ```
#[derive(Clone)]
pub struct StoreKind {
    name: Box<str>,
    about: Box<str>,
    fields: Vec<Field>,
    build: Arc<Build>,
}

type Build = dyn Fn(&StoreConfig) -> Result<Arc<dyn TokenStore>, Error> + Send + Sync;

impl StoreKind {
    /// Creates a kind of this name. `build` makes its stores; it runs while the configuration is
    /// read, and must not connect yet.
    ///
    /// `[store]` may hold the keys of every registered kind, so that an option or a variable can
    /// choose another kind. Two kinds that declare the same key must therefore declare the same type.
    pub fn new(
        name: impl Into<Box<str>>,
        build: impl Fn(&StoreConfig) -> Result<Arc<dyn TokenStore>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            about: Box::default(),
            fields: Vec::new(),
            build: Arc::new(build),
        }
    }

    /// Sets a few words that say where the kind keeps tokens.
    #[must_use]
    pub fn about(mut self, about: impl Into<Box<str>>) -> Self {
        self.about = about.into();
        self
    }

    /// Declares a key.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Returns the value of `kind = "…"`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns where the kind keeps tokens.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.about
    }

    /// Returns the declared keys.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    /// Makes a store.
    ///
    /// # Errors
    /// Returns every problem of this configuration, not only the first. The list is empty if a secret
    /// was not read because the configuration is only shown ([`StoreConfig::unread`]).
    pub fn build(&self, config: &StoreConfig) -> Result<Arc<dyn TokenStore>, Vec<Problem>> {
        for field in self.fields.iter().filter(|field| field.is_required()) {
            if config.value(field.name()).is_none() {
                drop(config.missing(field.name()));
            }
        }
        match (self.build)(config) {
            Ok(store) if !config.has_problems() => return Ok(store),
            Err(error) if !config.has_problems() && config.unread().is_none() => {
                drop(config.invalid("kind", error.to_string()));
            }
            _ => {}
        }
        Err(config.take_problems())
    }
}

impl fmt::Debug for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreKind")
            .field("name", &self.name)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// The values of `[store]`. It dereferences to a [`ConfigTable`], which has the typed reads.
pub struct StoreConfig {
    table: ConfigTable,
    unread: Mutex<Option<Error>>,
}

impl StoreConfig {
    /// Creates the configuration of a store. `values` holds its keys, including `kind`.
    #[must_use]
    pub fn new(origin: Origin, values: BTreeMap<String, ConfigValue>) -> Self {
        Self {
            table: ConfigTable::new("store", origin, values),
            unread: Mutex::default(),
        }
    }

    /// Reads the secret under a key now.
    ///
    /// # Errors
    /// Fails if the secret can't be read. The problem is also noted in the table.
    pub fn read_secret(&self, key: &str) -> Result<Option<SecretString>, Error> {
        let value = self.value(key);
        value.map(|value| self.reveal(key, value)).transpose()
    }

    /// Reads a secret that a value under a key holds or refers to, such as an item of a list.
    ///
    /// # Errors
    /// Fails like [`read_secret`](Self::read_secret).
    pub fn reveal(&self, key: &str, value: &ConfigValue) -> Result<SecretString, Error> {
        let expected = || self.invalid_at(&value.origin, key, "expected a secret");
        let read = value.to_secret().ok_or_else(expected)?.read_now();
        read.map_err(|error| {
            if value.origin.references() == References::All {
                return self.invalid_at(&value.origin, key, error.to_string());
            }
            let message = format!("{}: {}", self.key(key), error.message());
            let error = error.with_message(message);
            let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
            unread.get_or_insert(error).clone()
        })
    }

    /// Returns why a secret was not read. Only a configuration that is shown, and not used, has such a
    /// reason; it is not a problem there.
    #[must_use]
    pub fn unread(&self) -> Option<Error> {
        let unread = self.unread.lock();
        unread.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that a key is missing, at the place of the `kind` that needs the key.
    pub fn missing(&self, key: &str) -> Error {
        let kind = self.table.value("kind");
        let name = kind.and_then(ConfigValue::to_text).unwrap_or_default();
        let origin = kind.map_or(self.origin(), |kind| &kind.origin);
        self.invalid_at(origin, key, format!("missing; kind = {name:?} needs it"))
    }
}

impl Deref for StoreConfig {
    type Target = ConfigTable;

    fn deref(&self) -> &ConfigTable {
        &self.table
    }
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}
