use biped_core::PEEK_TIME;
use biped_testing::settle;
use biped_tower::TokenLayer;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::oneshot;
use tower::{Layer, ServiceExt};

use crate::stage::{Api, Pieces, Stage, Trickle};

fn call() -> Request<Full<Bytes>> {
    Request::post("/pkg.Shop/Orders")
        .body(Full::from("message"))
        .unwrap()
}

fn headers_say(status: &str) -> Response<Pieces> {
    Response::builder()
        .header("grpc-status", status)
        .body(Pieces::default())
        .unwrap()
}

fn trailers_say(status: &'static str) -> Response<Pieces> {
    Response::new(
        Pieces::default()
            .data("order")
            .trailer("grpc-status", status),
    )
}

const FIRST: &str = "https://api.example/eu/pkg.Shop/Orders Bearer token-1";
const SECOND: &str = "https://api.example/eu/pkg.Shop/Orders Bearer token-2";

#[tokio::test]
async fn unauthenticated_in_headers_replaces_the_token_and_sends_the_call_again() {
    let stage = Stage::new().with_a_token().await;
    let api = Api::new([headers_say("16"), trailers_say("0")]);
    let client = TokenLayer::new(stage.source).grpc().layer(api.clone());
    let response = client.oneshot(call()).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "order");
    assert_eq!(api.seen(), [FIRST, SECOND]);
}

#[tokio::test]
async fn unauthenticated_twice_is_the_callers() {
    let stage = Stage::new().with_a_token().await;
    let api = Api::new([headers_say("16"), headers_say("16")]);
    let client = TokenLayer::new(stage.source).grpc().layer(api.clone());
    let response = client.oneshot(call()).await.unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["grpc-status"]
        ),
        (200, &"16".parse().unwrap())
    );
    assert_eq!(api.seen(), [FIRST, SECOND]);
}

#[tokio::test]
async fn unauthenticated_in_trailers_before_any_message_sends_the_call_again() {
    let stage = Stage::new().with_a_token().await;
    let at_once = Response::new(Pieces::default().trailer("grpc-status", "16"));
    let api = Api::new([at_once, trailers_say("0")]);
    let client = TokenLayer::new(stage.source).grpc().layer(api.clone());
    let response = client.oneshot(call()).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "order");
    assert_eq!(api.seen(), [FIRST, SECOND]);
}

#[tokio::test]
async fn trailers_before_any_message_are_the_callers_and_judged_as_headers_are() {
    for challenge in ["error=\"insufficient_scope\"", "error=\"invalid_token\""] {
        let stage = Stage::new().with_a_token().await;
        let trailers = || {
            let trailers = Pieces::default().trailers(&[
                ("grpc-status", "16"),
                ("www-authenticate", &format!("Bearer {challenge}")),
            ]);
            Response::new(trailers)
        };
        let api = Api::new([trailers(), trailers()]);
        let client = TokenLayer::new(stage.source.clone())
            .grpc()
            .layer(api.clone());
        let response = client.oneshot(call()).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "16");
        let is_replayed = challenge.contains("invalid_token");
        assert_eq!(api.seen(), &[FIRST, SECOND][..1 + usize::from(is_replayed)]);
        assert_eq!(stage.vendor.count(), 1 + usize::from(is_replayed));
    }
}

#[tokio::test]
async fn a_stream_whose_first_message_takes_long_is_handed_over_whole() {
    let stage = Stage::new().with_a_token().await;
    let (first, message) = oneshot::channel();
    let api = Api::new([Response::new(
        Pieces::default().after(message).data("order"),
    )]);
    let client = TokenLayer::new(stage.source).grpc().layer(api.clone());
    let calling = tokio::spawn(client.oneshot(call()));
    settle().await;
    assert!(!calling.is_finished());
    stage.clock.advance(PEEK_TIME);
    let response = calling.await.unwrap().unwrap();
    first.send(()).unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "order"
    );
}

#[tokio::test]
async fn a_stream_in_both_directions_is_not_waited_for() {
    let stage = Stage::new().with_a_token().await;
    let (first, message) = oneshot::channel();
    let api = Api::new([Response::new(
        Pieces::default().after(message).data("order"),
    )]);
    let client = TokenLayer::new(stage.source).grpc().layer(api.clone());
    let stream = call().map(|_| Trickle::new("messages"));
    let response = client.oneshot(stream).await.unwrap();
    first.send(()).unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "order"
    );
}

#[tokio::test]
async fn unauthenticated_in_trailers_replaces_the_token_for_the_next_call() {
    let stage = Stage::new().with_a_token().await;
    let api = Api::new([trailers_say("16"), trailers_say("0")]);
    let client = TokenLayer::new(stage.source.clone())
        .grpc()
        .layer(api.clone());

    let response = client.clone().oneshot(call()).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "16");
    assert_eq!(body.to_bytes(), "order");
    client.oneshot(call()).await.unwrap();
    assert_eq!(api.seen(), [FIRST, SECOND]);
    assert_eq!(stage.vendor.count(), 2);
}

#[tokio::test]
async fn a_stream_of_requests_is_not_sent_again_but_the_next_call_is_right() {
    let stage = Stage::new().with_a_token().await;
    let api = Api::new([headers_say("16"), headers_say("0")]);
    let client = TokenLayer::new(stage.source).grpc().layer(api.clone());
    let stream = call().map(|_| Trickle::new("messages"));
    let response = client.clone().oneshot(stream).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "16");
    client.oneshot(call()).await.unwrap();
    assert_eq!(api.seen(), [FIRST, SECOND]);
}

#[tokio::test]
async fn any_other_status_says_nothing_of_the_token() {
    let stage = Stage::new().with_a_token().await;
    let api = Api::new([
        headers_say("7"),
        trailers_say("7"),
        headers_say("116"),
        headers_say("0"),
    ]);
    let client = TokenLayer::new(stage.source).grpc().layer(api.clone());
    for _ in 0..4 {
        let response = client.clone().oneshot(call()).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(api.seen(), [FIRST; 4]);
}

#[tokio::test]
async fn without_the_option_grpc_means_nothing() {
    let stage = Stage::new().with_a_token().await;
    let api = Api::new([headers_say("16"), trailers_say("16"), headers_say("0")]);
    let client = TokenLayer::new(stage.source).layer(api.clone());
    for _ in 0..3 {
        let response = client.clone().oneshot(call()).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(api.seen(), [FIRST; 3]);
}

#[tokio::test]
async fn what_the_vendor_says_of_a_401_holds_for_unauthenticated_too() {
    let stage = Stage::new().with_a_token().await;
    let mut insufficient = headers_say("16");
    let challenge = r#"Bearer error="insufficient_scope""#.parse().unwrap();
    insufficient
        .headers_mut()
        .insert("www-authenticate", challenge);
    let api = Api::new([insufficient, headers_say("0")]);
    let client = TokenLayer::new(stage.source).grpc().layer(api.clone());
    for _ in 0..2 {
        client.clone().oneshot(call()).await.unwrap();
    }
    assert_eq!(api.seen(), [FIRST; 2]);
}
