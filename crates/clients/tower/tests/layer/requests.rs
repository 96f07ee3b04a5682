use biped_core::ErrorKind;
use biped_tower::{TokenLayer, token_error};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Empty;
use tower::{Layer, ServiceExt};

use crate::stage::{Api, Pieces, Stage};

fn fine() -> Response<Pieces> {
    Response::new(Pieces::default())
}

fn get(uri: Uri) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    request
}

#[tokio::test]
async fn a_path_is_completed_and_a_whole_uri_left_alone() {
    let stage = Stage::new();
    let uris = [
        "/v1/a?b=c",
        "/",
        "/v1/../../b",
        "//other.example/x",
        "https://api.example/v1/a%20b?c",
    ];
    let api = Api::new(uris.map(|_| fine()));
    let client = TokenLayer::new(stage.source).layer(api.clone());
    for uri in uris {
        client
            .clone()
            .oneshot(get(uri.parse().unwrap()))
            .await
            .unwrap();
    }
    let expected = [
        "https://api.example/eu/v1/a?b=c",
        "https://api.example/eu/",
        "https://api.example/eu/b",
        "https://api.example/eu//other.example/x",
        "https://api.example/v1/a%20b?c",
    ];
    assert_eq!(
        api.seen(),
        expected.map(|uri| format!("{uri} Bearer token-1"))
    );
}

#[tokio::test]
async fn nothing_leaves_the_origin_or_is_sent_to_no_address() {
    let stage = Stage::new();
    let api = Api::new([]);
    let client = TokenLayer::new(stage.source).layer(api.clone());
    for uri in [
        "https://api.example:8443/",
        "http://api.example/",
        "https://api.example.evil.example/",
        "https://me@api.example/",
        "api.example:443",
        "*",
    ] {
        let error = client
            .clone()
            .oneshot(get(uri.parse().unwrap()))
            .await
            .unwrap_err();
        let error = token_error(&*error).unwrap_or_else(|| panic!("{uri}: {error}"));
        assert_eq!(error.kind(), ErrorKind::Configuration, "{uri}");
    }
    assert!(api.seen().is_empty());
}

#[tokio::test]
async fn the_services_own_error_comes_as_it_is() {
    let stage = Stage::new();
    let client = TokenLayer::new(stage.source).layer(Api::new([]));
    let error = client.oneshot(get("/".parse().unwrap())).await.unwrap_err();
    assert_eq!(error.to_string(), "no answer");
    assert!(token_error(&*error).is_none());
}

#[tokio::test]
async fn what_a_service_takes_is_the_callers_choice() {
    let stage = Stage::new();
    let api = Api::new([fine()]);
    let count = tower::service_fn({
        let api = api.clone();
        move |request: Request<Option<biped_tower::Body>>| {
            api.clone().oneshot(request.map(Option::unwrap))
        }
    });
    let client = TokenLayer::new(stage.source)
        .request_body(Some)
        .layer(count);
    client.oneshot(get("/".parse().unwrap())).await.unwrap();
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test]
async fn no_token_is_shown() {
    let stage = Stage::new().with_a_token().await;
    let layer = TokenLayer::new(stage.source);
    let shown = format!("{layer:?} {:?}", layer.layer("client"));
    assert!(!shown.contains("token-1"), "{shown}");
    assert!(!shown.contains("the-secret"), "{shown}");
}
