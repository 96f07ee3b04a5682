//! A call with a token: attach, send, judge, reject, replay.

use std::{
    borrow::Cow,
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use biped_core::{
    ApiRequest, ApiRequestParts, ApiResponse, AttachContext, BaseUrls, Error, ErrorKind,
    FetchContext, PlainHttp, Provider, ProviderId, Token, TokenRequest, Verdict, async_trait,
    judge_by_status,
};
use biped_engine::{BASE_URL_PLACEHOLDER, CachedToken, CallError, TokenSource, Transport, call};
use biped_testing::{Reply, TestProvider, settle};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::{sync::Barrier, task::JoinHandle};
use url::Url;

use crate::{spans::Recorder, stage::Stage};

/// A request in memory; its body is a stream that can't be sent twice, or it isn't.
#[derive(Clone, Debug)]
struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    streams: bool,
}

fn get(path: &str) -> Request {
    let url = if path.starts_with('/') {
        format!("{BASE_URL_PLACEHOLDER}{path}")
    } else {
        path.to_owned()
    };
    Request {
        method: Method::GET,
        url: Url::parse(&url).unwrap(),
        headers: HeaderMap::new(),
        streams: false,
    }
}

fn stream(path: &str) -> Request {
    Request {
        streams: true,
        ..get(path)
    }
}

struct Parts<'r>(&'r mut Request);

impl ApiRequestParts for Parts<'_> {
    fn method(&self) -> &Method {
        &self.0.method
    }
    fn url(&self) -> Cow<'_, Url> {
        Cow::Borrowed(&self.0.url)
    }
    fn set_url(&mut self, url: Url) -> Result<(), Error> {
        self.0.url = url;
        Ok(())
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.0.headers
    }
    fn body(&self) -> Option<&[u8]> {
        (!self.0.streams).then_some(&[])
    }
}

type Response = http::Response<Bytes>;

/// An API in memory: it answers by script, then 200.
#[derive(Default)]
struct Api {
    script: VecDeque<Response>,
    /// Where each request went, and what it carried.
    sent: Vec<(String, String)>,
    peeks: Vec<usize>,
    /// Bodies take too long to be read ahead.
    stalls: bool,
    /// It won't take this token any more.
    revoked: &'static str,
    /// Who carries that token waits here before it is told.
    meets: Option<Arc<Barrier>>,
    /// It takes 15 s over each answer.
    slow: Option<Arc<biped_testing::ManualClock>>,
}

impl Api {
    fn answering(script: impl IntoIterator<Item = Response>) -> Self {
        Self {
            script: script.into_iter().collect(),
            ..Self::default()
        }
    }

    fn tokens(&self) -> Vec<&str> {
        self.sent.iter().map(|(_, token)| &**token).collect()
    }

    fn urls(&self) -> Vec<&str> {
        self.sent.iter().map(|(url, _)| &**url).collect()
    }
}

impl Transport for Api {
    type Request = Request;
    type Response = Response;
    type Error = String;

    fn parts<'r>(&self, request: &'r mut Request) -> impl ApiRequestParts + Send + 'r {
        Parts(request)
    }

    fn duplicate(&self, request: &Request) -> Option<Request> {
        (!request.streams).then(|| request.clone())
    }

    async fn send(&mut self, request: Request, _: &CachedToken) -> Result<Response, String> {
        let tokens: Vec<_> = request.headers.get_all("authorization").iter().collect();
        assert!(tokens.len() <= 1, "one token at a time");
        let token = tokens.first().map_or("", |value| value.to_str().unwrap());
        if let Some(clock) = &self.slow {
            clock.advance(std::time::Duration::from_secs(15));
        }
        let token = token.trim_start_matches("Bearer ");
        self.sent.push((request.url.to_string(), token.to_owned()));
        if !self.revoked.is_empty() && token == self.revoked {
            if let Some(meets) = &self.meets {
                meets.wait().await;
            }
            return Ok(status(401));
        }
        Ok(self.script.pop_front().unwrap_or_default())
    }

    fn seen<'r>(&self, response: &'r Response) -> (StatusCode, &'r HeaderMap, Option<&'r Url>) {
        (response.status(), response.headers(), None)
    }

    async fn peek(
        &mut self,
        response: Response,
        limit: usize,
        deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> (Response, Option<Bytes>) {
        self.peeks.push(limit);
        if self.stalls {
            deadline.await;
            return (response, None);
        }
        let body = (response.body().len() <= limit).then(|| response.body().clone());
        (response, body)
    }
}

