//! What the manager's tasks share, and where they run: as the standard library, `arc_swap` and
//! tokio have it. In the model check each access is a point where another task may go first.

use std::sync::PoisonError;

#[cfg(not(all(test, shuttle)))]
pub(crate) use self::real::*;
#[cfg(all(test, shuttle))]
pub(crate) use crate::model::sync::*;

#[cfg(not(all(test, shuttle)))]
mod real {
    pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock, RwLock, atomic};

    pub(crate) use arc_swap::ArcSwapOption;
    pub(crate) use hashbrown::DefaultHashBuilder;
    pub(crate) use tokio::{
        runtime::Handle,
        sync::{Notify, oneshot},
    };
}

/// Locks, also after a panic: what is locked is changed in one go.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
