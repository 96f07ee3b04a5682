//! What happens when the vendor can't, or won't.

use std::{sync::Arc, time::Duration};

use biped_core::{
    Error, ErrorKind, ExposeSecret, FetchContext, Provider, ProviderId, Token, TokenRequest,
    async_trait,
};
use biped_engine::{TokenManager, TokenState};
use biped_testing::{Reply, ScriptedHttp, TestProvider, settle};
use bytes::Bytes;

use crate::stage::{Stage, ask, failure, seconds, text};

fn retry_after(status: u16, value: &str) -> Reply {
    Reply::status(status).with_header("retry-after", value)
}

/// Asks, and lets a second and a half pass for the quick attempts.
async fn ask_and_wait(stage: &Stage, source: &biped_engine::TokenSource) -> biped_core::Error {
    let caller = ask(source);
    stage.pass(5.0).await;
    caller.await.unwrap().unwrap_err()
}

#[tokio::test]
async fn what_may_pass_is_tried_again_while_somebody_waits() {
    let _limit = biped_testing::TimeLimit::start();
    let failures: [fn() -> Reply; 9] = [
        || Reply::unreachable(),
        || Reply::status(408),
        || Reply::status(425),
        || Reply::status(429),
        || Reply::status(500),
        || Reply::status(502),
        || Reply::status(503),
        || Reply::status(504),
        || Reply::status(200),
    ];
    for (at, failure) in failures.into_iter().enumerate() {
        let stage = Stage::new();
        let source = stage.source();
        stage.http.push(failure());
        stage.http.push(failure());
        stage.http.push(Reply::token("t-1", 1000));
        let caller = ask(&source);
        stage.pass(5.0).await;
        assert_eq!(caller.await.unwrap().unwrap(), "t-1", "failure {at}");
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again_while_somebody_waits() {
    let _limit = biped_testing::TimeLimit::start();
    for reply in [
        Reply::json(200, "<html>"),
        Reply::status(302),
        Reply::error(400, "invalid_scope"),
    ] {
        let stage = Stage::new();
        let source = stage.source();
        stage.http.push(reply);
        let caller = ask(&source);
        stage.pass(5.0).await;
        assert!(!caller.await.unwrap().unwrap_err().is_transient());
        assert_eq!(stage.http.count(), 1);
    }
}

#[tokio::test]
async fn until_the_next_attempt_callers_get_the_same_error_at_once() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.answer_with(|_, _| Reply::status(503));
    let caller = ask(&source);
    settle().await;
    while !caller.is_finished() {
        stage.clock.advance(stage.clock.next_wake().unwrap());
        settle().await;
    }
    assert_eq!(stage.http.count(), 3);
    for _ in 0..1000 {
        let error = failure(&source).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let wait = error.retry_after().unwrap();
        assert!(wait > Duration::ZERO && wait <= seconds(2.0), "{wait:?}");
    }
    assert_eq!(stage.http.count(), 3);
}

#[tokio::test]
async fn attempts_get_rarer_up_to_a_minute_and_never_cease() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1_000_000));
    stage.http.answer_with(|_, _| Reply::status(503));
    text(&source).await;
    stage.advance(860_000.0);
    // More failures in a row than any counter that doubles can take: no counter overflows, no wait grows beyond a minute.
    for _ in 0..1500 {
        let before = stage.http.count();
        assert_eq!(text(&source).await, "t-1");
        settle().await;
        assert_eq!(
            stage.http.count(),
            before + 1,
            "asked again after a minute at the latest"
        );
        stage.advance(60.0);
    }
    stage.http.push(Reply::token("t-2", 1000));
    text(&source).await;
    settle().await;
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn a_failure_while_a_token_serves_is_asked_again_no_sooner_than_a_second() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1000));
    stage.http.answer_with(|_, _| Reply::status(503));
    text(&source).await;
    stage.advance(860.0);
    for _ in 0..9 {
        assert_eq!(text(&source).await, "t-1");
        settle().await;
        stage.advance(0.1);
    }
    assert_eq!(stage.http.count(), 2);
}

