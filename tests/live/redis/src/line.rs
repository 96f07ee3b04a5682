//! [`Line`]: what is printed of a scenario.

use std::time::Duration;

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
}

impl Line {
    pub(crate) fn is_good(&self) -> bool {
        self.failed.is_empty()
            && self.allowed.is_none_or(|allowed| self.requests <= allowed)
            && self.limit.is_none_or(|limit| self.slowest <= limit)
    }

    pub(crate) fn print(&self) {
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
            if self.is_good() { "ok" } else { "BROKEN" },
        );
        for error in self.failed.iter().take(3) {
            println!("    {error}");
        }
    }
}
