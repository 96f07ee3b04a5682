//! [`Biped`]: the configured vendors, by name.

use std::{any::Any, collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use biped_config::{ProviderKind, nearest};
use biped_core::{Error, ParamValue, Provider, TokenRequest, VariableNames};
use biped_engine::{TokenManager, TokenSource};

use crate::{
    config::{Setting, shown_endpoint},
    http::Http,
};

/// The vendors that an application calls, by the names that the application gave them.
///
/// Make one when the application starts. A `Biped` is cheap to clone; all clones share tokens and
/// connections.
///
/// ```no_run
/// use biped::Biped;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let biped = Biped::from_file("biped.toml")?;
/// let token = biped.token_source("shop")?.token().await?;
/// # let _ = token;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Biped(Arc<Parts>);

/// The parts of a [`Biped`].
pub(crate) struct Parts {
    pub(crate) manager: TokenManager,
    pub(crate) providers: BTreeMap<Arc<str>, ConfiguredProvider>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) variables: VariableNames,
    pub(crate) sections: Sections,
    #[cfg_attr(not(feature = "reqwest"), allow(dead_code))] // nothing to make API clients with
    pub(crate) http: Http,
    pub(crate) unread_store: Option<Error>,
    pub(crate) files: Vec<PathBuf>,
}

/// The values that the sections were read into, by the names of the sections.
pub(crate) type Sections = BTreeMap<Box<str>, Arc<dyn Any + Send + Sync>>;

impl Biped {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Returns a client of a provider's API, which sends a fresh token with every request. Clients
    /// share their connections.
    ///
    /// ```no_run
    /// # async fn example(biped: biped::Biped) -> Result<(), Box<dyn std::error::Error>> {
    /// let analytics = biped.client("analytics")?;
    /// let mine = analytics.get("/v1/exports").send().await?;
    /// let theirs = analytics.param("project_id", 43).get("/v1/exports").send().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a name that is not configured,
    /// and for `[http]` settings that can't be used.
    #[cfg(feature = "reqwest")]
    pub fn client(&self, name: &str) -> Result<biped_reqwest::ApiClient, Error> {
        let source = self.token_source(name)?;
        Ok(self.0.http.api_clients(name)?.client(source))
    }

    /// Returns the settings of a provider's connections: those of `[http]`, with what
    /// `[providers.NAME.http]` says instead.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a name that is not configured.
    #[cfg(feature = "reqwest")]
    pub fn http_settings(&self, name: &str) -> Result<Arc<biped_reqwest::HttpSettings>, Error> {
        self.provider(name)?;
        Ok(self.0.http.settings(name).clone())
    }

    /// Returns the source of a provider's tokens, for the request that the configuration describes.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a name that is not configured.
    pub fn token_source(&self, name: &str) -> Result<TokenSource, Error> {
        Ok(self.provider(name)?.source.clone())
    }

    /// Gets the tokens of these providers concurrently, before the first call or to check whether the
    /// application is ready. Returns each name with its outcome after `max_wait` (10 s) at the latest,
    /// however many names there are.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a name that is not configured.
    pub async fn warm<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<Vec<(&'n str, Result<(), Error>)>, Error> {
        let names: Vec<_> = names.into_iter().collect();
        let sources: Result<Vec<_>, _> = names.iter().map(|name| self.token_source(name)).collect();
        let outcomes = self.manager().warm(sources?).await;
        Ok(names.into_iter().zip(outcomes).collect())
    }

