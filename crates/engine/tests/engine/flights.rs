//! Flights: one fetch per key, in a task of its own, that nobody's fate but its own decides.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use biped_core::{ErrorKind, ExposeSecret, TokenRequest};
use biped_engine::{TokenManager, TokenSource};
use biped_testing::{ManualClock, Reply, ScriptedHttp, TestProvider, settle};

struct Bench {
    clock: Arc<ManualClock>,
    http: Arc<ScriptedHttp>,
    source: TokenSource,
}

fn bench() -> Bench {
    let clock = Arc::new(ManualClock::new());
    let http = Arc::new(ScriptedHttp::new());
    let manager = TokenManager::builder(http.clone())
        .clock(clock.clone())
        .build();
    let source = manager.source(Arc::new(TestProvider::default()), TokenRequest::new());
    Bench {
        clock,
        http,
        source,
    }
}

#[tokio::test]
async fn ten_thousand_cold_callers_send_one_request() {
    let _limit = biped_testing::TimeLimit::start();
    let Bench { http, source, .. } = bench();
    http.close_gate();
    http.push(Reply::token("t-1", 3600));
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move {
                source
                    .token()
                    .await
                    .map(|token| token.expose_secret().to_owned())
            })
        })
        .collect();
    http.arrivals(1).await;
    settle().await;
    http.open_gate();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), "t-1");
    }
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn a_cancelled_caller_takes_nothing_with_it() {
    let _limit = biped_testing::TimeLimit::start();
    let Bench { http, source, .. } = bench();
    http.close_gate();
    http.push(Reply::token("t-1", 3600));
    let first = tokio::spawn({
        let source = source.clone();
        async move { source.token().await.map(drop) }
    });
    http.arrivals(1).await;
    let second = tokio::spawn({
        let source = source.clone();
        async move { source.token().await.map(drop) }
    });
    settle().await;
    first.abort();
    settle().await;
    http.open_gate();
    second.await.unwrap().unwrap();
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn nobody_waits_while_the_token_is_usable() {
    let _limit = biped_testing::TimeLimit::start();
    let Bench {
        clock,
        http,
        source,
    } = bench();
    http.push(Reply::token("t-1", 1000));
    source.token().await.unwrap();
    clock.advance(Duration::from_secs(900));
    http.close_gate();
    http.push(Reply::token("t-2", 1000));
    assert_eq!(source.token().await.unwrap().expose_secret(), "t-1");
    http.arrivals(2).await;
    assert_eq!(source.token().await.unwrap().expose_secret(), "t-1");
    http.open_gate();
    settle().await;
    assert_eq!(source.token().await.unwrap().expose_secret(), "t-2");
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn a_failed_refresh_leaves_the_token_in_place() {
    let _limit = biped_testing::TimeLimit::start();
    let Bench {
        clock,
        http,
        source,
    } = bench();
    http.push(Reply::token("t-1", 1000));
    source.token().await.unwrap();
    clock.advance(Duration::from_secs(900));
    http.push(Reply::status(500));
    assert_eq!(source.token().await.unwrap().expose_secret(), "t-1");
    settle().await;
    assert_eq!(source.token().await.unwrap().expose_secret(), "t-1");
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn a_panicking_provider_fails_its_flight_and_the_next_call_starts_anew() {
    let _limit = biped_testing::TimeLimit::start();
    let Bench { http, source, .. } = bench();
    http.push(Reply::Panic);
    http.push(Reply::token("t-1", 1000));
    let error = source.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(source.token().await.unwrap().expose_secret(), "t-1");
}

#[test]
fn a_flight_whose_runtime_ended_is_started_anew_on_another() {
    let _limit = biped_testing::TimeLimit::start();
    let Bench { http, source, .. } = bench();
    http.close_gate();
    http.push(Reply::token("t-1", 1000));
    http.push(Reply::token("t-2", 1000));
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    let first = runtime();
    first.block_on(async {
        let source = source.clone();
        tokio::spawn(async move { source.token().await.map(drop) });
        http.arrivals(1).await;
    });
    drop(first);
    http.open_gate();
    let token = runtime().block_on(source.token()).unwrap();
    assert_eq!(token.expose_secret(), "t-2");
}

#[tokio::test]
async fn waiters_of_a_failed_flight_get_the_same_error_and_do_not_retry_one_after_another() {
    let _limit = biped_testing::TimeLimit::start();
    let Bench {
        clock,
        http,
        source,
    } = bench();
    http.answer_with(|_, _| Reply::status(503));
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.token().await.map(drop) })
        })
        .collect();
    for _ in 0..20 {
        settle().await;
        clock.advance(Duration::from_millis(250));
    }
    for caller in callers {
        assert_eq!(
            caller.await.unwrap().unwrap_err().kind(),
            ErrorKind::Unavailable
        );
    }
    assert_eq!(http.count(), 3);
}

