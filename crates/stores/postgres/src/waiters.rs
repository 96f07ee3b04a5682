//! [`Waiters`]: the callers that wait for a change of a key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use biped_core::TokenKey;
use tokio::sync::Notify;

/// The waiting callers, by the key in hexadecimal digits, which is what a notification carries.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<HashMap<String, (Arc<Notify>, usize)>>);

impl Waiters {
    /// Waits for a key until the result is dropped.
    pub(crate) fn enter(self: &Arc<Self>, key: &TokenKey) -> Waiter {
        let key = key.to_string();
        let mut all = self.lock();
        let (arrivals, count) = all.entry(key.clone()).or_default();
        *count += 1;
        Waiter {
            arrivals: arrivals.clone(),
            all: self.clone(),
            key,
        }
    }

    /// Wakes those who wait for a key.
    pub(crate) fn wake(&self, key: &str) {
        if let Some((arrivals, _)) = self.lock().get(key) {
            arrivals.notify_waiters();
        }
    }

    /// Wakes all: notifications may have been lost.
    pub(crate) fn wake_all(&self) {
        for (arrivals, _) in self.lock().values() {
            arrivals.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Arc<Notify>, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A waiting caller.
pub(crate) struct Waiter {
    pub(crate) arrivals: Arc<Notify>,
    all: Arc<Waiters>,
    key: String,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some((_, count)) = all.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.key);
            }
        }
    }
}
