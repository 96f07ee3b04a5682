//! [`Builder`]: what a [`Biped`] is made of.

mod providers;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use biped_config::{
    ConfigTable, ConfigValue, Origin, Problem, ProviderConfig, ProviderKind, SecretScheme, Section,
    StoreKind, Value,
};
use biped_core::{
    Clock, Error, HttpClient, Provider, References, SystemClock, TokenRequest, TokenStore, wire,
};
use biped_engine::{Settings, TokenManager};

use self::providers::{Made, Maker, hosts};
use crate::{
    biped::{Biped, ConfiguredProvider, Parts, Sections},
    config::{self, ConfigFile, Environment, Layer, OwnerCheck, Reach, Setting, Table},
    http::Http,
    registry::Registry,
};

/// Collects the sources of the configuration, and what an application brings itself.
///
/// ```
/// use biped::Biped;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let biped = Biped::builder()
///     .toml(
///         r#"
///         [providers.shop]
///         kind = "envelope"
///         base_url = "https://api.vendor.example"
///         client_id = "7f1c"
///         client_secret = "file:/run/secrets/shop"
///         "#,
///     )
///     .environment([("BIPED_PROVIDERS__SHOP__CLIENT_ID", "another")])
///     .value("engine.max_wait", "3s")
///     .build()?;
/// assert_eq!(biped.names().collect::<Vec<_>>(), ["shop"]);
/// # Ok::<(), biped::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Builder {
    files: Vec<File>,
    environment: Environment,
    defaults: Vec<Given>,
    values: Vec<Given>,
    registry: Registry,
    providers: BTreeMap<Arc<str>, (Arc<dyn Provider>, TokenRequest)>,
    http_client: Option<Arc<dyn HttpClient>>,
    clock: Arc<dyn Clock>,
    store: Option<Arc<dyn TokenStore>>,
    references: References,
}

/// A value that the application gave, at the whole path of its key.
#[derive(Clone)]
struct Given {
    key: String,
    value: ConfigValue,
}

impl Given {
    fn new(origin: Origin, key: impl Into<String>, value: impl Into<Value>) -> Self {
        let raw = value.into();
        Self {
            key: key.into(),
            value: ConfigValue { raw, origin },
        }
    }
}

#[derive(Clone)]
enum File {
    At(PathBuf),
    Opened(ConfigFile),
    Text(String),
}

/// What errors call a text that came from no file.
const TEXT_NAME: &str = "biped.toml";

