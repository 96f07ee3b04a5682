//! What happens when an API rejects a token.

use std::sync::Arc;

use biped_core::{ErrorKind, ExposeSecret, Lifetime};
use biped_engine::{CachedToken, Rejection, TokenSource, TokenState};
use biped_testing::{Reply, TestProvider, settle};

use crate::stage::{Stage, ask, seconds, text};

async fn token(source: &TokenSource) -> Arc<CachedToken> {
    source.token().await.unwrap().into_owned()
}

fn numbered(stage: &Stage, life: u64) {
    stage
        .http
        .answer_with(move |number, _| Reply::token(&format!("t-{number}"), life));
}

#[tokio::test]
async fn a_hundred_rejections_at_once_cost_one_fetch() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 1000);
    let rejected = token(&source).await;
    stage.advance(20.0);
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (source, rejected) = (source.clone(), rejected.clone());
            tokio::spawn(async move {
                source.reject(&rejected);
                source
                    .token()
                    .await
                    .map(|token| token.expose_secret().to_owned())
            })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), "t-2");
    }
    assert_eq!(stage.http.count(), 2);
}

#[tokio::test]
async fn rejecting_starts_the_fetch_by_itself() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 1000);
    let rejected = token(&source).await;
    stage.advance(20.0);
    assert_eq!(source.reject(&rejected), Rejection::Renewing);
    assert!(source.fresh().is_none());
    settle().await;
    assert_eq!(source.fresh().unwrap().expose_secret(), "t-2");
}

#[tokio::test]
async fn late_rejection_spares_the_newer_token() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 1000);
    let old = token(&source).await;
    stage.advance(860.0);
    text(&source).await;
    settle().await;
    let newer = token(&source).await;
    assert_eq!(source.reject(&old), Rejection::Superseded);
    assert_eq!(token(&source).await.generation(), newer.generation());
    assert_eq!(stage.http.count(), 2);
}

#[tokio::test]
async fn a_rejection_while_the_refresh_is_under_way_takes_the_refresh() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 1000);
    let old = token(&source).await;
    stage.advance(860.0);
    stage.http.close_gate();
    text(&source).await;
    stage.http.arrivals(2).await;
    assert_eq!(source.reject(&old), Rejection::Renewing);
    let caller = ask(&source);
    settle().await;
    stage.http.open_gate();
    assert_eq!(caller.await.unwrap().unwrap(), "t-2");
    assert_eq!(stage.http.count(), 2);
}

#[tokio::test]
async fn a_401_that_never_stops_costs_one_fetch_a_minute() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 3600);
    token(&source).await;
    stage.advance(20.0);
    // One path answers 401 to everybody, ten times a second, for ten minutes.
    for _ in 0..6000 {
        if let Some(token) = source.fresh() {
            let token = token.into_owned();
            source.reject(&token);
        }
        settle().await;
        stage.advance(0.1);
    }
    let requests = stage.http.count();
    assert!((2..=12).contains(&requests), "{requests}");
}

#[tokio::test]
async fn during_the_cool_down_the_newest_token_goes_on_serving() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 3600);
    let first = token(&source).await;
    stage.advance(20.0);
    assert_eq!(source.reject(&first), Rejection::Renewing);
    let second = token(&source).await;
    assert_eq!(source.reject(&second), Rejection::CoolingDown);
    for _ in 0..59 {
        assert_eq!(source.fresh().unwrap().expose_secret(), "t-2");
        assert_eq!(source.reject(&second), Rejection::CoolingDown);
        stage.advance(1.0);
    }
    assert_eq!(stage.http.count(), 2);
    stage.advance(1.1);
    assert_eq!(source.reject(&second), Rejection::Renewing);
    assert_eq!(text(&source).await, "t-3");
}

#[tokio::test]
async fn a_token_that_did_its_work_and_is_rejected_later_is_simply_replaced() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 3600);
    for expected in 1..20 {
        let token = token(&source).await;
        assert_eq!(token.expose_secret(), format!("t-{expected}"));
        stage.advance(10.1);
        assert_eq!(source.reject(&token), Rejection::Renewing);
        settle().await;
    }
}

