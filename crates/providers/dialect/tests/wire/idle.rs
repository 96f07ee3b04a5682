//! Tokens that end of disuse.

use std::{sync::Arc, time::Duration};

use biped_core::{TokenRequest, TokenStore};
use biped_engine::{TokenManager, TokenSource};
use biped_memory::MemoryStore;
use biped_reqwest::TokenClient;
use biped_testing::ManualClock;
use serde_json::json;

use crate::server::Server;

const SESSION: &str =
    "url = \"{origin}/login\"\nresponse = { token = \"/sid\", lifetime = false, idle = \"20m\" }";
const MINUTE: Duration = Duration::from_secs(60);

fn source(
    server: &Server,
    clock: &Arc<ManualClock>,
    store: Option<Arc<dyn TokenStore>>,
) -> TokenSource {
    let http = Arc::new(TokenClient::new().unwrap());
    let mut manager = TokenManager::builder(http).clock(clock.clone());
    if let Some(store) = store {
        manager = manager.store(store);
    }
    let vendor = Arc::new(server.vendor(SESSION).build().unwrap());
    manager.build().source(vendor, TokenRequest::new())
}

async fn server() -> Server {
    Server::answering(200, json!({ "sid": "s-1" })).await
}

#[tokio::test]
async fn an_unused_token_is_not_served_and_use_keeps_it() {
    let server = server().await;
    let clock = Arc::new(ManualClock::new());
    let source = source(&server, &clock, None);
    source.token().await.unwrap();
    // An hour of use, every 15 minutes.
    for _ in 0..4 {
        clock.advance(15 * MINUTE);
        assert!(source.fresh().is_some());
    }
    assert_eq!(server.requests().await.len(), 1);
    clock.advance(20 * MINUTE);
    assert!(source.fresh().is_none());
    source.token().await.unwrap();
    assert_eq!(server.requests().await.len(), 2);
    // The new one counts from its own issue.
    clock.advance(19 * MINUTE);
    assert!(source.fresh().is_some());
}

#[tokio::test]
async fn a_stored_token_is_not_served_past_it() {
    let server = server().await;
    let clock = Arc::new(ManualClock::new());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let begun = source(&server, &clock, Some(store.clone()));
    begun.token().await.unwrap();
    clock.advance(10 * MINUTE);
    let soon = source(&server, &clock, Some(store.clone()));
    soon.token().await.unwrap();
    assert_eq!(server.requests().await.len(), 1);
    clock.advance(11 * MINUTE);
    let late = source(&server, &clock, Some(store));
    late.token().await.unwrap();
    assert_eq!(server.requests().await.len(), 2);
}
