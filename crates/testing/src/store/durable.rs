//! Checks of the promises of [`DurableStore`]: one function for each, named after its promise.
//!
//! A function panics if the store breaks the promise. Each uses its own accounts. They don't wait for a
//! lease to end.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use biped_core::{AccountKey, DurableStore, Revision};

/// Two handles to the same backend, as two processes have them.
type Stores = [Arc<dyn DurableStore>; 2];

/// Runs all checks. `open` opens the same backend again.
pub async fn run(open: impl AsyncFn() -> Arc<dyn DurableStore>) {
    let stores = [open().await, open().await];
    an_account_without_an_entry_has_none(&stores).await;
    an_entry_comes_back_as_it_was_written(&stores).await;
    any_bytes_are_kept(&stores).await;
    an_entry_outlives_its_handle(&open).await;
    a_swap_that_expects_another_revision_changes_nothing(&stores).await;
    of_many_swaps_one_succeeds(&stores).await;
    accounts_are_apart(&stores).await;
    a_lock_has_one_holder(&stores).await;
    a_lock_that_is_given_back_is_granted_anew(&stores).await;
    of_many_that_ask_for_a_lock_one_gets_it(&stores).await;
    locks_of_accounts_are_apart(&stores).await;
}

/// An account that no check shares.
fn account() -> AccountKey {
    let mut bytes = [0; 32];
    bytes.fill_with(|| fastrand::u8(..));
    AccountKey::from_bytes(bytes)
}

/// An account whose key differs from this one in one bit of this byte.
fn beside(key: &AccountKey, byte: usize) -> AccountKey {
    let mut bytes = *key.as_bytes();
    bytes[byte] ^= 1;
    AccountKey::from_bytes(bytes)
}

async fn loaded(store: &Arc<dyn DurableStore>, key: &AccountKey) -> Option<(u64, Vec<u8>)> {
    let entry = store.load(key).await.unwrap();
    entry.map(|entry| (entry.revision.0, entry.bytes.clone()))
}

async fn write(
    store: &Arc<dyn DurableStore>,
    key: &AccountKey,
    expected: u64,
    bytes: &[u8],
) -> bool {
    store.swap(key, Revision(expected), bytes).await.unwrap()
}

/// An account that was never written has no entry.
pub async fn an_account_without_an_entry_has_none(stores: &Stores) {
    assert_same!(loaded(&stores[0], &account()).await, None);
}

/// What was written is read by all, and its revision counts the writes.
pub async fn an_entry_comes_back_as_it_was_written(stores: &Stores) {
    let key = account();
    for revision in 0..4_u64 {
        let text = format!("entry {revision}");
        let [writer, reader] = [0, 1].map(|at| &stores[(at + usize::from(revision % 2 == 1)) % 2]);
        assert!(write(writer, &key, revision, text.as_bytes()).await);
        let expected = Some((revision + 1, text.into_bytes()));
        assert_same!(loaded(reader, &key).await, expected);
    }
}

/// Zeros, newlines, invalid UTF-8, nothing at all, and 64 KiB are kept.
pub async fn any_bytes_are_kept(stores: &Stores) {
    let long: Vec<u8> = (0..=u8::MAX).cycle().take(64 * 1024).collect();
    for bytes in [&b""[..], b"\0", b"\r\n\0\n", b"\xff\xfe", &long] {
        let key = account();
        assert!(write(&stores[0], &key, 0, bytes).await);
        assert_same!(loaded(&stores[1], &key).await, Some((1, bytes.to_vec())));
    }
}

/// An entry is there after the handle that wrote it is gone.
pub async fn an_entry_outlives_its_handle(open: &impl AsyncFn() -> Arc<dyn DurableStore>) {
    let key = account();
    let store = open().await;
    assert!(write(&store, &key, 0, b"kept").await);
    drop(store);
    assert_same!(
        loaded(&open().await, &key).await,
        Some((1, b"kept".to_vec()))
    );
}

