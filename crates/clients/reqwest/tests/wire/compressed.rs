//! Compressed responses, for which no request asks.

use std::io::Write;

use biped_core::{Error, ErrorKind, HttpClient};
use biped_reqwest::{HttpSettings, TokenClient};
use bytes::Bytes;
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

const PLAIN: &[u8] = br#"{"access_token":"t-1"}"#;

/// The same, as the reference encoder writes it.
const BROTLI: &[u8] = b"\x8b\x0a\x80{\"access_token\":\"t-1\"}\x03";

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn bare(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

async fn answer(
    settings: HttpSettings,
    codings: &[&str],
    body: Vec<u8>,
) -> Result<http::Response<Bytes>, Error> {
    let server = MockServer::start().await;
    let mut response = ResponseTemplate::new(200).set_body_bytes(body);
    for coding in codings {
        response = response.append_header("Content-Encoding", *coding);
    }
    Mock::given(any())
        .respond_with(response)
        .mount(&server)
        .await;
    let client = TokenClient::with(settings).unwrap();
    let request = http::Request::get(server.uri()).body(Bytes::new()).unwrap();
    let answer = client.send(request).await;
    for sent in server.received_requests().await.unwrap() {
        assert!(!sent.headers.contains_key("accept-encoding"));
    }
    answer
}

#[tokio::test]
async fn a_compressed_answer_is_decoded() {
    for (codings, body) in [
        (&["gzip"][..], gzip(PLAIN)),
        (&["X-GZIP"], gzip(PLAIN)),
        (&["identity, gzip"], gzip(PLAIN)),
        (&["deflate"], zlib(PLAIN)),
        (&["deflate"], bare(PLAIN)),
        (&["br"], BROTLI.to_vec()),
        (&["br, gzip"], gzip(BROTLI)),
        (&["br", "gzip"], gzip(BROTLI)),
        // The label was lost on the way.
        (&[], gzip(PLAIN)),
        // The coding was undone on the way, and the label was not.
        (&["gzip"], PLAIN.to_vec()),
        (&["identity"], PLAIN.to_vec()),
    ] {
        let answer = answer(HttpSettings::new(), codings, body).await.unwrap();
        assert_eq!(answer.body(), PLAIN, "{codings:?}");
    }
}

#[tokio::test]
async fn an_answer_that_can_not_be_decoded_is_left_as_it_is() {
    let mut torn = gzip(PLAIN);
    torn.truncate(20);
    for (coding, body) in [
        ("zstd", b"\x28\xb5\x2f\xfd".to_vec()),
        ("gzip", torn),
        ("br", b"\xff\xff\xff".to_vec()),
        ("gzip, gzip, gzip", gzip(&gzip(&gzip(PLAIN)))),
    ] {
        let answer = answer(HttpSettings::new(), &[coding], body.clone()).await;
        let answer = answer.unwrap();
        assert_eq!(answer.body(), &body, "{coding}");
        assert_eq!(answer.headers()["content-encoding"], coding);
    }
}

#[tokio::test]
async fn the_limit_counts_decoded_bytes() {
    const LIMIT: usize = 100_000;
    let settings = || HttpSettings::new().max_body(LIMIT);
    let fits = vec![b' '; LIMIT];
    let answered = answer(settings(), &["gzip"], gzip(&fits)).await.unwrap();
    assert_eq!(answered.body().len(), LIMIT);

    let bomb = vec![b' '; 8 * 1024 * 1024];
    for (codings, body) in [
        (&["gzip"][..], gzip(&bomb)),
        (&["deflate"], zlib(&bomb)),
        (&["gzip"], gzip(&vec![b' '; LIMIT + 1])),
        (&["gzip, gzip"], gzip(&gzip(&bomb))),
        (&[], gzip(&bomb)),
    ] {
        assert!(body.len() < LIMIT);
        let error = answer(settings(), codings, body).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{codings:?}");
        assert!(error.message().contains("larger"), "{error}");
        assert_eq!(error.vendor().unwrap().status, Some(200));
    }
}
