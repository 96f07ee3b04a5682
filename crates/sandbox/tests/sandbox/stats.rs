use biped_sandbox::{ACCOUNT, KeyFilter, PROJECT, SHOP, Stats, Vendor};
use reqwest::StatusCode;
use serde_json::json;

use crate::{Bench, json_of, status_of};

#[tokio::test]
async fn requests_are_counted_per_client_and_key() {
    let bench = Bench::start().await;
    let asked = |project| json!({ "scope": "data-export", "project_id": project });
    let first = bench.token(ACCOUNT, asked(42)).await;
    bench.token(ACCOUNT, asked(42)).await;
    bench.token(ACCOUNT, asked(43)).await;
    bench
        .token(ACCOUNT, json!({ "scope": "metrics", "project_id": 42 }))
        .await;
    assert_eq!(
        status_of(bench.ask(ACCOUNT, json!({ "scope": "metrics" }))).await,
        400
    );
    for _ in 0..3 {
        assert_eq!(status_of(bench.call("/v1/exports", &first)).await, 200);
    }
    assert_eq!(
        status_of(bench.call("/v1/speed-analysis/monitoring%20list", &first)).await,
        403
    );
    bench.shop_token().await;

    let stats = bench.sandbox.stats();
    let counts = stats.counts_of(&KeyFilter::all().scope("data-export").project_id(42));
    assert_eq!(
        (counts.token_requests.total, counts.token_requests.issued),
        (2, 2)
    );
    let calls = counts.api_calls;
    assert_eq!(
        (calls.total, calls.accepted, calls.refused, calls.rejected),
        (4, 3, 1, 0)
    );
    let account = stats.counts_of(&KeyFilter::all().client_id(ACCOUNT.client_id));
    assert_eq!(
        (account.token_requests.total, account.token_requests.refused),
        (5, 1)
    );
    let shop = stats.counts_of(&KeyFilter::all().vendor(Vendor::Envelope));
    assert_eq!(shop.token_requests.total, 1);
    let clients: Vec<_> = stats
        .clients
        .iter()
        .map(|client| (client.client_id.as_deref(), client.keys.len()))
        .collect();
    assert_eq!(
        clients,
        [(Some(ACCOUNT.client_id), 4), (Some(SHOP.client_id), 1)]
    );
    assert_eq!(stats.clients[0].counts.token_requests.total, 5);
    assert_eq!(stats.counts.token_requests.total, 6);
}

#[tokio::test]
async fn calls_count_for_the_key_as_it_was_asked_for() {
    let bench = Bench::start().await;
    // Project-level credentials name no project, though the token has one.
    let token = bench
        .token(PROJECT, json!({ "scope": "data-export" }))
        .await;
    assert_eq!(status_of(bench.call("/v1/exports", &token)).await, 200);
    let stats = bench.sandbox.stats();
    let [client] = &stats.clients[..] else {
        panic!("one client: {stats:?}")
    };
    let [key] = &client.keys[..] else {
        panic!("one key: {stats:?}")
    };
    assert_eq!(
        (key.scope.as_deref(), key.project_id),
        (Some("data-export"), None)
    );
    assert_eq!(
        (key.counts.token_requests.total, key.counts.api_calls.total),
        (1, 1)
    );
}

#[tokio::test]
async fn requests_of_nobody_known_are_counted_too() {
    let bench = Bench::start().await;
    let url = format!("{}/v1/exports", bench.sandbox.clouds()[0]);
    assert_eq!(status_of(bench.http.get(url)).await, 401);
    assert_eq!(
        status_of(bench.http.post(bench.url("/v1/oauth/token")).body("?")).await,
        415
    );
    let stats = bench.sandbox.stats();
    assert_eq!(stats.clients.len(), 1);
    assert_eq!(stats.clients[0].client_id, None);
    assert_eq!(stats.counts.api_calls.rejected, 1);
    assert_eq!(stats.counts.token_requests.refused, 1);
}

#[tokio::test]
async fn http_tells_what_the_library_tells() {
    let bench = Bench::start().await;
    let token = bench.shop_token().await;
    assert_eq!(status_of(bench.orders(&token)).await, 200);
    bench.sandbox.revoke_tokens(&KeyFilter::all());
    let url = bench.url("/_sandbox/stats");
    let told = json_of(bench.http.get(&url), StatusCode::OK).await;
    assert_eq!(told["lifetime_seconds"], 3600);
    assert_eq!(told["revocations"], 1);
    assert_eq!(told["clients"][0]["keys"][0]["api_calls"]["accepted"], 1);
    assert_eq!(
        serde_json::from_value::<Stats>(told).unwrap(),
        bench.sandbox.stats()
    );
    assert_eq!(status_of(bench.http.delete(&url)).await, 204);
    assert!(bench.sandbox.stats().clients.is_empty());
}
