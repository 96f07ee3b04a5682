//! One fetch at a time, whose end no other flight and no caller decides.

use super::*;

/// Asks once more where a flight ended for a reason that lies in no vendor.
async fn insist(source: TokenSource) -> usize {
    match source.token().await {
        Ok(token) => return number(&token),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Internal, "{error}"),
    }
    number(&source.token().await.unwrap())
}

#[test]
fn callers_of_a_cold_key_share_one_fetch() {
    explore(|| async {
        let world = World::new();
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let source = world.source();
                spawn(async move { number(&source.token().await.unwrap()) })
            })
            .collect();
        assert_eq!(end_of_all(callers).await, [1; 3]);
        world.manager.drain().await;
        assert_eq!(world.asked(), 1);
    });
}

#[test]
fn a_refresh_makes_nobody_wait_and_is_one_fetch() {
    explore(|| async {
        let world = World::new();
        let (source, _) = world.warm_source().await;
        world.clock.advance(PAST_REFRESH);
        let watcher = watch(&source, 1);
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let source = source.clone();
                spawn(async move { number(&source.token().await.unwrap()) })
            })
            .collect();
        for got in end_of_all(callers).await {
            assert!(got == 1 || got == 2);
        }
        watcher.end().await;
        world.manager.drain().await;
        assert_eq!(number(&source.fresh().unwrap()), 2);
        assert_eq!(world.asked(), 2);
    });
}

#[test]
fn a_token_whose_time_is_over_is_not_served_beside_the_one_that_follows() {
    explore(|| async {
        let world = World::new();
        let (source, _) = world.warm_source().await;
        world.clock.advance(Duration::from_secs(975));
        let watchers = [watch(&source, 2), watch(&source, 2)];
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let source = source.clone();
                spawn(async move { number(&source.token().await.unwrap()) })
            })
            .collect();
        assert_eq!(end_of_all(callers).await, [2; 2]);
        end_of_all(watchers).await;
        world.manager.drain().await;
        assert_eq!(world.asked(), 2);
    });
}

#[test]
fn a_caller_that_goes_away_takes_nothing_with_it() {
    explore(|| async {
        let world = World::new();
        let call = || {
            let source = world.source();
            spawn(async move { number(&source.token().await.unwrap()) })
        };
        let (leaves, stays, stays_too) = (call(), call(), call());
        leaves.abort();
        assert_eq!(end_of_all([stays, stays_too]).await, [1; 2]);
        world.manager.drain().await;
        assert_eq!(world.asked(), 1);
    });
}

#[test]
fn a_caller_that_waited_long_enough_leaves_the_flight_to_the_others() {
    explore(|| async {
        let world = World::new();
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let source = world.source();
                spawn(async move { source.token().await.map(|token| number(&token)) })
            })
            .collect();
        world.clock.advance(Settings::MAX_WAIT);
        for got in end_of_all(callers).await {
            match got {
                Ok(number) => assert_eq!(number, 1),
                Err(error) => assert!(error.is_transient()),
            }
        }
        world.manager.drain().await;
        assert_eq!(number(&world.source().token().await.unwrap()), 1);
        assert_eq!(world.asked(), 1);
    });
}

#[test]
fn a_provider_that_panics_wakes_everybody_and_the_next_call_starts_anew() {
    explore(|| async {
        let world = World::with(Settings::default(), |number| match number {
            1 => Answer::Panic,
            _ => Answer::Token,
        });
        let callers: Vec<_> = (0..3).map(|_| spawn(insist(world.source()))).collect();
        assert_eq!(end_of_all(callers).await, [2; 3]);
        world.manager.drain().await;
        assert_eq!(world.asked(), 2);
    });
}

#[test]
fn a_runtime_that_ends_wakes_everybody_and_the_next_call_starts_anew() {
    explore(|| async {
        let world = World::new();
        let runtime = Handle::default();
        let source = world.source();
        // May start the flight, and may be dropped at any moment.
        let doomed = runtime.spawn(async move { source.token().await.map(drop) });
        let ends = spawn(async move { runtime.end() });
        let callers: Vec<_> = (0..2).map(|_| spawn(insist(world.source()))).collect();
        end_of_all(callers).await;
        ends.end().await;
        drop(doomed);
        world.manager.drain().await;
        assert!(world.source().fresh().is_some());
        assert!(world.asked() <= 2);
    });
}

#[test]
fn a_runtime_that_has_ended_takes_a_flight_and_gives_it_back() {
    explore(|| async {
        let world = World::new();
        let runtime = Handle::default();
        runtime.end();
        let source = world.source();
        let caller = spawn(async move {
            runtime.enter();
            source.token().await.map(drop)
        });
        let other = spawn(insist(world.source()));
        let _ = caller.end().await;
        other.end().await;
        world.manager.drain().await;
        assert_eq!(world.asked(), 1);
    });
}

#[test]
fn the_end_of_a_flight_believed_lost_leaves_the_next_one_alone() {
    explore(|| async {
        let settings = Settings {
            // It stands still, and doesn't even notice that its time is over.
            flight_limit: Duration::MAX,
            heartbeat: Duration::MAX,
            ..Settings::default()
        };
        let world = World::with(settings, |number| match number {
            1 => Answer::LostToken,
            _ => Answer::Token,
        });
        let runtime = Handle::default();
        let source = world.source();
        let first = runtime.spawn(async move { source.token().await.map(drop) });
        world.vendor.arrived.opened().await;
        let ends = spawn(async move { runtime.end() });
        world.clock.advance(Duration::from_secs(60));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let source = world.source();
                spawn(async move { number(&source.token().await.unwrap()) })
            })
            .collect();
        ends.end().await;
        assert_eq!(end_of_all(others).await, [2; 2]);
        drop(first);
        world.manager.drain().await;
        assert_eq!(world.asked(), 2);
    });
}

#[test]
fn a_flight_believed_lost_never_replaces_a_newer_token() {
    explore(|| async {
        let world = World::with(Settings::default(), |number| match number {
            1 => Answer::LostToken,
            _ => Answer::Token,
        });
        let source = world.source();
        let first = {
            let source = source.clone();
            spawn(async move { source.token().await.map(drop) })
        };
        world.vendor.arrived.opened().await;
        let watcher = watch(&source, 1);
        let vendor = world.vendor.clone();
        let answers = spawn(async move { vendor.gate.open() });
        world.clock.advance(Duration::from_secs(60));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let source = source.clone();
                spawn(async move { source.token().await.map(|token| number(&token)) })
            })
            .collect();
        let got = end_of_all(others).await;
        let _ = first.end().await;
        answers.end().await;
        watcher.end().await;
        world.manager.drain().await;
        for got in got.into_iter().flatten() {
            assert!(number(&source.fresh().unwrap()) >= got);
        }
        assert!(world.asked() <= 2);
    });
}
