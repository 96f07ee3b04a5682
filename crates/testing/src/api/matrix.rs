//! Checks for every way to call an API with a token: one function for each, named after its promise.
//!
//! The token endpoint is scripted and time stands still. The API is on loopback, so that the checks
//! see the real requests. [`api_matrix!`](crate::api_matrix) turns each check into a test.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use biped_core::{Clock, Error, ErrorKind, SystemClock, TokenRequest};
use biped_engine::{TokenManager, TokenSource};
use http::Method;
use url::Url;

use super::TestApi;
use crate::{ManualClock, Reply, ScriptedHttp, TestProvider};

/// A way to call an API.
#[async_trait]
pub trait Integration: Send + Sync + 'static {
    /// Makes a call, reads the whole response, and returns its status.
    async fn call(&self, call: Call) -> Result<u16, Failure>;
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// A path on the API, or a complete URL.
    pub target: String,
    /// The body.
    pub body: Payload,
}

/// The body of a call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Payload {
    /// No body.
    Empty,
    /// This text, complete in memory.
    Whole(&'static str),
    /// This text, as a stream that can't be sent twice.
    Stream(&'static str),
}

/// Why a call returned no status.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The token can't be fetched, or can't be sent to this URL.
    Token(Error),
    /// Another reason.
    Other(String),
}

/// Turns each check into a test: `api_matrix!(make)`, where `make` takes a
/// [`TokenSource`](biped_engine::TokenSource) and returns an [`Integration`]. The tests need tokio among the
/// dependencies of their crate, with the features `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! api_matrix {
    ($make:expr) => {
        $crate::api_matrix! { $make;
            a_fresh_token_serves_every_call
            a_token_that_expired_by_the_clock_is_not_sent
            a_token_that_the_server_calls_expired_is_replaced_and_the_call_sent_again
            a_token_revoked_early_costs_its_callers_one_fetch_and_nothing_else
            refused_credentials_are_the_vendors_words_and_nothing_is_sent
            a_vendor_that_is_down_is_not_noticed_while_a_token_is_usable
            a_vendor_that_is_down_is_a_passing_error_without_a_usable_token
            a_stream_is_not_sent_again_but_the_next_call_is_right
            another_origin_gets_neither_token_nor_request
            a_redirect_to_another_origin_is_the_callers
        }
    };
    ($make:expr; $($check:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            $crate::api::matrix::$check($make).await;
        }
    )*};
}

/// The lifetime of tokens, in seconds.
const LIFE: Duration = Duration::from_secs(3600);

/// Long enough after a fetch for the next one.
const LATER: Duration = Duration::from_secs(60);

/// A call that takes this long hangs, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

struct Stage<I> {
    clock: Arc<ManualClock>,
    vendor: Arc<ScriptedHttp>,
    api: TestApi,
    calls: Arc<I>,
}

impl<I: Integration> Stage<I> {
    /// A vendor that grants `token-1`, `token-2` and so on.
    async fn new(make: impl FnOnce(TokenSource) -> I) -> Self {
        let clock = Arc::new(ManualClock::new());
        let vendor = Arc::new(ScriptedHttp::new());
        let api = TestApi::start().await.unwrap();
        let manager = TokenManager::builder(vendor.clone())
            .clock(clock.clone())
            .build();
        let base = Url::parse(api.url()).unwrap();
        let source = manager
            .source(Arc::new(TestProvider::default()), TokenRequest::new())
            .with_api_base_url(Some(base));
        let stage = Self {
            calls: Arc::new(make(source)),
            clock,
            vendor,
            api,
        };
        stage.vendor_is_up();
        stage
    }

    fn vendor_is_up(&self) {
        let seconds = LIFE.as_secs();
        self.vendor
            .answer_with(move |number, _| Reply::token(&format!("token-{number}"), seconds));
    }

    fn vendor_is_down(&self) {
        self.vendor
            .answer_with(|_, _| Reply::status(503).with_header("retry-after", "30"));
    }

    fn call(
        &self,
        method: Method,
        target: &str,
        body: Payload,
    ) -> impl Future<Output = Result<u16, Failure>> + use<I> {
        let calls = self.calls.clone();
        let target = target.to_owned();
        async move {
            let call = Call {
                method,
                target,
                body,
            };
            tokio::select! {
                outcome = calls.call(call) => outcome,
                () = SystemClock.sleep(PATIENCE) => panic!("the call hangs"),
            }
        }
    }

    async fn get(&self) -> Result<u16, Failure> {
        self.call(Method::GET, "/v1/orders?limit=2", Payload::Empty)
            .await
    }

    async fn refused(&self) -> Error {
        match self.get().await {
            Err(Failure::Token(error)) => error,
            other => panic!("expected a token error, found {other:?}"),
        }
    }
}

/// Two calls use the same token, from one fetch.
pub async fn a_fresh_token_serves_every_call<I: Integration>(make: impl FnOnce(TokenSource) -> I) {
    let stage = Stage::new(make).await;
    assert_same!(stage.get().await.unwrap(), 200);
    assert_same!(stage.get().await.unwrap(), 200);
    assert_same!(stage.api.tokens(), ["token-1", "token-1"]);
    assert_same!(stage.vendor.count(), 1);
    let seen = &stage.api.seen()[0];
    assert_same!(
        (&*seen.method, &*seen.path),
        ("GET", "/v1/orders?limit=2"),
        "the sent call differs from the written one"
    );
}

/// An expired token is replaced before the call.
pub async fn a_token_that_expired_by_the_clock_is_not_sent<I: Integration>(
    make: impl FnOnce(TokenSource) -> I,
) {
    let stage = Stage::new(make).await;
    stage.get().await.unwrap();
    stage.clock.advance(LIFE);
    assert_same!(stage.get().await.unwrap(), 200);
    assert_same!(stage.api.tokens(), ["token-1", "token-2"]);
}

