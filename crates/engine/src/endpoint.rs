//! [`Endpoint`]: what all keys of one token endpoint share: so many requests at a time, so many a
//! minute, and the `Retry-After` that one of them was told.
//!
//! A runtime that nobody drives would keep what its flights have: each flight shows now and then
//! that it is driven, those that wait look at the others' signs, and one that gave none for long is
//! passed over.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Duration,
};

use biped_core::{Clock, Error, Now};

use crate::{
    flight::Flight,
    settings::{BEAT, MISSED_BEATS, Settings},
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
    room: usize,
    /// The permits that are out.
    held: Vec<(u64, Watch)>,
    /// How many permits there have been: each has a number of its own.
    given: u64,
    callers: VecDeque<Arc<Ticket>>,
    background: VecDeque<Arc<Ticket>>,
    /// The earliest moment for another look at who stands still.
    look_at: Duration,
}

/// A flight in the queue; taken when it is its turn, by whichever queue it is in.
type Ticket = Mutex<Option<Turn>>;

struct Turn {
    give: oneshot::Sender<Permit>,
    watch: Watch,
}

/// Whether a flight's runtime still drives it, as the flights that wait behind it see it.
struct Watch {
    flight: Arc<Flight>,
    /// The last sign of life that was seen.
    sign: u64,
    looked_at: Duration,
    /// Looks in a row that saw no new sign. Counted and not measured: when the whole process stood
    /// still for a minute, that is one.
    missed: u32,
}

/// The right to send one request. Given to the next in the queue when dropped, unless it was taken
/// away because nobody drove its holder.
pub(crate) struct Permit(Option<(Arc<Lane>, u64)>);

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

    /// Waits for the right to send one request; callers go before background work.
    pub(crate) async fn permit(&self, flight: &Arc<Flight>, clock: &dyn Clock) -> Permit {
        let Some(rate) = &self.rate else {
            return self.requests.enter(flight).await;
        };
        loop {
            let turn = rate.lane.enter(flight).await;
            let permit = self.requests.enter(flight).await;
            let now = clock.now().mono;
            let slot = (*lock(&rate.next_slot)).max(now);
            if slot > now {
                clock.sleep(slot - now).await;
            }
            // Either may have gone to another while nobody drove this flight.
            if turn.is_still_held() && permit.is_still_held() {
                // Taken when it is used: one who gave up waiting takes none.
                *lock(&rate.next_slot) = slot.saturating_add(rate.spacing);
                return permit;
            }
        }
    }

    /// Takes the permits and the places in the queue from flights that nobody drives. Each flight
    /// that waits calls this whenever it gives a sign of life.
    pub(crate) fn pass_over_lost(&self, now: &Now) {
        if let Some(rate) = &self.rate {
            rate.lane.pass_over_lost(now);
        }
        self.requests.pass_over_lost(now);
    }
}

impl Lane {
    fn new(room: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Queue {
            room,
            held: Vec::new(),
            given: 0,
            callers: VecDeque::new(),
            background: VecDeque::new(),
            look_at: Duration::ZERO,
        })))
    }

    async fn enter(self: &Arc<Self>, flight: &Arc<Flight>) -> Permit {
        loop {
            let watch = Watch::new(flight.clone());
            let urgent = flight.is_urgent();
            let (ticket, waiting) = {
                let mut queue = lock(&self.0);
                if queue.has_room() {
                    return queue.give(self, watch);
                }
                let (give, waiting) = oneshot::channel();
                let ticket = Arc::new(Mutex::new(Some(Turn { give, watch })));
                let line = if urgent {
                    &mut queue.callers
                } else {
                    &mut queue.background
                };
                line.push_back(ticket.clone());
                (ticket, waiting)
            };
            if !urgent {
                flight.queue(Some(Place {
                    lane: self.clone(),
                    ticket,
                }));
            }
            let permit = waiting.await;
            if !urgent {
                flight.queue(None);
            }
            match permit {
                Ok(permit) if permit.is_still_held() => return permit,
                // Passed over while nobody drove this flight; it queues again.
                _ => {}
            }
        }
    }

    /// Gives permits to those in the queue, as far as there is room.
    fn serve(self: &Arc<Self>) {
        loop {
            let (give, permit) = {
                let mut queue = lock(&self.0);
                if !queue.has_room() {
                    return;
                }
                let next = queue
                    .callers
                    .pop_front()
                    .or_else(|| queue.background.pop_front());
                let Some(ticket) = next else { return };
                // Served from the other queue already: the next, then.
                let Some(Turn { give, watch }) = lock(&ticket).take() else {
                    continue;
                };
                (give, queue.give(self, watch))
            };
            if let Err(mut permit) = give.send(permit)
                && let Some((_, number)) = permit.0.take()
            {
                // Nobody waits any more.
                lock(&self.0).take_back(number);
            }
        }
    }

    fn pass_over_lost(self: &Arc<Self>, now: &Now) {
        let mut lost = Vec::new();
        {
            let mut queue = lock(&self.0);
            if now.mono < queue.look_at {
                return;
            }
            queue.look_at = now.mono.saturating_add(BEAT);
            let Queue {
                held,
                callers,
                background,
                ..
            } = &mut *queue;
            held.retain_mut(|(_, watch)| !watch.is_lost(now));
            for line in [callers, background] {
                line.retain(|ticket| {
                    let mut turn = lock(ticket);
                    lost.extend(turn.take_if(|turn| turn.watch.is_lost(now)));
                    turn.is_some()
                });
            }
        }
        // Outside the lock: dropping them wakes those who waited, if somebody drives them again.
        drop(lost);
        self.serve();
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.held.len() < self.room
    }

    fn give(&mut self, lane: &Arc<Lane>, watch: Watch) -> Permit {
        self.given += 1;
        self.held.push((self.given, watch));
        Permit(Some((lane.clone(), self.given)))
    }

    /// Answers whether the permit was out; one that was taken away is not.
    fn take_back(&mut self, number: u64) -> bool {
        let before = self.held.len();
        self.held.retain(|(held, _)| *held != number);
        self.held.len() < before
    }
}

impl Watch {
    fn new(flight: Arc<Flight>) -> Self {
        Self {
            sign: flight.last_sign(),
            flight,
            looked_at: Duration::ZERO,
            missed: 0,
        }
    }

    fn is_lost(&mut self, now: &Now) -> bool {
        // A ticket may be in both queues.
        if self.looked_at != now.mono {
            self.looked_at = now.mono;
            let sign = self.flight.last_sign();
            if self.sign == sign {
                self.missed += 1;
            } else {
                self.sign = sign;
                self.missed = 0;
            }
        }
        self.missed >= MISSED_BEATS
    }
}

impl Permit {
    /// Whether it was not given to another meanwhile. Whoever asks is driven, so that it will not
    /// be at once either.
    pub(crate) fn is_still_held(&self) -> bool {
        let Some((lane, number)) = &self.0 else {
            return false;
        };
        let mut queue = lock(&lane.0);
        let held = queue.held.iter_mut().find(|(held, _)| held == number);
        held.map(|(_, watch)| watch.missed = 0).is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some((lane, number)) = self.0.take() else {
            return;
        };
        let was_out = lock(&lane.0).take_back(number);
        if was_out {
            lane.serve();
        }
    }
}

impl Place {
    /// Moves from the background queue to the callers'. Its old ticket is passed over.
    pub(crate) fn promote(&self) {
        lock(&self.lane.0).callers.push_back(self.ticket.clone());
    }
}
