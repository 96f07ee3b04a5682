//! `none`: the identifier alone (RFC 6749 §2.1, public clients).

use biped_core::{Error, async_trait};

use super::{
    context::ProofContext,
    method::{ClientAuthentication, Method, MethodKind},
    proof::ClientProof,
};

pub(super) const KIND: MethodKind = MethodKind {
    name: "none",
    credentials: &[],
    fields: &[],
    from_config: |_, _| Some(ClientAuthentication::none()),
};

impl ClientAuthentication {
    /// `none`: the identifier alone (RFC 6749 §2.1, public clients).
    #[must_use]
    pub fn none() -> Self {
        Self::new(Unproven)
    }
}

struct Unproven;

#[async_trait]
impl Method for Unproven {
    fn name(&self) -> &'static str {
        KIND.name
    }

    async fn prove(&self, proof: &mut ClientProof, _: &ProofContext<'_>) -> Result<(), Error> {
        proof.advice =
            "check client_id, and whether the server requires a client_secret or a key".into();
        Ok(())
    }
}
