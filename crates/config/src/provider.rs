//! [`ProviderKind`]: what `kind = "…"` names. [`ProviderConfig`]: the values of one provider.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    ops::Deref,
    path::Path,
    sync::Arc,
};

use biped_core::{
    Error, MAX_FILE_SIZE, ParamValue, Provider, ProviderId, SecretRef, TokenRequest, read_text_file,
};

use url::Url;

use crate::{
    field::{API_BASE_URL, COMMON, Field, FieldType, PLAIN_HTTP},
    origin::Origin,
    problem::Problem,
    table::ConfigTable,
    value::{ConfigValue, Value, any_of},
};

/// A kind of provider: the value of `kind = "…"` in the configuration, the keys that it takes, and the
/// function that makes a [`Provider`] of them.
///
/// Built-in kinds are declared in the same way as an application's own.
///
/// ```
/// # use std::sync::Arc;
/// # use biped_core::{async_trait, Error, FetchContext, Provider, Token, TokenRequest};
/// use biped_config::{Field, FieldType, ProviderKind, ProviderConfig};
/// use biped_core::{ProviderId, SecretRef};
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
///     // Acme has no client identifier; the key tells clients apart.
///     let id = ProviderId::new("acme", endpoint, "").named(config.name()).credential(&key);
///     Ok(Arc::new(Acme { id, key }))
/// }
///
/// let kind = ProviderKind::new("acme", from_config)
///     .about("Acme's token service")
///     .field(Field::new("api_key", FieldType::Secret).required().about("The key Acme gave out."))
///     .field(Field::new("region", FieldType::Text).about("`eu` (default) or `us`."));
/// ```
#[derive(Clone)]
pub struct ProviderKind {
    name: Box<str>,
    about: Box<str>,
    fields: Vec<Field>,
    open_params: bool,
    base_url_key: &'static str,
    takes_plain_http: bool,
    build: Arc<Build>,
}

type Build = dyn Fn(&ProviderConfig) -> Result<Arc<dyn Provider>, Error> + Send + Sync;

