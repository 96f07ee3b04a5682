//! [`Presented`]: a token of another party as one attempt presents it. [`Memory`]: which of them the
//! server accepted, and which it takes no more.

use std::sync::{Mutex, MutexGuard, PoisonError};

use biped_core::{Error, ExposeSecret, FetchContext, SecretString};
use biped_sources::{Asking, ExternalToken, sha256};

/// A token of another party as one attempt presents it.
pub(crate) struct Presented {
    pub(crate) text: SecretString,
    name: String,
    token: ExternalToken,
}

impl Presented {
    pub(crate) async fn read(token: &ExternalToken, asking: &Asking<'_>) -> Result<Self, Error> {
        let given = token.read(asking).await?;
        Ok(Self {
            text: given.text,
            name: token.name(asking.fetch.candidate()),
            token: token.clone(),
        })
    }

    /// Reads it again for another request of the same attempt if it was signed here: a server takes a
    /// signed one once.
    pub(crate) async fn renew(&mut self, asking: &Asking<'_>) -> Result<(), Error> {
        if self.token.signs() {
            *self = Self::read(&self.token, asking).await?;
        }
        Ok(())
    }

    /// Whether its source may give the same text again.
    fn may_repeat(&self) -> bool {
        !self.token.signs() && self.token.input().is_none()
    }

    /// Notes that the server refused it: another provider fetches a new one, and of a list of secrets
    /// the next is tried.
    pub(crate) fn refused(&self, cx: &FetchContext<'_>) {
        match self.token.input() {
            Some(input) => cx.refuse_input(input),
            None => cx.try_next_secret(),
        }
    }
}

/// Which tokens of other parties the server accepted last, and which it takes no more, by their
/// digests: those that say who the client is apart from those of the grant, since a server refuses
/// either.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) client: Seen,
    pub(crate) grant: Seen,
}

/// What the server said of tokens that are sent together. A refusal does not say which of them it is
/// about, so what counts is all of them: with a new text of any it is another attempt.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    accepted: Option<String>,
    spent: Option<String>,
}

impl Seen {
    /// Refuses to send texts again that the server takes no more.
    pub(crate) fn check(&self, together: &[&Presented]) -> Result<(), Error> {
        let Some(digest) = digest(together) else {
            return Ok(());
        };
        if self.lock().spent.as_ref() != Some(&digest) {
            return Ok(());
        }
        let names: Vec<_> = together.iter().map(|it| it.name.as_str()).collect();
        let verb = if names.len() == 1 { "has" } else { "have" };
        let message = format!(
            "the server takes each assertion once, and {} {verb} no other yet",
            names.join(" and ")
        );
        Err(Error::secret(message)
            .transient(true)
            .with_token_source(names.join(", ")))
    }

    pub(crate) fn accepted(&self, together: &[&Presented]) {
        if let Some(digest) = digest(together) {
            self.lock().accepted = Some(digest);
        }
    }

    /// Returns the error of a refusal: of texts that were accepted before, it says nothing about the
    /// client.
    pub(crate) fn refused(&self, together: &[&Presented], error: Error) -> Error {
        let Some(digest) = digest(together) else {
            return error;
        };
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

/// The digest of texts in the order of their roles. `None` if the next attempt has another text in any
/// case, or if there is none.
fn digest(together: &[&Presented]) -> Option<String> {
    let may_repeat = !together.is_empty() && together.iter().all(|it| it.may_repeat());
    // Of digests, each as long as any other, so that no two lists are the same text.
    let each = together.iter().map(|it| sha256(it.text.expose_secret()));
    may_repeat.then(|| sha256(&each.collect::<String>()))
}
