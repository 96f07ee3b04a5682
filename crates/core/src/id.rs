//! [`ProviderId`]: whose token it is. Below it [`TokenKey`] and [`StoreKey`], the names of tokens.

mod store_key;
mod token_key;

use std::{fmt, sync::Arc};

pub use self::{store_key::StoreKey, token_key::TokenKey};
use biped_secret::{Mark, Member, SecretRef};

/// Which kind of provider issues tokens, where, to which client, and for which credentials: the
/// provider's part of the cache key.
///
/// Two providers with equal ids share their tokens, and a refusal of the client's credentials stops
/// both. So everything that changes which token the vendor issues belongs in the id: an audience that
/// is fixed in the configuration ([`with`](Self::with)), and each secret, key and certificate that a
/// token depends on ([`credential`](Self::credential)). The name in the configuration is not part of
/// the id. If a vendor has no client identifiers, the client is empty and the credentials tell clients
/// apart.
///
/// ```
/// use biped_core::{ProviderId, SecretRef};
///
/// let id = |secret| {
///     ProviderId::new("acme", "https://login.acme.example/token", "client-7")
///         .credential(&SecretRef::env(secret))
/// };
/// assert_eq!(id("SHOP_SECRET"), id("SHOP_SECRET").named("shop"));
/// assert_ne!(id("SHOP_SECRET"), id("OTHER_SECRET"));
/// ```
#[derive(Clone)]
pub struct ProviderId(Arc<Parts>);

#[derive(Clone)]
struct Parts {
    /// A hash of all that makes ids equal, so that looking up a key hashes eight bytes.
    digest: u64,
    name: Arc<str>,
    kind: Arc<str>,
    token_endpoint: Arc<str>,
    client: Arc<str>,
    tenant: Option<Box<str>>,
    details: Arc<[Detail]>,
    credentials: Box<[Credential]>,
    /// What is read as well, and tells no tokens apart.
    read: Box<[SecretRef]>,
}

/// A further name and value that tells tokens apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Detail {
    what: Box<str>,
    value: Box<str>,
    /// Whether it may be shown.
    shown: bool,
}

/// A credential that tokens depend on.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) reference: SecretRef,
    /// Tells it from other credentials within this process.
    mark: Mark,
    /// Whether its value is an identifier, which is not a secret.
    pub(crate) is_identifier: bool,
}

impl ProviderId {
    /// Creates the id of a provider of this kind, at this token endpoint (or issuer), for this client
    /// (empty if the vendor has no client identifiers).
    #[must_use]
    pub fn new(kind: &str, token_endpoint: impl AsRef<str>, client: impl AsRef<str>) -> Self {
        let mut parts = Parts {
            digest: 0,
            name: kind.into(),
            kind: kind.into(),
            token_endpoint: token_endpoint.as_ref().into(),
            client: client.as_ref().into(),
            tenant: None,
            details: Arc::default(),
            credentials: Box::default(),
            read: Box::default(),
        };
        parts.digest = parts.compute_digest();
        Self(Arc::new(parts))
    }

