//! The fault matrix: what goes wrong, and whether the API may have acted.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use biped_serve::Server;
use tokio::sync::Notify;

use crate::{
    stage::{Stage, biped, until},
    vendor::{Act, down, reply},
};

#[tokio::test]
async fn an_api_that_ends_before_its_head_may_have_acted() {
    let stage = Stage::new().await;
    stage.vendor.api(|_| Act::Last(Vec::new()));
    let answer = stage.ask("POST /shop/x", "Content-Length: 0\r\n").await;
    assert_eq!(answer.problem(), (502, "cut-off".into(), true));
    assert!(
        answer
            .header("proxy-status")
            .unwrap()
            .contains("connection_terminated")
    );
    // Half a head is the same.
    stage
        .vendor
        .api(|_| Act::Last(b"HTTP/1.1 200 OK\r\nX: ".to_vec()));
    assert_eq!(
        stage.get("/shop/x").await.problem(),
        (502, "cut-off".into(), true)
    );
    assert_eq!(stage.vendor.got().len(), 2);
}

#[tokio::test]
async fn a_body_that_is_cut_off_never_ends_cleanly() {
    let stage = Stage::new().await;
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let head = head.to_owned();
        stage.vendor.api(move |_| {
            Act::Last(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nabcde\r\n").into_bytes())
        });
        let answer = stage.get("/shop/x").await;
        assert_eq!(answer.status, 200);
        assert!(!answer.is_whole, "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_stands_still_is_cut_off() {
    let stage = Stage::with("idle_timeout = '200ms'", "").await;
    stage
        .vendor
        .api(|_| Act::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab".to_vec()));
    let answer = stage.get("/shop/x").await;
    assert_eq!((answer.status, answer.is_whole), (200, false));
}

#[tokio::test]
async fn a_silent_api_may_have_acted() {
    let stage = Stage::with("response_timeout = '200ms'", "").await;
    stage.vendor.api(|_| Act::Stall(Vec::new()));
    let answer = stage.get("/shop/x").await;
    assert_eq!(answer.problem(), (504, "silent".into(), true));
    assert!(
        answer
            .header("proxy-status")
            .unwrap()
            .contains("http_response_timeout")
    );
}

#[tokio::test]
async fn an_answer_that_comes_slowly_takes_as_long_as_it_takes() {
    let stage = Stage::with("response_timeout = '1s'", "").await;
    let go = Arc::new(Notify::new());
    let told = go.clone();
    stage.vendor.api(move |got| match got.path() {
        "/base/slow" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
            Act::Drip(head.into(), b"abc", told.clone())
        }
        _ => Act::Stall(Vec::new()),
    });
    let mut caller = stage.caller().await;
    caller
        .write("GET /shop/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(caller.head().await.unwrap().starts_with("HTTP/1.1 200"));
    for byte in ["a", "b", "c"] {
        // The time in which an answer must begin passes once more.
        assert_eq!(stage.get("/shop/x").await.problem().1, "silent");
        go.notify_one();
        assert_eq!(caller.bytes(1).await, byte);
    }
}

#[tokio::test]
async fn a_caller_sets_the_time_up_to_the_limit() {
    // Every other time is longer than that of the test.
    for (serve, seconds) in [
        ("response_timeout = '1h'\nmax_timeout = '2h'", 1),
        ("response_timeout = '1h'\nmax_timeout = '1s'", 7200),
    ] {
        let stage = Stage::with(serve, "").await;
        stage.vendor.api(|_| Act::Stall(Vec::new()));
        let header = format!("Biped-Timeout: {seconds}\r\n");
        let answer = stage.ask("GET /shop/x", &header).await;
        assert_eq!(answer.problem().1, "silent", "{serve}");
    }
}

#[tokio::test]
async fn what_is_not_http_may_have_acted() {
    let stage = Stage::new().await;
    stage
        .vendor
        .api(|_| Act::Last(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()));
    assert_eq!(
        stage.get("/shop/x").await.problem(),
        (502, "bad-answer".into(), true)
    );
    stage.vendor.api(|_| {
        let large = "x".repeat(70_000);
        Act::Last(format!("HTTP/1.1 200 OK\r\nX: {large}\r\n\r\n").into_bytes())
    });
    assert_eq!(
        stage.get("/shop/x").await.problem(),
        (502, "bad-answer".into(), true)
    );
}

#[tokio::test]
async fn a_reused_connection_that_is_dead_is_replaced_for_what_may_be_repeated() {
    let stage = Stage::new().await;
    for (method, status) in [("GET", 200), ("PUT", 200), ("POST", 502)] {
        let calls = AtomicUsize::new(0);
        stage
            .vendor
            .api(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
                // The second request of a connection meets its end.
                1 => Act::Last(Vec::new()),
                _ => crate::vendor::ok("hello"),
            });
        let line = format!("{method} /shop/x");
        let mut caller = stage.caller().await;
        assert_eq!(caller.ask(&line, "Content-Length: 0\r\n").await.status, 200);
        let answer = caller.ask(&line, "Content-Length: 0\r\n").await;
        assert_eq!(answer.status, status, "{method}");
        if status == 502 {
            assert_eq!(answer.problem(), (502, "cut-off".into(), true));
        }
    }
}

#[tokio::test]
async fn what_was_not_sent_is_said_not_to_be() {
    let stage = Stage::new().await;
    let (_socket, closed) = down();
    let at = stage.vendor.address;
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let no_tls = plain.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail\r\n").await;
        }
    });
    for (base, error) in [
        (format!("http://{closed}"), "connection_refused"),
        ("https://name.invalid".to_owned(), "dns_error"),
        (format!("https://{no_tls}"), "tls_protocol_error"),
    ] {
        let toml = format!(
            "[serve]\nlisten = ['127.0.0.1:0']\n[providers.x]\nkind = 'oauth2'\n\
             token_endpoint = 'http://{at}/token'\napi_base_url = '{base}'\nclient_id = 'a'\n\
             client_secret = 'b'\n"
        );
        let running = Server::new(biped(&toml)).start().await.unwrap();
        let address = crate::stage::address(&running.addresses()[0]);
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let answer = crate::stage::Caller::new(stream).ask("GET /x/y", "").await;
        assert_eq!(
            answer.problem(),
            (502, "unreachable".into(), false),
            "{base}"
        );
        let status = answer.header("proxy-status").unwrap();
        assert!(status.contains(error), "{base}: {status}");
    }
}

