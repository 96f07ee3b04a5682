use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_sandbox::{ACCOUNT, Credentials, KeyFilter, PROJECT, Sandbox};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::{Bench, LIFETIME, START, json_of, refusal, send, status_of};

const SPEED: &str = "/v1/speed-analysis/monitoring%20list";

#[tokio::test]
async fn a_token_answer_has_the_fields_of_the_documents_and_no_others() {
    let bench = Bench::start().await;
    let request = bench.ask(
        ACCOUNT,
        json!({ "scope": "data-export metrics", "project_id": 42 }),
    );
    let response = send(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let mut answer: Value = response.json().await.unwrap();
    let token = answer["access_token"].take();
    assert_eq!(token.as_str().unwrap().split('.').count(), 3);
    let expected = json!({
        "access_token": null,
        "token_type": "bearer",
        "expires_in": 3600,
        "scope": "data-export metrics",
        "project_id": 42,
        "endpoint": bench.sandbox.clouds()[0],
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_token_is_a_jwt_that_tells_its_expiry_and_target() {
    let bench = Bench::start().await;
    let token = bench
        .token(ACCOUNT, json!({ "scope": "metrics", "project_id": 43 }))
        .await;
    let payload = URL_SAFE_NO_PAD
        .decode(token.split('.').nth(1).unwrap())
        .unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    let issued = START.unix_seconds();
    assert_eq!(claims["iat"], issued);
    // Rounded up, so that the token is good for all of its `expires_in`.
    assert_eq!(claims["exp"], issued + 3601);
    assert_eq!(claims["sub"], ACCOUNT.client_id);
    assert_eq!(claims["project_id"], 43);
}

#[tokio::test]
async fn malformed_token_requests_are_refused_in_the_error_form() {
    let bench = Bench::start().await;
    let unknown = Credentials {
        client_id: "nobody",
        ..ACCOUNT
    };
    let wrong = Credentials {
        client_secret: "wrong",
        ..ACCOUNT
    };
    let fine = json!({ "scope": "data-export", "project_id": 42 });
    for (of, more, status, code) in [
        (unknown, fine.clone(), 401, "INVALID_CREDENTIALS"),
        (wrong, fine.clone(), 401, "INVALID_CREDENTIALS"),
        (ACCOUNT, json!({ "project_id": 42 }), 400, "INVALID_SCOPE"),
        (
            ACCOUNT,
            json!({ "scope": " ", "project_id": 42 }),
            400,
            "INVALID_SCOPE",
        ),
        (
            ACCOUNT,
            json!({ "scope": "surprise", "project_id": 42 }),
            400,
            "INVALID_SCOPE",
        ),
        (
            PROJECT,
            json!({ "scope": "speed-analysis" }),
            400,
            "INVALID_SCOPE",
        ),
        (
            ACCOUNT,
            json!({ "scope": "data-export enrichment", "project_id": 42, "integration_id": 123 }),
            400,
            "INVALID_SCOPE",
        ),
        (
            ACCOUNT,
            json!({ "scope": "enrichment", "project_id": 42 }),
            400,
            "INTEGRATION_REQUIRED",
        ),
        (
            PROJECT,
            json!({ "scope": "enrichment", "integration_id": 456 }),
            400,
            "UNKNOWN_INTEGRATION",
        ),
        (
            ACCOUNT,
            json!({ "scope": "data-export" }),
            400,
            "PROJECT_REQUIRED",
        ),
        (
            ACCOUNT,
            json!({ "scope": "data-export", "project_id": 44 }),
            403,
            "PROJECT_NOT_PERMITTED",
        ),
        (
            PROJECT,
            json!({ "scope": "data-export", "project_id": 43 }),
            403,
            "PROJECT_NOT_PERMITTED",
        ),
        (
            ACCOUNT,
            json!({ "scope": "data-export", "project_id": "42" }),
            400,
            "INVALID_PARAMETER",
        ),
        (
            PROJECT,
            json!({ "scope": "enrichment", "integration_id": "123" }),
            400,
            "INVALID_PARAMETER",
        ),
        (
            ACCOUNT,
            json!({ "scope": ["data-export"], "project_id": 42 }),
            400,
            "INVALID_PARAMETER",
        ),
        (
            ACCOUNT,
            json!({ "client_secret": null }),
            400,
            "INVALID_PARAMETER",
        ),
        (
            ACCOUNT,
            json!({ "grant_type": "password" }),
            400,
            "UNSUPPORTED_GRANT_TYPE",
        ),
    ] {
        let shown = more.to_string();
        assert_eq!(
            refusal(bench.ask(of, more)).await,
            (status, code.into()),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let bench = Bench::start().await;
    let post = || bench.http.post(bench.url("/v1/oauth/token"));
    let form = post().form(&[("client_id", ACCOUNT.client_id)]);
    assert_eq!(refusal(form).await, (415, "UNSUPPORTED_MEDIA_TYPE".into()));
    // The documents' examples have trailing commas; their server does not take them.
    let comma = post()
        .header(header::CONTENT_TYPE, "application/json")
        .body(r#"{"scope": "a",}"#);
    assert_eq!(refusal(comma).await, (400, "INVALID_JSON".into()));
    let large = post()
        .header(header::CONTENT_TYPE, "application/json")
        .body(vec![b' '; 1 << 17]);
    assert_eq!(refusal(large).await, (413, "PAYLOAD_TOO_LARGE".into()));
    assert_eq!(bench.sandbox.stats().counts.token_requests.refused, 3);
}

#[tokio::test]
async fn me_tells_scopes_and_projects() {
    let bench = Bench::start().await;
    let me = |of: Credentials| {
        let body = json!({ "client_id": of.client_id, "client_secret": of.client_secret });
        bench.http.post(bench.url("/v1/oauth/me")).json(&body)
    };
    let account = json_of(me(ACCOUNT), StatusCode::OK).await;
    let expected = json!({
        "scopes": "speed-analysis metrics data-export session-replay symbolicator enrichment",
        "permissions": { "projects": [
            { "id": 42, "name": "UX ANALYTICS" },
            { "id": 43, "name": "UX ANALYTICS US" },
        ] },
    });
    assert_eq!(account, expected);
    let project = json_of(me(PROJECT), StatusCode::OK).await;
    assert_eq!(
        project["permissions"]["projects"],
        json!([{ "id": 42, "name": "UX ANALYTICS" }])
    );
    let wrong = Credentials {
        client_secret: "wrong",
        ..ACCOUNT
    };
    assert_eq!(
        refusal(me(wrong)).await,
        (401, "INVALID_CREDENTIALS".into())
    );
    assert_eq!(bench.sandbox.stats().counts.inspections, 3);
}

#[tokio::test]
async fn every_api_answers_a_token_with_its_scope() {
    let bench = Bench::start().await;
    let token = bench
        .token(
            ACCOUNT,
            json!({ "scope": "data-export speed-analysis", "project_id": 42 }),
        )
        .await;
    let exports = json_of(bench.call("/v1/exports", &token), StatusCode::OK).await;
    assert_eq!(exports["payload"][0]["projectId"], 42);
    let speed = json_of(bench.call(SPEED, &token), StatusCode::OK).await;
    assert!(speed["payload"]["monitorings"].is_array());
    let push = bench
        .token(
            PROJECT,
            json!({ "scope": "enrichment", "integration_id": 123 }),
        )
        .await;
    let answer = json_of(enrich(&bench, 123, &push, 5 << 20), StatusCode::OK).await;
    assert_eq!(
        answer["payload"],
        json!({ "integrationId": 123, "receivedBytes": 5 << 20 })
    );
}

#[tokio::test]
async fn an_api_refuses_a_token_without_its_scope() {
    let bench = Bench::start().await;
    let metrics = bench
        .token(ACCOUNT, json!({ "scope": "metrics", "project_id": 42 }))
        .await;
    for path in ["/v1/exports", SPEED, "/v1/download?bytes=1"] {
        let refused = refusal(bench.call(path, &metrics)).await;
        assert_eq!(refused, (403, "INSUFFICIENT_SCOPE".into()), "{path}");
    }
    let refused = refusal(enrich(&bench, 123, &metrics, 1)).await;
    assert_eq!(refused, (403, "INSUFFICIENT_SCOPE".into()));
    let push = bench
        .token(
            PROJECT,
            json!({ "scope": "enrichment", "integration_id": 123 }),
        )
        .await;
    let refused = refusal(enrich(&bench, 456, &push, 1)).await;
    assert_eq!(refused, (403, "INTEGRATION_NOT_PERMITTED".into()));
}

#[tokio::test]
async fn a_token_is_good_on_its_projects_cloud_only() {
    let bench = Bench::start().await;
    for (project, cloud, other) in [(42, 0, 1), (43, 1, 0)] {
        let request = bench.ask(
            ACCOUNT,
            json!({ "scope": "data-export", "project_id": project }),
        );
        let answer = json_of(request, StatusCode::OK).await;
        let clouds = bench.sandbox.clouds();
        assert_eq!(answer["endpoint"], clouds[cloud]);
        let token = answer["access_token"].as_str().unwrap();
        let at = |base| bench.get(base, "/v1/exports", token);
        assert_eq!(status_of(at(clouds[cloud])).await, 200);
        let refused = refusal(at(clouds[other])).await;
        assert_eq!(refused, (403, "PROJECT_NOT_ON_THIS_CLOUD".into()));
        assert_eq!(
            refusal(at(bench.sandbox.url())).await,
            (404, "NOT_FOUND".into())
        );
    }
}

#[tokio::test]
async fn an_expired_token_is_rejected_word_for_word_as_documented() {
    let bench = Bench::start().await;
    let token = bench
        .token(ACCOUNT, json!({ "scope": "data-export", "project_id": 42 }))
        .await;
    bench.clock.advance(LIFETIME - Duration::from_millis(1));
    assert_eq!(status_of(bench.call("/v1/exports", &token)).await, 200);
    bench.clock.advance(Duration::from_millis(1));
    let answer = json_of(bench.call("/v1/exports", &token), StatusCode::UNAUTHORIZED).await;
    let expected = json!({
        "success": false,
        "errorMessage": "Auth token is expired.",
        "errorCode": "JWT_EXPIRED",
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn tokens_expire_ten_times_on_a_manual_clock() {
    let bench = Bench::start().await;
    for _ in 0..10 {
        let token = bench
            .token(ACCOUNT, json!({ "scope": "data-export", "project_id": 42 }))
            .await;
        assert_eq!(status_of(bench.call("/v1/exports", &token)).await, 200);
        bench.clock.advance(LIFETIME);
        assert_eq!(status_of(bench.call("/v1/exports", &token)).await, 401);
    }
    let stats = bench.sandbox.stats();
    assert_eq!(stats.elapsed_ms, 36_000_000);
    assert_eq!(stats.counts.token_requests.issued, 10);
    assert_eq!(
        (
            stats.counts.api_calls.accepted,
            stats.counts.api_calls.rejected
        ),
        (10, 10)
    );
}

#[tokio::test]
async fn what_is_no_live_token_of_ours_is_rejected() {
    let bench = Bench::start().await;
    let asked = json!({ "scope": "data-export", "project_id": 42 });
    let foreign = Bench::start().await.token(ACCOUNT, asked.clone()).await;
    let revoked = bench.token(ACCOUNT, asked.clone()).await;
    assert_eq!(
        bench
            .sandbox
            .revoke_tokens(&KeyFilter::all().project_id(42)),
        1
    );
    let live = bench.token(ACCOUNT, asked).await;
    let (signed, _) = live.rsplit_once('.').unwrap();
    for (token, code) in [
        ("nonsense", "JWT_INVALID"),
        (&format!("{signed}.AAAA"), "JWT_INVALID"),
        (&foreign, "JWT_INVALID"),
        (&bench.shop_token().await, "JWT_INVALID"),
        (&revoked, "JWT_REVOKED"),
    ] {
        assert_eq!(
            refusal(bench.call("/v1/exports", token)).await,
            (401, code.into()),
            "{token}"
        );
    }
    let url = format!("{}/v1/exports", bench.sandbox.clouds()[0]);
    assert_eq!(
        refusal(bench.http.get(&url)).await,
        (401, "UNAUTHORIZED".into())
    );
    // The scheme as the token answer spells it, and not as the API wants it.
    let lower = bench
        .http
        .get(&url)
        .header(header::AUTHORIZATION, format!("bearer {live}"));
    assert_eq!(refusal(lower).await, (401, "UNAUTHORIZED".into()));
    assert_eq!(status_of(bench.call("/v1/exports", &live)).await, 200);
}

#[tokio::test]
async fn a_download_goes_on_after_its_token_expired() {
    const LENGTH: usize = 20_000_003;
    let bench = Bench::start().await;
    let token = bench
        .token(ACCOUNT, json!({ "scope": "data-export", "project_id": 42 }))
        .await;
    let path = format!("/v1/download?bytes={LENGTH}");
    let mut response = send(bench.call(&path, &token)).await;
    assert_eq!(response.content_length(), Some(LENGTH as u64));
    bench.clock.advance(LIFETIME);
    let mut at = 0;
    while let Some(chunk) = response.chunk().await.unwrap() {
        assert!(
            chunk
                .iter()
                .zip(at..)
                .all(|(byte, at)| usize::from(*byte) == at % 251)
        );
        at += chunk.len();
    }
    assert_eq!(at, LENGTH);
    assert_eq!(status_of(bench.call(&path, &token)).await, 401);
    let token = bench
        .token(ACCOUNT, json!({ "scope": "data-export", "project_id": 42 }))
        .await;
    for bytes in ["many", "-1", "18446744073709551615"] {
        let refused = refusal(bench.call(&format!("/v1/download?bytes={bytes}"), &token)).await;
        assert_eq!(refused, (400, "INVALID_PARAMETER".into()), "{bytes}");
    }
}

#[tokio::test]
async fn a_new_secret_counts_at_once_and_tokens_stay() {
    let bench = Bench::start().await;
    let asked = json!({ "scope": "data-export", "project_id": 42 });
    let token = bench.token(ACCOUNT, asked.clone()).await;
    assert!(bench.sandbox.change_secret(ACCOUNT.client_id, "new"));
    assert!(!bench.sandbox.change_secret("nobody", "new"));
    assert_eq!(status_of(bench.ask(ACCOUNT, asked.clone())).await, 401);
    bench
        .token(
            Credentials {
                client_secret: "new",
                ..ACCOUNT
            },
            asked,
        )
        .await;
    assert_eq!(status_of(bench.call("/v1/exports", &token)).await, 200);
}

/// An enrichment push of so many bytes.
fn enrich(bench: &Bench, integration: u32, token: &str, bytes: usize) -> reqwest::RequestBuilder {
    let path = format!("/v1/enrichment/integrations/{integration}/data");
    let url = format!("{}{path}", bench.sandbox.clouds()[0]);
    bench
        .http
        .post(url)
        .bearer_auth(token)
        .body(vec![b'x'; bytes])
}

#[tokio::test]
async fn an_account_may_have_more_projects_half_of_them_on_each_cloud() {
    let bench = Bench::of(Sandbox::builder().projects(12)).await;
    let credentials =
        json!({ "client_id": ACCOUNT.client_id, "client_secret": ACCOUNT.client_secret });
    let ask = bench
        .http
        .post(bench.url("/v1/oauth/me"))
        .json(&credentials);
    let me = json_of(ask, StatusCode::OK).await;
    let projects = me["permissions"]["projects"].as_array().unwrap();
    assert_eq!(projects.len(), 12);
    let clouds = bench.sandbox.clouds();
    for (project, cloud) in projects.iter().zip(clouds.iter().cycle()) {
        let id = &project["id"];
        let more = json!({ "scope": "data-export", "project_id": id });
        let answer = json_of(bench.ask(ACCOUNT, more), StatusCode::OK).await;
        assert_eq!(
            (&answer["project_id"], answer["endpoint"].as_str()),
            (id, Some(*cloud))
        );
        let token = answer["access_token"].as_str().unwrap();
        let exports = json_of(bench.get(cloud, "/v1/exports", token), StatusCode::OK).await;
        assert_eq!(exports["payload"][0]["projectId"], *id);
    }
}