#[tokio::test]
async fn a_vendor_that_is_down_for_a_while_costs_few_requests_and_nobody_notices() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 100));
    text(&source).await;
    stage.advance(85.0);
    stage.http.answer_with(|_, _| Reply::unreachable());
    for _ in 0..40 {
        assert_eq!(text(&source).await, "t-1");
        stage.pass(0.1).await;
    }
    assert!(
        (2..=5).contains(&stage.http.count()),
        "{}",
        stage.http.count()
    );
    stage.http.answer_with(|_, _| Reply::token("t-2", 100));
    // Whatever "not before" is, it has come and gone.
    stage.advance(60.0);
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn one_odd_error_never_ends_refreshing() {
    let _limit = biped_testing::TimeLimit::start();
    let odd: [fn() -> Reply; 6] = [
        || Reply::Panic,
        || Reply::json(200, r#"{"access_token":""}"#),
        || Reply::json(200, "[[[["),
        || Reply::status(302),
        || Reply::error(418, "teapot"),
        || Reply::error(401, "invalid_client"),
    ];
    for (at, odd) in odd.into_iter().enumerate() {
        let stage = Stage::new();
        let source = stage.source();
        stage.http.push(Reply::token("t-1", 1000));
        stage.http.push(odd());
        stage.http.push(Reply::token("t-2", 1000));
        text(&source).await;
        stage.advance(860.0);
        assert_eq!(text(&source).await, "t-1", "{at}");
        settle().await;
        assert_eq!(text(&source).await, "t-1", "{at}");
        stage.advance(61.0);
        text(&source).await;
        settle().await;
        assert_eq!(text(&source).await, "t-2", "{at}");
    }
}

#[tokio::test]
async fn after_a_success_waits_begin_at_their_shortest_again() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 10_000));
    text(&source).await;
    stage.advance(8600.0);
    stage.http.answer_with(|_, _| Reply::status(503));
    for _ in 0..10 {
        text(&source).await;
        settle().await;
        stage.advance(60.0);
    }
    stage.http.push(Reply::token("t-2", 10_000));
    text(&source).await;
    settle().await;
    assert_eq!(text(&source).await, "t-2");
    stage.advance(8600.0);
    text(&source).await;
    settle().await;
    let failed = stage.http.count();
    stage.advance(2.1);
    text(&source).await;
    settle().await;
    assert_eq!(stage.http.count(), failed + 1);
}

#[tokio::test]
async fn a_refusal_that_names_a_time_is_not_put_to_the_test_before() {
    let _limit = biped_testing::TimeLimit::start();
    for (status, code) in [(401, "invalid_client"), (400, "invalid_scope")] {
        let stage = Stage::new();
        let source = stage.source();
        let refusal = Reply::error(status, code);
        stage.http.push(refusal.with_header("retry-after", "300"));
        stage.http.push(Reply::token("t-1", 1000));
        let error = failure(&source).await;
        assert_eq!(error.retry_after(), Some(seconds(300.0)), "{code}");
        stage.advance(299.0);
        failure(&source).await;
        assert_eq!(stage.http.count(), 1, "{code}");
        stage.advance(2.0);
        assert_eq!(text(&source).await, "t-1", "{code}");
    }
}

#[tokio::test]
async fn the_first_error_says_when_the_engine_asks_again_as_the_later_ones_do() {
    let _limit = biped_testing::TimeLimit::start();
    let year = "31536000";
    for (reply, most) in [
        (Reply::status(503).with_header("retry-after", year), 900.0),
        (
            Reply::error(401, "invalid_client").with_header("retry-after", year),
            900.0,
        ),
        (
            Reply::error(400, "invalid_scope").with_header("retry-after", year),
            900.0,
        ),
        (Reply::error(401, "invalid_client"), 60.0),
        (Reply::error(400, "invalid_scope"), 60.0),
    ] {
        let stage = Stage::new();
        let source = stage.source();
        stage.http.push(reply);
        let first = failure(&source).await.retry_after();
        assert_eq!(first, Some(seconds(most)));
        assert_eq!(failure(&source).await.retry_after(), first);
        assert_eq!(stage.http.count(), 1);
    }
}

