//! How an [`OAuth2`] client proves who it is, for people.

use std::time::Duration;

use biped_core::{Error, ExposeSecret, FetchContext, Proof, Timestamp, wire};
use biped_sources::{Asking, Claims, ExternalToken};
use url::Url;

use super::OAuth2;
use crate::{
    authentication::{self, ClientAuthentication},
    grant::Grant,
    metadata::Metadata,
};

/// The method of a client whose assertion another party makes.
const CLIENT_ASSERTION: &str = "client_assertion";

/// How much clocks may differ before a person is told.
const SKEW: Duration = Duration::from_secs(5);

/// The audience that Entra ID wants in assertions of other parties.
const ENTRA: &str = "api://AzureADTokenExchange";

impl OAuth2 {
    /// Returns the method that is used, and what it presents. Nothing is sent to the server.
    pub(super) async fn show_proof(&self, cx: &FetchContext<'_>) -> Result<Proof, Error> {
        let mut proof = self.show_client(cx).await?;
        proof.warnings.extend(self.api_warning());
        Ok(proof)
    }

    /// Returns what the operator should know about the API that names the issuer.
    fn api_warning(&self) -> Option<String> {
        let api = self.api.as_ref()?;
        let known = self.memory.resource.last_seen()?;
        if known.url.is_none() {
            let api = api.text();
            return Some(format!(
                "the API has no metadata that names its authorization server (RFC 9728), so tokens are \
                 requested for {api}"
            ));
        }
        let issuer = wire::vendor_text(&known.issuer)?;
        let is_open = self.issuer.is_none();
        is_open
            .then(|| format!("only the API names the issuer; set issuer = \"{issuer}\" to pin it"))
    }

    /// Returns the method that the proof names, if it is known.
    pub(super) fn shown_method(&self) -> Option<&'static str> {
        let metadata = self.memory.metadata.last_seen();
        let (method, is_known) = self.method(metadata.as_deref());
        match &method {
            Some(method) if method.token().is_some() => Some(CLIENT_ASSERTION),
            _ if !self.grant.tokens().is_empty() => Some(self.grant.name()),
            Some(method) if is_known => Some(method.name()),
            _ => None,
        }
    }

    /// Returns the method of client authentication, and whether it is certain: which of several is used
    /// depends on the server's list.
    fn method(&self, metadata: Option<&Metadata>) -> (Option<ClientAuthentication>, bool) {
        let listed = metadata.and_then(|known| known.authentication_methods.as_deref());
        let is_known = (self.issuer.is_none() && self.api.is_none())
            || listed.is_some()
            || self.offered.len() < 2;
        let method = match &self.authentication {
            Some(method) => Some(method.clone()),
            None if self.offered.is_empty() && self.grant.may_be_anonymous() => None,
            None => authentication::choose(&self.offered, listed).ok(),
        };
        (method, is_known)
    }

    async fn show_client(&self, cx: &FetchContext<'_>) -> Result<Proof, Error> {
        let metadata = self.memory.metadata.last_seen();
        let discovered = metadata.as_ref().map(|known| &known.token_endpoint);
        let endpoint = self.token_endpoint.as_ref().or(discovered);
        let (method, is_known) = self.method(metadata.as_deref());
        let assertion = method.as_ref().and_then(ClientAuthentication::token);
        if let Some((token, _)) = assertion {
            return self.present(CLIENT_ASSERTION, token, endpoint, cx).await;
        }
        if let Some((_, token)) = self.grant.tokens().first() {
            return self.present(self.grant.name(), token, endpoint, cx).await;
        }
        let Some(method) = method else {
            return Ok(Proof::default());
        };
        let places = method.credentials();
        let places: Vec<_> = places.iter().map(|(_, secret)| secret.places()).collect();
        let certificate = method.client_identity();
        let certificate = certificate.map(|it| it.certificate.places());
        let source = Some(places.join(", ")).filter(|places| !places.is_empty());
        let source = source.or(method.key_elsewhere().map(biped_sources::KeyRef::name));
        let mut proof = Proof::new(method.name(), source.or(certificate));
        if !is_known {
            proof.method = None;
        } else if method.name().ends_with("_jwt") {
            // It is signed at each attempt.
            let client_id = match &self.client_id {
                Some(client_id) => Some(cx.identifier(client_id).await?),
                None => None,
            };
            proof.issuer.clone_from(&client_id);
            proof.subject = client_id;
            proof.audience = self.known_audience(endpoint).into_iter().collect();
        }
        Ok(proof)
    }

    /// Asks the source of a token, and returns what the token says.
    async fn present(
        &self,
        method: &'static str,
        token: &ExternalToken,
        endpoint: Option<&Url>,
        cx: &FetchContext<'_>,
    ) -> Result<Proof, Error> {
        let client_id = match &self.client_id {
            Some(client_id) => Some(cx.identifier(client_id).await?),
            None => None,
        };
        let audience = self.known_audience(endpoint);
        let asking = Asking {
            audience: audience.as_deref(),
            token_endpoint: endpoint,
            client_id: client_id.as_deref(),
            ..Asking::new(cx)
        };
        let given = token.read(&asking).await?;
        let mut proof = Proof::new(method, Some(token.name(cx.candidate())));
        let Some(claims) = Claims::of(given.text.expose_secret()) else {
            return Ok(proof);
        };
        let fits = |known: &String| {
            let known = known.as_str();
            let own = [self.issuer.as_deref(), endpoint.map(Url::as_str)];
            let asked = [token.audience(), audience.as_deref(), Some(ENTRA)];
            own.contains(&Some(known)) || asked.contains(&Some(known))
        };
        let is_for_server =
            !matches!(self.grant, Grant::TokenExchange(_)) || method != self.grant.name();
        if is_for_server && !claims.audience.iter().any(fits) {
            let warning = "the audience of the assertion is neither the issuer, nor the token \
                           endpoint, nor what its source was asked for";
            proof.warnings.push(warning.into());
        }
        let is_ahead =
            |time: &Option<Timestamp>| time.is_some_and(|time| time > cx.now().after(SKEW));
        for (name, time) in [("nbf", claims.not_before), ("iat", claims.issued_at)] {
            if is_ahead(&time) {
                proof.warnings.push(format!(
                    "the assertion's {name} is in the future; check the clock of this machine, and \
                     who issued it"
                ));
            }
        }
        proof.issuer = claims.issuer;
        proof.subject = claims.subject;
        proof.audience = claims.audience;
        proof.expires_at = claims.expires_at;
        Ok(proof)
    }

    /// Returns the audience of assertions, as far as the endpoints are known.
    fn known_audience(&self, endpoint: Option<&Url>) -> Option<String> {
        let metadata = self.memory.metadata.last_seen();
        let issuer = self.issuer_or(metadata.as_deref());
        match endpoint {
            Some(endpoint) => Some(self.options.audience(issuer, endpoint, endpoint)),
            None => match self.options.assertion_audience.as_deref() {
                None | Some("issuer") => issuer.map(Into::into),
                Some("token_endpoint" | "endpoint") => None,
                Some(other) => Some(other.into()),
            },
        }
    }
}
