//! [`SecretUse`]: that a secret was read. [`name_credentials`]: the ones that a vendor refused.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::{
    SecretRef, SourceContext,
    oddity::{self, Oddity},
};
use biped_error::{Error, ErrorKind};

use crate::identity::{IdentityKey, Mark, of_this_process};

/// A record that a fetch read a secret: where it was, marks that tell whether it changed, and what is
/// odd about its value. It doesn't contain the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUse {
    secret: SecretRef,
    candidate: usize,
    mark: Mark,
    /// The same in all processes that share the store.
    store_mark: Option<Mark>,
    oddities: Vec<Oddity>,
}

impl SecretUse {
    /// Creates a record that the place numbered `candidate` of `secret` held `value`. `store` is the
    /// key of the token store, if it has one.
    #[must_use]
    pub fn new(
        secret: &SecretRef,
        candidate: usize,
        value: &SecretString,
        store: Option<&IdentityKey>,
    ) -> Self {
        let value = value.expose_secret();
        Self {
            secret: secret.clone(),
            candidate,
            mark: of_this_process().digest(value),
            store_mark: store.map(|key| key.digest(value)),
            oddities: oddity::of(value),
        }
    }

    /// Returns the reference that was read.
    #[must_use]
    pub fn secret(&self) -> &SecretRef {
        &self.secret
    }

    /// Returns the number of the place that was read.
    #[must_use]
    pub fn candidate(&self) -> usize {
        self.candidate
    }

    /// Returns the digest of the value under the key of the token store.
    #[must_use]
    pub fn store_mark(&self) -> Option<Mark> {
        self.store_mark
    }

    /// Returns whether the secret is another one now. A secret that can't be read counts as
    /// unchanged.
    pub async fn has_changed(&self, cx: &SourceContext<'_>) -> bool {
        let value = self.secret.resolve_in(self.candidate, cx).await;
        value.is_ok_and(|value| of_this_process().digest(value.expose_secret()) != self.mark)
    }
}

impl fmt::Debug for SecretUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretUse")
            .field("secret", &self.secret)
            .field("candidate", &self.candidate)
            .finish_non_exhaustive()
    }
}

impl SecretUse {
    /// Where the secret was read: the reference, and where that is configured.
    fn place(&self) -> Option<String> {
        let sources = &self.secret.sources;
        let at = self.candidate.min(sources.len().checked_sub(1)?);
        let source = sources.get(at)?;
        let configured_at = self.secret.configured_at.as_deref();
        Some(match (source.inline(), configured_at) {
            (None, Some(place)) => format!("{source} in {place}"),
            (None, None) => source.to_string(),
            (Some(_), Some(place)) if sources.len() > 1 => {
                format!("member {} of {place}", at + 1)
            }
            (Some(_), Some(place)) => place.to_owned(),
            (Some(_), None) => return None,
        })
    }
}

/// Adds to an error where the credentials are from that the vendor refused, what is odd about them, and
/// which others could not be read. An error of another kind stays as it is. No value is told.
///
/// For code that runs providers.
#[must_use]
pub fn name_credentials(error: Error, used: &[SecretUse], unread: &[Error]) -> Error {
    if error.kind() != ErrorKind::Refused {
        return error;
    }
    let mut places: Vec<String> = Vec::new();
    let mut odd: Vec<String> = unread.iter().map(|error| error.message().into()).collect();
    let mut remedy = None;
    for used in used {
        let place = used.place();
        for oddity in &used.oddities {
            let place = place.as_deref().unwrap_or("a credential");
            let told = format!("the value of {place} {oddity}");
            if !odd.contains(&told) {
                odd.push(told);
            }
            remedy.get_or_insert(oddity.remedy());
        }
        places.extend(place.filter(|place| !places.contains(place)));
    }
    let places = match error.refuses_client() {
        true => places.join("; "),
        false => String::new(),
    };
    error.with_credentials(places, odd.join(", and "), remedy)
}
