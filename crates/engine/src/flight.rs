//! [`Flight`]: the one fetch in progress for a key, as those who wait for it see it.

pub(crate) mod activity;
pub(crate) mod demand;
pub(crate) mod exchange;
pub(crate) mod task;

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use biped_core::{Error, Now, SecretUse};

use self::demand::Want;
use crate::{
    endpoint::Place,
    key::cached::CachedToken,
    settings::Settings,
    sync::{
        Mutex, MutexGuard, Notify, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// How a flight ends.
pub(crate) type Outcome = Result<Arc<CachedToken>, Error>;

/// The one fetch in progress for a key.
pub(crate) struct Flight {
    started: Duration,
    /// When its runtime last drove it, in nanoseconds on the monotonic clock.
    driven_at: AtomicU64,
    /// Somebody waits who has no usable token.
    urgent: AtomicBool,
    /// The longest life that somebody waits for, in milliseconds.
    min_ttl: AtomicU64,
    /// Whatever a store has, ask the vendor.
    anew: AtomicBool,
    /// What it brought was in the store.
    from_store: AtomicBool,
    /// How often the client had been refused before anybody said that this flight may start.
    pub(crate) refusals: u64,
    /// Secrets that were refused; if none changed, the flight ends with that refusal.
    look: Mutex<Option<(Vec<SecretUse>, Error)>>,
    /// It waits for its turn at the endpoint.
    in_line: AtomicBool,
    /// Its place in the queue of the endpoint, to be moved ahead when it gets urgent.
    place: Mutex<Option<Place>>,
    outcome: OnceLock<Outcome>,
    landed: Notify,
}

impl Flight {
    pub(crate) fn new(
        now: &Now,
        urgent: bool,
        want: Want,
        look: Option<(Vec<SecretUse>, Error)>,
    ) -> Self {
        Self {
            started: now.mono,
            driven_at: AtomicU64::new(nanos(now.mono)),
            urgent: AtomicBool::new(urgent),
            min_ttl: AtomicU64::new(millis(want.min_ttl)),
            anew: AtomicBool::new(want.anew),
            from_store: AtomicBool::new(false),
            refusals: want.refusals,
            look: Mutex::new(look),
            in_line: AtomicBool::new(false),
            place: Mutex::default(),
            outcome: OnceLock::new(),
            landed: Notify::new(),
        }
    }

    /// Its runtime stands still, and would keep everybody waiting.
    pub(crate) fn is_lost(&self, now: &Now) -> bool {
        let driven_at = Duration::from_nanos(self.last_sign());
        now.mono.saturating_sub(driven_at) > Settings::MAX_WAIT
    }

    /// Shows that its runtime drives it.
    pub(crate) fn beat(&self, now: &Now) {
        self.driven_at.store(nanos(now.mono), Ordering::Relaxed);
    }

    /// Changes as long as its runtime drives it.
    pub(crate) fn last_sign(&self) -> u64 {
        self.driven_at.load(Ordering::Relaxed)
    }

    /// How long it has been under way.
    pub(crate) fn age(&self, now: &Now) -> Duration {
        now.mono.saturating_sub(self.started)
    }

    /// Somebody waits for it now who has no token that would do.
    pub(crate) fn urge(&self, want: Want) {
        self.min_ttl
            .fetch_max(millis(want.min_ttl), Ordering::Relaxed);
        self.anew.fetch_or(want.anew, Ordering::Relaxed);
        if !self.urgent.swap(true, Ordering::AcqRel)
            && let Some(place) = &*lock(&self.place)
        {
            place.promote();
        }
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Acquire)
    }

    pub(crate) fn is_anew(&self) -> bool {
        self.anew.load(Ordering::Relaxed)
    }

    /// What it brings was in the store: nothing for those who wanted it asked of the vendor.
    pub(crate) fn brings_from_store(&self) {
        self.from_store.store(true, Ordering::Release);
    }

    /// Whether what it brought is what this caller wants. One that came late may find a token from
    /// the store, chosen before its wish was known.
    pub(crate) fn met(&self, want: Want, token: &CachedToken, now: &Now) -> bool {
        !self.from_store.load(Ordering::Acquire) || want.is_met_by(token, now)
    }

    pub(crate) fn min_ttl(&self) -> Duration {
        Duration::from_millis(self.min_ttl.load(Ordering::Relaxed))
    }

    /// The refusal that stands while the flight only looks whether a secret changed.
    pub(crate) fn looking_after(&self) -> Option<Error> {
        lock(&self.look)
            .as_ref()
            .map(|(_, refusal)| refusal.clone())
    }

    /// The secrets to look at before anything is sent.
    pub(crate) fn secrets_to_look_at(&self) -> Option<(Vec<SecretUse>, Error)> {
        lock(&self.look).clone()
    }

    /// A secret changed: from here on it is a flight like any other.
    pub(crate) fn looked(&self) {
        *lock(&self.look) = None;
    }

    /// Whether all that it waits for is its turn at the endpoint.
    pub(crate) fn is_in_line(&self) -> bool {
        self.in_line.load(Ordering::Relaxed)
    }

    pub(crate) fn stand_in_line(&self, in_line: bool) {
        self.in_line.store(in_line, Ordering::Relaxed);
    }

    pub(crate) fn queue(&self, place: Option<Place>) {
        *lock(&self.place) = place;
        // Somebody may have come since its priority was read.
        if self.is_urgent()
            && let Some(place) = &*lock(&self.place)
        {
            place.promote();
        }
    }

    /// Ends the flight for everybody who waits. The first end counts.
    pub(crate) fn land(&self, outcome: Outcome) {
        let _ = self.outcome.set(outcome);
        self.landed.notify_waiters();
    }

    /// Waits for the end.
    pub(crate) async fn wait(&self) -> Outcome {
        loop {
            let mut landed = std::pin::pin!(self.landed.notified());
            landed.as_mut().enable();
            if let Some(outcome) = self.outcome.get() {
                return outcome.clone();
            }
            landed.await;
        }
    }
}

fn nanos(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