#[tokio::test]
async fn a_clock_set_back_does_not_make_a_rejection_look_like_one_at_once() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 3600);
    let first = token(&source).await;
    stage.advance(20.0);
    source.reject(&first);
    let second = token(&source).await;
    stage.advance(100.0);
    stage.clock.step_wall_back(seconds(100.0));
    assert_eq!(source.reject(&second), Rejection::Renewing);
}

#[tokio::test]
async fn short_tokens_have_short_cool_downs() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 8);
    let first = token(&source).await;
    stage.advance(3.0);
    assert_eq!(source.reject(&first), Rejection::Renewing);
    let second = token(&source).await;
    stage.advance(1.9);
    assert_eq!(source.reject(&second), Rejection::CoolingDown);
    stage.advance(8.1);
    let third = token(&source).await;
    assert_eq!(source.reject(&third), Rejection::Renewing);
}

#[tokio::test]
async fn a_short_token_that_served_for_a_while_is_simply_replaced() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 8);
    let first = token(&source).await;
    stage.advance(3.0);
    assert_eq!(source.reject(&first), Rejection::Renewing);
    let second = token(&source).await;
    stage.advance(2.1);
    assert_eq!(source.reject(&second), Rejection::Renewing);
}

#[tokio::test]
async fn only_the_replacement_itself_shows_that_tokens_are_not_the_problem() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 1000);
    let first = token(&source).await;
    stage.advance(20.0);
    assert_eq!(source.reject(&first), Rejection::Renewing);
    token(&source).await;
    stage.advance(2.0);
    let by_hand = source.fetch().await.unwrap().into_owned();
    stage.advance(2.0);
    assert_eq!(source.reject(&by_hand), Rejection::Renewing);
}

#[tokio::test]
async fn a_token_without_end_can_be_rejected_too() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let provider = TestProvider::default().assumed_lifetime(Lifetime::UntilRejected);
    let source = stage.source_of(provider);
    stage
        .http
        .answer_with(|number, _| Reply::json(200, &format!(r#"{{"access_token":"t-{number}"}}"#)));
    let first = token(&source).await;
    stage.advance(20.0);
    assert_eq!(source.reject(&first), Rejection::Renewing);
    let second = token(&source).await;
    assert_eq!(source.reject(&second), Rejection::CoolingDown);
}

#[tokio::test]
async fn a_server_that_kills_the_previous_token_is_asked_once_for_each() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 100);
    let mut rejected = 0;
    for _ in 0..300 {
        // A hundred calls under way while the token changes hands: some still carry the old one.
        let carried = token(&source).await;
        settle().await;
        let valid = format!("t-{}", stage.http.count());
        if carried.expose_secret() != valid {
            for _ in 0..100 {
                assert_ne!(source.reject(&carried), Rejection::Renewing);
            }
            rejected += 1;
            assert_eq!(text(&source).await, valid);
        }
        stage.pass(1.0).await;
    }
    assert!(rejected > 0);
    assert_eq!(stage.http.count(), 4);
}

/// A source whose token was rejected, of a vendor that fails since then.
async fn rejected_while_the_vendor_fails(
    reply: fn() -> Reply,
) -> (Stage, TokenSource, Arc<CachedToken>) {
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1000));
    let first = token(&source).await;
    stage.advance(20.0);
    stage.http.answer_with(move |_, _| reply());
    assert_eq!(source.reject(&first), Rejection::Renewing);
    (stage, source, first)
}

#[tokio::test]
async fn a_rejected_token_serves_again_while_its_replacement_can_not_be_fetched() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source, _) = rejected_while_the_vendor_fails(|| Reply::status(503)).await;
    let waits = ask(&source);
    settle().await;
    assert!(
        !waits.is_finished(),
        "whoever comes waits for the replacement"
    );
    stage.pass(5.0).await;
    assert_eq!(waits.await.unwrap().unwrap(), "t-1");
    assert!(source.fresh().is_none());
    assert_eq!(source.status().state, TokenState::Usable);
    // Now nobody waits: the flights go on in the background.
    for _ in 0..30 {
        assert_eq!(text(&source).await, "t-1");
        stage.pass(10.0).await;
    }
    assert!(stage.http.count() > 4, "{}", stage.http.count());
    stage.http.answer_with(|_, _| Reply::token("t-2", 1000));
    stage.pass(60.0).await;
    text(&source).await;
    settle().await;
    assert_eq!(text(&source).await, "t-2");
    assert!(source.fresh().is_some());
}

