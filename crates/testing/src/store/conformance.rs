//! The promises of [`TokenStore`], one function each, named for what it checks.
//!
//! A function panics where the store breaks the promise. Each uses keys of its own, so that all can
//! run on one store at the same time, which is what [`run`] does. They run on the machine's clock
//! and wait for what has to pass: a few hundred milliseconds each, about a second for all.
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
//! A store without leases (it leaves `lease` and `release` as they are) passes [`STORAGE`]; one
//! that can't tell of changes passes that and [`LEASES`]; what a backend does that is gone is for
//! [`a_store_that_is_down_says_so_in_time`].
// A check says what is wrong by panicking.
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
    /// Runs the check in a task of its own, and says what is wrong.
    ///
    /// # Errors
    /// What the store did wrong.
    pub async fn run(&self, store: Arc<dyn TokenStore>) -> Result<(), String> {
        let check = tokio::spawn((self.run)(store));
        tokio::select! {
            biased;
            verdict = crate::verdict(check) => verdict,
            () = ticks(PATIENCE * 5) => Err("it hangs".into()),
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

/// Keeping tokens, and never going back to an older one.
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
    forgetting_spares_a_newer_token,
    a_token_newer_than_the_forgotten_is_stored,
    its_identity_key_stays_the_same,
];

/// Leases, and what a failed holder leaves.
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

/// Telling those who wait.
pub const WAKING: &[Check] = checks![
    a_put_wakes_those_who_wait,
    a_release_wakes_those_who_wait,
    a_change_before_the_wait_is_noticed,
    a_release_before_the_wait_is_noticed,
];

/// Runs checks at the same time on one store.
///
/// # Panics
/// Where the store breaks a promise; the text names all that it breaks.
pub async fn run(store: Arc<dyn TokenStore>, checks: &[Check]) {
    let failures = failures(&store, checks).await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Runs checks at the same time on one store, and says which fail and why: `name: what is wrong`.
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

/// What was put is what comes back: bytes, generation, and no more time than it had.
pub async fn a_token_comes_back_as_it_was_put(store: Store) {
    let key = new_key();
    let put = token(10, "the token");
    assert!(store.put(&key, &put, None).await.unwrap(), "put said no");
    let got = store.get(&key).await.unwrap().expect("it is stored");
    assert_eq!(got.bytes, put.bytes);
    assert_eq!(got.generation, put.generation);
    assert!(
        got.keep <= put.keep,
        "it is kept longer than it was put for"
    );
    assert!(got.keep > put.keep / 2, "its time passes too fast");
}

/// Bytes are bytes: none, every value, and a large token.
pub async fn any_bytes_are_kept(store: Store) {
    let all: Vec<u8> = (0..=255).collect();
    for bytes in [Vec::new(), all.clone(), all.repeat(256)] {
        let key = new_key();
        let mut put = token(10, "");
        put.bytes = bytes;
        assert!(store.put(&key, &put, None).await.unwrap(), "put said no");
        let got = store.get(&key).await.unwrap().expect("it is stored");
        assert!(got.bytes == put.bytes, "the bytes are others");
    }
}

/// What was never put is not there, and that is no error.
pub async fn an_unknown_key_is_a_miss(store: Store) {
    assert_eq!(store.get(&new_key()).await.unwrap(), None);
}

/// Keys that differ in one bit have entries of their own.
pub async fn keys_are_apart(store: Store) {
    let key = new_key();
    store.put(&key, &token(10, "mine"), None).await.unwrap();
    for byte in [0, 15, 31] {
        let mut other = *key.as_bytes();
        other[byte] ^= 1;
        let other = TokenKey::from_bytes(other);
        assert_eq!(store.get(&other).await.unwrap(), None);
        store.forget(&other, later(99), HOUR).await.unwrap();
    }
    assert!(holds(&store, &key, 10).await, "another key's forget hit it");
}

/// A token is there as long as it was put for, a year at the most.
pub async fn a_token_stays_until_its_time_is_over(store: Store) {
    let (hour, year) = (new_key(), new_key());
    let mut long = token(10, "a year");
    long.keep = MAX_LIFETIME;
    store.put(&hour, &token(10, "an hour"), None).await.unwrap();
    store.put(&year, &long, None).await.unwrap();
    SystemClock.sleep(SHORT).await;
    assert!(holds(&store, &hour, 10).await, "it went early");
    assert!(holds(&store, &year, 10).await, "it went early");
}

/// A token goes when its time is over, and not before.
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
            assert!(passed + TICK >= SHORT, "it went early");
            return;
        }
        SystemClock.sleep(TICK).await;
    }
    panic!("it stays");
}

