//! The hot path allocates nothing: neither the borrowed nor the awaited fresh token.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    future::Future,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use biped_core::{Provider, TokenManager, TokenRequest};
use biped_testing::{Reply, ScriptedHttp, TestProvider};

#[test]
fn a_fresh_token_allocates_nothing() {
    let _limit = biped_testing::TimeLimit::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let http = Arc::new(ScriptedHttp::new());
    http.push(Reply::token("t-1", 3600));
    let manager = TokenManager::builder(http).build();
    let provider = TestProvider::default();
    let id = provider.id().clone();
    let request = TokenRequest::new().scope("a b").param("tenant", 7);
    let source = manager.source(Arc::new(provider), request.clone());
    runtime.block_on(source.token()).unwrap();

    let awaited = || {
        let mut asked = pin!(source.token());
        let mut cx = Context::from_waker(Waker::noop());
        match asked.as_mut().poll(&mut cx) {
            Poll::Ready(token) => drop(black_box(token.unwrap())),
            Poll::Pending => panic!("a fresh token is ready"),
        }
    };
    // What a thread sets up for its first load is no part of it.
    awaited();

    let count = |what: &str, act: &dyn Fn()| {
        let counted = measure(|| (0..1000).for_each(|_| act()));
        assert_eq!(counted.count_total, 0, "{what}");
    };
    count("token().await", &awaited);
    count("fresh()", &|| drop(black_box(source.fresh().unwrap())));
    count("an owned token", &|| {
        drop(black_box(source.fresh().unwrap().into_owned()));
    });
    count("by provider and request", &|| {
        drop(black_box(manager.fresh(&id, &request).unwrap()));
    });
    count("the header's value", &|| {
        drop(black_box(source.fresh().unwrap().header().clone()));
    });

    // The counter counts.
    assert_eq!(measure(|| drop(black_box(Box::new(1)))).count_total, 1);
}
