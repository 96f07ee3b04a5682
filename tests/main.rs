//! Whole-system tests: an application's [`Biped`] against the vendors of the sandbox, a file per
//! behaviour. Time is a manual clock that both sides share, so that an hour takes no time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod account_credentials;
mod architecture;
mod bound_tokens;
mod broken_answers;
mod catalogue_feature;
mod chains;
mod circles;
mod early_rejection;
mod events;
mod five_entries;
mod lessons;
mod origins;
mod outage;
mod own_kind;
mod own_store;
mod planted_secrets;
mod planted_store;
mod public_types;
mod retry_after;
mod rotating_vendor;
mod rotation_kills;
mod rotation_process;
mod rotation_servers;
mod secret_rotation;
mod standard_server;
mod streaming;
mod tenants;
mod thousand_callers;
mod wrong_secret;

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use biped::{
    Biped, Builder, Error,
    provider::{Clock, SystemClock},
    token_error,
};
use biped_sandbox::{Counts, KeyFilter, Sandbox, Vendor};
use biped_testing::ManualClock;

/// How long the sandbox's tokens live here.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Where Contentsquare issues tokens in the sandbox.
const TOKEN_PATH: &str = "/v1/oauth/token";

/// The sandbox and an application that is configured for it, on one clock.
struct Stage {
    clock: Arc<ManualClock>,
    sandbox: Sandbox,
    biped: Biped,
}

impl Stage {
    /// An application with the sandbox's own five entries.
    async fn new() -> Self {
        Self::configured(Sandbox::config_toml).await
    }

    /// An application that is configured by what `config` says of the sandbox.
    async fn configured(config: impl FnOnce(&Sandbox) -> String) -> Self {
        Self::built(|sandbox, builder| builder.toml(config(sandbox))).await
    }

    async fn built(build: impl FnOnce(&Sandbox, Builder) -> Builder) -> Self {
        let clock = Arc::new(ManualClock::new());
        let sandbox = Sandbox::builder()
            .clock(clock.clone())
            .lifetime(LIFETIME)
            .start()
            .await
            .unwrap();
        let builder = Biped::builder().without_environment().clock(clock.clone());
        let biped = build(&sandbox, builder).build().unwrap();
        Self {
            clock,
            sandbox,
            biped,
        }
    }

    /// Calls an API and reads its whole answer.
    async fn get(&self, name: &str, path: &str) -> Result<(u16, String), Error> {
        let client = self.biped.client(name).unwrap();
        let response = client.get(path).send().await;
        let response = response.map_err(|error| {
            token_error(&error)
                .cloned()
                .unwrap_or_else(|| panic!("{name} {path}: {error:?}"))
        })?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.unwrap()))
    }

    /// Calls the Data Export API, whose token is fetched from [`TOKEN_PATH`].
    async fn exports(&self) -> Result<u16, Error> {
        let answer = self.get("exports", "/v1/exports").await?;
        Ok(answer.0)
    }

    /// What the sandbox counted of Contentsquare's clients.
    fn counts(&self) -> Counts {
        self.counts_of(&KeyFilter::all().vendor(Vendor::Contentsquare))
    }

    fn counts_of(&self, keys: &KeyFilter) -> Counts {
        self.sandbox.stats().counts_of(keys)
    }

    /// Token requests to Contentsquare.
    fn token_requests(&self) -> u64 {
        self.counts().token_requests.total
    }

    /// Does this while short waits on the clock end by themselves.
    async fn driven<T>(&self, work: impl Future<Output = T>) -> T {
        driven(&self.clock, work).await
    }
}

/// Waits on the manual clock that are no longer than this are pauses before another attempt (up to
/// a second). What is longer are deadlines and the renewal of leases: were they to pass while the
/// network works, its speed would say what comes of a test.
const PAUSE: Duration = Duration::from_millis(1200);

/// How long the network gets, in real time, before the clock is looked at again.
const BREATH: Duration = Duration::from_millis(2);

/// Does `work`, and moves the clock on whenever somebody pauses on it.
async fn driven<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = SystemClock.sleep(BREATH) => {
                if let Some(wake) = clock.next_wake().filter(|wake| *wake <= PAUSE) {
                    clock.advance(wake);
                }
            }
        }
    }
}

/// Returns once `holds` does: for what happens in the background. What takes ten minutes of real
/// time hangs.
#[track_caller]
fn until(what: &'static str, holds: impl Fn() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let start = SystemClock.now().mono;
        while SystemClock.now().mono - start < Duration::from_secs(600) {
            if holds() {
                return;
            }
            SystemClock.sleep(BREATH).await;
        }
        panic!("it never came to pass that {what} ({place})");
    }
}

/// An entry of Contentsquare in the sandbox, with account-level credentials and these lines more.
fn account_entry(sandbox: &Sandbox, name: &str, lines: &str) -> String {
    format!(
        "[providers.{name}]\nkind = \"contentsquare\"\ntoken_endpoint = \"{}{TOKEN_PATH}\"\n\
         client_id = \"{}\"\n{lines}\n",
        sandbox.url(),
        biped_sandbox::ACCOUNT.client_id
    )
}
