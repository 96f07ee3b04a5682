//! [`KeyRef`]: a key, wherever it is. [`AnyKey`]: the same as one fetch found it.

use std::{fmt, sync::Arc};

use biped_config::{ConfigTable, FieldType, Value as Written};
use biped_core::{Error, FetchContext, ProviderId, References, SecretRef};
use serde_json::Value;

use crate::{
    key::{Algorithm, KeySource, SigningKey, encoded, signing_input},
    signer::{
        PublicKey, Signer,
        command::{self, Command},
    },
};

/// Where a key is that signs assertions: a text that is read at each fetch, or a [`Signer`].
#[derive(Clone)]
pub struct KeyRef {
    place: Place,
    references: References,
}

#[derive(Clone)]
enum Place {
    Text(SecretRef),
    Signer(Arc<dyn Signer>),
}

/// A key that signs assertions, as one fetch found it.
pub enum AnyKey {
    /// A private key in this process.
    Local(Box<SigningKey>),
    /// The public half of one that is elsewhere, and who signs with it.
    Remote(PublicKey, Arc<dyn Signer>),
}

impl From<SecretRef> for KeyRef {
    fn from(text: SecretRef) -> Self {
        Self::at(Place::Text(text))
    }
}

impl KeyRef {
    /// A key that `signer` signs with.
    #[must_use]
    pub fn signer(signer: impl Signer) -> Self {
        Self::at(Place::Signer(Arc::new(signer)))
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            references: References::All,
        }
    }

    /// Reads the key under a key of a configuration: a secret, or a table that names a signer. Notes what
    /// is wrong with it. `None` if it is missing or wrong.
    #[must_use]
    pub fn from_config(table: &ConfigTable, key: &str) -> Option<Self> {
        let value = table.value(key)?;
        let is_table = matches!(value.raw, Written::Table(_));
        if !is_table || value.to_secret().is_some() {
            return table.secret(key).map(Self::from);
        }
        let inner = table.table(key)?;
        let signer: Arc<dyn Signer> = if inner.value(command::KEY).is_some() {
            Arc::new(Command::from_config(&inner)?)
        } else if inner.value(PKCS11).is_some() {
            token(&inner)?
        } else if inner.value(VAULT).is_some() {
            transit(&inner)?
        } else {
            drop(table.invalid(key, format!("expected {}", FieldType::Key.expected())));
            return None;
        };
        Some(Self {
            place: Place::Signer(signer),
            references: value.origin.references(),
        })
    }

    /// Reads `key_password`, the password of the key `key` of the same table. Notes if it is set for a key
    /// that is not a text.
    #[must_use]
    pub fn password_from_config(table: &ConfigTable, key: Option<&Self>) -> Option<SecretRef> {
        const PASSWORD: &str = "key_password";
        let is_elsewhere = key.is_some_and(|key| key.text().is_none());
        if is_elsewhere && table.value(PASSWORD).is_some() {
            let problem = "key_password is set, but the key is not a text";
            drop(table.invalid(PASSWORD, problem));
        }
        table.secret(PASSWORD)
    }

    /// The place of the key's text, if it is read and not asked to sign.
    #[must_use]
    pub fn text(&self) -> Option<&SecretRef> {
        match &self.place {
            Place::Text(text) => Some(text),
            Place::Signer(_) => None,
        }
    }

    /// Where the key is, as it may be shown.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.place {
            Place::Text(text) => text.to_string(),
            Place::Signer(signer) => signer.reference(),
        }
    }

    /// Adds a signer to the id of the provider that uses it. A text is one of its credentials instead.
    #[must_use]
    pub fn identify(&self, id: ProviderId, key: &str) -> ProviderId {
        match &self.place {
            Place::Text(_) => id,
            Place::Signer(signer) => {
                let id = id.with_redacted(key, signer.identity());
                let secrets = signer.secrets();
                secrets.iter().fold(id, ProviderId::reading)
            }
        }
    }

    /// Reads the key, or asks the signer for its public half.
    ///
    /// # Errors
    /// [`Secret`](biped_core::ErrorKind::Secret).
    pub async fn read(
        &self,
        source: KeySource<'_>,
        cx: &FetchContext<'_>,
    ) -> Result<AnyKey, Error> {
        match &self.place {
            Place::Text(text) => {
                let text = cx.secret(text).await?;
                Ok(AnyKey::Local(SigningKey::read(&text, source)?.into()))
            }
            Place::Signer(signer) => {
                if self.references != References::All || !cx.resolves_all() {
                    let name = signer.reference();
                    return Err(Error::secret(format!(
                        "{name} is not read, because the configuration is only shown"
                    )));
                }
                let public = signer.public(&cx.source_context()).await?;
                Ok(AnyKey::Remote(public, signer.clone()))
            }
        }
    }
}

