//! A kind of store that Biped doesn't know, as the example has it.

use std::collections::BTreeMap;

use biped::{
    config::{ConfigValue, Origin},
    store::StoreConfig,
};
use biped_testing::store::conformance;

#[allow(dead_code)] // the example's main
#[path = "../examples/own_store.rs"]
mod example;

#[tokio::test]
async fn the_store_of_the_example_keeps_its_promises() {
    let table = ConfigValue {
        raw: "tests".into(),
        origin: Origin::Builder,
    };
    let values = BTreeMap::from([("table".to_owned(), table)]);
    let config = StoreConfig::new(Origin::Builder, values);
    let store = example::kind().build(&config).unwrap();
    conformance::run(store, conformance::STORAGE).await;
}

#[test]
fn the_example_of_a_store_has_fewer_than_120_lines() {
    let lines = include_str!("../examples/own_store.rs").lines().count();
    assert!(lines < 120, "{lines}");
}
