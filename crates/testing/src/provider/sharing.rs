//! Whose token it is: two configurations that differ in a secret share nothing.
// A check says what is wrong by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use biped_core::{Error, Provider};
use biped_engine::TokenManager;
use biped_memory::MemoryStore;

use super::case::{Answer, Case, SECRET};
use crate::{ManualClock, ScriptedHttp};
/// Another, of somebody who knows everything else.
const ANOTHER: &str = "An0ther-secret-of-the-suite";

/// Two configurations that differ in a secret alone share nothing: no token, in memory or in a store,
/// no refusal, and no probe after one. A provider that doesn't name its secret in its id
/// ([`ProviderId::credential`](biped_core::ProviderId::credential)) would give one client's tokens to
/// whoever knows its identifier, and let a wrong secret lock out the right one.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn another_secret_shares_nothing(provider: &dyn Provider, case: &Case) {
    let another = (case.make)(ANOTHER);
    assert_ne!(
        another.id(),
        provider.id(),
        "another secret has the same id"
    );
    for (credential, other) in &case.others {
        let same = other.id() == provider.id();
        assert!(!same, "another {credential} has the same id");
    }
    let (_, granted) = case.granted();
    let refused = case.refused_client();

    let world = World::new();
    let (right, wrong) = (world.process(case), world.process(case));
    right.ask(SECRET, granted).await.expect("it is granted");
    let told = wrong.ask(ANOTHER, refused).await;
    assert!(told.is_err(), "another secret gets a token from the store");
    assert!(
        right.ask(ANOTHER, refused).await.is_err(),
        "another secret gets a token"
    );

    let process = World::new().process(case);
    let told = process.ask(ANOTHER, refused).await;
    assert!(told.is_err(), "a refusal is taken for a token");
    process.is_quiet(ANOTHER).await;
    process
        .ask(SECRET, granted)
        .await
        .expect("another's refusal counts");

    let process = World::new().process(case);
    for secret in [ANOTHER, SECRET] {
        let told = process.ask(secret, refused).await;
        assert!(told.is_err(), "a refusal is taken for a token");
        process.is_quiet(secret).await;
    }
    process.clock.advance(PROBE);
    for secret in [ANOTHER, SECRET] {
        let before = process.http.count();
        let told = process.ask(secret, refused).await;
        assert!(told.is_err(), "a refusal is taken for a token");
        let asked = process.http.count() > before;
        assert!(asked, "another's probe counts for both");
    }
}

/// When a refused client is tried again at the latest.
const PROBE: Duration = Duration::from_secs(15 * 60);

/// A store that processes share.
struct World {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
}

/// A process, and its vendor.
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
        let manager = TokenManager::builder(http.clone())
            .clock(self.clock.clone())
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
    /// Asks for a token with this secret, of a vendor that gives this answer.
    async fn ask(&self, secret: &str, answer: &Answer) -> Result<(), Error> {
        // Longer than a fleet waits after a failure, and fetches are apart.
        self.clock.advance(Duration::from_secs(2));
        let answer = answer.clone();
        self.http.answer_with(move |_, _| answer.reply());
        let source = self
            .manager
            .source((self.case.make)(secret), self.case.request.clone());
        let asked = source.token().await.map(drop);
        // The store is told after the token is here.
        self.manager.drain().await;
        asked
    }

    /// Asked again, the vendor hears nothing.
    async fn is_quiet(&self, secret: &str) {
        let before = self.http.count();
        let told = self.ask(secret, &self.case.granted().1).await;
        assert!(told.is_err(), "a refused client is asked for at once again");
        assert_eq!(
            self.http.count(),
            before,
            "a refused client asks again at once"
        );
    }
}
