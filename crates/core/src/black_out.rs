//! Keeping what a fetch used out of what its error says, should the vendor's words repeat it.

use http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};

use crate::{Error, wire};

impl Error {
    /// The same error without this text, in whatever shape it was sent.
    pub(crate) fn without_any_shape(self, text: &str) -> Self {
        wire::shapes(text)
            .iter()
            .fold(self, |error, shape| error.without(shape.expose_secret()))
    }
}

/// What stands behind the scheme in `Authorization`.
pub(crate) fn credentials(headers: &HeaderMap) -> Option<SecretString> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(text.split_whitespace().last()?.into())
}