/// The key of a table that names a key in a token.
const PKCS11: &str = "pkcs11";

#[cfg(feature = "pkcs11")]
fn token(table: &ConfigTable) -> Option<Arc<dyn Signer>> {
    Some(Arc::new(crate::signer::pkcs11::Pkcs11::from_config(table)?))
}

#[cfg(not(feature = "pkcs11"))]
fn token(table: &ConfigTable) -> Option<Arc<dyn Signer>> {
    let message = "pkcs11 needs biped's feature pkcs11, which is not enabled";
    drop(table.invalid(PKCS11, message));
    None
}

/// The key of a table that names a key in a vault.
const VAULT: &str = "vault";

#[cfg(feature = "vault")]
fn transit(table: &ConfigTable) -> Option<Arc<dyn Signer>> {
    Some(Arc::new(crate::vault::TransitKey::from_config(table)?))
}

#[cfg(not(feature = "vault"))]
fn transit(table: &ConfigTable) -> Option<Arc<dyn Signer>> {
    let message = "vault needs biped's feature vault, which is not enabled";
    drop(table.invalid(VAULT, message));
    None
}

impl AnyKey {
    /// The algorithms that the key signs with, the default first.
    #[must_use]
    pub fn algorithms(&self) -> Vec<Algorithm> {
        match self {
            Self::Local(key) => key.algorithms(),
            Self::Remote(public, _) => public.algorithms(),
        }
    }

    /// The key's own name.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        match self {
            Self::Local(key) => key.kid(),
            Self::Remote(public, _) => public.kid(),
        }
    }

    /// The public key as certificates contain it.
    #[must_use]
    pub fn public_der(&self) -> &[u8] {
        match self {
            Self::Local(key) => key.public_der(),
            Self::Remote(public, _) => public.der(),
        }
    }

    /// Makes a JSON Web Signature in compact form (RFC 7515 §3.1). Adds `alg` to the header.
    ///
    /// # Errors
    /// If the key does not sign with this algorithm, or the signer fails.
    pub async fn jws(
        &self,
        alg: Algorithm,
        header: Value,
        claims: &Value,
        cx: &FetchContext<'_>,
    ) -> Result<String, Error> {
        let (public, signer) = match self {
            Self::Local(key) => return key.jws(alg, header, claims),
            Self::Remote(public, signer) => (public, signer),
        };
        let input = signing_input(alg, header, claims);
        let context = cx.source_context();
        let signed = signer.sign(alg, input.as_bytes(), &context).await?;
        if !public.fits(&signed) {
            return Err(Error::secret(format!(
                "{} made a signature of another form than {alg}",
                signer.reference()
            )));
        }
        Ok(format!("{input}.{}", encoded(&signed)))
    }
}

impl fmt::Debug for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyRef").field(&self.name()).finish()
    }
}

impl fmt::Debug for AnyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(key) => key.fmt(f),
            Self::Remote(_, signer) => f.debug_tuple("Remote").field(&signer.reference()).finish(),
        }
    }
}