fn status(status: u16) -> Response {
    http::Response::builder()
        .status(status)
        .body(Bytes::from_static(b"the API's own words"))
        .unwrap()
}

fn stage() -> (Stage, TokenSource) {
    let stage = Stage::new();
    stage
        .http
        .answer_with(|number, _| Reply::token(&format!("t-{number}"), 3600));
    let source = at(&stage.source_of(naming()), "https://api.example/v1");
    (stage, source)
}

/// A provider whose vendor names these.
fn naming() -> TestProvider {
    let hosts = ["eu.example", "eu.api.example", "old.example", "new.example"];
    let endpoint = Url::parse("https://login.example/token").unwrap();
    TestProvider::default().naming(BaseUrls::at(&hosts, &endpoint))
}

fn at(source: &TokenSource, base_url: &str) -> TokenSource {
    source
        .clone()
        .with_api_base_url(Some(Url::parse(base_url).unwrap()))
}

/// The token has been in use for a while.
async fn in_use(stage: &Stage, source: &TokenSource) {
    source.token().await.unwrap();
    stage.advance(30.0);
}

fn token_error(outcome: Result<Response, CallError<String>>) -> Error {
    match outcome {
        Err(CallError::Token(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_relative_path_goes_below_the_base_url() {
    let _limit = biped_testing::TimeLimit::start();
    let (_stage, source) = stage();
    for (base, path, expected) in [
        (
            "https://api.example",
            "/a/b?c=d",
            "https://api.example/a/b?c=d",
        ),
        ("https://api.example/v1", "/a", "https://api.example/v1/a"),
        (
            "https://api.example/v1/",
            "/a/",
            "https://api.example/v1/a/",
        ),
        (
            "https://api.example/v1",
            "//evil.example/x",
            "https://api.example/v1//evil.example/x",
        ),
        (
            "https://api.example/v1",
            "/../../x",
            "https://api.example/v1/x",
        ),
        (
            "https://api.example/v1",
            "/%2e%2e/x",
            "https://api.example/v1/x",
        ),
        (
            "https://api.example/v1",
            "/\\evil.example",
            "https://api.example/v1//evil.example",
        ),
    ] {
        let mut api = Api::default();
        call(&at(&source, base), get(path), &mut api).await.unwrap();
        assert_eq!(api.urls(), [expected]);
        assert_eq!(api.tokens(), ["t-1"]);
    }
}

#[tokio::test]
async fn the_base_url_of_the_token_wins_over_the_configured_one() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    stage.http.push(Reply::json(
        200,
        r#"{"access_token":"t","expires_in":3600,"base_url":"https://eu.api.example/v2"}"#,
    ));
    let mut api = Api::default();
    call(&source, get("/a"), &mut api).await.unwrap();
    assert_eq!(api.urls(), ["https://eu.api.example/v2/a"]);
}

#[tokio::test]
async fn a_request_for_another_origin_is_refused_before_anything_is_sent() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    let elsewhere = [
        "https://evil.example/v1/a",
        "http://api.example/v1/a",
        "https://api.example:8443/v1/a",
        "https://api.example.evil.example/v1/a",
        "https://user@api.example/v1/a",
        "https://:password@api.example/v1/a",
        "https://base-url.invalid.evil.example/a",
        "https://base-url.invalid:444/a",
        "http://base-url.invalid/a",
    ];
    for tokens in 0..2 {
        for url in elsewhere {
            let mut api = Api::default();
            let error = token_error(call(&source, get(url), &mut api).await);
            assert_eq!(error.kind(), ErrorKind::Configuration, "{url}");
            assert!(api.sent.is_empty(), "{url}");
        }
        assert_eq!(stage.http.count(), tokens);
        source.token().await.unwrap();
    }
    let mut api = Api::default();
    call(&source, get("https://api.example/elsewhere"), &mut api)
        .await
        .unwrap();
    assert_eq!(
        api.urls(),
        ["https://api.example/elsewhere"],
        "the origin is what counts"
    );
}

#[tokio::test]
async fn only_a_configured_base_url_may_be_in_plain_http_and_only_at_a_listed_server() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, _) = stage();
    let servers = PlainHttp::new(["shop.svc:8080", "eu.example:80"]).unwrap();
    let listed = stage.source_of(naming().with_plain_http(servers));
    let mut api = Api::default();
    let source = at(&listed, "http://shop.svc:8080/v1");
    call(&source, get("/a"), &mut api).await.unwrap();
    call(&source, get("http://shop.svc:8080/b"), &mut api)
        .await
        .unwrap();
    let expected = ["http://shop.svc:8080/v1/a", "http://shop.svc:8080/b"];
    assert_eq!(api.urls(), expected);
    let unlisted = at(&listed, "http://shop.svc:8081/v1");
    let outcome = call(&unlisted, get("/a"), &mut api).await;
    assert_eq!(token_error(outcome).kind(), ErrorKind::Configuration);

    // What the vendor's answer names is never one of them.
    source.forget().await.unwrap();
    let answer = r#"{"access_token":"t-1","expires_in":3600,"base_url":"http://eu.example"}"#;
    stage.http.answer_with(|_, _| Reply::json(200, answer));
    let caller = crate::stage::ask(&source);
    settle().await;
    while !caller.is_finished() {
        stage.clock.advance(stage.clock.next_wake().unwrap());
        settle().await;
    }
    let error = caller.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn a_url_that_cannot_be_right_is_refused_before_a_token_is_asked_for() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    let user = "https://user@api.example/v1/a";
    for url in ["https://evil.example/a", "http://api.example/v1/a", user] {
        let mut api = Api::default();
        let error = token_error(call(&source, get(url), &mut api).await);
        assert_eq!(error.kind(), ErrorKind::Configuration, "{url}");
    }
    let unknown = stage.source();
    let outcome = call(&unknown, get(user), &mut Api::default()).await;
    assert_eq!(token_error(outcome).kind(), ErrorKind::Configuration);
    settle().await;
    assert_eq!(stage.http.count(), 0);
}

