//! HTTP/2 by prior knowledge, and gRPC.

use std::{convert::Infallible, net::SocketAddr};

use biped_serve::{Running, Server};
use biped_testing::TimeLimit;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::SendRequest,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    stage::{Stage, biped},
    vendor::{Act, Vendor, reply},
};

type Body = BoxBody<Bytes, Infallible>;

async fn connect(address: SocketAddr) -> SendRequest<Body> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

fn body(text: &str) -> Body {
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
    let request = Request::get("http://evil.example/shop/x")
        .body(body(""))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 421);
    assert_eq!(stage.vendor.got().len(), 20);
}

/// A gRPC server that refuses the first token, and sends every message back as it comes.
async fn echo(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (parts, mut incoming) = request.into_parts();
    let is_first = parts.headers["authorization"] == "Bearer token-1";
    let mut response = Response::new(body(""));
    // As gRPC's own servers do: a proxy that drops it might drop trailers as well.
    if parts.headers.get("te").is_none_or(|te| te != "trailers") {
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        return Ok(response);
    }
    let kind = HeaderValue::from_static("application/grpc");
    if is_first {
        response
            .headers_mut()
            .insert("grpc-status", HeaderValue::from_static("16"));
        response.headers_mut().insert("content-type", kind);
        return Ok(response);
    }
    let (send, mut receive) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    tokio::spawn(async move {
        while let Some(Ok(frame)) = incoming.frame().await {
            if let Ok(data) = frame.into_data() {
                let _ = send.send(Ok(Frame::data(data))).await;
            }
        }
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]);
        let _ = send.send(Ok(Frame::trailers(trailers))).await;
    });
    let stream = futures_util::stream::poll_fn(move |cx| receive.poll_recv(cx));
    let mut response = Response::new(StreamBody::new(stream).boxed());
    response.headers_mut().insert("content-type", kind);
    Ok(response)
}

/// A sidecar for that server, at an address of its own.
async fn grpc(vendor: &Vendor) -> (Running, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service_fn(echo)));
        }
    });
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\n[serve.providers.echo]\nlisten = ['127.0.0.1:0']\n\
         http2 = 'prior-knowledge'\n[providers.echo]\nkind = 'oauth2'\n\
         token_endpoint = 'http://{}/token'\napi_base_url = 'http://{api}'\nclient_id = 'a'\n\
         client_secret = 'b'\n",
        vendor.address
    );
    let running = Server::new(biped(&toml)).start().await.unwrap();
    let shown = running.addresses()[1]
        .strip_prefix("echo ")
        .unwrap()
        .to_owned();
    (running, crate::stage::address(&shown))
}

fn call(body: Body) -> Request<Body> {
    Request::post("http://localhost/echo.Echo/Say")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

#[tokio::test]
async fn a_grpc_call_is_replayed_and_its_trailers_pass() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let (_running, address) = grpc(&vendor).await;
    let mut sender = connect(address).await;
    let answer = sender.send_request(call(body("message"))).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["biped-replayed"], "1");
    let whole = answer.into_body().collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(whole.to_bytes(), "message");
    assert_eq!(vendor.fetches(), 2);
}

#[tokio::test]
async fn a_bidirectional_stream_starts_before_the_request_ends() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    vendor.tokens(|_| crate::vendor::token("good", 3600));
    let (_running, address) = grpc(&vendor).await;
    let mut sender = connect(address).await;
    let (send, mut receive) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let stream = futures_util::stream::poll_fn(move |cx| receive.poll_recv(cx));
    send.send(Ok(Frame::data(Bytes::from_static(b"one"))))
        .await
        .unwrap();
    let answer = sender
        .send_request(call(StreamBody::new(stream).boxed()))
        .await
        .unwrap();
    let mut answer = answer.into_body();
    for (said, next) in [("one", Some("two")), ("two", None)] {
        let heard = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(heard, said);
        if let Some(next) = next {
            send.send(Ok(Frame::data(Bytes::from_static(next.as_bytes()))))
                .await
                .unwrap();
        }
    }
    drop(send);
    let end = answer
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_trailers()
        .unwrap();
    assert_eq!(end["grpc-status"], "0");
}

#[tokio::test]
async fn what_the_sidecar_answers_itself_is_a_grpc_status() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    vendor.tokens(|_| Act::Reply(reply("429 Too Many Requests", "Retry-After: 30\r\n", "")));
    let (running, _) = grpc(&vendor).await;
    let address = crate::stage::address(&running.addresses()[0]);
    let mut sender = connect(address).await;
    for (path, status) in [("/nope/x", "12"), ("/echo/x", "14")] {
        let mut request = call(body("x"));
        *request.uri_mut() = format!("http://localhost{path}").parse().unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["grpc-status"], status);
        assert!(answer.headers().contains_key("proxy-status"));
        assert!(
            answer
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty()
        );
    }
}
