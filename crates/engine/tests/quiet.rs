//! A program that wants to end after it got a token.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use biped_core::{Clock, TokenRequest};
use biped_engine::TokenManager;
use biped_memory::MemoryStore;
use biped_testing::{ManualClock, Reply, ScriptedHttp, TestProvider};

#[tokio::test]
async fn a_fetch_is_waited_for_only_where_a_store_is_told_of_it() {
    let _limit = biped_testing::TimeLimit::start();
    for is_stored in [false, true] {
        let clock = Arc::new(ManualClock::new());
        let http = Arc::new(ScriptedHttp::new());
        http.push(Reply::Silence);
        let mut manager = TokenManager::builder(http.clone()).clock(clock.clone());
        if is_stored {
            manager = manager.store(Arc::new(MemoryStore::with_clock(clock.clone())));
        }
        let manager = manager.build();
        // One that took over waits for the same.
        let newer = TokenManager::builder(http.clone())
            .clock(clock.clone())
            .build();
        let source = manager.source(Arc::new(TestProvider::default()), TokenRequest::new());
        let asked = tokio::spawn(async move { source.token().await.map(drop) });
        while http.count() == 0 {
            tokio::task::yield_now().await;
        }
        newer.adopt(&manager);
        for manager in [manager, newer] {
            let drained = tokio::spawn(async move { manager.drain_store().await });
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            assert_eq!(drained.is_finished(), !is_stored);
        }
        drop(asked);
    }
}

#[tokio::test]
async fn when_it_is_quiet_the_store_was_told_and_the_refresh_is_done() {
    let _limit = biped_testing::TimeLimit::start();
    let clock = Arc::new(ManualClock::new());
    let http = Arc::new(ScriptedHttp::new());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let manager = || {
        let manager = TokenManager::builder(http.clone());
        manager.clock(clock.clone()).store(store.clone()).build()
    };
    let source = |manager: &TokenManager| {
        manager.source(Arc::new(TestProvider::default()), TokenRequest::new())
    };
    let first = manager();
    http.push(Reply::token("t-1", 1000));
    source(&first).token().await.unwrap();
    first.drain().await;
    assert!(source(&first).stored().await.unwrap().is_some());

    clock.advance(Duration::from_secs(860));
    let second = manager();
    http.push(Reply::token("t-2", 1000));
    source(&second).token().await.unwrap();
    assert_eq!(http.count(), 1, "the stored token serves");
    source(&second).token().await.unwrap();
    second.drain().await;
    assert_eq!(http.count(), 2, "and is renewed in the background");
    let (stored, _) = source(&second).stored().await.unwrap().unwrap();
    assert!(
        stored
            .expires_at()
            .unwrap()
            .since(clock.now().wall)
            .as_secs()
            > 900
    );
}
