//! [`TimeLimit`]: a test that hangs is a failure with a name.

use std::{
    io::{Write as _, stderr},
    panic::Location,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

/// Ends the process where a test takes longer than this, and says which test it was.
///
/// A test that waits for something that never happens would otherwise keep everybody waiting. The
/// limit finds what hangs, wherever it does (in a lock, in a loop, or waiting), and is no measure of
/// what is slow: it is so long that no busy machine comes near it.
///
/// ```
/// // The first line of a test.
/// let _limit = biped_testing::TimeLimit::start();
/// ```
#[derive(Debug)]
#[must_use = "the limit holds until this is dropped"]
pub struct TimeLimit {
    /// Nothing is sent: the watching thread wakes when it is dropped.
    _running: Sender<()>,
}

impl TimeLimit {
    /// What [`start`](Self::start) allows: ten minutes.
    pub const DEFAULT: Duration = Duration::from_secs(10 * 60);

    /// Gives the current test [`DEFAULT`](Self::DEFAULT), until what this returns is dropped.
    #[track_caller]
    pub fn start() -> Self {
        Self::of(Self::DEFAULT)
    }

    /// Gives the current test this much time, until what this returns is dropped.
    #[track_caller]
    pub fn of(limit: Duration) -> Self {
        let place = Location::caller();
        let test = thread::current().name().unwrap_or("a test").to_owned();
        let (running, ended) = channel::<()>();
        thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // Not by the macro for it: what that prints is captured.
                let _ = writeln!(stderr(), "{test} hangs: no end in {limit:?} ({place})");
                std::process::abort();
            }
        });
        Self { _running: running }
    }
}
