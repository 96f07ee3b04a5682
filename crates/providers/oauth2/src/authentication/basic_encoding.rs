//! [`BasicEncoding`]: how servers read a Basic header.

use std::str::FromStr;

use biped_core::Error;

/// How the client identifier and the client secret are encoded in a Basic header.
///
/// RFC 6749 §2.3.1 encodes them as in a form. Servers differ; most of them accept the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BasicEncoding {
    /// Percent-encoded, except letters, digits and `-._~`; a space is `%20`.
    #[default]
    Percent,
    /// As in a form: a space is `+`, and `~` is escaped.
    Form,
    /// Unchanged. The client identifier must not contain a colon.
    Raw,
}

impl BasicEncoding {
    pub(super) const NAMES: &[&str] = &["percent", "form", "raw"];
}

impl FromStr for BasicEncoding {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "percent" => Ok(Self::Percent),
            "form" => Ok(Self::Form),
            "raw" => Ok(Self::Raw),
            _ => Err(Error::configuration(format!(
                "unknown encoding; expected one of {}",
                Self::NAMES.join(", ")
            ))),
        }
    }
}
