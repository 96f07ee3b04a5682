//! The vendor's token endpoint is down: nobody notices while there is a usable token, and nobody
//! gets an expired one.

use std::time::Duration;

use biped::{ErrorKind, TokenState};
use biped_sandbox::{Effect, Fault, KeyFilter};

use crate::{LIFETIME, Stage, TOKEN_PATH, until};

#[tokio::test]
async fn calls_go_on_while_the_token_is_usable_and_end_with_it() {
    let stage = Stage::new().await;
    let down = || {
        Fault::new(Effect::Status(503))
            .path(TOKEN_PATH)
            .until_cleared()
    };
    assert_eq!(stage.exports().await.unwrap(), 200);
    stage.sandbox.fail_next(down());

    stage.clock.advance(LIFETIME.mul_f64(0.9));
    assert_eq!(stage.exports().await.unwrap(), 200);
    let tried = || stage.counts().token_requests.faulted > 0;
    until("the refresh was tried", tried).await;
    for _ in 0..20 {
        assert_eq!(stage.exports().await.unwrap(), 200);
    }
    let source = stage.biped.token_source("exports").unwrap();
    let failed = || source.status().last_error.is_some();
    until("the refresh failed", failed).await;
    assert_eq!(source.status().state, TokenState::Usable);
    let requests = stage.token_requests();
    assert!(requests <= 3, "{requests}");

    stage.clock.advance(LIFETIME.mul_f64(0.1));
    let calls = stage.counts().api_calls.total;
    let error = stage.driven(stage.exports()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient());
    let next = stage.exports().await.unwrap_err();
    assert!(next.retry_after().is_some(), "told at once, and until when");
    assert_eq!(
        stage.counts().api_calls.total,
        calls,
        "never an expired token"
    );

    stage.sandbox.clear_faults();
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(stage.exports().await.unwrap(), 200);
}

#[tokio::test]
async fn without_a_token_a_passing_outage_is_waited_out() {
    let stage = Stage::new().await;
    let fault = Fault::new(Effect::Status(502)).path(TOKEN_PATH).times(2);
    stage.sandbox.fail_next(fault);
    assert_eq!(stage.driven(stage.exports()).await.unwrap(), 200);
    let requests = stage.counts().token_requests;
    assert_eq!((requests.faulted, requests.issued), (2, 1));
}

#[tokio::test]
async fn a_vendor_that_is_gone_is_unreachable_for_those_without_a_token_only() {
    let mut stage = Stage::new().await;
    assert_eq!(stage.exports().await.unwrap(), 200);
    let source = stage.biped.token_source("exports").unwrap();
    let other = stage.biped.token_source("exports-us").unwrap();
    let gone = biped_sandbox::Sandbox::builder().start().await.unwrap();
    std::mem::replace(&mut stage.sandbox, gone).stop().await;

    assert!(source.token().await.is_ok());
    let error = stage.driven(other.token()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.is_transient());
    assert_eq!(error.provider(), Some("exports-us"));
    // The next ones are told at once, without another attempt.
    assert_eq!(other.token().await.unwrap_err().kind(), error.kind());
}

#[tokio::test]
async fn a_hundred_callers_share_the_few_attempts_of_an_outage() {
    let stage = Stage::new().await;
    let fault = Fault::new(Effect::Status(500))
        .path(TOKEN_PATH)
        .until_cleared();
    stage.sandbox.fail_next(fault);
    let source = stage.biped.token_source("exports").unwrap();
    let callers = (0..100).map(|_| source.token());
    let told = stage.driven(futures_util::future::join_all(callers)).await;
    for error in told.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    let counts = stage.counts_of(&KeyFilter::all().project_id(42));
    assert!((1..=3).contains(&counts.token_requests.total), "{counts:?}");
}
