//! [`Clock`]: the only source of time.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime},
};

/// Tells the time, and waits.
///
/// All of Biped reads the time and waits through this trait, so that a test with a manual clock can run
/// an hour in a millisecond.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Both clocks, read together.
    fn now(&self) -> Now;

    /// Completes when `duration` has passed on the monotonic clock.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Whether [`sleep`](Self::sleep) may be called here: the system's clock needs a tokio runtime with
    /// its timers enabled. Default: it may.
    fn can_sleep(&self) -> bool {
        true
    }
}

/// A reading of both clocks.
///
/// A token's life is measured on both: the wall clock goes on while the machine sleeps, and the
/// monotonic clock goes on when the wall clock is set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time since an arbitrary start. It never goes back, and may stop while the machine sleeps.
    pub mono: Duration,
    /// The wall-clock time. It may jump.
    pub wall: Timestamp,
}

/// A point in time on the wall clock, in nanoseconds since the Unix epoch. It reaches from 1678 to
/// 2262; points outside are clamped.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const NANOS: i64 = 1_000_000_000;

impl Timestamp {
    /// The latest point that it can hold.
    pub const MAX: Self = Self(i64::MAX);
    /// The earliest point that it can hold.
    pub const MIN: Self = Self(i64::MIN);

    /// Creates the point given in whole seconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS))
    }

    /// Creates the point given in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Creates the point given in nanoseconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub const fn from_unix_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Returns nanoseconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub const fn unix_nanos(self) -> i64 {
        self.0
    }

    const fn from_parts(seconds: i64, nanos: i64) -> Self {
        Self(seconds.saturating_mul(NANOS).saturating_add(nanos))
    }

    /// Returns whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// Returns whole milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn unix_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Returns whole microseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn unix_micros(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Returns the point `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// Returns the point `duration` earlier.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// Returns how long after `earlier` this point is; zero if it is earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// In the format of RFC 3339, in UTC.
///
/// ```
/// use biped_core::Timestamp;
///
/// let at = Timestamp::from_unix_seconds(1_772_323_200);
/// assert_eq!(at.to_string(), "2026-03-01T00:00:00Z");
/// assert_eq!(format!("{at:?}"), "2026-03-01T00:00:00Z");
/// ```
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(self.0.into()) {
            Ok(at) => at.fmt(f),
            Err(_) => write!(f, "{} ns", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(0).after(after),
            Err(before) => Self(0).before(before.duration()),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let distance = Duration::from_nanos(time.0.unsigned_abs());
        if time.0 >= 0 {
            Self::UNIX_EPOCH + distance
        } else {
            Self::UNIX_EPOCH - distance
        }
    }
}

/// The machine's own clocks. It sleeps on tokio's timer.
///
/// On Linux it reads the coarse clocks, which lag by at most one tick (4 ms) and cost about 3 ns
/// each.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Now {
        system_now()
    }

    #[allow(clippy::disallowed_methods)] // all other code takes the time from here
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }

    #[allow(clippy::disallowed_methods)]
    fn can_sleep(&self) -> bool {
        thread_local! {
            static LAST: Cell<Option<(tokio::runtime::Id, bool)>> = const { Cell::new(None) };
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return false;
        };
        let id = runtime.id();
        if let Some((last, can_sleep)) = LAST.get()
            && last == id
        {
            return can_sleep;
        }
        // tokio tells of missing timers by a panic, and in no other way.
        let sleep = || drop(tokio::time::sleep(Duration::ZERO));
        let can_sleep = std::panic::catch_unwind(sleep).is_ok();
        LAST.set(Some((id, can_sleep)));
        can_sleep
    }
}

#[cfg(target_os = "linux")]
#[inline]
fn system_now() -> Now {
    use rustix::time::{ClockId, clock_gettime};
    let mono = clock_gettime(ClockId::MonotonicCoarse);
    let wall = clock_gettime(ClockId::RealtimeCoarse);
    Now {
        mono: Duration::new(
            mono.tv_sec.unsigned_abs(),
            u32::try_from(mono.tv_nsec).unwrap_or(0),
        ),
        wall: Timestamp::from_parts(wall.tv_sec, wall.tv_nsec),
    }
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::disallowed_methods)] // all other code takes the time from here
fn system_now() -> Now {
    use std::{sync::OnceLock, time::Instant};
    static START: OnceLock<Instant> = OnceLock::new();
    Now {
        mono: START.get_or_init(Instant::now).elapsed(),
        wall: SystemTime::now().into(),
    }
}
