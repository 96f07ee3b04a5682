//! A clock that stands still until it is told otherwise.

use std::{pin::Pin, time::Duration};

use biped_core::{Clock, Now, Timestamp};
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct ManualClock {
    passed: watch::Sender<Duration>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self {
            passed: watch::Sender::new(Duration::ZERO),
        }
    }
}

impl ManualClock {
    /// Some fraction of a second, so that rounding shows.
    pub(crate) const START: Timestamp = Timestamp::from_unix_millis(1_790_000_000_300);

    pub(crate) fn advance(&self, by: Duration) {
        self.passed.send_modify(|passed| *passed += by);
    }

    /// Returns once so many are sleeping.
    pub(crate) async fn sleepers(&self, count: usize) {
        while self.passed.receiver_count() < count {
            tokio::task::yield_now().await;
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        let passed = *self.passed.borrow();
        Now {
            mono: passed,
            wall: Self::START.after(passed),
        }
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut passed = self.passed.subscribe();
        let end = *passed.borrow() + duration;
        Box::pin(async move {
            let _ = passed.wait_for(|now| *now >= end).await;
        })
    }
}
