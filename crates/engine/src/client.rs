//! [`Client`]: what the keys of one client share.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use biped_core::{Error, Now, Provider, ProviderId, SecretUse};

use crate::{
    endpoint::Endpoint,
    key::refusal::{Clearance, Refusal},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// A client of a vendor: what all its keys share.
pub(crate) struct Client {
    pub(crate) id: ProviderId,
    /// Who asked first; what speaks for all its keys.
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) endpoint: Arc<Endpoint>,
    refusal: Mutex<Option<Refusal>>,
    refusals: AtomicU64,
    /// Which of several secrets worked last.
    pub(crate) candidate: AtomicUsize,
}

impl Client {
    pub(crate) fn new(provider: Arc<dyn Provider>, endpoint: Arc<Endpoint>) -> Self {
        Self {
            id: provider.id().clone(),
            provider,
            endpoint,
            refusal: Mutex::default(),
            refusals: AtomicU64::new(0),
            candidate: AtomicUsize::new(0),
        }
    }

    /// Whether a flight of this client may start.
    pub(crate) fn clearance(&self, now: &Now) -> Clearance {
        if let Some((error, _)) = self.endpoint.hold(now) {
            return Clearance::Held(error);
        }
        self.refusal()
            .as_mut()
            .map_or(Clearance::Clear, |refusal| refusal.clearance(now))
    }

    pub(crate) fn refused(&self, error: &Error, secrets: &[SecretUse], now: &Now) {
        Refusal::renew(&mut self.refusal(), error, secrets, now);
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accepted(&self) {
        *self.refusal() = None;
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refusal().is_some()
    }

    /// Whether it was refused so lately that nobody asks again yet.
    pub(crate) fn is_quarantined(&self, now: &Now) -> bool {
        self.refusal().as_ref().is_some_and(|it| it.stands(now))
    }

    /// How often it was refused: whoever took off before the latest refusal need not ask.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// The refusal that stands, and when it is put to the test again at the latest.
    pub(crate) fn last_error(&self, now: &Now) -> Option<(Error, Option<Duration>)> {
        let refusal = self.refusal();
        let refusal = refusal.as_ref()?;
        Some((
            refusal.error.clone(),
            Some(refusal.probe_at.saturating_sub(now.mono)),
        ))
    }

    fn refusal(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