    /// Returns the names of the configured providers, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.providers.keys().map(|name| &**name)
    }

    /// Returns a configured provider.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a name that is not configured;
    /// the error lists the configured names.
    pub fn provider(&self, name: &str) -> Result<&ConfiguredProvider, Error> {
        self.0.providers.get(name).ok_or_else(|| {
            let known: Vec<_> = self.names().collect();
            let all = known.join(", ");
            let remedy = match nearest(name, known.iter().copied()) {
                _ if known.is_empty() => "no provider is configured".into(),
                Some(meant) => format!("did you mean {meant}? Configured providers: {all}"),
                None => format!("configured providers: {all}"),
            };
            Error::configuration(format!("there is no provider named {name}")).with_remedy(remedy)
        })
    }

    /// Returns the value that a registered section was read into
    /// ([`Builder::section`](crate::Builder::section)); `None` if the section is not configured or has
    /// another type.
    ///
    /// ```
    /// use biped::{Biped, config::{Field, FieldType, Section}};
    ///
    /// struct Serve { port: u16 }
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let serve = Section::new("serve", |table| {
    ///     Ok(Serve { port: table.count("port").unwrap_or(7600) })
    /// });
    /// let biped = Biped::builder()
    ///     .section(serve.field(Field::new("port", FieldType::Integer)))
    ///     .toml("[serve]\nport = 7700")
    ///     .build()?;
    /// assert_eq!(biped.section::<Serve>("serve").map(|serve| serve.port), Some(7700));
    /// # Ok::<(), biped::Error>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn section<T: Any>(&self, name: &str) -> Option<&T> {
        self.0.sections.get(name)?.downcast_ref()
    }

    /// Returns the token manager that keeps the tokens.
    #[must_use]
    pub fn manager(&self) -> &TokenManager {
        &self.0.manager
    }

    /// Returns why no store is open: a configuration that is only shown
    /// ([`Builder::references`](crate::Builder::references)) may not resolve what opening the store, or
    /// finding a token in it, needs.
    #[must_use]
    pub fn unread_store(&self) -> Option<&Error> {
        self.0.unread_store.as_ref()
    }

    /// Returns the files that the configuration was read from: the builder's, then those that they name, such
    /// as descriptions of vendors. A program that reads its configuration again watches them.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.0.files
    }

    /// Returns the merged configuration, sorted by key, with the origin of each value. Secrets are
    /// redacted.
    #[must_use]
    pub fn config(&self) -> &[Setting] {
        &self.0.settings
    }

    /// Returns whether the configuration takes a value from this environment variable: whether a reference
    /// `env:NAME` names it, also one that another source overrides, or one of a tenant
    /// (`env:CRM_{tenant}_SECRET`). The variables in paths (`file:${NAME}/x`) do not count.
    ///
    /// A program that runs another one removes these variables from its environment, since they may hold
    /// secrets.
    #[must_use]
    pub fn refers_to_variable(&self, name: &str) -> bool {
        self.0.variables.has_value(name)
    }
}

impl fmt::Debug for Biped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Biped")
            .field("providers", &self.0.providers.values().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A provider that is configured under a name.
#[derive(Clone)]
pub struct ConfiguredProvider {
    name: Arc<str>,
    kind: Option<ProviderKind>,
    source: TokenSource,
}

impl ConfiguredProvider {
    pub(crate) fn new(name: Arc<str>, kind: Option<ProviderKind>, source: TokenSource) -> Self {
        Self { name, kind, source }
    }

    /// Returns the name that the application uses.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the kind of provider.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.provider().id().kind()
    }

    /// Returns the token endpoint or issuer.
    #[must_use]
    pub fn token_endpoint(&self) -> &str {
        self.provider().id().token_endpoint()
    }

    /// Returns the provider itself.
    #[must_use]
    pub fn provider(&self) -> &Arc<dyn Provider> {
        self.source.provider()
    }

    /// Returns the request that the configuration describes.
    #[must_use]
    pub fn request(&self) -> &TokenRequest {
        self.source.request()
    }

    /// Converts a parameter from text (`project_id=42` on a command line) to the type that the kind
    /// declares. A provider that the application made itself takes texts.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) if the kind does not have the
    /// parameter, or if the text is not of its type.
    pub fn param(&self, name: &str, text: &str) -> Result<ParamValue, Error> {
        let typed = self
            .kind
            .as_ref()
            .map_or_else(|| Ok(text.into()), |kind| kind.param(name, text));
        typed.map_err(|error| error.with_provider(self.name.clone()))
    }
}

impl fmt::Debug for ConfiguredProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredProvider")
            .field("name", &self.name)
            .field("kind", &self.kind())
            .field("token_endpoint", &shown_endpoint(self.token_endpoint()))
            .finish_non_exhaustive()
    }
}
