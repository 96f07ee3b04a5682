//! How long a token is fresh, how long it is usable, and what the clocks have to say about it.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{Clock, ExposeSecret, Lifetime};
use biped_engine::{Settings, TokenState};
use biped_testing::{Reply, TestProvider, settle};

use crate::stage::{Stage, ask, seconds, text};

#[tokio::test]
async fn a_slow_answer_never_stretches_a_life() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    let sent = stage.clock.now().wall;
    stage.http.close_gate();
    stage.http.push(Reply::token("t-1", 1000));
    let caller = ask(&source);
    stage.http.arrivals(1).await;
    stage.advance(9.0);
    stage.http.open_gate();
    assert_eq!(caller.await.unwrap().unwrap(), "t-1");
    let token = source.token().await.unwrap();
    assert_eq!(token.expires_at(), Some(sent.after(seconds(1000.0))));
    // 970 s after it was asked for, not after it came.
    stage.advance(960.9);
    assert_eq!(source.status().state, TokenState::Usable);
    stage.advance(0.2);
    assert_eq!(source.status().state, TokenState::Expired);
}

/// The whole second in which a token of 1000 s stops being fresh.
fn refresh_point(stage: &Stage, source: &biped_engine::TokenSource) -> usize {
    let mut age = 0;
    while source.fresh().is_some() {
        stage.advance(1.0);
        age += 1;
    }
    age
}

#[tokio::test]
async fn the_refresh_point_lies_between_80_and_85_percent_and_is_drawn_once() {
    let _limit = biped_testing::TimeLimit::start();
    let mut points = Vec::new();
    for _ in 0..12 {
        let stage = Stage::new();
        let source = stage.source();
        stage.http.answer_with(|_, _| Reply::token("t", 1000));
        source.token().await.unwrap();
        let first = refresh_point(&stage, &source);
        source.token().await.unwrap();
        settle().await;
        let second = refresh_point(&stage, &source);
        assert_eq!(first, second, "the same process, the same point");
        assert!((800..=851).contains(&first), "{first}");
        points.push(first);
    }
    points.dedup();
    assert!(points.len() > 1, "processes of a fleet spread out");
}

#[tokio::test]
async fn a_token_is_usable_until_thirty_seconds_before_its_expiry() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1000));
    stage.http.answer_with(|_, _| Reply::status(503));
    text(&source).await;
    stage.advance(969.9);
    assert_eq!(text(&source).await, "t-1");
    stage.advance(0.2);
    let caller = ask(&source);
    stage.pass(10.0).await;
    assert!(caller.await.unwrap().is_err());
}

#[tokio::test]
async fn the_margin_of_a_short_token_is_a_tenth_of_its_life() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 10));
    stage.http.push(Reply::status(503));
    stage.http.push(Reply::token("t-2", 10));
    text(&source).await;
    stage.advance(8.9);
    assert_eq!(text(&source).await, "t-1");
    settle().await;
    // The refresh failed, and 0.9 s before its expiry the token is not sent any more.
    stage.advance(0.2);
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn an_expired_token_is_never_handed_out_while_the_vendor_is_down() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 100));
    stage.http.answer_with(|_, _| Reply::unreachable());
    text(&source).await;
    stage.advance(91.0);
    for _ in 0..200 {
        let caller = ask(&source);
        stage.pass(3.0).await;
        stage.pass(7.0).await;
        assert!(caller.await.unwrap().unwrap_err().is_transient());
        assert!(source.fresh().is_none());
    }
}

