//! What follows from an entry and from an answer. Everything here is pure.

use biped_core::{Error, ErrorKind, IdentityKey, SecretString, Timestamp, VendorError};

use super::entry::{Entry, State};

/// The error code of a refused credential (RFC 6749 §5.2).
const REFUSED: &str = "invalid_grant";

/// What a refresh does first.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Write the entry, then send the credential.
    Ask(Box<Entry>, SecretString),
    /// Send nothing.
    Stop(Error),
}

/// Who plans a refresh, and when.
#[derive(Clone, Debug)]
pub(crate) struct Planner<'a> {
    /// The account's name.
    pub(crate) name: &'a str,
    /// This process.
    pub(crate) who: &'a str,
    pub(crate) now: Timestamp,
    /// The key of digests, for an account without an entry.
    pub(crate) salt: IdentityKey,
}

/// What came of sending the credential.
#[derive(Clone, Debug)]
pub(crate) enum Answered {
    /// The vendor replaced the credential, whatever else was wrong with the answer.
    Replaced(SecretString),
    /// The vendor accepted the credential, which is still good.
    Accepted,
    /// The vendor said nothing of the credential: it refused something else, or was not asked.
    NotJudged,
    /// The vendor refused the credential.
    Refused(VendorError),
    /// The vendor may have replaced the credential.
    Unknown,
}

/// What is to be done with an entry that must be written, if another is in the store than expected.
#[derive(Debug)]
pub(crate) enum Settled {
    /// Write it over the one that is there.
    Write,
    /// It is there already.
    Done,
    /// A later one is there.
    Overtaken,
}

impl Planner<'_> {
    /// What to do with an account that has this entry, where this seed is configured.
    pub(crate) fn plan(&self, stored: Option<Entry>, seed: Option<&SecretString>) -> Plan {
        let entry = stored.unwrap_or_else(|| Entry::new(self.salt.clone(), self.now));
        let entry = match seed {
            Some(seed) if !entry.has_taken(seed) => match entry.seeded(seed, self.now) {
                Ok(seeded) => seeded,
                Err(_) => return Plan::Stop(Error::internal("a new seed was taken before")),
            },
            _ => entry,
        };
        let (token, unanswered) = match &entry.state {
            State::Ready { token, unanswered } => (token.clone(), *unanswered),
            State::Asking {
                token, unanswered, ..
            } => (token.clone(), unanswered.or(Some(entry.since))),
            State::Refused { words, unanswered } => {
                return Plan::Stop(self.refused(words, *unanswered));
            }
            State::Forgotten => return Plan::Stop(self.unseeded(&entry)),
        };
        let asking = State::Asking {
            token: token.clone(),
            who: self.who.into(),
            unanswered,
        };
        Plan::Ask(Box::new(entry.with(asking, self.now)), token)
    }

    fn unseeded(&self, entry: &Entry) -> Error {
        let message = match entry.epoch {
            0 => "the account has no refresh token yet",
            _ => {
                "the account's refresh token was forgotten, and the configured one was used before"
            }
        };
        Error::secret(message).with_remedy(self.remedy())
    }

    /// The error of a credential that the vendor refused.
    pub(crate) fn refused(&self, words: &VendorError, unanswered: Option<Timestamp>) -> Error {
        let message = "the vendor refused the refresh token";
        let error = Error::refused(words.clone());
        let error = match unanswered {
            None => error.with_message(message),
            Some(at) => error.with_message_beside_vendor(format!(
                "{message}; the answer to the refresh of {} was lost",
                time_of_day(at)
            )),
        };
        error.refusing_client(false).with_remedy(self.remedy())
    }

    fn remedy(&self) -> String {
        format!(
            "get a new refresh token, and store it with `biped seed {}`",
            self.name
        )
    }
}

impl Answered {
    /// What an attempt means that brought this error, or none, and this credential.
    pub(crate) fn of(error: Option<&Error>, replacement: Option<SecretString>) -> Self {
        if let Some(new) = replacement {
            return Self::Replaced(new);
        }
        let Some(error) = error else {
            return Self::Accepted;
        };
        match (error.kind(), error.vendor()) {
            (ErrorKind::Refused, Some(words)) if words.names(REFUSED) => {
                Self::Refused(words.clone())
            }
            (ErrorKind::Refused | ErrorKind::Configuration | ErrorKind::Secret, _) => {
                Self::NotJudged
            }
            _ if error.is_unsent() => Self::NotJudged,
            _ => Self::Unknown,
        }
    }

    /// Whether the entry must be written before anything else follows.
    pub(crate) fn is_owed(&self) -> bool {
        matches!(self, Self::Replaced(_) | Self::Refused(_))
    }
}

/// The entry after an answer. `None` if it stays as it is: the next refresh sends the same credential.
pub(crate) fn after(asking: &Entry, answered: &Answered, now: Timestamp) -> Option<Entry> {
    let State::Asking {
        token, unanswered, ..
    } = &asking.state
    else {
        return None;
    };
    let entry = asking.clone();
    Some(match answered {
        Answered::Replaced(new) => entry.rotated(new.clone(), now),
        Answered::Refused(words) => entry.with(
            State::Refused {
                words: words.clone(),
                unanswered: *unanswered,
            },
            now,
        ),
        Answered::Accepted => entry.with(State::ready(token.clone()), now),
        Answered::NotJudged => entry.with(
            State::Ready {
                token: token.clone(),
                unanswered: *unanswered,
            },
            now,
        ),
        Answered::Unknown => return None,
    })
}

/// What to do with `owed`, which must be written, if `stored` is there instead of what was expected.
///
/// A process that stood still for longer than its lease, or whose store was down for that long, finds
/// that another has sent the same credential meanwhile. The new credential counts, unless a later one is
/// stored.
pub(crate) fn settle(stored: Option<&Entry>, owed: &Entry) -> Settled {
    let Some(stored) = stored else {
        return Settled::Write;
    };
    let is_same = match (&stored.state, &owed.state) {
        (State::Refused { .. }, State::Refused { .. }) => true,
        _ => {
            use biped_core::ExposeSecret as _;
            let text = |entry: &Entry| entry.token().map(|token| token.expose_secret().to_owned());
            text(stored) == text(owed)
        }
    };
    match stored.age().cmp(&owed.age()) {
        std::cmp::Ordering::Less => Settled::Write,
        std::cmp::Ordering::Equal if is_same => Settled::Done,
        std::cmp::Ordering::Equal => match (&stored.state, &owed.state) {
            // Written again meanwhile, with the same credential.
            (State::Asking { .. } | State::Ready { .. }, State::Refused { .. }) => Settled::Write,
            _ => Settled::Overtaken,
        },
        std::cmp::Ordering::Greater => Settled::Overtaken,
    }
}

/// The time within a day of UTC, as in `12:00:03`.
fn time_of_day(at: Timestamp) -> String {
    let seconds = at.unix_seconds().rem_euclid(24 * 60 * 60);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}")
}