#[tokio::test]
async fn a_url_that_is_not_at_the_held_tokens_origin_is_refused_before_another_is_asked_for() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    let answer = r#"{"access_token":"t-1","expires_in":3600,"base_url":"https://eu.example"}"#;
    stage.http.push(Reply::json(200, answer));
    source.token().await.unwrap();
    stage.advance(3200.0);
    assert!(source.fresh().is_none());
    let mut api = Api::default();
    let outcome = call(&source, get("https://api.example/v1/a"), &mut api).await;
    assert_eq!(token_error(outcome).kind(), ErrorKind::Configuration);
    settle().await;
    assert_eq!(stage.http.count(), 1);

    call(&source, get("https://eu.example/a"), &mut api)
        .await
        .unwrap();
    assert_eq!(api.tokens(), ["t-1"]);
    settle().await;
    assert_eq!(stage.http.count(), 2, "this call renewed it");
}

#[tokio::test]
async fn a_url_that_only_the_vendors_answer_can_clear_waits_for_it() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, _) = stage();
    let answer = r#"{"access_token":"t-1","expires_in":3600,"base_url":"https://eu.example"}"#;
    stage.http.push(Reply::json(200, answer));
    let source = stage.source_of(naming());
    let mut api = Api::default();
    call(&source, get("https://eu.example/a"), &mut api)
        .await
        .unwrap();
    assert_eq!(api.urls(), ["https://eu.example/a"]);

    let outcome = call(
        &source.param("tenant", 7),
        get("https://eu.example/a"),
        &mut Api::default(),
    )
    .await;
    assert_eq!(token_error(outcome).kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn without_a_base_url_nothing_is_sent() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, _) = stage();
    for path in ["/a", "https://api.example/a"] {
        let mut api = Api::default();
        let error = token_error(call(&stage.source(), get(path), &mut api).await);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(api.sent.is_empty());
    }
}

