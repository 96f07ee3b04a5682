//! [`Endpoint`]: what all keys of one token endpoint share: so many requests at a time, so many a
//! minute, and the `Retry-After` that one of them was told.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Duration,
};

use biped_core::{Clock, Error, Now};

use crate::{
    settings::Settings,
    sync::{Mutex, MutexGuard, oneshot},
};

/// A token endpoint, and what it can take.
pub(crate) struct Endpoint {
    requests: Arc<Lane>,
    rate: Option<Rate>,
    /// Nothing is sent before this moment, because of this error.
    hold: Mutex<Option<(Duration, Error)>>,
}

/// So many requests a minute, evenly spread. One at a time waits for the next slot; the others stay
/// in the queue, where callers go first.
struct Rate {
    lane: Arc<Lane>,
    spacing: Duration,
    next_slot: Mutex<Duration>,
}

/// Room for so many at a time, and the queue before it.
struct Lane(Mutex<Queue>);

struct Queue {
    free: usize,
    callers: VecDeque<Arc<Ticket>>,
    background: VecDeque<Arc<Ticket>>,
}

/// Somebody in the queue; taken when it is their turn, by whichever queue they are in.
type Ticket = Mutex<Option<oneshot::Sender<Permit>>>;

/// The right to send one request. Given to the next in line when dropped.
pub(crate) struct Permit(Option<Arc<Lane>>);

/// A place in the queue.
pub(crate) struct Place {
    lane: Arc<Lane>,
    ticket: Arc<Ticket>,
}

impl Endpoint {
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            requests: Lane::new(settings.concurrent_fetches),
            rate: settings.fetches_per_minute.map(|rate| Rate {
                lane: Lane::new(1),
                spacing: Duration::from_secs(60) / rate,
                next_slot: Mutex::default(),
            }),
            hold: Mutex::default(),
        })
    }

    /// The error that stands until the vendor's `Retry-After` is over, and how long that is.
    pub(crate) fn hold(&self, now: &Now) -> Option<(Error, Duration)> {
        let mut hold = lock(&self.hold);
        hold.take_if(|(until, _)| *until <= now.mono);
        let (until, error) = hold.as_ref()?;
        let left = *until - now.mono;
        Some((error.clone().with_retry_after(Some(left)), left))
    }

    /// A key's own error; it may not be asked again while the endpoint is left alone.
    pub(crate) fn no_sooner(&self, error: Error, now: &Now) -> Error {
        match (error.retry_after(), self.hold(now)) {
            (Some(wait), Some((_, left))) if wait < left => error.with_retry_after(Some(left)),
            _ => error,
        }
    }

    /// The vendor asked to be left alone for so long.
    pub(crate) fn leave_alone(&self, wait: Duration, error: &Error, now: &Now) {
        let until = now.mono.saturating_add(wait);
        let mut hold = lock(&self.hold);
        if hold.as_ref().is_none_or(|(known, _)| *known < until) {
            *hold = Some((until, error.clone()));
        }
    }

    /// Waits for the right to send one request; callers go before background work. `queued` is
    /// told the place in the queue while it is one that can be bettered.
    pub(crate) async fn permit(
        &self,
        urgent: impl Fn() -> bool + Send + Sync,
        clock: &dyn Clock,
        queued: impl Fn(Option<Place>) + Send + Sync,
    ) -> Permit {
        let Some(rate) = &self.rate else {
            return self.requests.enter(urgent(), &queued).await;
        };
        let _turn = rate.lane.enter(urgent(), &queued).await;
        let permit = self.requests.enter(urgent(), &queued).await;
        let now = clock.now().mono;
        let slot = (*lock(&rate.next_slot)).max(now);
        if slot > now {
            clock.sleep(slot - now).await;
        }
        // Taken when it is used: one who gave up waiting takes none.
        *lock(&rate.next_slot) = slot.saturating_add(rate.spacing);
        permit
    }
}

impl Lane {
    fn new(free: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Queue {
            free,
            callers: VecDeque::new(),
            background: VecDeque::new(),
        })))
    }

    async fn enter(
        self: &Arc<Self>,
        urgent: bool,
        queued: &(impl Fn(Option<Place>) + Send + Sync),
    ) -> Permit {
        let (ticket, waiting) = {
            let mut queue = lock(&self.0);
            if queue.free > 0 {
                queue.free -= 1;
                return Permit(Some(self.clone()));
            }
            let (turn, waiting) = oneshot::channel();
            let ticket = Arc::new(Mutex::new(Some(turn)));
            let line = if urgent {
                &mut queue.callers
            } else {
                &mut queue.background
            };
            line.push_back(ticket.clone());
            (ticket, waiting)
        };
        if !urgent {
            queued(Some(Place {
                lane: self.clone(),
                ticket,
            }));
        }
        let permit = waiting.await;
        queued(None);
        // Senders are only ever dropped with their permit sent.
        permit.unwrap_or(Permit(None))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(lane) = self.0.take() else {
            return;
        };
        loop {
            let next = {
                let mut queue = lock(&lane.0);
                let next = queue
                    .callers
                    .pop_front()
                    .or_else(|| queue.background.pop_front());
                if next.is_none() {
                    queue.free += 1;
                }
                next
            };
            let Some(ticket) = next else { return };
            let turn = lock(&ticket).take();
            // Served from the other queue already, or nobody waits any more: the next, then.
            let Some(turn) = turn else { continue };
            match turn.send(Self(Some(lane.clone()))) {
                Ok(()) => return,
                Err(mut permit) => drop(permit.0.take()),
            }
        }
    }
}

impl Place {
    /// Moves from the background queue to the callers'. Its old ticket is passed over.
    pub(crate) fn promote(&self) {
        lock(&self.lane.0).callers.push_back(self.ticket.clone());
    }
}
