//! The paths that run on every call.

use std::{
    borrow::Cow,
    future::Future,
    hint::black_box,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use arc_swap::ArcSwap;
use biped_core::{ApiRequest, ApiRequestParts, Clock, Error, SystemClock, TokenRequest};
use biped_engine::TokenSource;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

use crate::{
    report::{Figure, Goal, in_turns, nanos_each},
    vendor::{Vendor, manager},
};

const OPERATIONS: u64 = 1_000_000;

/// A source whose token is fresh for an hour.
fn fresh_source() -> TokenSource {
    let (manager, provider) = manager(Arc::new(Vendor::new(3600)));
    let source = manager.source(provider, TokenRequest::new());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .expect("a runtime")
        .block_on(source.token())
        .expect("a token");
    source
}

/// The limit of every path that hands out a token: load a pointer, read both coarse clocks.
struct Least(ArcSwap<u64>);

impl Least {
    fn new() -> Self {
        Self(ArcSwap::from_pointee(7))
    }

    #[inline]
    fn run(&self) {
        black_box(SystemClock.now());
        black_box(&**self.0.load());
    }
}

/// Polls a future that is ready at once, as a task would.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a fresh token made somebody wait"),
    }
}

fn fresh(source: &TokenSource) {
    black_box(black_box(source).fresh().expect("a fresh token").header());
}

fn awaited(source: &TokenSource) {
    black_box(ready(black_box(source).token()).expect("a token").header());
}

fn owned(source: &TokenSource) {
    drop(black_box(
        black_box(source)
            .fresh()
            .expect("a fresh token")
            .into_owned(),
    ));
}

fn repeat(operations: u64, act: impl Fn()) {
    for _ in 0..operations {
        act();
    }
}

pub(crate) fn fresh_on_one_thread() -> Vec<Figure> {
    let (source, least) = (fresh_source(), Least::new());
    let pairs = in_turns(
        OPERATIONS,
        |n| repeat(n, || fresh(&source)),
        |n| repeat(n, || least.run()),
    );
    vec![Figure::beside(
        "H1",
        "fresh(), 1 thread",
        "ns",
        Goal::Ratio(1.5),
        &pairs,
    )]
}

pub(crate) fn awaited_on_one_thread() -> Vec<Figure> {
    let (source, least) = (fresh_source(), Least::new());
    let pairs = in_turns(
        OPERATIONS,
        |n| repeat(n, || awaited(&source)),
        |n| repeat(n, || least.run()),
    );
    vec![Figure::beside(
        "H1a",
        "token().await, 1 thread",
        "ns",
        Goal::Ratio(3.0),
        &pairs,
    )]
}

pub(crate) fn fresh_on_two_threads() -> Vec<Figure> {
    let (source, least) = (fresh_source(), Least::new());
    let pairs = two_threads(|| fresh(&source), || least.run());
    vec![Figure::beside(
        "H2",
        "fresh(), 2 threads on one key",
        "ns",
        Goal::Ratio(2.0),
        &pairs,
    )]
}

pub(crate) fn awaited_on_two_threads() -> Vec<Figure> {
    let (source, least) = (fresh_source(), Least::new());
    let pairs = two_threads(|| awaited(&source), || least.run());
    vec![Figure::beside(
        "H2a",
        "token().await, 2 threads on one key",
        "ns",
        Goal::Ratio(3.0),
        &pairs,
    )]
}

pub(crate) fn owned_on_two_threads() -> Vec<Figure> {
    // A token is never handed out by one clock alone, and a count that both threads write is contended.
    let (source, shared) = (fresh_source(), Arc::new(7_u64));
    let pairs = two_threads(
        || owned(&source),
        || {
            black_box(SystemClock.now());
            drop(black_box(black_box(&shared).clone()));
        },
    );
    vec![Figure::beside(
        "H2o",
        "fresh().into_owned(), 2 threads; limit: both clocks, an Arc clone",
        "ns",
        Goal::Ratio(1.2),
        &pairs,
    )]
}

/// Measures two things in turns, each on two threads at once.
fn two_threads(value: impl Fn() + Sync, limit: impl Fn() + Sync) -> Vec<(f64, f64)> {
    contend(&value);
    contend(&limit);
    (0..11)
        .map(|_| (contend(&value), contend(&limit)))
        .collect()
}

/// Both threads spin until the other is there, so that they really contend. It is compiled for each thing
/// that is measured, as on one thread: an indirect call would be a part of the figure.
fn contend(act: &(impl Fn() + Sync)) -> f64 {
    let there = AtomicUsize::new(0);
    let run = || {
        there.fetch_add(1, Ordering::AcqRel);
        while there.load(Ordering::Acquire) < 2 {
            std::hint::spin_loop();
        }
        let start = Instant::now();
        repeat(OPERATIONS, act);
        nanos_each(start, OPERATIONS)
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(run);
        let mine = run();
        f64::midpoint(mine, other.join().expect("no panic"))
    })
}

/// A request of no HTTP library in particular.
struct Bare {
    method: Method,
    url: Url,
    headers: HeaderMap,
}

impl ApiRequestParts for Bare {
    fn method(&self) -> &Method {
        &self.method
    }
    fn url(&self) -> Cow<'_, Url> {
        Cow::Borrowed(&self.url)
    }
    fn set_url(&mut self, url: Url) -> Result<(), Error> {
        self.url = url;
        Ok(())
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }
    fn body(&self) -> Option<&[u8]> {
        Some(&[])
    }
}

pub(crate) fn attached() -> Vec<Figure> {
    let source = fresh_source();
    let bare = || Bare {
        method: Method::GET,
        url: Url::parse("https://api.example/v1/things").expect("a URL"),
        headers: HeaderMap::with_capacity(8),
    };
    let (mut ours, mut fixed) = (bare(), bare());
    // A token is never static text: cloning its header counts a reference.
    let text = String::from("Bearer tok-0000000000000000000000000000");
    let mut value = HeaderValue::from_maybe_shared(Bytes::from(text)).expect("a value");
    value.set_sensitive(true);
    let least = Least::new();
    let pairs = in_turns(
        OPERATIONS,
        |n| {
            for _ in 0..n {
                ours.headers.clear();
                let token = source.fresh().expect("a fresh token");
                source
                    .attach(&token, &mut ApiRequest::new(&mut ours))
                    .expect("attached");
                black_box(&ours.headers);
            }
        },
        |n| {
            for _ in 0..n {
                fixed.headers.clear();
                least.run();
                fixed.headers.insert(header::AUTHORIZATION, value.clone());
                black_box(&fixed.headers);
            }
        },
    );
    vec![Figure::beside(
        "A",
        "put the header on a request",
        "ns",
        Goal::Ratio(1.3),
        &pairs,
    )]
}
