//! `client_secret_jwt`: an assertion signed with the client secret (RFC 7523 §2.2).

use biped_core::{Error, ExposeSecret, SecretRef, async_trait};

use super::{
    assertion::{self, Assertion, Signer},
    context::{MethodConfig, ProofContext},
    method::{CLIENT_SECRET, ClientAuthentication, Method, MethodKind},
    options::ProofOptions,
    proof::ClientProof,
};

pub(super) const KIND: MethodKind = MethodKind {
    name: "client_secret_jwt",
    credentials: CLIENT_SECRET,
    fields: &[
        assertion::ALG,
        assertion::KID,
        assertion::AUDIENCE,
        assertion::TYP,
    ],
    from_config,
};

fn from_config(
    given: &MethodConfig<'_>,
    options: &mut ProofOptions,
) -> Option<ClientAuthentication> {
    assertion::read_options(given, options);
    given
        .client_secret()
        .map(ClientAuthentication::client_secret_jwt)
}

impl ClientAuthentication {
    /// `client_secret_jwt`: an assertion signed with the client secret (RFC 7523 §2.2).
    #[must_use]
    pub fn client_secret_jwt(secret: SecretRef) -> Self {
        Self::new(SecretJwt { secret })
    }
}

struct SecretJwt {
    secret: SecretRef,
}

#[async_trait]
impl Method for SecretJwt {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn credentials(&self) -> Vec<(&'static str, &SecretRef)> {
        vec![("client_secret", &self.secret)]
    }

    async fn prove(&self, proof: &mut ClientProof, cx: &ProofContext<'_>) -> Result<(), Error> {
        let secret = cx.fetch.secret(&self.secret).await?;
        let length = secret.expose_secret().len();
        let assertion = Assertion::new(Signer::Secret(secret), cx)?;
        let (alg, needed) = (assertion.alg(), assertion.alg().digest_length());
        proof.advice = if length < needed {
            format!(
                "{alg} needs a client_secret of at least {needed} bytes (RFC 7518 §3.2), and this \
                 one is shorter"
            )
            .into()
        } else {
            "check client_id, alg and assertion_audience".into()
        };
        proof.assertion = Some(assertion);
        Ok(())
    }
}
