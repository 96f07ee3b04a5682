//! [`Line`]: what is printed of a scenario.

use std::time::Duration;

/// How often a fault is tried for which the machine may be to blame.
const ATTEMPTS: u32 = 3;
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
    /// The longest time for which a process stood still.
    pub(crate) stood_still: Duration,
    /// How many processes should use the store again, and do not.
    pub(crate) without_store: usize,
    /// A slower call breaks the bound.
    pub(crate) limit: Option<Duration>,
    /// It may have been the machine, and is tried again.
    pub(crate) again: bool,
}

impl Line {
    pub(crate) fn is_good(&self) -> bool {
        self.is_right() && !self.is_slow()
    }

    /// Whether all is well, how long it took aside.
    pub(crate) fn is_right(&self) -> bool {
        self.failed.is_empty()
            && self.without_store == 0
            && self.allowed.is_none_or(|allowed| self.requests <= allowed)
    }

    /// Whether a call took too long.
    pub(crate) fn is_slow(&self) -> bool {
        self.limit.is_some_and(|limit| self.slowest > limit)
    }

    /// Whether nothing is wrong but what a machine that stands still does as well: a call was slow, or a
    /// process went on without the store, whose operations had no time. A renewal ahead of time makes no
    /// call slow: then it shows in how long the processes stood still.
    pub(crate) fn may_be_the_machine(&self) -> bool {
        let has_stood = self.slowest >= STORE_WAIT || self.stood_still >= STORE_WAIT / 2;
        self.failed.is_empty() && (self.is_right() || has_stood)
    }

    fn verdict(&self) -> &'static str {
        match (self.is_good(), self.again) {
            (true, _) => "ok",
            (false, true) => "slow: once more",
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

/// Whether what happened during a fault and afterwards is tried again, and notes it: where nothing is wrong
/// that a machine that stands still for as long as an operation of the store may take does not do as well.
/// A store that is to blame is so each time.
pub(crate) fn again(attempt: u32, lines: &mut [Line; 2]) -> bool {
    let again = attempt < ATTEMPTS
        && lines.iter().any(|line| !line.is_good())
        && lines.iter().all(Line::may_be_the_machine);
    for line in lines {
        line.again = again && !line.is_good();
    }
    again
}
