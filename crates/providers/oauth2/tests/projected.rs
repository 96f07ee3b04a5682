//! A projected file that its platform replaces every two seconds, under many callers.
//! `tests/live/run projected` starts the platform and the server, which are one process, and says by
//! `BIPED_LIVE_PROJECTED` where it is, by `…_FILE` which file it replaces, and by `…_REPLACEMENTS` how
//! often the file is replaced before the callers stop.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use biped_config::{ConfigValue, Origin, ProviderConfig, Value};
use biped_core::{Clock, HttpClient, SystemClock, TokenRequest};
use biped_engine::{TokenManager, TokenSource};
use biped_oauth2::kind;
use biped_reqwest::{ApiClients, TokenClient};
use bytes::Bytes;

const CALLERS: usize = 64;

/// How long a caller rests between two calls.
const REST: Duration = Duration::from_millis(100);

fn variable(name: &str) -> String {
    let name = format!("BIPED_LIVE_PROJECTED{name}");
    std::env::var(&name).expect("tests/live/run projected sets it")
}

/// A source of tokens at the server, for this assertion.
fn source(assertion: &str) -> TokenSource {
    let issuer = variable("");
    let text = |text: &str| ConfigValue {
        raw: Value::Text(text.into()),
        origin: Origin::Builder,
    };
    let keys = [("issuer", issuer.as_str()), ("client_assertion", assertion)];
    let keys = keys.map(|(key, value)| (key.to_owned(), text(value)));
    let keys = BTreeMap::from(keys);
    let config = ProviderConfig::new("projected", "oauth2", Origin::Builder, keys);
    let provider = kind().build(&config).unwrap();
    let http = Arc::new(TokenClient::new().unwrap());
    let api = format!("{issuer}/api").parse().unwrap();
    TokenManager::builder(http)
        .build()
        .source(provider, TokenRequest::new())
        .with_api_base_url(Some(api))
}

/// What the server has counted.
async fn counts() -> BTreeMap<String, u64> {
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = format!("{}/counts", variable("")).parse().unwrap();
    let answer = TokenClient::new().unwrap().send(request).await.unwrap();
    serde_json::from_slice(answer.body()).unwrap()
}

/// Calls until the file has been replaced often enough. Returns the number of calls, and what failed.
async fn call_while_the_file_is_replaced(source: &TokenSource) -> (usize, usize, BTreeSet<String>) {
    let replacements: u64 = variable("_REPLACEMENTS").parse().unwrap();
    let end = counts().await["replacements"] + replacements;
    let over = Arc::new(AtomicBool::new(false));
    let clients = ApiClients::new().unwrap();
    let callers = (0..CALLERS).map(|_| {
        let (over, client) = (over.clone(), clients.client(source.clone()));
        tokio::spawn(async move {
            let mut calls = 0;
            let mut failed = Vec::new();
            while !over.load(Ordering::Relaxed) {
                calls += 1;
                match client.get("/hello").send().await {
                    Ok(answer) if answer.status() == 200 => {}
                    Ok(answer) => failed.push(answer.status().to_string()),
                    Err(error) => failed.push(error.to_string()),
                }
                SystemClock.sleep(REST).await;
            }
            (calls, failed)
        })
    });
    let callers: Vec<_> = callers.collect();
    while counts().await["replacements"] < end {
        SystemClock.sleep(REST).await;
    }
    over.store(true, Ordering::Relaxed);
    let (mut calls, mut failures, mut words) = (0, 0, BTreeSet::new());
    for caller in callers {
        let (made, failed) = caller.await.unwrap();
        calls += made;
        failures += failed.len();
        words.extend(failed);
    }
    (calls, failures, words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a platform: tests/live/run projected"]
async fn each_replaced_assertion_is_used() {
    let file = variable("_FILE");
    // A client that reads once, as the suite shows that this test can fail.
    let reads_once = std::env::var("BIPED_LIVE_PROJECTED_READ").is_ok_and(|how| how == "once");
    let assertion = match reads_once {
        true => std::fs::read_to_string(&file).unwrap(),
        false => format!("file:{file}"),
    };
    let (calls, failed, words) = call_while_the_file_is_replaced(&source(&assertion)).await;
    let counts = counts().await;
    println!("{calls} calls, {failed} failed; the server: {counts:?}");
    assert_eq!(failed, 0, "{words:?}");
    assert_eq!(counts["stale"], 0);
    assert_eq!(counts["refused"], 0);
    assert!(counts["accepted"] >= 5, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a platform: tests/live/run projected"]
async fn a_server_that_takes_each_assertion_once_quarantines_nothing() {
    let source = source(&format!("file:{}", variable("_FILE")));
    let (calls, failed, words) = call_while_the_file_is_replaced(&source).await;
    let counts = counts().await;
    println!("{calls} calls, {failed} failed; the server: {counts:?}");
    let unlike = words.iter().find(|words| !words.contains("once"));
    assert_eq!(unlike, None);
    // Assertions were presented twice, none a third time, and new ones were accepted soon.
    assert!(
        (1..=counts["replacements"] + 1).contains(&counts["repeated"]),
        "{counts:?}"
    );
    assert!(
        counts["accepted"] * 2 >= variable("_REPLACEMENTS").parse().unwrap(),
        "{counts:?}"
    );
}
