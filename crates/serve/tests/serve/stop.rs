//! The end of a sidecar.

use std::sync::Arc;

use biped::{Biped, store::MemoryStore};
use biped_serve::{Server, section};
use biped_testing::TimeLimit;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    stage::{Caller, Stage, address, biped, provider_of, until},
    vendor::{Act, Vendor},
};

#[tokio::test]
async fn while_lingering_calls_are_taken_and_readiness_is_gone() {
    let Stage {
        vendor,
        running,
        address,
        _limit,
    } = Stage::with("linger = '10s'", "").await;
    running.warmed().await;
    let connect = async || Caller::new(tokio::net::TcpStream::connect(address).await.unwrap());
    let mut kept = connect().await;
    assert_eq!(kept.ask("GET /shop/x", "").await.status, 200);
    let stopping = tokio::spawn(running.stop(true));
    until("readiness is gone", async || {
        let mut caller = connect().await;
        caller.ask("GET /-/ready", "").await.status == 503
    })
    .await;
    assert_eq!(kept.ask("GET /shop/x", "").await.status, 200);
    assert_eq!(connect().await.ask("GET /shop/x", "").await.status, 200);
    // Without callers lingering ends early.
    drop(kept);
    stopping.await.unwrap();
    drop(vendor);
}

#[tokio::test]
async fn a_call_under_way_ends_and_the_connection_with_it() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = api.local_addr().unwrap().to_string();
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\n{}",
        provider_of(vendor.address, &own)
    );
    let running = Server::new(biped(&toml)).start().await.unwrap();
    let address = address(&running.addresses()[0]);
    let connect = async || Caller::new(TcpStream::connect(address).await.unwrap());
    let mut idle = connect().await;
    assert_eq!(idle.ask("GET /-/health", "").await.status, 200);
    let mut caller = connect().await;
    caller
        .write("GET /shop/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let (mut called, _) = api.accept().await.unwrap();
    let mut head = [0; 1024];
    assert!(called.read(&mut head).await.unwrap() > 0);
    let stopping = tokio::spawn(running.stop(false));
    // The stop ends an idle connection before the API answers.
    assert!(idle.next().await.is_none());
    assert!(!stopping.is_finished());
    until("others are refused meanwhile", async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    let answer = crate::vendor::reply("200 OK", "", "done");
    called.write_all(&answer).await.unwrap();
    let answer = caller.answer().await;
    assert_eq!((answer.status, &*answer.text()), (200, "done"));
    assert!(caller.next().await.is_none());
    stopping.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_call_that_does_not_end_is_ended_in_time() {
    let Stage {
        vendor,
        running,
        address,
        _limit,
    } = Stage::with("stop_timeout = '300ms'", "").await;
    vendor.api(|_| Act::Stall(Vec::new()));
    let mut caller = Caller::new(tokio::net::TcpStream::connect(address).await.unwrap());
    caller
        .write("GET /shop/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    until("the API has the call", async || !vendor.got().is_empty()).await;
    running.stop(false).await;
    assert!(caller.next().await.is_none());
}

#[tokio::test]
async fn what_a_store_is_to_be_told_is_not_waited_for_beyond_the_stop_time() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    vendor.tokens(|_| Act::Stall(Vec::new()));
    let shop = provider_of(vendor.address, &vendor.address.to_string());
    let other = shop.replace("shop", "other").replace("'me'", "'other'");
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\nstop_timeout = '300ms'\n[engine]\n\
         concurrent_fetches = 1\n{shop}{other}"
    );
    let builder = Biped::builder().section(section()).without_environment();
    let store = Arc::new(MemoryStore::new());
    let biped = builder.toml(toml).store(store).build().unwrap();
    let running = Server::new(biped.clone()).start().await.unwrap();
    // One is sent, and the other stands in the queue.
    until("both are under way", async || {
        let all = biped.manager().statuses();
        vendor.fetches() == 1 && all.iter().filter(|status| status.fetching).count() == 2
    })
    .await;
    running.stop(false).await;
    assert_eq!((vendor.fetches(), vendor.closed()), (1, 0));
}

#[tokio::test]
async fn without_a_store_a_fetch_that_hangs_is_not_waited_for() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    vendor.tokens(|_| Act::Stall(Vec::new()));
    let shop = provider_of(vendor.address, &vendor.address.to_string());
    let toml = format!("[serve]\nlisten = ['127.0.0.1:0']\nstop_timeout = '1h'\n{shop}");
    let biped = biped(&toml);
    let running = Server::new(biped.clone()).start().await.unwrap();
    until("the vendor has the request", async || vendor.fetches() == 1).await;
    running.stop(false).await;
    let statuses = biped.manager().statuses();
    assert!(statuses.iter().any(|status| status.fetching));
}

#[tokio::test]
async fn a_caller_may_ask_for_the_end_where_that_is_allowed() {
    let off = Stage::new().await;
    assert_eq!(off.ask("POST /-/quit", "").await.status, 404);
    let on = Stage::with("quit = true", "").await;
    assert_eq!(on.get("/-/quit").await.problem().1, "method");
    assert_eq!(on.ask("POST /-/quit", "").await.status, 200);
    on.running.quit_requested().await;
}
