//! [`Refusal`]: the vendor said no, and until when it is not asked again. [`Permission`]: whether a
//! flight may ask.

use std::{sync::Arc, time::Duration};

use biped_core::{Error, Now, SecretUse};

use crate::{
    failure::{FetchFailure, probe_after},
    input::Lender,
    settings::{FIRST_PROBE, SECRET_RECHECK},
};

/// Whether a flight may ask the vendor, by what the endpoint, the client and the key know.
pub(crate) enum Permission {
    /// It may.
    Granted,
    /// It may if one of these secrets has changed.
    AfterRecheck(Recheck),
    /// It may not, because of this error.
    Denied(Error),
}

/// What was refused, to be looked at again before anything is sent.
#[derive(Clone)]
pub(crate) struct Recheck {
    pub(crate) secrets: Vec<SecretUse>,
    /// The keys of other providers whose tokens were refused.
    pub(crate) lenders: Vec<Arc<dyn Lender>>,
    /// The account's entry says that the credential was refused.
    pub(crate) is_in_entry: bool,
    /// The client itself was refused, and not a request alone.
    pub(crate) is_of_client: bool,
    /// The error of a flight that finds none of them changed.
    pub(crate) refusal: Error,
}

impl Permission {
    /// This permission, or where it is granted, the next one.
    pub(crate) fn and_then(self, next: impl FnOnce() -> Self) -> Self {
        if let Self::Granted = self {
            next()
        } else {
            self
        }
    }
}

/// A refusal of the vendor. It is in force until a secret changes or a probe succeeds.
pub(crate) struct Refusal {
    pub(crate) error: Error,
    secrets: Vec<SecretUse>,
    lenders: Vec<Arc<dyn Lender>>,
    is_in_entry: bool,
    probes: u32,
    /// A probe is under way.
    probing: bool,
    pub(crate) probe_at: Duration,
    recheck_at: Duration,
}

impl Refusal {
    /// Notes a refusal, or one more after a probe.
    pub(crate) fn renew(
        slot: &mut Option<Box<Self>>,
        error: &Error,
        failure: &FetchFailure,
        now: &Now,
    ) {
        // Requests that were under way together count once.
        let probes = slot.as_ref().map_or(0, |known| {
            known.probes.saturating_add(u32::from(known.probing))
        });
        let mut refusal = Self {
            error: error.clone(),
            secrets: failure.secrets.clone(),
            lenders: failure.lenders.clone(),
            is_in_entry: failure.is_in_entry,
            probes,
            probing: false,
            probe_at: now.mono.saturating_add(probe_after(error, probes)),
            recheck_at: Duration::ZERO,
        };
        refusal.recheck_at = now.mono.saturating_add(refusal.recheck_interval());
        *slot = Some(Box::new(refusal));
    }

    fn recheck_interval(&self) -> Duration {
        let intervals = self
            .secrets
            .iter()
            .map(|used| used.secret().recheck_interval());
        intervals.max().unwrap_or(SECRET_RECHECK)
    }

    /// Whether it is too early for a probe.
    pub(crate) fn is_in_force(&self, now: &Now) -> bool {
        now.mono < self.probe_at
    }

    /// The error, where neither a probe nor a recheck is due.
    pub(crate) fn blocked_by(&self, now: &Now) -> Option<Error> {
        let may_differ = self.is_in_entry
            || !self.secrets.is_empty()
            || self.lenders.iter().any(|it| it.has_another());
        let recheck = now.mono >= self.recheck_at && may_differ;
        (self.is_in_force(now) && !recheck).then(|| self.told(now))
    }

    /// The error, with the time until the probe.
    fn told(&self, now: &Now) -> Error {
        let wait = self.probe_at.saturating_sub(now.mono);
        self.error.clone().with_next_attempt(Some(wait))
    }

    /// Whether this caller may ask: as the probe, or after a recheck of the secrets.
    pub(crate) fn permission(&mut self, now: &Now) -> Permission {
        if let Some(error) = self.blocked_by(now) {
            return Permission::Denied(error);
        }
        if self.is_in_force(now) {
            self.recheck_at = now.mono.saturating_add(self.recheck_interval());
            return Permission::AfterRecheck(Recheck {
                secrets: self.secrets.clone(),
                lenders: self.lenders.clone(),
                is_in_entry: self.is_in_entry,
                is_of_client: self.error.refuses_client(),
                refusal: self.told(now),
            });
        }
        // One flight probes; the others are denied meanwhile. Should the probe end without an answer
        // of the vendor, another follows.
        self.probing = true;
        self.probe_at = now.mono.saturating_add(FIRST_PROBE);
        Permission::Granted
    }
}
