//! gRPC through a listener of its provider's own.

use std::{convert::Infallible, net::SocketAddr};

use biped_serve::{Running, Server};
use biped_testing::TimeLimit;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::SendRequest,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::mpsc};

use crate::{
    http2::{Body, body, connect},
    stage::{address, biped},
    vendor::{Act, Vendor, reply, token},
};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");

type Part = Result<Frame<Bytes>, Infallible>;

fn data(text: &'static str) -> Part {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn trailers(status: &'static str) -> Part {
    let status = (STATUS, HeaderValue::from_static(status));
    Ok(Frame::trailers(HeaderMap::from_iter([status])))
}

/// A body whose frames are sent through the returned channel.
fn channel() -> (mpsc::Sender<Part>, Body) {
    let (send, mut receive) = mpsc::channel::<Part>(1);
    let stream = futures_util::stream::poll_fn(move |cx| receive.poll_recv(cx));
    (send, StreamBody::new(stream).boxed())
}

/// A gRPC server. It refuses the first token, in the way that the method is named for; else it does what
/// the method is named for.
async fn serve(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (parts, mut incoming) = request.into_parts();
    let is_first = parts.headers["authorization"] == "Bearer token-1";
    // As gRPC's own servers do: a proxy that drops it might drop trailers as well.
    if parts.headers.get("te").is_none_or(|te| te != "trailers") {
        let mut response = Response::new(body(""));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    }
    let (send, answer) = channel();
    let mut response = Response::new(answer);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    let method = parts.uri.path().rsplit('/').next().unwrap().to_owned();
    if is_first && method == "InHeaders" {
        let status = HeaderValue::from_static("16");
        response.headers_mut().insert(STATUS, status);
        return Ok(response);
    }
    tokio::spawn(async move {
        match &*method {
            "Early" if is_first => drop(send.send(trailers("16")).await),
            "Late" if is_first => {
                let _ = send.send(data("half")).await;
                let _ = send.send(trailers("16")).await;
            }
            // One message after another, once the request has ended.
            "Many" => {
                let whole = incoming.collect().await.unwrap().to_bytes();
                for _ in 0..3 {
                    let _ = send.send(Ok(Frame::data(whole.clone()))).await;
                }
                let _ = send.send(trailers("0")).await;
            }
            // A single message, once the request has ended.
            "Collect" => {
                let whole = incoming.collect().await.unwrap().to_bytes();
                let _ = send.send(Ok(Frame::data(whole))).await;
                let _ = send.send(trailers("0")).await;
            }
            // Each message as it comes.
            _ => {
                while let Some(Ok(frame)) = incoming.frame().await {
                    if let Ok(message) = frame.into_data() {
                        let _ = send.send(Ok(Frame::data(message))).await;
                    }
                }
                let _ = send.send(trailers("0")).await;
            }
        }
    });
    Ok(response)
}

/// A vendor, and a sidecar for that server at an address of its own.
struct Grpc {
    vendor: Vendor,
    running: Running,
    at: SocketAddr,
    _limit: TimeLimit,
}

impl Grpc {
    async fn new() -> Self {
        let limit = TimeLimit::start();
        let vendor = Vendor::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                // As many servers do.
                builder.max_concurrent_streams(100);
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service_fn(serve)));
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
        let shown = running.addresses().remove(1);
        Self {
            at: address(shown.strip_prefix("echo ").unwrap()),
            vendor,
            running,
            _limit: limit,
        }
    }

    async fn connect(&self) -> SendRequest<Body> {
        connect(self.at).await
    }
}