#[tokio::test]
async fn a_base_url_without_tls_gets_no_token() {
    let _limit = biped_testing::TimeLimit::start();
    let (_stage, source) = stage();
    let mut api = Api::default();
    for base in [
        "http://api.example",
        "http://api.localhost",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://128.0.0.1",
        "http://0.0.0.0",
        "http://[::2]",
    ] {
        let outcome = call(&at(&source, base), get("/a"), &mut api).await;
        assert_eq!(
            token_error(outcome).kind(),
            ErrorKind::Configuration,
            "{base}"
        );
        assert!(api.sent.is_empty(), "{base}");
    }
    // Nobody listens on the way there.
    let here = [
        "http://localhost",
        "http://127.0.0.1:7600",
        "http://127.1",
        "http://[::1]:7600",
    ];
    for base in here {
        call(&at(&source, base), get("/a"), &mut api).await.unwrap();
    }
    assert_eq!(api.sent.len(), here.len());
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    stage
        .http
        .answer_with(|_, _| Reply::error(401, "invalid_client"));
    let mut api = Api::default();
    let error = token_error(call(&source, get("/a"), &mut api).await);
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(api.sent.is_empty());
}

#[tokio::test]
async fn a_rejected_call_is_replayed_once_with_a_new_token() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    let mut api = Api::answering([status(401)]);
    let response = call(&source, get("/a?b=c"), &mut api).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(api.tokens(), ["t-1", "t-2"]);
    assert_eq!(api.urls(), ["https://api.example/v1/a?b=c"; 2]);
}

#[tokio::test]
async fn a_rejected_response_is_let_go_before_another_token_is_asked_for() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    let connection = Arc::new(());
    let is_held = Arc::downgrade(&connection);
    let mut rejected = status(401);
    rejected.extensions_mut().insert(connection);
    stage.http.answer_with(move |_, _| {
        assert!(is_held.upgrade().is_none(), "its connection is not free");
        Reply::token("t-2", 3600)
    });
    let mut api = Api::answering([rejected]);
    call(&source, get("/a"), &mut api).await.unwrap();
    assert_eq!(api.tokens(), ["t-1", "t-2"]);
}

#[tokio::test]
async fn a_replay_goes_where_the_new_token_says() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    let answer = |host: &str| {
        Reply::json(
            200,
            &format!(
                r#"{{"access_token":"{host}","expires_in":3600,"base_url":"https://{host}.example/v1"}}"#
            ),
        )
    };
    stage.http.push(answer("old"));
    stage.http.push(answer("new"));
    in_use(&stage, &source).await;
    let mut api = Api::answering([status(401)]);
    call(&source, get("/a"), &mut api).await.unwrap();
    assert_eq!(
        api.urls(),
        ["https://old.example/v1/a", "https://new.example/v1/a"]
    );
    assert_eq!(api.tokens(), ["old", "new"]);
}

#[tokio::test]
async fn when_the_new_token_is_rejected_too_the_apis_own_response_comes_back_unchanged() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    let mut api = Api::answering([status(401), status(401), status(401)]);
    let response = call(&source, get("/a"), &mut api).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.body(), "the API's own words");
    assert_eq!(api.tokens(), ["t-1", "t-2"]);
}

#[tokio::test]
async fn a_slow_401_that_never_stops_is_replayed_once_too() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    let mut api = Api::answering((0..10).map(|_| status(401)));
    api.slow = Some(stage.clock.clone());
    let response = call(&source, get("/a"), &mut api).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(api.tokens(), ["t-1", "t-2"]);
}