#[tokio::test]
async fn a_refusal_is_over_with_the_next_token() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::error(400, "invalid_scope"));
    failure(&source).await;
    stage.advance(61.0);
    stage.http.push(Reply::token("t-1", 30));
    assert_eq!(text(&source).await, "t-1");
    assert!(source.status().last_error.is_none());
    // Refreshed before another probe of the refused request would have been due.
    stage.advance(26.0);
    stage.http.push(Reply::token("t-2", 30));
    text(&source).await;
    settle().await;
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn retry_after_is_a_floor_in_seconds_and_as_a_date() {
    let _limit = biped_testing::TimeLimit::start();
    for value in ["30", "Sun, 01 Mar 2026 12:00:30 GMT"] {
        let stage = Stage::new();
        let source = stage.source();
        stage.http.push(retry_after(429, value));
        stage.http.push(Reply::token("t-1", 1000));
        let error = failure(&source).await;
        assert_eq!(error.retry_after(), Some(seconds(30.0)), "{value}");
        stage.advance(29.9);
        failure(&source).await;
        assert_eq!(stage.http.count(), 1, "{value}");
        stage.advance(0.2);
        assert_eq!(text(&source).await, "t-1", "{value}");
    }
}

#[tokio::test]
async fn a_short_retry_after_is_waited_out_by_the_same_callers() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(retry_after(503, "4"));
    stage.http.push(Reply::token("t-1", 1000));
    let caller = ask(&source);
    stage.pass(3.9).await;
    assert_eq!(stage.http.count(), 1);
    stage.pass(0.2).await;
    assert_eq!(caller.await.unwrap().unwrap(), "t-1");
}

#[tokio::test]
async fn a_retry_after_of_zero_in_the_past_or_without_sense_changes_nothing() {
    let _limit = biped_testing::TimeLimit::start();
    for value in [
        "0",
        "-5",
        "Sun, 01 Mar 2020 12:00:00 GMT",
        "soon",
        "NaN",
        "",
    ] {
        let stage = Stage::new();
        let source = stage.source();
        stage.http.push(retry_after(503, value));
        stage.http.push(Reply::token("t-1", 1000));
        let caller = ask(&source);
        stage.pass(1.0).await;
        assert_eq!(caller.await.unwrap().unwrap(), "t-1", "{value}");
    }
}

#[tokio::test]
async fn an_absurd_retry_after_is_cut_to_fifteen_minutes() {
    let _limit = biped_testing::TimeLimit::start();
    for value in [
        "31536000",
        "1e300",
        "Thu, 01 Mar 2096 12:00:00 GMT",
        "99999999999999999999",
    ] {
        let stage = Stage::new();
        let source = stage.source();
        stage.http.push(retry_after(503, value));
        stage.http.push(Reply::token("t-1", 1000));
        failure(&source).await;
        stage.advance(899.0);
        failure(&source).await;
        assert_eq!(stage.http.count(), 1, "{value}");
        stage.advance(2.0);
        assert_eq!(text(&source).await, "t-1", "{value}");
    }
}

#[tokio::test]
async fn retry_after_holds_for_every_key_of_the_token_endpoint_and_for_no_other() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(retry_after(429, "60"));
    stage.http.push(Reply::token("t-1", 1000));
    failure(&source).await;
    let other_client = stage.source_of(TestProvider::new("client-2"));
    let error = failure(&other_client).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.retry_after(), Some(seconds(60.0)));
    assert_eq!(stage.http.count(), 1);
    let elsewhere = stage.source_of(TestProvider::at("https://other.example/token", "client-1"));
    assert_eq!(text(&elsewhere).await, "t-1");
}

