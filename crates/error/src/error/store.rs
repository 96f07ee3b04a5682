//! [`StoreError`]: what a store reports.

use std::{borrow::Cow, fmt};

use biped_redact::one_line;

use super::Error;

/// A token store does not work. The call continues without it.
#[derive(Clone, Debug)]
pub struct StoreError(Cow<'static, str>);

impl StoreError {
    /// The message says what failed and must not contain a secret; redact a store's URL, which may.
    /// Control characters are escaped.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(one_line(message.into()))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::store(error.0.clone()).with_source(error)
    }
}
