//! The vendors that the examples call: both run in this process. Their tokens live two seconds, and
//! all are revoked once, half way through. An application needs none of this.

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

pub(crate) struct LocalVendors {
    sandbox: Sandbox,
    start: Instant,
    revoked: usize,
    calls: usize,
    failed: usize,
}

impl LocalVendors {
    pub(crate) async fn start(vendors: SandboxBuilder) -> io::Result<Self> {
        Ok(Self {
            sandbox: vendors.lifetime(LIFETIME).start().await?,
            start: Instant::now(),
            revoked: 0,
            calls: 0,
            failed: 0,
        })
    }

    /// Returns what an application has in its biped.toml. It configures `exports` (Contentsquare) and
    /// `shop` (the envelope vendor), among others.
    pub(crate) fn config(&self) -> String {
        self.sandbox.config_toml()
    }

    /// Returns the URL of the shop.
    #[allow(dead_code)] // not every example calls it
    pub(crate) fn url(&self) -> &str {
        self.sandbox.url()
    }

    /// Returns whether there is time for another call.
    pub(crate) fn has_time_left(&self) -> bool {
        self.start.elapsed() < RUN
    }

    /// Revokes all tokens, once, when half of the time is over.
    pub(crate) fn revoke_half_way(&mut self) {
        if self.revoked == 0 && self.start.elapsed() > RUN / 2 {
            self.revoked = self.sandbox.revoke_tokens(&KeyFilter::all());
        }
    }

    /// Counts a call, and prints its error.
    pub(crate) fn note<T, E: std::fmt::Display>(&mut self, outcome: Result<T, E>) -> Option<T> {
        self.calls += 1;
        outcome
            .inspect_err(|error| {
                self.failed += 1;
                println!("failed: {error}");
            })
            .ok()
    }

    /// Prints what the vendors counted, and fails if a call failed or no token was revoked.
    pub(crate) fn end(&self) -> ExitCode {
        let counts = self.sandbox.stats().counts;
        println!(
            "{} calls, {} of them failed; the vendors accepted {} API calls, rejected {}, and issued \
             {} tokens",
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
            println!("error: a call failed, or too few tokens were revoked or issued");
            ExitCode::FAILURE
        }
    }
}
