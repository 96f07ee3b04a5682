//! The checks of storage.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use biped_core::{Clock as _, MAX_LIFETIME, SystemClock, TokenKey};

use super::{
    check::{Check, checks},
    tools::{HOUR, PATIENCE, SHORT, Store, TICK, later, mono, new_key, token},
};

/// The checks of storage: tokens are kept, and an older one never returns.
pub const STORAGE: &[Check] = checks![
    a_token_comes_back_as_it_was_put,
    any_bytes_are_kept,
    an_unknown_key_is_a_miss,
    keys_are_apart,
    a_token_stays_until_its_time_is_over,
    a_token_is_gone_when_its_time_is_over,
    a_newer_token_replaces_an_older_one,
    an_older_token_never_replaces_a_newer_one,
    the_same_generation_is_stored_once,
    generations_are_told_apart_to_the_microsecond,
    the_newest_of_many_puts_stays,
    a_forgotten_token_is_gone,
    a_forgotten_token_never_returns,
    an_earlier_forget_takes_nothing_back,
    a_later_forget_cuts_none_short,
    forgetting_spares_a_newer_token,
    a_token_newer_than_the_forgotten_is_stored,
    its_identity_key_stays_the_same,
];

/// A token comes back with its bytes and its generation, and for no longer than it was put.
pub async fn a_token_comes_back_as_it_was_put(store: Store) {
    let key = new_key();
    let put = token(10, "the token");
    assert!(
        store.put(&key, &put, None).await.unwrap(),
        "put returns false"
    );
    let got = store
        .get(&key)
        .await
        .unwrap()
        .expect("the token is not stored");
    assert_same!(got.bytes, put.bytes);
    assert_same!(got.generation, put.generation);
    assert!(
        got.keep <= put.keep,
        "the token is kept longer than it was put for"
    );
    assert!(got.keep > put.keep / 2, "the remaining time is too short");
}

/// Any bytes are kept: none, every value, and a large token.
pub async fn any_bytes_are_kept(store: Store) {
    let all: Vec<u8> = (0..=255).collect();
    for bytes in [Vec::new(), all.clone(), all.repeat(256)] {
        let key = new_key();
        let mut put = token(10, "");
        put.bytes = bytes;
        assert!(
            store.put(&key, &put, None).await.unwrap(),
            "put returns false"
        );
        let got = store
            .get(&key)
            .await
            .unwrap()
            .expect("the token is not stored");
        assert!(got.bytes == put.bytes, "the bytes have changed");
    }
}

/// An unknown key is a miss and not an error.
pub async fn an_unknown_key_is_a_miss(store: Store) {
    assert_same!(store.get(&new_key()).await.unwrap(), None);
}

/// Keys that differ in one bit have separate entries.
pub async fn keys_are_apart(store: Store) {
    let key = new_key();
    store.put(&key, &token(10, "mine"), None).await.unwrap();
    for byte in [0, 15, 31] {
        let mut other = *key.as_bytes();
        other[byte] ^= 1;
        let other = TokenKey::from_bytes(other);
        assert_same!(store.get(&other).await.unwrap(), None);
        store.forget(&other, later(99), HOUR).await.unwrap();
    }
    assert!(
        holds(&store, &key, 10).await,
        "forgetting another key has removed it"
    );
}

/// A token stays for the time that it was put for, a year at most.
pub async fn a_token_stays_until_its_time_is_over(store: Store) {
    let (hour, year) = (new_key(), new_key());
    let mut long = token(10, "a year");
    long.keep = MAX_LIFETIME;
    store.put(&hour, &token(10, "an hour"), None).await.unwrap();
    store.put(&year, &long, None).await.unwrap();
    SystemClock.sleep(SHORT).await;
    assert!(holds(&store, &hour, 10).await, "it disappeared too early");
    assert!(holds(&store, &year, 10).await, "it disappeared too early");
}

/// A token disappears when its time is over, and not before.
pub async fn a_token_is_gone_when_its_time_is_over(store: Store) {
    let key = new_key();
    let mut put = token(10, "a moment");
    put.keep = SHORT;
    let started = mono();
    store.put(&key, &put, None).await.unwrap();
    for _ in 0..PATIENCE {
        let got = store.get(&key).await.unwrap();
        let passed = mono() - started;
        if got.is_none() {
            assert!(passed + TICK >= SHORT, "it disappeared too early");
            return;
        }
        SystemClock.sleep(TICK).await;
    }
    panic!("it stays");
}

/// The newer of two tokens is kept.
pub async fn a_newer_token_replaces_an_older_one(store: Store) {
    let key = new_key();
    store.put(&key, &token(10, "old"), None).await.unwrap();
    assert!(store.put(&key, &token(11, "new"), None).await.unwrap());
    let got = store.get(&key).await.unwrap().unwrap();
    assert_same!(got.bytes, b"new");
    assert_same!(got.generation, later(11));
}

/// An old fetch that finishes late does not replace a newer token, and learns that from the result.
pub async fn an_older_token_never_replaces_a_newer_one(store: Store) {
    let key = new_key();
    store.put(&key, &token(11, "new"), None).await.unwrap();
    let stored = store.put(&key, &token(10, "old"), None).await.unwrap();
    assert!(!stored, "put reports an older token as stored");
    let got = store.get(&key).await.unwrap().unwrap();
    assert_same!(got.bytes, b"new");
}

/// Of two tokens with the same generation the first is kept.
pub async fn the_same_generation_is_stored_once(store: Store) {
    let key = new_key();
    store.put(&key, &token(10, "first"), None).await.unwrap();
    let stored = store.put(&key, &token(10, "second"), None).await.unwrap();
    assert!(!stored, "put reports the second token as stored");
    let got = store.get(&key).await.unwrap().unwrap();
    assert_same!(got.bytes, b"first");
}

