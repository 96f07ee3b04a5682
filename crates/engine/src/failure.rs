//! What follows from a failure.

use biped_core::{Error, SecretUse};

/// Why asking brought nothing.
pub(crate) struct Setback {
    pub(crate) error: Error,
    /// What was read for it.
    pub(crate) secrets: Vec<SecretUse>,
    /// Something went out to the vendor.
    pub(crate) sent: bool,
}

impl From<Error> for Setback {
    fn from(error: Error) -> Self {
        Self {
            error,
            secrets: Vec::new(),
            sent: true,
        }
    }
}
