//! [`SealedAccounts`]: a durable store whose entries can be read only with a key.

use std::sync::Arc;

use biped_core::{
    AccountKey, DurableEntry, DurableLock, DurableStore, Revision, StoreError, async_trait,
};
use zeroize::Zeroizing;

use crate::key::{Closed, SealKey, named, open};

/// Tells these entries from those of tokens and failures, which begin with 0 and 1.
const ACCOUNT: u8 = 2;

#[derive(Debug)]
pub(crate) struct SealedAccounts {
    inner: Arc<dyn DurableStore>,
    /// The first one writes, and all of them read.
    keys: Vec<SealKey>,
}

impl SealedAccounts {
    pub(crate) fn of(inner: Arc<dyn DurableStore>, keys: Vec<SealKey>) -> Arc<dyn DurableStore> {
        Arc::new(Self { inner, keys })
    }

    fn seal(&self, key: &AccountKey, at: Revision, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        SealKey::first(&self.keys)?.seal(&context(key, at), bytes)
    }

    fn open(&self, key: &AccountKey, entry: &DurableEntry) -> Result<Vec<u8>, StoreError> {
        open(&self.keys, &context(key, entry.revision), &entry.bytes).map_err(|why| {
            let id = named(&entry.bytes).unwrap_or_default();
            StoreError::new(match why {
                Closed::OtherKey => format!(
                    "the stored credential was sealed with the key {id}, which is not configured; \
                     add that key to seal"
                ),
                Closed::Forged => {
                    "the stored credential was changed, or belongs to another account \
                                   or revision; restore the store"
                        .to_owned()
                }
                Closed::NotSealed => {
                    "the stored credential is not sealed, or is truncated; restore the store"
                        .to_owned()
                }
            })
        })
    }
}

/// The only place where an entry is valid.
fn context(key: &AccountKey, revision: Revision) -> Vec<u8> {
    [&[ACCOUNT], &key.as_bytes()[..], &revision.0.to_be_bytes()].concat()
}

#[async_trait]
impl DurableStore for SealedAccounts {
    async fn load(&self, key: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
        let Some(sealed) = self.inner.load(key).await? else {
            return Ok(None);
        };
        let mut entry = DurableEntry {
            revision: sealed.revision,
            bytes: self.open(key, &sealed)?,
        };
        if !SealKey::first(&self.keys)?.sealed(&sealed.bytes) {
            // If another process is faster, its entry is the one to return.
            if !self.swap(key, entry.revision, &entry.bytes).await? {
                return self.load(key).await;
            }
            entry.revision = entry.revision.next();
        }
        Ok(Some(entry))
    }

    async fn swap(
        &self,
        key: &AccountKey,
        expected: Revision,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let sealed = Zeroizing::new(self.seal(key, expected.next(), bytes)?);
        self.inner.swap(key, expected, &sealed).await
    }

    async fn lock(&self, key: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
        self.inner.lock(key).await
    }

    fn is_sealed(&self) -> bool {
        true
    }
}
