//! A key is one key as long as somebody has a handle to it.

use super::*;

#[test]
fn handles_made_at_once_are_to_one_key_of_one_client() {
    explore(|| async {
        let world = World::new();
        let make = |tenant| {
            let make = world.tenants();
            spawn(async move { make(tenant) })
        };
        let sources = end_of_all([make(1), make(1), make(2)]).await;
        assert!(Arc::ptr_eq(&sources[0].entry, &sources[1].entry));
        assert!(!Arc::ptr_eq(&sources[0].entry, &sources[2].entry));
        assert!(Arc::ptr_eq(
            &sources[0].entry.client,
            &sources[2].entry.client
        ));
    });
}

#[test]
fn a_key_is_not_evicted_beside_a_handle_being_made() {
    explore(|| async {
        let world = World::with(Settings::default().max_keys(1), |_| Answer::Token);
        world.tenant(1).token().await.unwrap();
        world.manager.quiet().await;
        world.clock.advance(Duration::from_secs(2));
        let use_it = |tenant| {
            let make = world.tenants();
            spawn(async move {
                let source = make(tenant);
                source.token().await.unwrap();
                let again = make(tenant);
                assert!(Arc::ptr_eq(&source.entry, &again.entry), "two of one key");
            })
        };
        end_of_all([use_it(1), use_it(2), use_it(1)]).await;
        world.manager.quiet().await;
        // Whoever had no handle for a moment may have lost its token.
        assert!((2..=4).contains(&world.asked()), "{}", world.asked());
    });
}
