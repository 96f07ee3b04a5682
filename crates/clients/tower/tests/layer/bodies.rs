use biped_core::{
    ApiRequest, ApiResponse, AttachContext, Error, FetchContext, Provider, ProviderId, Token,
    TokenRequest, Verdict, async_trait,
};
use biped_tower::{BoxError, READ_AHEAD, TokenLayer};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt};

use crate::stage::{Api, Pieces, Stage, Trickle};

fn answering(status: u16) -> Response<Pieces> {
    Response::builder()
        .status(status)
        .body(Pieces::default())
        .unwrap()
}

#[tokio::test]
async fn a_body_in_pieces_that_are_all_there_is_sent_again_with_its_trailers() {
    let stage = Stage::new().with_a_token().await;
    let api = Api::new([answering(401), answering(200)]);
    let client = TokenLayer::new(stage.source).layer(api.clone());
    let body = Pieces::default()
        .data("one ")
        .data("two")
        .trailer("sum", "3");
    client
        .oneshot(Request::post("/").body(body).unwrap())
        .await
        .unwrap();
    let seen = api.take_seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        let body = request.into_body();
        assert_eq!(
            body.size_hint().exact(),
            None,
            "its length was not announced"
        );
        let body = body.collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["sum"], "3");
        assert_eq!(body.to_bytes(), "one two");
    }
}

#[tokio::test]
async fn bytes_of_any_length_are_sent_again_and_announced() {
    let stage = Stage::new().with_a_token().await;
    let api = Api::new([answering(401), answering(200)]);
    let client = TokenLayer::new(stage.source).layer(api.clone());
    let long = Bytes::from(vec![7; 3 * READ_AHEAD]);
    let request = Request::post("/").body(Full::new(long.clone())).unwrap();
    client.oneshot(request).await.unwrap();
    let seen = api.take_seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        let body = request.into_body();
        assert_eq!(body.size_hint().exact(), Some(long.len() as u64));
        assert_eq!(body.collect().await.unwrap().to_bytes(), long);
    }
}

#[tokio::test]
async fn a_long_body_in_pieces_streams() {
    let stage = Stage::new().with_a_token().await;
    let api = Api::new([answering(401)]);
    let client = TokenLayer::new(stage.source).layer(api.clone());
    let piece = "0123456789abcdef".repeat(2048).leak();
    let body = (0..8).fold(Pieces::default(), |body, _| body.data(piece));
    let response = client
        .oneshot(Request::post("/").body(body).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
    let [request] = <[_; 1]>::try_from(api.take_seen()).unwrap();
    let body = request.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), piece.repeat(8));
}

#[tokio::test]
async fn a_stream_arrives_whole() {
    let stage = Stage::new();
    let api = Api::new([answering(200)]);
    let client = TokenLayer::new(stage.source).layer(api.clone());
    let request = Request::post("/").body(Trickle::new("slow")).unwrap();
    client.oneshot(request).await.unwrap();
    let [request] = <[_; 1]>::try_from(api.take_seen()).unwrap();
    assert_eq!(
        request.into_body().collect().await.unwrap().to_bytes(),
        "slow"
    );
}

/// A vendor that signs requests, and rejects a token in the body of its response.
#[derive(Debug)]
struct Signing(ProviderId);

#[async_trait]
impl Provider for Signing {
    fn id(&self) -> &ProviderId {
        &self.0
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let token = if cx.now().unix_seconds() % 3600 == 0 {
            "token-1"
        } else {
            "token-2"
        };
        Token::new(token, cx.now()).build()
    }

    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        _: &AttachContext<'_>,
    ) -> Result<(), Error> {
        let signature = match request.body() {
            Some(body) => format!("{} {}", request.url().path(), body.len()),
            None => "unsigned".into(),
        };
        let headers = request.headers_mut();
        headers.insert("signature", signature.parse().unwrap());
        headers.insert("authorization", token.header().clone());
        Ok(())
    }

    fn judge(&self, response: &ApiResponse<'_>) -> Verdict {
        match response.body() {
            None => Verdict::NeedsBody { limit: 64 },
            Some(b"{\"error\":\"expired\"}") => Verdict::Rejected,
            Some(_) => Verdict::Accepted,
        }
    }
}

fn json(body: Pieces) -> Response<Pieces> {
    Response::builder()
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

/// More than is worth reading.
const LONG: &str = "1111111111, 2222222222, 3333333333, 4444444444, 5555555555]}";

fn signing() -> Signing {
    Signing(ProviderId::new(
        "signing",
        "https://login.example/token",
        "client",
    ))
}

#[tokio::test]
async fn a_vendor_signs_what_is_in_memory() {
    let stage = Stage::of(signing());
    let api = Api::new([answering(200), answering(200)]);
    let client = TokenLayer::new(stage.source).layer(api.clone());
    let whole = Request::post("/v1/orders")
        .body(Full::<Bytes>::from("seven"))
        .unwrap();
    client.clone().oneshot(whole).await.unwrap();
    let stream = Request::post("/v1/orders")
        .body(Trickle::new("seven"))
        .unwrap();
    client.oneshot(stream).await.unwrap();
    let seen = api.take_seen();
    assert_eq!(seen[0].headers()["signature"], "/eu/v1/orders 5");
    assert_eq!(seen[1].headers()["signature"], "unsigned");
}

#[tokio::test]
async fn an_answer_is_read_ahead_where_its_body_tells_of_a_rejection() {
    let stage = Stage::of(signing()).with_a_token().await;
    let expired = Pieces::default().data("{\"error\":").data("\"expired\"}");
    let fine = Pieces::default().data("{\"orders\":").data("[]}");
    let long = Pieces::default().data("{\"orders\":[").data(LONG).data(" ");
    let api = Api::new([json(expired), json(fine), json(long)]);
    let client = TokenLayer::new(stage.source).layer(api.clone());
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let request = Request::get("/").body(Full::<Bytes>::default()).unwrap();
        let response = client.clone().oneshot(request).await.unwrap();
        bodies.push(response.into_body().collect().await.unwrap().to_bytes());
    }
    assert_eq!(bodies[0], "{\"orders\":[]}");
    assert_eq!(bodies[1], format!("{{\"orders\":[{LONG} "));
    let tokens = ["token-1", "token-2", "token-2"];
    assert_eq!(
        api.seen(),
        tokens.map(|token| format!("https://api.example/eu/ Bearer {token}"))
    );
}

#[tokio::test]
async fn a_body_that_fails_does_so_where_it_is_read() {
    let stage = Stage::of(signing()).with_a_token().await;
    let cut_off = || Pieces::default().data("{\"error\":").failing();
    let api = Api::new([json(cut_off())]);
    let client = TokenLayer::new(stage.source).layer(api.clone());
    let request = Request::post("/").body(cut_off()).unwrap();
    let response = client.oneshot(request).await.unwrap();
    let sent = api.take_seen().remove(0).into_body();
    assert_eq!(until_it_fails(response.into_body()).await, "{\"error\":");
    assert_eq!(until_it_fails(sent).await, "{\"error\":");
}

/// What comes before the body's error.
async fn until_it_fails(body: impl http_body::Body<Data = Bytes, Error = BoxError>) -> String {
    let mut body = std::pin::pin!(body);
    let mut read = String::new();
    loop {
        match body.frame().await.expect("it ended well") {
            Ok(frame) => read += std::str::from_utf8(frame.data_ref().unwrap()).unwrap(),
            Err(error) => {
                assert_eq!(error.to_string(), "cut off");
                return read;
            }
        }
    }
}