#[tokio::test]
async fn a_flight_in_the_queue_heeds_the_retry_after_that_another_was_told() {
    let _limit = biped_testing::TimeLimit::start();
    let settings = biped_engine::Settings::default().concurrent_fetches(1);
    let stage = Stage::with(settings);
    stage.http.close_gate();
    stage.http.push(retry_after(429, "60"));
    let callers: Vec<_> = (0..20).map(|number| ask(&stage.tenant(number))).collect();
    stage.http.arrivals(1).await;
    settle().await;
    stage.http.open_gate();
    for caller in callers {
        assert_eq!(
            caller.await.unwrap().unwrap_err().kind(),
            ErrorKind::Unavailable
        );
    }
    assert_eq!(stage.http.count(), 1);
}

#[tokio::test]
async fn a_thousand_callers_with_a_wrong_secret_send_one_request_and_get_the_vendors_words() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.close_gate();
    stage.http.push(Reply::error(401, "invalid_client"));
    let mut callers: Vec<_> = (0..500).map(|_| ask(&source)).collect();
    stage.http.arrivals(1).await;
    stage.http.open_gate();
    settle().await;
    callers.extend((0..500).map(|_| ask(&source)));
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        let vendor = error.vendor().unwrap();
        assert_eq!(vendor.code.as_deref(), Some("invalid_client"));
        assert_eq!(vendor.message.as_deref(), Some("says invalid_client"));
    }
    assert_eq!(stage.http.count(), 1);
}

#[tokio::test]
async fn a_refusal_of_the_client_stops_all_its_keys_and_no_other_clients() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.push(Reply::error(401, "invalid_client"));
    stage.http.push(Reply::token("t-1", 1000));
    failure(&stage.source()).await;
    assert_eq!(failure(&stage.tenant(1)).await.kind(), ErrorKind::Refused);
    assert_eq!(stage.http.count(), 1);
    assert_eq!(
        text(&stage.source_of(TestProvider::new("client-2"))).await,
        "t-1"
    );
}

#[tokio::test]
async fn keys_that_took_off_together_cost_no_more_than_the_budget_when_the_client_is_refused() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.close_gate();
    stage
        .http
        .answer_with(|_, _| Reply::error(401, "invalid_client"));
    let callers: Vec<_> = (0..1000).map(|number| ask(&stage.tenant(number))).collect();
    stage.http.arrivals(8).await;
    settle().await;
    stage.http.open_gate();
    for caller in callers {
        assert_eq!(
            caller.await.unwrap().unwrap_err().kind(),
            ErrorKind::Refused
        );
    }
    assert_eq!(stage.http.count(), 8);
    // And they count as one refusal: the first probe comes after a minute.
    stage.advance(60.0);
    failure(&stage.tenant(1)).await;
    assert_eq!(stage.http.count(), 9);
}

#[tokio::test]
async fn a_refusal_of_the_request_stops_its_key_only() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.push(Reply::error(400, "invalid_scope"));
    stage.http.push(Reply::token("t-1", 1000));
    failure(&stage.tenant(1)).await;
    failure(&stage.tenant(1)).await;
    assert_eq!(stage.http.count(), 1);
    assert_eq!(text(&stage.tenant(2)).await, "t-1");
}

#[tokio::test]
async fn a_refused_client_is_probed_after_a_minute_doubling_up_to_fifteen() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage
        .http
        .answer_with(|_, _| Reply::error(401, "invalid_client"));
    failure(&source).await;
    for (at, minutes) in [1, 2, 4, 8, 15, 15, 15].into_iter().enumerate() {
        stage.advance(f64::from(minutes) * 60.0 - 0.1);
        failure(&source).await;
        assert_eq!(stage.http.count(), at + 1, "{minutes} min");
        stage.advance(0.1);
        failure(&source).await;
        assert_eq!(stage.http.count(), at + 2, "{minutes} min");
    }
    stage.http.answer_with(|_, _| Reply::token("t-1", 1000));
    stage.advance(900.0);
    assert_eq!(text(&source).await, "t-1");
    assert_eq!(
        stage.source().status().last_error.map(|error| error.kind()),
        None
    );
}

