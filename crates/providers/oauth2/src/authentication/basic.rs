//! `client_secret_basic`: identifier and secret in the `Authorization` header (RFC 6749 §2.3.1).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use biped_config::{Field, FieldType};
use biped_core::{Error, ExposeSecret, SecretRef, async_trait, wire::percent_encoded};
use http::HeaderValue;
use oauth2::AuthType;

use super::{
    basic_encoding::BasicEncoding,
    context::{MethodConfig, ProofContext},
    method::{CLIENT_SECRET, ClientAuthentication, Method, MethodKind},
    options::ProofOptions,
    proof::ClientProof,
};

pub(super) const KIND: MethodKind = MethodKind {
    name: "client_secret_basic",
    credentials: CLIENT_SECRET,
    fields: &[
        Field::new("basic_encoding", FieldType::Choice(BasicEncoding::NAMES)).about(
            "How client_secret_basic encodes identifier and secret: percent (default), form (as RFC \
             6749 says), raw.",
        ),
    ],
    from_config,
};

fn from_config(
    given: &MethodConfig<'_>,
    options: &mut ProofOptions,
) -> Option<ClientAuthentication> {
    options.basic_encoding = given.parsed("basic_encoding").unwrap_or_default();
    given
        .client_secret()
        .map(ClientAuthentication::client_secret_basic)
}

impl ClientAuthentication {
    /// `client_secret_basic`: identifier and secret in the `Authorization` header (RFC 6749
    /// §2.3.1), encoded as [`BasicEncoding`] says.
    #[must_use]
    pub fn client_secret_basic(secret: SecretRef) -> Self {
        Self::new(Basic { secret })
    }
}

struct Basic {
    secret: SecretRef,
}

#[async_trait]
impl Method for Basic {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn credentials(&self) -> Vec<(&'static str, &SecretRef)> {
        vec![("client_secret", &self.secret)]
    }

    async fn prove(&self, proof: &mut ClientProof, cx: &ProofContext<'_>) -> Result<(), Error> {
        let secret = cx.fetch.secret(&self.secret).await?;
        let encoding = cx.options.basic_encoding;
        let (id, plain) = (proof.client_id.as_str(), secret.expose_secret());
        proof.authorization = authorization(id, plain, encoding)?;
        proof.advice = advice(id, plain, encoding).into();
        proof.secret = Some((AuthType::BasicAuth, secret));
        Ok(())
    }
}

/// Returns the header, unless the `oauth2` crate's own is right.
fn authorization(
    id: &str,
    secret: &str,
    encoding: BasicEncoding,
) -> Result<Option<HeaderValue>, Error> {
    let pair = match encoding {
        // This is how the crate encodes it.
        BasicEncoding::Form => return Ok(None),
        BasicEncoding::Percent => format!("{}:{}", percent_encoded(id), percent_encoded(secret)),
        BasicEncoding::Raw if id.contains(':') => {
            return Err(Error::configuration(
                "basic_encoding is raw, but client_id contains a colon",
            )
            .with_remedy("set basic_encoding = \"percent\", or use client_secret_post"));
        }
        BasicEncoding::Raw => format!("{id}:{secret}"),
    };
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| Error::internal("the Basic header is not a valid header value"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn advice(id: &str, secret: &str, encoding: BasicEncoding) -> String {
    let check = "check client_id, client_secret and client_authentication";
    let is_plain = |text: &str| percent_encoded(text) == text;
    if is_plain(id) && is_plain(secret) {
        return check.into();
    }
    let other = match encoding {
        BasicEncoding::Raw => "percent",
        _ => "raw",
    };
    format!(
        "{check}; servers read some of their characters differently: try basic_encoding = \
         \"{other}\" or client_secret_post"
    )
}
