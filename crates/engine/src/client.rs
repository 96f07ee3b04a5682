//! [`Client`]: what the keys of one client share.

use std::{sync::Arc, time::Duration};

use biped_core::{Error, Now, Provider, ProviderId};

use crate::{
    endpoint::Endpoint,
    failure::FetchFailure,
    key::refusal::{Permission, Refusal},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        lock,
    },
};

/// A client of a vendor: what all its keys share, its refusal above all.
pub(crate) struct Client {
    pub(crate) id: ProviderId,
    /// The provider that came first; it speaks for all keys.
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) endpoint: Arc<Endpoint>,
    /// How long a token lasts without use.
    pub(crate) idle_limit: Option<Duration>,
    /// Boxed: most clients are never refused.
    refusal: Mutex<Option<Box<Refusal>>>,
    refusals: AtomicU64,
    /// Which of several secrets the vendor accepted last.
    pub(crate) candidate: AtomicUsize,
}

impl Client {
    pub(crate) fn new(provider: Arc<dyn Provider>, endpoint: Arc<Endpoint>) -> Self {
        Self {
            id: provider.id().clone(),
            idle_limit: provider.idle_limit(),
            provider,
            endpoint,
            refusal: Mutex::default(),
            refusals: AtomicU64::new(0),
            candidate: AtomicUsize::new(0),
        }
    }

    /// Whether a flight of this client may start.
    pub(crate) fn permission(&self, now: &Now) -> Permission {
        if let Some((error, _)) = self.endpoint.paused(now) {
            return Permission::Denied(error);
        }
        self.refusal()
            .as_mut()
            .map_or(Permission::Granted, |refusal| refusal.permission(now))
    }

    pub(crate) fn refused(&self, error: &Error, failure: &FetchFailure, now: &Now) {
        let mut refusal = self.refusal();
        Refusal::renew(&mut refusal, error, failure, now);
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accepted(&self) {
        *self.refusal() = None;
    }

    /// Ends the refusal of a secret that has changed, unless there were others since `refusals`.
    pub(crate) fn secret_changed(&self, refusals: u64) {
        let mut refusal = self.refusal();
        if self.refusals() == refusals {
            *refusal = None;
        }
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refusal().is_some()
    }

    /// Whether its refusal is still in force.
    pub(crate) fn is_quarantined(&self, now: &Now) -> bool {
        self.refusal()
            .as_ref()
            .is_some_and(|it| it.is_in_force(now))
    }

    /// How often it was refused: a flight that started before the latest refusal need not ask.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// The refusal, and the latest moment at which a probe follows.
    pub(crate) fn last_error(&self, now: &Now) -> Option<(Error, Option<Duration>)> {
        let refusal = self.refusal();
        let refusal = refusal.as_ref()?;
        Some((
            refusal.error.clone(),
            Some(refusal.probe_at.saturating_sub(now.mono)),
        ))
    }

    fn refusal(&self) -> MutexGuard<'_, Option<Box<Refusal>>> {
        lock(&self.refusal)
    }
}