#[tokio::test]
async fn a_rejected_token_serves_no_longer_than_its_life() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source, _) = rejected_while_the_vendor_fails(|| Reply::status(503)).await;
    stage.pass(5.0).await;
    assert_eq!(text(&source).await, "t-1");
    stage.pass(951.0).await;
    let caller = ask(&source);
    stage.pass(10.0).await;
    assert!(caller.await.unwrap().is_err());
}

#[tokio::test]
async fn a_pause_that_the_vendor_asked_for_lets_a_rejected_token_serve_at_once() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::token("t-1", 1000));
    let first = token(&source).await;
    stage.advance(20.0);
    stage
        .http
        .push(Reply::status(503).with_header("retry-after", "600"));
    source.param("other", 1).token().await.unwrap_err();
    let before = stage.http.count();
    assert_eq!(source.reject(&first), Rejection::Renewing);
    assert_eq!(text(&source).await, "t-1");
    assert_eq!(stage.http.count(), before);
}

#[tokio::test]
async fn late_rejections_of_the_first_wave_do_not_end_a_token_that_serves_again() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source, first) = rejected_while_the_vendor_fails(|| Reply::status(503)).await;
    stage.pass(5.0).await;
    let again = token(&source).await;
    for _ in 0..10 {
        assert_eq!(source.reject(&first), Rejection::Superseded);
    }
    assert_eq!(text(&source).await, "t-1");
    // This one was handed out since.
    assert_eq!(source.reject(&again), Rejection::Renewing);
    let caller = ask(&source);
    stage.pass(10.0).await;
    assert!(caller.await.unwrap().is_err());
}

#[tokio::test]
async fn a_token_that_was_forgotten_does_not_serve_again() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source, _) = rejected_while_the_vendor_fails(|| Reply::status(503)).await;
    stage.pass(5.0).await;
    source.forget().await.unwrap();
    let caller = ask(&source);
    stage.pass(10.0).await;
    assert!(caller.await.unwrap().is_err());
}

#[tokio::test]
async fn who_asks_for_a_token_of_the_vendor_gets_no_rejected_one() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source, _) = rejected_while_the_vendor_fails(|| Reply::status(503)).await;
    stage.pass(5.0).await;
    let caller = {
        let source = source.clone();
        tokio::spawn(async move { source.fetch().await.map(drop) })
    };
    stage.pass(15.0).await;
    assert!(caller.await.unwrap().is_err());
    assert_eq!(text(&source).await, "t-1");
}

#[tokio::test]
async fn of_a_client_that_is_refused_no_rejected_token_serves_again() {
    let _limit = biped_testing::TimeLimit::start();
    let refused = || Reply::error(401, "invalid_client");
    let (stage, source, _) = rejected_while_the_vendor_fails(refused).await;
    stage.pass(5.0).await;
    assert!(source.token().await.unwrap_err().refuses_client());

    // Nor where the refusal comes later, and on another key.
    let (stage, source, _) = rejected_while_the_vendor_fails(|| Reply::status(503)).await;
    stage.pass(5.0).await;
    assert_eq!(text(&source).await, "t-1");
    stage.http.answer_with(move |_, _| refused());
    stage.pass(60.0).await;
    source.param("other", 1).token().await.unwrap_err();
    assert_eq!(source.status().state, TokenState::Quarantined);
    assert!(source.token().await.unwrap_err().refuses_client());
}

