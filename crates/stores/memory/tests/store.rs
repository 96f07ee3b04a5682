//! The store in memory keeps the promises of every store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use biped_core::{Generation, StoredToken, TokenKey, TokenStore};
use biped_memory::MemoryStore;
use biped_testing::{ManualClock, store::conformance};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_store_keeps_every_promise() {
    let _limit = biped_testing::TimeLimit::start();
    let store = Arc::new(MemoryStore::new());
    conformance::run(store.clone(), conformance::STORAGE).await;
    conformance::run(store.clone(), conformance::LEASES).await;
    conformance::run(store, conformance::WAKING).await;
}

#[tokio::test]
async fn a_token_may_come_again_once_the_tombstone_is_over() {
    let _limit = biped_testing::TimeLimit::start();
    let clock = Arc::new(ManualClock::new());
    let store = MemoryStore::with_clock(clock.clone());
    let key = TokenKey::from_bytes([1; 32]);
    let token = StoredToken {
        generation: Generation(5),
        keep: Duration::from_secs(60),
        bytes: b"token".to_vec(),
    };
    let hour = Duration::from_secs(60 * 60);
    store.forget(&key, Generation(5), hour).await.unwrap();
    store
        .forget(&key, Generation(3), Duration::ZERO)
        .await
        .unwrap();
    assert!(!store.put(&key, &token, None).await.unwrap());
    clock.advance(hour);
    assert!(store.put(&key, &token, None).await.unwrap());
}