/// The newer of two tokens is the one that is there.
pub async fn a_newer_token_replaces_an_older_one(store: Store) {
    let key = new_key();
    store.put(&key, &token(10, "old"), None).await.unwrap();
    assert!(store.put(&key, &token(11, "new"), None).await.unwrap());
    let got = store.get(&key).await.unwrap().unwrap();
    assert_eq!(got.bytes, b"new");
    assert_eq!(got.generation, later(11));
}

/// A slow old fetch doesn't overwrite a newer token, and is told so.
pub async fn an_older_token_never_replaces_a_newer_one(store: Store) {
    let key = new_key();
    store.put(&key, &token(11, "new"), None).await.unwrap();
    let stored = store.put(&key, &token(10, "old"), None).await.unwrap();
    assert!(!stored, "it says that it stored an older token");
    let got = store.get(&key).await.unwrap().unwrap();
    assert_eq!(got.bytes, b"new");
}

/// Of two tokens with one generation the first stays.
pub async fn the_same_generation_is_stored_once(store: Store) {
    let key = new_key();
    store.put(&key, &token(10, "first"), None).await.unwrap();
    let stored = store.put(&key, &token(10, "second"), None).await.unwrap();
    assert!(!stored, "it says that it stored the second");
    let got = store.get(&key).await.unwrap().unwrap();
    assert_eq!(got.bytes, b"first");
}

/// Generations count microseconds since 1970: sixteen digits, of which none may get lost.
pub async fn generations_are_told_apart_to_the_microsecond(store: Store) {
    let key = new_key();
    for at in [100, 101, 102] {
        let stored = store.put(&key, &token(at, "token"), None).await.unwrap();
        assert!(stored, "one microsecond later is later");
        assert!(holds(&store, &key, at).await, "its generation is another");
    }
    assert!(!store.put(&key, &token(101, "token"), None).await.unwrap());
    store.forget(&key, later(101), HOUR).await.unwrap();
    assert!(holds(&store, &key, 102).await, "forgotten through 101");
    store.forget(&key, later(102), HOUR).await.unwrap();
    assert!(!holds(&store, &key, 102).await, "forgotten through 102");
}

/// Of many who put at the same time the newest wins, in whatever order they come.
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
        assert!(holds(&store, &key, 20).await, "an older one is there");
    }
}

/// What was forgotten is not there.
pub async fn a_forgotten_token_is_gone(store: Store) {
    let key = new_key();
    store.put(&key, &token(10, "leaked"), None).await.unwrap();
    store.forget(&key, later(10), HOUR).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), None);
}

/// What was forgotten can't be put again, nor anything older.
pub async fn a_forgotten_token_never_returns(store: Store) {
    let key = new_key();
    store.put(&key, &token(10, "rejected"), None).await.unwrap();
    store.forget(&key, later(10), HOUR).await.unwrap();
    for at in [9, 10] {
        let stored = store.put(&key, &token(at, "rejected"), None).await.unwrap();
        assert!(!stored, "it says that it stored what it was to forget");
        assert_eq!(store.get(&key).await.unwrap(), None);
    }
}

/// Who is late with a rejection doesn't undo a later one.
pub async fn an_earlier_forget_takes_nothing_back(store: Store) {
    let key = new_key();
    store.forget(&key, later(10), HOUR).await.unwrap();
    store.forget(&key, later(5), SHORT).await.unwrap();
    assert!(!store.put(&key, &token(8, "rejected"), None).await.unwrap());
    assert_eq!(store.get(&key).await.unwrap(), None);
    SystemClock.sleep(SHORT + TICK).await;
    let stored = store.put(&key, &token(8, "rejected"), None).await.unwrap();
    assert!(!stored, "it forgets for the shorter time only");
}

/// Who is late with a rejection takes nothing from the others.
pub async fn forgetting_spares_a_newer_token(store: Store) {
    let key = new_key();
    store.put(&key, &token(11, "new"), None).await.unwrap();
    store.forget(&key, later(10), HOUR).await.unwrap();
    assert!(holds(&store, &key, 11).await, "the newer one is gone");
}

