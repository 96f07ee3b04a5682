//! `Retry-After` on the token endpoint is a floor, for every key there.

use std::time::Duration;

use biped::ErrorKind;
use biped_sandbox::{Effect, Fault, RetryAfter};

use crate::{Stage, TOKEN_PATH};

#[tokio::test]
async fn after_a_429_nobody_asks_before_the_time_that_the_vendor_named() {
    for retry_after in [
        RetryAfter::Seconds(120),
        RetryAfter::DateIn { date_in: 120 },
    ] {
        let stage = Stage::new().await;
        let fault = Fault::new(Effect::Status(429)).path(TOKEN_PATH);
        stage.sandbox.fail_next(fault.retry_after(retry_after));
        let error = stage.exports().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.vendor().unwrap().status, Some(429));
        let wait = error.retry_after().unwrap();
        assert!(wait >= Duration::from_secs(119), "{wait:?}");

        for _ in 0..11 {
            stage.clock.advance(Duration::from_secs(10));
            for name in ["exports", "exports-us"] {
                let error = stage.get(name, "/v1/exports").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable);
            }
        }
        assert_eq!(stage.token_requests(), 1);
        assert_eq!(
            stage.get("shop", "/v1/orders").await.unwrap().0,
            200,
            "another token endpoint is another matter"
        );

        stage.clock.advance(Duration::from_secs(15));
        for name in ["exports", "exports-us"] {
            assert_eq!(stage.get(name, "/v1/exports").await.unwrap().0, 200);
        }
        assert_eq!(stage.token_requests(), 3);
    }
}

#[tokio::test]
async fn an_absurd_retry_after_does_not_end_service_for_a_year() {
    let stage = Stage::new().await;
    let fault = Fault::new(Effect::Status(503)).path(TOKEN_PATH);
    stage
        .sandbox
        .fail_next(fault.retry_after(RetryAfter::Seconds(31_536_000)));
    assert!(stage.exports().await.is_err());
    stage.clock.advance(Duration::from_secs(15 * 60 + 1));
    assert_eq!(stage.exports().await.unwrap(), 200);
}
