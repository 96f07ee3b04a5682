//! [`Status`]: what is known of a key.

use std::{fmt, sync::Arc, time::Duration};

use biped_core::{Error, Now, TokenRequest};

use crate::{
    flight::demand::Demand,
    key::{schedule::Schedule, table::Key},
    sync::atomic::Ordering,
};

/// What the manager knows of the token for one request to one provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The provider's name.
    pub provider: Arc<str>,
    /// The tenant, if the provider has tenants.
    pub tenant: Option<Box<str>>,
    /// What the token is for.
    pub request: TokenRequest,
    /// The state of the token.
    pub state: TokenState,
    /// How much of the token's life is left; `None` without a token, and for one that is good until
    /// it is rejected.
    pub remaining: Option<Duration>,
    /// How long until the token is refreshed ahead of its end; `None` without a token, and where that has
    /// come.
    pub refresh_in: Option<Duration>,
    /// How many fetches of this process ended at the vendor, well or badly.
    pub fetches: u32,
    /// How many of the tokens an API rejected.
    pub rejections: u32,
    /// Whether a fetch is in progress.
    pub fetching: bool,
    /// Why the last fetch failed, if it did.
    pub last_error: Option<Error>,
    /// How long the vendor is left alone after that, at most.
    pub next_attempt: Option<Duration>,
}

/// The state of a token: whether it can be sent, and what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// The token needs nothing.
    Fresh,
    /// The token still serves, and the next caller refreshes it.
    Usable,
    /// The token may no longer be sent.
    Expired,
    /// There is no token yet, or no more.
    Missing,
    /// There is no token, and the vendor refuses to give one.
    Quarantined,
}

impl TokenState {
    pub(crate) fn of(schedule: &Schedule, now: &Now) -> Self {
        if schedule.refresh.is_ahead(now) {
            Self::Fresh
        } else if schedule.unusable.is_ahead(now) {
            Self::Usable
        } else {
            Self::Expired
        }
    }

    /// Returns the state in one word, lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Usable => "usable",
            Self::Expired => "expired",
            Self::Missing => "missing",
            Self::Quarantined => "quarantined",
        }
    }
}

impl fmt::Display for TokenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Key {
    pub(crate) fn status(&self, now: &Now) -> Status {
        let known = self.state();
        let token = self.slot.load_full();
        let token = token.or_else(|| self.last_resort(&known, Demand::default(), now));
        let failure = self
            .client
            .last_error(now)
            .or_else(|| known.last_error(now));
        let paused = self.client.endpoint.paused(now).map(|(_, left)| left);
        let refused = || known.is_refused() || self.client.is_refused();
        let schedule = token.as_ref().map(|token| &token.schedule);
        let state = schedule.map_or(TokenState::Missing, |it| TokenState::of(it, now));
        let state = match state {
            TokenState::Missing | TokenState::Expired if refused() => TokenState::Quarantined,
            state => state,
        };
        Status {
            provider: self.client.id.shared_name(),
            tenant: self.client.id.tenant().map(Into::into),
            request: self.request.clone(),
            state,
            remaining: token
                .as_ref()
                .and_then(|token| token.expires_at())
                .map(|expiry| expiry.since(now.wall)),
            refresh_in: schedule
                .filter(|it| it.refresh.is_ahead(now))
                .map(|it| it.refresh.left(now)),
            fetches: self.fetches.load(Ordering::Relaxed),
            rejections: known.rejections(),
            fetching: known.flight.is_some(),
            next_attempt: failure.as_ref().and_then(|(_, next)| (*next).max(paused)),
            last_error: failure.map(|(error, _)| error),
        }
    }
}
