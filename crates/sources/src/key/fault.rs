//! [`Fault`]: why a key can't be read.

use biped_core::Error;

/// Why a key can't be read: what is wrong, and what to do about it.
pub(super) struct Fault(pub(super) &'static str, pub(super) &'static str);

impl Fault {
    /// The error about the key that the configuration calls `name`.
    pub(super) fn into_error(self, name: &str) -> Error {
        Error::secret(format!("{name}: {}", self.0)).with_remedy(self.1)
    }
}
