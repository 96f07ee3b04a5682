//! What a store returns may be anything: the engine reads a token, a reason to wait, or nothing, and
//! nothing opens that was not sealed.

use std::{fs, sync::Arc, time::Duration};

use biped_core::{
    Account, AccountKey, Claim, DurableEntry, DurableLock, DurableStore, Error, FetchContext,
    Generation, HttpClient, Lease, LeaseFailure, Provider, ProviderId, Revision, SecretString,
    StoreError, StoredToken, Token, TokenKey, TokenRequest, TokenStore, async_trait,
};
use biped_engine::TokenManager;
use biped_file::FileStore;
use biped_postgres::PostgresStore;
use biped_redis::RedisStore;
use biped_sealed::{SealKey, SealedStore};
use bytes::Bytes;

use crate::{
    configuration::SECRET,
    input::{line, wait},
};

const TTL: Duration = Duration::from_millis(1);
const ENDPOINT: &str = "https://login.example/token";

/// A number in the first line, and bytes.
fn numbered(data: &[u8]) -> (u64, &[u8]) {
    let (number, bytes) = line(data);
    (number.parse().unwrap_or(u64::MAX), bytes)
}

/// A store with a token, or with an account and no token.
#[derive(Debug)]
struct Holding(Vec<u8>, u64, Option<Kept>);

#[async_trait]
impl TokenStore for Holding {
    async fn get(&self, _: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        Ok(self.2.is_none().then(|| StoredToken {
            generation: Generation(self.1),
            keep: Duration::from_secs(self.1),
            bytes: self.0.clone(),
        }))
    }

    async fn put(
        &self,
        _: &TokenKey,
        _: &StoredToken,
        _: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn forget(&self, _: &TokenKey, _: Generation, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lease(
        &self,
        _: &TokenKey,
        _: Duration,
        _: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        Ok(Claim::CoolingDown {
            // A shorter one is waited out.
            left: Duration::from_secs(self.1.max(2)),
            why: self.0.clone(),
        })
    }

    async fn release(
        &self,
        _: &TokenKey,
        _: &Lease,
        _: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    fn durable(&self) -> Option<Arc<dyn DurableStore>> {
        Some(Arc::new(self.2.clone()?))
    }
}

#[derive(Debug)]
struct NoVendor(ProviderId, Option<Account>);

#[async_trait]
impl Provider for NoVendor {
    fn id(&self) -> &ProviderId {
        &self.0
    }

    fn account(&self) -> Option<&Account> {
        self.1.as_ref()
    }

    async fn fetch(&self, _: &TokenRequest, _: &FetchContext<'_>) -> Result<Token, Error> {
        Err(Error::internal("this test sends no request"))
    }
}

#[async_trait]
impl HttpClient for NoVendor {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        Err(Error::internal("this test sends no request"))
    }
}

fn id() -> ProviderId {
    ProviderId::new("fuzz", ENDPOINT, "client")
}

pub(crate) fn stored(data: &[u8]) {
    let (number, bytes) = numbered(data);
    wait(async {
        let vendor = || Arc::new(NoVendor(id(), None));
        let manager = TokenManager::builder(vendor())
            .store(Arc::new(Holding(bytes.to_vec(), number, None)))
            .build();
        let source = manager.source(vendor(), TokenRequest::new());
        let token = source.token().await;
        let _ = format!("{:?}", token.map(|token| token.expires_at()));
        let _ = format!("{:?}", source.stored().await);
    });
}

pub(crate) fn entries(data: &[u8]) {
    let (number, bytes) = numbered(data);
    let key = TokenKey::from_bytes([7; 32]);
    // Threads of one process have a directory each.
    let (process, thread) = (std::process::id(), std::thread::current().id());
    let directory = std::env::temp_dir().join(format!("biped-fuzz-{process}-{thread:?}"));
    wait(async {
        let store = FileStore::new(&directory);
        let token = |generation, bytes: &[u8]| StoredToken {
            generation: Generation(generation),
            keep: Duration::from_secs(60),
            bytes: bytes.to_vec(),
        };
        let _ = store.put(&key, &token(number, bytes), None).await;
        if let Some(held) = store.get(&key).await.unwrap_or_default() {
            assert!(held.generation != Generation(number) || held.bytes == bytes);
        }
        // A file of the right name and mode, with anything in it.
        let file = directory.join(format!("{key}.token"));
        if file.exists() {
            fs::write(file, data).unwrap();
        }
        let _ = store.get(&key).await;
        let sealed = SealedStore::new(Arc::new(store.clone()), SealKey::from_bytes([1; 32]));
        assert!(!matches!(sealed.get(&key).await, Ok(Some(_))));
        let _ = format!("{:?}", sealed.lease(&key, TTL, None).await);
        let next = token(number.saturating_add(1), b"t");
        let _ = store.put(&key, &next, None).await;
        let _ = store.forget(&key, Generation(u64::MAX), TTL).await;
        let _ = store.get(&key).await;
        let _ = fs::remove_dir_all(&directory);
    });
}

/// An account's entry, as its store returns it.
#[derive(Clone, Debug)]
struct Kept(Vec<u8>, Revision);

#[async_trait]
impl DurableStore for Kept {
    async fn load(&self, _: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
        Ok(Some(DurableEntry {
            revision: self.1,
            bytes: self.0.clone(),
        }))
    }

    async fn swap(&self, _: &AccountKey, _: Revision, _: &[u8]) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn lock(&self, _: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
        Ok(Some(Box::new(NoLock)))
    }
}

#[derive(Debug)]
struct NoLock;

#[async_trait]
impl DurableLock for NoLock {
    fn lease(&self) -> Option<Duration> {
        None
    }

    async fn unlock(self: Box<Self>) {}
}

/// The entry of a credential that changes with each use. The word `SECRET` is replaced by a secret, which
/// no output shows where it is the credential.
pub(crate) fn rotations(data: &[u8]) {
    let (number, bytes) = numbered(data);
    let text = String::from_utf8_lossy(bytes);
    let is_token = text.matches("SECRET").count() == text.matches("\"token\":\"SECRET").count();
    let bytes = text.replace("SECRET", SECRET).into_bytes();
    let kept = Kept(bytes, Revision(number));
    wait(async {
        let account = || Account::new("fuzz", ENDPOINT, "crm");
        let vendor = || Arc::new(NoVendor(id(), Some(account())));
        let manager = TokenManager::builder(vendor())
            .store(Arc::new(Holding(Vec::new(), 2, Some(kept))))
            .build();
        let source = manager.source(vendor(), TokenRequest::new());
        // What can't be read is not an account without an entry: a refresh waits for another answer.
        #[expect(
            clippy::disallowed_methods,
            reason = "the wait is for the machine's clock"
        )]
        let token = tokio::time::timeout(TTL, source.token()).await;
        let shown = format!("{:?} {token:?}", source.credential().await);
        assert!(!is_token || !shown.contains(SECRET), "{shown}");
    });
}

/// The URLs of a Redis and of a PostgreSQL, a line each. No output shows a user's password.
pub(crate) fn store_urls(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let is_password = text.matches("SECRET").count() == text.matches("://u:SECRET@").count();
    let text = text.replace("SECRET", SECRET);
    let urls: Vec<_> = text.lines().map(SecretString::from).collect();
    let mut shown = format!("{:?}", RedisStore::cluster(&urls, None));
    for url in &urls {
        shown += &format!("{:?} {:?}", RedisStore::new(url), PostgresStore::new(url));
    }
    assert!(!is_password || !shown.contains(SECRET), "{shown}");
}
