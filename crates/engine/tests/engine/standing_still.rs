//! Runtimes that nobody drives: an application made one for a call, and the call was given up.
//! What their flights hold goes to others.

use biped_core::Error;
use biped_engine::{Settings, TokenSource};
use biped_testing::{Reply, settle};
use tokio::{runtime::Runtime, task::JoinHandle};

use crate::stage::{Stage, ask, text};

/// Longer than it takes to see that nobody drives a flight.
const SEEN: f64 = 8.0;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

fn one_at_a_time() -> Stage {
    let stage = Stage::with(Settings::default().concurrent_fetches(1));
    stage.http.answer_with(|_, _| Reply::token("t", 3600));
    stage.http.close_gate();
    stage
}

/// A runtime that was driven until so many of its callers had a request with the vendor.
fn left_standing(stage: &Stage, callers: &[TokenSource], arrivals: usize) -> Runtime {
    let runtime = runtime();
    runtime.block_on(async {
        for source in callers {
            drop(ask(source));
        }
        stage.http.arrivals(arrivals).await;
        settle().await;
    });
    runtime
}

/// A caller on this runtime whose request is with the vendor.
fn asked_on(runtime: &Runtime, stage: &Stage) -> JoinHandle<Result<String, Error>> {
    let _entered = runtime.enter();
    let caller = ask(&stage.tenant(1));
    runtime.block_on(stage.http.arrivals(1));
    caller
}

async fn served(stage: &Stage, caller: JoinHandle<Result<String, Error>>) {
    stage.pass(SEEN).await;
    assert!(caller.is_finished(), "it still waits");
    assert_eq!(caller.await.unwrap().unwrap(), "t");
}

#[test]
fn the_permits_of_a_runtime_that_nobody_drives_go_to_others() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    stage.http.answer_with(|_, _| Reply::token("t", 3600));
    stage.http.close_gate();
    let abandoned: Vec<_> = (0..8).map(|number| stage.tenant(number)).collect();
    let standing = left_standing(&stage, &abandoned, 8);
    stage.http.open_gate();

    let driven = runtime();
    driven.block_on(async { served(&stage, ask(&stage.tenant(9))).await });

    // It is driven again: what it gives back late was given to others already.
    standing.block_on(settle());
    assert!(abandoned.iter().all(|source| source.fresh().is_some()));
    driven.block_on(async {
        stage.http.close_gate();
        let callers: Vec<_> = (20..40).map(|number| ask(&stage.tenant(number))).collect();
        settle().await;
        assert_eq!(stage.http.count(), 9 + 8, "eight at a time");
        stage.http.open_gate();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
    });
}

#[test]
fn callers_on_a_runtime_that_nobody_drives_block_nobody_behind_them() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = one_at_a_time();
    let driven = runtime();
    let first = asked_on(&driven, &stage);
    let abandoned: Vec<_> = (10..15).map(|number| stage.tenant(number)).collect();
    let standing = left_standing(&stage, &abandoned, 1);
    driven.block_on(async {
        let behind = ask(&stage.tenant(2));
        stage.pass(SEEN).await;
        stage.http.open_gate();
        settle().await;
        assert!(first.is_finished());
        assert!(
            behind.is_finished(),
            "it waits for those who are not driven"
        );
    });
    // They have lost their places and not their turns.
    standing.block_on(settle());
    assert!(abandoned.iter().all(|source| source.fresh().is_some()));
}

#[test]
fn a_permit_that_goes_to_a_runtime_that_nobody_drives_goes_on() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = one_at_a_time();
    let driven = runtime();
    let first = asked_on(&driven, &stage);
    let abandoned = [stage.tenant(10)];
    let standing = left_standing(&stage, &abandoned, 1);
    driven.block_on(async {
        let behind = ask(&stage.tenant(2));
        settle().await;
        stage.http.open_gate();
        settle().await;
        assert!(first.is_finished());
        assert!(!behind.is_finished(), "the next in line has the permit");
        served(&stage, behind).await;
    });
    assert_eq!(
        stage.http.count(),
        2,
        "the permit was used without a right to it"
    );
    standing.block_on(settle());
    assert!(abandoned[0].fresh().is_some());
    assert_eq!(stage.http.count(), 3);
}

#[test]
fn a_turn_at_a_bounded_rate_does_not_stay_with_a_runtime_that_nobody_drives() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::with(Settings::default().fetches_per_minute(Some(60)));
    stage.http.answer_with(|_, _| Reply::token("t", 3600));
    let driven = runtime();
    driven.block_on(text(&stage.tenant(1)));
    // It has the next turn, and waits for its second.
    let abandoned = [stage.tenant(10)];
    let standing = left_standing(&stage, &abandoned, 1);
    driven.block_on(async {
        let behind = ask(&stage.tenant(2));
        served(&stage, behind).await;
    });
    standing.block_on(settle());
    driven.block_on(stage.pass(2.0));
    standing.block_on(settle());
    assert!(abandoned[0].fresh().is_some());
    assert_eq!(stage.http.count(), 3);
}

#[tokio::test]
async fn a_process_that_stood_still_as_a_whole_loses_no_permit() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = one_at_a_time();
    let first = ask(&stage.tenant(1));
    stage.http.arrivals(1).await;
    let behind = ask(&stage.tenant(2));
    for _ in 0..2 {
        settle().await;
        stage.advance(20.0);
    }
    settle().await;
    assert_eq!(stage.http.count(), 1, "two at a time");
    stage.http.open_gate();
    settle().await;
    assert!(stage.tenant(1).fresh().is_some() && stage.tenant(2).fresh().is_some());
    drop((first, behind));
}

#[test]
fn a_key_whose_fetch_nobody_drives_is_fetched_anew() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = one_at_a_time();
    let source = stage.tenant(1);
    let _standing = left_standing(&stage, std::slice::from_ref(&source), 1);
    stage.http.open_gate();
    runtime().block_on(async {
        let early = ask(&source);
        stage.pass(10.5).await;
        assert!(early.await.unwrap().unwrap_err().is_transient());
        served(&stage, ask(&source)).await;
    });
}

#[test]
fn it_is_quiet_although_nobody_drives_a_fetch() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = one_at_a_time();
    let _standing = left_standing(&stage, &[stage.tenant(1)], 1);
    runtime().block_on(async {
        let manager = stage.manager.clone();
        let quiet = tokio::spawn(async move { manager.drain().await });
        stage.pass(40.0).await;
        assert!(!quiet.is_finished(), "a fetch may take as long");
        stage.pass(10.0).await;
        assert!(quiet.is_finished());
    });
}
