//! A source of `token-1`, `token-2` and so on, a service that answers by script, and a slow body.

use std::{
    collections::VecDeque,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use biped_core::{Provider, TokenRequest};
use biped_engine::{TokenManager, TokenSource};
use biped_testing::{ManualClock, Reply, ScriptedHttp, TestProvider};
use biped_tower::{Body, BoxError};
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body::{Body as HttpBody, Frame};
use tokio::sync::oneshot;
use tower::Service;
use url::Url;

pub(crate) struct Stage {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) vendor: Arc<ScriptedHttp>,
    pub(crate) source: TokenSource,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::of(TestProvider::default())
    }

    pub(crate) fn of(provider: impl Provider) -> Self {
        let (clock, vendor) = (Arc::new(ManualClock::new()), Arc::new(ScriptedHttp::new()));
        vendor.answer_with(|number, _| Reply::token(&format!("token-{number}"), 3600));
        let manager = TokenManager::builder(vendor.clone())
            .clock(clock.clone())
            .build();
        let source = manager
            .source(Arc::new(provider), TokenRequest::new())
            .with_api_base_url(Some(Url::parse("https://api.example/eu").unwrap()));
        Self {
            clock,
            vendor,
            source,
        }
    }

    /// Has a token in memory, from long enough ago for another one.
    pub(crate) async fn with_a_token(self) -> Self {
        self.source.token().await.unwrap();
        self.clock.advance(Duration::from_secs(60));
        self
    }
}

/// A service that answers by script and keeps what it was sent. It has to be polled ready before
/// every call, as some have; a clone is not ready.
pub(crate) struct Api {
    is_ready: bool,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    script: VecDeque<Response<Pieces>>,
    seen: Vec<Request<Body>>,
}

impl Api {
    pub(crate) fn new(script: impl IntoIterator<Item = Response<Pieces>>) -> Self {
        let script = script.into_iter().collect();
        let seen = Vec::new();
        Self {
            is_ready: false,
            shared: Arc::new(Mutex::new(Shared { script, seen })),
        }
    }

    /// What came, as `URI authorization`.
    pub(crate) fn seen(&self) -> Vec<String> {
        let shared = self.shared.lock().unwrap();
        let seen = shared.seen.iter().map(|request| {
            let token = request.headers().get("authorization");
            format!(
                "{} {}",
                request.uri(),
                token.map_or("-", |token| token.to_str().unwrap())
            )
        });
        seen.collect()
    }

    pub(crate) fn take_seen(&self) -> Vec<Request<Body>> {
        std::mem::take(&mut self.shared.lock().unwrap().seen)
    }
}

impl Clone for Api {
    fn clone(&self) -> Self {
        Self {
            is_ready: false,
            shared: self.shared.clone(),
        }
    }
}

impl Service<Request<Body>> for Api {
    type Response = Response<Pieces>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Pieces>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.is_ready),
            "called without being ready"
        );
        let mut shared = self.shared.lock().unwrap();
        shared.seen.push(request);
        ready(shared.script.pop_front().ok_or_else(|| "no answer".into()))
    }
}

/// A body of these frames.
#[derive(Default)]
pub(crate) struct Pieces {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    /// Nothing comes before this does.
    signal: Option<oneshot::Receiver<()>>,
}

impl Pieces {
    pub(crate) fn data(mut self, text: &'static str) -> Self {
        let data = Bytes::from_static(text.as_bytes());
        self.frames.push_back(Ok(Frame::data(data)));
        self
    }

    pub(crate) fn trailer(self, name: &'static str, value: &'static str) -> Self {
        self.trailers(&[(name, value)])
    }

    pub(crate) fn trailers(mut self, all: &[(&'static str, &str)]) -> Self {
        let all = all.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        self.frames.push_back(Ok(Frame::trailers(all.collect())));
        self
    }

    pub(crate) fn failing(mut self) -> Self {
        self.frames.push_back(Err("cut off".into()));
        self
    }

    pub(crate) fn after(mut self, signal: oneshot::Receiver<()>) -> Self {
        self.signal = Some(signal);
        self
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(signal) = &mut self.signal {
            ready!(Pin::new(signal).poll(cx)).unwrap();
            self.signal = None;
        }
        Poll::Ready(self.frames.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }
}

/// A body whose bytes come one at a time, each only when it is asked for again.
pub(crate) struct Trickle {
    left: VecDeque<u8>,
    asked: bool,
}

impl Trickle {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            left: text.bytes().collect(),
            asked: false,
        }
    }
}

impl HttpBody for Trickle {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.asked = !self.asked;
        if self.asked {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let byte = self.left.pop_front();
        Poll::Ready(byte.map(|byte| Ok(Frame::data(Bytes::copy_from_slice(&[byte])))))
    }
}
