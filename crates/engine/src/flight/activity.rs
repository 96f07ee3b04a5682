//! [`Traffic`]: how many flights are under way, for those who want to leave when none is.

use std::sync::Arc;

use crate::sync::{
    Notify,
    atomic::{AtomicUsize, Ordering},
};

/// The flights under way.
#[derive(Default)]
pub(crate) struct Traffic {
    aloft: AtomicUsize,
    ended: Notify,
}

/// One of them, until it is dropped.
pub(crate) struct Aloft(Arc<Traffic>);

impl Traffic {
    pub(crate) fn begin(self: &Arc<Self>) -> Aloft {
        self.aloft.fetch_add(1, Ordering::AcqRel);
        Aloft(self.clone())
    }

    /// Waits until none is under way.
    pub(crate) async fn drain(&self) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.aloft.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Aloft {
    fn drop(&mut self) {
        if self.0.aloft.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}
