//! [`Recent`]: a bounded list of recently used values.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A bounded number of values by key; the least recently used is dropped first.
pub(crate) struct Recent<K, V> {
    bound: usize,
    /// The most recently used is first.
    kept: Mutex<Vec<(K, V)>>,
}

impl<K, V: Clone> Recent<K, V> {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            bound,
            kept: Mutex::default(),
        }
    }

    pub(crate) fn find(&self, mut is: impl FnMut(&mut K) -> bool) -> Option<V> {
        let mut kept = self.lock();
        let at = kept.iter_mut().position(|(known, _)| is(known))?;
        if at > 0 {
            kept[..=at].rotate_right(1);
        }
        kept.first().map(|(_, value)| value.clone())
    }

    pub(crate) fn keep(&self, key: K, value: V) {
        let mut kept = self.lock();
        kept.insert(0, (key, value));
        kept.truncate(self.bound);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(K, V)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> fmt::Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}
