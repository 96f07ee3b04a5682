//! `private_key_jwt`: an assertion signed with a private key (RFC 7523 §2.2).

use biped_config::{Field, FieldType, ProviderConfig};
use biped_core::{Error, SecretRef, async_trait};

use super::{
    assertion::{self, Assertion, Signer},
    context::{MethodConfig, ProofContext},
    method::{ClientAuthentication, Method, MethodKind},
    options::ProofOptions,
    proof::ClientProof,
};
use crate::certificate::{self, CertificateHeader};
use biped_sources::{AnyKey, KeyRef, KeySource};

pub(super) const KIND: MethodKind = MethodKind {
    name: "private_key_jwt",
    credentials: &["key"],
    fields: &[
        Field::new("key", FieldType::Key).about(
            "The private key of private_key_jwt: PEM (PKCS#8, PKCS#1, SEC1) or a JSON Web Key; or \
             who signs: { signer = [\"argv\", …], public = \"file:PATH\" }, { pkcs11 = \"pkcs11:…\" } or \
             { vault = \"NAME\" }.",
        ),
        Field::new("key_password", FieldType::Secret).about(
            "The password of an encrypted key (PKCS#8 with PBES2); each fetch decrypts the key \
             again.",
        ),
        assertion::ALG,
        assertion::KID,
        assertion::AUDIENCE,
        assertion::TYP,
        Field::new("certificate_header", FieldType::Texts).about(
            "How assertions name the key's certificate: x5t#S256 (default if certificate is set \
             without certificate_key), x5t, x5c, or several of these.",
        ),
    ],
    from_config,
};

fn from_config(
    given: &MethodConfig<'_>,
    options: &mut ProofOptions,
) -> Option<ClientAuthentication> {
    let config = given.config;
    let key = KeyRef::from_config(config, "key");
    options.key_password = KeyRef::password_from_config(config, key.as_ref());
    if options.key_password.is_some() && config.value("key").is_none() {
        drop(config.invalid("key_password", "key_password is set, but key is not"));
    }
    assertion::read_options(given, options);
    options.assertion_certificate = assertion_certificate(given);
    key.map(ClientAuthentication::signed_with)
}

/// Reads the certificate that assertions name, and how they name it.
fn assertion_certificate(given: &MethodConfig<'_>) -> Option<(SecretRef, Vec<CertificateHeader>)> {
    let config = given.config;
    let headers = headers(config);
    let Some(certificate) = config.secret("certificate") else {
        if headers.is_some() {
            drop(config.missing("certificate"));
        }
        return None;
    };
    if headers.is_some() && !signs(given) {
        let message = "certificate_header is for assertions, which key signs (private_key_jwt)";
        drop(config.invalid("certificate_header", message));
    }
    let headers = headers.or_else(|| {
        let default = signs(given) && config.secret("certificate_key").is_none();
        default.then(|| vec![CertificateHeader::X5tS256])
    })?;
    Some((certificate, headers))
}

/// Whether `certificate` is of use without `certificate_key`, because assertions name it.
pub(super) fn names_certificate(given: &MethodConfig<'_>) -> bool {
    signs(given) || headers(given.config).is_some()
}

/// Whether `key` may sign assertions.
fn signs(given: &MethodConfig<'_>) -> bool {
    given.config.value("key").is_some() && given.chosen.is_none_or(|name| name == KIND.name)
}

fn headers(config: &ProviderConfig) -> Option<Vec<CertificateHeader>> {
    let key = "certificate_header";
    let names = config.texts(key)?;
    let read: Option<Vec<CertificateHeader>> = names.iter().map(|name| name.parse().ok()).collect();
    let read = read.filter(|headers| !headers.is_empty());
    if read.is_none() {
        let all = CertificateHeader::NAMES.join(", ");
        drop(config.invalid(key, format!("expected one or several of {all}")));
    }
    read
}

impl ClientAuthentication {
    /// `private_key_jwt`: an assertion signed with this private key (RFC 7523 §2.2), which is PEM
    /// (PKCS#8, PKCS#1, SEC1) or a JSON Web Key.
    #[must_use]
    pub fn private_key_jwt(key: SecretRef) -> Self {
        Self::signed_with(key.into())
    }

    /// `private_key_jwt` with a private key that is elsewhere: `signer` signs.
    #[must_use]
    pub fn signer(signer: impl biped_sources::Signer) -> Self {
        Self::signed_with(KeyRef::signer(signer))
    }

    fn signed_with(key: KeyRef) -> Self {
        Self::new(KeyJwt { key })
    }
}

struct KeyJwt {
    key: KeyRef,
}

#[async_trait]
impl Method for KeyJwt {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn credentials(&self) -> Vec<(&'static str, &SecretRef)> {
        self.key
            .text()
            .map(|text| ("key", text))
            .into_iter()
            .collect()
    }

    fn key_elsewhere(&self) -> Option<&KeyRef> {
        self.key.text().is_none().then_some(&self.key)
    }

    async fn prove(&self, proof: &mut ClientProof, cx: &ProofContext<'_>) -> Result<(), Error> {
        let key = self.signing_key(cx).await?;
        let members = match &cx.options.assertion_certificate {
            Some((certificate, headers)) => {
                let pem = cx.fetch.secret(certificate).await?;
                certificate::members(&pem, &key, headers)?
            }
            None => Vec::new(),
        };
        let assertion = Assertion::new(Signer::Key(Box::new(key)), cx)?;
        proof.assertion = Some(assertion.with_certificate(members));
        proof.advice =
            "check client_id, alg and assertion_audience, and that the server knows the \
                        public half of key (by its kid, if it knows several keys)"
                .into();
        Ok(())
    }
}

impl KeyJwt {
    async fn signing_key(&self, cx: &ProofContext<'_>) -> Result<AnyKey, Error> {
        let password = match &cx.options.key_password {
            Some(password) => Some(cx.fetch.secret(password).await?),
            None => None,
        };
        let source = KeySource {
            name: "key",
            password: password.as_ref(),
            kid: cx.options.kid.as_deref(),
        };
        self.key.read(source, cx.fetch).await
    }
}
