//! [`VendorError`]: a refusal in the vendor's own words.

use std::fmt;

use biped_redact::{vendor_text, whole_vendor_text};

/// A refusal in the vendor's own words (RFC 6749 §5.2, or the vendor's form of it).
///
/// The texts are kept whole until the fetch ends, so that every secret in them is found. Then the
/// `TokenManager` redacts them, cuts each to 1 KiB and escapes control characters.
/// [`Display`](fmt::Display) always cuts and escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct VendorError {
    /// The HTTP status of the response.
    pub status: Option<u16>,
    /// The error code: `invalid_client`, `401021`, `JWT_EXPIRED`.
    pub code: Option<String>,
    /// A second code, if the vendor has one.
    pub reason: Option<String>,
    /// The message for people.
    pub message: Option<String>,
    /// The address of the vendor's explanation (`error_uri`).
    pub uri: Option<String>,
}

impl VendorError {
    /// Creates an error response with this HTTP status, and no texts yet.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// Sets the error code.
    #[must_use]
    pub fn code(mut self, code: impl AsRef<str>) -> Self {
        self.code = whole_vendor_text(code.as_ref());
        self
    }

    /// Sets the second code.
    #[must_use]
    pub fn reason(mut self, reason: impl AsRef<str>) -> Self {
        self.reason = whole_vendor_text(reason.as_ref());
        self
    }

    /// Sets the message for people.
    #[must_use]
    pub fn message(mut self, message: impl AsRef<str>) -> Self {
        self.message = whole_vendor_text(message.as_ref());
        self
    }

    /// Sets the address of the vendor's explanation.
    #[must_use]
    pub fn uri(mut self, uri: impl AsRef<str>) -> Self {
        self.uri = whole_vendor_text(uri.as_ref());
        self
    }

    /// Returns the same error with its texts cut and escaped. Texts that were read from a store are
    /// neither.
    #[must_use]
    pub fn cut_and_escaped(self) -> Self {
        self.map_words(str::to_owned)
    }

    /// The same error with other texts, cut and escaped.
    pub(super) fn map_words(self, change: impl Fn(&str) -> String) -> Self {
        let change = |text: Option<String>| vendor_text(&change(&text?));
        Self {
            status: self.status,
            code: change(self.code),
            reason: change(self.reason),
            message: change(self.message),
            uri: change(self.uri),
        }
    }

    /// Returns whether the vendor gave a code, a reason or a message.
    #[must_use]
    pub fn has_words(&self) -> bool {
        self.code.is_some() || self.reason.is_some() || self.message.is_some()
    }

    /// Returns whether the code or the reason is `code`.
    #[must_use]
    pub fn names(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code) || self.reason.as_deref() == Some(code)
    }
}

impl fmt::Display for VendorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(status) = self.status {
            write!(f, "HTTP {status}")?;
            separator = " ";
        }
        let shown = |text: &Option<String>| vendor_text(text.as_deref()?);
        for word in [&self.code, &self.reason].into_iter().filter_map(shown) {
            write!(f, "{separator}{word}")?;
            separator = " ";
        }
        if let Some(message) = shown(&self.message) {
            write!(f, "{separator}\"{message}\"")?;
        }
        Ok(())
    }
}
