//! The security list: requests as raw bytes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use biped::provider::{Clock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{stage::Stage, vendor::Got};

/// Sends bytes, and returns the status of the first answer and its problem.
async fn send(stage: &Stage, bytes: &str) -> (u16, String) {
    let mut caller = stage.caller().await;
    caller.write(bytes).await;
    let answer = caller.answer().await;
    let word = match answer.header("content-type") {
        Some("application/problem+json") => answer.problem().1,
        _ => String::new(),
    };
    (answer.status, word)
}

#[tokio::test]
async fn requests_that_servers_read_in_different_ways_are_refused() {
    let stage = Stage::new().await;
    let host = "Host: localhost\r\n";
    for (bytes, status, word) in [
        (
            format!("GET /shop/../x HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-path",
        ),
        (
            format!("GET /shop/%2e%2E/x HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-path",
        ),
        (
            format!("GET /shop/..%2fx HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-path",
        ),
        (
            format!("GET /shop/a\\b HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-path",
        ),
        (
            format!("GET /shop/a%5cb HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-path",
        ),
        (
            format!("GET /shop/a%00b HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-path",
        ),
        (
            format!("GET /shop/caf\u{e9} HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-path",
        ),
        (
            format!("GET /shop/a?b=\u{e9} HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-path",
        ),
        (
            format!("GET /shop;/x HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-path",
        ),
        (
            format!("GET /sh;op/x HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-path",
        ),
        (
            format!("GET /sh;op=1/x HTTP/1.1\r\n{host}\r\n"),
            404,
            "unknown-provider",
        ),
        (
            format!("GET /;shop=1/x HTTP/1.1\r\n{host}\r\n"),
            404,
            "unknown-provider",
        ),
        (
            format!("GET /shop%3Ba=1/x HTTP/1.1\r\n{host}\r\n"),
            404,
            "unknown-provider",
        ),
        (
            format!("GET /shop;a=1/..;b=2/x HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-path",
        ),
        (
            format!("GET /shop/a HTTP/1.1\r\n{host}{host}\r\n"),
            400,
            "bad-request",
        ),
        ("GET /shop/a HTTP/1.1\r\n\r\n".into(), 400, "bad-request"),
        (
            format!(
                "POST /shop/a HTTP/1.1\r\n{host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
            ),
            501,
            "transfer-coding",
        ),
        (
            format!(
                "POST /shop/a HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            501,
            "transfer-coding",
        ),
        (
            format!("OPTIONS * HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-request",
        ),
        (
            format!("CONNECT api.example:443 HTTP/1.1\r\n{host}\r\n"),
            405,
            "method",
        ),
        (
            format!("TRACE /shop/a HTTP/1.1\r\n{host}\r\n"),
            405,
            "method",
        ),
        (
            format!("GET http://me@localhost/shop/a HTTP/1.1\r\n{host}\r\n"),
            400,
            "bad-request",
        ),
        (
            format!("GET http://evil.example/shop/a HTTP/1.1\r\n{host}\r\n"),
            421,
            "wrong-host",
        ),
        (
            format!(
                "GET /shop/a HTTP/1.1\r\n{host}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
            ),
            501,
            "upgrade",
        ),
        (
            format!("GET /shop/a HTTP/1.1\r\n{host}Expect: magic\r\n\r\n"),
            417,
            "expectation",
        ),
        (
            format!("GET /shop/{} HTTP/1.1\r\n{host}\r\n", "x".repeat(9000)),
            414,
            "target-too-long",
        ),
        (
            format!("GET //evil/x HTTP/1.1\r\n{host}\r\n"),
            404,
            "unknown-provider",
        ),
        (
            format!("GET /nope/x HTTP/1.1\r\n{host}\r\n"),
            404,
            "unknown-provider",
        ),
        (
            format!("GET /SHOP/x HTTP/1.1\r\n{host}\r\n"),
            404,
            "unknown-provider",
        ),
        (
            format!("GET /sh%6fp/x HTTP/1.1\r\n{host}\r\n"),
            404,
            "unknown-provider",
        ),
        (
            format!("GET /-/nope HTTP/1.1\r\n{host}\r\n"),
            404,
            "unknown-provider",
        ),
        (
            format!("GET / HTTP/1.1\r\n{host}\r\n"),
            404,
            "unknown-provider",
        ),
    ] {
        let (got, problem) = send(&stage, &bytes).await;
        assert_eq!((got, &*problem), (status, word), "{bytes:?}");
    }
    assert!(stage.vendor.got().is_empty());
}

#[tokio::test]
async fn an_upgrade_to_http2_is_ignored() {
    let stage = Stage::new().await;
    let headers =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    let answer = stage.ask("GET /shop/a", headers).await;
    assert_eq!((answer.status, &*answer.text()), (200, "hello"));
    let got = stage.vendor.only();
    for gone in ["upgrade", "http2-settings", "connection"] {
        assert_eq!(got.header(gone), None, "{gone}");
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_given_up() {
    // Neither an idle connection nor a silent one is given up within the test.
    let stage = Stage::with("keep_alive = '1h'\nidle_timeout = '1h'", "").await;
    let stream = tokio::net::TcpStream::connect(stage.address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let attack = async {
        let _ = writing.write_all(b"GET /shop/a HTTP/1.1\r\nX: ").await;
        loop {
            let _ = writing.write_all(b"x").await;
            SystemClock.sleep(Duration::from_millis(100)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        _ = reading.read_to_end(&mut answer) => {}
        () = attack => {}
    }
    assert_eq!(answer, b"");
    assert!(stage.vendor.got().is_empty());
    assert_eq!(stage.get("/shop/a").await.status, 200);
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let stage = Stage::new().await;
    let large = format!(
        "GET /shop/a HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(65_536)
    );
    assert_eq!(send(&stage, &large).await.0, 431);
    let many: String = (0..100).map(|at| format!("X-{at}: 1\r\n")).collect();
    let many = format!("GET /shop/a HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    assert_eq!(send(&stage, &many).await.0, 431);
    assert!(stage.vendor.got().is_empty());
}

#[tokio::test]
async fn a_host_or_an_origin_of_others_is_refused() {
    let stage = Stage::with("hosts = ['sidecar.internal']", "").await;
    let port = stage.address.port();
    for host in [
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "[::ffff:127.0.0.1]",
        "evil.example",
        "localhost:1",
        "",
    ] {
        let bytes = format!("GET /shop/a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(
            send(&stage, &bytes).await,
            (421, "wrong-host".into()),
            "{host}"
        );
    }
    let own = format!("localhost:{port}");
    for (headers, status) in [
        ("Origin: http://evil.example\r\n".to_owned(), 403),
        ("Origin: null\r\n".into(), 403),
        (format!("Origin: https://{own}\r\n"), 403),
        ("Origin: http://localhost:1\r\n".into(), 403),
        ("Sec-Fetch-Site: cross-site\r\n".into(), 403),
        ("Sec-Fetch-Site: same-site\r\n".into(), 403),
        (format!("Origin: http://{own}\r\n"), 200),
        ("Sec-Fetch-Site: same-origin\r\n".into(), 200),
    ] {
        let bytes = format!("GET /shop/a HTTP/1.1\r\nHost: {own}\r\n{headers}\r\n");
        let (got, word) = send(&stage, &bytes).await;
        assert_eq!(got, status, "{headers}");
        assert!(status == 200 || word == "cross-origin", "{word}");
    }
    let preflight = format!(
        "OPTIONS /shop/a HTTP/1.1\r\nHost: {own}\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
    );
    assert_eq!(send(&stage, &preflight).await, (403, "cross-origin".into()));
    let named = format!("GET /shop/a HTTP/1.1\r\nHost: sidecar.internal:{port}\r\n\r\n");
    assert_eq!(send(&stage, &named).await.0, 200);
    assert_eq!(stage.vendor.got().len(), 3);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let stage = Stage::new().await;
    stage.vendor.api(|got| crate::vendor::ok(got.path()));
    let mut caller = stage.caller().await;
    let one = "POST /shop/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab";
    let two = "GET /shop/2 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    caller.write(format!("{one}{two}")).await;
    assert_eq!(caller.answer().await.text(), "/base/1");
    assert_eq!(caller.answer().await.text(), "/base/2");
    assert_eq!(stage.vendor.got().len(), 2);
}

#[tokio::test]
async fn no_header_can_be_injected_by_a_parameter() {
    let rules = "[serve.providers.shop]\nscopes = ['read']\nparams = ['a']";
    let stage = Stage::with("warm = []", rules).await;
    let asked: Arc<Mutex<Vec<Got>>> = Arc::default();
    let told = asked.clone();
    stage.vendor.tokens(move |got| {
        told.lock().unwrap().push(got.clone());
        crate::vendor::token("token-1", 3600)
    });
    for headers in [
        "Biped-Scope: read%0d%0aX-Evil: 1\r\n",
        "Biped-Param: b=%0d%0aX-Evil: 1\r\n",
    ] {
        let answer = stage.ask("GET /shop/x", headers).await;
        assert_eq!(answer.problem().1, "parameter");
        assert!(!answer.head.contains("Evil"), "{}", answer.head);
    }
    assert!(stage.vendor.got().is_empty());
    // A parameter that is allowed is a value in the form of the token request, and nothing else.
    for (path, headers) in [
        ("/shop/x", "Biped-Param: a=%0d%0aX-Evil: 1\r\n"),
        ("/shop;a=%0d%0aX-Evil:%202/x", ""),
    ] {
        let answer = stage.ask(&format!("GET {path}"), headers).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!answer.head.contains("Evil"), "{}", answer.head);
    }
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    for got in asked.iter().chain(&stage.vendor.got()) {
        assert!(!got.head.contains("Evil"), "{got:?}");
    }
    for (got, value) in asked.iter().zip(["1", "2"]) {
        let form = std::str::from_utf8(&got.body).unwrap();
        let value = format!("a=%0D%0AX-Evil%3A+{value}");
        assert!(form.split('&').any(|pair| pair == value), "{form}");
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let stage = Stage::new().await;
    let mut caller = stage.caller().await;
    caller
        .write("GET /shop/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .await;
    let answer = caller.answer().await;
    assert_eq!((answer.status, &*answer.text()), (200, "hello"));
    assert!(caller.next().await.is_none());
}

#[tokio::test]
async fn a_connection_without_a_request_is_given_up() {
    let stage = Stage::with("keep_alive = '200ms'", "").await;
    let mut caller = stage.caller().await;
    assert!(caller.next().await.is_none());
    let mut caller = stage.caller().await;
    assert_eq!(caller.ask("GET /shop/a", "").await.status, 200);
    assert!(caller.next().await.is_none());
}