#[tokio::test]
async fn a_401_that_never_stops_costs_neither_fetches_nor_replays() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    let mut sent = 0;
    for _ in 0..500 {
        let mut api = Api::answering([status(401), status(401), status(401)]);
        let response = call(&source, get("/always-401"), &mut api).await.unwrap();
        assert_eq!(response.status(), 401);
        sent += api.sent.len();
        stage.advance(0.1);
    }
    // The first call was replayed; the others passed as they were, for the minute that this took.
    assert_eq!((stage.http.count(), sent), (2, 501));
    // And another path is served as ever.
    let mut api = Api::default();
    assert_eq!(
        call(&source, get("/fine"), &mut api)
            .await
            .unwrap()
            .status(),
        200
    );
}

/// A call whose first token is revoked, which is told once as many as `meets` are there: its status, and
/// the tokens that it was sent with.
fn call_that_meets(
    source: &TokenSource,
    meets: &Arc<Barrier>,
) -> JoinHandle<(StatusCode, Vec<String>)> {
    let source = source.clone();
    let mut api = Api {
        revoked: "t-1",
        meets: Some(meets.clone()),
        ..Api::default()
    };
    tokio::spawn(async move {
        let response = call(&source, get("/a"), &mut api).await.unwrap();
        let tokens = api.sent.into_iter().map(|(_, token)| token);
        (response.status(), tokens.collect())
    })
}

#[tokio::test]
async fn a_hundred_calls_rejected_together_cost_one_fetch_and_all_are_replayed() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    let all_are_there = Arc::new(Barrier::new(100));
    let calls: Vec<_> = (0..100)
        .map(|_| call_that_meets(&source, &all_are_there))
        .collect();
    for call in calls {
        let (status, tokens) = call.await.unwrap();
        assert_eq!(status, 200);
        assert_eq!(tokens, ["t-1", "t-2"]);
    }
    assert_eq!(stage.http.count(), 2);
}

#[tokio::test]
async fn during_a_cool_down_a_late_call_with_an_older_token_is_still_replayed() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    let is_late = Arc::new(Barrier::new(2));
    let late = call_that_meets(&source, &is_late);
    settle().await;
    let mut api = Api::answering([status(401), status(401)]);
    call(&source, get("/always-401"), &mut api).await.unwrap();
    assert_eq!(api.tokens(), ["t-1", "t-2"]);
    is_late.wait().await;
    let (status, tokens) = late.await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(tokens, ["t-1", "t-2"]);
    assert_eq!(stage.http.count(), 2);
}

#[tokio::test]
async fn a_body_that_streams_is_not_replayed_but_its_token_is_replaced() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    let mut api = Api::answering([status(401)]);
    let response = call(&source, stream("/upload"), &mut api).await.unwrap();
    assert_eq!((response.status().as_u16(), api.sent.len()), (401, 1));
    settle().await;
    let mut api = Api::default();
    call(&source, stream("/upload"), &mut api).await.unwrap();
    assert_eq!(api.tokens(), ["t-2"]);
}

#[tokio::test]
async fn when_the_replacement_cannot_be_had_its_error_comes_back() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    stage
        .http
        .answer_with(|_, _| Reply::error(401, "invalid_client"));
    let mut api = Api::answering([status(401)]);
    let error = token_error(call(&source, get("/a"), &mut api).await);
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(api.sent.len(), 1);
}

#[tokio::test]
async fn the_call_whose_token_was_rejected_is_not_replayed_with_it_and_later_calls_get_it() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    stage.http.answer_with(|_, _| Reply::status(503));
    let rejected = {
        let source = source.clone();
        tokio::spawn(async move {
            let mut api = Api::answering([status(401)]);
            let error = token_error(call(&source, get("/a"), &mut api).await);
            (error, api.sent.len())
        })
    };
    stage.pass(10.0).await;
    let (error, sent) = rejected.await.unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(sent, 1);
    let mut api = Api::default();
    call(&source, get("/b"), &mut api).await.unwrap();
    assert_eq!(api.tokens(), ["t-1"]);
}

