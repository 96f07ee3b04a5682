//! What a table of keys costs.

use biped_core::{Clock as _, SystemClock};
use biped_testing::TestProvider;

use super::*;
use crate::endpoint::Endpoint;

#[test]
fn a_new_key_beyond_the_bound_costs_no_look_at_all_the_keys_in_use() {
    const HELD: usize = 20_000;
    let settings = Settings::default().max_keys(1_600);
    let table = KeyTable::new(&settings);
    let provider: Arc<dyn biped_core::Provider> = Arc::new(TestProvider::default());
    let client = Arc::new(Client::new(
        provider.clone(),
        Endpoint::new(&settings, None),
    ));
    let now = SystemClock.now();
    let held: Vec<_> = (0..HELD)
        .map(|number| {
            let request = TokenRequest::new().param("tenant", number.to_string());
            table.find_or_make(provider.id(), request, &now, || client.clone())
        })
        .collect();
    let examined: usize = table
        .shards
        .iter()
        .map(|shard| shard.read().unwrap().examined)
        .sum();
    assert_eq!(table.all().len(), HELD);
    assert!(examined > 0);
    assert!(examined < 20 * HELD, "{examined} looks for {HELD} keys");
    drop(held);
}