/// Generations count microseconds since 1970. They have sixteen digits, and all of them matter.
pub async fn generations_are_told_apart_to_the_microsecond(store: Store) {
    let key = new_key();
    for at in [100, 101, 102] {
        let stored = store.put(&key, &token(at, "token"), None).await.unwrap();
        assert!(stored, "a generation one microsecond later is not newer");
        assert!(holds(&store, &key, at).await, "the generation has changed");
    }
    assert!(!store.put(&key, &token(101, "token"), None).await.unwrap());
    store.forget(&key, later(101), HOUR).await.unwrap();
    assert!(
        holds(&store, &key, 102).await,
        "forgetting through 101 has removed 102"
    );
    store.forget(&key, later(102), HOUR).await.unwrap();
    assert!(
        !holds(&store, &key, 102).await,
        "forgetting through 102 has kept 102"
    );
}

/// Of many concurrent puts the newest token is kept, in any order of arrival.
pub async fn the_newest_of_many_puts_stays(store: Store) {
    for _ in 0..5 {
        let key = new_key();
        let mut order: Vec<u64> = (1..=20).collect();
        fastrand::shuffle(&mut order);
        let puts = order.into_iter().map(|at| {
            let store = store.clone();
            tokio::spawn(async move { store.put(&key, &token(at, "token"), None).await.map(drop) })
        });
        for put in puts.collect::<Vec<_>>() {
            put.await.unwrap().unwrap();
        }
        assert!(holds(&store, &key, 20).await, "an older token is kept");
    }
}

/// A forgotten token is gone.
pub async fn a_forgotten_token_is_gone(store: Store) {
    let key = new_key();
    store.put(&key, &token(10, "leaked"), None).await.unwrap();
    store.forget(&key, later(10), HOUR).await.unwrap();
    assert_same!(store.get(&key).await.unwrap(), None);
}

/// A forgotten token can't be put again, and neither can an older one.
pub async fn a_forgotten_token_never_returns(store: Store) {
    let key = new_key();
    store.put(&key, &token(10, "rejected"), None).await.unwrap();
    store.forget(&key, later(10), HOUR).await.unwrap();
    for at in [9, 10] {
        let stored = store.put(&key, &token(at, "rejected"), None).await.unwrap();
        assert!(!stored, "put reports a forgotten token as stored");
        assert_same!(store.get(&key).await.unwrap(), None);
    }
}

/// A late rejection does not undo a later one.
pub async fn an_earlier_forget_takes_nothing_back(store: Store) {
    let key = new_key();
    store.forget(&key, later(10), HOUR).await.unwrap();
    store.forget(&key, later(5), SHORT).await.unwrap();
    assert!(!store.put(&key, &token(8, "rejected"), None).await.unwrap());
    assert_same!(store.get(&key).await.unwrap(), None);
    SystemClock.sleep(SHORT + TICK).await;
    let stored = store.put(&key, &token(8, "rejected"), None).await.unwrap();
    assert!(!stored, "the store forgets for the shorter time only");
}

/// A rejection that counts for a shorter time does not shorten the time of one before it, whether it is
/// of the same token or of a newer one.
pub async fn a_later_forget_cuts_none_short(store: Store) {
    let (same, newer) = (new_key(), new_key());
    for (key, first) in [(same, 10), (newer, 5)] {
        store.forget(&key, later(first), HOUR).await.unwrap();
        store.forget(&key, later(10), SHORT).await.unwrap();
    }
    SystemClock.sleep(SHORT + TICK).await;
    for (key, at) in [(same, 10), (newer, 5)] {
        let stored = store.put(&key, &token(at, "rejected"), None).await.unwrap();
        assert!(!stored, "the store forgets for the shorter time only");
        assert_same!(store.get(&key).await.unwrap(), None);
    }
}

/// A late rejection does not remove a newer token.
pub async fn forgetting_spares_a_newer_token(store: Store) {
    let key = new_key();
    store.put(&key, &token(11, "new"), None).await.unwrap();
    store.forget(&key, later(10), HOUR).await.unwrap();
    assert!(holds(&store, &key, 11).await, "the newer token is gone");
}

/// After a rejection a newer token can be stored.
pub async fn a_token_newer_than_the_forgotten_is_stored(store: Store) {
    let key = new_key();
    store.forget(&key, later(10), HOUR).await.unwrap();
    assert!(store.put(&key, &token(11, "new"), None).await.unwrap());
    assert!(holds(&store, &key, 11).await);
}

/// The store's identity key, if it has one, stays the same: for concurrent callers, later, and after
/// everything else was forgotten.
pub async fn its_identity_key_stays_the_same(store: Store) {
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.identity_key().await.unwrap() })
        })
        .collect();
    let mut keys = Vec::new();
    for asked in asking {
        keys.push(asked.await.unwrap());
    }
    let key = new_key();
    store.put(&key, &token(10, "token"), None).await.unwrap();
    keys.push(store.identity_key().await.unwrap());
    store.forget(&key, later(99), HOUR).await.unwrap();
    keys.push(store.identity_key().await.unwrap());
    assert!(
        keys.windows(2).all(|pair| pair[0] == pair[1]),
        "the identity key changes"
    );
    if let Some(key) = &keys[0] {
        assert!(
            *key.as_bytes() != [0; 32],
            "the identity key consists of zeros"
        );
    }
}

async fn holds(store: &Store, key: &TokenKey, at: u64) -> bool {
    let got = store.get(key).await.unwrap();
    got.is_some_and(|got| got.generation == later(at))
}
