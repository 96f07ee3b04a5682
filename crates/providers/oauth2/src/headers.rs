//! [`ExtraHeaders`]: headers beside those of the standard, such as the key of a gateway.

use biped_core::{Error, ExposeSecret, SecretRef, SecretString};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers that every request of one sort carries.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExtraHeaders(Vec<(HeaderName, SecretRef)>);

impl ExtraHeaders {
    /// Adds a header, or replaces the one of this name.
    pub(crate) fn set(&mut self, name: HeaderName, value: SecretRef) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&HeaderName, &SecretRef)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

/// Puts a header on a request, marked as sensitive.
pub(crate) fn put(
    headers: &mut HeaderMap,
    name: &HeaderName,
    value: &SecretString,
) -> Result<(), Error> {
    check_name(name)?;
    let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
        Error::configuration(format!("the value of the header {name} is not valid"))
            .with_remedy("remove line breaks and control characters from it")
    })?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// Refuses the headers that the provider or the HTTP client sets itself.
pub(crate) fn check_name(name: &HeaderName) -> Result<(), Error> {
    const RESERVED: [HeaderName; 7] = [
        header::AUTHORIZATION,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::HOST,
        header::TRANSFER_ENCODING,
        crate::dpop::PROOF,
    ];
    if RESERVED.contains(name) {
        return Err(Error::configuration(format!(
            "the header {name} can't be set, because the provider sets it"
        ))
        .with_remedy("use kind = \"dialect\" if the server expects another value"));
    }
    Ok(())
}
