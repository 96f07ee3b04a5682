//! What reaches the caller of an API's answer, and what of a request reaches the API: lengths, addresses and
//! trailers.

use biped_serve::Server;
use biped_testing::TimeLimit;
use tokio::io::AsyncWriteExt;

use crate::{
    frames::{self, END_HEADERS, END_STREAM, HEADERS, frame},
    stage::{Stage, address, biped},
    vendor::{Act, Vendor, reply},
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

/// A sidecar for a vendor whose token travels in the query.
async fn with_token_in_query() -> Stage {
    let limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let at = vendor.address;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("odd.toml");
    let dialect = format!(
        "url = 'http://{at}/token'\nauth = 'basic'\n[attach]\n\
         query = {{ key = '{{token}}', form = 'json' }}\n"
    );
    std::fs::write(&file, dialect).unwrap();
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\n[providers.odd]\nkind = 'dialect'\nfile = '{}'\n\
         api_base_url = 'http://{at}/base'\nclient_id = 'me'\nclient_secret = 'vendor-secret'\n",
        file.display()
    );
    let running = Server::new(biped(&toml)).start().await.unwrap();
    Stage {
        address: address(&running.addresses()[0]),
        vendor,
        running,
        _limit: limit,
    }
}

#[tokio::test]
async fn a_token_in_the_query_never_comes_back_in_an_address() {
    let stage = with_token_in_query().await;
    stage.vendor.api(|got| {
        let target = got.path();
        let (path, query) = target.split_once('?').unwrap();
        let host = got.header("host").unwrap();
        let lines = format!(
            "Location: {path}/?{query}\r\nContent-Location: http://{host}{target}\r\n\
             Link: <?{query}&p=2>; rel=next, <https://cdn.example/x?key=own&{query}#end>; rel=x\r\n\
             Link: <broken?{query}\r\n"
        );
        Act::Reply(reply("301 Moved Permanently", &lines, ""))
    });
    for (asked, left) in [("/odd/x?a=%20b&c+d", "a=%20b&c+d"), ("/odd/x", "")] {
        let answer = stage.get(asked).await;
        let got = stage.vendor.got().pop().unwrap();
        assert!(got.path().contains("key=token-1"), "{got:?}");
        assert!(!answer.head.contains("token-1"), "{}", answer.head);
        let (mark, and) = match left {
            "" => ("", ""),
            _ => ("?", "&"),
        };
        let location = format!("/odd/x/{mark}{left}");
        assert_eq!(answer.header("location"), Some(&*location));
        let location = format!("/odd/x{mark}{left}");
        assert_eq!(answer.header("content-location"), Some(&*location));
        let link = format!(
            "</odd/x?{left}{and}p=2>; rel=next, <https://cdn.example/x?key=own{and}{left}&form=json#end>; \
             rel=x"
        );
        assert_eq!(answer.header("link"), Some(&*link));
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

/// A body of chunks with these lines behind it.
fn with_trailers(lines: &str) -> String {
    format!("3\r\nabc\r\n0\r\n{lines}\r\n")
}

#[tokio::test]
async fn trailers_to_the_api_are_reduced_as_its_headers_are() {
    let stage = Stage::new().await;
    let mut caller = stage.caller().await;
    let names = "X-Sum, Biped-Param, X-Forwarded-For, Cookie, Origin, Proxy-Connection";
    let lines = "X-Sum: 1\r\nBiped-Param: a=planted\r\nX-Forwarded-For: planted\r\n\
                 Cookie: planted\r\nOrigin: planted\r\nProxy-Connection: planted\r\n";
    let head = format!(
        "POST /shop/x HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE\r\n\
         Trailer: {names}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    caller.write(head).await;
    caller.write(with_trailers(lines)).await;
    assert_eq!(caller.answer().await.status, 200);
    let got = stage.vendor.only();
    assert_eq!(got.body, b"abc");
    assert_eq!(got.trailers.to_lowercase(), "x-sum: 1");
}

#[tokio::test]
async fn trailers_to_the_caller_are_reduced_as_its_headers_are() {
    let stage = Stage::new().await;
    let names = "X-Sum, Access-Control-Allow-Origin, Proxy-Status, Location, Link, Alt-Svc";
    let lines = "X-Sum: 1\r\nAccess-Control-Allow-Origin: planted\r\nProxy-Status: planted\r\n\
                 Location: /base/planted\r\nLink: </base/planted>\r\nAlt-Svc: planted\r\n\
                 Biped-Replayed: planted\r\n";
    let head = format!("HTTP/1.1 200 OK\r\nTrailer: {names}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let answer = format!("{head}{}", with_trailers(lines)).into_bytes();
    stage.vendor.api(move |_| Act::Reply(answer.clone()));
    let mut caller = stage.caller().await;
    caller
        .write(
            "GET /shop/x HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n",
        )
        .await;
    assert!(caller.head().await.unwrap().starts_with("HTTP/1.1 200"));
    let rest = caller.rest().await.to_lowercase();
    assert_eq!(rest, "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n");
}