/// A swap changes nothing unless the present revision is the expected one.
pub async fn a_swap_that_expects_another_revision_changes_nothing(stores: &Stores) {
    let key = account();
    assert!(!write(&stores[0], &key, 1, b"a").await);
    assert_same!(loaded(&stores[0], &key).await, None);
    assert!(write(&stores[0], &key, 0, b"a").await);
    for expected in [0, 2, 3] {
        assert!(!write(&stores[1], &key, expected, b"b").await, "{expected}");
    }
    assert_same!(loaded(&stores[0], &key).await, Some((1, b"a".to_vec())));
}

/// Of many swaps at once that expect the same revision, one succeeds, and its bytes stay.
pub async fn of_many_swaps_one_succeeds(stores: &Stores) {
    let key = account();
    for revision in 0..4 {
        let swaps: Vec<_> = (0..8_u8)
            .map(|number| {
                let store = stores[usize::from(number % 2)].clone();
                tokio::spawn(async move {
                    let swap = store.swap(&key, Revision(revision), &[number]).await;
                    swap.unwrap().then_some(number)
                })
            })
            .collect();
        let mut successful = Vec::new();
        for swap in swaps {
            successful.extend(swap.await.unwrap());
        }
        assert_same!(
            successful.len(),
            1,
            "of 8 swaps these succeed: {successful:?}"
        );
        assert_same!(
            loaded(&stores[0], &key).await,
            Some((revision + 1, successful))
        );
    }
}

/// A write to one account leaves others alone, even if their keys differ in one bit.
pub async fn accounts_are_apart(stores: &Stores) {
    let one = account();
    assert!(write(&stores[0], &one, 0, b"one").await);
    for byte in [0, 15, 31] {
        let other = beside(&one, byte);
        assert_same!(loaded(&stores[0], &other).await, None);
        assert!(write(&stores[0], &other, 0, b"other").await);
        assert_same!(loaded(&stores[1], &one).await, Some((1, b"one".to_vec())));
    }
}

/// A lock that is held is granted to nobody else, neither here nor there.
pub async fn a_lock_has_one_holder(stores: &Stores) {
    let key = account();
    let lock = stores[0].lock(&key).await.unwrap().unwrap();
    for store in stores {
        assert!(store.lock(&key).await.unwrap().is_none());
    }
    // Reading needs no lock.
    assert_same!(loaded(&stores[1], &key).await, None);
    lock.unlock().await;
}

/// A lock that was given back is granted anew at once.
pub async fn a_lock_that_is_given_back_is_granted_anew(stores: &Stores) {
    let key = account();
    for at in [0, 1, 1, 0] {
        let lock = stores[at].lock(&key).await.unwrap();
        lock.expect("the lock is free").unlock().await;
    }
}

/// Of many that ask at once, one gets the lock.
pub async fn of_many_that_ask_for_a_lock_one_gets_it(stores: &Stores) {
    let key = account();
    let asking: Vec<_> = (0..8)
        .map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move { store.lock(&key).await.unwrap() })
        })
        .collect();
    let mut locks = Vec::new();
    for asking in asking {
        locks.extend(asking.await.unwrap());
    }
    assert_same!(locks.len(), 1);
    for lock in locks {
        lock.unlock().await;
    }
}

/// The lock of one account leaves others alone, even if their keys differ in one bit.
pub async fn locks_of_accounts_are_apart(stores: &Stores) {
    let key = account();
    let one = stores[0].lock(&key).await.unwrap().unwrap();
    for byte in [0, 15, 31] {
        let other = stores[0].lock(&beside(&key, byte)).await.unwrap();
        let other = other.expect("the lock of another account is free");
        other.unlock().await;
    }
    let again = stores[1].lock(&key).await.unwrap();
    assert!(again.is_none(), "another's unlock has ended this lock");
    one.unlock().await;
}
