//! What one flight heard, no other asks again.

use super::*;

fn one_at_a_time() -> Settings {
    Settings::default().concurrent_fetches(1)
}

fn errors(world: &World, tenants: &[i64]) -> Vec<Running<Error>> {
    let call = |tenant| {
        let source = world.tenant(tenant);
        spawn(async move { source.token().await.unwrap_err() })
    };
    tenants.iter().copied().map(call).collect()
}

#[test]
fn a_client_that_was_refused_is_not_asked_for_by_those_in_the_queue() {
    explore(|| async {
        let world = World::with(one_at_a_time(), |_| Answer::InvalidClient);
        for error in end_of_all(errors(&world, &[1, 2, 2])).await {
            assert_eq!(error.kind(), ErrorKind::Refused);
        }
        world.manager.drain().await;
        assert_eq!(world.asked(), 1);
    });
}

#[test]
fn an_endpoint_that_wants_a_pause_is_not_asked_by_those_in_the_queue() {
    explore(|| async {
        let world = World::with(one_at_a_time(), |_| Answer::Later(30));
        for error in end_of_all(errors(&world, &[1, 2, 2])).await {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
        }
        world.manager.drain().await;
        assert_eq!(world.asked(), 1);
    });
}

#[test]
fn a_request_that_was_refused_is_asked_once() {
    explore(|| async {
        let world = World::with(Settings::default(), |_| Answer::InvalidScope);
        for error in end_of_all(errors(&world, &[1, 1, 1])).await {
            assert_eq!(error.kind(), ErrorKind::Refused);
        }
        world.manager.drain().await;
        assert_eq!(world.asked(), 1);
    });
}

#[test]
fn a_refused_client_is_put_to_the_test_by_one() {
    explore(|| async {
        let world = World::with(Settings::default(), |number| match number {
            1 => Answer::InvalidClient,
            _ => Answer::Token,
        });
        world.vendor.at_once.store(1, SeqCst);
        world.tenant(1).token().await.unwrap_err();
        world.manager.drain().await;
        world.clock.advance(Duration::from_secs(61));
        let callers: Vec<_> = [1, 2, 2]
            .into_iter()
            .map(|tenant| {
                let source = world.tenant(tenant);
                spawn(async move { source.token().await.map(drop) })
            })
            .collect();
        let ends = end_of_all(callers).await;
        assert!(ends.iter().any(Result::is_ok), "nobody asked");
        world.manager.drain().await;
        for tenant in [1, 2] {
            world.tenant(tenant).token().await.unwrap();
        }
        assert_eq!(world.asked(), 3);
    });
}

#[test]
fn a_permit_outlives_whoever_waits_for_it() {
    explore(|| async {
        let world = World::with(one_at_a_time(), |_| Answer::Token);
        let runtime = Handle::default();
        let source = world.tenant(1);
        let doomed = runtime.spawn(async move { source.token().await.map(drop) });
        let callers: Vec<_> = [2, 3]
            .into_iter()
            .map(|tenant| {
                let source = world.tenant(tenant);
                spawn(async move { source.token().await.map(drop) })
            })
            .collect();
        runtime.end();
        for end in end_of_all(callers).await {
            end.unwrap();
        }
        drop(doomed);
        world.manager.drain().await;
        assert!((2..=3).contains(&world.asked()));
    });
}
