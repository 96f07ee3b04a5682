//! The checks of leases, and of failed holders.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use biped_core::{Claim, Clock as _, Generation, Lease, LeaseFailure, SystemClock, TokenKey};

use super::{
    check::{Check, checks},
    tools::{HOUR, PATIENCE, SHORT, Store, TICK, another, granted, mono, new_key, with_generation},
};

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

type Spans = Mutex<Vec<(Duration, Duration)>>;

fn lock(spans: &Spans) -> MutexGuard<'_, Vec<(Duration, Duration)>> {
    spans.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_empty(spans: &Spans) -> bool {
    lock(spans).is_empty()
}

/// The generation of a machine whose clock is a minute ahead.
fn a_minute_ahead() -> Generation {
    Generation(Generation(0).next(SystemClock.now().wall).0 + 60_000_000)
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
