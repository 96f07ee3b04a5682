//! The check of a store whose backend is down.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::Future;

use biped_core::{Claim, Lease, LeaseId};

use super::tools::{HOUR, Store, later, new_key, ticks, token};

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
