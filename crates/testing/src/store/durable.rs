//! Checks of the promises of [`DurableStore`]: one function for each, named after its promise.
//!
//! A function panics if the store breaks the promise. Each uses its own accounts. They don't wait for a
//! lease to end, and no machine fails: that a lock ends which nobody gives back, and that bytes survive a
//! loss of power, is for the store's own tests.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{future::Future, sync::Arc, time::Duration};

use biped_core::{AccountKey, DurableLock, DurableStore, Revision};

/// Two handles to the same backend, as two processes have them.
type Stores = [Arc<dyn DurableStore>; 2];

/// How long a check may take: far longer than one does on a busy machine, and with a distant server.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs all checks. `open` opens the same backend again.
///
/// # Panics
/// Panics if the store breaks a promise; the message lists all broken promises.
pub async fn run(open: impl AsyncFn() -> Arc<dyn DurableStore>) {
    let failures = failures(open).await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Runs all checks, and returns the failures as `name: what is wrong`. A check that hangs fails after a
/// minute.
pub async fn failures(open: impl AsyncFn() -> Arc<dyn DurableStore>) -> Vec<String> {
    failures_within(LIMIT, &open).await
}

macro_rules! checked {
    ($failures:ident, $limit:ident, $stores:ident: $($check:ident)*) => {$({
        let stores = $stores.clone();
        let check = async move { $check(&stores).await };
        note(&mut $failures, stringify!($check), in_a_task($limit, check).await);
    })*};
}

async fn failures_within(
    limit: Duration,
    open: &impl AsyncFn() -> Arc<dyn DurableStore>,
) -> Vec<String> {
    let mut failures = Vec::new();
    // First, while there is no other handle: entries could live as long as any handle does.
    let outlived = outlives_its_handle(limit, open).await;
    note(&mut failures, "an_entry_outlives_its_handle", outlived);
    let stores = [open().await, open().await];
    checked! { failures, limit, stores:
        an_account_without_an_entry_has_none
        an_entry_comes_back_as_it_was_written
        any_bytes_are_kept
        a_swap_that_expects_another_revision_changes_nothing
        of_many_swaps_one_succeeds
        accounts_are_apart
        a_lock_has_one_holder
        a_lock_that_is_given_back_is_granted_anew
        of_many_that_ask_for_a_lock_one_gets_it
        locks_of_accounts_are_apart
    }
    failures
}

fn note(failures: &mut Vec<String>, name: &str, verdict: Result<(), String>) {
    if let Err(wrong) = verdict {
        failures.push(format!("{name}: {wrong}"));
    }
}

async fn in_a_task(
    limit: Duration,
    check: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    crate::verdict_within(limit, tokio::spawn(check)).await
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
    let entry = store.load(key).await.expect("load fails");
    entry.map(|entry| (entry.revision.0, entry.bytes.clone()))
}

async fn write(
    store: &Arc<dyn DurableStore>,
    key: &AccountKey,
    expected: u64,
    bytes: &[u8],
) -> bool {
    let swapped = store.swap(key, Revision(expected), bytes).await;
    swapped.expect("swap fails")
}

async fn locked(store: &Arc<dyn DurableStore>, key: &AccountKey) -> Option<Box<dyn DurableLock>> {
    store.lock(key).await.expect("lock fails")
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
        assert!(
            write(writer, &key, revision, text.as_bytes()).await,
            "a swap that expects the present revision writes nothing"
        );
        let expected = Some((revision + 1, text.into_bytes()));
        assert_same!(loaded(reader, &key).await, expected);
    }
}

/// Zeros, newlines, invalid UTF-8, nothing at all, and 64 KiB are kept.
pub async fn any_bytes_are_kept(stores: &Stores) {
    let long: Vec<u8> = (0..=u8::MAX).cycle().take(64 * 1024).collect();
    for bytes in [&b""[..], b"\0", b"\r\n\0\n", b"\xff\xfe", &long] {
        let key = account();
        assert!(
            write(&stores[0], &key, 0, bytes).await,
            "the first swap writes nothing"
        );
        assert_same!(loaded(&stores[1], &key).await, Some((1, bytes.to_vec())));
    }
}

/// An entry is there after the handle that wrote it is gone. There should be no other handle meanwhile.
pub async fn an_entry_outlives_its_handle(open: &impl AsyncFn() -> Arc<dyn DurableStore>) {
    if let Err(wrong) = outlives_its_handle(LIMIT, open).await {
        panic!("{wrong}");
    }
}

