//! Blocking calls, and where they can't be made.
#![cfg(feature = "blocking")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{io::Read, sync::Arc, thread};

use biped::{
    Biped, ErrorKind, ExposeSecret, TokenSource, blocking, provider::async_trait, token_error,
};
use biped_testing::{
    Reply, ScriptedHttp, TestProvider,
    api::{
        TestApi,
        matrix::{Call, Failure, Integration, Payload},
    },
};
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::oneshot;

struct Blocking(blocking::ApiClient);

fn over_threads(source: TokenSource) -> Blocking {
    let client = biped::ApiClient::new(source).unwrap();
    Blocking(blocking::ApiClient::new(client).unwrap())
}

#[async_trait]
impl Integration for Blocking {
    async fn call(&self, call: Call) -> Result<u16, Failure> {
        let client = self.0.clone();
        let (done, outcome) = oneshot::channel();
        thread::spawn(move || done.send(make(&client, call)));
        outcome.await.expect("the thread ended without an outcome")
    }
}

fn make(client: &blocking::ApiClient, call: Call) -> Result<u16, Failure> {
    let request = client.request(call.method, &call.target);
    let request = match call.body {
        Payload::Empty => request,
        Payload::Whole(text) => request.body(text),
        Payload::Stream(text) => {
            request.body(biped::reqwest::reqwest::Body::wrap(Stream(Some(text))))
        }
        other => return Err(Failure::Other(format!("cannot send {other:?}"))),
    };
    let response = request.send().map_err(|error| match token_error(&error) {
        Some(error) => Failure::Token(error.clone()),
        None => Failure::Other(error.to_string()),
    })?;
    let status = response.status().as_u16();
    response
        .bytes()
        .map_err(|error| Failure::Other(error.to_string()))?;
    Ok(status)
}

/// A body that reqwest doesn't know to be all there.
struct Stream(Option<&'static str>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let text = self.0.take();
        std::task::Poll::Ready(text.map(|text| Ok(Frame::data(text.into()))))
    }
}

biped_testing::api_matrix!(over_threads);

/// A vendor named `shop` whose token endpoint is scripted.
fn shop(base: &str) -> blocking::Biped {
    let vendor = ScriptedHttp::new();
    vendor.answer_with(|number, _| Reply::token(&format!("token-{number}"), 3600));
    let base = base.to_owned();
    let kind =
        biped::provider::ProviderKind::new("test", move |_| Ok(Arc::new(TestProvider::default())));
    let biped = Biped::builder()
        .without_environment()
        .provider_kind(kind)
        .http_client(Arc::new(vendor))
        .toml(format!(
            "[providers.shop]\nkind = \"test\"\napi_base_url = \"{base}\""
        ))
        .build()
        .unwrap();
    blocking::Biped::new(biped).unwrap()
}

#[test]
fn a_thread_gets_tokens_and_answers() {
    let server = tokio::runtime::Runtime::new().unwrap();
    let api = server.block_on(TestApi::start()).unwrap();
    let biped = shop(api.url());
    let token = biped.token("shop").unwrap();
    assert_eq!(token.expose_secret(), "token-1");

    let client = biped.client("shop").unwrap();
    let response = client
        .post("/v1/orders")
        .query(&[("dry", "run")])
        .header("x-trace", "1")
        .json(&serde_json::json!([7]))
        .send()
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(
        response.error_for_status().unwrap().json().unwrap(),
        serde_json::json!({})
    );
    let mut text = String::new();
    let response = client.get("/v1/orders").send().unwrap();
    response.reader().read_to_string(&mut text).unwrap();
    assert_eq!(
        text,
        client.get("/v1/orders").send().unwrap().text().unwrap()
    );

    let seen = &api.seen()[0];
    assert_eq!(
        (&*seen.path, &*seen.body),
        ("/v1/orders?dry=run", &b"[7]"[..])
    );
    let inspection = biped
        .wait(client.token_source().inspect())
        .unwrap()
        .unwrap();
    assert!(inspection.is_none());
}

#[test]
fn a_status_that_tells_of_an_error_is_one_when_asked_for() {
    let server = tokio::runtime::Runtime::new().unwrap();
    let api = server.block_on(TestApi::start()).unwrap();
    for number in 1..=3 {
        api.reject(&format!("token-{number}"));
    }
    let client = shop(api.url()).client("shop").unwrap();
    let response = client.get("/v1/orders").send().unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.error_for_status().is_err());
}

#[test]
fn threads_share_a_fetch() {
    let server = tokio::runtime::Runtime::new().unwrap();
    let api = server.block_on(TestApi::start()).unwrap();
    let biped = shop(api.url());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let biped = biped.clone();
            thread::spawn(move || biped.token("shop").unwrap().expose_secret().to_owned())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), "token-1");
    }
}

#[tokio::test]
async fn inside_a_runtime_every_call_is_an_error() {
    let api = TestApi::start().await.unwrap();
    let biped = shop(api.url());
    let client = biped.client("shop").unwrap();
    let errors = [
        biped.token("shop").unwrap_err(),
        client.token().unwrap_err(),
        biped.wait(async {}).unwrap_err(),
        token_error(&client.get("/").send().unwrap_err())
            .unwrap()
            .clone(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    let elsewhere = thread::spawn({
        let client = client.clone();
        move || client.get("/").send().unwrap()
    });
    let response = tokio::task::spawn_blocking(|| elsewhere.join().unwrap())
        .await
        .unwrap();
    let error = response.reader().read(&mut [0]).unwrap_err();
    assert_eq!(
        token_error(&error).unwrap().kind(),
        ErrorKind::Configuration
    );
}

#[tokio::test]
async fn it_can_be_dropped_anywhere() {
    let api = TestApi::start().await.unwrap();
    let biped = shop(api.url());
    let other = biped.clone();
    let token = thread::spawn(move || other.token("shop").unwrap());
    let token = tokio::task::spawn_blocking(|| token.join().unwrap())
        .await
        .unwrap();
    drop(biped);
    assert_eq!(token.expose_secret(), "token-1");
}