#[tokio::test]
async fn only_one_caller_probes() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.push(Reply::error(401, "invalid_client"));
    failure(&stage.source()).await;
    stage.advance(60.0);
    stage.http.close_gate();
    stage.http.push(Reply::token("t-1", 1000));
    let prober = ask(&stage.source());
    stage.http.arrivals(2).await;
    for number in 0..100 {
        failure(&stage.tenant(number)).await;
    }
    assert_eq!(stage.http.count(), 2);
    stage.http.open_gate();
    assert_eq!(prober.await.unwrap().unwrap(), "t-1");
}

#[tokio::test]
async fn a_probe_that_fails_in_passing_is_followed_by_another_soon() {
    let _limit = biped_testing::TimeLimit::start();
    for odd in [Reply::unreachable(), Reply::Panic, retry_after(503, "20")] {
        let stage = Stage::new();
        let source = stage.source();
        stage.http.push(Reply::error(401, "invalid_client"));
        stage.http.push(odd);
        stage.http.answer_with(|_, _| Reply::status(503));
        failure(&source).await;
        stage.advance(60.0);
        ask_and_wait(&stage, &source).await;
        stage.http.answer_with(|_, _| Reply::token("t-1", 1000));
        stage.advance(62.0);
        assert_eq!(text(&source).await, "t-1");
    }
}

#[tokio::test]
async fn a_probe_that_could_not_start_is_not_lost() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.push(Reply::error(400, "invalid_scope"));
    failure(&stage.tenant(1)).await;
    stage.advance(59.0);
    stage.http.push(retry_after(429, "30"));
    failure(&stage.tenant(2)).await;
    stage.advance(2.0);
    // The key's probe is due, but the endpoint wants to be left alone.
    failure(&stage.tenant(1)).await;
    stage.advance(30.0);
    stage.http.push(Reply::token("t-1", 1000));
    assert_eq!(text(&stage.tenant(1)).await, "t-1");
}

#[tokio::test]
async fn a_refusal_while_a_token_serves_leaves_it_in_place() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1000));
    stage
        .http
        .answer_with(|_, _| Reply::error(401, "invalid_client"));
    text(&source).await;
    stage.advance(860.0);
    for _ in 0..100 {
        assert_eq!(text(&source).await, "t-1");
        stage.pass(1.0).await;
    }
    assert!(stage.http.count() <= 4, "{}", stage.http.count());
}

#[tokio::test]
async fn a_vendor_that_never_answers_ends_the_flight_but_not_the_key() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::Silence);
    stage.http.push(Reply::token("t-1", 1000));
    let caller = ask(&source);
    stage.pass(10.0).await;
    assert!(caller.await.unwrap().unwrap_err().is_transient());
    assert!(source.status().fetching);
    stage.pass(35.0).await;
    assert!(!source.status().fetching);
    stage.advance(3.0);
    assert_eq!(text(&source).await, "t-1");
}

#[tokio::test]
async fn flights_that_end_badly_give_their_permits_back() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(biped_engine::Settings::default().concurrent_fetches(2));
    for number in 0..10 {
        stage.http.push(Reply::Panic);
        failure(&stage.tenant(number)).await;
    }
    stage.http.push(Reply::Silence);
    stage.http.push(Reply::Silence);
    let stuck = [ask(&stage.tenant(20)), ask(&stage.tenant(21))];
    stage.http.arrivals(12).await;
    let queued = ask(&stage.tenant(22));
    stage.pass(9.0).await;
    assert_eq!(stage.http.count(), 12);
    queued.abort();
    stage.http.push(Reply::token("t-1", 1000));
    stage.pass(40.0).await;
    assert!(stuck.iter().all(tokio::task::JoinHandle::is_finished));
    stage.http.push(Reply::token("t-2", 1000));
    assert!(
        ask(&stage.tenant(23))
            .await
            .unwrap()
            .unwrap()
            .starts_with("t-")
    );
}

/// Tenants with a token each that wants to be refreshed, and the only permit taken.
async fn a_queue_of_background_work(stage: &Stage, tenants: i64) {
    stage.http.answer_with(|_, _| Reply::token("t-1", 1000));
    for number in 0..tenants {
        text(&stage.tenant(number)).await;
    }
    stage.advance(860.0);
    stage.http.close_gate();
    for number in 0..tenants {
        text(&stage.tenant(number)).await;
        settle().await;
    }
}

