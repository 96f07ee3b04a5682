//! One process of a fleet: asks for a token again and again, until its stdin ends.
//!
//! It prints a line for each thing that others want to know: `F` and `D` around a token request,
//! `E why` for a call that failed, `S milliseconds` for a slow one, `R calls` now and then.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use biped::{
    Error, Settings, TokenManager, TokenRequest,
    client::HttpClient,
    envelope::Envelope,
    provider::{Clock, SecretRef, SystemClock},
    redis::{RedisStore, Sentinel},
    reqwest::TokenClient,
    sealed::{SealKey, SealedStore},
};
use biped_sandbox::SHOP;
use bytes::Bytes;
use tokio::io::AsyncReadExt;

/// Between two calls.
const PAUSE: Duration = Duration::from_millis(20);
/// What is worth a line.
const SLOW: Duration = Duration::from_millis(20);

/// Tells of its requests.
#[derive(Debug)]
struct Telling(TokenClient);

#[async_trait]
impl HttpClient for Telling {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        println!("F");
        let answer = self.0.send(request).await;
        println!("D");
        answer
    }
}

/// The store at a URL, or of what follows `cluster` or `sentinel`.
fn open(store: &str) -> RedisStore {
    let mut words = store.split(' ');
    let kind = words.next().unwrap();
    let urls: Vec<_> = words.map(|url| url.to_owned().into()).collect();
    match kind {
        "cluster" => RedisStore::cluster(&urls, None).unwrap(),
        "sentinel" => RedisStore::sentinel(&urls, None, Sentinel::new("mymaster")).unwrap(),
        url => RedisStore::new(&url.to_owned().into()).unwrap(),
    }
}

/// Runs with `TOKEN_ENDPOINT STORE_URL REFRESH_AT`; `-` is no store.
pub(crate) fn run(arguments: &[String]) {
    let [token_endpoint, store, refresh_at] = arguments else {
        panic!("worker TOKEN_ENDPOINT STORE_URL REFRESH_AT");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let settings = Settings::default().refresh_at(refresh_at.parse().unwrap());
        let http = Arc::new(Telling(TokenClient::new().unwrap()));
        let mut manager = TokenManager::builder(http).settings(settings);
        if store != "-" {
            // Sealed: only then are tokens of inline secrets shared.
            let redis = Arc::new(open(store));
            let sealed = SealedStore::new(redis, SealKey::from_bytes([7; 32]));
            manager = manager.store(Arc::new(sealed));
        }
        let secret = SecretRef::inline(SHOP.client_secret);
        let client = SecretRef::inline(SHOP.client_id);
        let provider = Envelope::at(token_endpoint.parse().unwrap(), client, secret);
        let source = manager
            .build()
            .source(Arc::new(provider), TokenRequest::new());

        let mut stdin = tokio::io::stdin();
        let mut byte = [0];
        let mut calls = 0_u64;
        loop {
            let started = SystemClock.now().mono;
            if let Err(error) = source.token().await {
                println!("E {error}");
            }
            calls += 1;
            if calls == 25 {
                println!("R {calls}");
                calls = 0;
            }
            let took = SystemClock.now().mono - started;
            if took > SLOW {
                println!("S {}", took.as_millis());
            }
            tokio::select! {
                _ = stdin.read(&mut byte) => break,
                () = SystemClock.sleep(PAUSE) => {}
            }
        }
        println!("R {calls}");
    });
    // The runtime has a thread that reads stdin; nobody waits for it.
    std::process::exit(0);
}
