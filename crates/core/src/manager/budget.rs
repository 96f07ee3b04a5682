//! [`Endpoint`]: what all keys of one token endpoint share: so many requests at a time, so many a
//! minute, and the `Retry-After` that one of them was told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::oneshot;

use super::settings::Settings;
use crate::{Clock, Error, Now};

/// A token endpoint, and what it can take.
pub(crate) struct Endpoint {
    state: Mutex<State>,
    /// The time between two requests, where a rate is set.
    spacing: Duration,
}

struct State {
    free: usize,
    callers: VecDeque<Arc<Ticket>>,
    background: VecDeque<Arc<Ticket>>,
    /// Nothing is sent before this moment, because of this error.
    hold: Option<(Duration, Error)>,
    next_slot: Duration,
}

/// Somebody in the queue; taken when it is their turn, by whichever queue they are in.
type Ticket = Mutex<Option<oneshot::Sender<Permit>>>;

/// The right to send one request. Given to the next in line when dropped.
pub(crate) struct Permit(Option<Arc<Endpoint>>);

/// A place in the queue.
pub(crate) struct Place {
    endpoint: Arc<Endpoint>,
    ticket: Arc<Ticket>,
}

impl Endpoint {
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        let spacing = settings
            .fetches_per_minute
            .map_or(Duration::ZERO, |rate| Duration::from_secs(60) / rate);
        Arc::new(Self {
            state: Mutex::new(State {
                free: settings.concurrent_fetches,
                callers: VecDeque::new(),
                background: VecDeque::new(),
                hold: None,
                next_slot: Duration::ZERO,
            }),
            spacing,
        })
    }

    /// The error that stands until the vendor's `Retry-After` is over, and how long that is.
    pub(crate) fn hold(&self, now: &Now) -> Option<(Error, Duration)> {
        let mut state = self.lock();
        state.hold.take_if(|(until, _)| *until <= now.mono);
        let (until, error) = state.hold.as_ref()?;
        let left = *until - now.mono;
        Some((error.clone().with_retry_after(Some(left)), left))
    }

    /// The vendor asked to be left alone for so long.
    pub(crate) fn leave_alone(&self, wait: Duration, error: &Error, now: &Now) {
        let until = now.mono.saturating_add(wait);
        let mut state = self.lock();
        if state.hold.as_ref().is_none_or(|(known, _)| *known < until) {
            state.hold = Some((until, error.clone()));
        }
    }

    /// Waits for the right to send one request; callers go before background work. `queued` is
    /// told the place in the queue while it is one.
    pub(crate) async fn permit(
        self: &Arc<Self>,
        urgent: bool,
        clock: &dyn Clock,
        queued: impl Fn(Option<Place>) + Send,
    ) -> Permit {
        let turn = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                None
            } else {
                let (turn, waiting) = oneshot::channel();
                let ticket = Arc::new(Mutex::new(Some(turn)));
                let line = if urgent {
                    &mut state.callers
                } else {
                    &mut state.background
                };
                line.push_back(ticket.clone());
                Some((ticket, waiting))
            }
        };
        let permit = match turn {
            None => Permit(Some(self.clone())),
            Some((ticket, waiting)) => {
                queued(Some(Place {
                    endpoint: self.clone(),
                    ticket,
                }));
                let permit = waiting.await;
                queued(None);
                // Senders are only ever dropped with their permit sent.
                permit.unwrap_or(Permit(None))
            }
        };
        if !self.spacing.is_zero() {
            let now = clock.now().mono;
            let slot = {
                let mut state = self.lock();
                let slot = state.next_slot.max(now);
                state.next_slot = slot.saturating_add(self.spacing);
                slot
            };
            if slot > now {
                clock.sleep(slot - now).await;
            }
        }
        permit
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(endpoint) = self.0.take() else {
            return;
        };
        loop {
            let next = {
                let mut state = endpoint.lock();
                let next = state
                    .callers
                    .pop_front()
                    .or_else(|| state.background.pop_front());
                if next.is_none() {
                    state.free += 1;
                }
                next
            };
            let Some(ticket) = next else { return };
            let turn = ticket
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .take();
            // Served from the other queue already, or nobody waits any more: the next, then.
            let Some(turn) = turn else { continue };
            match turn.send(Self(Some(endpoint.clone()))) {
                Ok(()) => return,
                Err(mut permit) => drop(permit.0.take()),
            }
        }
    }
}

impl Place {
    /// Moves from the background queue to the callers'. Its old ticket is passed over.
    pub(crate) fn promote(&self) {
        self.endpoint.lock().callers.push_back(self.ticket.clone());
    }
}
