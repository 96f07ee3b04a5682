//! What the manager's tasks share, and where they run: as the standard library, `arc_swap` and
//! tokio have it. In the model check each access is a point where another task may go first.

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
