//! Checks of the promises of [`TokenStore`]: one function for each, named after its promise.
//!
//! A function panics if the store breaks the promise. Each uses its own keys, so that all can run on
//! one store at the same time, as [`run`] does. They use the machine's clock and wait for real time to
//! pass: a few hundred milliseconds each, about a second for all.
//!
//! ```
//! use std::sync::Arc;
//! use biped_memory::MemoryStore;
//! use biped_testing::store::conformance;
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! conformance::run(Arc::new(MemoryStore::new()), conformance::STORAGE).await;
//! conformance::run(Arc::new(MemoryStore::new()), conformance::LEASES).await;
//! conformance::run(Arc::new(MemoryStore::new()), conformance::WAKING).await;
//! # });
//! ```
//!
//! A store without leases (it does not override `lease` and `release`) passes [`STORAGE`]. A store
//! that can't notify waiters passes [`STORAGE`] and [`LEASES`].
//! [`a_store_that_is_down_says_so_in_time`] checks a store whose backend is down, with leases or without.

mod check;
mod down;
mod leases;
mod storage;
mod tools;
mod waking;

use std::sync::Arc;

use biped_core::TokenStore;

pub use self::{check::Check, down::*, leases::*, storage::*, waking::*};

/// Runs checks at the same time on one store.
///
/// # Panics
/// Panics if the store breaks a promise; the message lists all broken promises.
pub async fn run(store: Arc<dyn TokenStore>, checks: &[Check]) {
    let failures = failures(&store, checks).await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Runs checks at the same time on one store, and returns the failures as `name: what is wrong`.
pub async fn failures(store: &Arc<dyn TokenStore>, checks: &[Check]) -> Vec<String> {
    let running: Vec<_> = checks
        .iter()
        .map(|check| {
            let (check, store) = (*check, store.clone());
            (check, tokio::spawn(async move { check.run(store).await }))
        })
        .collect();
    let mut failures = Vec::new();
    for (check, running) in running {
        let done = running.await.unwrap_or_else(|error| Err(error.to_string()));
        if let Err(wrong) = done {
            failures.push(format!("{}: {wrong}", check.name));
        }
    }
    failures
}
