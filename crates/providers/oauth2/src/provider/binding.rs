//! The keys and certificates that tokens are bound to.

use std::sync::Arc;

use biped_core::{AttachContext, Error, FetchContext, IdentityRef, SecretRef, Token};
use biped_sources::SigningKey;

use crate::{
    certificate,
    dpop::{self, ProofKeys},
};

/// Whether each call with the token has a proof of its key (RFC 9449 §7). A token that is bound to a
/// certificate has none: its connections present the certificate (RFC 8705 §3).
pub(super) fn is_proven(token: &Token) -> bool {
    token.confirmation().is_some() && token.scheme() == dpop::SCHEME
}

/// What a client binds its tokens to.
pub(super) struct Bindings<'a> {
    /// The keys of proofs that were used.
    pub(super) keys: &'a ProofKeys,
    /// The configured key of proofs.
    pub(super) given: Option<&'a SecretRef>,
    /// The configured certificate, unless tokens are bound to a key.
    pub(super) certificate: Option<&'a IdentityRef>,
}

impl Bindings<'_> {
    /// Returns the key that a token is bound to.
    pub(super) fn proof_key(
        &self,
        thumbprint: &str,
        cx: &AttachContext<'_>,
    ) -> Result<Arc<SigningKey>, Error> {
        if let Some(key) = self.keys.find(thumbprint) {
            return Ok(key);
        }
        if let Some(key) = self.given {
            let key = self.keys.given(cx.secret(key)?)?;
            if key.thumbprint() == thumbprint {
                return Ok(key);
            }
        }
        Err(
            Error::internal("this process does not have the key that the token is bound to")
                .with_remedy("fetch a new token"),
        )
    }

    /// Whether a thumbprint is that of the configured key or certificate.
    pub(super) async fn include(&self, thumbprint: &str, cx: &FetchContext<'_>) -> bool {
        if let Some(key) = self.given {
            if self.keys.find_given(thumbprint).is_some() {
                return true;
            }
            let Ok(key) = cx.secret(key).await else {
                return false;
            };
            let given = self.keys.given(&key);
            return given.is_ok_and(|key| key.thumbprint() == thumbprint);
        }
        let own = self.own_certificate(cx).await;
        own.is_some_and(|own| own == thumbprint)
    }

    /// Returns the thumbprint of the configured certificate.
    pub(super) async fn own_certificate(&self, cx: &FetchContext<'_>) -> Option<String> {
        let IdentityRef { certificate, .. } = self.certificate?;
        let certificate = cx.secret(certificate).await.ok()?;
        certificate::thumbprint(&certificate)
    }
}
