//! Requests that hide another one: what the API gets is counted.

use tokio::io::AsyncWriteExt as _;

use crate::{
    frames::{self, END_HEADERS, END_STREAM, HEADERS, frame},
    stage::Stage,
};

const THIRD: &str = "GET /shop/third HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SECOND: &str = "GET /shop/second HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// What the API got of a request with these lines and this body, and a second one behind it.
async fn sent(stage: &Stage, line: &str, headers: &str, body: &str) -> Vec<(String, String)> {
    let before = stage.vendor.got().len();
    let mut caller = stage.caller().await;
    let host = "Host: localhost\r\n";
    caller
        .write(format!("{line}\r\n{host}{headers}\r\n\r\n{body}{SECOND}"))
        .await;
    caller.rest().await;
    let got = stage.vendor.got().split_off(before);
    let body = |it: &crate::vendor::Got| String::from_utf8(it.body.clone()).unwrap();
    got.iter()
        .map(|it| (it.path().to_owned(), body(it)))
        .collect()
}

#[tokio::test]
async fn a_request_in_the_body_of_another_stays_its_body() {
    let stage = Stage::new().await;
    let length = format!("Content-Length: {}", THIRD.len());
    let pieces = format!("{:x}\r\n{THIRD}\r\n0\r\n\r\n", THIRD.len());
    let chunked = "Transfer-Encoding: chunked";
    for (line, headers, body) in [
        ("POST", length.clone(), THIRD),
        ("GET", length.clone(), THIRD),
        ("DELETE", length.clone(), THIRD),
        ("OPTIONS", length.clone(), THIRD),
        ("POST", format!("{length}\r\n{length}"), THIRD),
        // Who removes what Connection names must not lose the length.
        (
            "POST",
            format!("{length}\r\nConnection: Content-Length"),
            THIRD,
        ),
        (
            "POST",
            format!("Connection: Content-Length\r\n{length}"),
            THIRD,
        ),
        ("POST", chunked.to_owned(), &*pieces),
        ("GET", chunked.to_owned(), &*pieces),
        ("POST", "Transfer-Encoding:\tCHUNKED ".to_owned(), &*pieces),
        (
            "POST",
            format!("{chunked}\r\nConnection: Transfer-Encoding"),
            &*pieces,
        ),
        (
            "POST",
            format!("{chunked}\r\nTrailer: Content-Length"),
            &*pieces,
        ),
    ] {
        let got = sent(
            &stage,
            &format!("{line} /shop/first HTTP/1.1"),
            &headers,
            body,
        )
        .await;
        let expected = [
            ("/base/first".to_owned(), THIRD.to_owned()),
            ("/base/second".to_owned(), String::new()),
        ];
        assert_eq!(got, expected, "{line} {headers}");
    }
}

#[tokio::test]
async fn trailers_can_not_begin_a_request() {
    let stage = Stage::new().await;
    for trailers in [
        "Content-Length: 9\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: evil.example\r\n",
        "Authorization: Bearer own\r\n",
    ] {
        let body = format!("1\r\nx\r\n0\r\n{trailers}\r\n");
        let headers = "Transfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\nTrailer: A";
        let before = stage.vendor.got().len();
        let got = sent(&stage, "POST /shop/first HTTP/1.1", headers, &body).await;
        let paths: Vec<_> = got.iter().map(|(path, _)| &**path).collect();
        assert!(
            ["/base/first", "/base/second"].starts_with(&paths),
            "{got:?}"
        );
        for got in &stage.vendor.got()[before..] {
            assert_eq!(got.trailers, "", "{trailers}");
            assert_eq!(got.header("authorization"), Some("Bearer token-1"));
        }
    }
}

