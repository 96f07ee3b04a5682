//! [`Entry`]: what a durable store has of an account.

use std::borrow::Cow;

use biped_core::{ExposeSecret, IdentityKey, SecretString, Timestamp, VendorError};
use zeroize::Zeroizing;

/// What a durable store has of an account.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) state: State,
    /// When the state began.
    pub(crate) since: Timestamp,
    /// How often the account was seeded or forgotten.
    pub(crate) epoch: u64,
    /// How often the vendor replaced the credential since then.
    pub(crate) rotations: u64,
    /// The key of the digests.
    salt: IdentityKey,
    /// Digests of all seeds that were ever taken.
    seeds: Vec<[u8; 32]>,
}

/// What can be done with an account.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// The credential may be sent. `unanswered` is when it was first sent without an answer, where the
    /// vendor has said nothing of it since.
    Ready {
        token: SecretString,
        unanswered: Option<Timestamp>,
    },
    /// A process sends the credential, or did so and has ended. `unanswered` is when it was first sent
    /// without an answer.
    Asking {
        token: SecretString,
        who: String,
        unanswered: Option<Timestamp>,
    },
    /// The vendor refused the credential. `unanswered` is when it was sent before, without an answer.
    Refused {
        words: VendorError,
        unanswered: Option<Timestamp>,
    },
    /// The credential was removed.
    Forgotten,
}

/// The seed was taken before.
#[derive(Debug)]
pub(crate) struct TakenBefore;

impl Entry {
    /// An account that has no credential yet.
    pub(crate) fn new(salt: IdentityKey, now: Timestamp) -> Self {
        Self {
            state: State::Forgotten,
            since: now,
            epoch: 0,
            rotations: 0,
            salt,
            seeds: Vec::new(),
        }
    }

    /// Whether this seed was taken before.
    pub(crate) fn has_taken(&self, seed: &SecretString) -> bool {
        self.seeds.contains(&self.salt.digest(seed.expose_secret()))
    }

    /// The account with a new first credential.
    pub(crate) fn seeded(
        mut self,
        seed: &SecretString,
        now: Timestamp,
    ) -> Result<Self, TakenBefore> {
        if self.has_taken(seed) {
            return Err(TakenBefore);
        }
        self.seeds.push(self.salt.digest(seed.expose_secret()));
        self.epoch += 1;
        self.rotations = 0;
        Ok(self.with(State::ready(seed.clone()), now))
    }

    /// The account without a credential.
    pub(crate) fn forgotten(mut self, now: Timestamp) -> Self {
        self.epoch += 1;
        self.rotations = 0;
        self.with(State::Forgotten, now)
    }

    /// The account with the credential that replaces the present one.
    pub(crate) fn rotated(mut self, token: SecretString, now: Timestamp) -> Self {
        self.rotations += 1;
        self.with(State::ready(token), now)
    }

    /// The account in another state.
    pub(crate) fn with(mut self, state: State, now: Timestamp) -> Self {
        self.state = state;
        self.since = now;
        self
    }

    /// The credential that may be sent.
    pub(crate) fn token(&self) -> Option<&SecretString> {
        match &self.state {
            State::Ready { token, .. } | State::Asking { token, .. } => Some(token),
            State::Refused { .. } | State::Forgotten => None,
        }
    }

    /// When the credential was first sent without an answer.
    pub(crate) fn unanswered(&self) -> Option<Timestamp> {
        match &self.state {
            State::Ready { unanswered, .. }
            | State::Asking { unanswered, .. }
            | State::Refused { unanswered, .. } => *unanswered,
            State::Forgotten => None,
        }
    }

    /// Tells credentials of the account apart: a greater one is later.
    pub(crate) fn age(&self) -> (u64, u64) {
        (self.epoch, self.rotations)
    }
}

/// How an entry is written down.
#[derive(serde::Serialize, serde::Deserialize)]
struct Written<'a> {
    v: u32,
    state: Cow<'a, str>,
    #[serde(borrow)]
    token: Cow<'a, str>,
    since: i64,
    epoch: u64,
    rotations: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    who: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unanswered: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<VendorError>,
    salt: [u8; 32],
    seeds: Vec<[u8; 32]>,
}

const FORMAT: u32 = 1;
const READY: &str = "ready";
const ASKING: &str = "asking";
const REFUSED: &str = "refused";
const FORGOTTEN: &str = "forgotten";

impl State {
    /// A credential that was not sent without an answer.
    pub(crate) fn ready(token: SecretString) -> Self {
        Self::Ready {
            token,
            unanswered: None,
        }
    }

    /// The state's name, as people see it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ready { .. } => READY,
            Self::Asking { .. } => ASKING,
            Self::Refused { .. } => REFUSED,
            Self::Forgotten => FORGOTTEN,
        }
    }
}

impl Entry {
    /// The entry as bytes for a store, credential included.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let (who, words) = match &self.state {
            State::Asking { who, .. } => (Some(who.clone()), None),
            State::Refused { words, .. } => (None, Some(words.clone())),
            State::Ready { .. } | State::Forgotten => (None, None),
        };
        let token = self.token().map(ExposeSecret::expose_secret);
        let written = Written {
            v: FORMAT,
            state: self.state.name().into(),
            token: token.unwrap_or_default().into(),
            since: self.since.unix_millis(),
            epoch: self.epoch,
            rotations: self.rotations,
            who,
            unanswered: self.unanswered().map(Timestamp::unix_millis),
            words,
            salt: *self.salt.as_bytes(),
            seeds: self.seeds.clone(),
        };
        // Room for all of it at once: a buffer that grows leaves copies behind.
        let room = 2048 + 2 * written.token.len() + 160 * written.seeds.len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        if serde_json::to_writer(&mut *bytes, &written).is_err() {
            bytes.clear();
        }
        bytes
    }

    /// An entry from a store's bytes. `None` if they are of another version or not an entry.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let written: Written<'_> = serde_json::from_slice(bytes).ok()?;
        if written.v != FORMAT {
            return None;
        }
        let unanswered = written.unanswered.map(Timestamp::from_unix_millis);
        let token = || match &*written.token {
            "" => None,
            text => Some(SecretString::from(text)),
        };
        let state = match &*written.state {
            READY => State::Ready {
                token: token()?,
                unanswered,
            },
            ASKING => State::Asking {
                token: token()?,
                who: written.who?,
                unanswered,
            },
            REFUSED => State::Refused {
                words: written.words?,
                unanswered,
            },
            FORGOTTEN => State::Forgotten,
            _ => return None,
        };
        Some(Self {
            state,
            since: Timestamp::from_unix_millis(written.since),
            epoch: written.epoch,
            rotations: written.rotations,
            salt: IdentityKey::from_bytes(written.salt),
            seeds: written.seeds,
        })
    }
}