fn tenant_of(stage: &Stage, at: usize) -> String {
    let body = stage.http.requests()[at].body.clone();
    let body = String::from_utf8(body.to_vec()).unwrap();
    body.rsplit("tenant=").next().unwrap().to_owned()
}

#[tokio::test]
async fn callers_go_before_background_work() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(biped_engine::Settings::default().concurrent_fetches(1));
    a_queue_of_background_work(&stage, 4).await;
    assert_eq!(stage.http.count(), 5);
    let caller = ask(&stage.tenant(77));
    settle().await;
    stage.http.open_gate();
    caller.await.unwrap().unwrap();
    settle().await;
    assert_eq!(tenant_of(&stage, 5), "77");
    assert_eq!(stage.http.count(), 9);
}

#[tokio::test]
async fn background_work_that_gets_urgent_moves_ahead() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(biped_engine::Settings::default().concurrent_fetches(1));
    a_queue_of_background_work(&stage, 4).await;
    let source = stage.tenant(3);
    let token = source.token().await.unwrap().into_owned();
    source.reject(&token);
    let caller = ask(&source);
    settle().await;
    stage.http.open_gate();
    caller.await.unwrap().unwrap();
    settle().await;
    assert_eq!(tenant_of(&stage, 5), "3");
    assert_eq!(stage.http.count(), 8);
}

#[tokio::test]
async fn a_rate_spreads_requests_evenly() {
    let _limit = biped_testing::TimeLimit::start();
    let settings = biped_engine::Settings::default().fetches_per_minute(Some(30));
    let stage = Stage::with(settings);
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    let callers: Vec<_> = (0..4).map(|number| ask(&stage.tenant(number))).collect();
    settle().await;
    for expected in 1..=4 {
        assert_eq!(stage.http.count(), expected);
        stage.pass(1.9).await;
        assert_eq!(stage.http.count(), expected);
        stage.pass(0.1).await;
    }
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_rate_lets_callers_overtake_background_work_too() {
    let _limit = biped_testing::TimeLimit::start();
    let settings = biped_engine::Settings::default().fetches_per_minute(Some(60));
    let stage = Stage::with(settings);
    stage.http.answer_with(|_, _| Reply::token("t-1", 1000));
    let first: Vec<_> = (0..5).map(|number| ask(&stage.tenant(number))).collect();
    stage.pass(10.0).await;
    for caller in first {
        caller.await.unwrap().unwrap();
    }
    stage.advance(855.0);
    for number in 0..5 {
        text(&stage.tenant(number)).await;
    }
    settle().await;
    assert_eq!(stage.http.count(), 6, "the next waits for its slot");
    let caller = ask(&stage.tenant(77));
    stage.pass(2.0).await;
    caller.await.unwrap().unwrap();
    assert_eq!(tenant_of(&stage, 7), "77");
}

#[test]
fn on_a_runtime_without_timers_there_is_an_error_and_no_panic() {
    let _limit = biped_testing::TimeLimit::start();
    let http = Arc::new(ScriptedHttp::new());
    http.answer_with(|_, _| Reply::token("t-1", 1000));
    let manager = TokenManager::builder(http).build();
    let source = manager.source(Arc::new(TestProvider::default()), TokenRequest::new());
    let runtime = |timers: bool| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        if timers {
            builder.enable_time();
        }
        builder.build().unwrap()
    };
    let error = runtime(false).block_on(source.token()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains("timers"), "{error}");
    runtime(false).block_on(manager.drain());
    let token = runtime(true).block_on(source.token()).unwrap().into_owned();
    assert_eq!(token.expose_secret(), "t-1");
    // It is served there all the same.
    runtime(false).block_on(source.token()).unwrap();
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let _limit = biped_testing::TimeLimit::start();
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };
    let http = std::sync::Arc::new(biped_testing::ScriptedHttp::new());
    // The system's clock: its sleep panics without a runtime.
    let manager = TokenManager::builder(http.clone()).build();
    let provider = std::sync::Arc::new(TestProvider::default());
    let source = manager.source(provider, TokenRequest::new());
    let ask_here = || {
        let mut asked = pin!(source.token());
        match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome.map(biped_engine::TokenRef::into_owned),
            Poll::Pending => panic!("nobody would ever wake it"),
        }
    };
    assert_eq!(ask_here().unwrap_err().kind(), ErrorKind::Internal);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    http.push(Reply::token("t-1", 1000));
    let token = runtime.block_on(source.token()).unwrap().into_owned();
    assert_eq!(ask_here().unwrap().header(), token.header());
    // Rejected without a runtime, within the least time between two fetches.
    source.reject(&token);
    assert_eq!(ask_here().unwrap_err().kind(), ErrorKind::Internal);
    // With a flight under way elsewhere.
    let other = source.param("tenant", 2);
    http.push(Reply::Silence);
    runtime.block_on(async {
        let caller = ask(&other);
        http.arrivals(2).await;
        caller.abort();
    });
    let mut asked = pin!(other.token());
    let outcome = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(outcome, Poll::Ready(Err(_))));
}

