//! The scenery of the examples: both vendors in this process, with tokens that live two seconds, and
//! one early revocation half way. An application has none of this.

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // an example prints, and waits

use std::{
    io,
    process::ExitCode,
    time::{Duration, Instant},
};

use biped_sandbox::{KeyFilter, Sandbox, SandboxBuilder};

const LIFETIME: Duration = Duration::from_secs(2);
const RUN: Duration = Duration::from_secs(6);

/// How long the examples wait between two rounds of calls.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Scenery {
    sandbox: Sandbox,
    start: Instant,
    revoked: usize,
    calls: usize,
    failed: usize,
}

impl Scenery {
    pub(crate) async fn start(vendors: SandboxBuilder) -> io::Result<Self> {
        Ok(Self {
            sandbox: vendors.lifetime(LIFETIME).start().await?,
            start: Instant::now(),
            revoked: 0,
            calls: 0,
            failed: 0,
        })
    }

    /// What an application has in its biped.toml. It names `exports` (Contentsquare) and `shop` (the
    /// envelope vendor), among others.
    pub(crate) fn config(&self) -> String {
        self.sandbox.config_toml()
    }

    /// Where the shop is.
    #[allow(dead_code)] // not every example asks
    pub(crate) fn url(&self) -> &str {
        self.sandbox.url()
    }

    /// Whether the play goes on.
    pub(crate) fn goes_on(&mut self) -> bool {
        if self.revoked == 0 && self.start.elapsed() > RUN / 2 {
            self.revoked = self.sandbox.revoke_tokens(&KeyFilter::all());
        }
        self.start.elapsed() < RUN
    }

    /// Notes how a call ended.
    pub(crate) fn note<T, E: std::fmt::Display>(&mut self, outcome: Result<T, E>) -> Option<T> {
        self.calls += 1;
        outcome
            .inspect_err(|error| {
                self.failed += 1;
                println!("failed: {error}");
            })
            .ok()
    }

    /// Prints what the vendors counted; not a success if a call failed, or if there was nothing to
    /// notice.
    pub(crate) fn end(&self) -> ExitCode {
        let counts = self.sandbox.stats().counts;
        println!(
            "{} calls, {} failed; the vendors counted {} API calls with a good token, {} with a \
             revoked one, and gave out {} tokens",
            self.calls,
            self.failed,
            counts.api_calls.accepted,
            counts.api_calls.rejected,
            counts.token_requests.issued,
        );
        let is_good = self.calls > 0
            && self.failed == 0
            && self.revoked > 0
            && counts.api_calls.rejected > 0
            && counts.token_requests.issued >= 4;
        if is_good {
            ExitCode::SUCCESS
        } else {
            println!("that is not as it should be");
            ExitCode::FAILURE
        }
    }
}