#[tokio::test]
async fn a_transports_error_is_the_callers_and_is_not_retried() {
    let _limit = biped_testing::TimeLimit::start();
    struct Broken(Api, usize);
    impl Transport for Broken {
        type Request = Request;
        type Response = Response;
        type Error = String;
        fn parts<'r>(&self, request: &'r mut Request) -> impl ApiRequestParts + Send + 'r {
            Parts(request)
        }
        fn duplicate(&self, request: &Request) -> Option<Request> {
            self.0.duplicate(request)
        }
        async fn send(&mut self, _: Request, _: &CachedToken) -> Result<Response, String> {
            self.1 += 1;
            Err("reset".into())
        }
        fn seen<'r>(&self, response: &'r Response) -> (StatusCode, &'r HeaderMap, Option<&'r Url>) {
            self.0.seen(response)
        }
        async fn peek(
            &mut self,
            response: Response,
            limit: usize,
            deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
        ) -> (Response, Option<Bytes>) {
            self.0.peek(response, limit, deadline).await
        }
    }
    let (_stage, source) = stage();
    let mut broken = Broken(Api::default(), 0);
    let outcome = call(&source, get("/a"), &mut broken).await;
    assert!(matches!(outcome, Err(CallError::Transport(error)) if error == "reset"));
    assert_eq!(broken.1, 1);
}

#[tokio::test]
async fn a_403_and_an_insufficient_scope_cause_no_fetch_and_no_replay() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    let mut insufficient = status(401);
    insufficient.headers_mut().insert(
        "www-authenticate",
        r#"Bearer realm="x", error="insufficient_scope""#.parse().unwrap(),
    );
    for response in [
        status(403),
        insufficient,
        status(500),
        status(407),
        status(302),
    ] {
        let expected = response.status();
        let mut api = Api::answering([response]);
        let response = call(&source, get("/a"), &mut api).await.unwrap();
        assert_eq!(response.status(), expected);
        assert_eq!(api.sent.len(), 1);
    }
    settle().await;
    assert_eq!(stage.http.count(), 1);
}

