//! Bodies that are streams, both ways.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use biped::reqwest::reqwest::Body;
use biped_sandbox::KeyFilter;
use bytes::Bytes;
use futures_util::stream;

use crate::{LIFETIME, Stage};

#[tokio::test]
async fn a_download_goes_on_across_an_expiry() {
    const BYTES: usize = 8 * 1024 * 1024;
    let stage = Stage::new().await;
    let client = stage.biped.client("exports").unwrap();
    let path = format!("/v1/download?bytes={BYTES}");
    let mut response = client.get(&path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let (mut seen, mut expired) = (0, false);
    while let Some(chunk) = response.chunk().await.unwrap() {
        for (at, byte) in chunk.iter().enumerate() {
            assert_eq!(usize::from(*byte), (seen + at) % 251);
        }
        seen += chunk.len();
        if !expired && seen > BYTES / 4 {
            expired = true;
            stage.clock.advance(LIFETIME * 2);
        }
    }
    assert_eq!(seen, BYTES);
    assert_eq!(stage.token_requests(), 1);
    assert_eq!(stage.exports().await.unwrap(), 200);
    assert_eq!(stage.token_requests(), 2);
    assert_eq!(stage.counts().api_calls.rejected, 0);
}

/// A body that comes piece by piece, and counts how many were taken.
fn pieces(taken: &Arc<AtomicUsize>) -> Body {
    let taken = taken.clone();
    Body::wrap_stream(stream::iter((0..4).map(move |_| {
        taken.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1000]))
    })))
}

#[tokio::test]
async fn an_upload_that_is_a_stream_is_not_replayed_but_its_token_is_replaced() {
    let stage = Stage::new().await;
    let client = stage.biped.client("enrichment").unwrap();
    let path = "/v1/enrichment/integrations/123/data";
    let taken = Arc::new(AtomicUsize::new(0));
    let push = || client.post(path).body(pieces(&taken)).send();
    let response = push().await.unwrap();
    assert_eq!(response.status(), 200);
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["payload"]["receivedBytes"], 4000);
    assert_eq!(taken.load(Ordering::Relaxed), 4);

    stage.clock.advance(LIFETIME / 10);
    stage.sandbox.revoke_tokens(&KeyFilter::all());
    let response = push().await.unwrap();
    assert_eq!(response.status(), 401);
    let body = response.text().await.unwrap();
    assert!(body.contains("JWT_REVOKED"), "the API's own answer: {body}");
    assert_eq!(taken.load(Ordering::Relaxed), 8);
    assert_eq!(stage.counts().api_calls.total, 2, "not sent again");

    assert_eq!(push().await.unwrap().status(), 200);
    assert_eq!(stage.token_requests(), 2);
    assert_eq!(stage.counts().api_calls.rejected, 1);
}

#[tokio::test]
async fn a_body_in_memory_is_replayed_whole() {
    let stage = Stage::new().await;
    let client = stage.biped.client("enrichment").unwrap();
    let path = "/v1/enrichment/integrations/123/data";
    let push = || client.post(path).body(vec![b'x'; 200_000]).send();
    assert_eq!(push().await.unwrap().status(), 200);
    stage.clock.advance(LIFETIME / 10);
    stage.sandbox.revoke_tokens(&KeyFilter::all());
    let response = push().await.unwrap();
    assert_eq!(response.status(), 200);
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["payload"]["receivedBytes"], 200_000);
    assert_eq!(stage.counts().api_calls.total, 3);
}
