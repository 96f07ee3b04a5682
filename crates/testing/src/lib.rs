//! Tools for tests of Biped.
//!
//! | for | use |
//! | --- | --- |
//! | a clock that the test moves | [`ManualClock`] |
//! | a scripted vendor whose responses can be delayed | [`ScriptedHttp`], [`Reply`] |
//! | a plain provider for tests of something else | [`TestProvider`] |
//! | checks of a provider's promises | [`provider::conformance`] |
//! | checks of a way to call an API | [`api::matrix`], [`api_matrix!`] |
//! | checks of a store's promises | [`store::conformance`] |
//! | the encodings of a secret, and finding parts of one in a text | [`secrets`] |
//! | letting spawned tasks run | [`settle`] |
//! | a named pipe, which must not be read like a file | `pipe`, on Unix |
//! | a limit that makes a hanging test fail by name | [`TimeLimit`] |

/// As `assert_eq!`, with what was got first, and a message that tells the two apart.
macro_rules! assert_same {
    ($got:expr, $expected:expr $(,)?) => {
        assert_same!($got, $expected, "{} differs", stringify!($got))
    };
    ($got:expr, $expected:expr, $($what:tt)+) => {
        match (&$got, &$expected) {
            (got, expected) => {
                if *got != *expected {
                    let what = format!($($what)+);
                    panic!("{what}\n  expected: {expected:?}\n       got: {got:?}");
                }
            }
        }
    };
}

pub mod api;
mod clock;
mod http;
pub mod provider;
pub mod secrets;
pub mod store;
mod time_limit;

#[cfg(unix)]
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use std::{sync::mpsc, thread, time::Duration};

use tokio::{sync::oneshot, task::JoinHandle};

pub use self::{
    clock::ManualClock,
    http::{Recorded, Reply, ScriptedHttp},
    provider::TestProvider,
    time_limit::TimeLimit,
};

/// How long a check may take: far longer than one does on a busy machine.
const CHECK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Returns the panic message of a check that ran in its own task, if it has failed.
async fn verdict(check: JoinHandle<()>) -> Result<(), String> {
    verdict_within(CHECK_LIMIT, check).await
}

/// The same with another limit. It is measured by a thread, since a check's clock may stand still.
async fn verdict_within(limit: Duration, mut check: JoinHandle<()>) -> Result<(), String> {
    let (running, ended) = mpsc::channel::<()>();
    let (over, is_over) = oneshot::channel();
    thread::spawn(move || {
        if ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = over.send(());
        }
    });
    let result = tokio::select! {
        biased;
        result = &mut check => result,
        Ok(()) = is_over => {
            check.abort();
            return Err(format!("it hangs: it did not end within {limit:?}"));
        }
    };
    drop(running);
    result.map_err(|error| match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()))
            .unwrap_or_else(|| "it panicked".into()),
        Err(error) => error.to_string(),
    })
}

/// Lets every task of a single-threaded runtime run as far as it can without time passing.
///
/// With plain `#[tokio::test]`, all ready tasks have run when this returns.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Makes a named pipe in a directory, and returns its path. Nothing writes to it, so whoever reads it like
/// a file waits for ever.
///
/// # Panics
/// If `mkfifo` can't be run.
#[cfg(unix)]
#[must_use]
pub fn pipe(directory: &Path) -> PathBuf {
    let path = directory.join("pipe");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo failed");
    path
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[tokio::test]
    async fn a_check_that_hangs_fails() {
        let check = tokio::spawn(std::future::pending());
        let verdict = super::verdict_within(Duration::from_millis(1), check).await;
        assert!(verdict.unwrap_err().contains("hangs"));
    }
}
