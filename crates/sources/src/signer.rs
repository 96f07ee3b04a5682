//! [`Signer`]: a private key that never enters this process.

pub(crate) mod command;
#[cfg(feature = "pkcs11")]
pub(crate) mod pkcs11;
mod public;

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use biped_core::{Error, SecretRef, SourceContext, async_trait};

pub use self::public::PublicKey;
use crate::key::Algorithm;

/// A private key that another party keeps, such as a hardware token or a key service, and that signs there.
///
/// ```
/// use biped_core::{Error, SourceContext, async_trait};
/// use biped_sources::{Algorithm, PublicKey, Signer};
///
/// /// A key in a service of this company.
/// #[derive(Debug)]
/// struct Service;
///
/// #[async_trait]
/// impl Signer for Service {
///     async fn public(&self, _: &SourceContext<'_>) -> Result<PublicKey, Error> {
///         PublicKey::from_jwk(r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA","kid":"7"}"#)
///     }
///
///     async fn sign(
///         &self,
///         alg: Algorithm,
///         message: &[u8],
///         _: &SourceContext<'_>,
///     ) -> Result<Vec<u8>, Error> {
///         Err(Error::secret(format!("{} bytes can't be signed with {alg}", message.len())))
///     }
/// }
/// ```
#[async_trait]
pub trait Signer: fmt::Debug + Send + Sync + 'static {
    /// Names the key. The name is shown, and tells it from other keys. Default: what `Debug` writes.
    fn reference(&self) -> String {
        format!("{self:?}")
    }

    /// What tells the key from others and is not shown, such as the arguments of a command. Default:
    /// [`reference`](Self::reference).
    fn identity(&self) -> String {
        self.reference()
    }

    /// The secrets that it reads, such as a PIN, so that an operator can see whether they can be read.
    /// Default: none.
    fn secrets(&self) -> Vec<SecretRef> {
        Vec::new()
    }

    /// The public key, and the algorithms that it signs with, its default first.
    ///
    /// # Errors
    /// [`Secret`](biped_core::ErrorKind::Secret), transient where a later read may succeed.
    async fn public(&self, cx: &SourceContext<'_>) -> Result<PublicKey, Error>;

    /// Signs a message as RFC 7518 says: a signature of ECDSA is r and s, each as long as a coordinate, and
    /// not DER. The caller calls it once for each assertion.
    ///
    /// # Errors
    /// [`Secret`](biped_core::ErrorKind::Secret), transient where a later attempt may succeed. The message
    /// must not show a secret.
    async fn sign(
        &self,
        alg: Algorithm,
        message: &[u8],
        cx: &SourceContext<'_>,
    ) -> Result<Vec<u8>, Error>;
}

/// Decodes a signature in base64 or base64url, with or without padding and white space. `None` if the
/// text is something else, or empty.
pub(crate) fn base64_of_any_kind(text: &[u8]) -> Option<Vec<u8>> {
    let text = text
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=');
    let text: Vec<u8> = text
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    let decoded = STANDARD_NO_PAD.decode(text).ok();
    decoded.filter(|signature| !signature.is_empty())
}