/// After a 401 a new token is fetched, and the request is sent again with its body.
pub async fn a_token_that_the_server_calls_expired_is_replaced_and_the_call_sent_again<
    I: Integration,
>(
    make: impl FnOnce(TokenSource) -> I,
) {
    let stage = Stage::new(make).await;
    stage.get().await.unwrap();
    stage.clock.advance(LATER);
    stage.api.reject("token-1");
    let pushed = stage.call(Method::POST, "/v1/orders", Payload::Whole("seven"));
    assert_same!(pushed.await.unwrap(), 200);
    assert_same!(stage.api.tokens(), ["token-1", "token-1", "token-2"]);
    let bodies: Vec<_> = stage.api.seen().into_iter().map(|seen| seen.body).collect();
    assert_same!(bodies, [&b""[..], b"seven", b"seven"]);
    assert_same!(stage.vendor.count(), 2);
}

/// Ten concurrent calls with a revoked token all succeed, with one fetch.
pub async fn a_token_revoked_early_costs_its_callers_one_fetch_and_nothing_else<I: Integration>(
    make: impl FnOnce(TokenSource) -> I,
) {
    let stage = Stage::new(make).await;
    stage.get().await.unwrap();
    stage.clock.advance(LATER);
    stage.api.reject("token-1");
    let calls: Vec<_> = (0..10)
        .map(|_| tokio::spawn(stage.call(Method::GET, "/v1/orders", Payload::Empty)))
        .collect();
    for call in calls {
        assert_same!(call.await.unwrap().unwrap(), 200);
    }
    assert_same!(stage.vendor.count(), 2);
}

/// A refusal contains the vendor's error, and the vendor is asked once.
pub async fn refused_credentials_are_the_vendors_words_and_nothing_is_sent<I: Integration>(
    make: impl FnOnce(TokenSource) -> I,
) {
    let stage = Stage::new(make).await;
    stage
        .vendor
        .answer_with(|_, _| Reply::error(401, "invalid_client"));
    for _ in 0..2 {
        let error = stage.refused().await;
        assert_same!(error.kind(), ErrorKind::Refused);
        let vendor = error
            .vendor()
            .expect("the error does not contain the vendor's error");
        assert!(vendor.names("invalid_client"), "{vendor:?}");
    }
    assert_same!(stage.vendor.count(), 1);
    assert_same!(stage.api.seen(), []);
}

/// A usable token is used at once.
pub async fn a_vendor_that_is_down_is_not_noticed_while_a_token_is_usable<I: Integration>(
    make: impl FnOnce(TokenSource) -> I,
) {
    let stage = Stage::new(make).await;
    stage.get().await.unwrap();
    stage.vendor_is_down();
    stage.clock.advance(LIFE * 9 / 10);
    assert_same!(stage.get().await.unwrap(), 200);
    assert_same!(stage.api.tokens(), ["token-1", "token-1"]);
}

/// The error tells when to retry, and no request is sent without a token. Afterwards calls succeed.
pub async fn a_vendor_that_is_down_is_a_passing_error_without_a_usable_token<I: Integration>(
    make: impl FnOnce(TokenSource) -> I,
) {
    let stage = Stage::new(make).await;
    stage.vendor_is_down();
    let error = stage.refused().await;
    assert_same!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient());
    assert!(error.retry_after().is_some());
    assert_same!(stage.api.seen(), []);

    stage.vendor_is_up();
    stage.clock.advance(LATER);
    assert_same!(stage.get().await.unwrap(), 200);
}

/// The caller gets the 401, and the token is replaced.
pub async fn a_stream_is_not_sent_again_but_the_next_call_is_right<I: Integration>(
    make: impl FnOnce(TokenSource) -> I,
) {
    let stage = Stage::new(make).await;
    stage.get().await.unwrap();
    stage.clock.advance(LATER);
    stage.api.reject("token-1");
    let pushed = stage.call(Method::POST, "/v1/orders", Payload::Stream("seven"));
    assert_same!(pushed.await.unwrap(), 401);
    assert_same!(stage.get().await.unwrap(), 200);
    assert_same!(stage.api.tokens(), ["token-1", "token-1", "token-2"]);
    assert_same!(stage.api.seen()[1].body, b"seven");
}

/// A URL with another origin is an error. No request is sent, not even to the vendor.
pub async fn another_origin_gets_neither_token_nor_request<I: Integration>(
    make: impl FnOnce(TokenSource) -> I,
) {
    let stage = Stage::new(make).await;
    let other = TestApi::start().await.unwrap();
    let elsewhere = format!("{}/v1/orders", other.url());
    match stage.call(Method::GET, &elsewhere, Payload::Empty).await {
        Err(Failure::Token(error)) => assert_same!(error.kind(), ErrorKind::Configuration),
        strange => panic!("expected an error, found {strange:?}"),
    }
    assert_same!((other.seen(), stage.api.seen()), (vec![], vec![]));
    assert_same!(stage.vendor.count(), 0);

    let own = format!("{}/v1/orders", stage.api.url());
    let own = stage.call(Method::GET, &own, Payload::Empty).await;
    assert_same!(own.unwrap(), 200);
}

/// The caller gets the 307, and it is not followed.
pub async fn a_redirect_to_another_origin_is_the_callers<I: Integration>(
    make: impl FnOnce(TokenSource) -> I,
) {
    let stage = Stage::new(make).await;
    let other = TestApi::start().await.unwrap();
    stage.api.redirect(other.url());
    assert_same!(stage.get().await.unwrap(), 307);
    assert_same!(other.seen(), []);
}
