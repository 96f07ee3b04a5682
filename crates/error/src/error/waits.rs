//! [`Waits`]: when the vendor is asked again.

use std::{fmt, time::Duration};

/// What the vendor asked for, and what this process does.
#[derive(Clone, Copy, Default)]
pub(super) struct Waits {
    pub(super) requested: Option<Duration>,
    pub(super) plan: Option<Plan>,
}

/// What this process does next.
#[derive(Clone, Copy)]
pub(super) enum Plan {
    /// It asks again after this time.
    AsksIn(Duration),
    /// It is asking.
    IsAsking,
}

impl Waits {
    /// The time until the next attempt.
    pub(super) fn next(&self) -> Option<Duration> {
        match self.plan {
            Some(Plan::AsksIn(wait)) => Some(wait),
            _ => self.requested,
        }
    }

    /// Removes the plan. What the vendor asked for stays, if it is no longer than what was planned.
    pub(super) fn forget_plan(&mut self) {
        if let Some(Plan::AsksIn(wait)) = self.plan.take() {
            self.requested = self.requested.map(|requested| requested.min(wait));
        }
    }
}

/// The end of an error's line.
impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |wait: Duration| wait.as_secs_f64().ceil();
        match (self.plan, self.requested) {
            (Some(Plan::AsksIn(wait)), _) => write!(f, " (next attempt in {} s)", seconds(wait)),
            (Some(Plan::IsAsking), _) => f.write_str(" (the fetch continues in the background)"),
            (None, Some(wait)) => write!(f, " (the vendor asks to wait {} s)", seconds(wait)),
            (None, None) => Ok(()),
        }
    }
}
