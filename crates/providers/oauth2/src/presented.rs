//! [`Presented`]: a token of another party as one attempt presents it. [`Memory`]: which of them the
//! server accepted, and which it takes no more.

use std::sync::{Mutex, MutexGuard, PoisonError};

use biped_core::{Error, ExposeSecret, FetchContext, Input, SecretString};
use biped_sources::{Asking, ExternalToken, sha256};

/// A token of another party as one attempt presents it.
pub(crate) struct Presented {
    pub(crate) text: SecretString,
    name: String,
    input: Option<Input>,
    /// Whether it was signed here, and so is new.
    pub(crate) signed: bool,
}

impl Presented {
    pub(crate) async fn read(token: &ExternalToken, asking: &Asking<'_>) -> Result<Self, Error> {
        let given = token.read(asking).await?;
        Ok(Self {
            text: given.text,
            name: token.name(asking.fetch.candidate()),
            input: token.input().cloned(),
            signed: token.signs(),
        })
    }

    /// Whether its source may give the same text again.
    fn may_repeat(&self) -> bool {
        !self.signed && self.input.is_none()
    }

    /// Notes that the server refused it: another provider fetches a new one, and of a list of secrets
    /// the next is tried.
    pub(crate) fn refused(&self, cx: &FetchContext<'_>) {
        match &self.input {
            Some(input) => cx.refuse_input(input),
            None => cx.try_next_secret(),
        }
    }
}

/// Which tokens of other parties the server accepted last, and which it takes no more, by their
/// digests.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    accepted: Option<String>,
    spent: Option<String>,
}

impl Memory {
    /// Refuses to send a text again that the server takes no more.
    pub(crate) fn check(&self, presented: &Presented) -> Result<(), Error> {
        let is_spent = presented.may_repeat() && {
            let digest = sha256(presented.text.expose_secret());
            self.lock().spent.as_ref() == Some(&digest)
        };
        if !is_spent {
            return Ok(());
        }
        let name = &presented.name;
        let message = format!("the server takes each assertion once, and {name} has no other yet");
        Err(Error::secret(message)
            .transient(true)
            .with_token_source(name.as_str()))
    }

    pub(crate) fn accepted(&self, presented: &Presented) {
        if presented.may_repeat() {
            self.lock().accepted = Some(sha256(presented.text.expose_secret()));
        }
    }

    /// Returns the error of a refusal: of a text that was accepted before, it says nothing about the
    /// client.
    pub(crate) fn refused(&self, presented: &Presented, error: Error) -> Error {
        if !presented.may_repeat() {
            return error;
        }
        let digest = sha256(presented.text.expose_secret());
        let mut known = self.lock();
        if known.accepted.as_ref() != Some(&digest) {
            return error;
        }
        known.spent = Some(digest);
        error
            .refusing_client(false)
            .with_message_beside_vendor(
                "the server refused an assertion that it had accepted before",
            )
            .with_remedy(
                "the server takes each assertion once; the next attempt waits for another one",
            )
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