#[tokio::test]
async fn a_caller_who_wants_no_answer_any_more_leaves_nothing_behind() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.close_gate();
    stage.http.push(Reply::token("t-1", 1000));
    let callers: Vec<_> = (0..100).map(|_| ask(&source)).collect();
    stage.http.arrivals(1).await;
    settle().await;
    for caller in &callers {
        caller.abort();
    }
    settle().await;
    assert_eq!(stage.clock.sleepers(), 1, "the flight's own limit");
    stage.http.open_gate();
    settle().await;
    assert_eq!(stage.clock.sleepers(), 0);
    assert_eq!(source.status().state, TokenState::Fresh);
}

#[tokio::test]
async fn the_wait_after_a_failed_refresh_never_outlasts_the_token() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 100));
    stage.http.push(Reply::status(503));
    stage.http.push(Reply::status(503));
    stage.http.push(Reply::token("t-2", 100));
    text(&source).await;
    for wait in [86.0, 3.0] {
        stage.advance(wait);
        assert_eq!(text(&source).await, "t-1");
        settle().await;
    }
    // The second failure alone would keep everybody waiting for 2 to 4 s.
    stage.advance(1.1);
    assert_eq!(text(&source).await, "t-2");
    assert_eq!(stage.http.count(), 4);
}

/// A provider that learns only from the vendor that its configuration is wrong.
#[derive(Debug)]
struct Misconfigured(TestProvider);

#[async_trait]
impl Provider for Misconfigured {
    fn id(&self) -> &ProviderId {
        self.0.id()
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let metadata = http::Request::get("https://login.example/metadata").body(Bytes::new());
        cx.send(metadata.unwrap()).await?;
        Err(Error::configuration("the metadata is another issuer's"))
    }
}

#[tokio::test]
async fn a_configuration_that_the_vendor_was_asked_about_is_not_tried_by_each_caller() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let provider = Misconfigured(TestProvider::default());
    let source = stage
        .manager
        .source(Arc::new(provider), TokenRequest::new());
    stage.http.answer_with(|_, _| Reply::json(200, "{}"));
    for _ in 0..100 {
        assert_eq!(failure(&source).await.kind(), ErrorKind::Configuration);
    }
    assert_eq!(stage.http.count(), 1);
    stage.advance(60.0);
    failure(&source).await;
    assert_eq!(stage.http.count(), 2);
}

#[tokio::test]
async fn a_provider_that_panics_while_a_token_serves_is_not_called_by_each_caller() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    stage.http.answer_with(|_, _| Reply::Panic);
    stage.advance(900.0);
    for _ in 0..100 {
        assert_eq!(text(&source).await, "t-1");
        settle().await;
    }
    assert_eq!(stage.http.count(), 2);
    stage.advance(1.0);
    stage.http.push(Reply::token("t-2", 1000));
    text(&source).await;
    settle().await;
    assert_eq!(text(&source).await, "t-2");
}
