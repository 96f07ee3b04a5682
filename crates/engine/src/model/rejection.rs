//! A rejection takes that token and no newer one, and it doesn't come back.

use super::*;

fn reject_and_ask(
    source: &TokenSource,
    rejected: &Arc<CachedToken>,
) -> Running<(Rejection, usize)> {
    let (source, rejected) = (source.clone(), rejected.clone());
    spawn(async move {
        let rejection = source.reject(&rejected);
        (rejection, number(&source.token().await.unwrap()))
    })
}

#[test]
fn rejections_of_one_token_cost_one_fetch() {
    explore(|| async {
        let world = World::new();
        let (source, token) = world.warm_source().await;
        let watcher = watch(&source, 1);
        let callers: Vec<_> = (0..3).map(|_| reject_and_ask(&source, &token)).collect();
        let ends = end_of_all(callers).await;
        let renewing = ends.iter().filter(|(it, _)| *it == Rejection::Renewing);
        assert_eq!(renewing.count(), 1);
        assert!(ends.iter().all(|(_, got)| *got == 2), "{ends:?}");
        watcher.end().await;
        world.manager.drain().await;
        assert_eq!(world.asked(), 2);
    });
}

#[test]
fn a_late_rejection_beside_a_refresh_spares_the_newer_token() {
    explore(|| async {
        let world = World::new();
        let (source, token) = world.warm_source().await;
        world.clock.advance(PAST_REFRESH);
        let watcher = watch(&source, 1);
        let refreshes = {
            let source = source.clone();
            spawn(async move { source.token().await.map(drop) })
        };
        let callers: Vec<_> = (0..2).map(|_| reject_and_ask(&source, &token)).collect();
        for (_, got) in end_of_all(callers).await {
            assert_eq!(got, 2);
        }
        refreshes.end().await.unwrap();
        watcher.end().await;
        world.manager.drain().await;
        assert_eq!(number(&source.fresh().unwrap()), 2);
        assert_eq!(world.asked(), 2);
    });
}

#[test]
fn a_replacement_that_is_rejected_at_once_goes_on_serving() {
    explore(|| async {
        let world = World::new();
        let (source, token) = world.warm_source().await;
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (source, token) = (source.clone(), token.clone());
                spawn(async move {
                    source.reject(&token);
                    let replacement = source.token().await.unwrap().into_owned();
                    let rejection = source.reject(&replacement);
                    assert_eq!(rejection, Rejection::CoolingDown);
                    number(&source.token().await.unwrap())
                })
            })
            .collect();
        assert_eq!(end_of_all(callers).await, [2; 3]);
        world.manager.drain().await;
        assert_eq!(world.asked(), 2);
    });
}

#[test]
fn what_was_on_its_way_when_all_was_forgotten_is_not_served() {
    explore(|| async {
        let world = World::with(Settings::default(), |number| match number {
            2 => Answer::DelayedToken,
            _ => Answer::Token,
        });
        let (source, _) = world.warm_source().await;
        world.clock.advance(PAST_REFRESH);
        let watcher = watch(&source, 1);
        world.vendor.arrived.close();
        let refreshes = {
            let source = source.clone();
            spawn(async move { source.token().await.map(drop) })
        };
        world.vendor.arrived.opened().await;
        let before = world.asked();
        let vendor = world.vendor.clone();
        let answers = spawn(async move { vendor.gate.open() });
        source.forget().await.unwrap();
        world.clock.advance(Duration::from_secs(2));
        match source.token().await {
            Ok(token) => assert!(number(&token) > before, "it was forgotten"),
            // It waited for the flight that was forgotten.
            Err(error) => assert!(error.is_transient()),
        }
        answers.end().await;
        let _ = refreshes.end().await;
        watcher.end().await;
        world.manager.drain().await;
        assert!(number(&source.token().await.unwrap()) > before);
    });
}

#[test]
fn what_was_revoked_is_not_served_and_what_came_meanwhile_is() {
    explore(|| async {
        let world = World::new();
        let (source, _) = world.warm_source().await;
        world.clock.advance(PAST_REFRESH);
        let watcher = watch(&source, 1);
        let refreshes = {
            let source = source.clone();
            spawn(async move { source.token().await.map(drop) })
        };
        assert_eq!(world.manager.revoke_unshared().await, 1);
        world.clock.advance(Duration::from_secs(2));
        let got = number(&source.token().await.unwrap());
        assert!(got > 1, "it was revoked");
        refreshes.end().await.unwrap();
        watcher.end().await;
        world.manager.drain().await;
        let revoked = world.vendor.revoked.load(SeqCst);
        assert_eq!(world.asked(), revoked + 1);
    });
}

#[test]
fn what_was_rejected_while_it_was_being_stored_does_not_come_back() {
    explore(|| async {
        let world = World::with_store();
        let source = world.source();
        // It is handed out before it is stored.
        let token = source.token().await.unwrap().into_owned();
        world.clock.advance(Duration::from_secs(20));
        let callers: Vec<_> = (0..2).map(|_| reject_and_ask(&source, &token)).collect();
        for (_, got) in end_of_all(callers).await {
            assert_eq!(got, 2);
        }
        world.manager.drain().await;
        assert_eq!(world.asked(), 2);
        let stored = source.stored().await.unwrap();
        assert_eq!(stored.map(|(token, _)| number(&token)), Some(2));
    });
}

#[test]
fn a_rejected_token_serves_again_only_while_its_replacement_fails() {
    explore(|| async {
        let world = World::with(Settings::default(), |number| match number {
            2 => Answer::Later(300),
            _ => Answer::Token,
        });
        let (source, token) = world.warm_source().await;
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let (source, token) = (source.clone(), token.clone());
                spawn(async move {
                    source.reject(&token);
                    let got = source.token().await;
                    // A late rejection of the first wave means nothing.
                    source.reject(&token);
                    got.map(|token| number(&token))
                })
            })
            .collect();
        for got in end_of_all(callers).await {
            assert_eq!(got.unwrap(), 1);
        }
        assert_eq!(world.asked(), 2);
        world.clock.advance(Duration::from_secs(301));
        let watcher = {
            let source = source.clone();
            spawn(async move {
                let mut seen = 1;
                for _ in 0..3 {
                    let got = number(&source.token().await.unwrap());
                    assert!(got >= seen, "{got} after {seen}");
                    seen = got;
                }
            })
        };
        watcher.end().await;
        world.manager.drain().await;
        // The replacement has come, and the old one never serves again.
        assert_eq!(number(&source.token().await.unwrap()), 3);
        assert_eq!(source.reject(&token), Rejection::Superseded);
        assert_eq!(number(&source.token().await.unwrap()), 3);
        assert_eq!(world.asked(), 3);
    });
}
