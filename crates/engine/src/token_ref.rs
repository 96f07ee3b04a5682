//! [`TokenRef`]: a token as callers get it, borrowed.

use std::{fmt, ops::Deref, sync::Arc};

use arc_swap::Guard;
use biped_core::Now;

use crate::key::{cached::CachedToken, table::Key};

/// A token, borrowed from the manager: no lock, no allocation, no shared counter while it is fresh.
/// Let it go soon; [`into_owned`](Self::into_owned) gives one to keep.
pub struct TokenRef(pub(crate) Guard<Option<Arc<CachedToken>>>);

impl TokenRef {
    /// Returns a token to keep.
    #[must_use]
    pub fn into_owned(self) -> Arc<CachedToken> {
        match Guard::into_inner(self.0) {
            Some(token) => token,
            None => unreachable!("it is made of a token only"),
        }
    }
}

impl From<Arc<CachedToken>> for TokenRef {
    fn from(token: Arc<CachedToken>) -> Self {
        Self(Guard::from_inner(Some(token)))
    }
}

impl Deref for TokenRef {
    type Target = CachedToken;

    #[inline]
    fn deref(&self) -> &CachedToken {
        match &*self.0 {
            Some(token) => token,
            None => unreachable!("it is made of a token only"),
        }
    }
}

impl fmt::Debug for TokenRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Key {
    #[inline]
    pub(crate) fn fresh(&self, now: &Now) -> Option<TokenRef> {
        let token = self.slot.fresh(now)?;
        if token
            .as_ref()
            .is_some_and(|token| self.is_overdue(token, now))
        {
            return None;
        }
        self.touch(now);
        Some(TokenRef(token))
    }
}
