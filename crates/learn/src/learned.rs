//! What goes in and what comes out.

use std::fmt;

/// What a vendor's documentation prints. It may contain secrets, so `Debug` shows none of it.
pub struct Material<'a> {
    /// The vendor's name, such as `acme`.
    pub name: &'a str,
    /// The curl command of the token request.
    pub curl: &'a str,
    /// The response to it: a body, or headers and a body as `curl -i` prints them.
    pub response: Option<&'a str>,
    /// A refusal, in the same form.
    pub error: Option<&'a str>,
    /// The curl command of an API call.
    pub api: Option<&'a str>,
    /// The address of the documentation.
    pub docs: Option<&'a str>,
    /// The day on which the documentation was read, such as `2026-11-22`.
    pub checked: Option<&'a str>,
}

impl<'a> Material<'a> {
    /// A token request of this vendor.
    #[must_use]
    pub fn new(name: &'a str, curl: &'a str) -> Self {
        Self {
            name,
            curl,
            response: None,
            error: None,
            api: None,
            docs: None,
            checked: None,
        }
    }
}

impl fmt::Debug for Material<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").finish_non_exhaustive()
    }
}

/// What a text contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Written {
    /// A vendor file.
    File,
    /// A table `[providers.NAME]` of kind `oauth2`, for `biped.toml`.
    Entry,
}

/// The result of [`learn`](crate::learn).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Learned {
    /// The text to write.
    pub text: String,
    /// What the text is.
    pub written: Written,
    /// What was assumed, and what a person has to look at: a sentence each.
    pub notes: Vec<String>,
}

impl Learned {
    pub(crate) fn new(text: String, written: Written, mut notes: Vec<String>) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        notes.retain(|note| seen.insert(note.clone()));
        Self {
            text,
            written,
            notes,
        }
    }
}

/// Why nothing can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: String,
    remedy: String,
}

impl Refusal {
    pub(crate) fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }

    /// For what a vendor file can't express.
    pub(crate) fn beyond(reason: impl Into<String>) -> Self {
        Self::new(
            reason,
            "implement the trait biped_core::Provider for this vendor",
        )
    }

    /// For a signature over the request.
    pub(crate) fn signed(place: &str) -> Self {
        Self::beyond(format!(
            "{place} signs the request, which a vendor file can't express"
        ))
    }

    /// Returns what is wrong.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns what to do.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

impl std::error::Error for Refusal {}
