//! [`CachedToken`]: a token as a key keeps it.

use std::{fmt, ops::Deref, time::Duration};

use biped_core::{ClientIdentity, Generation, Now, SecretRef, SecretString, Token};

use super::schedule::{Deadline, Schedule};

/// A token, with what the manager knows of it beside the vendor's answer.
///
/// It dereferences to the [`Token`].
// The order of the fields keeps the schedule, which every caller reads, off the cache line of the
// reference count in front of the token, which owners of the token write.
#[repr(C)]
pub struct CachedToken {
    token: Token,
    generation: Generation,
    credentials: Option<Box<CallCredentials>>,
    pub(crate) schedule: Schedule,
}

/// What goes along with a token on API calls: secrets to sign with, and the certificate it is
/// bound to, as they were when the token was taken in.
#[derive(Clone, Default)]
pub(crate) struct CallCredentials {
    pub(crate) secrets: Box<[(SecretRef, SecretString)]>,
    pub(crate) identity: Option<ClientIdentity>,
}

impl CachedToken {
    pub(crate) fn new(
        token: Token,
        generation: Generation,
        credentials: CallCredentials,
        schedule: Schedule,
    ) -> Self {
        let has_some = !credentials.secrets.is_empty() || credentials.identity.is_some();
        Self {
            token,
            generation,
            credentials: has_some.then(|| Box::new(credentials)),
            schedule,
        }
    }

    /// Returns the generation, which tells the newer of two tokens of a key.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Returns the certificate that API calls with this token must present, if it was asked for
    /// with one (RFC 8705 §3).
    #[must_use]
    pub fn client_identity(&self) -> Option<&ClientIdentity> {
        self.credentials.as_ref()?.identity.as_ref()
    }

    /// The secrets that the provider signs API calls with.
    pub(crate) fn call_secrets(&self) -> &[(SecretRef, SecretString)] {
        self.credentials
            .as_ref()
            .map_or(&[], |credentials| &credentials.secrets)
    }

    /// The same token under another generation, and never fresh: it serves while a replacement is
    /// being fetched.
    pub(crate) fn returned(&self, mark: Generation) -> Self {
        Self {
            token: self.token.clone(),
            generation: mark,
            credentials: self.credentials.clone(),
            schedule: Schedule {
                refresh: Deadline::PAST,
                ..self.schedule
            },
        }
    }

    /// Whether it lasts this long from now on.
    pub(crate) fn lasts(&self, min_ttl: Duration, now: &Now) -> bool {
        self.left(now).is_none_or(|left| left >= min_ttl)
    }

    /// How much of its life is left; `None` where it is good until it is rejected.
    pub(crate) fn left(&self, now: &Now) -> Option<Duration> {
        let expiry = self.expires_at()?;
        // On both clocks: the wall clock may have been set back.
        let Deadline { mono, wall } = self.schedule.unusable;
        let by_mono = Duration::from_nanos(mono)
            .saturating_sub(now.mono)
            .saturating_add(expiry.since(wall));
        Some(expiry.since(now.wall).min(by_mono))
    }
}

impl Deref for CachedToken {
    type Target = Token;

    #[inline]
    fn deref(&self) -> &Token {
        &self.token
    }
}

impl fmt::Debug for CachedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedToken")
            .field("token", &self.token)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