#[tokio::test]
async fn a_panic_says_nothing_of_the_vendor_and_neither_returns_nor_ends_a_rejected_token() {
    let _limit = biped_testing::TimeLimit::start();
    let (stage, source, _) = rejected_while_the_vendor_fails(|| Reply::Panic).await;
    for _ in 0..2 {
        let caller = ask(&source);
        stage.pass(5.0).await;
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
    stage.http.answer_with(|_, _| Reply::status(503));
    let caller = ask(&source);
    stage.pass(5.0).await;
    assert_eq!(caller.await.unwrap().unwrap(), "t-1");
}

#[test]
fn a_runtime_that_ends_does_not_return_a_rejected_token_to_those_who_wait() {
    let _limit = biped_testing::TimeLimit::start();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    let (flies, waits) = (runtime(), runtime());
    let (stage, source) = flies.block_on(async {
        let stage = Stage::new();
        let source = stage.source();
        numbered(&stage, 1000);
        let first = token(&source).await;
        stage.advance(20.0);
        stage.http.close_gate();
        source.reject(&first);
        stage.http.arrivals(2).await;
        (stage, source)
    });
    let caller = {
        let _on = waits.enter();
        ask(&source)
    };
    waits.block_on(settle());
    drop(flies);
    let error = waits.block_on(caller).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    stage.http.open_gate();
    assert_ne!(waits.block_on(text(&source)), "t-1");
}

#[tokio::test]
async fn what_is_refused_for_good_ends_a_rejected_token() {
    let _limit = biped_testing::TimeLimit::start();
    let refused = || Reply::error(400, "invalid_scope");
    let (stage, source, _) = rejected_while_the_vendor_fails(refused).await;
    stage.pass(5.0).await;
    assert_eq!(source.token().await.unwrap_err().kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn forgetting_takes_the_token_that_is_on_its_way_as_well() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source();
    numbered(&stage, 1000);
    stage.http.close_gate();
    let caller = ask(&source);
    stage.http.arrivals(1).await;
    source.forget().await.unwrap();
    stage.http.open_gate();
    // Who waited gets the next one.
    assert_eq!(caller.await.unwrap().unwrap(), "t-2");
    assert_eq!(text(&source).await, "t-2");
    assert_eq!(stage.http.count(), 2);
}

/// One key under arbitrary interleavings of everything that can happen to it, answer by answer.
mod interleavings {
    use std::{
        collections::{HashSet, VecDeque},
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use biped_core::async_trait;
    use biped_core::{Clock, Error, Generation, HttpClient, TokenRequest, VendorError};
    use biped_engine::TokenManager;
    use biped_testing::ManualClock;
    use bytes::Bytes;
    use proptest::prelude::*;
    use tokio::{sync::oneshot, task::JoinHandle};

    use super::*;

    /// A vendor whose answers are let out one by one.
    #[derive(Debug, Default)]
    struct Vendor {
        waiting: Mutex<VecDeque<oneshot::Sender<Answer>>>,
        at_once: AtomicUsize,
        most_at_once: AtomicUsize,
        asked: AtomicUsize,
        issued: AtomicUsize,
    }

    #[derive(Clone, Copy, Debug)]
    enum Answer {
        Token(u64),
        Busy,
        Refusal,
        Panic,
    }

    struct Leaving<'a>(&'a AtomicUsize);
    impl Drop for Leaving<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[async_trait]
    impl HttpClient for Vendor {
        async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            let _leaving = Leaving(&self.at_once);
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            let (answer, answered) = oneshot::channel();
            self.waiting.lock().unwrap().push_back(answer);
            let body = match answered.await.unwrap() {
                Answer::Token(life) => {
                    let number = self.issued.fetch_add(1, Ordering::SeqCst);
                    format!(r#"{{"access_token":"t-{number}","expires_in":{life}}}"#)
                }
                Answer::Busy => return Err(Error::unavailable(VendorError::new(503))),
                Answer::Refusal => {
                    let refusal = VendorError::new(401).code("invalid_client");
                    return Err(Error::refused(refusal));
                }
                Answer::Panic => panic!("as scripted"),
            };
            Ok(http::Response::new(body.into()))
        }
    }

    #[derive(Clone, Debug)]
    enum Event {
        Call,
        CallAnew,
        Cancel(usize),
        Answer(Answer),
        /// Of the tokens handed out so far.
        Reject(usize),
        RejectNewest,
        Forget,
        Pass(u32),
        Suspend(u32),
        StepBack(u32),
        Run,
    }

    fn event() -> impl Strategy<Value = Event> {
        let answer = prop_oneof![
            8 => (1_u64..200).prop_map(Answer::Token),
            2 => Just(Answer::Busy),
            1 => Just(Answer::Refusal),
            1 => Just(Answer::Panic),
        ];
        prop_oneof![
            6 => Just(Event::Call),
            1 => Just(Event::CallAnew),
            2 => any::<usize>().prop_map(Event::Cancel),
            6 => answer.prop_map(Event::Answer),
            2 => any::<usize>().prop_map(Event::Reject),
            3 => Just(Event::RejectNewest),
            1 => Just(Event::Forget),
            // Shorter than it takes until a flight that shows no heartbeat counts as lost.
            5 => (1_u32..7_000).prop_map(Event::Pass),
            1 => (1_u32..300_000).prop_map(Event::Suspend),
            1 => (1_u32..300_000).prop_map(Event::StepBack),
            6 => Just(Event::Run),
        ]
    }

    struct World {
        clock: Arc<ManualClock>,
        vendor: Arc<Vendor>,
        source: TokenSource,
        callers: Vec<JoinHandle<()>>,
        seen: Arc<Mutex<Vec<Arc<CachedToken>>>>,
        past: Arc<Mutex<Past>>,
        faults: Arc<Mutex<Vec<String>>>,
    }

    /// What must not come back.
    #[derive(Clone, Default)]
    struct Past {
        /// Rejected: each may serve once more, under another generation.
        rejected: HashSet<Generation>,
        /// Forgotten, or rejected again after they had come back: tokens by their number.
        gone: HashSet<usize>,
        newest: Option<usize>,
    }

    impl Past {
        fn contains(&self, token: &CachedToken) -> bool {
            let number = number(token);
            self.rejected.contains(&token.generation())
                || self.gone.contains(&number)
                || self.newest > Some(number)
        }
    }

    fn number(token: &CachedToken) -> usize {
        let text = token.expose_secret();
        text.strip_prefix("t-").unwrap().parse().unwrap()
    }

    impl World {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::new());
            let vendor = Arc::new(Vendor::default());
            let manager = TokenManager::builder(vendor.clone())
                .clock(clock.clone())
                .build();
            let source = manager.source(Arc::new(TestProvider::default()), TokenRequest::new());
            Self {
                clock,
                vendor,
                source,
                callers: Vec::new(),
                seen: Arc::default(),
                past: Arc::default(),
                faults: Arc::default(),
            }
        }

        fn call(&mut self, anew: bool) {
            let (source, clock) = (self.source.clone(), self.clock.clone());
            let (seen, faults) = (self.seen.clone(), self.faults.clone());
            let past = self.past.clone();
            self.callers.push(tokio::spawn(async move {
                let before = past.lock().unwrap().clone();
                let got = if anew {
                    source.fetch().await
                } else {
                    source.token().await
                };
                let Ok(token) = got else { return };
                let token = token.into_owned();
                if token
                    .expires_at()
                    .is_some_and(|expiry| expiry <= clock.now().wall)
                {
                    faults.lock().unwrap().push(format!("expired: {token:?}"));
                }
                if before.contains(&token) {
                    let number = number(&token);
                    let fault = format!("t-{number} came back: {token:?}");
                    faults.lock().unwrap().push(fault);
                }
                {
                    let mut past = past.lock().unwrap();
                    past.newest = past.newest.max(Some(number(&token)));
                }
                seen.lock().unwrap().push(token);
            }));
        }

        fn reject(&self, token: &CachedToken) {
            let before = self.source.fresh().map(biped_engine::TokenRef::into_owned);
            let rejection = self.source.reject(token);
            let after = self.source.fresh().map(biped_engine::TokenRef::into_owned);
            if let Some(before) = before
                && before.generation() != token.generation()
                && after.is_none()
            {
                self.faults
                    .lock()
                    .unwrap()
                    .push("a rejection took another token".into());
            }
            if rejection == Rejection::Renewing {
                let mut past = self.past.lock().unwrap();
                let number = number(token);
                let is_same = |it: &&Arc<CachedToken>| self::number(it) == number;
                let seen = self.seen.lock().unwrap();
                let mut others = seen.iter().filter(is_same).map(|it| it.generation());
                if others.any(|it| past.rejected.contains(&it)) {
                    past.gone.insert(number);
                }
                past.rejected.insert(token.generation());
            }
        }

        fn newest(&self) -> Option<Arc<CachedToken>> {
            self.seen.lock().unwrap().last().cloned()
        }

        async fn play(&mut self, event: Event) {
            match event {
                Event::Call => self.call(false),
                Event::CallAnew => self.call(true),
                Event::Cancel(at) if !self.callers.is_empty() => {
                    let at = at % self.callers.len();
                    self.callers.swap_remove(at).abort();
                }
                Event::Answer(answer) => {
                    let next = self.vendor.waiting.lock().unwrap().pop_front();
                    if let Some(next) = next {
                        let _ = next.send(answer);
                    }
                }
                Event::Reject(at) => {
                    let token = {
                        let seen = self.seen.lock().unwrap();
                        (!seen.is_empty()).then(|| seen[at % seen.len()].clone())
                    };
                    if let Some(token) = token {
                        self.reject(&token);
                    }
                }
                Event::RejectNewest => {
                    if let Some(token) = self.newest() {
                        self.reject(&token);
                    }
                }
                Event::Forget => {
                    self.source.forget().await.unwrap();
                    let seen = self.seen.lock().unwrap();
                    let seen = seen.iter().map(|token| number(token));
                    self.past.lock().unwrap().gone.extend(seen);
                }
                Event::Pass(millis) => {
                    settle().await;
                    self.clock.advance(seconds(f64::from(millis) / 1000.0));
                }
                Event::Suspend(millis) => self.clock.suspend(seconds(f64::from(millis) / 1000.0)),
                Event::StepBack(millis) => {
                    self.clock
                        .step_wall_back(seconds(f64::from(millis) / 1000.0));
                }
                Event::Run | Event::Cancel(_) => settle().await,
            }
        }

        /// Whatever happened, everybody gets an answer, and there is a token in the end.
        async fn ends_well(mut self) {
            for _ in 0..150 {
                settle().await;
                self.clock.advance(seconds(7.0));
            }
            settle().await;
            for caller in self.callers.drain(..) {
                assert!(caller.is_finished(), "a caller waits for ever");
            }
            self.vendor.waiting.lock().unwrap().clear();
            self.call(false);
            settle().await;
            while let Some(next) = { self.vendor.waiting.lock().unwrap().pop_front() } {
                let _ = next.send(Answer::Token(100));
                settle().await;
            }
            assert!(self.callers[0].is_finished());
            let fresh = self.source.fresh().expect("a token in the end");
            assert!(
                !self.past.lock().unwrap().contains(&fresh),
                "it came back: {fresh:?}"
            );
            assert!(
                self.vendor.most_at_once.load(Ordering::SeqCst) <= 1,
                "two at once"
            );
            assert_eq!(*self.faults.lock().unwrap(), Vec::<String>::new());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_happens_in_whatever_order_nobody_waits_in_vain_and_nothing_rejected_comes_back(
            events in proptest::collection::vec(event(), 0..80)
        ) {
            let _limit = biped_testing::TimeLimit::start();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut world = World::new();
                for event in events {
                    world.play(event).await;
                }
                world.ends_well().await;
            });
        }
    }
}