/// After a rejection the key goes on.
pub async fn a_token_newer_than_the_forgotten_is_stored(store: Store) {
    let key = new_key();
    store.forget(&key, later(10), HOUR).await.unwrap();
    assert!(store.put(&key, &token(11, "new"), None).await.unwrap());
    assert!(holds(&store, &key, 11).await);
}

/// While somebody has the lease nobody else gets it, and is told for how long at the most.
pub async fn a_taken_lease_is_not_granted(store: Store) {
    let key = new_key();
    granted(&store, &key, HOUR).await;
    for _ in 0..3 {
        let claim = store.lease(&key, HOUR, None).await.unwrap();
        let Claim::Taken { left } = claim else {
            panic!("it is taken, but the answer is {claim:?}");
        };
        assert!(left <= HOUR, "more is left than there was");
        assert!(left > HOUR / 2, "its time passes too fast");
    }
}

/// Of many who ask at the same time one gets the lease.
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
        assert_eq!(holders, 1, "holders");
    }
}

/// However leases are taken, renewed, lost and given back: no two are ever valid at the same time.
pub async fn no_two_leases_are_valid_at_once(store: Store) {
    let key = new_key();
    let held = Arc::<Spans>::default();
    let end = mono() + SHORT * 2;
    let clients = (0..6).map(|client| {
        let (store, held) = (store.clone(), held.clone());
        tokio::spawn(async move {
            // On a busy machine a lease may be over before its holder knows of it: until there is one
            // that can be counted.
            while mono() < end || is_empty(&held) {
                let asked = mono();
                let Claim::Granted(lease) = store.lease(&key, SHORT / 4, None).await.unwrap()
                else {
                    SystemClock.sleep(TICK / 2).await;
                    continue;
                };
                // It is certainly valid from when we know of it until its time is over, counted
                // from when we asked.
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
        assert!(pair[0].1 <= pair[1].0, "two leases at once");
    }
}

/// The lease of one key is no business of another.
pub async fn leases_of_keys_are_apart(store: Store) {
    granted(&store, &new_key(), HOUR).await;
    granted(&store, &new_key(), HOUR).await;
}

/// A holder that died blocks nobody for longer than its lease.
pub async fn a_lapsed_lease_is_granted_anew(store: Store) {
    let key = new_key();
    let first = granted(&store, &key, SHORT).await;
    let second = until_granted(&store, &key).await;
    assert_ne!(first.id, second.id, "two claims with one id");
}

/// A holder that is alive keeps its lease.
pub async fn its_holder_renews_a_lease(store: Store) {
    let key = new_key();
    let asked = mono();
    let lease = granted(&store, &key, SHORT).await;
    let renewed = store.lease(&key, HOUR, Some(&lease)).await.unwrap();
    if mono() - asked + TICK > SHORT {
        return; // the machine was too slow to tell
    }
    let Claim::Granted(renewed) = renewed else {
        panic!("the holder could not renew its lease: {renewed:?}");
    };
    assert_eq!(renewed, lease, "it is another lease");
    SystemClock.sleep(SHORT + TICK).await;
    let claim = store.lease(&key, HOUR, None).await.unwrap();
    assert!(matches!(claim, Claim::Taken { .. }), "it was not renewed");
}

/// Who lost the lease to another doesn't get it back by renewing it.
pub async fn a_lost_lease_is_not_renewed(store: Store) {
    let key = new_key();
    let first = granted(&store, &key, SHORT).await;
    let second = until_granted(&store, &key).await;
    let claim = store.lease(&key, HOUR, Some(&first)).await.unwrap();
    assert!(matches!(claim, Claim::Taken { .. }), "it was renewed");
    let claim = store.lease(&key, HOUR, Some(&second)).await.unwrap();
    assert_eq!(claim, Claim::Granted(second), "the holder lost it");
}

/// Whose lease is over doesn't get it back by renewing it, though nobody else has it: another may
/// have had it meanwhile, and have brought a token. It takes nothing from those who come later.
pub async fn a_lapsed_lease_is_not_renewed(store: Store) {
    let key = new_key();
    let lapsed = granted(&store, &key, SHORT).await;
    SystemClock.sleep(SHORT + TICK).await;
    for _ in 0..2 {
        let claim = store.lease(&key, HOUR, Some(&lapsed)).await.unwrap();
        assert!(matches!(claim, Claim::Taken { .. }), "it was renewed");
    }
    let next = granted(&store, &key, HOUR).await;
    assert!(
        next.generation > lapsed.generation,
        "a later lease is no newer"
    );
}

/// One that was given back is over as well.
pub async fn a_released_lease_is_not_renewed(store: Store) {
    let key = new_key();
    let released = granted(&store, &key, HOUR).await;
    store.release(&key, &released, None).await.unwrap();
    let claim = store.lease(&key, HOUR, Some(&released)).await.unwrap();
    assert!(matches!(claim, Claim::Taken { .. }), "it was renewed");
    granted(&store, &key, HOUR).await;
}

/// A lease that was given back is there for the next.
pub async fn a_release_gives_the_lease_back(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    store.release(&key, &lease, None).await.unwrap();
    granted(&store, &key, HOUR).await;
}

/// Who lost the lease doesn't give back another's.
pub async fn only_its_holder_releases_a_lease(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    store.release(&key, &another(&lease), None).await.unwrap();
    let claim = store.lease(&key, HOUR, None).await.unwrap();
    assert!(matches!(claim, Claim::Taken { .. }), "it was released");
}

/// A token under a lease ends the lease, also where the token is not wanted any more.
pub async fn a_put_gives_the_lease_back(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    let put = with_generation(lease.generation, "token");
    assert!(store.put(&key, &put, Some(&lease)).await.unwrap());
    let lease = granted(&store, &key, HOUR).await;
    assert!(!store.put(&key, &put, Some(&lease)).await.unwrap());
    granted(&store, &key, HOUR).await;
}

/// A token of somebody who lost the lease is as good as any, but ends no other's lease.
pub async fn a_put_with_another_lease_leaves_the_lease_alone(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    let put = with_generation(lease.generation, "token");
    let lost = another(&lease);
    assert!(store.put(&key, &put, Some(&lost)).await.unwrap());
    let claim = store.lease(&key, HOUR, None).await.unwrap();
    assert!(matches!(claim, Claim::Taken { .. }), "it was given back");
}

/// The token of a later holder counts as newer than an earlier one's, whoever comes first.
pub async fn lease_generations_increase(store: Store) {
    let key = new_key();
    let mut newest = Generation(0);
    for _ in 0..5 {
        let lease = granted(&store, &key, HOUR).await;
        assert!(lease.generation > newest, "a later lease is no newer");
        newest = lease.generation;
        store.release(&key, &lease, None).await.unwrap();
    }
}

/// A lease is for a token newer than all there was, also where another's clock is ahead.
pub async fn lease_generations_are_ahead_of_what_was_put_or_forgotten(store: Store) {
    let (put, forgotten) = (new_key(), new_key());
    let ahead = a_minute_ahead();
    let token = with_generation(ahead, "from a clock that is ahead");
    assert!(store.put(&put, &token, None).await.unwrap());
    store.forget(&forgotten, ahead, HOUR).await.unwrap();
    for key in [put, forgotten] {
        let lease = granted(&store, &key, HOUR).await;
        assert!(lease.generation > ahead, "it is no newer");
        let token = with_generation(lease.generation, "fetched under it");
        assert!(store.put(&key, &token, Some(&lease)).await.unwrap());
    }
}

/// When the token and what was to be forgotten are long over, their numbers still count: somebody
/// may have them yet.
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
        assert!(lease.generation > ahead, "it is no newer");
    }
}

/// A failed holder keeps all others from asking, and tells them why.
pub async fn a_failure_cools_the_key_down(store: Store) {
    let key = new_key();
    let why: Vec<u8> = (0..=255).collect();
    fail(&store, &key, HOUR, &why).await;
    let claim = store.lease(&key, HOUR, None).await.unwrap();
    let Claim::CoolingDown { left, why: told } = claim else {
        panic!("it is to cool down, but the answer is {claim:?}");
    };
    assert_eq!(told, why);
    assert!(left <= HOUR && left > HOUR / 2, "another time: {left:?}");
}

/// After its time a failure is over.
pub async fn a_cool_down_passes(store: Store) {
    let key = new_key();
    let started = mono();
    fail(&store, &key, SHORT, b"down").await;
    until_granted(&store, &key).await;
    assert!(mono() - started + TICK >= SHORT, "it went early");
}

/// A token shows that the vendor answers again.
pub async fn a_token_ends_a_cool_down(store: Store) {
    let key = new_key();
    fail(&store, &key, HOUR, b"down").await;
    let put = with_generation(a_minute_ahead(), "token");
    assert!(store.put(&key, &put, None).await.unwrap());
    granted(&store, &key, HOUR).await;
}

/// Who lost the lease can't stop the fleet with its failure.
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

/// Who waits for a token hears of it.
pub async fn a_put_wakes_those_who_wait(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    let waiter = waiting(&store, key).await;
    let put = with_generation(lease.generation, "token");
    store.put(&key, &put, Some(&lease)).await.unwrap();
    in_time(waiter).await.unwrap();
}

/// Who waits for a token hears that there will be none.
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

/// Who begins to wait after the token came doesn't wait.
pub async fn a_change_before_the_wait_is_noticed(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    let put = with_generation(lease.generation, "token");
    store.put(&key, &put, Some(&lease)).await.unwrap();
    let before = Generation(lease.generation.0 - 1);
    granted(&store, &key, HOUR).await;
    in_time(store.changed(&key, before)).await.unwrap();
}

/// Who begins to wait after the lease was given back doesn't wait for what has happened already.
pub async fn a_release_before_the_wait_is_noticed(store: Store) {
    let key = new_key();
    let lease = granted(&store, &key, HOUR).await;
    store.release(&key, &lease, None).await.unwrap();
    in_time(store.changed(&key, lease.generation))
        .await
        .unwrap();
}

/// The store's own key, if it has one, is the same for all who ask at once, later, and after
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
        assert!(*key.as_bytes() != [0; 32], "the identity key is no secret");
    }
}