fn jwt(exp: i64) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.c2ln",
        part(r#"{"alg":"none"}"#),
        part(&format!(r#"{{"exp":{exp}}}"#))
    )
}

async fn lifetime_of(answer: &str, provider: TestProvider) -> Option<Duration> {
    let stage = Stage::new();
    let source = stage.source_of(provider);
    stage.http.push(Reply::json(200, answer));
    source.token().await.unwrap().lifetime()
}

#[tokio::test]
async fn without_expires_in_the_expiry_of_a_jwt_counts() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    let now = stage.clock.now().wall;
    let token = jwt(now.unix_seconds() + 600);
    let answer = format!(r#"{{"access_token":"{token}"}}"#);
    stage.http.push(Reply::json(200, &answer));
    let token = source.token().await.unwrap();
    assert_eq!(token.expires_at(), Some(now.after(seconds(600.0))));
}

#[tokio::test]
async fn without_expires_in_the_provider_may_assume_a_lifetime() {
    let _limit = biped_testing::TimeLimit::start();
    let assumed = Lifetime::For(seconds(120.0));
    let provider = TestProvider::default().assumed_lifetime(assumed);
    let life = lifetime_of(r#"{"access_token":"t"}"#, provider).await;
    assert_eq!(life, Some(seconds(120.0)));
}

#[tokio::test]
async fn without_any_word_a_token_lives_for_fifteen_minutes() {
    let _limit = biped_testing::TimeLimit::start();
    let life = lifetime_of(r#"{"access_token":"t"}"#, TestProvider::default()).await;
    assert_eq!(life, Some(seconds(900.0)));
}

#[tokio::test]
async fn an_expires_in_of_zero_is_not_never() {
    let _limit = biped_testing::TimeLimit::start();
    let answer = r#"{"access_token":"t","expires_in":0}"#;
    let life = lifetime_of(answer, TestProvider::default()).await;
    assert_eq!(life, Some(seconds(900.0)));
}

#[tokio::test]
async fn a_provider_may_state_that_tokens_are_good_until_rejected() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let provider = TestProvider::default().assumed_lifetime(Lifetime::UntilRejected);
    let source = stage.source_of(provider);
    stage
        .http
        .push(Reply::json(200, r#"{"access_token":"t-1"}"#));
    stage.http.push(Reply::token("t-2", 100));
    text(&source).await;
    stage.advance(1e9);
    let token = source.fresh().expect("fresh for ever").into_owned();
    source.reject(&token);
    assert_eq!(text(&source).await, "t-2");
}

/// A caller every 50 ms for a minute; how many requests that cost.
async fn requests_in_a_minute_of_tokens_that_live(life: u64) -> usize {
    let stage = Stage::new();
    let source = stage.source();
    stage
        .http
        .answer_with(move |number, _| Reply::token(&format!("t-{number}"), life));
    for _ in 0..1200 {
        let caller = ask(&source);
        settle().await;
        while !caller.is_finished() {
            // It waits out the least time between two fetches.
            let wake = stage.clock.next_wake().expect("somebody sleeps");
            stage.clock.advance(wake);
            settle().await;
        }
        caller.await.unwrap().unwrap();
        let token = source.token().await.unwrap().into_owned();
        assert!(
            token.expires_at().unwrap() > stage.clock.now().wall,
            "never an expired one"
        );
        stage.advance(0.05);
    }
    stage.http.count()
}

#[tokio::test]
async fn tokens_of_ten_seconds_cost_a_request_every_eight() {
    let _limit = biped_testing::TimeLimit::start();
    let requests = requests_in_a_minute_of_tokens_that_live(10).await;
    assert!((6..=8).contains(&requests), "{requests}");
}

#[tokio::test]
async fn tokens_of_two_seconds_do_not_end_in_a_busy_loop() {
    let _limit = biped_testing::TimeLimit::start();
    let requests = requests_in_a_minute_of_tokens_that_live(2).await;
    assert!((20..=40).contains(&requests), "{requests}");
}

#[tokio::test]
async fn tokens_of_one_second_do_not_end_in_a_busy_loop() {
    let _limit = biped_testing::TimeLimit::start();
    let requests = requests_in_a_minute_of_tokens_that_live(1).await;
    assert!((20..=80).contains(&requests), "{requests}");
}

#[tokio::test]
async fn a_server_that_repeats_its_token_with_the_seconds_left_causes_no_storm() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    let start = stage.clock.now().wall;
    let clock = stage.clock.clone();
    stage.http.answer_with(move |_, _| {
        let age = clock.now().wall.since(start).as_secs();
        Reply::token(&format!("t-{}", age / 100), 100 - age % 100)
    });
    for _ in 0..4000 {
        let caller = ask(&source);
        stage.pass(0.25).await;
        if caller.is_finished() {
            caller.await.unwrap().unwrap();
        } else {
            caller.abort();
        }
    }
    // Ten tokens of 100 s; towards its end each is asked for more often, but never without end.
    assert!(stage.http.count() <= 120, "{}", stage.http.count());
}

#[tokio::test]
async fn a_caller_without_a_usable_token_waits_out_the_least_time_between_fetches() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1000));
    stage.http.push(Reply::token("t-2", 1000));
    let first = source.token().await.unwrap().into_owned();
    source.reject(&first);
    let caller = ask(&source);
    stage.pass(0.9).await;
    assert_eq!(stage.http.count(), 1);
    assert!(!caller.is_finished());
    stage.pass(0.2).await;
    assert_eq!(caller.await.unwrap().unwrap(), "t-2");
}

#[tokio::test]
async fn setting_the_wall_clock_back_lets_no_expired_token_out() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1000));
    stage.http.push(Reply::token("t-2", 1000));
    text(&source).await;
    stage.advance(790.0);
    stage.clock.step_wall_back(seconds(100_000.0));
    assert!(source.fresh().is_some());
    stage.advance(185.0);
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn a_wall_clock_set_ahead_and_back_again_loses_no_token() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    stage.clock.step_wall_ahead(seconds(5000.0));
    assert!(source.fresh().is_none());
    stage.clock.step_wall_back(seconds(5000.0));
    assert_eq!(text(&source).await, "t-1");
    assert_eq!(stage.http.count(), 1);
}

