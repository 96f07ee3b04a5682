//! What the checks of stores share: keys, tokens and leases, and waiting.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use biped_core::{
    Claim, Clock as _, Generation, Lease, LeaseId, StoredToken, SystemClock, TokenKey, TokenStore,
};

pub(super) type Store = Arc<dyn TokenStore>;

pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
/// A short time that a check waits for.
pub(super) const SHORT: Duration = Duration::from_millis(400);
/// How much clocks may differ.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// This many ticks take five seconds, and longer on a busy machine. An operation that takes longer
/// hangs.
pub(super) const PATIENCE: u32 = 500;

pub(super) fn mono() -> Duration {
    SystemClock.now().mono
}

pub(super) fn new_key() -> TokenKey {
    let mut key = [0; 32];
    key.fill_with(|| fastrand::u8(..));
    TokenKey::from_bytes(key)
}

/// Present generations, so that a store sees realistic numbers of digits.
pub(super) fn later(by: u64) -> Generation {
    const MARCH_2026: u64 = 1_772_366_400_000_001;
    Generation(MARCH_2026 + by)
}

pub(super) fn token(at: u64, text: &str) -> StoredToken {
    with_generation(later(at), text)
}

pub(super) fn with_generation(generation: Generation, text: &str) -> StoredToken {
    StoredToken {
        generation,
        keep: HOUR,
        bytes: text.as_bytes().to_vec(),
    }
}

pub(super) fn another(lease: &Lease) -> Lease {
    Lease {
        id: LeaseId(!lease.id.0),
        ..*lease
    }
}

pub(super) async fn granted(store: &Store, key: &TokenKey, ttl: Duration) -> Lease {
    match store.lease(key, ttl, None).await.unwrap() {
        Claim::Granted(lease) => lease,
        other => panic!("the lease is free, but the claim is {other:?}"),
    }
}

/// Many short sleeps: on a busy machine each takes longer, like the awaited operation.
pub(super) async fn ticks(number: u32) {
    for _ in 0..number {
        SystemClock.sleep(TICK).await;
    }
}
