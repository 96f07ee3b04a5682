//! [`Line`]: what is printed of a scenario.

use std::time::Duration;

/// How often a fault is tried for which the machine may be to blame.
pub(crate) const ATTEMPTS: u32 = 3;
/// How long a call waits for the store: the default of `engine.store_wait`.
const STORE_WAIT: Duration = Duration::from_millis(250);

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
    /// How often the store of a process failed that had worked.
    pub(crate) lapses: u64,
    /// How many processes should use the store again, and do not.
    pub(crate) without_store: usize,
    /// A slower call breaks the bound.
    pub(crate) limit: Option<Duration>,
    /// It may have been the machine, and is tried again.
    pub(crate) again: bool,
}

impl Line {
    pub(crate) fn is_good(&self) -> bool {
        self.is_right() && !self.is_late()
    }

    /// Whether all is well, how long it took aside.
    pub(crate) fn is_right(&self) -> bool {
        self.failed.is_empty() && self.allowed.is_none_or(|allowed| self.requests <= allowed)
    }

    /// Whether a call took too long, or a process came back to the store too late.
    pub(crate) fn is_late(&self) -> bool {
        self.without_store > 0 || self.limit.is_some_and(|limit| self.slowest > limit)
    }

    /// Whether nothing is wrong but what a machine that stands still does as well: a call was slow, or one
    /// waited for the store as long as calls do, and was served without it.
    pub(crate) fn may_be_the_machine(&self) -> bool {
        self.failed.is_empty() && (self.is_right() || self.slowest >= STORE_WAIT)
    }

    fn verdict(&self) -> &'static str {
        match (self.is_good(), self.again) {
            (true, _) => "ok",
            (false, true) => "late: once more",
            (false, false) => "BROKEN",
        }
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
            self.verdict(),
        );
        if self.without_store > 0 {
            println!("    {} processes are still without it", self.without_store);
        }
        for error in self.failed.iter().take(3) {
            println!("    {error}");
        }
    }
}
