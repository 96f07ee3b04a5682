//! [`ProofOptions`]: how proofs are made, apart from the credentials.

use biped_core::SecretRef;
use url::Url;

use super::basic_encoding::BasicEncoding;
use crate::certificate::CertificateHeader;
use biped_sources::Algorithm;

/// How a provider's proofs are made. Each method uses those that concern it.
#[derive(Clone, Default)]
pub(crate) struct ProofOptions {
    pub(crate) basic_encoding: BasicEncoding,
    /// Signs assertions. Default: one that fits the key and that the server lists.
    pub(crate) alg: Option<Algorithm>,
    /// The name of the key in assertions.
    pub(crate) kid: Option<String>,
    /// The audience of assertions, or a word for it.
    pub(crate) assertion_audience: Option<String>,
    /// The `typ` of assertions.
    pub(crate) assertion_typ: Option<String>,
    pub(crate) key_password: Option<SecretRef>,
    /// The certificate of the key that signs assertions, and how their headers name it.
    pub(crate) assertion_certificate: Option<(SecretRef, Vec<CertificateHeader>)>,
}

impl ProofOptions {
    /// Returns the `aud` of assertions. By default it is the issuer, which is the same for all endpoints
    /// of a server, and which no other server accepts.
    pub(crate) fn audience(
        &self,
        issuer: Option<&str>,
        token_endpoint: &Url,
        endpoint: &Url,
    ) -> String {
        match self.assertion_audience.as_deref() {
            None | Some("issuer") => issuer.map_or_else(|| token_endpoint.to_string(), Into::into),
            Some("token_endpoint") => token_endpoint.to_string(),
            Some("endpoint") => endpoint.to_string(),
            Some(other) => other.to_owned(),
        }
    }
}
