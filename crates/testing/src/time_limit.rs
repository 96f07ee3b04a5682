//! [`TimeLimit`]: makes a test that hangs fail by name.

use std::{
    io::{Write as _, stderr},
    panic::Location,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
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
        let place = Location::caller();
        let test = thread::current().name().unwrap_or("a test").to_owned();
        let (running, ended) = channel::<()>();
        thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // Not with eprintln, whose output is captured.
                let _ = writeln!(
                    stderr(),
                    "{test} hangs: it did not end within {limit:?} ({place})"
                );
                std::process::abort();
            }
        });
        Self { _running: running }
    }
}
