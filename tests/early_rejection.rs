//! An API rejects a token before its time: one replay with a new one, and never a loop.

use std::time::Duration;

use biped_sandbox::{Effect, Fault, KeyFilter};
use tokio::task::JoinSet;

use crate::Stage;

#[tokio::test]
async fn a_token_revoked_early_is_replaced_and_the_call_succeeds() {
    let stage = Stage::new().await;
    for (name, path) in [("exports", "/v1/exports"), ("shop", "/v1/orders")] {
        assert_eq!(stage.get(name, path).await.unwrap().0, 200);
        stage.clock.advance(Duration::from_secs(60));
        assert_eq!(stage.sandbox.revoke_tokens(&KeyFilter::all()), 1);
        let before = stage.sandbox.stats().counts;
        assert_eq!(stage.get(name, path).await.unwrap().0, 200);
        let after = stage.sandbox.stats().counts;
        assert_eq!(after.api_calls.rejected, before.api_calls.rejected + 1);
        assert_eq!(after.token_requests.total, before.token_requests.total + 1);
        // For the other vendor nothing is left to revoke.
        stage.sandbox.revoke_tokens(&KeyFilter::all());
    }
}

#[tokio::test]
async fn a_hundred_rejections_at_once_cost_one_fetch() {
    let stage = Stage::new().await;
    assert_eq!(stage.exports().await.unwrap(), 200);
    stage.clock.advance(Duration::from_secs(60));
    stage.sandbox.revoke_tokens(&KeyFilter::all());
    let client = stage.biped.client("exports").unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        calls.spawn(async move { client.get("/v1/exports").send().await.unwrap().status() });
    }
    assert!(calls.join_all().await.iter().all(|status| *status == 200));
    assert_eq!(stage.token_requests(), 2);
}

#[tokio::test]
async fn a_401_that_never_stops_reaches_the_caller_and_costs_two_tokens() {
    let stage = Stage::new().await;
    let endless = Fault::new(Effect::Status(401)).path("/v1/exports");
    stage.sandbox.fail_next(endless.until_cleared());
    // Two fetches of a key are a second apart, which passes on the clock.
    let call = stage.get("exports", "/v1/exports");
    let (status, body) = stage.driven(call).await.unwrap();
    assert_eq!(status, 401);
    assert!(body.contains("JWT_EXPIRED"), "unchanged: {body}");
    assert_eq!(stage.token_requests(), 2);
    assert_eq!(stage.counts().api_calls.total, 2, "one replay");

    for _ in 0..50 {
        assert_eq!(stage.exports().await.unwrap(), 401);
    }
    assert_eq!(stage.token_requests(), 2);
    assert_eq!(stage.counts().api_calls.total, 52, "no replay any more");

    let elsewhere = stage.get("exports", "/v1/download?bytes=1").await.unwrap();
    assert_eq!(elsewhere.0, 200, "other paths go on with the same token");
    stage.sandbox.clear_faults();
    assert_eq!(stage.exports().await.unwrap(), 200);
    assert_eq!(stage.token_requests(), 2);

    // An hour of it: a few requests for each stretch of patience, not one for each call.
    let endless = Fault::new(Effect::Status(401)).path("/v1/exports");
    stage.sandbox.fail_next(endless.until_cleared());
    for _ in 0..30 {
        stage.clock.advance(Duration::from_secs(61));
        for _ in 0..3 {
            assert_eq!(stage.driven(stage.exports()).await.unwrap(), 401);
        }
    }
    let requests = stage.token_requests();
    assert!(requests <= 2 + 30, "{requests} for 90 calls in 30 minutes");
}

#[tokio::test]
async fn a_403_is_the_callers_business() {
    let stage = Stage::new().await;
    let speed = "/v1/speed-analysis/monitoring list";
    let (status, body) = stage.get("exports", speed).await.unwrap();
    assert_eq!(status, 403);
    assert!(body.contains("INSUFFICIENT_SCOPE"), "{body}");
    assert_eq!(stage.counts().api_calls.total, 1);
    assert_eq!(stage.token_requests(), 1);
}
