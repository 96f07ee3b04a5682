//! [`ManualClock`]: a clock that a test moves.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use biped_core::{Clock, Now, Timestamp};
use tokio::sync::oneshot;

/// A clock that stands still until it is moved. Sleepers wake when it passes their time.
///
/// ```
/// use std::time::Duration;
/// use biped_core::Clock;
/// use biped_testing::ManualClock;
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now().wall.since(before.wall), Duration::from_secs(3600));
/// ```
#[derive(Debug)]
pub struct ManualClock(Mutex<State>);

#[derive(Debug)]
struct State {
    now: Now,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl ManualClock {
    /// Returns a clock that shows noon of 1 March 2026, on a machine that has been up for a day.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Timestamp::from_unix_seconds(1_772_366_400))
    }

    /// Returns a clock with this wall time.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        let now = Now {
            mono: Duration::from_secs(24 * 60 * 60),
            wall,
        };
        Self(Mutex::new(State {
            now,
            sleepers: Vec::new(),
        }))
    }

    /// Moves both clocks forward, and wakes the sleepers, the earliest first.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state();
        state.now.mono += duration;
        state.now.wall = state.now.wall.after(duration);
        let mono = state.now.mono;
        let (mut due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut state.sleepers)
            .into_iter()
            .partition(|(at, _)| *at <= mono);
        state.sleepers = later;
        drop(state);
        due.sort_by_key(|(at, _)| *at);
        for (_, sleeper) in due {
            let _ = sleeper.send(());
        }
    }

    /// Sets the wall clock forward, as an operator or NTP may. No sleeper wakes.
    pub fn step_wall_ahead(&self, by: Duration) {
        let mut state = self.state();
        state.now.wall = state.now.wall.after(by);
    }

    /// Sets the wall clock back.
    pub fn step_wall_back(&self, by: Duration) {
        let mut state = self.state();
        state.now.wall = state.now.wall.before(by);
    }

    /// Suspends the machine: only the wall clock moves.
    pub fn suspend(&self, duration: Duration) {
        self.step_wall_ahead(duration);
    }

    /// Returns the number of sleepers.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        let mut state = self.state();
        state.sleepers.retain(|(_, sleeper)| !sleeper.is_closed());
        state.sleepers.len()
    }

    /// Returns the time until the next sleeper wakes; `None` without sleepers.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let mut state = self.state();
        state.sleepers.retain(|(_, sleeper)| !sleeper.is_closed());
        let mono = state.now.mono;
        state
            .sleepers
            .iter()
            .map(|(at, _)| at.saturating_sub(mono))
            .min()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        self.state().now
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut state = self.state();
        if duration.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        let at = state.now.mono.saturating_add(duration);
        state.sleepers.push((at, wake));
        Box::pin(async move {
            // Without the clock no sleeper wakes.
            if woken.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
