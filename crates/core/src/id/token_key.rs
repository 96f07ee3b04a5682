//! [`TokenKey`]: the name of a token in a store.

use std::fmt;

use super::ProviderId;
use biped_secret::{KeyedHash, Mark};

use crate::{IdentityKey, ParamValue, TokenRequest};

/// The version of how keys are made. Tokens under the keys of another version are not found.
const DOMAIN: &[u8] = b"biped token key 2";

/// The same for tokens of a tenant. A domain of their own keeps them from every key without a tenant.
const TENANT_DOMAIN: &[u8] = b"biped token key 2 of a tenant";

/// The name of a token in a store: a hash of everything that tells one token from another.
///
/// Only core makes it: from the provider's id, every part of the request, and the credentials, each
/// with its length, so that two different requests never have the same key. It may be shown: secrets
/// enter it as digests under a key of the store
/// ([`TokenStore::identity_key`](crate::TokenStore::identity_key)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// Creates the key of what `request` asks of the provider `id` in a store without an identity key.
    /// Of the credentials only the places count.
    ///
    /// The key under which a store holds the tokens of a source is `TokenSource::store_key`.
    #[must_use]
    pub fn new(id: &ProviderId, request: &TokenRequest) -> Self {
        let mut key = WithoutCredentials::new(None, id, request);
        for credential in id.credentials() {
            key.0.count(credential.reference.candidates());
            for member in credential.reference.members() {
                member.hash_place(&mut key.0);
                // An identifier is not a secret, and may be missing elsewhere in the id.
                let text = member.inline().filter(|_| credential.is_identifier);
                key.0.bytes(
                    text.map_or("", secrecy::ExposeSecret::expose_secret)
                        .as_bytes(),
                );
            }
        }
        key.end()
    }

    /// Creates the key with these bytes, for stores and their tests.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the key's 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Shows 64 hexadecimal digits.
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

/// A key that lacks the credentials.
pub(crate) struct WithoutCredentials(pub(crate) KeyedHash);

impl WithoutCredentials {
    pub(crate) fn new(
        identity: Option<&IdentityKey>,
        id: &ProviderId,
        request: &TokenRequest,
    ) -> Self {
        let public = IdentityKey::from_bytes([0; 32]);
        let (kind, token_endpoint, client, tenant, details, _) = id.identity();
        let domain = tenant.map_or(DOMAIN, |_| TENANT_DOMAIN);
        let mut key = Self(identity.unwrap_or(&public).hash(domain));
        key.0.count(usize::from(identity.is_some()));
        if let Some(tenant) = tenant {
            key.text(tenant);
        }
        key.list([kind, token_endpoint, client]);
        key.0.count(details.len());
        for detail in details {
            key.list([&*detail.what, &*detail.value]);
        }
        let mut scopes: Vec<&str> = request.scope_names().collect();
        scopes.sort_unstable();
        key.list(scopes);
        key.0.count(request.params().len());
        for (name, value) in request.params() {
            key.text(name);
            key.value(value);
        }
        key.0.count(id.credentials().len());
        key
    }

    /// Adds a credential: the marks of its values, and the places of values that are not read.
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
