//! `client_secret_post`: identifier and secret in the body (RFC 6749 §2.3.1).

use biped_core::{Error, SecretRef, async_trait};
use oauth2::AuthType;

use super::{
    context::{MethodConfig, ProofContext},
    method::{CLIENT_SECRET, ClientAuthentication, Method, MethodKind},
    options::ProofOptions,
    proof::ClientProof,
};

pub(super) const KIND: MethodKind = MethodKind {
    name: "client_secret_post",
    credentials: CLIENT_SECRET,
    fields: &[],
    from_config,
};

fn from_config(given: &MethodConfig<'_>, _: &mut ProofOptions) -> Option<ClientAuthentication> {
    given
        .client_secret()
        .map(ClientAuthentication::client_secret_post)
}

impl ClientAuthentication {
    /// `client_secret_post`: identifier and secret in the body (RFC 6749 §2.3.1).
    #[must_use]
    pub fn client_secret_post(secret: SecretRef) -> Self {
        Self::new(Post { secret })
    }
}

struct Post {
    secret: SecretRef,
}

#[async_trait]
impl Method for Post {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn credentials(&self) -> Vec<(&'static str, &SecretRef)> {
        vec![("client_secret", &self.secret)]
    }

    async fn prove(&self, proof: &mut ClientProof, cx: &ProofContext<'_>) -> Result<(), Error> {
        let secret = cx.fetch.secret(&self.secret).await?;
        proof.secret = Some((AuthType::RequestBody, secret));
        proof.advice = "check client_id and client_authentication".into();
        Ok(())
    }
}
