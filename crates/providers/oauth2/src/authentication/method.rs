//! [`ClientAuthentication`], and what a client authentication method is made of.

use std::{fmt, sync::Arc};

use biped_config::{Field, ProviderConfig};
use biped_core::{Error, IdentityRef, SecretRef, async_trait};
use biped_sources::{ExternalToken, KeyRef};

use super::{
    context::{MethodConfig, ProofContext},
    options::ProofOptions,
    proof::ClientProof,
};

/// A client authentication method with the client's credentials for it.
///
/// ```
/// use biped_core::SecretRef;
/// use biped_oauth2::{ClientAuthentication, OAuth2};
///
/// let secret = SecretRef::env("CRM_SECRET");
/// let provider = OAuth2::discovered("https://login.example", SecretRef::inline("client-7"))
///     .client_authentication(ClientAuthentication::client_secret_post(secret));
/// # let _ = provider;
/// ```
#[derive(Clone)]
pub struct ClientAuthentication(Arc<dyn Method>);

impl ClientAuthentication {
    pub(super) fn new(method: impl Method + 'static) -> Self {
        Self(Arc::new(method))
    }

    /// Returns the method's IANA name, such as `private_key_jwt`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Returns the certificate that the client presents in TLS, if the method is about one.
    pub(crate) fn client_identity(&self) -> Option<&IdentityRef> {
        self.0.client_identity()
    }

    /// Returns the secrets that it proves the client's identity with, each by its key in the
    /// configuration.
    pub(crate) fn credentials(&self) -> Vec<(&'static str, &SecretRef)> {
        self.0.credentials()
    }

    /// Returns the key that signs elsewhere.
    pub(crate) fn key_elsewhere(&self) -> Option<&KeyRef> {
        self.0.key_elsewhere()
    }

    /// Returns the assertion of another party that it presents, and its whole type.
    pub(crate) fn token(&self) -> Option<(&ExternalToken, &str)> {
        self.0.token()
    }

    /// Reads the credentials, and returns the proof that is made of them.
    pub(crate) async fn prove(
        &self,
        client_id: String,
        cx: &ProofContext<'_>,
    ) -> Result<ClientProof, Error> {
        let mut proof = ClientProof::of(client_id);
        self.0.prove(&mut proof, cx).await?;
        Ok(proof)
    }
}

impl fmt::Display for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientAuthentication")
            .field(&self.name())
            .finish()
    }
}

/// A method with its credentials.
#[async_trait]
pub(super) trait Method: Send + Sync {
    /// Returns the IANA name.
    fn name(&self) -> &'static str;

    /// Reads the credentials once for a fetch, and puts what proves the client's identity into
    /// `proof`.
    async fn prove(&self, proof: &mut ClientProof, cx: &ProofContext<'_>) -> Result<(), Error>;

    /// Returns the secrets that it proves the client's identity with, each by its key in the
    /// configuration. A certificate is none of them.
    fn credentials(&self) -> Vec<(&'static str, &SecretRef)> {
        Vec::new()
    }

    /// Returns the key that signs elsewhere.
    fn key_elsewhere(&self) -> Option<&KeyRef> {
        None
    }

    /// Returns the assertion of another party that it presents, and its whole type.
    fn token(&self) -> Option<(&ExternalToken, &str)> {
        None
    }

    /// Returns the certificate that the client presents in TLS, if the method is about one.
    fn client_identity(&self) -> Option<&IdentityRef> {
        None
    }
}

/// The keys that hold a client secret.
pub(super) const CLIENT_SECRET: &[&str] = &["client_secret", "credentials"];

/// A method as the configuration knows it: a row of `METHODS`.
pub(crate) struct MethodKind {
    /// The IANA name, which `client_authentication` takes.
    pub(super) name: &'static str,
    /// The keys that hold its credentials. If none of them is set, the first is missing.
    pub(super) credentials: &'static [&'static str],
    /// The keys that it declares, in addition to those that every provider has. Methods may share a key.
    pub(crate) fields: &'static [Field],
    /// Reads its keys: the options, and the method if its credentials are configured.
    pub(super) from_config:
        fn(&MethodConfig<'_>, &mut ProofOptions) -> Option<ClientAuthentication>,
}

impl MethodKind {
    /// Notes that the credentials of the chosen method are missing. What is wrong with those that
    /// are set has been noted already.
    pub(super) fn note_missing(&self, config: &ProviderConfig) {
        let is_set = |key: &&str| config.value(key).is_some();
        if let Some(key) = self.credentials.first()
            && !self.credentials.iter().any(is_set)
        {
            drop(config.invalid(key, format!("missing; {} needs it", self.name)));
        }
    }
}