impl ProviderKind {
    /// Creates a kind of this name. `build` makes its providers.
    ///
    /// Without [`field`](Self::field)s, the kind takes the keys that `build` reads. With fields, the
    /// configuration is checked before `build` runs, and a value of the wrong type reads as missing.
    /// `build` runs even if there are problems, so that its own are reported with them.
    pub fn new(
        name: impl Into<Box<str>>,
        build: impl Fn(&ProviderConfig) -> Result<Arc<dyn Provider>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            about: Box::default(),
            fields: Vec::new(),
            open_params: false,
            base_url_key: API_BASE_URL,
            takes_plain_http: false,
            build: Arc::new(build),
        }
    }

    /// Sets a few words that name the vendor or the standard.
    #[must_use]
    pub fn about(mut self, about: impl Into<Box<str>>) -> Self {
        self.about = about.into();
        self
    }

    /// Returns whether the kind declares its keys. If not, it takes the keys that it reads.
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

    /// Allows parameters of requests that no field declares; their values are texts.
    #[must_use]
    pub fn with_open_params(mut self) -> Self {
        self.open_params = true;
        self
    }

    /// Says that providers of this kind take `plain_http`, as
    /// [`Provider::plain_http`](biped_core::Provider::plain_http) has it. A problem of a URL suggests the key
    /// then. Default: it does not.
    #[must_use]
    pub fn takes_plain_http(mut self) -> Self {
        self.takes_plain_http = true;
        self
    }

    /// Sets the key whose value is the API's base URL if `api_base_url` is not set.
    #[must_use]
    pub fn base_url_key(mut self, key: &'static str) -> Self {
        self.base_url_key = key;
        self
    }

    /// Returns the API's base URL, if the configuration has one.
    #[must_use]
    pub fn api_base_url(&self, config: &ProviderConfig) -> Option<Url> {
        let configured = config.url(API_BASE_URL);
        configured.or_else(|| config.url(self.base_url_key))
    }

    /// Returns the value of `kind = "…"`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the vendor or the standard.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.about
    }

    /// Returns the keys that the kind takes: its own first, then those that every kind takes.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let is_own = |common: &&Field| !self.fields.iter().any(|own| own.name == common.name);
        self.fields.iter().chain(COMMON.iter().filter(is_own))
    }

    /// Whether the kind declares a key itself.
    pub(crate) fn has_own(&self, key: &str) -> bool {
        self.fields.iter().any(|field| field.name == key)
    }

    /// Makes a provider.
    ///
    /// # Errors
    /// Returns every problem of this configuration, not only the first.
    pub fn build(&self, config: &ProviderConfig) -> Result<Arc<dyn Provider>, Vec<Problem>> {
        if self.takes_plain_http {
            config.take_plain_http();
        }
        match self.declares_fields() {
            true => config.check(self.fields()),
            false => config.check_types(self.fields()),
        }
        config.require(self.fields());
        config.check_plain_http();
        // Each call brings its own query.
        for key in BTreeSet::from([API_BASE_URL, self.base_url_key]) {
            let base_url = config.value(key);
            let base_url = base_url.and_then(|url| url.to_url_with(config.plain_http()));
            if base_url.is_some_and(|url| url.query().is_some()) {
                drop(config.invalid(key, "expected a URL without query and fragment"));
            }
        }
        let built = (self.build)(config);
        if let Ok(provider) = &built
            && provider.plain_http() != config.plain_http()
        {
            let message = format!("providers of kind {} use TLS; remove it", self.name);
            drop(config.invalid(PLAIN_HTTP, message));
        }
        if built.is_ok() && !self.declares_fields() {
            for common in COMMON {
                let _ = config.value(common.name());
            }
            config.report_unread();
        }
        config.finish(built)
    }

    /// Returns the token request that the configuration describes: its scopes, and the fields that
    /// are [parameters of a request](Field::per_request).
    #[must_use]
    pub fn request(&self, config: &ProviderConfig) -> TokenRequest {
        let mut request = TokenRequest::new().scopes(config.texts("scope").unwrap_or_default());
        for field in self.fields.iter().filter(|field| field.per_request) {
            let value = match field.ty {
                FieldType::Integer => config.integer(field.name).map(ParamValue::from),
                FieldType::Bool => config.boolean(field.name).map(ParamValue::from),
                FieldType::TextsOrFalse
                    if config.value(field.name).is_some_and(ConfigValue::is_false) =>
                {
                    None
                }
                FieldType::Texts | FieldType::TextsOrFalse => {
                    config.texts(field.name).map(ParamValue::from)
                }
                _ => config.string(field.name).map(ParamValue::from),
            };
            if let Some(value) = value {
                request = request.param(field.name, value);
            }
        }
        request
    }

    /// Converts a parameter from text (`--param project_id=42`) to its declared type.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) if this kind does not have the
    /// parameter, or if the text is not of its type.
    pub fn param(&self, name: &str, text: &str) -> Result<ParamValue, Error> {
        let declared = || self.fields.iter().filter(|field| field.per_request);
        let Some(field) = declared().find(|field| field.name == name) else {
            if self.open_params {
                return Ok(text.into());
            }
            let known: Vec<_> = declared().map(Field::name).collect();
            let remedy = if self.fields().any(|field| field.name == name) {
                format!("{name} is a key of the provider; set it in its table")
            } else if known.is_empty() {
                format!("providers of kind {} have no parameters", self.name)
            } else {
                format!("expected one of {}", known.join(", "))
            };
            return Err(
                Error::configuration(format!("unknown parameter {name}")).with_remedy(remedy)
            );
        };
        let typed = match field.ty {
            FieldType::Integer => text.trim().parse::<i64>().ok().map(ParamValue::from),
            FieldType::Bool => text.trim().parse::<bool>().ok().map(ParamValue::from),
            FieldType::Texts | FieldType::TextsOrFalse => Some(
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
                "parameter {name}: expected {}",
                field.ty.expected()
            ))
        })
    }
}

impl fmt::Debug for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderKind")
            .field("name", &self.name)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// The values of one provider. It dereferences to a [`ConfigTable`], which has the typed reads.
pub struct ProviderConfig {
    name: Arc<str>,
    kind: Box<str>,
    table: ConfigTable,
    read_file: Arc<ReadFile>,
    others: Arc<Others>,
}

type Others = dyn Fn(&str) -> Result<Option<(ProviderId, TokenRequest)>, String> + Send + Sync;
type ReadFile = dyn Fn(&Origin, &Path) -> io::Result<String> + Send + Sync;

