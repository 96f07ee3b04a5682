//! The numbers of the engine: defaults, and where they are set.

use std::time::Duration;

/// The settings of a token manager: when a token is renewed, how long a call waits, and how many token
/// requests are sent.
///
/// ```
/// use std::time::Duration;
/// use biped_engine::Settings;
///
/// let settings = Settings::default().max_wait(Duration::from_secs(3)).concurrent_fetches(2);
/// # let _ = settings;
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) refresh_at: f64,
    pub(crate) refresh_spread: f64,
    pub(crate) margin: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) flight_limit: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) concurrent_fetches: usize,
    pub(crate) fetches_per_minute: Option<u32>,
    pub(crate) max_keys: usize,
    pub(crate) idle: Duration,
    pub(crate) share_failures: bool,
    pub(crate) store_wait: Duration,
}

impl Settings {
    /// The part of a token's life after which it is refreshed while it still serves.
    pub const REFRESH_AT: f64 = 0.80;
    /// The most that a process adds to it, so that the processes of a fleet spread out.
    pub const REFRESH_SPREAD: f64 = 0.05;
    /// How long before its expiry a token is no longer sent (a tenth of its life, if less).
    pub const MARGIN: Duration = Duration::from_secs(30);
    /// The longest that a caller waits for a token.
    pub const MAX_WAIT: Duration = Duration::from_secs(10);
    /// The longest that a flight takes, reading secrets included.
    pub const FLIGHT_LIMIT: Duration = Duration::from_secs(45);
    /// How many token requests one token endpoint gets at a time.
    pub const CONCURRENT_FETCHES: usize = 8;
    /// How many keys are kept, those in use aside.
    pub const MAX_KEYS: usize = 200_000;
    /// How long an unused key is kept.
    pub const IDLE: Duration = Duration::from_secs(60 * 60);
    /// The longest that a call waits for the store before it goes on without it.
    pub const STORE_WAIT: Duration = Duration::from_millis(250);

    /// Sets the part of a token's life after which it is refreshed. Default: 0.80 (and up to 0.05
    /// more, drawn once per process). Between 0.1 and 0.85.
    #[must_use]
    pub fn refresh_at(mut self, part: f64) -> Self {
        // Clamping leaves what is not a number as it is, and no life can be multiplied by that.
        if !part.is_nan() {
            self.refresh_at = part.clamp(0.1, 0.85);
        }
        self
    }

    /// Sets how long before its expiry a token is no longer sent; a tenth of its life, if that
    /// is less. Default: 30 s.
    #[must_use]
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Sets the longest that a caller waits for a token. Default: 10 s.
    #[must_use]
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Sets how many token requests one token endpoint gets at a time. Default: 8; at least 1.
    #[must_use]
    pub fn concurrent_fetches(mut self, at_a_time: usize) -> Self {
        self.concurrent_fetches = at_a_time.max(1);
        self
    }

    /// Sets how many token requests one token endpoint gets in a minute, evenly spread; at least 1.
    /// Default: as many as the vendor is known to allow
    /// ([`Provider::fetch_limit`](biped_core::Provider::fetch_limit)), or else any number.
    #[must_use]
    pub fn fetches_per_minute(mut self, rate: Option<u32>) -> Self {
        self.fetches_per_minute = rate.map(|rate| rate.max(1));
        self
    }

    /// Sets how many keys are kept. Default: 200 000. Keys that have a handle, or wait after a
    /// failure, may exceed it.
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys.max(1);
        self
    }

    /// Sets how long an unused key is kept. Default: one hour.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets whether processes that share a store share its failures as well: that the vendor is
    /// left alone by all for a while after one of them failed. Default: yes. A command that
    /// a person runs by hand should ask for itself.
    #[must_use]
    pub fn share_failures(mut self, share: bool) -> Self {
        self.share_failures = share;
        self
    }

    /// Sets the longest that a call waits for the store before it goes on without it, for all that it
    /// asks the store before a fetch. Default: 250 ms; at least 200 ms. A file system or a server that
    /// is slow but works needs more.
    #[must_use]
    pub fn store_wait(mut self, store_wait: Duration) -> Self {
        self.store_wait = store_wait.max(LEASE_POLL * 2);
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            refresh_at: Self::REFRESH_AT,
            refresh_spread: Self::REFRESH_SPREAD,
            margin: Self::MARGIN,
            max_wait: Self::MAX_WAIT,
            flight_limit: Self::FLIGHT_LIMIT,
            heartbeat: HEARTBEAT,
            concurrent_fetches: Self::CONCURRENT_FETCHES,
            fetches_per_minute: None,
            max_keys: Self::MAX_KEYS,
            idle: Self::IDLE,
            share_failures: true,
            store_wait: Self::STORE_WAIT,
        }
    }
}

/// Waits after failures: doubling between 1 s and 60 s, half of it jitter.
pub(crate) fn back_off(failures: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(60);
    let whole = Duration::from_secs(1 << failures.clamp(1, 6)).min(LONGEST);
    whole / 2 + whole.mul_f64(0.5 * fastrand::f64())
}

/// The wait before the next attempt of a flight that callers wait for: short, with full jitter.
pub(crate) fn quick_back_off(attempt: u32) -> Duration {
    Duration::from_millis(200 << attempt.clamp(1, 4)).mul_f64(fastrand::f64())
}

/// Attempts of one flight while a caller waits.
pub(crate) const ATTEMPTS: u32 = 3;

/// A `Retry-After` is a floor, but a vendor that says "next year" is asked again sooner.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// After a refusal, the vendor is asked again after this time …
pub(crate) const FIRST_PROBE: Duration = Duration::from_secs(60);
/// … which doubles up to this one.
pub(crate) const LAST_PROBE: Duration = Duration::from_secs(15 * 60);
/// How often a refused secret is looked at, to see whether it changed.
pub(crate) const SECRET_RECHECK: Duration = Duration::from_secs(1);

/// The least time between two fetches of a key (half the token's life, if less).
pub(crate) const REST: Duration = Duration::from_secs(1);

/// A replacement that is rejected this soon (a quarter of its life, if less) shows that tokens are
/// not the problem …
pub(crate) const REJECTED_AT_ONCE: Duration = Duration::from_secs(10);
/// … and for this long (its life, if less) rejections of the key cause nothing.
pub(crate) const REJECTION_COOL_DOWN: Duration = Duration::from_secs(60);

/// How long a lease lasts; it is renewed while the fetch runs.
pub(crate) const LEASE: Duration = Duration::from_secs(5);
/// How often a process that waits for another's fetch reads the store, whatever it is told. It is a
/// part of [`Settings::store_wait`]: a store that freezes then costs a call no more than at any other moment.
pub(crate) const LEASE_POLL: Duration = Duration::from_millis(100);
/// The same while no caller waits, so that a fleet that renews a token doesn't wear out its store.
pub(crate) const IDLE_POLL: Duration = Duration::from_millis(500);
/// How long a store refuses a token that was rejected, if its expiry is not known.
pub(crate) const TOMBSTONE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a flight shows that its runtime drives it.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(2500);
/// After so many signs in a row that did not come, its permit and its place in a queue go to
/// others. Shorter than callers wait, so that those behind it still get their token.
pub(crate) const MISSED_HEARTBEATS: u32 = 3;
/// The least pause before a store is asked again, whatever it says.
pub(crate) const LEAST_WAIT: Duration = Duration::from_millis(10);
