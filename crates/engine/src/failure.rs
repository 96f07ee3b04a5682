//! What follows from a failure: for the flight, its key, the client, the endpoint and the fleet.
//!
//! Everything here is pure: it takes a failure and returns what is to be done, and the flight's task
//! and the key's state carry that out. When a failed fetch is tried again, how long the vendor is left
//! alone, and what other processes hear of it are decided in this file and in no other.

use std::{sync::Arc, time::Duration};

use biped_core::{Error, ErrorKind, SecretUse};

use crate::input::Lender;
use crate::settings::{
    ATTEMPTS, FIRST_PROBE, LAST_PROBE, LEAST_WAIT, MAX_RETRY_AFTER, REST, SECRET_RECHECK, back_off,
    quick_back_off,
};

/// The longest pause of the fleet that a flight sits out; a longer one ends it.
const SHORT_FLEET_PAUSE: Duration = Duration::from_secs(1);

/// Why asking the vendor brought no answer that can be used.
pub(crate) struct FetchFailure {
    pub(crate) error: Error,
    /// The secrets that were read for the request.
    pub(crate) secrets: Vec<SecretUse>,
    /// Whether a request was sent.
    pub(crate) sent: bool,
    /// The keys of other providers whose tokens the vendor refused.
    pub(crate) lenders: Vec<Arc<dyn Lender>>,
    /// The request presented something that only this process has.
    pub(crate) is_own: bool,
    /// The vendor refused the account's credential, and the entry in the store keeps it from being sent.
    pub(crate) is_in_entry: bool,
}

/// Why a flight ends without a token.
pub(crate) enum FlightFailure {
    /// The vendor refused or failed, or a secret could not be read.
    Fetch(FetchFailure),
    /// Another process failed, and the fleet leaves the vendor alone for this long.
    Fleet { error: Error, wait: Duration },
    /// Nothing was sent: an earlier error is still in force.
    Known(Error),
    /// The provider panicked.
    Panic(Error),
    /// This process ended the fetch; nothing is known of the vendor.
    Interrupted(Error),
    /// The token arrived, and had been forgotten meanwhile: its callers start another flight.
    Forgotten(Error),
    /// The store could not be asked, and a token serves: the key asks again after this time.
    PutOff { error: Error, wait: Duration },
}

/// How much longer a flight may take.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// Whether a caller waits without a usable token.
    pub(crate) urgent: bool,
    /// The time until its callers give up.
    pub(crate) left: Duration,
}

/// What a failed fetch means for the other keys of its client and of its token endpoint.
pub(crate) struct Consequences {
    /// How long the endpoint gets no request.
    pub(crate) pause_endpoint: Option<Duration>,
    /// Whether the vendor refused the client itself, and not this request alone.
    pub(crate) refuse_client: bool,
}

/// What a failed flight means for its key.
pub(crate) enum KeyConsequence {
    /// Nothing: the next caller may ask at once.
    None,
    /// The vendor refused the client, which keeps that refusal.
    ClientRefused,
    /// The vendor refused this request.
    RequestRefused,
    /// While the token that it has serves, the key doesn't ask for this long.
    PutOff { wait: Duration },
    /// The key doesn't ask for this long. A failure that counts makes the next wait longer.
    Wait { wait: Duration, counts: bool },
}

/// What the wait of a key depends on.
pub(crate) struct KeySituation {
    /// How many flights failed in a row before this one.
    pub(crate) failures: u32,
    /// Whether a token still serves.
    pub(crate) serving: bool,
    /// The longest wait that leaves the token that serves time for another try.
    pub(crate) next_try: Duration,
}

impl Patience {
    /// Whether the flight may wait this long.
    pub(crate) fn covers(self, wait: Duration) -> bool {
        self.urgent && wait < self.left
    }
}

impl FlightFailure {
    /// How long the same flight waits before it tries again; `None` where it ends.
    ///
    /// `attempts` says how often it has asked the vendor.
    pub(crate) fn retry(&self, attempts: u32, patience: Patience) -> Option<Duration> {
        match self {
            Self::Fetch(FetchFailure { error, .. }) if error.is_transient() => {
                let wait = quick_back_off(attempts).max(requested_wait(error));
                (attempts < ATTEMPTS && patience.covers(wait)).then_some(wait)
            }
            Self::Fleet { wait, .. } => {
                let is_short = *wait <= SHORT_FLEET_PAUSE && patience.covers(*wait);
                is_short.then(|| (*wait).max(LEAST_WAIT))
            }
            _ => None,
        }
    }

    /// How long the other processes leave the vendor alone, if this one waits for `own`; `None`
    /// where the failure doesn't concern them.
    pub(crate) fn fleet_rest(&self, own: Duration) -> Option<Duration> {
        let Self::Fetch(failure) = self else {
            return None;
        };
        match failure.error.kind() {
            // What failed is this process's own platform.
            _ if failure.error.token_source().is_some() => None,
            // This process lacks something that the others may have.
            ErrorKind::Configuration | ErrorKind::Secret | ErrorKind::Internal => None,
            ErrorKind::Refused if failure.is_own => None,
            // Each process probes for itself.
            ErrorKind::Refused => Some(REST),
            _ => Some(own),
        }
    }

