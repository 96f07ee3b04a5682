//! What reaches the caller of an API's answer, and what of a request reaches the API: lengths, addresses and
//! trailers.

use tokio::io::AsyncWriteExt;

use crate::{
    frames::{self, END_HEADERS, END_STREAM, HEADERS, frame},
    stage::Stage,
    vendor::{Act, reply},
};

const DATA: u8 = 0;

/// An answer whose length differs from that of its chunks.
fn doubtful(lines: &str) -> Act {
    let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
    Act::Last(format!("{head}3\r\nabc\r\n0\r\n\r\n").into_bytes())
}

#[tokio::test]
async fn a_length_beside_chunks_is_removed_and_the_whole_body_passes() {
    let stage = Stage::new().await;
    let chunked = "Transfer-Encoding: chunked";
    for length in [0, 2, 3, 10] {
        for lines in [
            format!("Content-Length: {length}\r\n{chunked}"),
            format!("{chunked}\r\nContent-Length: {length}"),
        ] {
            let answered = lines.clone();
            stage.vendor.api(move |_| doubtful(&answered));
            let answer = stage.get("/shop/x").await;
            assert_eq!((answer.status, &*answer.text()), (200, "abc"), "{lines}");
            assert!(answer.is_whole, "{lines}");
            assert_eq!(answer.header("content-length"), None, "{lines}");

            let mut stream = frames::connect(&stage).await;
            let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, &frames::get());
            stream.write_all(&request).await.unwrap();
            let mut body = Vec::new();
            while body.len() < 3 {
                match frames::next(&mut stream).await {
                    Some((DATA, 1, data)) => body.extend(data),
                    Some((frames::RST_STREAM | frames::GOAWAY, ..)) | None => break,
                    Some(_) => {}
                }
            }
            assert_eq!(body, b"abc", "{lines}");
        }
    }
}

#[tokio::test]
async fn addresses_with_other_letters_lead_through_the_sidecar_too() {
    let stage = Stage::new().await;
    stage.vendor.api(|_| {
        let lines = "Location: /base/café?q=ü\r\nContent-Location: /base/naïve\r\n\
                     Link: </base/n?p=2>; rel=next; title=\"café\"\r\n";
        Act::Reply(reply("200 OK", lines, ""))
    });
    let answer = stage.get("/shop/x").await;
    let location = "/shop/caf%C3%A9?q=%C3%BC";
    assert_eq!(answer.header("location"), Some(location));
    let location = "/shop/na%C3%AFve";
    assert_eq!(answer.header("content-location"), Some(location));
    let link = "</shop/n?p=2>; rel=next; title=\"café\"";
    assert_eq!(answer.header("link"), Some(link));
}
