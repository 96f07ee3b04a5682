//! [`Endpoint`]: what all keys of one token endpoint share: how many requests it gets at a time and
//! in a minute, and the pause that a `Retry-After` asked for.

mod pace;
mod semaphore;

use std::{sync::Arc, time::Duration};

use biped_core::{Clock, Error, FetchLimit, Now};

pub(crate) use self::semaphore::{QueuePosition, Requester};
use self::{
    pace::Pace,
    semaphore::{self as places, PrioritySemaphore},
};
use crate::{
    settings::Settings,
    sync::{Mutex, Notify, lock},
};

/// A token endpoint, and what it can take.
pub(crate) struct Endpoint {
    requests: Arc<PrioritySemaphore>,
    rate: Option<Arc<Rate>>,
    /// Nothing is sent before this moment, because of this error.
    pause: Mutex<Option<(Duration, Error)>>,
}

/// How fast requests may follow each other. One flight at a time waits for the next slot; the others
/// stay in the queue, where callers go first.
struct Rate {
    turn: Arc<PrioritySemaphore>,
    pace: Mutex<Pace>,
    /// A slot was given back.
    freed: Notify,
}

/// The right to send one request. Who sends none with it takes nothing of the rate.
pub(crate) struct Permit {
    place: places::Permit,
    slot: Option<Slot>,
}

/// A moment at which the rate allows a request; given back when dropped, unless one was sent.
struct Slot {
    rate: Arc<Rate>,
    at: Duration,
    is_used: bool,
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
            rate: pace.map(|pace| {
                Arc::new(Rate {
                    turn: PrioritySemaphore::new(1),
                    pace: Mutex::new(pace),
                    freed: Notify::new(),
                })
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
            let place = self.requests.acquire(requester).await;
            return Permit { place, slot: None };
        };
        loop {
            let turn = rate.turn.acquire(requester).await;
            let place = self.requests.acquire(requester).await;
            let at = rate.next_slot(clock).await;
            // Either may have gone to another requester while this one's runtime stood still.
            if turn.is_still_held() && place.is_still_held() {
                let slot = Some(rate.take(at));
                return Permit { place, slot };
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

impl Rate {
    /// Waits for the next slot, and returns it.
    async fn next_slot(&self, clock: &dyn Clock) -> Duration {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            let now = clock.now().mono;
            let slot = lock(&self.pace).next_slot().max(now);
            if slot == now {
                return slot;
            }
            tokio::select! {
                biased;
                () = clock.sleep(slot - now) => return slot,
                () = freed => {}
            }
        }
    }

    fn take(self: &Arc<Self>, at: Duration) -> Slot {
        lock(&self.pace).take(at);
        Slot {
            rate: self.clone(),
            at,
            is_used: false,
        }
    }
}

impl Permit {
    /// Whether it was not given to another requester meanwhile.
    pub(crate) fn is_still_held(&self) -> bool {
        self.place.is_still_held()
    }

    /// Notes whether a request is sent with it, or may have been.
    pub(crate) fn set_used(&mut self, is_used: bool) {
        if let Some(slot) = &mut self.slot {
            slot.is_used = is_used;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.is_used {
            lock(&self.rate.pace).give_back(self.at);
            self.rate.freed.notify_waiters();
        }
    }
}
