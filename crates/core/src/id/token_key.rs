//! [`TokenKey`]: the name of a token in a store.

use std::fmt;

use super::ProviderId;
use crate::{
    IdentityKey, ParamValue, TokenRequest,
    identity::{KeyedHash, Mark},
};

/// The version of what follows: tokens under the names of another version are not found.
const DOMAIN: &[u8] = b"biped token key 2";

/// The name of a token in a store: a hash over everything that tells one token from another.
///
/// Made by core alone, from the provider's id, every part of the request, each with its length, and
/// what the token's credentials are, so that no two different requests can ever meet. It can be
/// shown: what it holds of secrets is a digest under a key of the store
/// ([`TokenStore::identity_key`](crate::TokenStore::identity_key)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// The key of what `request` asks of the provider `id`, where a store has no identity key: of
    /// the credentials only their places count.
    ///
    /// What a store holds for a source is under
    /// `TokenSource::store_key`.
    #[must_use]
    pub fn new(id: &ProviderId, request: &TokenRequest) -> Self {
        let mut key = WithoutCredentials::new(None, id, request);
        for credential in id.credentials() {
            key.0.count(credential.reference.candidates());
            for member in credential.reference.members() {
                member.hash_place(&mut key.0);
                // Not a secret, and it may stand nowhere else in the id.
                let text = member.inline().filter(|_| credential.is_identifier);
                key.0.bytes(
                    text.map_or("", secrecy::ExposeSecret::expose_secret)
                        .as_bytes(),
                );
            }
        }
        key.end()
    }

    /// A key given by its bytes: for stores and their tests.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({self})")
    }
}

/// A key to which the credentials are yet to be added.
pub(crate) struct WithoutCredentials(pub(crate) KeyedHash);

impl WithoutCredentials {
    pub(crate) fn new(
        identity: Option<&IdentityKey>,
        id: &ProviderId,
        request: &TokenRequest,
    ) -> Self {
        let public = IdentityKey::from_bytes([0; 32]);
        let mut key = Self(identity.unwrap_or(&public).hash(DOMAIN));
        key.0.count(usize::from(identity.is_some()));
        let (kind, token_endpoint, client, details, _) = id.identity();
        key.list([kind, token_endpoint, client]);
        key.0.count(details.len());
        for detail in details {
            key.list([&*detail.what, &*detail.value]);
        }
        key.list(request.scope_names());
        key.0.count(request.params().len());
        for (name, value) in request.params() {
            key.text(name);
            key.value(value);
        }
        key.0.count(id.credentials().len());
        key
    }

    /// Adds what a credential is: the marks of its values, and the places of those that are not
    /// read.
    pub(crate) fn credential(&mut self, parts: &[Mark]) {
        self.0.count(parts.len());
        parts.iter().for_each(|part| self.0.bytes(part));
    }

    pub(crate) fn end(self) -> TokenKey {
        TokenKey(self.0.end())
    }

    fn text(&mut self, text: &str) {
        self.0.bytes(text.as_bytes());
    }

    fn list<'a>(&mut self, texts: impl IntoIterator<Item = &'a str, IntoIter: ExactSizeIterator>) {
        let texts = texts.into_iter();
        self.0.count(texts.len());
        texts.for_each(|text| self.text(text));
    }

    fn value(&mut self, value: &ParamValue) {
        match value {
            ParamValue::Text(text) => {
                self.text("text");
                self.text(text);
            }
            ParamValue::Integer(number) => {
                self.text("integer");
                self.0.bytes(&number.to_le_bytes());
            }
            ParamValue::Bool(yes) => {
                self.text("bool");
                self.0.count(usize::from(*yes));
            }
            ParamValue::List(texts) => {
                self.text("list");
                self.list(texts.iter().map(|text| &**text));
            }
        }
    }
}
