//! [`Limiter`]: how many of something there are at a time, up to a limit that a reload may change.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Counts what is there.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    taken: AtomicUsize,
    freed: Notify,
}

/// One of those that are counted, until this is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Limiter>);

impl Limiter {
    /// Counts one more, unless there are `limit` already.
    pub(crate) fn try_take(self: &Arc<Self>, limit: usize) -> Option<Permit> {
        let more = |taken| (taken < limit).then_some(taken + 1);
        let order = (Ordering::AcqRel, Ordering::Acquire);
        let counted = self.taken.fetch_update(order.0, order.1, more);
        counted.is_ok().then(|| Permit(self.clone()))
    }

    /// Counts one more as soon as there are fewer than `limit` says then.
    pub(crate) async fn take(self: &Arc<Self>, limit: impl Fn() -> usize) -> Permit {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(taken) = self.try_take(limit()) {
                return taken;
            }
            freed.await;
        }
    }

    /// Lets those that wait ask for the limit again.
    pub(crate) fn limit_changed(&self) {
        self.freed.notify_waiters();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_limit_that_changes_counts_what_is_there_already() {
        let limiter = Arc::new(Limiter::default());
        let (first, second) = (limiter.try_take(2).unwrap(), limiter.try_take(2).unwrap());
        assert!(limiter.try_take(2).is_none());
        assert!(limiter.try_take(1).is_none());
        drop(first);
        assert!(limiter.try_take(1).is_none());
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.take(|| 1).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        let third = waiting.await.unwrap();
        assert!(limiter.try_take(1).is_none());
        drop(third);
        assert!(limiter.try_take(1).is_some());
    }
}
