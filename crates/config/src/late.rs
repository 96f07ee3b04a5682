//! [`LateHttp`]: the HTTP client, which is known only after the configuration is read.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use biped_core::{Error, HttpClient, SecretSource, SecretString, SourceContext, async_trait};

/// What sends requests for the secrets of a configuration. The configuration itself says how requests are
/// sent, so the client is set once all of it is read. Clones share it.
#[derive(Clone, Default)]
pub struct LateHttp(Arc<OnceLock<Arc<dyn HttpClient>>>);

impl LateHttp {
    /// Sets the client. Only the first call counts.
    pub fn connect(&self, http: Arc<dyn HttpClient>) {
        let _ = self.0.set(http);
    }

    /// Returns the context, with this client if there is one.
    #[must_use]
    pub fn give<'a>(&'a self, cx: &SourceContext<'a>) -> SourceContext<'a> {
        match self.0.get() {
            Some(http) => cx.with_http(&**http),
            None => *cx,
        }
    }
}

impl fmt::Debug for LateHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateHttp").finish_non_exhaustive()
    }
}

/// A source of a scheme, which sends with the configuration's client.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) source: Arc<dyn SecretSource>,
    pub(crate) http: LateHttp,
}

#[async_trait]
impl SecretSource for Connected {
    fn reference(&self) -> String {
        self.source.reference()
    }

    fn identity(&self) -> String {
        self.source.identity()
    }

    async fn read(&self, cx: &SourceContext<'_>) -> Result<SecretString, Error> {
        self.source.read(&self.http.give(cx)).await
    }

    fn recheck_interval(&self) -> std::time::Duration {
        self.source.recheck_interval()
    }
}
