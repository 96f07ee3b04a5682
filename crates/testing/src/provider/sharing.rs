//! Checks that two configurations with different secrets share nothing.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use biped_core::{Error, Provider};
use biped_engine::TokenManager;
use biped_memory::MemoryStore;

use super::{
    case::{Answer, Case, SECRET},
    fetched::manager,
};
use crate::{ManualClock, ScriptedHttp};

/// Another secret, of a configuration that is equal otherwise.
const ANOTHER: &str = "An0ther-secret-of-the-suite";

/// Two configurations that differ only in a secret share nothing: no token in memory or in a store, no
/// refusal, and no probe after one. If a provider's id did not contain the secret
/// ([`ProviderId::credential`](biped_core::ProviderId::credential)), anyone who knows a client's
/// identifier would get its tokens, and a wrong secret would block the right one.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn another_secret_shares_nothing(provider: &dyn Provider, case: &Case) {
    let another = (case.make)(ANOTHER);
    assert_ne!(
        another.id(),
        provider.id(),
        "another secret has the same id"
    );
    let (_, granted) = case.granted();
    let refused = case.refused_client();

    let world = World::new();
    let (right, wrong) = (world.process(case), world.process(case));
    right
        .ask(SECRET, granted)
        .await
        .expect("a granted token is not returned");
    let told = wrong.ask(ANOTHER, refused).await;
    assert!(told.is_err(), "another secret gets a token from the store");
    assert!(
        right.ask(ANOTHER, refused).await.is_err(),
        "another secret gets a token"
    );

    let process = World::new().process(case);
    let told = process.ask(ANOTHER, refused).await;
    assert!(told.is_err(), "a refusal is read as a token");
    process.is_quiet(ANOTHER).await;
    process
        .ask(SECRET, granted)
        .await
        .expect("the refusal of another secret counts");

    let process = World::new().process(case);
    for secret in [ANOTHER, SECRET] {
        let told = process.ask(secret, refused).await;
        assert!(told.is_err(), "a refusal is read as a token");
        process.is_quiet(secret).await;
    }
    process.clock.advance(PROBE);
    for secret in [ANOTHER, SECRET] {
        let before = process.http.count();
        let told = process.ask(secret, refused).await;
        assert!(told.is_err(), "a refusal is read as a token");
        let asked = process.http.count() > before;
        assert!(asked, "the probe of another secret counts");
    }
}

/// Two configurations that differ in a setting of [`Case::differs_in`] have different ids, so that
/// neither gets the other's tokens. A credential belongs to the id by
/// [`ProviderId::credential`](biped_core::ProviderId::credential), another setting by
/// [`ProviderId::with`](biped_core::ProviderId::with).
///
/// # Panics
/// Panics if the provider breaks the promise.
#[allow(clippy::unused_async)] // so that all checks are called alike
pub async fn another_setting_has_another_id(provider: &dyn Provider, case: &Case) {
    for (setting, other) in &case.others {
        let same = other.id() == provider.id();
        assert!(
            !same,
            "another {setting} has the same id; add {setting} to the id"
        );
    }
}

/// The longest time until a refused client is tried again.
const PROBE: Duration = Duration::from_secs(15 * 60);

/// A store that processes share.
struct World {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
}

/// A process and its vendor.
struct Process<'c> {
    case: &'c Case,
    clock: Arc<ManualClock>,
    http: Arc<ScriptedHttp>,
    manager: TokenManager,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        Self { clock, store }
    }

    fn process<'c>(&self, case: &'c Case) -> Process<'c> {
        let http = Arc::new(ScriptedHttp::new());
        let manager = manager(&http, &self.clock)
            .store(self.store.clone())
            .build();
        Process {
            case,
            clock: self.clock.clone(),
            http,
            manager,
        }
    }
}

impl Process<'_> {
    /// Fetches a token with this secret, from a vendor with this response.
    async fn ask(&self, secret: &str, answer: &Answer) -> Result<(), Error> {
        // Longer than the fleet waits after a failure, so that fetches do not overlap.
        self.clock.advance(Duration::from_secs(2));
        let answer = answer.clone();
        self.http.answer_with(move |_, _| answer.reply());
        let source = self
            .manager
            .source((self.case.make)(secret), self.case.request.clone());
        let asked = source.token().await.map(drop);
        // The token is stored after it is returned.
        self.manager.drain().await;
        asked
    }

    /// Checks that a second call sends no request.
    async fn is_quiet(&self, secret: &str) {
        let before = self.http.count();
        let told = self.ask(secret, &self.case.granted().1).await;
        assert!(told.is_err(), "a refused client gets a token");
        assert_same!(
            self.http.count(),
            before,
            "a refused client sends another request at once"
        );
    }
}
