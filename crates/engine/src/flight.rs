//! [`Flight`]: the one fetch in progress for a key, as the callers that wait for it see it.

pub(crate) mod activity;
pub(crate) mod demand;
mod end;
pub(crate) mod exchange;
mod recheck;
mod store;
pub(crate) mod task;

use std::{sync::Arc, time::Duration};

use biped_core::{Error, Now};
use tracing::Span;

use self::demand::{Demand, SharedDemand};
use crate::{
    endpoint::{QueuePosition, Requester},
    failure::Patience,
    key::{cached::CachedToken, refusal::Recheck, schedule::nanos},
    settings::Settings,
    sync::{
        Mutex, Notify, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
        lock,
    },
};

/// How a flight ends.
pub(crate) type Outcome = Result<Arc<CachedToken>, Ended>;

/// How a flight ends without a token.
#[derive(Clone)]
pub(crate) enum Ended {
    Failed(Error),
    /// What it brought had been forgotten meanwhile, or it was put off: its callers start another.
    Unanswered,
}

/// The one fetch in progress for a key.
pub(crate) struct Flight {
    started: Duration,
    /// When its runtime last drove it, in nanoseconds on the monotonic clock.
    heartbeat: AtomicU64,
    /// What its callers want, all of them together.
    demand: SharedDemand,
    /// What has to change before it may ask, where that is so.
    recheck: Mutex<Option<Recheck>>,
    ends_refusal: AtomicBool,
    queue: Queued,
    span: OnceLock<Span>,
    /// How often the client had been refused before this flight was allowed to start.
    pub(crate) refusals_seen: u64,
    /// A caller began to wait.
    caller_came: Notify,
    end: Ending,
}

/// How a flight waits for its turn at the endpoint.
#[derive(Default)]
struct Queued {
    waits: AtomicBool,
    /// Its place in the background queue, to be moved ahead when it becomes urgent.
    position: Mutex<Option<QueuePosition>>,
}

struct Ending {
    /// The token was in the store.
    from_store: AtomicBool,
    outcome: OnceLock<Outcome>,
    came: Notify,
}

impl Flight {
    pub(crate) fn new(now: &Now, urgent: bool, demand: Demand, recheck: Option<Recheck>) -> Self {
        Self {
            started: now.mono,
            heartbeat: AtomicU64::new(nanos(now.mono)),
            demand: SharedDemand::new(urgent, demand),
            recheck: Mutex::new(recheck),
            ends_refusal: AtomicBool::new(false),
            queue: Queued::default(),
            span: OnceLock::new(),
            refusals_seen: demand.refusals,
            caller_came: Notify::new(),
            end: Ending {
                from_store: AtomicBool::new(false),
                outcome: OnceLock::new(),
                came: Notify::new(),
            },
        }
    }

    /// What it does is told under this span.
    pub(crate) fn set_span(&self, span: Span) {
        let _ = self.span.set(span);
    }

    /// Links the caller's span to its own.
    pub(crate) fn link(&self) {
        if let Some(span) = self.span.get() {
            Span::current().follows_from(span);
        }
    }

    /// Whether its runtime stands still, and would keep its callers waiting.
    pub(crate) fn is_lost(&self, now: &Now) -> bool {
        let driven_at = Duration::from_nanos(self.last_heartbeat());
        now.mono.saturating_sub(driven_at) > Settings::MAX_WAIT
    }

    /// Shows that its runtime drives it.
    pub(crate) fn give_heartbeat(&self, now: &Now) {
        self.heartbeat.store(nanos(now.mono), Ordering::Relaxed);
    }

    /// How much longer it may take, where its callers wait for at most `max_wait`.
    pub(crate) fn patience(&self, max_wait: Duration, now: &Now) -> Patience {
        let age = now.mono.saturating_sub(self.started);
        Patience {
            urgent: self.is_urgent(),
            left: max_wait.saturating_sub(age),
        }
    }

    /// Notes that a caller without a usable token waits.
    pub(crate) fn require(&self, demand: Demand) {
        if self.demand.require(demand) {
            self.caller_came.notify_waiters();
            if let Some(position) = &*lock(&self.queue.position) {
                position.promote();
            }
        }
    }

    /// Waits until a caller without a usable token waits for the flight.
    pub(crate) async fn caller(&self) {
        loop {
            let mut came = std::pin::pin!(self.caller_came.notified());
            came.as_mut().enable();
            if self.demand.is_urgent() {
                return;
            }
            came.await;
        }
    }

    pub(crate) fn must_ask_vendor(&self) -> bool {
        self.demand.must_ask_vendor()
    }

    pub(crate) fn min_ttl(&self) -> Duration {
        self.demand.min_ttl()
    }

    /// Its token was in the store, so it does not satisfy a caller that wants one from the vendor.
    pub(crate) fn set_from_store(&self) {
        self.end.from_store.store(true, Ordering::Release);
    }

    /// Whether its token is what this caller wants. A caller that came late may find a token from the
    /// store, chosen before its demand was known.
    pub(crate) fn satisfies(&self, demand: Demand, token: &CachedToken, now: &Now) -> bool {
        !self.end.from_store.load(Ordering::Acquire) || demand.is_met_by(token, now)
    }

    /// What has to change before it asks the vendor; `None` where nothing has to.
    pub(crate) fn recheck(&self) -> Option<Recheck> {
        lock(&self.recheck).clone()
    }

    /// A secret changed: from now on it is a flight like any other.
    pub(crate) fn recheck_passed(&self) {
        let passed = lock(&self.recheck).take();
        let is_of_client = passed.is_some_and(|recheck| recheck.is_of_client);
        self.ends_refusal.store(is_of_client, Ordering::Relaxed);
    }

    /// Whether the secret that the client was refused for has changed, so that also a token from the
    /// store ends the refusal.
    pub(crate) fn ends_refusal(&self) -> bool {
        self.ends_refusal.load(Ordering::Relaxed)
    }

    /// Whether it waits for its turn at the endpoint.
    pub(crate) fn is_queued(&self) -> bool {
        self.queue.waits.load(Ordering::Relaxed)
    }

    pub(crate) fn set_queued(&self, queued: bool) {
        self.queue.waits.store(queued, Ordering::Relaxed);
    }

    /// Ends the flight for all callers that wait. The first end counts.
    pub(crate) fn finish(&self, outcome: Outcome) {
        let _ = self.end.outcome.set(outcome);
        self.end.came.notify_waiters();
    }

    /// Waits for the end.
    pub(crate) async fn wait(&self) -> Outcome {
        loop {
            let mut came = std::pin::pin!(self.end.came.notified());
            came.as_mut().enable();
            if let Some(outcome) = self.end.outcome.get() {
                return outcome.clone();
            }
            came.await;
        }
    }
}

impl Requester for Flight {
    fn is_urgent(&self) -> bool {
        self.demand.is_urgent()
    }

    fn last_heartbeat(&self) -> u64 {
        self.heartbeat.load(Ordering::Relaxed)
    }

    fn set_position(&self, position: Option<QueuePosition>) {
        *lock(&self.queue.position) = position;
        // It may have become urgent since its priority was read.
        if self.is_urgent()
            && let Some(position) = &*lock(&self.queue.position)
        {
            position.promote();
        }
    }
}
