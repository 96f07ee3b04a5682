//! Which issuers an [`OAuth2`] client's credentials may go to.

use biped_core::Error;

use super::OAuth2;
use crate::{authentication::ClientAuthentication, grant::Grant};

impl OAuth2 {
    /// Refuses to let an API choose who receives the credentials, except those that only the
    /// chosen one can use: assertions that are made out to the issuer, and certificates.
    pub(crate) fn check_issuer(&self) -> Result<(), Error> {
        if self.api.is_none() || self.issuer.is_some() {
            return Ok(());
        }
        let Some(what) = self.needs_issuer() else {
            return Ok(());
        };
        Err(Error::configuration(format!(
            "missing; {what} may only go to an issuer that the configuration names"
        ))
        .with_remedy("set issuer; biped init --api prints the one that the API names"))
    }

    /// Returns what may only be sent to a configured issuer.
    fn needs_issuer(&self) -> Option<&'static str> {
        let is_default = matches!(
            self.options.assertion_audience.as_deref(),
            None | Some("issuer")
        );
        let is_harmless = |method: &ClientAuthentication| match method.name() {
            "private_key_jwt" => is_default,
            name => name.ends_with("tls_client_auth"),
        };
        let methods = self.methods();
        if let Some(method) = methods.iter().find(|method| !is_harmless(method)) {
            return Some(match method.name() {
                "private_key_jwt" => "assertions with another assertion_audience",
                "client_assertion" => "client_assertion",
                "none" => "client_id",
                _ => "client_secret",
            });
        }
        match &self.grant {
            Grant::ClientCredentials => {}
            Grant::JwtBearer(_) => return Some("assertion"),
            Grant::TokenExchange(_) => return Some("subject_token"),
            Grant::FixedRefreshToken(_) | Grant::RefreshToken(_) => return Some("refresh_token"),
            Grant::Password { .. } => return Some("password"),
        }
        if methods.is_empty() {
            return Some("client_id");
        }
        if self.token_endpoint.is_some() {
            return Some("what token_endpoint receives");
        }
        // Values of both may be confidential, such as the key of a gateway.
        let (mut headers, parameters) = (self.headers.iter(), &self.parameters);
        match (headers.next(), parameters.is_empty()) {
            (Some(_), _) => Some("headers"),
            (None, false) => Some("parameters"),
            (None, true) => None,
        }
    }
}
