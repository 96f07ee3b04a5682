//! The limit of a vendor's token endpoint is the budget of that endpoint.

use std::{sync::Arc, time::Duration};

use biped_core::TokenRequest;
use biped_engine::{Settings, TokenManager, TokenSource};
use biped_reqwest::TokenClient;
use biped_testing::{ManualClock, settle};
use serde_json::json;

use crate::server::Server;

const LIMITED: &str = "url = \"{origin}/token\"\n[about]\ntitle = \"V\"\ndocs = \"https://d.example\"\n\
    limits = { requests = 2, per = \"5s\" }\nparams = { origin = \"where it is\" }";

async fn source(settings: Settings) -> (Server, Arc<ManualClock>, TokenSource) {
    let server = Server::answering(200, json!({ "access_token": "t", "expires_in": 3600 })).await;
    let clock = Arc::new(ManualClock::new());
    let http = Arc::new(TokenClient::new().unwrap());
    let manager = TokenManager::builder(http)
        .clock(clock.clone())
        .settings(settings)
        .build();
    let vendor = Arc::new(server.vendor(LIMITED).build().unwrap());
    let source = manager.source(vendor, TokenRequest::new());
    (server, clock, source)
}

#[tokio::test]
async fn the_request_beyond_the_limit_waits_for_the_end_of_the_period() {
    let (server, clock, source) = source(Settings::default()).await;
    for _ in 0..2 {
        source.fetch().await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(server.requests().await.len(), 2);
    let third = tokio::spawn(async move { source.fetch().await.map(drop) });
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    settle().await;
    assert!(!third.is_finished());
    assert_eq!(server.requests().await.len(), 2);
    clock.advance(Duration::from_secs(3));
    third.await.unwrap().unwrap();
    assert_eq!(server.requests().await.len(), 3);
}

#[tokio::test]
async fn the_settings_say_otherwise() {
    let settings = Settings::default().fetches_per_minute(Some(60));
    let (server, clock, source) = source(settings).await;
    for _ in 0..4 {
        source.fetch().await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(server.requests().await.len(), 4);
}
