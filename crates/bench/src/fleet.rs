//! Many callers of one key: a cold start, rotations, an outage.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use biped_core::{Clock, SystemClock, TokenRequest};
use biped_engine::TokenSource;

use crate::{
    report::{Figure, Goal},
    vendor::{Vendor, manager},
};

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[allow(clippy::cast_precision_loss)]
fn count(number: usize) -> f64 {
    number as f64
}

pub(crate) fn stampede() -> Vec<Figure> {
    const LATENCY: Duration = Duration::from_millis(50);
    let (mut times, mut requests) = (Vec::new(), Vec::new());
    for _ in 0..11 {
        let vendor = Arc::new(Vendor {
            latency: LATENCY,
            ..Vendor::new(3600)
        });
        let (manager, provider) = manager(vendor.clone());
        let source = manager.source(provider, TokenRequest::new());
        let took = runtime().block_on(async {
            let start = Instant::now();
            let callers: Vec<_> = (0..10_000)
                .map(|_| {
                    let source = source.clone();
                    tokio::spawn(async move { source.token().await.map(drop) })
                })
                .collect();
            for caller in callers {
                caller.await.expect("no panic").expect("a token");
            }
            start.elapsed()
        });
        times.push((millis(took), millis(LATENCY)));
        requests.push(count(vendor.requests.load(Ordering::Relaxed)));
    }
    vec![
        Figure::beside(
            "S",
            "10 000 cold callers, 50 ms endpoint",
            "ms",
            Goal::Most(58.0),
            &times,
        ),
        Figure::alone(
            "S",
            "  token requests",
            "requests",
            Goal::Exactly(1.0),
            &requests,
        ),
    ]
}

/// What the callers of a rotating token saw.
#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    blocked: AtomicUsize,
    failed: AtomicUsize,
    expired: AtomicUsize,
}

/// Keeps 64 callers calling for so long.
async fn keep_calling(source: &TokenSource, time: Duration, seen: &Arc<Seen>) {
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let (source, seen, stop) = (source.clone(), seen.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let mut token = pin!(source.token());
                    // A call that has its token at the first poll waited for nothing.
                    let first =
                        std::future::poll_fn(|cx| Poll::Ready(token.as_mut().poll(cx))).await;
                    let token = match first {
                        Poll::Ready(token) => token,
                        Poll::Pending => {
                            seen.blocked.fetch_add(1, Ordering::Relaxed);
                            token.await
                        }
                    };
                    seen.calls.fetch_add(1, Ordering::Relaxed);
                    match token {
                        Ok(token) => {
                            let now = SystemClock.now().wall;
                            if token.expires_at().is_some_and(|expiry| expiry <= now) {
                                seen.expired.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        Err(_) => {
                            seen.failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no panic");
    }
}

fn figures(bench: &'static str, seen: &Seen, requests: usize, most: Goal) -> Vec<Figure> {
    let load = |number: &AtomicUsize| vec![count(number.load(Ordering::Relaxed))];
    let none = Goal::Exactly(0.0);
    vec![
        Figure::alone(bench, "  calls", "calls", Goal::None, &load(&seen.calls)),
        Figure::alone(
            bench,
            "  calls that had to wait",
            "calls",
            none,
            &load(&seen.blocked),
        ),
        Figure::alone(
            bench,
            "  calls that failed",
            "calls",
            none,
            &load(&seen.failed),
        ),
        Figure::alone(
            bench,
            "  expired tokens handed out",
            "tokens",
            none,
            &load(&seen.expired),
        ),
        Figure::alone(
            bench,
            "  token requests",
            "requests",
            most,
            &[count(requests)],
        ),
    ]
}

pub(crate) fn rotations() -> Vec<Figure> {
    // A life of 2 s is refreshed after 1.6 to 1.7 s: three rotations.
    let vendor = Arc::new(Vendor {
        latency: Duration::from_millis(50),
        ..Vendor::new(2)
    });
    let (manager, provider) = manager(vendor.clone());
    let source = manager.source(provider, TokenRequest::new());
    let seen = Arc::new(Seen::default());
    runtime().block_on(async {
        source.token().await.expect("a token");
        keep_calling(&source, Duration::from_millis(6000), &seen).await;
    });
    let requests = vendor.requests.load(Ordering::Relaxed);
    figures("R", &seen, requests, Goal::Exactly(4.0))
}

pub(crate) fn rotations_with_an_outage() -> Vec<Figure> {
    // A life of 60 s is refreshed after 48 to 51 s and served until 54 s. The endpoint is down for
    // the first 4 s of that time.
    let vendor = Arc::new(Vendor::new(60));
    let (manager, provider) = manager(vendor.clone());
    let source = manager.source(provider, TokenRequest::new());
    let seen = Arc::new(Seen::default());
    runtime().block_on(async {
        source.token().await.expect("a token");
        tokio::time::sleep(Duration::from_millis(47_900)).await;
        vendor.down.store(true, Ordering::Relaxed);
        keep_calling(&source, Duration::from_secs(4), &seen).await;
        vendor.down.store(false, Ordering::Relaxed);
        keep_calling(&source, Duration::from_secs(3), &seen).await;
    });
    let requests = vendor.requests.load(Ordering::Relaxed);
    figures("RF", &seen, requests, Goal::Most(5.0))
}
