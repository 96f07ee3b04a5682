//! What the tests of the engine play on.

use std::{sync::Arc, time::Duration};

use biped_core::{Error, ExposeSecret, TokenRequest, TokenStore};
use biped_engine::{Settings, TokenManager, TokenSource};
use biped_testing::{ManualClock, ScriptedHttp, TestProvider, settle};
use tokio::task::JoinHandle;
use tracing::{Dispatch, Subscriber, subscriber::DefaultGuard};

/// Has a subscriber hear of this thread's events and spans, until what is returned is dropped.
pub(crate) fn listen(
    subscriber: impl Subscriber + Send + Sync + 'static,
) -> (DefaultGuard, Dispatch) {
    // With a single subscriber, what another test's thread does first decides whether anything is told.
    let another = Dispatch::new(tracing_subscriber::registry());
    (tracing::subscriber::set_default(subscriber), another)
}

/// A manager, its clock, and the vendor that it asks.
pub(crate) struct Stage {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) http: Arc<ScriptedHttp>,
    pub(crate) manager: TokenManager,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::new());
        let http = Arc::new(ScriptedHttp::new());
        let manager = TokenManager::builder(http.clone())
            .clock(clock.clone())
            .settings(settings)
            .build();
        Self {
            clock,
            http,
            manager,
        }
    }

    /// One process of a fleet: a vendor's script of its own, a clock and a store that it shares.
    pub(crate) fn sharing(clock: &Arc<ManualClock>, store: &Arc<impl TokenStore>) -> Self {
        Self::sharing_with(clock, store, Settings::default())
    }

    /// The same, with settings of its own.
    pub(crate) fn sharing_with(
        clock: &Arc<ManualClock>,
        store: &Arc<impl TokenStore>,
        settings: Settings,
    ) -> Self {
        let http = Arc::new(ScriptedHttp::new());
        let manager = TokenManager::builder(http.clone())
            .clock(clock.clone())
            .store(store.clone())
            .settings(settings)
            .build();
        Self {
            clock: clock.clone(),
            http,
            manager,
        }
    }

    /// Another manager that goes by the same clock.
    pub(crate) fn sharing_clock(clock: &Arc<ManualClock>) -> Self {
        let http = Arc::new(ScriptedHttp::new());
        let manager = TokenManager::builder(http.clone())
            .clock(clock.clone())
            .build();
        Self {
            clock: clock.clone(),
            http,
            manager,
        }
    }

    pub(crate) fn source(&self) -> TokenSource {
        self.source_of(TestProvider::default())
    }

    pub(crate) fn source_of(&self, provider: TestProvider) -> TokenSource {
        self.manager.source(Arc::new(provider), TokenRequest::new())
    }

    /// The token for one of many tenants.
    pub(crate) fn tenant(&self, number: i64) -> TokenSource {
        self.manager.source(
            Arc::new(TestProvider::default()),
            TokenRequest::new().param("tenant", number),
        )
    }

    pub(crate) fn advance(&self, seconds: f64) {
        self.clock.advance(Duration::from_secs_f64(seconds));
    }

    /// Lets time pass, stopping wherever somebody wakes.
    pub(crate) async fn pass(&self, seconds: f64) {
        let mut left = Duration::from_secs_f64(seconds);
        loop {
            settle().await;
            let Some(wake) = self.clock.next_wake().filter(|wake| *wake <= left) else {
                break;
            };
            self.clock.advance(wake);
            left -= wake;
        }
        self.clock.advance(left);
        settle().await;
    }
}

/// A caller in a task of its own.
pub(crate) fn ask(source: &TokenSource) -> JoinHandle<Result<String, Error>> {
    let source = source.clone();
    tokio::spawn(async move {
        let token = source.token().await?;
        Ok(token.expose_secret().to_owned())
    })
}

pub(crate) async fn text(source: &TokenSource) -> String {
    source.token().await.unwrap().expose_secret().to_owned()
}

pub(crate) async fn failure(source: &TokenSource) -> Error {
    source.token().await.unwrap_err()
}

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
