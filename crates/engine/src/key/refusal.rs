//! [`Refusal`]: the vendor said no, and until when nobody asks again.

use std::time::Duration;

use biped_core::{Error, Now, SecretUse};

use crate::settings::{FIRST_PROBE, LAST_PROBE, LOOK};

/// Whether the vendor may be asked at all, by what the client and the endpoint know.
pub(crate) enum Clearance {
    /// Yes.
    Clear,
    /// Yes, but look first whether a secret changed since it was refused.
    Look(Vec<SecretUse>, Error),
    /// No.
    Held(Error),
}

impl Clearance {
    /// This one's word, and where it has nothing against it, the next one's.
    pub(crate) fn and_then(self, next: impl FnOnce() -> Self) -> Self {
        if let Self::Clear = self { next() } else { self }
    }
}

/// The vendor said no, and is not asked again until something changes or some time has passed.
pub(crate) struct Refusal {
    pub(crate) error: Error,
    secrets: Vec<SecretUse>,
    probes: u32,
    /// A probe is on its way.
    probing: bool,
    pub(crate) probe_at: Duration,
    look_at: Duration,
}

impl Refusal {
    /// Notes a refusal, or one more after a probe.
    pub(crate) fn renew(slot: &mut Option<Self>, error: &Error, secrets: &[SecretUse], now: &Now) {
        // Requests that were on their way together count once.
        let probes = slot.as_ref().map_or(0, |known| {
            known.probes.saturating_add(u32::from(known.probing))
        });
        let wait = FIRST_PROBE
            .saturating_mul(1 << probes.min(10))
            .min(LAST_PROBE);
        let wait = wait.max(error.retry_after().unwrap_or_default().min(LAST_PROBE));
        let mut refusal = Self {
            error: error.clone(),
            secrets: secrets.to_vec(),
            probes,
            probing: false,
            probe_at: now.mono.saturating_add(wait),
            look_at: Duration::ZERO,
        };
        refusal.look_at = now.mono.saturating_add(refusal.look_interval());
        *slot = Some(refusal);
    }

    fn look_interval(&self) -> Duration {
        let intervals = self
            .secrets
            .iter()
            .map(|used| used.secret().recheck_interval());
        intervals.max().unwrap_or(LOOK)
    }

    /// Whether it is too early for a probe.
    pub(crate) fn stands(&self, now: &Now) -> bool {
        now.mono < self.probe_at
    }

    /// The error, where neither a probe nor a look is due.
    pub(crate) fn held(&self, now: &Now) -> Option<Error> {
        let look = now.mono >= self.look_at && !self.secrets.is_empty();
        (self.stands(now) && !look).then(|| {
            let wait = self.probe_at - now.mono;
            self.error.clone().with_retry_after(Some(wait))
        })
    }

    /// Whether this caller may ask: as the probe, or to look whether a secret changed.
    pub(crate) fn clearance(&mut self, now: &Now) -> Clearance {
        if let Some(error) = self.held(now) {
            return Clearance::Held(error);
        }
        if self.stands(now) {
            self.look_at = now.mono.saturating_add(self.look_interval());
            return Clearance::Look(self.secrets.clone(), self.error.clone());
        }
        // One prober: the others go on hearing no. If it brings no answer, another follows.
        self.probing = true;
        self.probe_at = now.mono.saturating_add(FIRST_PROBE);
        Clearance::Clear
    }
}
