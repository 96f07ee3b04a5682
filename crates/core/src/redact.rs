//! [`Error::redacting`]: an error without the secrets of a fetch, which the vendor may have repeated.

use std::{error::Error as StdError, fmt};

use biped_redact::Redactor;

use crate::Error;

impl Error {
    /// The same error as it may be shown: these secrets are redacted in all its texts, and then the
    /// vendor's texts are cut and escaped.
    #[must_use]
    pub fn redacting(self, secrets: &Redactor) -> Self {
        let source = StdError::source(&self).and_then(|source| Redacted::of(source, secrets));
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

/// An underlying error, some of whose texts held a secret.
#[derive(Debug)]
struct Redacted {
    message: String,
    source: Option<Box<Self>>,
}

impl Redacted {
    /// The texts of an error and of all its sources, if one of them holds a secret.
    fn of(error: &(dyn StdError + 'static), secrets: &Redactor) -> Option<Self> {
        let mut all = vec![error];
        let mut next = error.source();
        while let Some(error) = next {
            all.push(error);
            next = error.source();
        }
        let shows = |text: &str| secrets.redacted(text) != text;
        all.iter()
            .any(|error| shows(&error.to_string()) || shows(&format!("{error:?}")))
            .then_some(())?;
        all.into_iter().rev().fold(None, |source, error| {
            Some(Self {
                message: secrets.redacted(&error.to_string()).into_owned(),
                source: source.map(Box::new),
            })
        })
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Redacted {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_deref()?)
    }
}
