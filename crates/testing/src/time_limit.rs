//! [`TimeLimit`]: makes a test that hangs fail by name.

use std::{
    io::{Write as _, stderr},
    panic::Location,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Ends the process if a test takes longer than the limit, and prints the test's name.
///
/// Without it, one test that hangs would block the whole run. The limit finds any hang, in a lock, in a
/// loop or in a wait. It does not measure speed: it is far longer than a test takes on a busy machine.
///
/// ```
/// // The first line of a test.
/// let _limit = biped_testing::TimeLimit::start();
/// ```
#[derive(Debug)]
#[must_use = "the limit ends when this is dropped"]
pub struct TimeLimit {
    /// Dropping it wakes the watching thread; nothing is sent over it.
    _running: Sender<()>,
}

impl TimeLimit {
    /// The limit of [`start`](Self::start): ten minutes.
    pub const DEFAULT: Duration = Duration::from_secs(10 * 60);

    /// Limits the current test to [`DEFAULT`](Self::DEFAULT), until the returned value is dropped.
    #[track_caller]
    pub fn start() -> Self {
        Self::of(Self::DEFAULT)
    }

    /// Limits the current test to this time, until the returned value is dropped.
    #[track_caller]
    pub fn of(limit: Duration) -> Self {
        let (running, _) = watch(limit, Location::caller());
        Self { _running: running }
    }
}

/// Starts the thread that ends the process unless the sender is dropped within the limit.
fn watch(limit: Duration, place: &'static Location<'static>) -> (Sender<()>, JoinHandle<()>) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let (running, ended) = channel::<()>();
    let watching = thread::spawn(move || {
        if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            // Not with eprintln, whose output is captured.
            let _ = writeln!(
                stderr(),
                "{test} hangs: it did not end within {limit:?} ({place})"
            );
            std::process::abort();
        }
    });
    (running, watching)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_ends_in_time_is_left_alone() {
        let (running, watching) = watch(TimeLimit::DEFAULT, Location::caller());
        drop(running);
        // Otherwise the watching thread would end the process, or go on until the limit.
        assert!(watching.join().is_ok());
    }
}
