//! [`Http`]: the clients that `[http]` configures.

use std::{any::Any, sync::Arc};

use biped_config::Problem;
use biped_core::HttpClient;

use crate::config::Table;

#[cfg(feature = "reqwest")]
mod with_reqwest {
    use std::sync::OnceLock;

    use biped_config::Origin;
    use biped_core::Error;
    use biped_reqwest::{ApiClients, HttpSettings, TokenClient};

    use super::{Any, Arc, HttpClient, Problem, Table};

    pub(crate) struct Http {
        settings: HttpSettings,
        /// Made with the first API client, since an application may need none.
        api_clients: OnceLock<ApiClients>,
    }

    impl Http {
        /// `section` is the value that `[http]` was read into.
        pub(crate) fn new(section: Option<&(dyn Any + Send + Sync)>) -> Self {
            let settings = section.and_then(|section| section.downcast_ref());
            Self {
                settings: settings.cloned().unwrap_or_default(),
                api_clients: OnceLock::new(),
            }
        }

        /// The client for token requests.
        pub(crate) fn token_client(
            &self,
            root: &Table,
            problems: &mut Vec<Problem>,
        ) -> Option<Arc<dyn HttpClient>> {
            match TokenClient::with(self.settings.clone()) {
                Ok(client) => Some(Arc::new(client)),
                Err(error) => {
                    let section = root.get("http");
                    let origin = section.map_or(Origin::Builder, |http| http.origin.clone());
                    let message = error.to_string();
                    problems.push(Problem {
                        origin,
                        key: "http".into(),
                        message,
                    });
                    None
                }
            }
        }

        /// The connections of all API clients.
        pub(crate) fn api_clients(&self) -> Result<&ApiClients, Error> {
            if let Some(clients) = self.api_clients.get() {
                return Ok(clients);
            }
            let made = ApiClients::with(self.settings.clone())?;
            Ok(self.api_clients.get_or_init(|| made))
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
    pub(crate) fn new(_: Option<&(dyn Any + Send + Sync)>) -> Self {
        Self
    }

    #[allow(clippy::unused_self)] // it is as with the feature
    pub(crate) fn token_client(
        &self,
        _: &Table,
        _: &mut Vec<Problem>,
    ) -> Option<Arc<dyn HttpClient>> {
        None
    }
}