    /// Whether the token that was rejected may serve again: `Some(true)` while the failure may pass,
    /// `Some(false)` never, `None` where it says nothing about the vendor.
    pub(crate) fn returns_last_resort(&self) -> Option<bool> {
        match self {
            Self::Fetch(_) | Self::Fleet { .. } | Self::Known(_) => {
                Some(self.error().is_transient())
            }
            Self::Panic(_) | Self::Interrupted(_) | Self::Forgotten(_) | Self::PutOff { .. } => {
                None
            }
        }
    }

    /// Whether its callers start another flight.
    pub(crate) fn is_no_answer(&self) -> bool {
        matches!(self, Self::Forgotten(_) | Self::PutOff { .. })
    }

    /// Whether it has not been reported yet.
    pub(crate) fn is_news(&self) -> bool {
        !matches!(self, Self::Known(_) | Self::PutOff { .. })
    }

    /// Whether the vendor refused the client itself.
    pub(crate) fn refuses_client(&self) -> bool {
        matches!(self, Self::Fetch(failure) if failure.error.refuses_client())
    }

    /// What it means for the key.
    pub(crate) fn for_key(&self, situation: &KeySituation) -> KeyConsequence {
        let KeySituation {
            failures,
            serving,
            next_try,
        } = *situation;
        let wait = |wait| KeyConsequence::Wait {
            wait,
            counts: false,
        };
        match self {
            Self::Fetch(failure) => failure.for_key(failures, next_try),
            Self::Fleet { wait: left, .. } => wait((*left).min(MAX_RETRY_AFTER)),
            Self::PutOff { wait, .. } => KeyConsequence::PutOff { wait: *wait },
            // No caller waits while a token serves, so one attempt now and then is enough.
            Self::Panic(_) if serving => wait(next_try.min(REST)),
            Self::Known(_) | Self::Panic(_) | Self::Interrupted(_) | Self::Forgotten(_) => {
                KeyConsequence::None
            }
        }
    }

    pub(crate) fn error(&self) -> &Error {
        match self {
            Self::Fetch(FetchFailure { error, .. })
            | Self::Fleet { error, .. }
            | Self::PutOff { error, .. }
            | Self::Known(error)
            | Self::Panic(error)
            | Self::Interrupted(error)
            | Self::Forgotten(error) => error,
        }
    }

    /// The same failure, with its error changed.
    pub(crate) fn map_error(self, change: impl FnOnce(Error) -> Error) -> Self {
        match self {
            Self::Fetch(failure) => Self::Fetch(FetchFailure {
                error: change(failure.error),
                ..failure
            }),
            Self::Fleet { error, wait } => Self::Fleet {
                error: change(error),
                wait,
            },
            Self::PutOff { error, wait } => Self::PutOff {
                error: change(error),
                wait,
            },
            Self::Known(error) => Self::Known(change(error)),
            Self::Panic(error) => Self::Panic(change(error)),
            Self::Interrupted(error) => Self::Interrupted(change(error)),
            Self::Forgotten(error) => Self::Forgotten(change(error)),
        }
    }
}

impl FetchFailure {
    /// What it means for others than its own key.
    pub(crate) fn consequences(&self) -> Consequences {
        let error = &self.error;
        if error.token_source().is_some() {
            // The vendor was not asked.
            return Consequences {
                pause_endpoint: None,
                refuse_client: false,
            };
        }
        let wait = requested_wait(error);
        let asks_for_pause = error.kind() == ErrorKind::Unavailable && error.is_transient();
        Consequences {
            pause_endpoint: (asks_for_pause && !wait.is_zero()).then_some(wait),
            refuse_client: error.refuses_client(),
        }
    }

    fn for_key(&self, failures: u32, next_try: Duration) -> KeyConsequence {
        let error = &self.error;
        match error.kind() {
            // Asking again costs nothing.
            ErrorKind::Configuration if !self.sent => KeyConsequence::None,
            ErrorKind::Refused if error.refuses_client() => KeyConsequence::ClientRefused,
            ErrorKind::Refused => KeyConsequence::RequestRefused,
            // A platform that refuses is asked as seldom as a vendor that fails.
            ErrorKind::Secret if error.vendor().is_none() => KeyConsequence::Wait {
                wait: SECRET_RECHECK.max(error.retry_after().unwrap_or_default()),
                counts: false,
            },
            _ => KeyConsequence::Wait {
                wait: back_off(failures.saturating_add(1))
                    .min(next_try)
                    .max(requested_wait(error)),
                counts: true,
            },
        }
    }
}

impl From<Error> for FetchFailure {
    fn from(error: Error) -> Self {
        Self {
            error,
            secrets: Vec::new(),
            sent: true,
            lenders: Vec::new(),
            is_own: false,
            is_in_entry: false,
        }
    }
}

/// How long after a refusal the vendor is asked again, if `probes` probes were refused before.
pub(crate) fn probe_after(error: &Error, probes: u32) -> Duration {
    let doubled = FIRST_PROBE.saturating_mul(1 << probes.min(10));
    let requested = error.retry_after().unwrap_or_default();
    doubled.max(requested).min(LAST_PROBE)
}

/// The vendor's `Retry-After`, which is a floor for every wait: 15 minutes at most.
fn requested_wait(error: &Error) -> Duration {
    error.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER)
}

#[cfg(test)]
mod tests;
