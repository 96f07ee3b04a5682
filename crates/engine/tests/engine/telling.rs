//! What the manager tells: states, events, metrics.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use biped_core::ErrorKind;
use biped_engine::TokenState;
use biped_testing::{Reply, TestProvider, settle};

use crate::stage::{Stage, ask, failure, listen, seconds, text};

#[tokio::test]
async fn a_status_tells_every_state_of_a_key() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source_of(TestProvider::default().named("shop"));
    let status = source.status();
    assert_eq!(
        (status.state, status.remaining),
        (TokenState::Missing, None)
    );
    assert_eq!(&*status.provider, "shop");

    stage.http.push(Reply::token("t-1", 1000));
    text(&source).await;
    let status = source.status();
    assert_eq!(
        (status.state, status.remaining),
        (TokenState::Fresh, Some(seconds(1000.0)))
    );
    assert!(status.last_error.is_none() && status.next_attempt.is_none() && !status.fetching);

    stage.advance(860.0);
    let status = source.status();
    assert_eq!(
        (status.state, status.remaining),
        (TokenState::Usable, Some(seconds(140.0)))
    );
    stage.http.push(Reply::status(503));
    stage.http.close_gate();
    text(&source).await;
    assert!(source.status().fetching);
    stage.http.open_gate();
    settle().await;
    let status = source.status();
    assert_eq!(status.state, TokenState::Usable);
    assert_eq!(status.last_error.unwrap().kind(), ErrorKind::Unavailable);
    assert!(status.next_attempt.unwrap() > seconds(0.0));

    stage.advance(120.0);
    assert_eq!(source.status().state, TokenState::Expired);
    stage.http.push(Reply::error(401, "invalid_client"));
    failure(&source).await;
    let status = source.status();
    assert_eq!(status.state, TokenState::Quarantined);
    assert_eq!(status.last_error.unwrap().kind(), ErrorKind::Refused);
    assert_eq!(status.next_attempt, Some(seconds(60.0)));
}

#[tokio::test]
async fn the_statuses_are_of_all_keys() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    for number in 0..40 {
        text(&stage.tenant(number)).await;
    }
    let statuses = stage.manager.statuses();
    assert_eq!(statuses.len(), 40);
    assert!(
        statuses
            .iter()
            .all(|status| status.state == TokenState::Fresh)
    );
}

#[tokio::test]
async fn looking_at_a_status_asks_nobody() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    for _ in 0..100 {
        let _ = source.status();
        let _ = stage.manager.statuses();
    }
    settle().await;
    assert_eq!(stage.http.count(), 0);
}

#[tokio::test]
async fn no_state_event_or_error_shows_a_token_or_a_secret() {
    let _limit = biped_testing::TimeLimit::start();
    use std::{
        io,
        sync::{Arc, Mutex},
    };
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let _guard = listen(subscriber);

    let stage = Stage::new();
    let source = stage.source_of(TestProvider::default().named("shop"));
    stage.http.push(Reply::token("planted-token", 1000));
    let token = source.token().await.unwrap().into_owned();
    stage.advance(860.0);
    stage.http.push(Reply::error(401, "invalid_client"));
    text(&source).await;
    settle().await;
    source.reject(&token);
    let error = failure(&source).await;
    let shown = format!(
        "{token:?} {source:?} {:?} {error:?} {error} {:?} {:?}",
        source.status(),
        stage.manager,
        stage.manager.statuses()
    );
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("shop"), "events carry the provider's name");
    for text in [shown, logged] {
        assert!(!text.contains("planted-token"), "{text}");
        assert!(!text.contains("the-secret"), "{text}");
    }
}

#[tokio::test]
async fn a_look_that_finds_nothing_new_is_no_event() {
    let _limit = biped_testing::TimeLimit::start();
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    struct Count(Arc<AtomicUsize>);
    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Count {
        fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    use tracing_subscriber::layer::SubscriberExt as _;
    let events = Arc::new(AtomicUsize::new(0));
    let subscriber = tracing_subscriber::registry().with(Count(events.clone()));
    let _guard = listen(subscriber);
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::error(401, "invalid_client"));
    failure(&source).await;
    let before = events.load(Ordering::Relaxed);
    assert!(before > 0);
    for _ in 0..50 {
        stage.advance(1.0);
        let caller = ask(&source);
        settle().await;
        caller.await.unwrap().unwrap_err();
    }
    assert_eq!(events.load(Ordering::Relaxed), before);
}

#[tokio::test]
async fn warming_asks_for_all_at_once_and_tells_of_each() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.answer_with(|_, asked| {
        if asked.body.ends_with(b"tenant=2") {
            Reply::error(400, "invalid_scope")
        } else {
            Reply::token("t", 3600)
        }
    });
    stage.http.close_gate();
    let sources = [1, 2, 3].map(|tenant| stage.tenant(tenant));
    let warming = tokio::spawn({
        let (manager, sources) = (stage.manager.clone(), sources.clone());
        async move { manager.warm(sources).await }
    });
    stage.http.arrivals(3).await;
    stage.http.open_gate();
    let told: Vec<bool> = warming.await.unwrap().iter().map(Result::is_ok).collect();
    assert_eq!(told, [true, false, true]);
    assert!(sources[0].fresh().is_some() && sources[2].fresh().is_some());
}

#[tokio::test]
async fn warming_waits_for_all_together() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.close_gate();
    let sources = [1, 2, 3].map(|tenant| stage.tenant(tenant));
    let warming = tokio::spawn({
        let (manager, sources) = (stage.manager.clone(), sources.clone());
        async move { manager.warm(sources).await }
    });
    stage.http.arrivals(3).await;
    // One `max_wait`, after which every vendor has had its time.
    stage.advance(10.0);
    settle().await;
    assert!(warming.is_finished());
    for outcome in warming.await.unwrap() {
        assert!(outcome.unwrap_err().is_transient());
    }
}

#[test]
fn warming_outside_a_runtime_is_an_error_for_each() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let mut warming = pin!(stage.manager.warm([stage.tenant(1), stage.tenant(2)]));
    let Poll::Ready(told) = warming
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("there is nothing to wait for");
    };
    assert!(told.len() == 2 && told.iter().all(Result::is_err));
}
