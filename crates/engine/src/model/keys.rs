//! A key is one key as long as there is a handle to it.

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
        let entries = world.manager.0.keys.all();
        assert_eq!(entries.len(), 2);
        assert!(Arc::ptr_eq(&entries[0].client, &entries[1].client));
        for source in sources {
            source.token().await.unwrap();
        }
        assert_eq!(world.asked(), 2);
    });
}

#[test]
fn a_key_is_not_evicted_beside_a_handle_being_made() {
    explore(|| async {
        let world = World::with(Settings::default().max_keys(1), |_| Answer::Token);
        world.tenant(1).token().await.unwrap();
        world.manager.drain().await;
        world.clock.advance(Duration::from_secs(2));
        let use_it = |tenant| {
            let make = world.tenants();
            spawn(async move {
                let source = make(tenant);
                let token = source.token().await.unwrap();
                let again = make(tenant).fresh().map(|token| number(&token));
                assert_eq!(again, Some(number(&token)), "two of one key");
            })
        };
        end_of_all([use_it(1), use_it(2), use_it(1)]).await;
        world.manager.drain().await;
        // Whoever had no handle for a moment may have lost its token.
        assert!((2..=4).contains(&world.asked()), "{}", world.asked());
    });
}
