//! What backs a vendor's file. The build script, which indexes the files, compiles this module too.

/// What backs a vendor's request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Backing {
    /// A token was fetched from the vendor.
    Live,
    /// Pages or code of the vendor's own.
    Own,
    /// Two sources that are independent of each other.
    Others,
    /// A source is missing.
    Unverified,
}

impl Backing {
    /// Judges by whether a token was fetched, which facts the vendor's own sources say, and which no
    /// source says.
    pub(crate) fn of(
        is_live: bool,
        is_own: impl Fn(&str) -> bool,
        is_unverified: impl Fn(&str) -> bool,
    ) -> Self {
        const FACTS: [&str; 2] = ["request", "answer"];
        if is_live {
            Self::Live
        } else if FACTS.into_iter().any(is_unverified) {
            Self::Unverified
        } else if FACTS.into_iter().all(is_own) {
            Self::Own
        } else {
            Self::Others
        }
    }

    /// Returns the word for it: `live`, `own`, `others` or `unverified`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Own => "own",
            Self::Others => "others",
            Self::Unverified => "unverified",
        }
    }
}
