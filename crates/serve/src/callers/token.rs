//! [`CallerToken`]: the token that a caller proves itself with.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use biped::{
    ExposeSecret,
    provider::{Clock, SecretRef, SystemClock, wire},
};
use futures_util::future::join_all;
use sha2::{Digest, Sha256};

/// The token of a caller, which may change at its places while the sidecar runs.
#[derive(Debug)]
pub(crate) struct CallerToken {
    caller: String,
    secret: SecretRef,
    known: Mutex<Known>,
    /// Held while the places are read.
    turn: tokio::sync::Mutex<()>,
}

/// What was read last.
#[derive(Debug, Default)]
struct Known {
    read_at: Option<Duration>,
    /// In the order of the reference's list.
    places: Vec<Place>,
}

#[derive(Debug, Default)]
struct Place {
    /// The hash of the last value that could be read.
    hash: Option<[u8; 32]>,
    /// Why it can't be read, so that it is told once.
    failed: Option<String>,
}

impl CallerToken {
    pub(crate) fn new(caller: &str, secret: &SecretRef) -> Self {
        Self {
            caller: caller.to_owned(),
            secret: secret.clone(),
            known: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Whether it is the token of this caller, at these places.
    pub(crate) fn is_of(&self, caller: &str, secret: &SecretRef) -> bool {
        self.caller == caller && self.secret == *secret
    }

    /// Whether one of these is the hash of the token, as far as it is known.
    pub(crate) fn is_one_of(&self, given: &[[u8; 32]]) -> bool {
        let known = self.known();
        let mut is_known = false;
        for hash in known.places.iter().filter_map(|place| place.hash.as_ref()) {
            for given in given {
                is_known |= is_equal(hash, given);
            }
        }
        is_known
    }

    /// Reads all places again, if it is still time to when it is this reading's turn.
    pub(crate) async fn refresh(self: Arc<Self>) {
        let _turn = self.turn.lock().await;
        if !self.is_due() {
            return;
        }
        let places = 0..self.secret.candidates();
        let values = join_all(places.map(|place| self.secret.resolve(place, &SystemClock))).await;
        let mut known = self.known();
        known.read_at = Some(SystemClock.now().mono);
        known.places.resize_with(values.len(), Place::default);
        for (place, value) in known.places.iter_mut().zip(values) {
            match value {
                Ok(token) => place.read(token.expose_secret()),
                Err(error) => place.fail(&self.caller, error.to_string()),
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_being_read(&self) -> bool {
        self.turn.try_lock().is_err()
    }

    /// Whether it is time to read the places again.
    pub(crate) fn is_due(&self) -> bool {
        let now = SystemClock.now().mono;
        let interval = self.secret.recheck_interval();
        let read_at = self.known().read_at;
        read_at.is_none_or(|at| now.saturating_sub(at) >= interval)
    }
}

impl Place {
    fn read(&mut self, token: &str) {
        self.hash = Some(hash(token));
        self.failed = None;
    }

    /// Keeps the last value.
    fn fail(&mut self, caller: &str, why: String) {
        if self.failed.as_ref() == Some(&why) {
            return;
        }
        let (caller, shown) = (wire::escaped(caller), wire::Escaped(&why));
        tracing::warn!("the token of the caller {caller} can't be read: {shown}");
        self.failed = Some(why);
    }
}

/// What is compared, and remembered, instead of a token.
pub(super) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Compares in constant time; of hashes, so that a length tells nothing either.
fn is_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differing = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differing) == 0
}
