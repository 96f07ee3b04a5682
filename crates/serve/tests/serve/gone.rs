//! Callers that go away before their call has ended. There is room for a single call: one that leaks is
//! missed by the next.

use std::sync::Arc;

use biped_serve::{Running, Server};
use biped_testing::TimeLimit;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::{
    frames::{self, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, frame},
    observe::Watched,
    stage::{Caller, address, biped, provider_of, until},
    vendor::{Act, Vendor, find, ok, reply},
};

const CANCEL: [u8; 4] = 8_u32.to_be_bytes();
const DATA: u8 = 0;

async fn narrow() -> Watched {
    let watched = Watched::new("access_log = 'all'\nmax_in_flight = 1", "").await;
    watched.running.warmed().await;
    watched
}

async fn connect(running: &Running) -> TcpStream {
    let at = address(&running.addresses()[0]);
    TcpStream::connect(at).await.unwrap()
}

/// Waits until so many of the API's connections have ended.
async fn ended(vendor: &Vendor, count: usize) {
    until("the API's connections end", async || {
        vendor.closed() >= count
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_goes_while_it_waits_ends_its_call() {
    let watched = narrow().await;
    watched.vendor.api(|got| match got.path() {
        "/base/wait" => Act::Stall(Vec::new()),
        _ => ok("x"),
    });
    let mut caller = Caller::new(connect(&watched.running).await);
    caller
        .write("GET /shop/wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    until("the API has the call", async || {
        !watched.vendor.got().is_empty()
    })
    .await;
    let before = watched.vendor.closed();
    drop(caller);
    ended(&watched.vendor, before + 1).await;
    assert_eq!(watched.ask("GET /shop/x", "").await.status, 200);
    let lines = watched.lines(2).await;
    assert_eq!(lines[0]["path"], "/shop/wait");
    assert_eq!(lines[0]["status"], 499);
    assert_eq!(watched.vendor.fetches(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_while_it_reads_ends_its_call() {
    let watched = narrow().await;
    watched.vendor.api(|got| match got.path() {
        "/base/half" => Act::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()),
        _ => ok("x"),
    });
    let mut caller = Caller::new(connect(&watched.running).await);
    caller
        .write("GET /shop/half HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(caller.head().await.is_some());
    let before = watched.vendor.closed();
    drop(caller);
    ended(&watched.vendor, before + 1).await;
    assert_eq!(watched.ask("GET /shop/x", "").await.status, 200);
    let lines = watched.lines(2).await;
    assert_eq!(told(&lines, "/shop/half"), (499, "info", ""));
    assert_eq!(told(&lines, "/shop/x"), (200, "info", ""));
}

/// The status, the level and the error of the call with this path.
fn told<'l>(lines: &'l [Value], path: &str) -> (u64, &'l str, &'l str) {
    let line = lines.iter().find(|line| line["path"] == path).unwrap();
    let text = |key: &str| line[key].as_str().unwrap_or_default();
    (
        line["status"].as_u64().unwrap(),
        text("level"),
        text("error"),
    )
}

#[tokio::test]
async fn a_stream_that_is_cancelled_ends_its_call_and_no_other_of_its_connection() {
    let watched = narrow().await;
    watched.vendor.api(|got| match got.path() {
        "/base/x" => Act::Stall(Vec::new()),
        _ => ok("x"),
    });
    let mut stream = connect(&watched.running).await;
    stream.write_all(&frames::start()).await.unwrap();
    for number in [1_u32, 3] {
        let request = frame(HEADERS, END_STREAM | END_HEADERS, number, &frames::get());
        stream.write_all(&request).await.unwrap();
        let calls = usize::try_from(number).unwrap().div_ceil(2);
        until("the API has the call", async || {
            watched.vendor.got().len() >= calls
        })
        .await;
        let before = watched.vendor.closed();
        let cancelled = frame(RST_STREAM, 0, number, &CANCEL);
        stream.write_all(&cancelled).await.unwrap();
        ended(&watched.vendor, before + 1).await;
    }
    assert_eq!(watched.ask("GET /shop/other", "").await.status, 200);
}

/// How an upload starts, in bytes of a caller.
fn uploads() -> Vec<Vec<u8>> {
    let head = "POST /shop/up HTTP/1.1\r\nHost: localhost\r\n";
    let some = "x".repeat(100_000);
    let mut all: Vec<_> = [
        format!("{head}Content-Length: 1000000\r\n\r\n{some}"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n186a0\r\n{some}\r\n"),
    ]
    .map(String::into_bytes)
    .into();
    // A POST with a body, in indexes of HPACK's static table but for the path.
    let mut block = vec![0x83, 0x86, 0x44, 8];
    block.extend(b"/shop/up");
    block.extend([0x41, 9]);
    block.extend(b"localhost");
    let mut framed = frames::start();
    framed.extend(frame(HEADERS, END_HEADERS, 1, &block));
    framed.extend(frame(DATA, 0, 1, &[b'x'; 10_000]));
    all.push(framed);
    all
}

#[tokio::test]
async fn a_caller_that_goes_while_it_uploads_ends_its_call() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = api.local_addr().unwrap().to_string();
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\nmax_in_flight = 1\n{}",
        provider_of(vendor.address, &own)
    );
    let running = Server::new(biped(&toml)).start().await.unwrap();
    for upload in uploads() {
        let mut caller = connect(&running).await;
        let (writing, accepted) = tokio::join!(caller.write_all(&upload), api.accept());
        writing.unwrap();
        let (mut called, _) = accepted.unwrap();
        let mut seen = Vec::new();
        // The API has some of the body.
        while find(&seen, b"xxxx").is_none() {
            assert!(called.read_buf(&mut seen).await.unwrap() > 0);
        }
        drop(caller);
        // Its end is no end of the body. An error tells it as well.
        while matches!(called.read_buf(&mut seen).await, Ok(read) if read > 0) {}
        assert!(seen.starts_with(b"POST /up "), "the upload came");
        assert!(!seen.ends_with(b"0\r\n\r\n"), "the body ended");
        drop(called);

        let mut next = Caller::new(connect(&running).await);
        next.write("GET /shop/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        let served = async {
            let (mut called, _) = api.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert!(called.read_buf(&mut head).await.unwrap() > 0);
            }
            called.write_all(&reply("200 OK", "", "x")).await.unwrap();
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            answer = next.answer() => answer,
            () = served => unreachable!(),
        };
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(vendor.fetches(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_while_it_uploads_is_told_apart_from_a_wrong_body() {
    let watched = narrow().await;
    // Over HTTP/2 such a call may end before it was seen.
    for upload in &uploads()[..2] {
        let before = watched.lines(0).await.len();
        let mut caller = connect(&watched.running).await;
        caller.write_all(upload).await.unwrap();
        drop(caller);
        let lines = watched.lines(before + 1).await;
        assert_eq!(told(&lines[before..], "/shop/up"), (499, "info", ""));
    }
    let mut caller = Caller::new(connect(&watched.running).await);
    let head = "POST /shop/wrong HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    caller.write(format!("{head}3\r\nabc\r\nx\r\n")).await;
    assert_eq!(caller.answer().await.problem().1, "incomplete-body");
    let lines = watched.lines(3).await;
    assert_eq!(
        told(&lines, "/shop/wrong"),
        (400, "error", "incomplete-body")
    );
}

#[tokio::test]
async fn a_caller_that_goes_before_its_short_body_was_read_called_nobody() {
    let watched = narrow().await;
    let mut caller = Caller::new(connect(&watched.running).await);
    caller
        .write("POST /shop/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf")
        .await;
    drop(caller);
    let lines = watched.lines(1).await;
    assert_eq!(told(&lines, "/shop/x"), (499, "info", ""));
    assert!(watched.vendor.got().is_empty());
    assert_eq!(watched.ask("GET /shop/x", "").await.status, 200);
}

#[tokio::test]
async fn the_token_that_a_caller_waited_for_is_fetched_without_it() {
    let watched = Watched::new("access_log = 'all'\nwarm = []\nmax_in_flight = 1", "").await;
    let go = Arc::new(Notify::new());
    let told = go.clone();
    watched
        .vendor
        .tokens(move |_| match crate::vendor::token("token-1", 3600) {
            Act::Reply(bytes) => Act::Held(bytes, told.clone()),
            other => other,
        });
    let mut caller = Caller::new(connect(&watched.running).await);
    caller
        .write("GET /shop/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    until("the vendor is asked", async || watched.vendor.fetches() > 0).await;
    drop(caller);
    assert_eq!(watched.lines(1).await[0]["status"], 499);
    assert!(watched.vendor.got().is_empty());
    go.notify_one();
    assert_eq!(watched.ask("GET /shop/x", "").await.status, 200);
    assert_eq!(watched.vendor.fetches(), 1);
}
