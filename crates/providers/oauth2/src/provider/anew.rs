//! Whether a provider keeps anything between its fetches.

use super::OAuth2;
use crate::grant::Grant;

impl OAuth2 {
    /// Whether nothing is kept from fetch to fetch, and calls of the API need nothing of this provider.
    /// What is read of an issuer or an API is kept, and so are the keys and nonces of DPoP and which
    /// presented tokens the server accepted.
    pub(super) fn keeps_nothing(&self) -> bool {
        let mut methods = self.authentication.iter().chain(&self.offered);
        self.token_endpoint.is_some()
            && self.api.is_none()
            && !self.dpop
            && self.dpop_key.is_none()
            && self.certificate.is_none()
            && self.inputs.is_empty()
            && self.attach_secrets.is_empty()
            && matches!(self.grant, Grant::ClientCredentials)
            && methods.all(|method| method.token().is_none())
    }
}