    /// Sets the name that the application uses for the provider. It appears in errors, logs and
    /// metrics, and is not part of the key. Default: the kind.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.0).name = name.into();
        self
    }

    /// Sets the tenant that the tokens are for: the customer whose credentials they are got with. Ids of
    /// different tenants are different, even if all else is equal. The tenant may be shown; no metric
    /// has it. Default: none.
    #[must_use]
    pub fn of_tenant(mut self, tenant: impl AsRef<str>) -> Self {
        let parts = Arc::make_mut(&mut self.0);
        parts.tenant = Some(tenant.as_ref().into());
        parts.digest = parts.compute_digest();
        self
    }

    /// Shares with another id, in memory, what is the same in both: the ids of a provider's tenants differ
    /// in little. The id stays equal to what it was.
    ///
    /// ```
    /// use biped_core::ProviderId;
    ///
    /// let of = |tenant| {
    ///     ProviderId::new("acme", "https://login.acme.example/token", "").of_tenant(tenant)
    /// };
    /// let shared = of("one").sharing(&of("other"));
    /// assert_eq!(shared, of("one"));
    /// assert_eq!(shared.tenant(), Some("one"));
    /// ```
    #[must_use]
    pub fn sharing(mut self, other: &Self) -> Self {
        fn share<T: PartialEq + ?Sized>(own: &mut Arc<T>, other: &Arc<T>) {
            if **own == **other {
                *own = other.clone();
            }
        }
        let (parts, other) = (Arc::make_mut(&mut self.0), &*other.0);
        share(&mut parts.name, &other.name);
        share(&mut parts.kind, &other.kind);
        share(&mut parts.token_endpoint, &other.token_endpoint);
        share(&mut parts.client, &other.client);
        share(&mut parts.details, &other.details);
        for (own, other) in parts.credentials.iter_mut().zip(&other.credentials) {
            own.reference.share_place(&other.reference);
        }
        self
    }

    /// Adds a further value that tells this provider's tokens from others. It may be shown.
    #[must_use]
    pub fn with(self, what: &str, value: impl AsRef<str>) -> Self {
        self.detailed(what, value.as_ref(), true)
    }

    /// Adds a further value that tells this provider's tokens from others and is never shown, such as
    /// the configured fields of a token request. A secret is a [credential](Self::credential) instead.
    #[must_use]
    pub fn with_redacted(self, what: &str, value: impl AsRef<str>) -> Self {
        self.detailed(what, value.as_ref(), false)
    }

    fn detailed(mut self, what: &str, value: &str, shown: bool) -> Self {
        let parts = Arc::make_mut(&mut self.0);
        let mut details = parts.details.to_vec();
        details.push(Detail {
            what: what.into(),
            value: value.into(),
            shown,
        });
        details.sort_unstable();
        parts.details = details.into();
        parts.digest = parts.compute_digest();
        self
    }

    /// Adds a credential that the tokens depend on: the client secret, a private key and its password,
    /// a certificate, or whatever else the vendor requires. Call it once for each credential, always in
    /// the same order.
    ///
    /// Credentials are equal if they are in the same place: the same variable, file or command. If the
    /// configuration contains the secret itself, the secret counts. In a store the value counts as
    /// well, so that a process finds only tokens that its own secret could have fetched
    /// ([`TokenStore::identity_key`](crate::TokenStore::identity_key)). The id shows the places, but
    /// neither a value nor a digest of one.
    #[must_use]
    pub fn credential(self, credential: &SecretRef) -> Self {
        self.depending_on(credential, false)
    }

    /// Adds the reference that an identifier such as `client_id` comes from. It is like a
    /// [credential](Self::credential), but its value is not a secret. If the configuration contains the
    /// value itself, nothing is added, because the id holds the value already.
    #[must_use]
    pub fn identifier(self, identifier: &SecretRef) -> Self {
        if identifier.as_inline().is_some() {
            return self;
        }
        self.depending_on(identifier, true)
    }

    /// Adds a secret that the provider reads and that tells no tokens apart, such as the PIN of a device.
    /// It is not part of the key.
    #[must_use]
    pub fn reading(mut self, secret: &SecretRef) -> Self {
        push(&mut Arc::make_mut(&mut self.0).read, secret.clone());
        self
    }

    /// Adds what makes another id equal: its details, and its credentials as credentials of this one.
    /// `role` says what its token is used as, and `asked` what that provider is asked for.
    pub(crate) fn resting_on(mut self, role: &str, other: &Self, asked: &str) -> Self {
        let (kind, endpoint, client, tenant, details, credentials) = other.identity();
        let details: Vec<_> = details.iter().map(|it| (&it.what, &it.value)).collect();
        // Debug of texts escapes quotes, so different ids give different values.
        let value = match tenant {
            None => format!("{:?}", (kind, endpoint, client, details, asked)),
            Some(tenant) => format!("{:?}", (kind, endpoint, client, tenant, details, asked)),
        };
        // Details are a set: only under its role does an input differ from another's place.
        self = self.with_redacted(role, format!("input {value}"));
        for it in credentials {
            self = self.depending_on(&it.reference, it.is_identifier);
        }
        self
    }

    fn depending_on(mut self, reference: &SecretRef, is_identifier: bool) -> Self {
        let parts = Arc::make_mut(&mut self.0);
        let credential = Credential {
            reference: reference.clone(),
            mark: reference.mark(),
            is_identifier,
        };
        push(&mut parts.credentials, credential);
        parts.digest = parts.compute_digest();
        self
    }

    /// Returns the name that the application uses.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the name, shared.
    #[must_use]
    pub fn shared_name(&self) -> Arc<str> {
        self.0.name.clone()
    }

    /// Returns the provider's kind: `contentsquare`, `envelope`, `oauth2`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Returns the token endpoint or issuer. All providers that share it share limits and
    /// `Retry-After`.
    #[must_use]
    pub fn token_endpoint(&self) -> &str {
        &self.0.token_endpoint
    }

    /// Returns the client identifier.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.0.client
    }

    /// Returns the tenant, if the provider has tenants.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// Returns the places that the credentials and other secrets are read from, in order. What the
    /// configuration contains itself is not among them.
    pub fn references(&self) -> impl Iterator<Item = Member<'_>> {
        let all = self.credentials().iter().map(|it| &it.reference);
        let places = all.chain(&self.0.read).flat_map(SecretRef::members);
        places.filter(|it| it.inline().is_none())
    }

    /// Where the secrets are read from, as it may be shown; `None` if there are none.
    pub(crate) fn places(&self) -> Option<String> {
        let secrets = self.credentials().iter().filter(|it| !it.is_identifier);
        let mut all: Vec<_> = secrets.map(|it| it.reference.places()).collect();
        all.dedup();
        (!all.is_empty()).then(|| all.join(", "))
    }

    pub(crate) fn credentials(&self) -> &[Credential] {
        &self.0.credentials
    }

    fn identity(&self) -> Identity<'_> {
        self.0.identity()
    }
}

/// Adds to what is seldom added to.
fn push<T>(all: &mut Box<[T]>, one: T) {
    let mut more = Vec::from(std::mem::take(all));
    more.reserve_exact(1);
    more.push(one);
    *all = more.into();
}

/// Kind, token endpoint, client, tenant, details and credentials: what makes two ids equal.
type Identity<'a> = (
    &'a str,
    &'a str,
    &'a str,
    Option<&'a str>,
    &'a [Detail],
    &'a [Credential],
);

impl Parts {
    fn identity(&self) -> Identity<'_> {
        (
            &self.kind,
            &self.token_endpoint,
            &self.client,
            self.tenant.as_deref(),
            &self.details,
            &self.credentials,
        )
    }

    fn compute_digest(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.identity().hash(&mut hasher);
        hasher.finish()
    }
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        (self.mark, self.is_identifier) == (other.mark, other.is_identifier)
    }
}

impl Eq for Credential {}

impl std::hash::Hash for Credential {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.mark, self.is_identifier).hash(state);
    }
}

/// Shows the place. An inline secret is redacted.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(f)
    }
}

/// Shows a pair, and its value only if that may be shown.
impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.shown {
            &*self.value
        } else {
            "[redacted]"
        };
        (&*self.what, value).fmt(f)
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
            .field("tenant", &self.0.tenant)
            .field("details", &self.0.details)
            .field("credentials", &self.0.credentials)
            .finish()
    }
}