impl Biped {
    /// Reads a biped.toml, and the `BIPED_…` variables of the environment.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::builder().file(path).build()
    }

    /// Collects the configuration, and what an application brings itself.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Builder {
    fn new() -> Self {
        Self {
            files: Vec::new(),
            environment: Environment::default(),
            defaults: Vec::new(),
            values: Vec::new(),
            registry: Registry::built_in(),
            providers: BTreeMap::new(),
            http_client: None,
            clock: Arc::new(SystemClock),
            store: None,
            references: References::All,
        }
    }

    /// Reads a file. Of several, the later goes ahead of the earlier, key by key.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(File::At(path.into()));
        self
    }

    /// Takes a file that was opened already, as [`file`](Self::file) does.
    pub fn opened_file(mut self, file: ConfigFile) -> Self {
        self.files.push(File::Opened(file));
        self
    }

    /// Resolves no other references (`env:`, `file:`, `cmd`) than these, whatever source names them.
    /// Default: all.
    ///
    /// With fewer, a [`Biped`] is good for showing what is configured: connections are made without
    /// what `[http]` refers to, and a store whose URL or key can't be read is left out, or any store
    /// where no reference may be resolved ([`Biped::unread_store`]).
    pub fn references(mut self, references: References) -> Self {
        self.references = references;
        self
    }

    /// Reads a text as if it were a file, called `biped.toml` in errors. Files that it names are
    /// relative to the working directory.
    pub fn toml(mut self, text: impl Into<String>) -> Self {
        self.files.push(File::Text(text.into()));
        self
    }

    /// Takes these as the environment variables. Default: those of the process. It is about
    /// `BIPED_…` overrides only; a reference like `env:NAME` is always to the process's variables.
    pub fn environment<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        self.environment = Environment::Given(variables.collect());
        self
    }

    /// Leaves environment variables alone: no `BIPED_…` variable is read.
    pub fn without_environment(mut self) -> Self {
        self.environment = Environment::Off;
        self
    }

    /// Sets a value ahead of every file and variable. The key is a whole path, such as
    /// `providers.shop.client_id` (a provider's name with a dot in it can't be addressed so).
    pub fn value(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.values.push(Given::new(Origin::Builder, key, value));
        self
    }

    /// Sets a value as [`value`](Self::value) does, for an option of the application's command
    /// line, such as `--store`: errors about it name the option.
    pub fn option(
        mut self,
        option: impl Into<Arc<str>>,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        let origin = Origin::Option(option.into());
        self.values.push(Given::new(origin, key, value));
        self
    }

    /// Sets a value behind every file and variable: it counts where nothing else is said.
    pub fn default_value(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.defaults.push(Given::new(Origin::Default, key, value));
        self
    }

    /// Registers a kind of provider, for `kind = "…"`: the keys that `build` reads are the keys it
    /// takes. A built-in kind of the same name is replaced.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use biped::{Biped, Error, provider::{Provider, ProviderConfig}};
    /// # use biped::{Token, TokenRequest, provider::{FetchContext, ProviderId, SecretRef, async_trait}};
    /// # #[derive(Debug)] struct Acme { id: ProviderId, key: SecretRef }
    /// # impl Acme { fn new(name: Arc<str>, key: SecretRef) -> Self {
    /// #     let id = ProviderId::new("acme", "https://acme.example/token", "").named(name);
    /// #     Self { id: id.credential(&key), key } } }
    /// # #[async_trait] impl Provider for Acme {
    /// #     fn id(&self) -> &ProviderId { &self.id }
    /// #     async fn fetch(&self, _: &TokenRequest, _: &FetchContext<'_>) -> Result<Token, Error> {
    /// #         Err(Error::internal("an example")) } }
    ///
    /// let biped = Biped::builder()
    ///     .register("acme", |config: &ProviderConfig| {
    ///         let key = config.secret("api_key").ok_or_else(|| config.missing("api_key"))?;
    ///         Ok(Arc::new(Acme::new(config.name(), key)) as Arc<dyn Provider>)
    ///     })
    ///     .toml("providers.parts = { kind = 'acme', api_key = 'env:ACME_KEY' }")
    ///     .build()?;
    /// assert_eq!(biped.provider("parts")?.kind(), "acme");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn register(
        self,
        kind: impl Into<Box<str>>,
        build: impl Fn(&ProviderConfig) -> Result<Arc<dyn Provider>, Error> + Send + Sync + 'static,
    ) -> Self {
        self.provider_kind(ProviderKind::new(kind, build))
    }

    /// Registers a kind of provider that declares its keys.
    pub fn provider_kind(mut self, kind: ProviderKind) -> Self {
        self.registry.add_provider(kind);
        self
    }

    /// Registers a kind of store, for `kind = "…"` in `[store]`. A built-in kind of the same name is
    /// replaced; a key that another kind has as well must be of the same type, else
    /// [`build`](Self::build) says so.
    pub fn store_kind(mut self, kind: StoreKind) -> Self {
        self.registry.add_store(kind);
        self
    }

    /// Registers a section of the application's own: a table beside `[providers]`
    /// ([`Biped::section`]). Its name is new, else [`build`](Self::build) says so.
    pub fn section(mut self, section: Section) -> Self {
        self.registry.add_section(section);
        self
    }

    /// Registers a scheme of references to secrets: texts that begin with its name and a colon are
    /// references from now on, in files and where the application sets a value. Its name is new, else
    /// [`build`](Self::build) says so.
    pub fn secret_scheme(mut self, scheme: SecretScheme) -> Self {
        self.registry.add_scheme(scheme);
        self
    }

    /// Adds a provider that the application made itself, with the request that its tokens are
    /// for. It takes the place of a configured one of the same name.
    pub fn provider(
        mut self,
        name: impl Into<Arc<str>>,
        provider: Arc<dyn Provider>,
        request: TokenRequest,
    ) -> Self {
        self.providers.insert(name.into(), (provider, request));
        self
    }

    /// Sends token requests through this client. Default: reqwest, by what `[http]` says.
    pub fn http_client(mut self, http_client: Arc<dyn HttpClient>) -> Self {
        self.http_client = Some(http_client);
        self
    }

    /// Goes by this clock. Default: the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Keeps tokens in this store as well, whatever `[store]` says. Default: what `[store]` says.
    pub fn store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// The merged configuration as it may be shown, sorted by key. It needn't be right: only what
    /// is no TOML can't be shown.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a file that can't be read, or is
    /// no TOML.
    pub fn config(&self) -> Result<Vec<Setting>, Error> {
        let root = self.read(&mut Vec::new())?;
        Ok(config::describe(&root, &self.registry))
    }

    /// What one of its files resolves, and where it sends secrets and tokens. Resolves nothing.
    ///
    /// It is about the file alone: an environment variable that overrides a value of the file is its
    /// user's, and changes nothing here.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a file that is no TOML.
    pub fn reach(&self, file: &ConfigFile) -> Result<Reach, Error> {
        let alone = Self {
            files: vec![File::Opened(file.clone())],
            registry: self.registry.clone(),
            environment: Environment::Off,
            references: References::None,
            ..Self::new()
        };
        let root = alone.read(&mut Vec::new())?;
        // Making them reads the files that they name.
        let own = hosts(&alone.make_providers(&root, &mut Vec::new()));
        // With what is in the environment there may be more to see.
        let merged = self.clone().references(References::None);
        let seen = merged.read(&mut Vec::new()).map(|root| {
            let made = merged.make_providers(&root, &mut Vec::new());
            hosts(&made)
        });
        let seen = seen.unwrap_or_default();
        Ok(Reach::of(&root, file, &self.registry, &own, &seen))
    }

    /// The kinds of provider that a configuration may name, sorted: the built-in ones and those
    /// that are registered here.
    pub fn kinds(&self) -> impl Iterator<Item = &ProviderKind> {
        self.registry.providers()
    }

    /// The kinds of store that a configuration may name beside `memory`, sorted: the built-in ones
    /// and those that are registered here.
    pub fn store_kinds(&self) -> impl Iterator<Item = &StoreKind> {
        self.registry.stores()
    }

    /// The JSON Schema of a biped.toml, with the kinds and the sections that are registered here.
    #[must_use]
    pub fn json_schema(&self) -> serde_json::Value {
        config::schema::of(self.registry.providers(), &self.registry)
    }

    /// Reads everything, and makes a [`Biped`] of it. Sends nothing, and reads no secret of a
    /// provider.
    ///
    /// What a provider has to say to its operator, such as that its credentials will expire, is
    /// logged as a warning.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration), with every problem there is on a
    /// line of its own ([`config`](crate::config)).
    pub fn build(self) -> Result<Biped, Error> {
        let mut problems = self.registry.problems().to_vec();
        let root = self.read(&mut problems)?;
        unknown_sections(&root, &self.registry, &mut problems);
        let sections = read_sections(&root, &self.registry, &mut problems);
        let section = |name| sections.get(name).map(|section| &**section);
        let engine = section(config::engine::NAME).and_then(|it| it.downcast_ref::<Settings>());
        let mut unread = None;
        let mut store = config::store::store(&root, &self.registry, &mut problems, &mut unread);
        let http = Http::new(section(config::http::NAME));
        let mut made = self.make_providers(&root, &mut problems);
        let http_client = match &self.http_client {
            Some(client) => Some(client.clone()),
            None => http.token_client(&root, &mut problems),
        };
        if !problems.is_empty() {
            return Err(config::report(problems));
        }
        let http_client = http_client.ok_or_else(|| {
            Error::configuration("there is no HTTP client for token requests").with_remedy(
                "give one with Builder::http_client, or turn on biped's feature reqwest",
            )
        })?;
        for (name, (provider, request)) in &self.providers {
            made.insert(name.clone(), Made::by_application(provider, request));
        }
        let mut manager = TokenManager::builder(http_client)
            .clock(self.clock.clone())
            .settings(engine.cloned().unwrap_or_default());
        if self.references == References::None {
            // What would be looked up there depends on references.
            store = None;
            unread.get_or_insert(Error::secret("no reference is resolved here"));
        } else if let Some(given) = self.store {
            (store, unread) = (Some(given), None);
        }
        if let Some(store) = store {
            manager = manager.store(store);
        }
        let manager = manager.build();
        let now = self.clock.now().wall;
        let providers = made.into_iter().map(|(name, made)| {
            if let Some(warning) = made.provider.warning(now) {
                let (provider, warning) = (&*wire::escaped(&name), wire::Escaped(&warning));
                tracing::warn!(provider, "{warning}");
            }
            let source = manager.source(made.provider, made.request);
            let source = source.with_api_base_url(made.api_base_url);
            (
                name.clone(),
                ConfiguredProvider::new(name, made.kind, source),
            )
        });
        let providers = providers.collect();
        let settings = config::describe(&root, &self.registry);
        Ok(Biped::new(Parts {
            manager,
            providers,
            settings,
            sections,
            http,
            unread_store: unread,
        }))
    }

    /// Reads and merges the sources. Problems of the files' texts come back at once, the others are
    /// noted.
    fn read(&self, problems: &mut Vec<Problem>) -> Result<Table, Error> {
        let mut layers = vec![self.layer("defaults", &self.defaults)];
        let mut broken = false;
        for file in &self.files {
            match file.read()? {
                Ok(table) => {
                    problems.extend(table.take_problems());
                    layers.push(Layer {
                        name: file.path().display().to_string(),
                        root: table.into_values(),
                    });
                }
                Err(found) => {
                    broken = true;
                    problems.extend(found);
                }
            }
        }
        if broken {
            return Err(config::report(std::mem::take(problems)));
        }
        let values = self.layer("the builder", &self.values);
        let known = layers.iter().chain([&values]);
        let names: BTreeSet<_> = known
            .flat_map(|layer| config::provider_names(&layer.root))
            .cloned()
            .collect();
        let sections = self.registry.section_names().collect::<Vec<_>>();
        let sections = sections.into_iter();
        layers.extend(self.environment.layers(sections, &names, problems));
        layers.push(values);
        let mut root = config::merge(&layers)?;
        config::rule(&mut root, self.references, &self.registry.schemes());
        Ok(root)
    }

    fn make_providers(
        &self,
        root: &Table,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<Arc<str>, Made> {
        let maker = Maker {
            registry: &self.registry,
            opened: self.files.iter().filter_map(File::opened).collect(),
        };
        maker.make(root, |name| self.providers.contains_key(name), problems)
    }

    fn layer(&self, name: &str, values: &[Given]) -> Layer {
        let mut root = Table::new();
        for given in values {
            config::insert(&mut root, given.key.split('.'), given.value.clone());
        }
        Layer {
            name: name.into(),
            root,
        }
    }
}