#[tokio::test]
async fn an_api_at_the_sidecars_own_address_is_a_loop() {
    let stage = Stage::new().await;
    let probe = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = probe.local_addr().unwrap();
    drop(probe);
    let toml = format!(
        "[serve]\nlisten = ['{own}']\n[providers.x]\nkind = 'oauth2'\n\
         token_endpoint = 'http://{}/token'\napi_base_url = 'http://localhost:{}/x'\n\
         client_id = 'a'\nclient_secret = 'b'\n",
        stage.vendor.address,
        own.port()
    );
    let running = Server::new(biped(&toml)).start().await.unwrap();
    let stream = tokio::net::TcpStream::connect(own).await.unwrap();
    let answer = crate::stage::Caller::new(stream).ask("GET /x/y", "").await;
    assert_eq!(answer.problem(), (508, "loop".into(), false));
    drop(running);
}

#[tokio::test]
async fn a_token_endpoint_that_asks_for_time_gets_it() {
    let stage = Stage::with("warm = []", "").await;
    stage
        .vendor
        .tokens(|_| Act::Reply(reply("429 Too Many Requests", "Retry-After: 30\r\n", "")));
    let answer = stage.get("/shop/x").await;
    assert_eq!(answer.problem(), (503, "no-token".into(), false));
    let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((29..=31).contains(&after), "{after}");
    assert_eq!(stage.get("/shop/x").await.problem().1, "no-token");
    assert_eq!(stage.vendor.fetches(), 1);
    assert!(stage.vendor.got().is_empty());
}

#[tokio::test]
async fn without_a_token_endpoint_the_answer_comes_in_time_and_nothing_is_sent() {
    let stage = Stage::with("warm = []", "[engine]\nmax_wait = '300ms'").await;
    stage.vendor.tokens(|_| Act::Stall(Vec::new()));
    let answer = stage.get("/shop/x").await;
    assert_eq!(answer.problem(), (503, "no-token".into(), false));
    assert!(answer.header("retry-after").is_some());
    assert!(
        answer
            .header("proxy-status")
            .unwrap()
            .contains("connection_timeout")
    );
    assert!(stage.vendor.got().is_empty());
}

#[tokio::test]
async fn nonsense_of_the_token_endpoint_is_told_as_such() {
    let stage = Stage::with("warm = []", "").await;
    stage.vendor.tokens(|_| crate::vendor::ok("<html>"));
    let answer = stage.get("/shop/x").await;
    let (status, word, sent) = answer.problem();
    assert_eq!(
        (status, &*word, sent),
        (502, "no-token", false),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_refused_upload_is_never_invited() {
    let stage = Stage::with("", "[serve.providers.shop]\nallow = ['GET /**']").await;
    let mut caller = stage.caller().await;
    caller
        .write("POST /shop/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let head = caller.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    let stage = Stage::new().await;
    let mut caller = stage.caller().await;
    caller
        .write("POST /shop/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let head = caller.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 100"), "{head}");
    caller.write("12345").await;
    assert_eq!(caller.answer().await.status, 200);
    assert_eq!(stage.vendor.only().body, b"12345");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_anything_is_sent() {
    let stage = Stage::with("max_body = '1KiB'", "").await;
    let answer = stage.ask("POST /shop/x", "Content-Length: 1025\r\n").await;
    assert_eq!(answer.problem(), (413, "body-too-large".into(), false));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(stage.vendor.got().is_empty());
}

#[tokio::test]
async fn too_many_calls_at_once_are_refused_and_room_comes_back() {
    let stage = Stage::with("max_in_flight = 1", "").await;
    stage.vendor.api(|got| match got.path() {
        "/base/wait" => Act::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec()),
        _ => crate::vendor::ok("x"),
    });
    let mut first = stage.caller().await;
    first
        .write("GET /shop/wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    first.head().await.unwrap();
    let answer = stage.get("/shop/x").await;
    assert_eq!(answer.problem(), (503, "overloaded".into(), false));
    assert_eq!(answer.header("retry-after"), Some("1"));
    drop(first);
    until("there is room for a call", async || {
        stage.get("/shop/x").await.status == 200
    })
    .await;
}