/// A store whose backend is gone answers every operation with an error, within a second (which is
/// longer where the machine is busy): nothing is made up, nothing hangs.
pub async fn a_store_that_is_down_says_so_in_time(store: Store) {
    let key = new_key();
    let lease = Lease {
        id: LeaseId(1),
        generation: later(0),
    };
    let put = token(10, "token");
    let mut failed = Vec::new();
    failed.push(("get", soon(async { store.get(&key).await.is_err() }).await));
    failed.push((
        "put",
        soon(async { store.put(&key, &put, None).await.is_err() }).await,
    ));
    let forget = async { store.forget(&key, later(1), HOUR).await.is_err() };
    failed.push(("forget", soon(forget).await));
    failed.push((
        "lease",
        soon(async { store.lease(&key, HOUR, None).await.is_err() }).await,
    ));
    let release = async { store.release(&key, &lease, None).await.is_err() };
    failed.push(("release", soon(release).await));
    for (name, failed) in failed {
        match failed {
            Some(failed) => assert!(failed, "{name} says that all is well"),
            None => panic!("{name} takes longer than a second"),
        }
    }
}

/// What comes within a second.
async fn soon<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = ticks(100) => None,
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);
/// What has to pass in a check.
const SHORT: Duration = Duration::from_millis(400);
/// What clocks may be apart.
const TICK: Duration = Duration::from_millis(10);
/// So many ticks take five seconds, and longer where the machine is busy: what takes longer hangs.
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

