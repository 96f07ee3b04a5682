//! [`Schedule`]: until when a token is fresh, and until when usable, on both clocks.

use std::time::Duration;

use biped_core::{Now, Timestamp, Token};

use crate::settings::REST;

/// The two moments that matter, each on both clocks; set by the manager when it takes a token in.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) refresh: Deadline,
    pub(crate) unusable: Deadline,
}

/// A moment that has come when either clock says so.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    /// In nanoseconds.
    pub(crate) mono: u64,
    pub(crate) wall: Timestamp,
}

impl Deadline {
    pub(crate) const NEVER: Self = Self {
        mono: u64::MAX,
        wall: Timestamp::MAX,
    };

    pub(crate) const PAST: Self = Self {
        mono: 0,
        wall: Timestamp::MIN,
    };

    pub(crate) fn new(mono: Duration, wall: Timestamp) -> Self {
        Self {
            mono: nanos(mono),
            wall,
        }
    }

    /// How far off it is; zero where it has come.
    pub(crate) fn left(&self, now: &Now) -> Duration {
        let by_mono = Duration::from_nanos(self.mono).saturating_sub(now.mono);
        by_mono.min(self.wall.since(now.wall))
    }

    #[inline]
    pub(crate) fn is_ahead(&self, now: &Now) -> bool {
        nanos(now.mono) < self.mono && now.wall < self.wall
    }
}

/// Nanoseconds of the monotonic clock, for 584 years.
#[inline]
pub(crate) fn nanos(mono: Duration) -> u64 {
    mono.as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(mono.subsec_nanos()))
}

impl Schedule {
    /// The refresh point and the end of use of a token, on both clocks. `seen` is a reading of both:
    /// from when the token was asked for, or, for one from a store, from now.
    pub(crate) fn of(token: &Token, seen: &Now, refresh_at: f64, margin: Duration) -> Self {
        let Some(life) = token.lifetime() else {
            return Self {
                refresh: Deadline::NEVER,
                unusable: Deadline::NEVER,
            };
        };
        let at = |age: Duration| {
            let wall = token.requested_at().after(age);
            // A token from a store may claim to be from the future.
            let left = wall.since(seen.wall).min(age);
            Deadline::new(seen.mono.saturating_add(left), wall)
        };
        let usable = life.saturating_sub(margin.min(life / 10));
        Self {
            refresh: at(life.mul_f64(refresh_at).min(usable)),
            unusable: at(usable),
        }
    }

    /// How long the token goes on serving before half of the time between its refresh point and its end of
    /// use is over.
    pub(crate) fn spare(&self, now: &Now) -> Duration {
        let whole = Duration::from_nanos(self.unusable.mono.saturating_sub(self.refresh.mono));
        self.unusable.left(now).saturating_sub(whole / 2)
    }

    /// The longest wait that still leaves the token time for another try: half of what is left of
    /// it, and when it ends, so does the wait.
    pub(crate) fn next_try(&self, now: &Now) -> Duration {
        let left = self.unusable.left(now);
        if left.is_zero() {
            return Duration::MAX;
        }
        (left / 2).max(REST).min(left)
    }
}