#[tokio::test]
async fn two_requests_whose_length_is_doubtful_never_become_three() {
    let stage = Stage::new().await;
    let length = THIRD.len();
    let size = format!("{length:x}");
    let chunked = "Transfer-Encoding: chunked";
    let end = "0\r\n\r\n";
    let pieces = format!("{size}\r\n{THIRD}\r\n{end}");
    let mut forms = vec![
        // Both.
        (format!("Content-Length: 4\r\n{chunked}"), pieces.clone()),
        (format!("{chunked}\r\nContent-Length: 4"), pieces.clone()),
        (
            format!("Content-Length: {}\r\n{chunked}", length + 5),
            format!("{end}{THIRD}"),
        ),
    ];
    // A length that one server reads and another does not.
    for wrong in [
        format!("Content-Length: 0\r\nContent-Length: {length}"),
        format!("Content-Length: {length}\r\nContent-Length: 0"),
        format!("Content-Length: 0, {length}"),
        format!("Content-Length: +{length}"),
        format!("Content-Length: -{length}"),
        format!("Content-Length: 0x{size}"),
        format!("Content-Length: {length}.0"),
        format!("Content-Length: 0 {length}"),
        format!("Content-Length : {length}"),
        format!("Content-Length\t: {length}"),
        format!(" Content-Length: {length}"),
        format!("X: a\r\n Content-Length: {length}"),
        format!("Content-Length: 99999999999999999999{length}"),
        "Content-Length:".to_owned(),
        "Content-Length: \u{661}".to_owned(),
    ] {
        forms.push((wrong, THIRD.to_owned()));
    }
    for wrong in [
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4, 4",
        "Transfer_Encoding: chunked\r\nContent-Length: 0, 4",
    ] {
        forms.push((wrong.to_owned(), pieces.clone()));
    }
    // Chunks that one server reads and another does not.
    for wrong in [
        format!("0x{size}\r\n{THIRD}\r\n{end}"),
        format!("+{size}\r\n{THIRD}\r\n{end}"),
        format!("-{size}\r\n{THIRD}\r\n{end}"),
        format!("{size}g\r\n{THIRD}\r\n{end}"),
        format!("\r\n{size}\r\n{THIRD}\r\n{end}"),
        format!("ffffffffffffffffff{size}\r\n{THIRD}\r\n{end}"),
        format!("1\r\n{THIRD}\r\n{end}"),
        format!("1\r\nx{THIRD}\r\n{end}"),
        format!("1\nx\n0\n\n{THIRD}"),
        format!("1;a\nx\r\n0\r\n\r\n{THIRD}"),
        format!("1\rx\r0\r\r{THIRD}"),
        format!("0\n\n{THIRD}"),
        format!("0;{}\r\n\r\n{THIRD}", "x".repeat(40_000)),
    ] {
        forms.push((chunked.to_owned(), wrong));
    }
    for (headers, body) in forms {
        let got = sent(&stage, "POST /shop/first HTTP/1.1", &headers, &body).await;
        let what = format!("{headers:?} {body:.80?}: {got:?}");
        let paths: Vec<_> = got.iter().map(|(path, _)| &**path).collect();
        assert!(
            ["/base/first", "/base/second"].starts_with(&paths),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_request_of_http_1_0_hides_none() {
    let stage = Stage::new().await;
    let length = format!("Content-Length: {}", THIRD.len());
    let pieces = format!("{:x}\r\n{THIRD}\r\n0\r\n\r\n", THIRD.len());
    for (headers, body) in [
        (&*length, THIRD),
        ("Connection: keep-alive", THIRD),
        ("Transfer-Encoding: chunked", &*pieces),
    ] {
        let got = sent(&stage, "POST /shop/first HTTP/1.0", headers, body).await;
        // The connection ends after its first request.
        assert!(got.len() <= 1, "{headers}: {got:?}");
        assert!(got.iter().all(|(path, _)| path == "/base/first"), "{got:?}");
    }
}

/// A field of HPACK that is not indexed.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0];
    for text in [name, value] {
        block.push(u8::try_from(text.len()).unwrap());
        block.extend(text.as_bytes());
    }
    block
}

#[tokio::test]
async fn no_head_of_http2_becomes_two_requests() {
    const DATA: u8 = 0;
    let stage = Stage::new().await;
    let mut path = vec![0x83, 0x86];
    path.extend(field(
        ":path",
        "/shop/x HTTP/1.1\r\nHost: localhost\r\n\r\nGET /shop/third",
    ));
    path.extend(field(":authority", "localhost"));
    let mut method = field(":method", "GET /shop/third HTTP/1.1\r\n\r\nGET");
    method.extend(frames::get().split_off(1));
    let with = |name: &str, value: &str| {
        let mut block = vec![0x83];
        block.extend(frames::get().split_off(1));
        block.extend(field(name, value));
        block
    };
    for (what, block) in [
        ("a length that is too short", with("content-length", "1")),
        ("a length that is too long", with("content-length", "999")),
        ("a length that is none", with("content-length", "+1")),
        ("chunks", with("transfer-encoding", "chunked")),
        ("a line in a value", with("x", "a\r\nx: b")),
        ("a line in a name", with("x: a\r\ny", "b")),
        (
            "a request in a value",
            with("x", "a\r\n\r\nGET /shop/third HTTP/1.1\r\n\r\n"),
        ),
        ("a space in a name", with("x y", "b")),
        ("an upgrade", with("connection", "upgrade")),
        ("a request in the path", path),
        ("a request in the method", method),
    ] {
        let mut stream = frames::connect(&stage).await;
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block);
        bytes.extend(frame(DATA, END_STREAM, 1, THIRD.as_bytes()));
        // A call of the same connection, which may have ended.
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 3, &frames::get()));
        let _ = stream.write_all(&bytes).await;
        loop {
            match frames::next(&mut stream).await {
                Some((frames::GOAWAY, ..)) | None => break,
                Some((kind, 3, _)) if kind == HEADERS || kind == frames::RST_STREAM => break,
                Some(_) => {}
            }
        }
        for got in stage.vendor.got() {
            assert_eq!(got.line(), "GET /base/x HTTP/1.1", "{what}: {got:?}");
            assert_eq!(got.body, b"", "{what}: {got:?}");
        }
    }
}