/// Generations of our time, so that a store sees as many digits as it will.
fn later(by: u64) -> Generation {
    const MARCH_2026: u64 = 1_772_366_400_000_001;
    Generation(MARCH_2026 + by)
}

/// What somebody gives out whose clock is a minute ahead of ours.
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
        other => panic!("nobody has the lease, but the answer is {other:?}"),
    }
}

async fn until_granted(store: &Store, key: &TokenKey) -> Lease {
    for _ in 0..PATIENCE {
        if let Claim::Granted(lease) = store.lease(key, HOUR, None).await.unwrap() {
            return lease;
        }
        SystemClock.sleep(TICK).await;
    }
    panic!("it never gets free");
}

async fn fail(store: &Store, key: &TokenKey, cool_down: Duration, why: &[u8]) {
    let lease = granted(store, key, HOUR).await;
    let failure = LeaseFailure {
        cool_down,
        why: why.to_vec(),
    };
    store.release(key, &lease, Some(failure)).await.unwrap();
}

/// Somebody who waits, and has got as far as that.
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
        () = ticks(PATIENCE) => panic!("nobody woke it"),
    }
}

/// Many short sleeps: each is late where the machine is busy, as what is waited for is.
async fn ticks(number: u32) {
    for _ in 0..number {
        SystemClock.sleep(TICK).await;
    }
}
