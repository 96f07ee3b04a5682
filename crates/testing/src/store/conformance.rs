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
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use biped_core::{
    Claim, Clock, Generation, Lease, LeaseFailure, LeaseId, MAX_LIFETIME, StoredToken, SystemClock,
    TokenKey, TokenStore,
};

/// One promise, and the function that checks it.
#[derive(Clone, Copy)]
pub struct Check {
    /// The function's name.
    pub name: &'static str,
    run: fn(Store) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Check {
    /// Runs the check in its own task.
    ///
    /// # Errors
    /// Returns how the store breaks the promise.
    pub async fn run(&self, store: Arc<dyn TokenStore>) -> Result<(), String> {
        self.run_within(PATIENCE * 5, store).await
    }

    async fn run_within(&self, limit: u32, store: Arc<dyn TokenStore>) -> Result<(), String> {
        let check = tokio::spawn((self.run)(store));
        let running = check.abort_handle();
        tokio::select! {
            biased;
            verdict = crate::verdict(check) => verdict,
            () = ticks(limit) => {
                // It would go on beside the other checks.
                running.abort();
                Err("the check hangs".into())
            }
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({})", self.name)
    }
}

macro_rules! checks {
    ($($check:ident),* $(,)?) => {
        &[$(Check { name: stringify!($check), run: |store| Box::pin($check(store)) }),*]
    };
}

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

/// The checks of leases, and of failed holders.
pub const LEASES: &[Check] = checks![
    a_taken_lease_is_not_granted,
    of_many_claims_one_is_granted,
    no_two_leases_are_valid_at_once,
    leases_of_keys_are_apart,
    a_lapsed_lease_is_granted_anew,
    its_holder_renews_a_lease,
    a_lost_lease_is_not_renewed,
    a_lapsed_lease_is_not_renewed,
    a_released_lease_is_not_renewed,
    a_release_gives_the_lease_back,
    only_its_holder_releases_a_lease,
    a_put_gives_the_lease_back,
    a_put_with_another_lease_leaves_the_lease_alone,
    lease_generations_increase,
    lease_generations_are_ahead_of_what_was_put_or_forgotten,
    lease_generations_never_go_back_when_all_else_is_over,
    a_failure_cools_the_key_down,
    a_cool_down_passes,
    a_token_ends_a_cool_down,
    only_its_holder_leaves_a_failure,
];

/// The checks of notifying waiters.
pub const WAKING: &[Check] = checks![
    a_put_wakes_those_who_wait,
    a_put_of_another_holder_wakes_those_who_wait,
    a_release_wakes_those_who_wait,
    a_change_before_the_wait_is_noticed,
    a_release_before_the_wait_is_noticed,
];

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

type Store = Arc<dyn TokenStore>;

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

/// While a lease is held, other claims are refused and learn how much time is left at most.
pub async fn a_taken_lease_is_not_granted(store: Store) {
    let key = new_key();
    granted(&store, &key, HOUR).await;
    for _ in 0..3 {
        let claim = store.lease(&key, HOUR, None).await.unwrap();
        let Claim::Taken { left } = claim else {
            panic!("the lease is taken, but the claim is {claim:?}");
        };
        assert!(left <= HOUR, "more time is left than the lease had");
        assert!(left > HOUR / 2, "the remaining time is too short");
    }
}

/// Of many concurrent claims one is granted.
pub async fn of_many_claims_one_is_granted(store: Store) {
    for _ in 0..5 {
        let key = new_key();
        let claims = (0..20).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.lease(&key, HOUR, None).await })
        });
        let mut holders = 0;
        for claim in claims.collect::<Vec<_>>() {
            let claim = claim.await.unwrap().unwrap();
            holders += usize::from(matches!(claim, Claim::Granted(_)));
        }
        assert_same!(holders, 1, "holders");
    }
}

