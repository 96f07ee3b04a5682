//! What the keys of one token endpoint share: the vendor's `Retry-After`, and a rate.

use std::sync::Arc;

use biped_core::{ErrorKind, FetchLimit, SecretRef, TokenRequest};
use biped_engine::{Settings, TokenSource};
use biped_testing::{Reply, TestProvider, settle};

use crate::stage::{Stage, ask, failure, seconds, text};

fn told_to_wait(wait: &str) -> Reply {
    Reply::status(429).with_header("retry-after", wait)
}

/// Two keys whose requests are with the vendor at the same time, and what it answers to each.
async fn two_are_told(stage: &Stage, first: &str, second: &str) -> [TokenSource; 2] {
    let sources = [stage.tenant(1), stage.tenant(2)];
    stage.http.close_gate();
    stage.http.push(told_to_wait(first));
    stage.http.push(told_to_wait(second));
    let callers = sources.each_ref().map(ask);
    stage.http.arrivals(2).await;
    stage.http.open_gate();
    for caller in callers {
        caller.await.unwrap().unwrap_err();
    }
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    sources
}

#[tokio::test]
async fn the_longest_wait_that_any_key_was_told_counts_for_all_whoever_was_told_it() {
    let _limit = biped_testing::TimeLimit::start();
    for (first, second) in [("30", "90"), ("90", "30")] {
        let stage = Stage::new();
        let [one, other] = two_are_told(&stage, first, second).await;
        let third = stage.source_of(TestProvider::new("client-2"));
        for source in [&one, &other, &third] {
            assert_eq!(failure(source).await.retry_after(), Some(seconds(90.0)));
        }
        assert_eq!(one.status().next_attempt, Some(seconds(90.0)));
        stage.advance(60.0);
        for source in [&one, &other, &third] {
            let error = failure(source).await;
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_eq!(error.retry_after(), Some(seconds(30.0)));
        }
        assert_eq!(stage.http.count(), 2);
        stage.advance(30.1);
        for source in [&one, &other, &third] {
            assert_eq!(text(source).await, "t");
        }
        assert_eq!(stage.http.count(), 5);
    }
}

#[tokio::test]
async fn a_key_whose_token_serves_neither_waits_nor_asks_while_another_was_told_to_wait() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let serving = stage.tenant(1);
    stage.http.push(Reply::token("t-1", 1000));
    text(&serving).await;
    stage.advance(860.0);
    stage.http.push(told_to_wait("60"));
    failure(&stage.tenant(2)).await;
    for _ in 0..10 {
        assert_eq!(text(&serving).await, "t-1");
        settle().await;
    }
    assert_eq!(stage.http.count(), 2);
    stage.advance(60.1);
    stage.http.push(Reply::token("t-2", 1000));
    assert_eq!(text(&serving).await, "t-1");
    settle().await;
    assert_eq!(text(&serving).await, "t-2");
}

#[tokio::test]
async fn a_failure_without_retry_after_holds_up_its_own_key_alone() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.answer_with(|_, asked| {
        if asked.body.ends_with(b"tenant=1") {
            Reply::status(503)
        } else {
            Reply::token("t", 1000)
        }
    });
    let caller = ask(&stage.tenant(1));
    stage.pass(5.0).await;
    caller.await.unwrap().unwrap_err();
    assert_eq!(text(&stage.tenant(2)).await, "t");
}

/// A vendor that is asked once in six seconds, and more tenants than have a turn in a flight's time.
fn a_long_queue() -> (Stage, Vec<TokenSource>) {
    let stage = Stage::with(Settings::default().fetches_per_minute(Some(10)));
    stage.http.answer_with(|_, _| Reply::token("t", 3600));
    let sources = (0..40).map(|number| stage.tenant(number)).collect();
    (stage, sources)
}

#[tokio::test]
async fn who_waits_in_a_queue_that_is_too_long_is_told_so_and_may_try_again() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, sources) = a_long_queue();
    let callers: Vec<_> = sources.iter().map(ask).collect();
    stage.pass(10.0).await;
    let mut served = 0;
    for caller in callers {
        let Err(error) = caller.await.unwrap() else {
            served += 1;
            continue;
        };
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.is_transient());
        let told = error.to_string();
        assert!(
            told.contains("10 s") && told.contains("continues"),
            "{told}"
        );
    }
    assert_eq!(served, 2, "at once, and after six seconds");

    // Who joins a flight late hears how it ends.
    stage.pass(30.0).await;
    let last = sources.last().unwrap();
    let late = ask(last);
    stage.pass(5.1).await;
    let error = late.await.unwrap().unwrap_err();
    assert!(error.is_transient());
    let told = error.to_string();
    let is_right = told.contains("45 s") && told.contains("concurrent_fetches");
    assert!(is_right, "{told}");
    assert_eq!(stage.http.count(), 8, "a turn every six seconds");
}

