//! HTTP/2 by prior knowledge.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::stage::Stage;

pub(crate) type Body = BoxBody<Bytes, Infallible>;

pub(crate) async fn connect(address: SocketAddr) -> SendRequest<Body> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) fn body(text: &str) -> Body {
    Full::new(Bytes::from(text.to_owned())).boxed()
}

#[tokio::test]
async fn a_caller_may_speak_http2_on_the_same_port() {
    let stage = Stage::new().await;
    let mut sender = connect(stage.address).await;
    let calls = (0..20).map(|at| {
        let request = Request::post(format!("http://localhost/shop/{at}")).body(body("abc"));
        sender.send_request(request.unwrap())
    });
    for answer in futures_util::future::join_all(calls).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().get("connection").is_none());
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, "hello");
    }
    for got in stage.vendor.got() {
        assert_eq!(got.body, b"abc");
        assert_eq!(got.header("host"), Some(&*stage.vendor.address.to_string()));
    }
    let mut many = Request::get("http://localhost/shop/x");
    for at in 0..=100 {
        many = many.header(format!("x-{at}"), "1");
    }
    let answer = sender.send_request(many.body(body("")).unwrap()).await;
    assert_eq!(answer.unwrap().status(), 431);
    let request = Request::get("http://evil.example/shop/x")
        .body(body(""))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 421);
    assert_eq!(stage.vendor.got().len(), 20);
}