impl File {
    fn path(&self) -> &Path {
        match self {
            Self::At(path) => path,
            Self::Opened(file) => file.path(),
            Self::Text(_) => Path::new(TEXT_NAME),
        }
    }

    fn opened(&self) -> Option<ConfigFile> {
        match self {
            Self::Opened(file) => Some(file.clone()),
            _ => None,
        }
    }

    fn read(&self) -> Result<Result<ConfigTable, Vec<Problem>>, Error> {
        let path = self.path();
        Ok(match self {
            Self::Text(text) => ConfigTable::from_toml(path, text),
            Self::Opened(file) => ConfigTable::from_toml(path, file.text()),
            Self::At(_) => {
                let file = ConfigFile::open(path, OwnerCheck::Off)?;
                ConfigTable::from_toml(path, file.text())
            }
        })
    }
}

/// Reads the sections that are there.
fn read_sections(root: &Table, registry: &Registry, problems: &mut Vec<Problem>) -> Sections {
    let mut sections = Sections::new();
    for section in registry.sections() {
        let name = section.name();
        let (Some(value), Some(values)) = (root.get(name), config::table(root, name, problems))
        else {
            continue;
        };
        match section.read(&ConfigTable::new(
            name,
            value.origin.clone(),
            values.clone(),
        )) {
            Ok(read) => drop(sections.insert(name.into(), read)),
            Err(found) => problems.extend(found),
        }
    }
    sections
}

