//! [`Builder`]: collects the configuration of a [`Biped`].

mod accounts;
mod hints;
mod needs;
mod providers;
mod sections;
mod sources;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use biped_config::{
    Origin, Problem, ProviderConfig, ProviderKind, SecretScheme, Section, StoreKind, Value,
};
use biped_core::{
    Clock, Error, HttpClient, PlainHttp, Provider, References, SystemClock, TokenRequest,
    TokenStore, wire,
};
use biped_engine::{Settings, TokenManager};

use self::{
    needs::Lent,
    providers::{Made, Maker, NamedFiles, hosts},
    sources::{File, Given, Read, Sources},
};
use crate::{
    biped::{Biped, ConfiguredProvider, Parts},
    config::{self, ConfigFile, Environment, Reach, Setting, Table},
    http::{Http, TokenClients},
    registry::{Registry, vault},
};

/// Collects the sources of the configuration, and the kinds, clients and stores that an application
/// brings.
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
    sources: Sources,
    registry: Registry,
    providers: BTreeMap<Arc<str>, (Arc<dyn Provider>, TokenRequest)>,
    http_client: Option<Arc<dyn HttpClient>>,
    clock: Arc<dyn Clock>,
    store: Option<Arc<dyn TokenStore>>,
    references: References,
    named_files: NamedFiles,
}