async fn outlives_its_handle(
    limit: Duration,
    open: &impl AsyncFn() -> Arc<dyn DurableStore>,
) -> Result<(), String> {
    let key = account();
    let store = open().await;
    let written = async move {
        assert!(
            write(&store, &key, 0, b"kept").await,
            "the first swap writes nothing"
        );
    };
    in_a_task(limit, written).await?;
    let store = open().await;
    let read = async move {
        assert_same!(
            loaded(&store, &key).await,
            Some((1, b"kept".to_vec())),
            "the entry of a handle that is gone"
        );
    };
    in_a_task(limit, read).await
}

/// A swap changes nothing unless the present revision is the expected one.
pub async fn a_swap_that_expects_another_revision_changes_nothing(stores: &Stores) {
    let key = account();
    assert!(
        !write(&stores[0], &key, 1, b"a").await,
        "a swap that expects revision 1 writes where there is no entry"
    );
    assert_same!(loaded(&stores[0], &key).await, None);
    assert!(
        write(&stores[0], &key, 0, b"a").await,
        "the first swap writes nothing"
    );
    for expected in [0, 2, 3] {
        assert!(
            !write(&stores[1], &key, expected, b"b").await,
            "a swap that expects revision {expected} writes over revision 1"
        );
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
                    let swapped = write(&store, &key, revision, &[number]).await;
                    swapped.then_some(number)
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
    assert!(
        write(&stores[0], &one, 0, b"one").await,
        "the first swap writes nothing"
    );
    for byte in [0, 15, 31] {
        let other = beside(&one, byte);
        assert_same!(loaded(&stores[0], &other).await, None);
        assert!(
            write(&stores[0], &other, 0, b"other").await,
            "the first swap of another account writes nothing"
        );
        assert_same!(loaded(&stores[1], &one).await, Some((1, b"one".to_vec())));
    }
}

/// A lock that is held is granted to nobody else, neither here nor there.
pub async fn a_lock_has_one_holder(stores: &Stores) {
    let key = account();
    let lock = locked(&stores[0], &key).await;
    let lock = lock.expect("the lock is free, and not granted");
    for store in stores {
        let another = locked(store, &key).await;
        assert!(
            another.is_none(),
            "a lock that is held is granted to another"
        );
    }
    // Reading needs no lock.
    assert_same!(loaded(&stores[1], &key).await, None);
    lock.unlock().await;
}

/// A lock that was given back is granted anew at once.
pub async fn a_lock_that_is_given_back_is_granted_anew(stores: &Stores) {
    let key = account();
    for at in [0, 1, 1, 0] {
        let lock = locked(&stores[at], &key).await;
        let lock = lock.expect("the lock was given back, and is not granted anew");
        lock.unlock().await;
    }
}

/// Of many that ask at once, one gets the lock.
pub async fn of_many_that_ask_for_a_lock_one_gets_it(stores: &Stores) {
    let key = account();
    let asking: Vec<_> = (0..8)
        .map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move { locked(&store, &key).await })
        })
        .collect();
    let mut locks = Vec::new();
    for asking in asking {
        locks.extend(asking.await.unwrap());
    }
    assert_same!(locks.len(), 1, "of 8 that ask these many get the lock");
    for lock in locks {
        lock.unlock().await;
    }
}

/// The lock of one account leaves others alone, even if their keys differ in one bit.
pub async fn locks_of_accounts_are_apart(stores: &Stores) {
    let key = account();
    let one = locked(&stores[0], &key).await;
    let one = one.expect("the lock is free, and not granted");
    for byte in [0, 15, 31] {
        let other = locked(&stores[0], &beside(&key, byte)).await;
        let other = other.expect("the lock of another account is free, and not granted");
        other.unlock().await;
    }
    let again = locked(&stores[1], &key).await;
    assert!(again.is_none(), "another's unlock has ended this lock");
    one.unlock().await;
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use biped_core::{DurableEntry, StoreError};

    use super::*;

    /// A store whose backend is silent.
    #[derive(Debug)]
    struct Silent;

    #[async_trait]
    impl DurableStore for Silent {
        async fn load(&self, _: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
            std::future::pending().await
        }

        async fn swap(&self, _: &AccountKey, _: Revision, _: &[u8]) -> Result<bool, StoreError> {
            std::future::pending().await
        }

        async fn lock(&self, _: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn every_check_that_hangs_is_named() {
        let silent: Arc<dyn DurableStore> = Arc::new(Silent);
        let open = async || silent.clone();
        let failures = failures_within(Duration::from_millis(1), &open).await;
        assert_eq!(failures.len(), 11, "{failures:#?}");
        let mut hang = failures
            .iter()
            .map(|failure| failure.contains(": it hangs"));
        assert!(hang.all(|hangs| hangs), "{failures:#?}");
    }
}