#[tokio::test]
async fn a_caller_waits_no_longer_than_max_wait_and_the_flight_goes_on() {
    let _limit = biped_testing::TimeLimit::start();
    let Bench {
        clock,
        http,
        source,
    } = bench();
    http.close_gate();
    http.push(Reply::token("t-1", 1000));
    let caller = tokio::spawn({
        let source = source.clone();
        async move { source.token().await.map(drop) }
    });
    http.arrivals(1).await;
    settle().await;
    clock.advance(Duration::from_secs(10));
    let error = caller.await.unwrap().unwrap_err();
    assert!(error.is_transient());
    http.open_gate();
    settle().await;
    assert_eq!(source.token().await.unwrap().expose_secret(), "t-1");
    assert_eq!(http.count(), 1);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

#[test]
fn a_flight_that_was_believed_lost_never_replaces_a_newer_token() {
    let _limit = biped_testing::TimeLimit::start();
    let Bench {
        clock,
        http,
        source,
    } = bench();
    http.close_gate();
    http.push(Reply::token("old", 1000));
    http.push(Reply::token("new", 1000));
    let frozen = runtime();
    frozen.block_on(async {
        let source = source.clone();
        tokio::spawn(async move { source.token().await.map(drop) });
        http.arrivals(1).await;
    });
    // Nobody drives that runtime for a minute, and others need a token.
    clock.advance(Duration::from_secs(60));
    http.open_gate();
    let token = runtime().block_on(source.token()).unwrap();
    assert_eq!(token.expose_secret(), "new");
    // It wakes up, and its answer is there.
    frozen.block_on(settle());
    assert_eq!(source.fresh().unwrap().expose_secret(), "new");
}

#[test]
fn a_permit_is_not_lost_on_somebody_whose_runtime_ended_in_the_queue() {
    let _limit = biped_testing::TimeLimit::start();
    let http = Arc::new(ScriptedHttp::new());
    let manager = TokenManager::builder(http.clone())
        .clock(Arc::new(ManualClock::new()))
        .settings(biped_engine::Settings::default().concurrent_fetches(1))
        .build();
    let tenant = |number: i64| {
        let request = TokenRequest::new().param("tenant", number);
        manager.source(Arc::new(TestProvider::default()), request)
    };
    http.answer_with(|_, _| Reply::token("t", 1000));
    http.close_gate();
    let stays = runtime();
    let source = tenant(1);
    let first = stays.spawn(async move { source.token().await.map(drop) });
    stays.block_on(http.arrivals(1));
    let ends = runtime();
    ends.block_on(async {
        let source = tenant(2);
        tokio::spawn(async move { source.token().await.map(drop) });
        settle().await;
    });
    drop(ends);
    http.open_gate();
    stays.block_on(async {
        first.await.unwrap().unwrap();
        let source = tenant(3);
        let third = tokio::spawn(async move { source.token().await.map(drop) });
        settle().await;
        assert!(third.is_finished(), "the permit is gone");
    });
}