#[tokio::test]
async fn an_invalid_token_is_heard_at_any_status_and_in_any_challenge() {
    let _limit = biped_testing::TimeLimit::start();
    let said = |code: u16, challenges: &[&str]| {
        let mut response = status(code);
        for challenge in challenges {
            let value = challenge.parse().unwrap();
            response.headers_mut().append("www-authenticate", value);
        }
        response
    };
    for rejection in [
        said(403, &[r#"Bearer realm="x", error="invalid_token""#]),
        said(400, &["Bearer error=invalid_token"]),
        said(500, &[r#"bearer ERROR = "invalid_token""#]),
        said(401, &[r#"Bearer error="invalid_token""#]),
        said(403, &["Negotiate abc==", r#"Bearer error="invalid_token""#]),
        said(
            403,
            &[r#"Basic realm="a, \"b", Bearer error="invalid_token""#],
        ),
        said(403, &[r#"Bearer realm="x";error="invalid_token""#]),
        said(
            401,
            &[r#"Bearer error="insufficient_scope", DPoP error="invalid_token""#],
        ),
        said(401, &[r#"Bearer realm="insufficient_scope""#]),
    ] {
        let (stage, source) = stage();
        in_use(&stage, &source).await;
        let shown = format!("{rejection:?}");
        let mut api = Api::answering([rejection]);
        let response = call(&source, get("/a"), &mut api).await.unwrap();
        assert_eq!(response.status(), 200, "{shown}");
        assert_eq!(api.tokens(), ["t-1", "t-2"], "{shown}");
    }
    for other in [
        said(403, &[r#"Bearer realm="error=\"invalid_token\"""#]),
        said(
            403,
            &[r#"Bearer error_description="x", realm="invalid_token""#],
        ),
        said(403, &[r#"Bearer x_error="invalid_token""#]),
        said(403, &[r#"Bearer error="invalid_request""#]),
        said(403, &[r#"Bearer error="insufficient_scope""#]),
    ] {
        let (stage, source) = stage();
        in_use(&stage, &source).await;
        let shown = format!("{other:?}");
        let mut api = Api::answering([other]);
        let response = call(&source, get("/a"), &mut api).await.unwrap();
        assert_eq!(response.status(), 403, "{shown}");
        assert_eq!(api.sent.len(), 1, "{shown}");
    }
}

/// A vendor with ways of its own.
#[derive(Debug)]
struct Odd {
    inner: TestProvider,
    judge: fn(&ApiResponse<'_>) -> Verdict,
    attached: Arc<AtomicUsize>,
}

#[async_trait]
impl Provider for Odd {
    fn id(&self) -> &ProviderId {
        self.inner.id()
    }
    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        self.inner.fetch(request, cx).await
    }
    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        cx: &AttachContext<'_>,
    ) -> Result<(), Error> {
        self.attached.fetch_add(1, Ordering::Relaxed);
        self.inner.attach(token, request, cx)
    }
    fn judge(&self, response: &ApiResponse<'_>) -> Verdict {
        (self.judge)(response)
    }
}

async fn odd(judge: fn(&ApiResponse<'_>) -> Verdict) -> (Stage, TokenSource, Arc<AtomicUsize>) {
    let (stage, _) = stage();
    let attached = Arc::new(AtomicUsize::new(0));
    let provider = Odd {
        inner: TestProvider::default(),
        judge,
        attached: attached.clone(),
    };
    let source = stage
        .manager
        .source(Arc::new(provider), TokenRequest::new());
    let source = at(&source, "https://api.example/v1");
    in_use(&stage, &source).await;
    (stage, source, attached)
}

#[tokio::test]
async fn a_vendor_may_mean_a_403_as_a_rejection() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source, _) = odd(|response| match response.status() {
        StatusCode::FORBIDDEN => Verdict::Rejected,
        _ => Verdict::Accepted,
    })
    .await;
    let mut api = Api::answering([status(403)]);
    assert_eq!(
        call(&source, get("/a"), &mut api).await.unwrap().status(),
        200
    );
    assert_eq!((api.tokens(), stage.http.count()), (vec!["t-1", "t-2"], 2));
}

#[tokio::test]
async fn resending_attaches_the_same_token_anew_and_only_once() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source, attached) = odd(|response| match response.status().as_u16() {
        400 => Verdict::Resend,
        _ => judge_by_status(response),
    })
    .await;
    let mut api = Api::answering([status(400), status(400), status(400)]);
    let response = call(&source, get("/a"), &mut api).await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(api.tokens(), ["t-1", "t-1"]);
    assert_eq!(attached.load(Ordering::Relaxed), 2);
    assert_eq!(stage.http.count(), 1);
    // A nonce first, then a rejection: each gets its one turn.
    let mut api = Api::answering([status(400), status(401)]);
    assert_eq!(
        call(&source, get("/a"), &mut api).await.unwrap().status(),
        200
    );
    assert_eq!(api.tokens(), ["t-1", "t-1", "t-2"]);
    let mut api = Api::answering([status(400)]);
    assert_eq!(
        call(&source, stream("/a"), &mut api)
            .await
            .unwrap()
            .status(),
        400
    );
}

fn by_body(response: &ApiResponse<'_>) -> Verdict {
    match (response.status().as_u16(), response.body()) {
        (200, None) => Verdict::NeedsBody { limit: 1_000_000 },
        (200, Some(body)) if body.starts_with(br#"{"error""#) => Verdict::Rejected,
        (_, Some(_)) => Verdict::NeedsBody { limit: 1 },
        _ => Verdict::Accepted,
    }
}

fn with_body(body: &str, headers: &[(&'static str, &str)]) -> Response {
    let mut response = http::Response::new(Bytes::copy_from_slice(body.as_bytes()));
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[tokio::test]
async fn a_body_is_read_ahead_where_the_verdict_depends_on_it() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source, _) = odd(by_body).await;
    for kind in [
        "application/json",
        "APPLICATION/JSON; charset=utf-8",
        "application/problem+json",
    ] {
        let source = source.param("tenant", kind);
        in_use(&stage, &source).await;
        let mut api = Api::answering([with_body(
            r#"{"error":"expired"}"#,
            &[("content-type", kind)],
        )]);
        call(&source, get("/a"), &mut api).await.unwrap();
        assert_eq!(api.sent.len(), 2, "{kind}");
        assert_eq!(api.peeks[0], 64 * 1024, "{kind}");
    }
}

#[tokio::test]
async fn a_body_that_is_long_encoded_or_no_json_passes_unread() {
    let _limit = biped_testing::TimeLimit::start();
    let (_stage, source, _) = odd(by_body).await;
    let rejection = r#"{"error":"expired"}"#;
    for headers in [
        &[][..],
        &[("content-type", "text/html")],
        &[("content-type", "application/octet-stream")],
        &[JSON, ("content-encoding", "gzip")],
        &[JSON, ("content-length", "65537")],
    ] {
        let mut api = Api::answering([with_body(rejection, headers)]);
        let response = call(&source, get("/a"), &mut api).await.unwrap();
        assert_eq!(response.body(), rejection);
        assert!(api.peeks.is_empty(), "{headers:?}");
        assert_eq!(api.sent.len(), 1);
    }
}

#[tokio::test]
async fn a_body_that_says_nothing_of_the_token_passes_whole() {
    let _limit = biped_testing::TimeLimit::start();
    let (_stage, source, _) = odd(by_body).await;
    let mut api = Api::answering([with_body(r#"{"data":1}"#, &[JSON])]);
    let response = call(&source, get("/a"), &mut api).await.unwrap();
    assert_eq!(response.body(), r#"{"data":1}"#);
    assert_eq!((api.peeks.len(), api.sent.len()), (1, 1));
}

#[tokio::test]
async fn a_body_that_stalls_passes_unjudged_after_fifty_milliseconds() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source, _) = odd(by_body).await;
    let calling = tokio::spawn(async move {
        let mut api = Api::answering([with_body(r#"{"error":"expired"}"#, &[JSON])]);
        api.stalls = true;
        call(&source, get("/a"), &mut api).await.unwrap();
        api.sent.len()
    });
    settle().await;
    assert!(!calling.is_finished());
    assert_eq!(
        stage.clock.next_wake(),
        Some(std::time::Duration::from_millis(50))
    );
    stage.advance(0.05);
    assert_eq!(calling.await.unwrap(), 1);
}

#[tokio::test]
async fn each_attempt_of_a_call_is_a_span() {
    let _limit = biped_testing::TimeLimit::start();
    let (spans, _guard) = Recorder::start();
    let (stage, source) = stage();
    in_use(&stage, &source).await;
    let mut api = Api::answering([status(401), status(200)]);
    let url = "https://api.example/v1/a?key=planted-query";
    call(&source, get(url), &mut api).await.unwrap();
    let attempts = spans.named("call");
    let [first, second] = &attempts[..] else {
        panic!("{attempts:?}");
    };
    for (name, value) in [
        ("otel.name", "GET"),
        ("otel.kind", "client"),
        ("http.request.method", "GET"),
        ("server.address", "api.example"),
        ("server.port", "443"),
        ("url.full", "https://api.example/v1/a"),
    ] {
        assert_eq!(first.field(name), Some(value));
        assert_eq!(second.field(name), Some(value));
    }
    assert_eq!(first.field("http.response.status_code"), Some("401"));
    assert_eq!(first.field("error.type"), Some("401"));
    assert_eq!(first.field("http.request.resend_count"), None);
    assert_eq!(second.field("http.response.status_code"), Some("200"));
    assert_eq!(second.field("error.type"), None);
    assert_eq!(second.field("http.request.resend_count"), Some("1"));
    assert!(!format!("{:?}", spans.all()).contains("planted"));
}
