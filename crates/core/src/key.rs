//! [`ProviderId`] and [`TokenKey`]: whose token it is, and what it is for.

use std::{fmt, sync::Arc};

use sha2::{Digest, Sha256};

use crate::{ParamValue, TokenRequest};

/// Who issues, where, and to which client: the provider's part of the cache key.
///
/// Two providers with equal ids share their tokens, and a refusal of the client's credentials
/// stops both. Whatever changes what the vendor hands out belongs in here (an audience that is
/// fixed in the configuration, say); the client secret does not. For a vendor without client
/// identifiers the name in the configuration is the client: with the same one for all, two accounts
/// would get each other's tokens.
///
/// ```
/// use biped_core::ProviderId;
///
/// let id = ProviderId::new("acme", "https://login.acme.example/token", "client-7").named("shop");
/// assert_eq!(id.name(), "shop");
/// assert_eq!(id, ProviderId::new("acme", "https://login.acme.example/token", "client-7"));
/// ```
#[derive(Clone)]
pub struct ProviderId(Arc<Parts>);

#[derive(Clone)]
struct Parts {
    /// Hash of what follows the name, so that looking up a key hashes eight bytes of it.
    digest: u64,
    name: Arc<str>,
    kind: Box<str>,
    token_endpoint: Box<str>,
    client: Box<str>,
    details: Vec<(Box<str>, Box<str>)>,
}

impl ProviderId {
    /// The id of a provider of this kind, at this token endpoint (or issuer), for this client.
    #[must_use]
    pub fn new(kind: &str, token_endpoint: impl AsRef<str>, client: impl AsRef<str>) -> Self {
        let mut parts = Parts {
            digest: 0,
            name: kind.into(),
            kind: kind.into(),
            token_endpoint: token_endpoint.as_ref().into(),
            client: client.as_ref().into(),
            details: Vec::new(),
        };
        parts.digest = parts.compute_digest();
        Self(Arc::new(parts))
    }

    /// Gives the provider the name that the application uses for it. It stands in errors, logs and
    /// metrics, and is no part of the key. Default: the kind.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.0).name = name.into();
        self
    }

    /// Adds something else that tells this provider's tokens from others.
    #[must_use]
    pub fn with(mut self, what: &str, value: impl AsRef<str>) -> Self {
        let parts = Arc::make_mut(&mut self.0);
        parts.details.push((what.into(), value.as_ref().into()));
        parts.details.sort_unstable();
        parts.digest = parts.compute_digest();
        self
    }

    /// The name that the application uses.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The name, shared.
    #[must_use]
    pub fn shared_name(&self) -> Arc<str> {
        self.0.name.clone()
    }

    /// The provider's kind: `contentsquare`, `envelope`, `oauth2`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The token endpoint or issuer. Budgets and `Retry-After` hold for all that share it.
    #[must_use]
    pub fn token_endpoint(&self) -> &str {
        &self.0.token_endpoint
    }

    /// The client identifier.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.0.client
    }

    fn identity(&self) -> Identity<'_> {
        self.0.identity()
    }
}

/// Kind, token endpoint, client and details: what makes two ids equal.
type Identity<'a> = (&'a str, &'a str, &'a str, &'a [(Box<str>, Box<str>)]);

impl Parts {
    fn identity(&self) -> Identity<'_> {
        (
            &self.kind,
            &self.token_endpoint,
            &self.client,
            &self.details,
        )
    }

    fn compute_digest(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.identity().hash(&mut hasher);
        hasher.finish()
    }
}

impl PartialEq for ProviderId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.identity() == other.identity()
    }
}

impl Eq for ProviderId {}

impl std::hash::Hash for ProviderId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.digest);
    }
}

impl fmt::Debug for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderId")
            .field("name", &self.0.name)
            .field("kind", &self.0.kind)
            .field("token_endpoint", &self.0.token_endpoint)
            .field("client", &self.0.client)
            .field("details", &self.0.details)
            .finish()
    }
}

/// The name of a token in a store: a hash over everything that tells one token from another.
///
/// Made by core alone, from the provider's id and every part of the request, each with its length,
/// so that no two different requests can ever meet. It holds no secret and can be shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// The key of what `request` asks of the provider `id`.
    #[must_use]
    pub fn new(id: &ProviderId, request: &TokenRequest) -> Self {
        let mut hash = KeyHash(Sha256::new());
        let (kind, token_endpoint, client, details) = id.identity();
        hash.list([kind, token_endpoint, client]);
        hash.count(details.len());
        for (what, value) in details {
            hash.list([&**what, &**value]);
        }
        hash.list(request.scope_names());
        hash.count(request.params().len());
        for (name, value) in request.params() {
            hash.text(name);
            hash.value(value);
        }
        Self(hash.0.finalize().into())
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

struct KeyHash(Sha256);

impl KeyHash {
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text);
    }

    fn list<'a>(&mut self, texts: impl IntoIterator<Item = &'a str, IntoIter: ExactSizeIterator>) {
        let texts = texts.into_iter();
        self.count(texts.len());
        texts.for_each(|text| self.text(text));
    }

    fn value(&mut self, value: &ParamValue) {
        match value {
            ParamValue::Text(text) => {
                self.0.update([0]);
                self.text(text);
            }
            ParamValue::Integer(number) => {
                self.0.update([1]);
                self.0.update(number.to_le_bytes());
            }
            ParamValue::Bool(yes) => self.0.update([2, u8::from(*yes)]),
            ParamValue::List(texts) => {
                self.0.update([3]);
                self.list(texts.iter().map(|text| &**text));
            }
        }
    }
}
