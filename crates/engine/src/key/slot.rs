//! [`Slot`]: the token that a key serves, and until when it does without a second look.

use std::sync::Arc;

use arc_swap::Guard;

use biped_core::{Now, Timestamp};

use crate::{
    key::{cached::CachedToken, schedule::Deadline, state::KeyState},
    sync::{
        ArcSwapOption,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

/// The token that a key serves. Its refresh point is repeated here, so that a caller of a fresh
/// token reads nothing of it but what it sends.
///
/// A writer holds the key's lock. It publishes a token first and the token's refresh point after it,
/// and clears the refresh point before the token. A reader holds no lock, and reads the refresh point
/// first, so it never pairs a refresh point with an older token. A reader that saw a refresh point just
/// before the token was replaced or cleared gets the newer token, or none.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Slot {
    token: ArcSwapOption<CachedToken>,
    fresh_mono: AtomicU64,
    fresh_wall: AtomicI64,
}

impl Slot {
    /// The token, if it is fresh.
    #[inline]
    pub(crate) fn fresh(&self, now: &Now) -> Option<Guard<Option<Arc<CachedToken>>>> {
        let refresh = Deadline {
            mono: self.fresh_mono.load(Ordering::Acquire),
            wall: Timestamp::from_unix_nanos(self.fresh_wall.load(Ordering::Acquire)),
        };
        if !refresh.is_ahead(now) {
            return None;
        }
        let token = self.token.load();
        token.is_some().then_some(token)
    }

    #[inline]
    pub(crate) fn load(&self) -> Guard<Option<Arc<CachedToken>>> {
        self.token.load()
    }

    pub(crate) fn load_full(&self) -> Option<Arc<CachedToken>> {
        self.token.load_full()
    }

    /// Serves this token from now on.
    pub(crate) fn publish(&self, _: &mut KeyState, token: Arc<CachedToken>) {
        let Deadline { mono, wall } = token.schedule.refresh;
        self.token.store(Some(token));
        self.fresh_wall.store(wall.unix_nanos(), Ordering::Release);
        self.fresh_mono.store(mono, Ordering::Release);
    }

    /// Serves no token from now on.
    pub(crate) fn clear(&self, _: &mut KeyState) {
        self.fresh_mono.store(0, Ordering::Release);
        self.token.store(None);
    }
}
