use std::{
    error::Error as _,
    future::Future,
    io,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use biped_sandbox::{ACCOUNT, Effect, Fault, KeyFilter, RetryAfter, Vendor};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::{Bench, START, client, json_of, send, status_of};

fn exports_of_42() -> Value {
    json!({ "scope": "data-export", "project_id": 42 })
}

#[tokio::test]
async fn a_status_comes_in_the_vendors_form_and_as_often_as_asked() {
    let bench = Bench::start().await;
    bench
        .sandbox
        .fail_next(Fault::new(Effect::Status(503)).times(2));
    for _ in 0..2 {
        let request = bench.ask(ACCOUNT, exports_of_42());
        let answer = json_of(request, StatusCode::SERVICE_UNAVAILABLE).await;
        assert_eq!(answer["errorCode"], "SERVICE_UNAVAILABLE");
    }
    bench.token(ACCOUNT, exports_of_42()).await;
    bench.sandbox.fail_next(Fault::new(Effect::Status(500)));
    let answer = json_of(bench.ask_shop(), StatusCode::INTERNAL_SERVER_ERROR).await;
    let error = json!({
        "code": "500999",
        "code_reason": "API_ERROR",
        "message": "Api Error, please contact customer service",
    });
    assert_eq!(answer, json!({ "error": error }));
    let counted = bench.sandbox.stats().counts.token_requests;
    assert_eq!((counted.total, counted.issued, counted.faulted), (4, 1, 3));
}

#[tokio::test]
async fn a_fault_hits_its_vendor_and_path_only() {
    let bench = Bench::start().await;
    let both = json!({ "scope": "data-export speed-analysis", "project_id": 42 });
    let (token, shop) = (bench.token(ACCOUNT, both).await, bench.shop_token().await);
    let speed = "/v1/speed-analysis/monitoring%20list";
    bench.sandbox.fail_next(
        Fault::new(Effect::Status(500))
            .path("/v1/speed-analysis/monitoring list")
            .until_cleared(),
    );
    bench
        .sandbox
        .fail_next(Fault::new(Effect::Status(502)).path("/v1/exp*"));
    bench
        .sandbox
        .fail_next(Fault::new(Effect::Status(504)).vendor(Vendor::Envelope));
    assert_eq!(
        status_of(bench.call("/v1/download?bytes=1", &token)).await,
        200
    );
    assert_eq!(status_of(bench.call(speed, &token)).await, 500);
    assert_eq!(status_of(bench.call(speed, &token)).await, 500);
    assert_eq!(status_of(bench.call("/v1/exports", &token)).await, 502);
    assert_eq!(status_of(bench.call("/v1/exports", &token)).await, 200);
    assert_eq!(status_of(bench.orders(&shop)).await, 504);
    assert_eq!(bench.sandbox.faults().len(), 1);
    bench.sandbox.clear_faults();
    assert_eq!(status_of(bench.call(speed, &token)).await, 200);
}

#[tokio::test]
async fn retry_after_is_seconds_a_date_or_any_text() {
    let bench = Bench::start().await;
    let mut values = Vec::new();
    for retry_after in [
        RetryAfter::Seconds(7),
        RetryAfter::Text("soon".into()),
        RetryAfter::DateIn { date_in: 7 },
        RetryAfter::DateIn { date_in: -7 },
    ] {
        bench
            .sandbox
            .fail_next(Fault::new(Effect::Status(429)).retry_after(retry_after));
        let response = send(bench.ask_shop()).await;
        assert_eq!(response.status(), 429);
        values.push(
            response.headers()[header::RETRY_AFTER]
                .to_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(&values[..2], ["7", "soon"]);
    let now = START.unix_seconds();
    for (value, expected) in values[2..].iter().zip([now + 7, now - 7]) {
        let date = httpdate::parse_http_date(value).unwrap();
        let seconds = date
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        assert_eq!(i64::try_from(seconds).unwrap(), expected);
    }
}

#[tokio::test]
async fn latency_passes_on_the_sandboxs_clock() {
    let bench = Bench::start().await;
    let latency = Duration::from_secs(600);
    bench
        .sandbox
        .fail_next(Fault::new(Effect::None).latency(latency));
    let (response, ()) = tokio::join!(send(bench.ask_shop()), async {
        while bench.clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        bench.clock.advance(latency);
    });
    assert_eq!(response.status(), 200);
    assert_eq!(bench.sandbox.stats().elapsed_ms, 600_000);
    assert_eq!(bench.sandbox.stats().counts.token_requests.issued, 1);
}

#[tokio::test]
async fn a_token_is_revoked_by_the_call_it_came_with() {
    let bench = Bench::start().await;
    let token = bench.token(ACCOUNT, exports_of_42()).await;
    let other = bench.token(ACCOUNT, exports_of_42()).await;
    bench
        .sandbox
        .fail_next(Fault::new(Effect::Revoke).path("/v1/exports"));
    assert_eq!(status_of(bench.call("/v1/exports", &token)).await, 401);
    assert_eq!(status_of(bench.call("/v1/exports", &token)).await, 401);
    assert_eq!(status_of(bench.call("/v1/exports", &other)).await, 200);
    let counts = bench.sandbox.stats().counts;
    assert_eq!((counts.revocations, counts.api_calls.rejected), (1, 2));
}

#[tokio::test]
async fn a_token_can_be_dead_on_arrival() {
    let bench = Bench::start().await;
    bench
        .sandbox
        .fail_next(Fault::new(Effect::Revoke).path("/v1/auth/token"));
    let token = bench.shop_token().await;
    assert_eq!(status_of(bench.orders(&token)).await, 401);
    let token = bench.shop_token().await;
    assert_eq!(status_of(bench.orders(&token)).await, 200);
}

#[tokio::test]
async fn a_reset_comes_in_the_middle_of_the_body() {
    let bench = Bench::start().await;
    bench.sandbox.fail_next(Fault::new(Effect::Reset));
    let mut response = send(bench.ask(ACCOUNT, exports_of_42())).await;
    assert_eq!(response.status(), 200);
    let length = response.content_length().unwrap();
    let (mut read, error) = (0, loop_until_error(&mut response).await);
    read += error.0;
    assert_eq!(read, length / 2);
    let mut cause = error.1.source();
    let io_error = loop {
        let error = cause.expect("an error of the connection");
        if let Some(error) = error.downcast_ref::<io::Error>() {
            break error;
        }
        cause = error.source();
    };
    assert_eq!(io_error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(bench.sandbox.stats().counts.token_requests.faulted, 1);
    bench.token(ACCOUNT, exports_of_42()).await;
}

#[tokio::test]
async fn a_stalled_body_says_nothing_more_until_the_sandbox_stops() {
    let bench = Bench::start().await;
    let token = bench.token(ACCOUNT, exports_of_42()).await;
    bench
        .sandbox
        .fail_next(Fault::new(Effect::Stall).path("/v1/download"));
    let mut response = send(bench.call("/v1/download?bytes=2000", &token)).await;
    let mut read = 0;
    while read < 1000 {
        read += response.chunk().await.unwrap().unwrap().len();
    }
    assert_eq!(read, 1000);
    {
        let mut rest = pin!(response.chunk());
        // Whatever else the sandbox had to say would have come before this answer.
        assert_eq!(status_of(bench.call("/v1/exports", &token)).await, 200);
        let poll = rest.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(poll, Poll::Pending));
    }
    let (rest, ()) = tokio::join!(response.chunk(), bench.sandbox.stop());
    assert!(rest.is_err());
}

#[tokio::test]
async fn an_endless_body_does_not_end() {
    let bench = Bench::start().await;
    bench.sandbox.fail_next(Fault::new(Effect::Endless));
    let mut response = send(bench.ask_shop()).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let mut read = 0;
    while read < 8 << 20 {
        read += response.chunk().await.unwrap().expect("more").len();
    }
}

#[tokio::test]
async fn answers_come_mislabelled_as_a_page_or_empty() {
    let bench = Bench::start().await;
    let content_type = |response: &reqwest::Response| {
        response.headers()[header::CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned()
    };
    bench
        .sandbox
        .fail_next(Fault::new(Effect::WrongContentType));
    let response = send(bench.ask_shop()).await;
    assert!(content_type(&response).starts_with("text/html"));
    assert!(response.json::<Value>().await.unwrap()["data"]["access_token"].is_string());

    bench.sandbox.fail_next(Fault::new(Effect::Html));
    let response = send(bench.ask_shop()).await;
    assert_eq!(response.status(), 200);
    assert!(content_type(&response).starts_with("text/html"));
    assert!(
        response
            .text()
            .await
            .unwrap()
            .starts_with("<!doctype html>")
    );

    bench.sandbox.fail_next(Fault::new(Effect::Empty));
    let response = send(bench.ask_shop()).await;
    assert_eq!(
        (response.status(), content_type(&response)),
        (StatusCode::OK, "application/json".into())
    );
    assert!(response.bytes().await.unwrap().is_empty());

    let counted = bench.sandbox.stats().counts.token_requests;
    assert_eq!((counted.total, counted.issued, counted.faulted), (3, 1, 2));
}

#[tokio::test]
async fn faults_and_revocations_can_be_asked_for_over_http() {
    let bench = Bench::start().await;
    let (faults, revoke) = (bench.url("/_sandbox/faults"), bench.url("/_sandbox/revoke"));
    let fault = json!({
        "vendor": "contentsquare",
        "path": "/v1/oauth/token",
        "times": null,
        "effect": { "status": 429 },
        "retry_after": { "date_in": 5 },
    });
    assert_eq!(status_of(bench.http.post(&faults).json(&fault)).await, 204);
    let listed = json_of(bench.http.get(&faults), StatusCode::OK).await;
    assert_eq!(listed[0]["effect"], json!({ "status": 429 }));
    let limited = send(bench.ask(ACCOUNT, exports_of_42())).await;
    assert_eq!(limited.status(), 429);
    assert!(limited.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(status_of(bench.http.delete(&faults)).await, 204);

    bench.token(ACCOUNT, exports_of_42()).await;
    bench
        .token(ACCOUNT, json!({ "scope": "data-export", "project_id": 43 }))
        .await;
    bench.shop_token().await;
    let post = |body: Value| bench.http.post(&revoke).json(&body);
    let one = json!({ "client_id": ACCOUNT.client_id, "project_id": 43 });
    assert_eq!(
        json_of(post(one), StatusCode::OK).await,
        json!({ "revoked": 1 })
    );
    assert_eq!(
        json_of(post(json!({})), StatusCode::OK).await,
        json!({ "revoked": 2 })
    );
    assert_eq!(bench.sandbox.revoke_tokens(&KeyFilter::all()), 0);

    let secret = json!({ "client_id": ACCOUNT.client_id, "client_secret": "new" });
    let secrets = bench.url("/_sandbox/secret");
    assert_eq!(
        status_of(bench.http.post(&secrets).json(&secret)).await,
        204
    );
    assert_eq!(status_of(bench.ask(ACCOUNT, exports_of_42())).await, 401);
}

#[tokio::test]
async fn a_control_request_with_a_mistake_changes_nothing() {
    let bench = Bench::start().await;
    for (path, body) in [
        ("faults", json!({ "effect": "explode" })),
        ("faults", json!({ "effect": "stall", "tiems": 2 })),
        ("faults", json!({ "effect": { "status": 100 } })),
        ("faults", json!({ "effect": "stall", "times": 0 })),
        ("faults", json!({ "effect": "stall", "path": "v1/exports" })),
        ("faults", json!({ "effect": "stall", "path": "/v1/a?b=c" })),
        (
            "faults",
            json!({ "effect": { "status": 503 }, "retry_after": "a\nb" }),
        ),
        (
            "faults",
            json!({ "effect": { "status": 503 }, "retry_after": { "date_in": 5, "dat": 1 } }),
        ),
        ("revoke", json!({ "client": "all" })),
        (
            "secret",
            json!({ "client_id": "nobody", "client_secret": "x" }),
        ),
    ] {
        let request = client()
            .post(bench.url(&format!("/_sandbox/{path}")))
            .json(&body);
        assert!(
            json_of(request, StatusCode::BAD_REQUEST).await["error"].is_string(),
            "{body}"
        );
    }
    assert!(bench.sandbox.faults().is_empty());
}

/// How much of a body came before its error.
async fn loop_until_error(response: &mut reqwest::Response) -> (u64, reqwest::Error) {
    let mut read = 0;
    loop {
        match response.chunk().await {
            Ok(chunk) => read += chunk.expect("the body ended well").len() as u64,
            Err(error) => return (read, error),
        }
    }
}
