//! The causes of an error: each is told once, and not if the error has told it already.

use std::{error::Error as StdError, fmt, iter};

use biped_redact::escaped;

/// The causes of an error that say more than what was said before them.
#[derive(Clone)]
pub(super) enum Causes {
    /// The error's own causes, from the one with this number on.
    From(usize),
    /// Some of them, in words only.
    InWords(Option<Cause>),
}

/// A cause in words.
#[derive(Clone)]
pub(crate) struct Cause {
    message: String,
    source: Option<Box<Self>>,
}

/// An error and its causes.
pub(crate) fn chain<'e>(
    first: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    iter::successors(Some(first), |&error| error.source())
}

impl Causes {
    /// The causes of an error whose text is `told`.
    pub(super) fn of(first: &(dyn StdError + 'static), told: String) -> Self {
        let mut told = vec![told];
        let mut kept = Vec::new();
        for cause in chain(first) {
            let text = cause.to_string();
            let is_told =
                |before: &String| before.contains(&*text) || before.contains(&*escaped(&text));
            let is_new = !told.iter().any(is_told);
            kept.push(is_new.then(|| text.clone()));
            told.push(text);
        }
        let skipped = kept.iter().take_while(|cause| cause.is_none()).count();
        match kept.iter().skip(skipped).all(Option::is_some) {
            true => Self::From(skipped),
            false => Self::InWords(Cause::of(kept.into_iter().flatten())),
        }
    }

    /// The first of them.
    pub(super) fn first<'e>(
        &'e self,
        first: &'e (dyn StdError + 'static),
    ) -> Option<&'e (dyn StdError + 'static)> {
        match self {
            Self::From(number) => chain(first).nth(*number),
            Self::InWords(cause) => cause
                .as_ref()
                .map(|cause| cause as &(dyn StdError + 'static)),
        }
    }
}

impl Cause {
    /// A chain of these texts.
    pub(crate) fn of(texts: impl DoubleEndedIterator<Item = String>) -> Option<Self> {
        texts.rev().fold(None, |source, message| {
            let source = source.map(Box::new);
            Some(Self { message, source })
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_deref()?)
    }
}