#[tokio::test]
async fn a_queue_that_is_too_long_gets_shorter_and_everybody_has_a_turn() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, sources) = a_long_queue();
    for _ in 0..60 {
        for source in &sources {
            // Nobody waits for its end.
            drop(ask(source));
        }
        stage.pass(10.0).await;
    }
    assert!(sources.iter().all(|source| source.fresh().is_some()));
    assert_eq!(stage.http.count(), 40);
}

#[tokio::test]
async fn a_key_whose_vendor_never_answers_holds_up_no_other() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.push(Reply::Silence);
    let stuck = ask(&stage.tenant(1));
    stage.http.arrivals(1).await;
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    for tenant in 2..20 {
        assert_eq!(text(&stage.tenant(tenant)).await, "t");
    }
    assert!(!stuck.is_finished());
}

/// The tokens of tenants whose vendor allows three requests in a minute.
fn limited(stage: &Stage, tenants: std::ops::Range<i64>) -> Vec<TokenSource> {
    let limit = FetchLimit::new(3, seconds(60.0));
    tenants
        .map(|number| {
            let provider = Arc::new(TestProvider::default().fetch_limit(limit));
            let request = TokenRequest::new().param("tenant", number);
            stage.manager.source(provider, request)
        })
        .collect()
}

#[tokio::test]
async fn a_vendors_limit_allows_a_burst_and_no_more_in_any_period() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.answer_with(|_, _| Reply::token("t", 3600));
    let first = limited(&stage, 0..1);
    text(&first[0]).await;
    stage.advance(50.0);
    // Two more of the same minute go out at once, and the others wait for its end.
    let sources = limited(&stage, 1..6);
    let callers: Vec<_> = sources.iter().map(ask).collect();
    settle().await;
    assert_eq!(stage.http.count(), 3);
    stage.pass(9.9).await;
    assert_eq!(stage.http.count(), 3);
    // The first request is a minute old, the two after it are not.
    stage.pass(0.1).await;
    assert_eq!(stage.http.count(), 4);
    let mut in_time = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(_) => in_time += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unreachable),
        }
    }
    assert_eq!(in_time, 2, "those that went out at once");
    // Those two are a minute old: the tenants that wait get their tokens without being asked for.
    stage.advance(49.9);
    let late = limited(&stage, 6..8);
    let callers: Vec<_> = late.iter().map(ask).collect();
    settle().await;
    assert_eq!(stage.http.count(), 4);
    stage.pass(0.1).await;
    assert_eq!(stage.http.count(), 6);
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), "t");
    }
}

#[tokio::test]
async fn the_settings_own_rate_replaces_the_vendors_limit() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().fetches_per_minute(Some(60)));
    stage.http.answer_with(|_, _| Reply::token("t", 3600));
    let sources = limited(&stage, 0..6);
    let callers: Vec<_> = sources.iter().map(ask).collect();
    settle().await;
    for expected in 1..=6 {
        assert_eq!(stage.http.count(), expected);
        stage.pass(1.0).await;
    }
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_large_limit_is_kept_in_shorter_periods() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().concurrent_fetches(2_000));
    stage.http.answer_with(|_, _| Reply::token("t", 3600));
    // 4 000 in 40 s are 1 000 in 10 s.
    let limit = FetchLimit::new(4_000, seconds(40.0));
    let sources: Vec<_> = (0..1_001)
        .map(|number| {
            let provider = Arc::new(TestProvider::default().fetch_limit(limit));
            let request = TokenRequest::new().param("tenant", number);
            stage.manager.source(provider, request)
        })
        .collect();
    let callers: Vec<_> = sources.iter().map(ask).collect();
    stage.http.arrivals(1_000).await;
    settle().await;
    assert_eq!(stage.http.count(), 1_000);
    stage.pass(9.9).await;
    assert_eq!(stage.http.count(), 1_000);
    stage.pass(0.1).await;
    assert_eq!(stage.http.count(), 1_001);
    drop(callers);
}

#[tokio::test]
async fn a_fetch_that_sends_nothing_uses_up_no_rate() {
    let _limit = biped_testing::TimeLimit::start();
    let limit = FetchLimit::new(1, seconds(600.0));
    for (settings, limit) in [
        (Settings::default().fetches_per_minute(Some(1)), None),
        (Settings::default(), Some(limit)),
    ] {
        let stage = Stage::with(settings);
        stage.http.answer_with(|_, _| Reply::token("t", 3600));
        let of = |client: &str, secret| {
            let provider = TestProvider::new(client).secret(secret);
            let provider = match limit {
                Some(limit) => provider.fetch_limit(limit),
                None => provider,
            };
            stage
                .manager
                .source(Arc::new(provider), TokenRequest::new())
        };
        let missing = of("client-1", SecretRef::env("BIPED_TEST_NO_SUCH_SECRET"));
        for _ in 0..3 {
            let asked = ask(&missing);
            settle().await;
            assert!(asked.is_finished());
            let error = asked.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Secret);
            stage.advance(1.0);
        }
        let next = ask(&of("client-2", SecretRef::inline("s")));
        settle().await;
        assert!(next.is_finished());
        assert_eq!(next.await.unwrap().unwrap(), "t");
        assert_eq!(stage.http.count(), 1);
    }
}
