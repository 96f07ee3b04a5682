//! What people do with an account: look at its credential, seed it, remove it.

use std::{sync::Arc, time::Duration};

use biped_core::{Account, Error, Provider, SecretString, Timestamp};

use super::{
    entry::{Entry, State},
    refresh::account_key,
    turn::{contended, salt},
};
use crate::{engine::Engine, source::TokenSource};

/// How long a refresh that is under way is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the entry is read again because another process wrote it.
const READS: usize = 4;

/// The credential of an account, as a store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credential {
    /// What can be done with it.
    pub state: CredentialState,
    /// When the state began.
    pub since: Timestamp,
    /// How often the vendor replaced it since the account was seeded.
    pub rotations: u64,
}

/// What can be done with the credential of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialState {
    /// It may be sent.
    Ready,
    /// A process is sending it, or ended before it had an answer.
    Asking,
    /// The vendor refused it. It is never sent again.
    Refused,
}

impl CredentialState {
    /// Returns the state's name: `ready`, `asking`, `refused`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Asking => "asking",
            Self::Refused => "refused",
        }
    }
}

impl Engine {
    /// The entry of the provider's account, read without its lock. `None` without an account, too.
    async fn entry(&self, provider: &dyn Provider) -> Result<Option<Entry>, Error> {
        let Some(account) = provider.account() else {
            return Ok(None);
        };
        let cx = self.context(provider, 0, None);
        let key = account_key(account, &cx).await?;
        self.rotations.peek(&key, &*self.clock).await
    }

    /// Whether the account's credential is not refused any more, because the account was seeded anew. A
    /// store that can't tell doesn't say so.
    pub(crate) async fn may_send_credential(&self, provider: &dyn Provider) -> bool {
        let entry = self.entry(provider).await;
        entry.is_ok_and(|entry| entry.is_some_and(|it| it.token().is_some()))
    }
}

impl TokenSource {
    /// Returns the credential of the provider's account, if it changes with each use. `None` if the
    /// provider has no such account, or if the account was not seeded or was forgotten.
    ///
    /// # Errors
    /// [`Store`](biped_core::ErrorKind::Store) if the store can't tell, and
    /// [`Configuration`](biped_core::ErrorKind::Configuration) if there is none for credentials.
    pub async fn credential(&self) -> Result<Option<Credential>, Error> {
        let entry = self.engine.entry(&**self.provider()).await?;
        Ok(entry.and_then(|entry| {
            let state = match entry.state {
                State::Ready { .. } => CredentialState::Ready,
                State::Asking { .. } => CredentialState::Asking,
                State::Refused { .. } => CredentialState::Refused,
                State::Forgotten => return None,
            };
            Some(Credential {
                state,
                since: entry.since,
                rotations: entry.rotations,
            })
        }))
    }

    /// Stores the first credential of the provider's account. One that can still be sent is replaced
    /// only if `replace` is set.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) if the account has a credential that can
    /// still be sent and `replace` is not set, if this one was stored before, and if the provider has no
    /// account. Otherwise as [`credential`](Self::credential).
    pub async fn seed(&self, seed: SecretString, replace: bool) -> Result<(), Error> {
        self.change(|entry, now| {
            if entry.token().is_some() && !replace {
                let error = Error::configuration("the account already has a refresh token");
                return Err(
                    error.with_remedy("pass --replace, or replace = true in code, to overwrite it")
                );
            }
            entry.seeded(&seed, now).map(Some).map_err(|_| {
                let error = "this refresh token was stored before, and is not sent again";
                Error::configuration(error).with_remedy("get a new refresh token from the vendor")
            })
        })
        .await
    }

    /// Removes the credential of the provider's account. What it was seeded with is not taken again.
    ///
    /// # Errors
    /// As [`seed`](Self::seed).
    pub async fn forget_credential(&self) -> Result<(), Error> {
        self.change(|entry, now| {
            let is_there = !matches!(entry.state, State::Forgotten);
            Ok(is_there.then(|| entry.forgotten(now)))
        })
        .await
    }

    fn account(&self) -> Result<&Account, Error> {
        self.provider().account().ok_or_else(|| {
            let error = "the provider has no credential that changes with each use";
            Error::configuration(error).with_remedy("set grant = \"refresh_token\"")
        })
    }

    /// Changes the entry in a turn of its own.
    async fn change(
        &self,
        change: impl Fn(Entry, Timestamp) -> Result<Option<Entry>, Error>,
    ) -> Result<(), Error> {
        let engine = Arc::clone(&self.engine);
        let cx = engine.context(&**self.provider(), 0, None);
        let key = account_key(self.account()?, &cx).await?;
        let turn = engine.rotations.turn(key, PATIENCE, &*engine.clock).await?;
        let mut changed = Err(contended());
        for _ in 0..READS {
            let step = async {
                let (revision, stored) = turn.load().await?;
                let now = engine.clock.now().wall;
                let entry = match stored {
                    Some(entry) => entry,
                    None => Entry::new(salt()?, now),
                };
                match change(entry, now)? {
                    Some(entry) => Ok::<_, Error>(turn.swap(revision, &entry).await?),
                    None => Ok(true),
                }
            };
            match step.await {
                Ok(false) => {}
                Ok(true) => {
                    changed = Ok(());
                    break;
                }
                Err(error) => {
                    changed = Err(error);
                    break;
                }
            }
        }
        turn.end().await;
        changed.map_err(|error| error.with_provider(self.provider().id().shared_name()))
    }
}