/// Two leases are never valid at the same time, however they are claimed, renewed, lost and released.
pub async fn no_two_leases_are_valid_at_once(store: Store) {
    let key = new_key();
    let held = Arc::<Spans>::default();
    let end = mono() + SHORT * 2;
    let clients = (0..6).map(|client| {
        let (store, held) = (store.clone(), held.clone());
        tokio::spawn(async move {
            // On a busy machine a lease may be over before its holder knows of it. Such a lease does
            // not count.
            while mono() < end || is_empty(&held) {
                let asked = mono();
                let Claim::Granted(lease) = store.lease(&key, SHORT / 4, None).await.unwrap()
                else {
                    SystemClock.sleep(TICK / 2).await;
                    continue;
                };
                // The lease is certainly valid from the grant until its time, counted from the claim,
                // is over.
                let (from, mut until) = (mono(), asked + SHORT / 4);
                if client % 2 == 0 {
                    SystemClock.sleep(SHORT / 10).await;
                    let asked = mono();
                    let renewed = store.lease(&key, SHORT / 4, Some(&lease)).await.unwrap();
                    if matches!(renewed, Claim::Granted(_)) {
                        until = asked + SHORT / 4;
                    }
                }
                if client % 3 == 0 {
                    until = until.min(mono());
                    store.release(&key, &lease, None).await.unwrap();
                }
                let until = until.saturating_sub(TICK);
                if from < until {
                    lock(&held).push((from, until));
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let mut held = lock(&held);
    held.sort_unstable();
    for pair in held.windows(2) {
        assert!(
            pair[0].1 <= pair[1].0,
            "two leases are valid at the same time"
        );
    }
}

/// The leases of two keys do not affect each other.
pub async fn leases_of_keys_are_apart(store: Store) {
    granted(&store, &new_key(), HOUR).await;
    granted(&store, &new_key(), HOUR).await;
}

/// A dead holder blocks others for no longer than its lease.
pub async fn a_lapsed_lease_is_granted_anew(store: Store) {
    let key = new_key();
    let first = granted(&store, &key, SHORT).await;
    let second = until_granted(&store, &key).await;
    assert_ne!(first.id, second.id, "two claims have the same id");
}

/// A holder can renew its lease.
pub async fn its_holder_renews_a_lease(store: Store) {
    let mut time = SHORT;
    let (key, lease, renewed) = loop {
        let (key, asked) = (new_key(), mono());
        let lease = granted(&store, &key, time).await;
        let renewed = store.lease(&key, HOUR, Some(&lease)).await.unwrap();
        if mono() - asked + TICK <= time {
            break (key, lease, renewed);
        }
        // The machine or the store was too slow to tell.
        time *= 2;
    };
    let Claim::Granted(renewed) = renewed else {
        panic!("the holder can't renew its lease: {renewed:?}");
    };
    assert_same!(renewed, lease, "the renewed lease is another one");
    SystemClock.sleep(time + TICK).await;
    let claim = store.lease(&key, HOUR, None).await.unwrap();
    assert!(
        matches!(claim, Claim::Taken { .. }),
        "the lease was not renewed"
    );
}

/// A holder whose lease was taken over can't renew it.
pub async fn a_lost_lease_is_not_renewed(store: Store) {
    let key = new_key();
    let first = granted(&store, &key, SHORT).await;
    let second = until_granted(&store, &key).await;
    let claim = store.lease(&key, HOUR, Some(&first)).await.unwrap();
    assert!(
        matches!(claim, Claim::Taken { .. }),
        "the lost lease was renewed"
    );
    let claim = store.lease(&key, HOUR, Some(&second)).await.unwrap();
    assert_same!(
        claim,
        Claim::Granted(second),
        "the new holder has lost its lease"
    );
}

/// A lapsed lease can't be renewed, even if it is free: another process may have held it meanwhile and
/// stored a token. The attempt does not affect later claims.
pub async fn a_lapsed_lease_is_not_renewed(store: Store) {
    let key = new_key();
    let lapsed = granted(&store, &key, SHORT).await;
    // One that was granted later, for the same time: when it is over, so is the other, by the clock of
    // the store, which may count in whole seconds.
    let follower = new_key();
    granted(&store, &follower, SHORT).await;
    until_granted(&store, &follower).await;
    for _ in 0..2 {
        let claim = store.lease(&key, HOUR, Some(&lapsed)).await.unwrap();
        assert!(
            matches!(claim, Claim::Taken { .. }),
            "the lost lease was renewed"
        );
    }
    let next = granted(&store, &key, HOUR).await;
    assert!(
        next.generation > lapsed.generation,
        "a later lease is not newer"
    );
}

/// A released lease can't be renewed either.
pub async fn a_released_lease_is_not_renewed(store: Store) {
    let key = new_key();
    let released = granted(&store, &key, HOUR).await;
    store.release(&key, &released, None).await.unwrap();
    let claim = store.lease(&key, HOUR, Some(&released)).await.unwrap();
    assert!(
        matches!(claim, Claim::Taken { .. }),
        "the lost lease was renewed"
    );
    granted(&store, &key, HOUR).await;
}

/// A released lease is granted to the next claim.
pub async fn a_release_gives_the_lease_back(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    store.release(&key, &lease, None).await.unwrap();
    granted(&store, &key, HOUR).await;
}

/// A holder that has lost its lease can't release that of another.
pub async fn only_its_holder_releases_a_lease(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    store.release(&key, &another(&lease), None).await.unwrap();
    let claim = store.lease(&key, HOUR, None).await.unwrap();
    assert!(
        matches!(claim, Claim::Taken { .. }),
        "another's lease was released"
    );
}

/// Putting a token under a lease ends the lease, even if the token is too old to be kept.
pub async fn a_put_gives_the_lease_back(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    let put = with_generation(lease.generation, "token");
    assert!(store.put(&key, &put, Some(&lease)).await.unwrap());
    let lease = granted(&store, &key, HOUR).await;
    assert!(!store.put(&key, &put, Some(&lease)).await.unwrap());
    granted(&store, &key, HOUR).await;
}

/// A holder that has lost its lease may put its token, but does not end the lease of another.
pub async fn a_put_with_another_lease_leaves_the_lease_alone(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    let put = with_generation(lease.generation, "token");
    let lost = another(&lease);
    assert!(store.put(&key, &put, Some(&lost)).await.unwrap());
    let claim = store.lease(&key, HOUR, None).await.unwrap();
    assert!(
        matches!(claim, Claim::Taken { .. }),
        "the other's lease has ended"
    );
}

/// The token of a later holder is newer than that of an earlier holder, in any order of arrival.
pub async fn lease_generations_increase(store: Store) {
    let key = new_key();
    let mut newest = Generation(0);
    for _ in 0..5 {
        let lease = granted(&store, &key, HOUR).await;
        assert!(lease.generation > newest, "a later lease is not newer");
        newest = lease.generation;
        store.release(&key, &lease, None).await.unwrap();
    }
}

/// A lease's generation is newer than every token so far, even if another machine's clock is ahead.
pub async fn lease_generations_are_ahead_of_what_was_put_or_forgotten(store: Store) {
    let (put, forgotten) = (new_key(), new_key());
    let ahead = a_minute_ahead();
    let token = with_generation(ahead, "from a clock that is ahead");
    assert!(store.put(&put, &token, None).await.unwrap());
    store.forget(&forgotten, ahead, HOUR).await.unwrap();
    for key in [put, forgotten] {
        let lease = granted(&store, &key, HOUR).await;
        assert!(lease.generation > ahead, "the lease is not newer");
        let token = with_generation(lease.generation, "fetched under it");
        assert!(store.put(&key, &token, Some(&lease)).await.unwrap());
    }
}

/// Generations count even after the token and its forgetting are over: another process may still have
/// that token.
pub async fn lease_generations_never_go_back_when_all_else_is_over(store: Store) {
    let (put, forgotten) = (new_key(), new_key());
    let ahead = a_minute_ahead();
    let mut token = with_generation(ahead, "from a clock that is ahead");
    token.keep = SHORT;
    assert!(store.put(&put, &token, None).await.unwrap());
    store.forget(&forgotten, ahead, SHORT).await.unwrap();
    SystemClock.sleep(SHORT + TICK).await;
    for key in [put, forgotten] {
        let lease = granted(&store, &key, HOUR).await;
        assert!(lease.generation > ahead, "the lease is not newer");
    }
}

/// A failed holder stops the others from fetching, and tells them why.
pub async fn a_failure_cools_the_key_down(store: Store) {
    let key = new_key();
    let why: Vec<u8> = (0..=255).collect();
    fail(&store, &key, HOUR, &why).await;
    let claim = store.lease(&key, HOUR, None).await.unwrap();
    let Claim::CoolingDown { left, why: told } = claim else {
        panic!("the key is cooling down, but the claim is {claim:?}");
    };
    assert_same!(told, why);
    assert!(
        left <= HOUR && left > HOUR / 2,
        "the time is wrong: {left:?}"
    );
}

/// A failure ends with its time.
pub async fn a_cool_down_passes(store: Store) {
    let key = new_key();
    let started = mono();
    fail(&store, &key, SHORT, b"down").await;
    until_granted(&store, &key).await;
    assert!(mono() - started + TICK >= SHORT, "it disappeared too early");
}

/// A new token ends a failure.
pub async fn a_token_ends_a_cool_down(store: Store) {
    let key = new_key();
    fail(&store, &key, HOUR, b"down").await;
    let put = with_generation(a_minute_ahead(), "token");
    assert!(store.put(&key, &put, None).await.unwrap());
    granted(&store, &key, HOUR).await;
}

/// A holder that has lost its lease can't stop the others with its failure.
pub async fn only_its_holder_leaves_a_failure(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    let failure = LeaseFailure {
        cool_down: HOUR,
        why: b"slow".to_vec(),
    };
    let lost = another(&lease);
    store.release(&key, &lost, Some(failure)).await.unwrap();
    store.release(&key, &lease, None).await.unwrap();
    granted(&store, &key, HOUR).await;
}

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

/// A store whose backend is down returns an error for every operation, within a second (longer on a
/// busy machine). It invents nothing, and does not hang.
///
/// A store without leases does not override `lease` and `release`, which never fail. `identity_key` may
/// return a key that is known, but not hang: it is read before each fetch. `changed` is not asked, since
/// it may wait for ever.
pub async fn a_store_that_is_down_says_so_in_time(store: Store) {
    let key = new_key();
    let lease = Lease {
        id: LeaseId(1),
        generation: later(0),
    };
    let put = token(10, "token");
    let got = soon("get", store.get(&key)).await;
    assert!(got.is_err(), "get does not report an error");
    let stored = soon("put", store.put(&key, &put, None)).await;
    assert!(stored.is_err(), "put does not report an error");
    let forgotten = soon("forget", store.forget(&key, later(1), HOUR)).await;
    assert!(forgotten.is_err(), "forget does not report an error");
    drop(soon("identity_key", store.identity_key()).await);
    let claim = soon("lease", store.lease(&key, HOUR, None)).await;
    let has_no_leases = Claim::Granted(Lease::default());
    if claim.as_ref().is_ok_and(|claim| *claim == has_no_leases) {
        return;
    }
    assert!(claim.is_err(), "lease does not report an error");
    let released = soon("release", store.release(&key, &lease, None)).await;
    assert!(released.is_err(), "release does not report an error");
}

/// The result of an operation that takes no longer than a second.
async fn soon<T>(name: &str, work: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = work => done,
        () = ticks(100) => panic!("{name} takes longer than a second"),
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);
/// A short time that a check waits for.
const SHORT: Duration = Duration::from_millis(400);
/// How much clocks may differ.
const TICK: Duration = Duration::from_millis(10);
/// This many ticks take five seconds, and longer on a busy machine. An operation that takes longer
/// hangs.
const PATIENCE: u32 = 500;

type Spans = Mutex<Vec<(Duration, Duration)>>;

fn lock(spans: &Spans) -> MutexGuard<'_, Vec<(Duration, Duration)>> {
    spans.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_empty(spans: &Spans) -> bool {
    lock(spans).is_empty()
}

fn mono() -> Duration {
    SystemClock.now().mono
}

fn new_key() -> TokenKey {
    let mut key = [0; 32];
    key.fill_with(|| fastrand::u8(..));
    TokenKey::from_bytes(key)
}

/// Present generations, so that a store sees realistic numbers of digits.
fn later(by: u64) -> Generation {
    const MARCH_2026: u64 = 1_772_366_400_000_001;
    Generation(MARCH_2026 + by)
}

/// The generation of a machine whose clock is a minute ahead.
fn a_minute_ahead() -> Generation {
    Generation(Generation(0).next(SystemClock.now().wall).0 + 60_000_000)
}

fn token(at: u64, text: &str) -> StoredToken {
    with_generation(later(at), text)
}

fn with_generation(generation: Generation, text: &str) -> StoredToken {
    StoredToken {
        generation,
        keep: HOUR,
        bytes: text.as_bytes().to_vec(),
    }
}

fn another(lease: &Lease) -> Lease {
    Lease {
        id: LeaseId(!lease.id.0),
        ..*lease
    }
}

async fn holds(store: &Store, key: &TokenKey, at: u64) -> bool {
    let got = store.get(key).await.unwrap();
    got.is_some_and(|got| got.generation == later(at))
}

async fn granted(store: &Store, key: &TokenKey, ttl: Duration) -> Lease {
    match store.lease(key, ttl, None).await.unwrap() {
        Claim::Granted(lease) => lease,
        other => panic!("the lease is free, but the claim is {other:?}"),
    }
}

async fn until_granted(store: &Store, key: &TokenKey) -> Lease {
    for _ in 0..PATIENCE {
        if let Claim::Granted(lease) = store.lease(key, HOUR, None).await.unwrap() {
            return lease;
        }
        SystemClock.sleep(TICK).await;
    }
    panic!("the lease never becomes free");
}

async fn fail(store: &Store, key: &TokenKey, cool_down: Duration, why: &[u8]) {
    let lease = granted(store, key, HOUR).await;
    let failure = LeaseFailure {
        cool_down,
        why: why.to_vec(),
    };
    store.release(key, &lease, Some(failure)).await.unwrap();
}

/// A task that waits, and is known to have started.
async fn waiting(
    store: &Store,
    key: TokenKey,
) -> impl Future<Output = Result<(), biped_core::StoreError>> {
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

/// Many short sleeps: on a busy machine each takes longer, like the awaited operation.
async fn ticks(number: u32) {
    for _ in 0..number {
        SystemClock.sleep(TICK).await;
    }
}

#[cfg(test)]
mod tests {
    use biped_memory::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn a_check_that_hangs_does_not_go_on() {
        let check = Check {
            name: "hangs",
            run: |store| {
                Box::pin(async move {
                    let _store = store;
                    std::future::pending::<()>().await;
                })
            },
        };
        let store = Arc::new(MemoryStore::new());
        assert!(check.run_within(1, store.clone()).await.is_err());
        crate::settle().await;
        assert_eq!(
            Arc::strong_count(&store),
            1,
            "the check still has the store"
        );
    }
}
