//! [`Open`]: a connection to an API, and whether it is in use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::meter::OpenConnections;

/// What is known of a connection. Its clones are of the same connection.
#[derive(Clone)]
pub(crate) struct Open(Arc<Inner>);

struct Inner {
    gauges: OpenConnections,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often it was used.
    uses: u32,
    /// How many requests use it now.
    active: u32,
    is_closed: bool,
}

/// A request that uses a connection, until this is dropped.
pub(crate) struct Use(Open);

impl Open {
    pub(super) fn new(gauges: OpenConnections) -> Self {
        gauges.idle.increment(1.0);
        Self(Arc::new(Inner {
            gauges,
            state: Mutex::default(),
        }))
    }

    /// Notes a use, and says whether it is not the first.
    pub(super) fn begin(&self) -> (Use, bool) {
        let mut state = self.state();
        if state.active == 0 && !state.is_closed {
            self.0.gauges.idle.decrement(1.0);
            self.0.gauges.active.increment(1.0);
        }
        state.active += 1;
        state.uses = state.uses.saturating_add(1);
        (Use(self.clone()), state.uses > 1)
    }

    pub(super) fn close(&self) {
        let mut state = self.state();
        if state.is_closed {
            return;
        }
        state.is_closed = true;
        match state.active {
            0 => self.0.gauges.idle.decrement(1.0),
            _ => self.0.gauges.active.decrement(1.0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let Inner { gauges, .. } = &*self.0.0;
        let mut state = self.0.state();
        state.active -= 1;
        if state.active == 0 && !state.is_closed {
            gauges.active.decrement(1.0);
            gauges.idle.increment(1.0);
        }
    }
}
