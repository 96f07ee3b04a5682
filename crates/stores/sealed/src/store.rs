//! [`SealedStore`]: a store whose entries can be read only with a key.

use std::{sync::Arc, time::Duration};

use biped_core::{
    Claim, DurableStore, Generation, IdentityKey, Lease, LeaseFailure, StoreError, StoredToken,
    TokenKey, TokenStore, async_trait,
};

use crate::{
    accounts::SealedAccounts,
    key::{SealKey, open},
};

/// Wraps a store, and encrypts tokens and the reasons of failures before they are stored.
///
/// [The crate's page](crate) says how keys are written and rotated.
#[derive(Debug)]
pub struct SealedStore {
    inner: Arc<dyn TokenStore>,
    /// The first one writes, and all of them read.
    keys: Vec<SealKey>,
}

/// What an entry contains. It is authenticated, so that a failure never opens as a token.
#[derive(Clone, Copy)]
enum About {
    Token(Generation),
    Failure,
}

impl SealedStore {
    /// Seals the entries of `inner` with this key.
    #[must_use]
    pub fn new(inner: Arc<dyn TokenStore>, key: SealKey) -> Self {
        let keys = vec![key];
        Self { inner, keys }
    }

    /// Opens entries with this key as well.
    #[must_use]
    pub fn also_reading(mut self, key: SealKey) -> Self {
        self.keys.push(key);
        self
    }

    fn seal(&self, key: &TokenKey, about: About, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        SealKey::first(&self.keys)?.seal(&context(key, about), bytes)
    }

    /// The opened bytes, or `None` and a warning.
    fn open(&self, key: &TokenKey, about: About, bytes: &[u8]) -> Option<Vec<u8>> {
        open(&self.keys, &context(key, about), bytes)
            .inspect_err(|why| {
                let what = match about {
                    About::Token(_) => "token",
                    About::Failure => "failure",
                };
                tracing::warn!(%key, "a stored {what} can't be opened and is ignored: {why}");
            })
            .ok()
    }
}

/// The only place where an entry is valid.
fn context(key: &TokenKey, about: About) -> Vec<u8> {
    let (what, generation) = match about {
        About::Token(generation) => (0, generation.0),
        About::Failure => (1, 0),
    };
    [&[what], &key.as_bytes()[..], &generation.to_be_bytes()].concat()
}

#[async_trait]
impl TokenStore for SealedStore {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        let Some(sealed) = self.inner.get(key).await? else {
            return Ok(None);
        };
        let about = About::Token(sealed.generation);
        let opened = self.open(key, about, &sealed.bytes);
        Ok(opened.map(|bytes| StoredToken {
            generation: sealed.generation,
            keep: sealed.keep,
            bytes,
        }))
    }

    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        let sealed = StoredToken {
            generation: token.generation,
            keep: token.keep,
            bytes: self.seal(key, About::Token(token.generation), &token.bytes)?,
        };
        self.inner.put(key, &sealed, lease).await
    }

    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.inner.forget(key, through, keep).await
    }

    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        let claim = self.inner.lease(key, ttl, renew).await?;
        Ok(match claim {
            // The cool-down holds even if the reason can't be opened.
            Claim::CoolingDown { left, why } => Claim::CoolingDown {
                left,
                why: self.open(key, About::Failure, &why).unwrap_or_default(),
            },
            other => other,
        })
    }

    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        let sealed = match failed {
            Some(failed) => Some(LeaseFailure {
                cool_down: failed.cool_down,
                why: self.seal(key, About::Failure, &failed.why)?,
            }),
            None => None,
        };
        self.inner.release(key, lease, sealed).await
    }

    fn rest(&self) -> Duration {
        self.inner.rest()
    }

    fn is_sealed(&self) -> bool {
        true
    }

    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        self.inner.changed(key, after).await
    }

    /// The inner store's own key, which a rotation of seal keys doesn't change, or one that is derived
    /// from the first seal key.
    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        match self.inner.identity_key().await? {
            Some(own) => Ok(Some(own)),
            None => Ok(self.keys.first().map(SealKey::identity)),
        }
    }

    fn durable(&self) -> Option<Arc<dyn DurableStore>> {
        let inner = self.inner.durable()?;
        Some(SealedAccounts::of(inner, self.keys.clone()))
    }
}
