//! [`Presence`]: how many callers are connected, and for how long none has been.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use biped::provider::Clock;
use tokio::sync::Notify;

/// Who is connected.
#[derive(Debug)]
pub(crate) struct Presence {
    connections: AtomicUsize,
    /// When the last connection ended, in milliseconds of the monotonic clock.
    left: AtomicU64,
    ended: Notify,
    clock: Arc<dyn Clock>,
}

impl Presence {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            connections: AtomicUsize::new(0),
            left: AtomicU64::new(0),
            ended: Notify::new(),
            clock,
        }
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connected(self: &Arc<Self>) -> Connected {
        self.connections.fetch_add(1, Ordering::AcqRel);
        Connected(self.clone())
    }

    /// Completes when no caller is connected.
    pub(crate) async fn gone(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.connections.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Completes when no caller has been connected for so long, which counts from now on.
    pub(crate) async fn quiet(&self, time: Duration) {
        let began = self.clock.now().mono;
        loop {
            self.gone().await;
            // A connection that came and went while this waited counts as well.
            let left = Duration::from_millis(self.left.load(Ordering::Acquire));
            let end = left.max(began) + time;
            let rest = end.saturating_sub(self.clock.now().mono);
            if rest.is_zero() {
                return;
            }
            self.clock.sleep(rest).await;
        }
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub(crate) struct Connected(Arc<Presence>);

impl Drop for Connected {
    fn drop(&mut self) {
        let now = self.0.clock.now().mono.as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.0.left.fetch_max(now, Ordering::AcqRel);
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Context};

    use biped_testing::ManualClock;

    use super::*;

    #[test]
    fn quiet_counts_from_the_end_of_the_last_connection_however_short_it_was() {
        const SECOND: Duration = Duration::from_secs(1);
        let clock = Arc::new(ManualClock::new());
        let presence = Arc::new(Presence::new(clock.clone()));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut quiet = pin!(presence.quiet(SECOND));
        let mut is_quiet = || quiet.as_mut().poll(&mut cx).is_ready();
        assert!(!is_quiet());
        for _ in 0..10 {
            clock.advance(SECOND * 9 / 10);
            assert!(!is_quiet());
            // Nobody looks while it is there.
            drop(presence.connected());
        }
        let connected = presence.connected();
        clock.advance(SECOND * 2);
        assert!(!is_quiet());
        drop(connected);
        assert!(!is_quiet());
        clock.advance(SECOND - Duration::from_millis(1));
        assert!(!is_quiet());
        clock.advance(Duration::from_millis(1));
        assert!(is_quiet());
    }
}
