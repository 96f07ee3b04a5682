//! [`Endpoint`]: what all keys of one token endpoint share: how many requests it gets at a time and
//! in a minute, and the pause that a `Retry-After` asked for.

mod pace;
mod semaphore;

use std::{sync::Arc, time::Duration};

use biped_core::{Clock, Error, FetchLimit, Now};

pub(crate) use self::semaphore::{Permit, QueuePosition, Requester};
use self::{pace::Pace, semaphore::PrioritySemaphore};
use crate::{
    settings::Settings,
    sync::{Mutex, lock},
};

/// A token endpoint, and what it can take.
pub(crate) struct Endpoint {
    requests: Arc<PrioritySemaphore>,
    rate: Option<Rate>,
    /// Nothing is sent before this moment, because of this error.
    pause: Mutex<Option<(Duration, Error)>>,
}

/// How fast requests may follow each other. One flight at a time waits for the next slot; the others
/// stay in the queue, where callers go first.
struct Rate {
    turn: Arc<PrioritySemaphore>,
    pace: Mutex<Pace>,
}

impl Endpoint {
    /// The settings' own rate counts, or else the vendor's limit.
    pub(crate) fn new(settings: &Settings, limit: Option<FetchLimit>) -> Arc<Self> {
        let pace = match (settings.fetches_per_minute, limit) {
            (Some(rate), _) => Some(Pace::even(Duration::from_secs(60) / rate)),
            (None, Some(limit)) => Some(Pace::within(limit)),
            (None, None) => None,
        };
        Arc::new(Self {
            requests: PrioritySemaphore::new(settings.concurrent_fetches),
            rate: pace.map(|pace| Rate {
                turn: PrioritySemaphore::new(1),
                pace: Mutex::new(pace),
            }),
            pause: Mutex::default(),
        })
    }

    /// The error that is in force until the vendor's `Retry-After` is over, and how long that is.
    pub(crate) fn paused(&self, now: &Now) -> Option<(Error, Duration)> {
        let mut pause = lock(&self.pause);
        pause.take_if(|(until, _)| *until <= now.mono);
        let (until, error) = pause.as_ref()?;
        let left = *until - now.mono;
        Some((error.clone().with_next_attempt(Some(left)), left))
    }

    /// A key's own error; the key may not ask before the endpoint's pause is over.
    pub(crate) fn with_pause(&self, error: Error, now: &Now) -> Error {
        match (error.retry_after(), self.paused(now)) {
            (Some(wait), Some((_, left))) if wait < left => error.with_next_attempt(Some(left)),
            _ => error,
        }
    }

    /// The vendor asked for a pause of this length.
    pub(crate) fn pause(&self, wait: Duration, error: &Error, now: &Now) {
        let until = now.mono.saturating_add(wait);
        let mut pause = lock(&self.pause);
        if pause.as_ref().is_none_or(|(known, _)| *known < until) {
            *pause = Some((until, error.clone()));
        }
    }

    /// Waits for the right to send one request; callers go before background work.
    pub(crate) async fn permit<R: Requester>(
        &self,
        requester: &Arc<R>,
        clock: &dyn Clock,
    ) -> Permit {
        let Some(rate) = &self.rate else {
            return self.requests.acquire(requester).await;
        };
        loop {
            let turn = rate.turn.acquire(requester).await;
            let permit = self.requests.acquire(requester).await;
            let now = clock.now().mono;
            let slot = lock(&rate.pace).next_slot().max(now);
            if slot > now {
                clock.sleep(slot - now).await;
            }
            // Either may have gone to another requester while this one's runtime stood still.
            if turn.is_still_held() && permit.is_still_held() {
                // The slot is taken when the permit is used, so a requester that gave up waiting takes none.
                lock(&rate.pace).take(slot);
                return permit;
            }
        }
    }

    /// Takes the permits and the places in the queue from requesters whose runtime stands still.
    /// Each requester that waits calls this whenever it gives a heartbeat.
    pub(crate) fn pass_over_lost(&self, now: &Now) {
        if let Some(rate) = &self.rate {
            rate.turn.pass_over_lost(now);
        }
        self.requests.pass_over_lost(now);
    }
}
