//! [`PrioritySemaphore`]: room for a number of requesters at a time, and two queues before it:
//! callers go first, background work comes after.
//!
//! A runtime that stands still would keep the permits of its requesters. So each requester gives a
//! heartbeat while its runtime drives it, those that wait watch the heartbeats of the others, and one
//! that missed several is passed over.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use biped_core::Now;

use crate::{
    settings::{HEARTBEAT, MISSED_HEARTBEATS},
    sync::{Mutex, lock, oneshot},
};

/// What waits for permits and holds them: a flight.
pub(crate) trait Requester: Send + Sync + 'static {
    /// Whether a caller waits for it; background work otherwise.
    fn is_urgent(&self) -> bool;

    /// A number that changes as long as its runtime drives it.
    fn last_heartbeat(&self) -> u64;

    /// Notes where it waits, so that it can [move ahead](QueuePosition::promote) when it becomes
    /// urgent; `None` when it waits no more.
    fn set_position(&self, position: Option<QueuePosition>);
}

/// Room for a number of requesters at a time, and the queues before it.
pub(crate) struct PrioritySemaphore(Mutex<Queue>);

struct Queue {
    room: usize,
    /// The permits that are out.
    held: Vec<(u64, Watch)>,
    /// How many permits there have been: each has a number of its own.
    given: u64,
    callers: VecDeque<Arc<Ticket>>,
    background: VecDeque<Arc<Ticket>>,
    /// The earliest moment for another look at the heartbeats.
    check_at: Duration,
}

/// A requester in the queue; taken when it gets its permit, from whichever queue it is in.
type Ticket = Mutex<Option<Waiter>>;

struct Waiter {
    give: oneshot::Sender<Permit>,
    watch: Watch,
}

/// Whether a requester's runtime still drives it, as those that wait behind it see it.
struct Watch {
    requester: Arc<dyn Requester>,
    /// The last heartbeat that was seen.
    heartbeat: u64,
    checked_at: Duration,
    /// Checks in a row that saw no new heartbeat. Counted and not measured: when the whole process
    /// stood still for a minute, that is one.
    missed: u32,
}

/// The right to send one request. Given to the next in the queue when dropped, unless it was taken
/// away because the runtime of its holder stood still.
pub(crate) struct Permit(Option<(Arc<PrioritySemaphore>, u64)>);

/// A place in the background queue.
pub(crate) struct QueuePosition {
    semaphore: Arc<PrioritySemaphore>,
    ticket: Arc<Ticket>,
}

impl PrioritySemaphore {
    pub(crate) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Queue {
            room,
            held: Vec::new(),
            given: 0,
            callers: VecDeque::new(),
            background: VecDeque::new(),
            check_at: Duration::ZERO,
        })))
    }

    /// Waits for a permit.
    pub(crate) async fn acquire<R: Requester>(self: &Arc<Self>, requester: &Arc<R>) -> Permit {
        loop {
            let watch = Watch::new(requester.clone());
            let urgent = requester.is_urgent();
            let (ticket, waiting) = {
                let mut queue = lock(&self.0);
                if queue.has_room() {
                    return queue.give(self, watch);
                }
                let (give, waiting) = oneshot::channel();
                let ticket = Arc::new(Mutex::new(Some(Waiter { give, watch })));
                let line = if urgent {
                    &mut queue.callers
                } else {
                    &mut queue.background
                };
                line.push_back(ticket.clone());
                (ticket, waiting)
            };
            if !urgent {
                requester.set_position(Some(QueuePosition {
                    semaphore: self.clone(),
                    ticket,
                }));
            }
            let permit = waiting.await;
            if !urgent {
                requester.set_position(None);
            }
            match permit {
                Ok(permit) if permit.is_still_held() => return permit,
                // Passed over while its runtime stood still; it queues again.
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
                // Served from the other queue already.
                let Some(Waiter { give, watch }) = lock(&ticket).take() else {
                    continue;
                };
                (give, queue.give(self, watch))
            };
            if let Err(mut permit) = give.send(permit)
                && let Some((_, number)) = permit.0.take()
            {
                // Its requester gave up waiting.
                lock(&self.0).take_back(number);
            }
        }
    }

    /// Takes permits and places from requesters that missed too many heartbeats.
    pub(crate) fn pass_over_lost(self: &Arc<Self>, now: &Now) {
        let mut lost = Vec::new();
        {
            let mut queue = lock(&self.0);
            if now.mono < queue.check_at {
                return;
            }
            queue.check_at = now.mono.saturating_add(HEARTBEAT);
            let Queue {
                held,
                callers,
                background,
                ..
            } = &mut *queue;
            held.retain_mut(|(_, watch)| !watch.is_lost(now));
            for line in [callers, background] {
                line.retain(|ticket| {
                    let mut waiter = lock(ticket);
                    lost.extend(waiter.take_if(|waiter| waiter.watch.is_lost(now)));
                    waiter.is_some()
                });
            }
        }
        // Outside the lock: dropping them wakes those who waited, if their runtime runs again.
        drop(lost);
        self.serve();
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.held.len() < self.room
    }

    fn give(&mut self, semaphore: &Arc<PrioritySemaphore>, watch: Watch) -> Permit {
        self.given += 1;
        self.held.push((self.given, watch));
        Permit(Some((semaphore.clone(), self.given)))
    }

    /// Returns whether the permit was out; one that was taken away is not.
    fn take_back(&mut self, number: u64) -> bool {
        let before = self.held.len();
        self.held.retain(|(held, _)| *held != number);
        self.held.len() < before
    }
}

impl Watch {
    fn new(requester: Arc<dyn Requester>) -> Self {
        Self {
            heartbeat: requester.last_heartbeat(),
            requester,
            checked_at: Duration::ZERO,
            missed: 0,
        }
    }

    fn is_lost(&mut self, now: &Now) -> bool {
        // A ticket may be in both queues.
        if self.checked_at != now.mono {
            self.checked_at = now.mono;
            let heartbeat = self.requester.last_heartbeat();
            if self.heartbeat == heartbeat {
                self.missed += 1;
            } else {
                self.heartbeat = heartbeat;
                self.missed = 0;
            }
        }
        self.missed >= MISSED_HEARTBEATS
    }
}

impl Permit {
    /// Whether it was not given to another requester meanwhile. Asking shows that this requester is
    /// driven, so it will not be taken away at once either.
    pub(crate) fn is_still_held(&self) -> bool {
        let Some((semaphore, number)) = &self.0 else {
            return false;
        };
        let mut queue = lock(&semaphore.0);
        let held = queue.held.iter_mut().find(|(held, _)| held == number);
        held.map(|(_, watch)| watch.missed = 0).is_some()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some((semaphore, number)) = self.0.take() else {
            return;
        };
        let was_out = lock(&semaphore.0).take_back(number);
        if was_out {
            semaphore.serve();
        }
    }
}

impl QueuePosition {
    /// Moves from the background queue to the callers'. Its old ticket is passed over.
    pub(crate) fn promote(&self) {
        let mut queue = lock(&self.semaphore.0);
        queue.callers.push_back(self.ticket.clone());
    }
}