impl Biped {
    /// Reads a biped.toml, and the `BIPED_…` variables of the environment.
    ///
    /// # Errors
    /// Fails like [`Builder::build`].
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::builder().file(path).build()
    }

    /// Creates a builder, which collects the configuration.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Builder {
    fn new() -> Self {
        Self {
            sources: Sources::default(),
            registry: Registry::built_in(),
            providers: BTreeMap::new(),
            http_client: None,
            clock: Arc::new(SystemClock),
            store: None,
            references: References::All,
            named_files: NamedFiles::default(),
        }
    }

    /// Reads a file. Of several files, a later one overrides earlier ones key by key.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.sources.files.push(File::At(path.into()));
        self
    }

    /// Uses a file that is already open, in the same way as [`file`](Self::file).
    pub fn opened_file(mut self, file: ConfigFile) -> Self {
        self.sources.files.push(File::Opened(file));
        self
    }

    /// Resolves only these references (`env:`, `file:`, `cmd`, registered schemes), whatever source
    /// holds them. Default: all.
    ///
    /// With fewer references a [`Biped`] can only show what is configured. Connections are made without
    /// the references of `[http]`. A store is left out if its URL or key can't be read, and always if no
    /// reference may be resolved ([`Biped::unread_store`]).
    pub fn references(mut self, references: References) -> Self {
        self.references = references;
        self
    }

    /// Reads a text like a file; errors call it `the configuration text`. Paths in it are relative to the
    /// working directory.
    pub fn toml(mut self, text: impl Into<String>) -> Self {
        self.sources.files.push(File::Text(text.into()));
        self
    }

    /// Reads `BIPED_…` variables from these, instead of from the process's environment. References like
    /// `env:NAME` still read the process's environment.
    pub fn environment<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        self.sources.environment = Environment::Given(variables.collect());
        self
    }

    /// Reads no `BIPED_…` variable.
    pub fn without_environment(mut self) -> Self {
        self.sources.environment = Environment::Off;
        self
    }

    /// Sets a value that overrides every file and variable. The key is a whole path, such as
    /// `providers.shop.client_id`; the name of a provider must not contain a dot.
    pub fn value(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.sources
            .values
            .push(Given::new(Origin::Builder, key, value));
        self
    }

    /// Sets a value like [`value`](Self::value), for an option of a command line such as `--store`.
    /// Errors name the option.
    pub fn option(
        mut self,
        option: impl Into<Arc<str>>,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        let origin = Origin::Option(option.into());
        self.sources.values.push(Given::new(origin, key, value));
        self
    }

    /// Sets a default, which every file and variable overrides.
    pub fn default_value(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.sources
            .defaults
            .push(Given::new(Origin::Default, key, value));
        self
    }

    /// Registers a kind of provider, for `kind = "…"`. The kind takes the keys that `build` reads. It
    /// replaces a built-in kind of the same name.
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

    /// Registers a kind of store, for `kind = "…"` in `[store]`. It replaces a built-in kind of the same
    /// name. [`build`](Self::build) fails if another kind declares one of its keys with another type.
    pub fn store_kind(mut self, kind: StoreKind) -> Self {
        self.registry.add_store(kind);
        self
    }

    /// Registers a section, which is a table beside `[providers]` ([`Biped::section`]).
    /// [`build`](Self::build) fails if there is already a section of this name.
    pub fn section(mut self, section: Section) -> Self {
        self.registry.add_section(section);
        self
    }

    /// Registers a scheme of references to secrets. In files, options and values, secrets that begin with
    /// its name and a colon become references. [`build`](Self::build) fails if there is already a scheme
    /// of this name.
    pub fn secret_scheme(mut self, scheme: SecretScheme) -> Self {
        self.registry.add_scheme(scheme);
        self
    }

    /// Adds a provider that the application made itself, and the request for its tokens. It replaces a
    /// configured provider of the same name.
    pub fn provider(
        mut self,
        name: impl Into<Arc<str>>,
        provider: Arc<dyn Provider>,
        request: TokenRequest,
    ) -> Self {
        self.providers.insert(name.into(), (provider, request));
        self
    }

    /// Sends token requests through this client. Default: reqwest, with the settings of `[http]` and
    /// `[providers.NAME.http]`.
    pub fn http_client(mut self, http_client: Arc<dyn HttpClient>) -> Self {
        self.http_client = Some(http_client);
        self
    }

    /// Uses this clock. Default: the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Keeps tokens in this store as well, instead of the one that `[store]` configures.
    pub fn store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Returns the merged configuration, sorted by key, with secrets redacted. It may have problems, as
    /// long as every file is TOML.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a file that can't be read or is
    /// not TOML.
    pub fn config(&self) -> Result<Vec<Setting>, Error> {
        let Read { root, referenced } = self.read(&mut Vec::new())?;
        self.sources.warn_of_unused(&self.registry, &referenced);
        Ok(config::describe(&root, &self.registry))
    }

    /// Returns what a file would resolve, and where it would send secrets and tokens. Resolves
    /// nothing.
    ///
    /// The result depends on the file alone: environment variables belong to the user, and change
    /// nothing here.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a file that is not TOML.
    pub fn reach(&self, file: &ConfigFile) -> Result<Reach, Error> {
        let alone = Self {
            sources: Sources {
                files: vec![File::Opened(file.clone())],
                environment: Environment::Off,
                ..Sources::default()
            },
            registry: self.registry.clone(),
            references: References::None,
            ..Self::new()
        };
        let Read { root, .. } = alone.read(&mut Vec::new())?;
        // Making the providers reads the files that they name.
        let own = hosts(&alone.make_providers(&root, &mut Vec::new()));
        // The environment may complete providers that the file alone leaves incomplete.
        let merged = self.clone().references(References::None);
        let seen = merged.read(&mut Vec::new()).map(|Read { root, .. }| {
            let made = merged.make_providers(&root, &mut Vec::new());
            hosts(&made)
        });
        let seen = seen.unwrap_or_default();
        Ok(Reach::of(&root, file, &self.registry, &own, &seen))
    }

    /// Returns the kinds of provider that a configuration may name, built in or registered, sorted.
    pub fn kinds(&self) -> impl Iterator<Item = &ProviderKind> {
        self.registry.providers()
    }

    /// Returns the kinds of store that a configuration may name beside `memory`, built in or registered,
    /// sorted.
    pub fn store_kinds(&self) -> impl Iterator<Item = &StoreKind> {
        self.registry.stores()
    }

    /// Returns the JSON Schema of a biped.toml, including the registered kinds and sections.
    #[must_use]
    pub fn json_schema(&self) -> serde_json::Value {
        config::schema::of(self.registry.providers(), &self.registry)
    }

    /// Reads the configuration, and makes a [`Biped`]. Sends nothing, and reads no secret of a provider.
    ///
    /// Warnings of providers, such as credentials that will expire, are logged.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration), with one line for each problem
    /// ([`config`](crate::config)).
    pub fn build(mut self) -> Result<Biped, Error> {
        self.registry.renew_schemes();
        self.named_files = NamedFiles::default();
        let mut problems = self.registry.problems().to_vec();
        let Read { root, referenced } = self.read(&mut problems)?;
        self.sources.warn_of_unused(&self.registry, &referenced);
        sections::report_unknown(&root, &self.registry, &mut problems);
        let sections = sections::read(&root, &self.registry, &mut problems);
        let section = |name| sections.get(name).map(|section| &**section);
        let engine = section(config::engine::NAME).and_then(|it| it.downcast_ref::<Settings>());
        let mut unread = None;
        let store = config::store::store(&root, &self.registry, &mut problems, &mut unread);
        let http = Http::new(section(config::http::NAME), &root, &mut problems);
        vault::locate(self.registry.vault(), section(vault::NAME));
        let mut made = self.make_providers(&root, &mut problems);
        let clients = match &self.http_client {
            Some(client) => Some(TokenClients {
                default: client.clone(),
                own: BTreeMap::new(),
            }),
            None => http.token_clients(&mut problems),
        };
        if unread.is_none() || self.store.is_some() {
            self.check_accounts(&root, &made, store.as_ref(), &mut problems);
        }
        if !problems.is_empty() {
            return Err(config::report(problems));
        }
        let clients = clients.ok_or_else(|| {
            Error::configuration("there is no HTTP client for token requests")
                .with_remedy("set one with Builder::http_client, or enable biped's feature reqwest")
        })?;
        self.registry.connect_schemes(clients.default.clone());
        for (name, (provider, request)) in &self.providers {
            made.insert(name.clone(), Made::by_application(provider, request));
        }
        let (store, unread) = self.store_in_use(store, unread);
        let mut manager = TokenManager::builder(clients.default)
            .clock(self.clock.clone())
            .settings(engine.cloned().unwrap_or_default());
        if let Some(store) = store {
            manager = manager.store(store);
        }
        for (name, made) in &made {
            manager = manager.named_provider(name.clone(), made.provider.clone());
            if let Some(client) = clients.own.get(name) {
                manager = manager.provider_http(made.provider.id(), client.clone());
            }
        }
        let manager = manager.build();
        self.log_warnings(&made);
        let providers = made.into_iter().map(|(name, made)| {
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
            variables: referenced,
            sections,
            http,
            unread_store: unread,
            files: self.files_read(),
        }))
    }

    fn files_read(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = self.sources.paths().map(Path::to_owned).collect();
        files.extend(self.named_files.all());
        files
    }

    /// Checks that the store can keep the refresh tokens that providers rotate.
    fn check_accounts(
        &self,
        root: &Table,
        made: &BTreeMap<Arc<str>, Made>,
        store: Option<&Arc<dyn TokenStore>>,
        problems: &mut Vec<Problem>,
    ) {
        let is_store_wrong = problems.iter().any(|it| it.key.starts_with("store"));
        if self.references == References::None || is_store_wrong {
            return;
        }
        let configured = made.iter().map(|(name, made)| (name, &made.provider));
        let own = self.providers.iter();
        let own = own.map(|(name, (provider, _))| (name, provider));
        let store = self.store.as_ref().or(store);
        accounts::check(configured.chain(own), root, store, problems);
    }

    /// Returns the store to use instead of the configured one, and why none is open.
    fn store_in_use(
        &self,
        configured: Option<Arc<dyn TokenStore>>,
        unread: Option<Error>,
    ) -> (Option<Arc<dyn TokenStore>>, Option<Error>) {
        if self.references == References::None {
            // The keys of tokens in the store depend on references.
            let shown = "references are not read, because the configuration is only shown";
            return (None, Some(unread.unwrap_or_else(|| Error::secret(shown))));
        }
        match &self.store {
            Some(given) => (Some(given.clone()), None),
            None => (configured, unread),
        }
    }

    /// Logs what the operator should know of providers.
    fn log_warnings(&self, made: &BTreeMap<Arc<str>, Made>) {
        let now = self.clock.now().wall;
        for (name, made) in made {
            let clear = made.provider.plain_http().and_then(PlainHttp::warning);
            for warning in made.provider.warning(now).into_iter().chain(clear) {
                let (provider, warning) = (&*wire::escaped(name), wire::Escaped(&warning));
                tracing::warn!(provider, "{warning}");
            }
        }
    }

    fn read(&self, problems: &mut Vec<Problem>) -> Result<Read, Error> {
        self.sources.read(&self.registry, self.references, problems)
    }

    fn make_providers(
        &self,
        root: &Table,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<Arc<str>, Made> {
        let maker = Maker {
            registry: &self.registry,
            opened: self.sources.opened(),
            named_files: self.named_files.clone(),
            own: self
                .providers
                .iter()
                .map(|(name, (provider, request))| {
                    let known = Lent {
                        id: provider.id().clone(),
                        request: request.clone(),
                        has_tenants: provider.tenants().is_some(),
                    };
                    (name.to_string(), Some(known))
                })
                .collect(),
        };
        maker.make(root, problems)
    }
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
                &self
                    .sources
                    .files
                    .iter()
                    .map(File::path)
                    .collect::<Vec<_>>(),
            )
            .field("defaults", &keys(&self.sources.defaults))
            .field("values", &keys(&self.sources.values))
            .field(
                "kinds",
                &self.kinds().map(ProviderKind::name).collect::<Vec<_>>(),
            )
            .field("providers", &self.providers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