fn call(method: &str, body: Body) -> Request<Body> {
    Request::post(format!("http://localhost/echo.Echo/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

/// What a caller got: the headers, the messages, and the status wherever it is.
async fn answer(
    sender: &mut SendRequest<Body>,
    request: Request<Body>,
) -> (HeaderMap, String, String) {
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let (parts, body) = answer.into_parts();
    let whole = body.collect().await.unwrap();
    let all = whole.trailers().unwrap_or(&parts.headers);
    let status = all[STATUS].to_str().unwrap().to_owned();
    let text = String::from_utf8(whole.to_bytes().to_vec()).unwrap();
    (parts.headers, text, status)
}

fn was_replayed(headers: &HeaderMap) -> bool {
    headers.get("biped-replayed").is_some_and(|it| it == "1")
}

#[tokio::test]
async fn a_call_whose_token_is_rejected_before_any_message_is_replayed() {
    for method in ["InHeaders", "Early"] {
        let stage = Grpc::new().await;
        let mut sender = stage.connect().await;
        let (headers, text, status) = answer(&mut sender, call(method, body("message"))).await;
        assert!(was_replayed(&headers), "{method}: {headers:?}");
        assert_eq!((&*text, &*status), ("message", "0"), "{method}");
        assert_eq!(stage.vendor.fetches(), 2, "{method}");
    }
}

#[tokio::test]
async fn a_token_that_is_rejected_after_a_message_is_replaced_for_the_next_call() {
    let stage = Grpc::new().await;
    let mut sender = stage.connect().await;
    let (headers, text, status) = answer(&mut sender, call("Late", body("message"))).await;
    // The messages are the caller's already.
    assert!(!was_replayed(&headers), "{headers:?}");
    assert_eq!((&*text, &*status), ("half", "16"));
    let (headers, text, status) = answer(&mut sender, call("Late", body("message"))).await;
    assert!(!was_replayed(&headers), "{headers:?}");
    assert_eq!((&*text, &*status), ("message", "0"));
    assert_eq!(stage.vendor.fetches(), 2);
}

#[tokio::test]
async fn a_stream_of_messages_whose_token_is_rejected_is_not_replayed_and_the_next_one_serves() {
    for method in ["InHeaders", "Early"] {
        let stage = Grpc::new().await;
        let mut sender = stage.connect().await;
        let (send, messages) = channel();
        send.send(data("one")).await.unwrap();
        let (headers, text, status) = answer(&mut sender, call(method, messages)).await;
        assert!(!was_replayed(&headers), "{method}: {headers:?}");
        assert_eq!((&*text, &*status), ("", "16"), "{method}");
        drop(send);
        let (_, text, status) = answer(&mut sender, call(method, body("two"))).await;
        assert_eq!((&*text, &*status), ("two", "0"), "{method}");
        assert_eq!(stage.vendor.fetches(), 2, "{method}");
    }
}

#[tokio::test]
async fn more_calls_at_once_than_a_connection_takes_get_another_one() {
    let stage = Grpc::new().await;
    stage.vendor.tokens(|_| token("good", 3600));
    let mut sender = stage.connect().await;
    let mut open = Vec::new();
    for _ in 0..150 {
        let (send, messages) = channel();
        let answer = sender.send_request(call("Echo", messages)).await.unwrap();
        assert_eq!(answer.status(), 200);
        open.push((send, answer));
    }
    for (send, answer) in open {
        send.send(data("message")).await.unwrap();
        drop(send);
        let whole = answer.into_body().collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()[STATUS], "0");
    }
}

#[tokio::test]
async fn a_bidirectional_stream_starts_before_the_request_ends() {
    let stage = Grpc::new().await;
    stage.vendor.tokens(|_| token("good", 3600));
    let mut sender = stage.connect().await;
    let (send, messages) = channel();
    send.send(data("one")).await.unwrap();
    let answer = sender.send_request(call("Echo", messages)).await.unwrap();
    let mut answer = answer.into_body();
    for (said, next) in [("one", Some("two")), ("two", None)] {
        let heard = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(heard, said);
        if let Some(next) = next {
            send.send(data(next)).await.unwrap();
        }
    }
    drop(send);
    let end = answer.frame().await.unwrap().unwrap();
    assert_eq!(end.into_trailers().unwrap()[STATUS], "0");
}

#[tokio::test]
async fn a_server_or_a_client_may_send_many_messages() {
    let stage = Grpc::new().await;
    stage.vendor.tokens(|_| token("good", 3600));
    let mut sender = stage.connect().await;
    let (_, text, status) = answer(&mut sender, call("Many", body("m"))).await;
    assert_eq!((&*text, &*status), ("mmm", "0"));

    let (send, messages) = channel();
    let sending = async {
        for message in ["a", "b", "c"] {
            send.send(data(message)).await.unwrap();
        }
        drop(send);
    };
    let (_, told) = tokio::join!(sending, answer(&mut sender, call("Collect", messages)));
    assert_eq!((&*told.1, &*told.2), ("abc", "0"));
}

#[tokio::test]
async fn what_the_sidecar_answers_itself_is_a_grpc_status() {
    let stage = Grpc::new().await;
    stage
        .vendor
        .tokens(|_| Act::Reply(reply("429 Too Many Requests", "Retry-After: 30\r\n", "")));
    let mut sender = connect(address(&stage.running.addresses()[0])).await;
    for (path, expected) in [("/nope/x", "12"), ("/echo/x", "14")] {
        let mut request = call("Say", body("x"));
        *request.uri_mut() = format!("http://localhost{path}").parse().unwrap();
        let (headers, text, status) = answer(&mut sender, request).await;
        assert_eq!((&*text, &*status), ("", expected));
        assert!(headers.contains_key("proxy-status"));
    }
}
