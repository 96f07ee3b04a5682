//! [`Activity`]: how many flights are under way, for a program that waits until none is.

use std::sync::Arc;

use crate::sync::{
    Notify,
    atomic::{AtomicUsize, Ordering},
};

/// The flights under way.
#[derive(Default)]
pub(crate) struct Activity {
    flights: AtomicUsize,
    ended: Notify,
}

/// One of them, until it is dropped.
pub(crate) struct ActivityGuard(Arc<Activity>);

impl Activity {
    pub(crate) fn begin(self: &Arc<Self>) -> ActivityGuard {
        self.flights.fetch_add(1, Ordering::AcqRel);
        ActivityGuard(self.clone())
    }

    /// Waits until none is under way.
    pub(crate) async fn drain(&self) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.flights.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        if self.0.flights.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}