fn unknown_sections(root: &Table, registry: &Registry, problems: &mut Vec<Problem>) {
    let known = || registry.section_names();
    for (name, value) in root
        .iter()
        .filter(|(name, _)| !known().any(|known| known == *name))
    {
        if is_provider(value) {
            problems.push(Problem {
                origin: value.origin.clone(),
                key: name.clone(),
                message: format!("unknown key; did you mean the table [providers.{name}]?"),
            });
            continue;
        }
        problems.push(Problem::unknown_key(
            value.origin.clone(),
            name.clone(),
            name,
            known(),
        ));
    }
}

/// Whether this is a provider's table that is out of its place.
fn is_provider(value: &ConfigValue) -> bool {
    let Value::Table(table) = &value.raw else {
        return false;
    };
    ["client_id", "client_secret", "credentials"]
        .iter()
        .any(|key| table.contains_key(*key))
}

/// Without values: they may be secrets.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = |values: &[Given]| -> Vec<String> {
            values.iter().map(|given| given.key.clone()).collect()
        };
        f.debug_struct("Builder")
            .field(
                "files",
                &self.files.iter().map(File::path).collect::<Vec<_>>(),
            )
            .field("defaults", &keys(&self.defaults))
            .field("values", &keys(&self.values))
            .field(
                "kinds",
                &self.kinds().map(ProviderKind::name).collect::<Vec<_>>(),
            )
            .field("providers", &self.providers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
