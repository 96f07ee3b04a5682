//! [`Platform`]: the provider, and its kind.

use std::sync::Arc;

use biped_config::{Field, FieldType, ProviderConfig, ProviderKind};
use biped_core::{
    Error, ExposeSecret, FetchContext, Input, ParamValue, Proof, Provider, ProviderId,
    SecretString, Token, TokenRequest, async_trait,
};
use biped_sources::{Asking, Claims, ExternalToken, GOOGLE_TOKEN_ENDPOINT, Wanted};
use url::Url;

const KIND: &str = "platform";
const AUDIENCE: &str = "audience";
const RESOURCE: &str = "resource";

/// A source of access tokens.
///
/// ```
/// use biped_core::{Provider as _, SecretRef};
/// use biped_platform::{ExternalToken, Platform};
///
/// let token = ExternalToken::from(SecretRef::file("/run/agent/token"));
/// assert_eq!(Platform::new(token).id().kind(), "platform");
/// ```
#[derive(Clone, Debug)]
pub struct Platform {
    id: ProviderId,
    token: ExternalToken,
    inputs: Vec<Input>,
}

impl Platform {
    /// A provider of the tokens of this source.
    #[must_use]
    pub fn new(token: ExternalToken) -> Self {
        let id = ProviderId::new(KIND, token.name(0), "");
        Self {
            id: token.identify(id, "token"),
            inputs: token.input().cloned().into_iter().collect(),
            token,
        }
    }

    /// Sets the name in errors, logs and metrics. Default: `platform`.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.id = self.id.named(name);
        self
    }
}

/// Returns the kind `platform`, which is registered where configuration is read.
///
/// | key | |
/// | --- | --- |
/// | `token` | required: where the token is found |
/// | `scope`, `audience`, `resource` | in place of what the source is configured with |
#[must_use]
pub fn kind() -> ProviderKind {
    ProviderKind::new(KIND, from_config)
        .about("Tokens that a platform gives to what runs on it")
        .field(
            Field::new("token", FieldType::TokenSource)
                .required()
                .about(
                    "Where the token is found: { azure = … }, { gcp = … }, { github = … }, { url = … \
                     }, { provider = … }, a file, a variable or a command.",
                ),
        )
        .field(
            Field::new(AUDIENCE, FieldType::Text)
                .per_request()
                .about("The audience of the token, in place of the source's."),
        )
        .field(
            Field::new(RESOURCE, FieldType::Text)
                .per_request()
                .about("The resource that the token is for, in place of the source's."),
        )
}

fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    let token = ExternalToken::from_config(config, "token")
        .ok_or_else(|| Error::configuration("token: expected a token source"))?;
    if token.lacks_audience() && config.value(AUDIENCE).is_none() {
        return Err(config.invalid("token", "the source names no audience; set audience in it (aud in sign), or audience of the provider"));
    }
    if token.lacks_issuer() {
        return Err(config.invalid("token", "the assertion has no iss; set iss in sign"));
    }
    // A service account's assertion is for Google.
    let endpoint = Url::parse(GOOGLE_TOKEN_ENDPOINT).ok();
    if let Some(fault) = token.fault(endpoint.as_ref()) {
        return Err(config.invalid("token", fault.to_string()));
    }
    Ok(Arc::new(Platform::new(token).named(config.name())))
}

#[async_trait]
impl Provider for Platform {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let (text, expires_in) = self.read(request, cx).await?;
        let sent_at = cx.sent_at();
        let expiry = Claims::of(text.expose_secret()).and_then(|claims| claims.expires_at);
        if expiry.is_some_and(|expiry| expiry <= sent_at) {
            let name = self.token.name(cx.candidate());
            let error = Error::secret(format!("the token of {name} has expired"));
            return Err(error.transient(true).with_token_source(name));
        }
        let text = text.expose_secret();
        let built = Token::new(text, sent_at).expires_in(expires_in).build();
        built.map_err(|error| error.with_token_source(self.token.name(cx.candidate())))
    }

    async fn proof(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Proof, Error> {
        let (text, _) = self.read(request, cx).await?;
        let mut proof = Proof::new(KIND, Some(self.token.name(cx.candidate())));
        if let Some(claims) = Claims::of(text.expose_secret()) {
            proof.issuer = claims.issuer;
            proof.subject = claims.subject;
            proof.audience = claims.audience;
            proof.expires_at = claims.expires_at;
        }
        Ok(proof)
    }

    fn proof_method(&self) -> Option<&'static str> {
        Some(KIND)
    }
}

impl Platform {
    async fn read(
        &self,
        request: &TokenRequest,
        cx: &FetchContext<'_>,
    ) -> Result<(SecretString, Option<std::time::Duration>), Error> {
        let scope = request.joined_scopes(" ");
        let text = |name: &str| request.value(name).and_then(ParamValue::as_text);
        let asking = Asking {
            wanted: Wanted {
                audience: text(AUDIENCE),
                resource: text(RESOURCE),
                scope: scope.as_deref(),
            },
            ..Asking::new(cx)
        };
        let given = self.token.read(&asking).await?;
        Ok((given.text, given.expires_in))
    }
}
