//! An API that resets its connections, as a process does that was killed.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use crate::{
    frames::{self, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, frame},
    stage::Stage,
    vendor::Act,
};

const INTERNAL_ERROR: [u8; 4] = 2_u32.to_be_bytes();

/// Sends these bytes, and resets the connection.
fn reset(bytes: &[u8]) -> Act {
    let go = Arc::new(Notify::new());
    go.notify_one();
    Act::Reset(bytes.to_vec(), go)
}

#[tokio::test]
async fn an_api_that_resets_before_the_end_of_its_head_may_have_acted() {
    let stage = Stage::new().await;
    for head in [&b""[..], b"HTTP/1.1 200 OK\r\nX: "] {
        for method in ["GET", "POST"] {
            stage.vendor.api(move |_| reset(head));
            let before = stage.vendor.got().len();
            let line = format!("{method} /shop/x");
            let answer = stage.ask(&line, "Content-Length: 0\r\n").await;
            assert_eq!(answer.problem(), (502, "cut-off".into(), true));
            let status = answer.header("proxy-status").unwrap();
            assert!(status.contains("connection_terminated"), "{status}");
            // The connection was new: nothing is sent twice.
            assert_eq!(stage.vendor.got().len() - before, 1, "{method}");
        }
    }
}

#[tokio::test]
async fn a_reused_connection_that_is_reset_is_replaced_once_for_what_may_be_repeated() {
    let stage = Stage::new().await;
    for (method, resets, status, sent) in
        [("GET", 1, 200, 2), ("GET", 2, 502, 2), ("POST", 1, 502, 1)]
    {
        let mut caller = stage.caller().await;
        let line = format!("{method} /shop/x");
        stage.vendor.api(|_| crate::vendor::ok("hello"));
        let none = "Content-Length: 0\r\n";
        assert_eq!(caller.ask(&line, none).await.status, 200);
        let before = stage.vendor.got().len();
        let mut left = resets;
        stage.vendor.api(move |_| {
            left -= 1;
            match left {
                0.. => reset(b""),
                _ => crate::vendor::ok("hello"),
            }
        });
        let answer = caller.ask(&line, none).await;
        assert_eq!(answer.status, status, "{method} {resets}");
        if status == 502 {
            assert_eq!(answer.problem(), (502, "cut-off".into(), true));
        }
        assert_eq!(stage.vendor.got().len() - before, sent, "{method} {resets}");
    }
}

/// What the API sends before it resets the connection: nothing but the head, or some of the body.
const CUT: [(&str, &str); 4] = [
    ("Content-Length: 100", ""),
    ("Content-Length: 100", "some of it"),
    ("Transfer-Encoding: chunked", ""),
    ("Transfer-Encoding: chunked", "5\r\nabcde\r\n"),
];

/// The API is to send this, and to reset the connection at the returned word.
fn cut(stage: &Stage, length: &str, body: &str) -> Arc<Notify> {
    let go = Arc::new(Notify::new());
    let bytes = format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n{body}").into_bytes();
    let told = go.clone();
    stage
        .vendor
        .api(move |_| Act::Reset(bytes.clone(), told.clone()));
    go
}

#[tokio::test]
async fn a_reset_after_the_head_or_in_the_body_never_ends_it_cleanly() {
    let stage = Stage::new().await;
    for (length, body) in CUT {
        let go = cut(&stage, length, body);
        let mut caller = stage.caller().await;
        caller
            .write("GET /shop/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await;
        let head = caller.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        go.notify_one();
        let rest = caller.rest().await;
        assert!(rest.len() < 100 && !rest.contains("0\r\n\r\n"), "{rest:?}");
    }
    assert_eq!(stage.vendor.got().len(), CUT.len());
}

#[tokio::test]
async fn a_reset_after_the_head_or_in_the_body_is_an_error_of_the_stream_over_http2() {
    let stage = Stage::new().await;
    for (length, body) in CUT {
        let go = cut(&stage, length, body);
        let mut stream = frames::connect(&stage).await;
        let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, &frames::get());
        stream.write_all(&request).await.unwrap();
        loop {
            let (kind, number, payload) = frames::next(&mut stream).await.unwrap();
            match (kind, number) {
                (HEADERS, 1) => go.notify_one(),
                (RST_STREAM, 1) => {
                    assert_eq!(payload, INTERNAL_ERROR);
                    break;
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn an_answer_to_http_1_0_that_ends_early_resets_the_connection() {
    let stage = Stage::new().await;
    let head = "GET /shop/x HTTP/1.0\r\nHost: localhost\r\n\r\n";
    for (length, body) in CUT {
        let go = cut(&stage, length, body);
        let mut caller = TcpStream::connect(stage.address).await.unwrap();
        caller.write_all(head.as_bytes()).await.unwrap();
        let mut seen = [0; 12];
        caller.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"HTTP/1.0 200");
        go.notify_one();
        let end = caller.read_to_end(&mut Vec::new()).await;
        let end = end.map_err(|error| error.kind());
        assert_eq!(
            end,
            Err(std::io::ErrorKind::ConnectionReset),
            "{length} {body}"
        );
    }
    // What is whole ends cleanly.
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let counted = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    for (line, answer, end) in [
        ("GET /shop/x", &chunked[..], "\r\n\r\nabc"),
        ("GET /shop/x", counted, "\r\n\r\nabc"),
        ("GET /-/health", b"", "\r\n\r\nok\n"),
        ("HEAD /-/health", b"", "\r\n\r\n"),
    ] {
        stage.vendor.api(move |_| Act::Reply(answer.to_vec()));
        let mut caller = TcpStream::connect(stage.address).await.unwrap();
        let head = format!("{line} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        caller.write_all(head.as_bytes()).await.unwrap();
        let mut seen = String::new();
        caller.read_to_string(&mut seen).await.unwrap();
        assert!(seen.ends_with(end), "{line} {seen}");
    }
}