/// The same key on several threads and real time, as a check on what a single thread can't show.
#[test]
fn callers_and_rejections_on_several_threads_leave_nobody_waiting() {
    let _limit = biped_testing::TimeLimit::start();
    let http = Arc::new(biped_testing::ScriptedHttp::new());
    http.answer_with(|number, _| Reply::token(&format!("t-{number}"), 3600));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    let clock = Arc::new(biped_testing::ManualClock::new());
    let manager = biped_engine::TokenManager::builder(http.clone())
        .clock(clock.clone())
        .build();
    let source = manager.source(
        Arc::new(TestProvider::default()),
        biped_core::TokenRequest::new(),
    );
    runtime.block_on(async {
        for _ in 0..200 {
            clock.advance(seconds(70.0));
            let barrier = Arc::new(tokio::sync::Barrier::new(16));
            let callers: Vec<_> = (0..16)
                .map(|_| {
                    let (source, barrier) = (source.clone(), barrier.clone());
                    tokio::spawn(async move {
                        barrier.wait().await;
                        let first = source.token().await.unwrap().into_owned();
                        source.reject(&first);
                        source.token().await.unwrap().generation()
                    })
                })
                .collect();
            let waker = tokio::spawn({
                let clock = clock.clone();
                async move {
                    loop {
                        tokio::task::yield_now().await;
                        clock.advance(seconds(0.001));
                    }
                }
            });
            for caller in callers {
                caller.await.unwrap();
            }
            waker.abort();
        }
    });
    // The first, and one for each round that rejected it.
    assert!(http.count() <= 2 * 200 + 1, "{}", http.count());
}
