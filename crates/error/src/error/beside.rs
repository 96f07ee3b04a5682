//! What an [`Error`] tells beside the vendor's words.

use std::borrow::Cow;

use super::Error;

impl Error {
    /// Replaces the message by one that says more than the vendor's words do, so that it is told beside
    /// them where only they would be told: an answer that was lost, or the chain of providers.
    #[must_use]
    pub fn with_message_beside_vendor(self, message: impl Into<Cow<'static, str>>) -> Self {
        let mut error = self.with_message(message);
        error.inner().beside_vendor = true;
        error
    }

    /// Returns whether the message says more about a refusal than the vendor's words do
    /// ([`with_message_beside_vendor`](Self::with_message_beside_vendor)).
    #[must_use]
    pub fn says_more_than_vendor(&self) -> bool {
        self.0.beside_vendor
    }
}
