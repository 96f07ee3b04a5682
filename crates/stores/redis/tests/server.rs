//! A real server: `BIPED_TEST_REDIS_URL` says where (`BIPED_TEST_REDIS_CA`, for `rediss://`, a
//! file with its authority), and `tests/live/run redis` starts one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use biped_core::{Claim, Generation, StoredToken, TokenKey, TokenStore};
use biped_redis::RedisStore;
use biped_testing::store::{Alternating, conformance};

fn store() -> RedisStore {
    let url = std::env::var("BIPED_TEST_REDIS_URL").expect("BIPED_TEST_REDIS_URL");
    match std::env::var("BIPED_TEST_REDIS_CA") {
        Ok(ca) if url.starts_with("rediss:") => {
            RedisStore::with_ca(&url.into(), std::fs::read(ca).unwrap()).unwrap()
        }
        _ => RedisStore::new(&url.into()).unwrap(),
    }
}

fn a_key() -> TokenKey {
    let mut key = [0; 32];
    key.fill_with(|| fastrand::u8(..));
    TokenKey::from_bytes(key)
}

fn token(generation: u64) -> StoredToken {
    StoredToken {
        generation: Generation(generation),
        keep: Duration::from_secs(60),
        bytes: b"the-token".to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn a_redis_keeps_every_promise() {
    let store = Arc::new(store());
    conformance::run(store.clone(), conformance::STORAGE).await;
    conformance::run(store.clone(), conformance::LEASES).await;
    conformance::run(store, conformance::WAKING).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn two_connections_keep_every_promise_together() {
    let store = Arc::new(Alternating::new(Arc::new(store()), vec![Arc::new(store())]));
    conformance::run(store.clone(), conformance::STORAGE).await;
    conformance::run(store.clone(), conformance::LEASES).await;
    conformance::run(store, conformance::WAKING).await;
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn prefixes_are_apart() {
    let key = a_key();
    let (one, other) = (store(), store().prefix("biped:other").unwrap());
    one.put(&key, &token(1), None).await.unwrap();
    assert_eq!(other.get(&key).await.unwrap(), None);
    assert!(one.get(&key).await.unwrap().is_some());
}

#[test]
#[ignore = "needs a Redis: tests/live/run redis"]
fn a_store_works_on_one_runtime_after_another() {
    let (store, key) = (store(), a_key());
    for generation in 1..4 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            assert!(store.put(&key, &token(generation), None).await.unwrap());
            store.changed(&key, Generation(0)).await.unwrap();
        });
    }
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn a_lease_asked_for_twice_by_one_holder_is_one_lease() {
    let (store, key) = (store(), a_key());
    let Claim::Granted(lease) = store
        .lease(&key, Duration::from_secs(5), None)
        .await
        .unwrap()
    else {
        panic!("nobody has it");
    };
    let again = store
        .lease(&key, Duration::from_secs(5), Some(&lease))
        .await
        .unwrap();
    assert_eq!(again, Claim::Granted(lease));
}
