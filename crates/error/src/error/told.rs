//! An error as the cause of one that tells its text.

use super::Error;

/// For code that wraps errors.
impl Error {
    /// Returns the same error as the cause of one that shows its text already: so that a chain of
    /// errors contains it and says nothing twice, it shows its kind only.
    #[must_use]
    pub fn as_cause(&self) -> Self {
        let told = self.as_told().clone();
        let mut cause = told.clone();
        cause.inner().told = Some(told);
        cause
    }

    pub(crate) fn is_cause(&self) -> bool {
        self.0.told.is_some()
    }

    /// Returns the error with its text.
    #[must_use]
    pub fn as_told(&self) -> &Self {
        self.0.told.as_ref().unwrap_or(self)
    }
}
