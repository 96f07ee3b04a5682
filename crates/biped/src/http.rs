//! [`Http`]: the clients that `[http]` and `[providers.NAME.http]` configure.

use std::{any::Any, collections::BTreeMap, sync::Arc};

use biped_config::Problem;
use biped_core::HttpClient;

use crate::config::Table;

/// The clients for token requests: for each provider with settings of its own, and for all others.
pub(crate) struct TokenClients {
    pub(crate) default: Arc<dyn HttpClient>,
    pub(crate) own: BTreeMap<Arc<str>, Arc<dyn HttpClient>>,
}

#[cfg(feature = "reqwest")]
mod with_reqwest {
    use std::sync::OnceLock;

    use biped_config::{ConfigTable, ConfigValue, Origin, Value};
    use biped_core::Error;
    use biped_reqwest::{ApiClients, HttpSettings, TokenClient};

    use super::{Any, Arc, BTreeMap, HttpClient, Problem, Table, TokenClients};
    use crate::config;

    pub(crate) struct Http {
        default: Clients,
        /// Of the providers whose settings differ.
        own: BTreeMap<Arc<str>, Clients>,
    }

    struct Clients {
        settings: Arc<HttpSettings>,
        /// Where the settings are from, and their key.
        origin: Origin,
        key: String,
        /// Made with the first API client, since an application may need none.
        api_clients: OnceLock<ApiClients>,
    }

    impl Http {
        /// `section` is the value that `[http]` was read into.
        pub(crate) fn new(
            section: Option<&(dyn Any + Send + Sync)>,
            root: &Table,
            problems: &mut Vec<Problem>,
        ) -> Self {
            let settings = section.and_then(|section| section.downcast_ref());
            let settings: HttpSettings = settings.cloned().unwrap_or_default();
            let origin = root
                .get("http")
                .map_or(Origin::Builder, |it| it.origin.clone());
            let mut own = BTreeMap::new();
            for (name, value) in config::http::own_tables(root) {
                let key = format!("providers.{name}.http");
                if let Some(read) = read(&key, value, &settings, problems)
                    && read != settings
                {
                    let clients = Clients::new(read, value.origin.clone(), key);
                    own.insert(name.into(), clients);
                }
            }
            Self {
                default: Clients::new(settings, origin, "http".into()),
                own,
            }
        }

        fn of(&self, name: &str) -> &Clients {
            self.own.get(name).unwrap_or(&self.default)
        }

        /// The settings of a provider's connections.
        pub(crate) fn settings(&self, name: &str) -> &Arc<HttpSettings> {
            &self.of(name).settings
        }

        /// The clients for token requests.
        pub(crate) fn token_clients(&self, problems: &mut Vec<Problem>) -> Option<TokenClients> {
            let default = self.default.token_client(problems);
            let mut own = BTreeMap::new();
            for (name, clients) in &self.own {
                own.insert(name.clone(), clients.token_client(problems)?);
            }
            Some(TokenClients {
                default: default?,
                own,
            })
        }

        /// The connections of a provider's API clients.
        pub(crate) fn api_clients(&self, name: &str) -> Result<&ApiClients, Error> {
            let Clients {
                settings,
                api_clients,
                ..
            } = self.of(name);
            if let Some(clients) = api_clients.get() {
                return Ok(clients);
            }
            let made = ApiClients::with((**settings).clone())?;
            Ok(api_clients.get_or_init(|| made))
        }
    }

    impl Clients {
        fn new(settings: HttpSettings, origin: Origin, key: String) -> Self {
            Self {
                settings: Arc::new(settings),
                origin,
                key,
                api_clients: OnceLock::new(),
            }
        }

        fn token_client(&self, problems: &mut Vec<Problem>) -> Option<Arc<dyn HttpClient>> {
            match TokenClient::with((*self.settings).clone()) {
                Ok(client) => Some(Arc::new(client)),
                Err(error) => {
                    problems.push(Problem {
                        origin: self.origin.clone(),
                        key: self.key.clone(),
                        message: error.to_string(),
                    });
                    None
                }
            }
        }
    }

    /// The settings of `[http]`, with what a provider's own table says instead.
    fn read(
        key: &str,
        value: &ConfigValue,
        over: &HttpSettings,
        problems: &mut Vec<Problem>,
    ) -> Option<HttpSettings> {
        let Value::Table(values) = &value.raw else {
            let origin = value.origin.clone();
            problems.push(Problem::expected_table(origin, key.into()));
            return None;
        };
        let table = ConfigTable::new(key, value.origin.clone(), values.clone());
        match config::http::section_over(over.clone()).read(&table) {
            Ok(read) => read.downcast_ref().cloned(),
            Err(found) => {
                problems.extend(found);
                None
            }
        }
    }
}

#[cfg(feature = "reqwest")]
pub(crate) use with_reqwest::Http;

/// Holds nothing: the application brings an HTTP client.
#[cfg(not(feature = "reqwest"))]
pub(crate) struct Http;

#[cfg(not(feature = "reqwest"))]
impl Http {
    pub(crate) fn new(
        _: Option<&(dyn Any + Send + Sync)>,
        root: &Table,
        problems: &mut Vec<Problem>,
    ) -> Self {
        for (name, value) in crate::config::http::own_tables(root) {
            problems.push(Problem {
                origin: value.origin.clone(),
                key: format!("providers.{name}.http"),
                message: "needs biped's feature reqwest, which is not enabled".into(),
            });
        }
        Self
    }

    #[allow(clippy::unused_self)] // it is as with the feature
    pub(crate) fn token_clients(&self, _: &mut Vec<Problem>) -> Option<TokenClients> {
        None
    }
}
