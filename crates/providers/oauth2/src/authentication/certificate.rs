//! `tls_client_auth` and `self_signed_tls_client_auth`: a client certificate (RFC 8705 §2).

use biped_config::{Field, FieldType};
use biped_core::{Error, IdentityRef, SecretRef, async_trait};

use super::{
    context::{MethodConfig, ProofContext},
    key_jwt::names_certificate,
    method::{ClientAuthentication, Method, MethodKind},
    proof::ClientProof,
};

const TLS: &str = "tls_client_auth";
const SELF_SIGNED_TLS: &str = "self_signed_tls_client_auth";

/// A certificate that the server's CA issued (RFC 8705 §2.1).
pub(super) const CA_ISSUED: MethodKind = MethodKind {
    name: TLS,
    credentials: CREDENTIALS,
    fields: FIELDS,
    from_config: |given, _| identity(given).map(|identity| of(TLS, identity)),
};

/// A certificate that the server knows (RFC 8705 §2.2).
pub(super) const SELF_SIGNED: MethodKind = MethodKind {
    name: SELF_SIGNED_TLS,
    credentials: CREDENTIALS,
    fields: FIELDS,
    from_config: |given, _| identity(given).map(|identity| of(SELF_SIGNED_TLS, identity)),
};

const CREDENTIALS: &[&str] = &["certificate", "certificate_key", "certificate_header"];

const FIELDS: &[Field] = &[
    Field::new("certificate", FieldType::Secret).about(
        "The client certificate and its chain, in PEM: with certificate_key for mutual TLS (RFC \
         8705), with key for assertions that name it in their header.",
    ),
    Field::new("certificate_key", FieldType::Secret)
        .about("The client certificate's private key, in PEM, for mutual TLS."),
];

/// Reads the certificate that the client presents.
fn identity(given: &MethodConfig<'_>) -> Option<IdentityRef> {
    let config = given.config;
    match (
        config.secret("certificate"),
        config.secret("certificate_key"),
    ) {
        (Some(certificate), Some(key)) => return Some(IdentityRef { certificate, key }),
        (None, Some(_)) => drop(config.missing("certificate")),
        (Some(_), None) if !names_certificate(given) => drop(config.missing("certificate_key")),
        _ => {}
    }
    None
}

impl ClientAuthentication {
    /// `tls_client_auth`: a client certificate that the server's CA issued, and its private key,
    /// both in PEM (RFC 8705 §2.1).
    #[must_use]
    pub fn tls_client_auth(certificate: SecretRef, key: SecretRef) -> Self {
        of(TLS, IdentityRef { certificate, key })
    }

    /// `self_signed_tls_client_auth`: a client certificate that the server knows, and its private
    /// key, both in PEM (RFC 8705 §2.2).
    #[must_use]
    pub fn self_signed_tls_client_auth(certificate: SecretRef, key: SecretRef) -> Self {
        of(SELF_SIGNED_TLS, IdentityRef { certificate, key })
    }
}

fn of(name: &'static str, identity: IdentityRef) -> ClientAuthentication {
    ClientAuthentication::new(Certificate { name, identity })
}

struct Certificate {
    name: &'static str,
    identity: IdentityRef,
}

#[async_trait]
impl Method for Certificate {
    fn name(&self) -> &'static str {
        self.name
    }

    /// The proof is in the TLS connection.
    async fn prove(&self, proof: &mut ClientProof, _: &ProofContext<'_>) -> Result<(), Error> {
        proof.advice = "check client_id, and that the server knows the certificate".into();
        Ok(())
    }

    fn client_identity(&self) -> Option<&IdentityRef> {
        Some(&self.identity)
    }
}
