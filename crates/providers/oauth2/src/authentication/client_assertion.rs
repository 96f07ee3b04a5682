//! `client_assertion`: an assertion that another party makes (RFC 7521 §4.2).

use biped_config::{Field, FieldType};
use biped_core::{Error, async_trait};
use biped_sources::{Asking, ExternalToken};

use super::{
    assertion,
    context::{MethodConfig, ProofContext},
    method::{ClientAuthentication, Method, MethodKind},
    options::ProofOptions,
    proof::ClientProof,
};
use crate::presented::Presented;

const KEY: &str = "client_assertion";

pub(super) const KIND: MethodKind = MethodKind {
    name: KEY,
    credentials: &[KEY],
    fields: &[
        Field::new(KEY, FieldType::TokenSource).about(
            "Where the assertion is found that says who the client is (RFC 7521 §4.2): a file, a \
             variable, a command, or { github = … }, { gcp = … }, { azure = … }, { provider = … }, \
             { url = … }, { sign = … }.",
        ),
        Field::new("client_assertion_type", FieldType::Text).about(
            "The type of client_assertion, whole or without its prefix \
             urn:ietf:params:oauth:client-assertion-type:; default: jwt-bearer.",
        ),
        assertion::AUDIENCE,
    ],
    from_config,
};

fn from_config(
    given: &MethodConfig<'_>,
    options: &mut ProofOptions,
) -> Option<ClientAuthentication> {
    let config = given.config;
    let kind = config.string("client_assertion_type");
    options.assertion_audience = config.string("assertion_audience");
    if config.value(KEY).is_none() {
        if kind.is_some() {
            let message = "client_assertion_type is set, but client_assertion is not";
            drop(config.invalid("client_assertion_type", message));
        }
        return None;
    }
    let others = ["client_secret", "key", "certificate_key", "credentials"];
    if given.chosen.is_none()
        && let Some(other) = others.iter().find(|other| config.value(other).is_some())
    {
        let message = format!(
            "client_assertion and {other} are both set; remove one of the two, or choose with \
             client_authentication"
        );
        drop(config.invalid(KEY, message));
    }
    let token = ExternalToken::from_config(config, KEY)?;
    Some(ClientAuthentication::new(Given::new(token, kind)))
}

impl ClientAuthentication {
    /// `client_assertion`: an assertion that another party makes (RFC 7521 §4.2). The server's list of
    /// methods is not consulted, because it has no name for it.
    #[must_use]
    pub fn client_assertion(assertion: ExternalToken) -> Self {
        Self::new(Given::new(assertion, None))
    }

    /// The same with an assertion of this type, whole or without its prefix
    /// `urn:ietf:params:oauth:client-assertion-type:`.
    #[must_use]
    pub fn client_assertion_of_type(assertion: ExternalToken, kind: impl Into<String>) -> Self {
        Self::new(Given::new(assertion, Some(kind.into())))
    }
}

struct Given {
    token: ExternalToken,
    /// The whole type.
    kind: String,
}

impl Given {
    fn new(token: ExternalToken, kind: Option<String>) -> Self {
        let kind = kind.unwrap_or_else(|| token.assertion_type().into());
        let kind = match kind.contains(':') {
            true => kind,
            false => format!("urn:ietf:params:oauth:client-assertion-type:{kind}"),
        };
        Self { token, kind }
    }
}

#[async_trait]
impl Method for Given {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn token(&self) -> Option<(&ExternalToken, &str)> {
        Some((&self.token, &self.kind))
    }

    async fn prove(&self, proof: &mut ClientProof, cx: &ProofContext<'_>) -> Result<(), Error> {
        let audience = assertion::audience(cx);
        let client_id = Some(proof.client_id.as_str()).filter(|id| !id.is_empty());
        let asking = Asking {
            audience: Some(&audience),
            token_endpoint: Some(cx.token_endpoint),
            client_id,
            ..Asking::new(cx.fetch)
        };
        let presented = Presented::read(&self.token, &asking).await?;
        proof.presented = Some((self.kind.clone(), presented));
        proof.advice =
            "check client_id, and that the server trusts the issuer, the subject and the \
                        audience of client_assertion"
                .into();
        Ok(())
    }
}
