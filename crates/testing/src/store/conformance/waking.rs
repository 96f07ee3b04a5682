//! The checks of notifying waiters.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::Future;

use biped_core::{Generation, LeaseFailure, StoreError, TokenKey};

use super::{
    check::{Check, checks},
    tools::{HOUR, PATIENCE, Store, another, granted, new_key, ticks, with_generation},
};

/// The checks of notifying waiters.
pub const WAKING: &[Check] = checks![
    a_put_wakes_those_who_wait,
    a_put_of_another_holder_wakes_those_who_wait,
    a_release_wakes_those_who_wait,
    a_change_before_the_wait_is_noticed,
    a_release_before_the_wait_is_noticed,
];

/// A waiter is notified of a token.
pub async fn a_put_wakes_those_who_wait(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    let waiter = waiting(&store, key).await;
    let put = with_generation(lease.generation, "token");
    store.put(&key, &put, Some(&lease)).await.unwrap();
    in_time(waiter).await.unwrap();
}

/// A waiter is notified of a token also if its holder has lost the lease, and another has it.
pub async fn a_put_of_another_holder_wakes_those_who_wait(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    let waiter = waiting(&store, key).await;
    let put = with_generation(lease.generation, "token");
    let lost = another(&lease);
    store.put(&key, &put, Some(&lost)).await.unwrap();
    in_time(waiter).await.unwrap();
}

/// A waiter is notified of a failure.
pub async fn a_release_wakes_those_who_wait(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    let waiter = waiting(&store, key).await;
    let failure = LeaseFailure {
        cool_down: HOUR,
        why: Vec::new(),
    };
    store.release(&key, &lease, Some(failure)).await.unwrap();
    in_time(waiter).await.unwrap();
}

/// A waiter that starts after the token was stored does not wait.
pub async fn a_change_before_the_wait_is_noticed(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    let put = with_generation(lease.generation, "token");
    store.put(&key, &put, Some(&lease)).await.unwrap();
    let before = Generation(lease.generation.0 - 1);
    granted(&store, &key, HOUR).await;
    in_time(store.changed(&key, before)).await.unwrap();
}

/// A waiter that starts after the lease was released does not wait.
pub async fn a_release_before_the_wait_is_noticed(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    store.release(&key, &lease, None).await.unwrap();
    in_time(store.changed(&key, lease.generation))
        .await
        .unwrap();
}

/// A task that waits, and is known to have started.
async fn waiting(store: &Store, key: TokenKey) -> impl Future<Output = Result<(), StoreError>> {
    let store = store.clone();
    let waiter = tokio::spawn(async move { store.changed(&key, Generation(0)).await });
    ticks(10).await;
    async move { waiter.await.unwrap() }
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = work => done,
        () = ticks(PATIENCE) => panic!("the waiter was not notified"),
    }
}
