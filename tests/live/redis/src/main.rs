//! Fleets of processes on a real Redis: how often they ask the vendor, and what the worst call is
//! like, while the Redis and the processes are well, and while they are not.
//!
//! Prints a line for each scenario and ends with status 1 where a bound is broken. The process that
//! is started first runs the scenarios (those named, or all: `fleet`, `killed`, `faults`, `sealed`);
//! `worker …` is one process of a fleet.
// A test program: what goes wrong ends it, and what it finds is printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod fleet;
mod proxy;
mod scenarios;
mod server;
mod worker;

use std::{process::ExitCode, time::Duration};

/// What a scenario came to.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) scenario: &'static str,
    pub(crate) requests: u64,
    /// More break the bound.
    pub(crate) allowed: Option<u64>,
    pub(crate) calls: u64,
    pub(crate) failed: Vec<String>,
    pub(crate) slowest: Duration,
    /// A slower call breaks the bound.
    pub(crate) limit: Option<Duration>,
    /// It was slow, and is tried again.
    pub(crate) again: bool,
}

impl Line {
    fn is_good(&self) -> bool {
        self.is_right() && !self.is_slow()
    }

    /// Whether all is well, how long it took aside.
    fn is_right(&self) -> bool {
        self.failed.is_empty() && self.allowed.is_none_or(|allowed| self.requests <= allowed)
    }

    /// Whether a call took too long.
    fn is_slow(&self) -> bool {
        self.limit.is_some_and(|limit| self.slowest > limit)
    }

    fn verdict(&self) -> &'static str {
        match (self.is_good(), self.again) {
            (true, _) => "ok",
            (false, true) => "slow, once more",
            (false, false) => "BROKEN",
        }
    }

    fn print(&self) {
        let bound =
            |bound: Option<String>| bound.map_or(String::new(), |bound| format!(" (≤ {bound})"));
        println!(
            "{:<44} {:>4}{:<8} {:>7} {:>6} {:>6} ms{:<12} {}",
            self.scenario,
            self.requests,
            bound(self.allowed.map(|allowed| allowed.to_string())),
            self.calls,
            self.failed.len(),
            self.slowest.as_millis(),
            bound(self.limit.map(|limit| format!("{} ms", limit.as_millis()))),
            self.verdict(),
        );
        for error in self.failed.iter().take(3) {
            println!("    {error}");
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = &arguments[..]
        && first == "worker"
    {
        worker::run(rest);
        return ExitCode::SUCCESS;
    }
    println!(
        "{:<44} {:<12} {:>7} {:>6} {:>9}",
        "scenario", "requests", "calls", "failed", "slowest"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let broken = runtime.unwrap().block_on(async {
        let mut broken = 0;
        scenarios::run(&arguments, |line| {
            line.print();
            broken += usize::from(!line.is_good() && !line.again);
        })
        .await;
        broken
    });
    println!("{broken} bounds broken");
    ExitCode::from(u8::from(broken > 0))
}
