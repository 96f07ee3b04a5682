//! A real server: `BIPED_TEST_REDIS_URL` says where (`BIPED_TEST_REDIS_CA`, for `rediss://`, a
//! file with its authority), and `tests/live/run redis` starts one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{process::Command, sync::Arc, time::Duration};

use biped_core::{
    Claim, Clock, Generation, StoreError, StoredToken, SystemClock, TokenKey, TokenStore,
};
use biped_redis::RedisStore;
use biped_sealed::{SealKey, SealedStore};
use biped_testing::store::{Alternating, conformance, fetches_once};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

fn url() -> String {
    std::env::var("BIPED_TEST_REDIS_URL").expect("BIPED_TEST_REDIS_URL")
}

fn store() -> RedisStore {
    store_at(url())
}

fn store_at(url: String) -> RedisStore {
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
    // None of them ends; but only the last one runs.
    let mut runtimes = Vec::new();
    for generation in 1..4 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtimes.push(runtime);
        let runtime = runtimes.last().unwrap();
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

/// A way to the server on which all connections can be cut.
async fn a_way_to(server: String) -> (u16, tokio::sync::broadcast::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (cut, _) = tokio::sync::broadcast::channel(1);
    let cuts = cut.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (server, mut cut) = (server.clone(), cuts.subscribe());
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = cut.recv() => {}
                }
            });
        }
    });
    (port, cut)
}

async fn in_time(waiting: JoinHandle<Result<(), StoreError>>) {
    tokio::select! {
        heard = waiting => heard.unwrap().unwrap(),
        () = SystemClock.sleep(Duration::from_secs(5)) => panic!("nothing was heard"),
    }
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn who_waits_hears_that_the_connection_was_cut_and_of_news_on_the_next() {
    let url = url();
    let place = url
        .rsplit(['@', '/'])
        .find(|part| part.contains(':'))
        .unwrap();
    let (port, cut) = a_way_to(place.to_owned()).await;
    let host = place.rsplit_once(':').unwrap().0;
    let store = Arc::new(store_at(url.replace(place, &format!("{host}:{port}"))));
    let (direct, key) = (self::store(), a_key());
    direct
        .lease(&key, Duration::from_secs(60), None)
        .await
        .unwrap();
    let waiting = || {
        let store = store.clone();
        tokio::spawn(async move { store.changed(&key, Generation(1)).await })
    };
    let pause = || SystemClock.sleep(Duration::from_millis(300));

    let first = waiting();
    pause().await;
    assert!(!first.is_finished());
    cut.send(()).unwrap();
    in_time(first).await;

    let second = waiting();
    pause().await;
    assert!(!second.is_finished());
    direct.put(&key, &token(2), None).await.unwrap();
    in_time(second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn processes_of_a_user_without_channels_fetch_once() {
    let all = url();
    // Only the user with all rights may make another.
    let Some(server) = all.strip_prefix("redis://").filter(|it| !it.contains('@')) else {
        return;
    };
    let mut make = Command::new("redis-cli");
    make.args(["-u", &all, "ACL", "SETUSER", "quiet", "on", ">secret"]);
    let rights = ["~biped:*", "resetchannels", "+@all"];
    assert!(make.args(rights).status().unwrap().success());
    let quiet = || RedisStore::new(&format!("redis://quiet:secret@{server}").into()).unwrap();
    let error = quiet().changed(&a_key(), Generation(0)).await.unwrap_err();
    assert!(error.to_string().contains("NOPERM"), "{error}");

    // A seal key of its own, so that no other run has the token.
    let mut seal = [0; 32];
    seal.fill_with(|| fastrand::u8(..));
    let process = || -> Arc<dyn TokenStore> {
        let key = SealKey::from_bytes(seal);
        Arc::new(SealedStore::new(Arc::new(quiet()), key))
    };
    fetches_once((0..8).map(|_| process()).collect()).await;
}
