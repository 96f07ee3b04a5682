//! [`Error::redacting`]: an error without the secrets of a fetch, which the vendor may have repeated.

use std::error::Error as StdError;

use biped_redact::Redactor;

use crate::{
    Error,
    error::{Cause, chain},
};

impl Error {
    /// Returns the same error as it may be shown: these secrets are redacted in all its texts, and then
    /// the vendor's texts are cut and escaped.
    #[must_use]
    pub fn redacting(self, secrets: &Redactor) -> Self {
        if self.is_cause() {
            return self.as_told().clone().redacting(secrets).as_cause();
        }
        // All causes, since a changed text may no longer tell what it told before.
        let source = self
            .whole_source()
            .and_then(|source| redacted(source, secrets));
        let error = self.map_words(
            |own| secrets.redacted(own).into_owned(),
            |vendors| secrets.redacted_to_the_end(vendors).into_owned(),
        );
        match source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

/// The texts of an error and of all its sources, if one of them holds a secret.
fn redacted(error: &(dyn StdError + 'static), secrets: &Redactor) -> Option<Cause> {
    let shows = |text: &str| secrets.redacted(text) != text;
    chain(error)
        .any(|error| shows(&error.to_string()) || shows(&format!("{error:?}")))
        .then_some(())?;
    let texts: Vec<_> = chain(error)
        .map(|error| secrets.redacted(&error.to_string()).into_owned())
        .collect();
    Cause::of(texts.into_iter())
}
