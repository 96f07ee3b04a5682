//! [`Demand`]: what a caller wants of a flight.

use std::time::Duration;

use biped_core::Now;

use crate::{
    key::cached::CachedToken,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// What a caller wants.
#[derive(Clone, Copy, Default)]
pub(crate) struct Demand {
    /// The token must last this long.
    pub(crate) min_ttl: Duration,
    /// Whatever token there is, here or in the store, ask the vendor.
    pub(crate) must_ask_vendor: bool,
    /// A token that was rejected won't do, not even as the last resort.
    pub(crate) no_last_resort: bool,
    /// There is a runtime to fetch on.
    pub(crate) runtime: bool,
    /// How often the client had been refused when the caller came.
    pub(crate) refusals: u64,
}

/// What all callers of one flight want.
pub(crate) struct SharedDemand {
    /// A caller waits without a usable token.
    urgent: AtomicBool,
    /// The longest life that a caller waits for, in milliseconds.
    min_ttl: AtomicU64,
    must_ask_vendor: AtomicBool,
}

impl Demand {
    /// Whether a token that there is already will do.
    pub(crate) fn is_met_by(self, token: &CachedToken, now: &Now) -> bool {
        !self.must_ask_vendor && token.lasts(self.min_ttl, now)
    }
}

impl SharedDemand {
    pub(crate) fn new(urgent: bool, demand: Demand) -> Self {
        Self {
            urgent: AtomicBool::new(urgent),
            min_ttl: AtomicU64::new(millis(demand.min_ttl)),
            must_ask_vendor: AtomicBool::new(demand.must_ask_vendor),
        }
    }

    /// Adds what one more waiting caller wants. Returns whether it is the first that waits.
    pub(crate) fn require(&self, demand: Demand) -> bool {
        let ttl = millis(demand.min_ttl);
        self.min_ttl.fetch_max(ttl, Ordering::Relaxed);
        let anew = demand.must_ask_vendor;
        self.must_ask_vendor.fetch_or(anew, Ordering::Relaxed);
        !self.urgent.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Acquire)
    }

    pub(crate) fn must_ask_vendor(&self) -> bool {
        self.must_ask_vendor.load(Ordering::Relaxed)
    }

    pub(crate) fn min_ttl(&self) -> Duration {
        Duration::from_millis(self.min_ttl.load(Ordering::Relaxed))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
