//! Answers that arrive while the request is still being sent.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use reqwest::{Body, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::TcpStream,
};

use crate::{in_time, servers::raw, vendor::Vendor};

/// More than the buffers of two sockets hold, so that no server has read the whole body.
const LONG: usize = 64 * 1024 * 1024;

const UNAUTHORIZED: &[u8] =
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly";

/// A server that rejects `token-1` in this way, before it reads the body, and accepts any other token.
async fn rejecting<F, Fut>(reject: F) -> String
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let reject = Arc::new(reject);
    raw(move |mut stream, head| {
        let reject = reject.clone();
        async move {
            if head.contains("token-1") {
                stream.write_all(UNAUTHORIZED).await.unwrap();
                reject(stream).await;
            } else {
                accept(stream, &head).await;
            }
        }
    })
    .await
}

async fn accept(mut stream: TcpStream, head: &str) {
    if head.contains("content-length") {
        let body = u64::try_from(LONG).unwrap();
        copy(&mut (&mut stream).take(body), &mut sink())
            .await
            .unwrap();
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
}

/// Servers that answer without reading. None resets the connection: whether an answer before a reset is
/// heard depends on what hyper does first, read or write.
async fn all_servers() -> [String; 2] {
    let stays_open = rejecting(async |stream| {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let half_closes = rejecting(async |mut stream| {
        stream.shutdown().await.unwrap();
        std::future::pending::<()>().await;
    });
    [stays_open.await, half_closes.await]
}

async fn heard(call: impl Future<Output = reqwest_middleware::Result<Response>>) -> Response {
    in_time(call)
        .await
        .expect("the answer counts, not the failed upload")
}

#[tokio::test]
async fn a_rejection_during_an_upload_is_heard_and_the_upload_sent_once_more() {
    for origin in all_servers().await {
        let client = Vendor::new().client(&origin);
        let body = Bytes::from(vec![b'x'; LONG]);
        let response = heard(client.post("/").body(body).send()).await;
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn a_rejection_during_a_stream_is_the_callers_and_replaces_the_token() {
    for origin in all_servers().await {
        let client = Vendor::new().client(&origin);
        let body = Body::wrap(Endless);
        let response = heard(client.post("/").body(body).send()).await;
        assert_eq!(response.status(), 401);
        assert_eq!(response.text().await.unwrap(), "early");
        let response = heard(client.get("/").send()).await;
        assert_eq!(response.status(), 200, "the next call has a new token");
    }
}

struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        let more = Bytes::from_static(&[b'x'; 16 * 1024]);
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(more))))
    }
}