#[tokio::test]
async fn a_token_fetched_while_the_wall_clock_was_ahead_ends_by_the_other_clock() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage
        .http
        .answer_with(|number, _| Reply::token(&format!("t-{number}"), 1000));
    stage.clock.step_wall_ahead(seconds(50_000.0));
    text(&source).await;
    stage.clock.step_wall_back(seconds(50_000.0));
    stage.advance(975.0);
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn a_laptop_that_slept_past_the_expiry_fetches_anew() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1000));
    stage.http.push(Reply::token("t-2", 1000));
    text(&source).await;
    stage.advance(5.0);
    stage.clock.suspend(seconds(8.0 * 3600.0));
    assert!(source.fresh().is_none());
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn an_uploader_gets_a_token_that_lasts() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 3600));
    stage.http.push(Reply::token("t-2", 3600));
    text(&source).await;
    stage.advance(1000.0);
    let enough = source.token_with(seconds(2600.0)).await.unwrap();
    assert_eq!(enough.expose_secret(), "t-1");
    let newer = source.token_with(seconds(2601.0)).await.unwrap();
    assert_eq!(newer.expose_secret(), "t-2");
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn how_long_a_token_lasts_is_told_by_both_clocks() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 3600));
    stage.http.push(Reply::token("t-2", 3600));
    text(&source).await;
    stage.advance(2000.0);
    stage.clock.step_wall_back(seconds(1500.0));
    let token = source.token_with(seconds(3000.0)).await.unwrap();
    assert_eq!(token.expose_secret(), "t-2");
}

#[tokio::test]
async fn a_token_just_fetched_is_good_enough_for_those_who_want_a_longer_life() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage
        .http
        .answer_with(|number, _| Reply::token(&format!("t-{number}"), 60));
    for _ in 0..10 {
        let token = source.token_with(seconds(3600.0)).await.unwrap();
        assert_eq!(token.expose_secret(), "t-1");
    }
    assert_eq!(stage.http.count(), 1);
}

#[tokio::test]
async fn a_life_beyond_what_the_vendor_gives_costs_one_request_a_token() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage
        .http
        .answer_with(|number, _| Reply::token(&format!("t-{number}"), 600));
    text(&source).await;
    for second in 0..900 {
        stage.advance(1.0);
        let token = source.token_with(seconds(3600.0)).await.unwrap();
        assert!(token.expires_at().is_some(), "{second}");
        settle().await;
    }
    // The first, the one for the long life, and their successors, one refresh and one for the life.
    assert!(stage.http.count() <= 4, "{}", stage.http.count());
}

#[tokio::test]
async fn a_life_that_the_vendor_does_give_is_asked_for_again() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage
        .http
        .answer_with(|number, _| Reply::token(&format!("t-{number}"), 600));
    let long = source.token_with(seconds(3600.0)).await.unwrap();
    assert_eq!(long.expose_secret(), "t-1");
    stage.advance(200.0);
    // Longer than what is left of the first, and no longer than it lasted when it came.
    let token = source.token_with(seconds(500.0)).await.unwrap();
    assert_eq!(token.expose_secret(), "t-2");
}

#[tokio::test]
async fn a_fetch_asked_for_by_hand_leaves_the_old_token_to_the_others() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 3600));
    stage.http.push(Reply::token("t-2", 3600));
    text(&source).await;
    stage.advance(5.0);
    stage.http.close_gate();
    let by_hand = tokio::spawn({
        let source = source.clone();
        async move {
            source
                .fetch()
                .await
                .map(|token| token.expose_secret().to_owned())
        }
    });
    stage.http.arrivals(2).await;
    assert_eq!(text(&source).await, "t-1");
    stage.http.open_gate();
    assert_eq!(by_hand.await.unwrap().unwrap(), "t-2");
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn a_token_that_expired_on_its_way_is_not_handed_out() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    let clock = Arc::clone(&stage.clock);
    stage.http.answer_with(move |number, _| {
        if number == 1 {
            clock.advance(Duration::from_secs(3));
        }
        Reply::token(&format!("t-{number}"), 2)
    });
    let caller = ask(&source);
    stage.pass(1.0).await;
    assert_eq!(caller.await.unwrap().unwrap(), "t-2");
}

#[tokio::test]
async fn a_refresh_point_that_is_no_number_is_no_refresh_point() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().refresh_at(f64::NAN));
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1000));
    assert_eq!(text(&source).await, "t-1");
    stage.advance(790.0);
    assert_eq!(source.status().state, TokenState::Fresh);
}
