//! [`Alternating`]: several handles to one backend, as one store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use biped_core::{
    Claim, DurableStore, Generation, IdentityKey, Lease, LeaseFailure, StoreError, StoredToken,
    TokenKey, TokenStore,
};

/// Several handles to the same backend, used in turn: each operation goes to the next one.
///
/// With it, the conformance suite checks that one process sees what another does.
#[derive(Debug)]
pub struct Alternating {
    handles: Vec<Arc<dyn TokenStore>>,
    next: AtomicUsize,
}

impl Alternating {
    /// Uses the first handle first.
    #[must_use]
    pub fn new(first: Arc<dyn TokenStore>, others: Vec<Arc<dyn TokenStore>>) -> Self {
        let mut handles = vec![first];
        handles.extend(others);
        Self {
            handles,
            next: AtomicUsize::new(0),
        }
    }

    fn handle(&self) -> &dyn TokenStore {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &*self.handles[turn % self.handles.len()]
    }
}

#[async_trait]
impl TokenStore for Alternating {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        self.handle().get(key).await
    }

    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        self.handle().put(key, token, lease).await
    }

    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.handle().forget(key, through, keep).await
    }

    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        self.handle().lease(key, ttl, renew).await
    }

    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        self.handle().release(key, lease, failed).await
    }

    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        self.handle().changed(key, after).await
    }

    fn rest(&self) -> Duration {
        let all = self.handles.iter().map(|handle| handle.rest());
        all.max().unwrap_or_default()
    }

    fn is_sealed(&self) -> bool {
        self.handles.iter().all(|handle| handle.is_sealed())
    }

    /// That of the next handle: whoever asks for it keeps it.
    fn durable(&self) -> Option<Arc<dyn DurableStore>> {
        self.handle().durable()
    }

    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        self.handle().identity_key().await
    }
}
