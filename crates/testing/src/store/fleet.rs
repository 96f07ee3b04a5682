//! [`fetches_once`]: processes that share a store ask the vendor once.
// The check reports a broken promise by a panic.
#![allow(clippy::panic)]

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use biped_core::{
    Claim, Clock as _, DurableStore, Error, ExposeSecret, Generation, HttpClient, IdentityKey,
    Lease, LeaseFailure, StoreError, StoredToken, SystemClock, TokenKey, TokenRequest, TokenStore,
};
use biped_engine::{Settings, TokenManager, TokenRef};
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::{Reply, ScriptedHttp, TestProvider};

/// How often an operation is tried. A machine that is busy may take the time of several.
const ATTEMPTS: usize = 100;

/// How long the whole check may take. A process waits for its store for a minute, so that it is tried who
/// fetches, not how fast the machine is.
const LIMIT: Duration = Duration::from_secs(3 * 60);
const STORE_WAIT: Duration = Duration::from_secs(60);

/// Checks that processes, each with one of these stores, ask the vendor once if all of them need the same
/// token at once. The stores share what they keep, and have the same key
/// ([`TokenStore::identity_key`]): a store without one keeps no token of a secret that is written out.
///
/// The vendor answers when the store has told each process whether it may fetch. So a store whose leases
/// stop nobody does not pass, although it would share the token.
///
/// # Panics
/// If the vendor is asked more than once, or a process has no token. If the stores have no identity key in
/// common, or fail, so that a process goes to the vendor without being told.
pub async fn fetches_once(stores: Vec<Arc<dyn TokenStore>>) {
    tokio::select! {
        biased;
        () = check(stores) => {}
        () = SystemClock.sleep(LIMIT) => panic!(
            "the check hangs: a store does not return, or its process does not; see which operation \
             waits"
        ),
    }
}

async fn check(stores: Vec<Arc<dyn TokenStore>>) {
    share_an_identity_key(&stores).await;
    let count = u32::try_from(stores.len()).unwrap_or(u32::MAX);
    let http = Arc::new(ScriptedHttp::new());
    http.answer_with(|count, _| Reply::token(&format!("t-{count}"), 3600));
    http.close_gate();
    let told = Arc::new(Semaphore::new(0));
    let processes: Vec<_> = stores
        .into_iter()
        .map(|inner| {
            let store = Arc::new(Asking {
                inner,
                told: told.clone(),
                progress: Mutex::new(Progress::Asking),
            });
            let vendor = Arc::new(Vendor {
                http: http.clone(),
                store: store.clone(),
            });
            let settings = Settings::default()
                .store_wait(STORE_WAIT)
                .max_wait(STORE_WAIT);
            let manager = TokenManager::builder(vendor)
                .store(store)
                .settings(settings)
                .build();
            let source = manager.source(Arc::new(TestProvider::default()), TokenRequest::new());
            tokio::spawn(async move { source.token().await.map(TokenRef::into_owned) })
        })
        .collect();
    // It is closed as soon as a process goes on without its store.
    assert!(
        told.acquire_many(count).await.is_ok(),
        "a process asks the vendor without having heard from its store whether it may; see which of \
         get, lease and identity_key fails, or does not return"
    );
    http.open_gate();
    for process in processes {
        let token = process
            .await
            .map(|token| token.map_err(|error| error.to_string()));
        let text = match &token {
            Ok(Ok(token)) => token.expose_secret(),
            _ => "",
        };
        assert_eq!(
            text, "t-1",
            "a process has another token, or none: {token:?}"
        );
    }
    assert_eq!(http.count(), 1, "the vendor was asked more than once");
}

/// Without a common key, each process would look for the token under a name of its own.
async fn share_an_identity_key(stores: &[Arc<dyn TokenStore>]) {
    let mut first = None;
    for store in stores {
        let key = match insisted(|| store.identity_key()).await {
            Ok(Some(key)) => *key.as_bytes(),
            Ok(None) => panic!(
                "a store has no identity key, so that its tokens are not shared; implement \
                 TokenStore::identity_key"
            ),
            Err(error) => panic!("identity_key fails: {error}"),
        };
        assert!(
            *first.get_or_insert(key) == key,
            "two stores have different identity keys; return the key that all of them share from \
             TokenStore::identity_key"
        );
    }
}

/// A process's way to the vendor.
#[derive(Debug)]
struct Vendor {
    http: Arc<ScriptedHttp>,
    store: Arc<Asking>,
}

#[async_trait]
impl HttpClient for Vendor {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        self.store.is_passed_over();
        self.http.send(request).await
    }
}

/// A store that tells when its process knows whether it may fetch.
#[derive(Debug)]
struct Asking {
    inner: Arc<dyn TokenStore>,
    /// A permit for each process that knows.
    told: Arc<Semaphore>,
    progress: Mutex<Progress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Asking,
    /// It has the lease, and looks once more whether there is a token.
    Granted,
    Knows,
}

impl Asking {
    fn after(&self, before: Progress, next: Progress) {
        let mut progress = self.progress();
        if *progress == before {
            *progress = next;
            if next == Progress::Knows {
                self.told.add_permits(1);
            }
        }
    }

    /// The process asks the vendor. It may, if the store has told it so.
    fn is_passed_over(&self) {
        if *self.progress() != Progress::Knows {
            self.told.close();
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn insisted<T, W>(work: impl Fn() -> W) -> Result<T, StoreError>
where
    W: Future<Output = Result<T, StoreError>>,
{
    let mut last = work().await;
    for _ in 1..ATTEMPTS {
        if last.is_ok() {
            break;
        }
        last = work().await;
    }
    last
}

#[async_trait]
impl TokenStore for Asking {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        let found = insisted(|| self.inner.get(key)).await;
        self.after(Progress::Granted, Progress::Knows);
        found
    }

    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        insisted(|| self.inner.put(key, token, lease)).await
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
        let claim = insisted(|| self.inner.lease(key, ttl, renew)).await;
        let next = match claim {
            Ok(Claim::Granted(_)) => Progress::Granted,
            _ => Progress::Knows,
        };
        self.after(Progress::Asking, next);
        claim
    }

    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        self.inner.release(key, lease, failed).await
    }

    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        self.inner.changed(key, after).await
    }

    fn rest(&self) -> Duration {
        self.inner.rest()
    }

    fn is_sealed(&self) -> bool {
        self.inner.is_sealed()
    }

    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        insisted(|| self.inner.identity_key()).await
    }

    fn durable(&self) -> Option<Arc<dyn DurableStore>> {
        self.inner.durable()
    }
}
