//! [`Want`]: what a caller wants of a flight.

use std::time::Duration;

use biped_core::Now;

use crate::key::cached::CachedToken;

/// What a caller wants.
#[derive(Clone, Copy, Default)]
pub(crate) struct Want {
    /// The token must last this long.
    pub(crate) min_ttl: Duration,
    /// Whatever token there is, here or in the store, ask the vendor.
    pub(crate) anew: bool,
    /// There is a runtime to fly on.
    pub(crate) runtime: bool,
    /// How often the client had been refused when the caller came.
    pub(crate) refusals: u64,
}

impl Want {
    /// Whether a token that there is already will do.
    pub(crate) fn is_met_by(self, token: &CachedToken, now: &Now) -> bool {
        !self.anew && token.lasts(self.min_ttl, now)
    }
}