impl ProviderConfig {
    /// Creates the configuration of the provider `name`. `values` holds its keys, with or without `kind`.
    #[must_use]
    pub fn new(
        name: impl Into<Arc<str>>,
        kind: impl Into<Box<str>>,
        origin: Origin,
        values: BTreeMap<String, ConfigValue>,
    ) -> Self {
        let (name, kind) = (name.into(), kind.into());
        let mut values = values;
        values.entry("kind".into()).or_insert_with(|| ConfigValue {
            raw: Value::Text(kind.clone().into()),
            origin: origin.clone(),
        });
        let mut table = ConfigTable::new(format!("providers.{name}"), origin, values);
        table.read_plain_http();
        Self {
            table,
            name,
            kind,
            read_file: Arc::new(|_, path| read_text_file(path, MAX_FILE_SIZE)),
            others: Arc::new(|_| Err("providers can't be named here".into())),
        }
    }

    /// Sets how [`other_provider`](Self::other_provider) finds the other providers of the
    /// configuration.
    #[must_use]
    pub fn finding_providers_with(
        mut self,
        find: impl Fn(&str) -> Result<Option<(ProviderId, TokenRequest)>, String>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.others = Arc::new(find);
        self
    }

    /// Returns the id of another provider of the configuration, and the request for its tokens. `None`
    /// if that provider has problems of its own, which are reported there.
    ///
    /// # Errors
    /// A message if no provider has this name, or if it needs a token of this one.
    pub fn other_provider(&self, name: &str) -> Result<Option<(ProviderId, TokenRequest)>, String> {
        (self.others)(name)
    }

    /// Sets how [`text_of_file`](Self::text_of_file) reads a file. `read` gets the origin of the value
    /// that names the file, and its path.
    #[must_use]
    pub fn reading_files_with(
        mut self,
        read: impl Fn(&Origin, &Path) -> io::Result<String> + Send + Sync + 'static,
    ) -> Self {
        self.read_file = Arc::new(read);
        self
    }

    /// Returns the name that the application uses for the provider.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// Returns the kind of provider.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the client identifier and the client secret: `client_id` and `client_secret`, or the
    /// pairs in `credentials`.
    ///
    /// # Errors
    /// Fails if one is missing. The problem is also noted in the table.
    pub fn credentials(&self) -> Result<(SecretRef, SecretRef), Error> {
        if let Some(value) = self.value("credentials") {
            for key in ["client_id", "client_secret"] {
                if self.value(key).is_some() {
                    return Err(
                        self.invalid(key, "credentials is set as well; remove one of the two")
                    );
                }
            }
            let (id, secret) = to_pairs(value).ok_or_else(|| {
                self.invalid(
                    "credentials",
                    "expected a list of { client_id, client_secret }",
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

    /// Returns the text of a file that the configuration names, such as a description of a vendor.
    ///
    /// Such a file is checked in the same way as the configuration file: its owner, who may write it,
    /// and whether it has changed since it was trusted.
    #[must_use]
    pub fn text_of_file(&self, key: &str) -> Option<Result<String, Error>> {
        let path = self.path(key)?;
        let origin = &self.table.value(key)?.origin;
        let read = (self.read_file)(origin, &path);
        Some(read.map_err(|error| {
            let shown = path.display();
            self.invalid(key, format!("{shown} can't be read: {error}"))
        }))
    }

    /// Notes that a key is missing.
    pub fn missing(&self, key: &str) -> Error {
        let common = COMMON.iter().find(|field| field.name == key);
        match common.map(|field| field.ty.expected()) {
            Some(expected) => self.invalid(key, format!("missing; expected {expected}")),
            None => self.table.missing(key),
        }
    }
}

impl Deref for ProviderConfig {
    type Target = ConfigTable;

    fn deref(&self) -> &ConfigTable {
        &self.table
    }
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

/// `[{ client_id, client_secret }, …]` as two references whose candidates belong together.
fn to_pairs(value: &ConfigValue) -> Option<(SecretRef, SecretRef)> {
    let Value::List(pairs) = &value.raw else {
        return None;
    };
    let column = |key: &'static str| {
        any_of(pairs.iter().map(move |pair| {
            match &pair.raw {
                Value::Table(table) if table.len() == 2 => table
                    .get(key)?
                    .to_filled_secret()
                    .filter(|secret| secret.candidates() == 1),
                _ => None,
            }
        }))
    };
    Some((column("client_id")?, column("client_secret")?))
}
