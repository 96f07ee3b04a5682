//! What a source is made of, and what it has while it reads.

use std::{fmt, time::Duration};

use biped_core::{Error, FetchContext, Input, ProviderId, SecretString, async_trait};
use url::Url;

/// What a source has while it reads a token.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The fetch: the network, the time and the secrets.
    pub fetch: &'a FetchContext<'a>,
    /// The audience of an assertion if the source names none: the issuer, else the token endpoint.
    pub audience: Option<&'a str>,
    /// The token endpoint that an assertion is for.
    pub token_endpoint: Option<&'a Url>,
    /// The client that an assertion is about.
    pub client_id: Option<&'a str>,
    /// What a request wants in place of what the source is configured with.
    pub wanted: Wanted<'a>,
}

/// What a request wants in place of what a source is configured with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The audience of the token.
    pub audience: Option<&'a str>,
    /// The resource that the token is for.
    pub resource: Option<&'a str>,
    /// The scopes, separated by spaces.
    pub scope: Option<&'a str>,
}

impl<'a> Asking<'a> {
    /// Reads with what `fetch` has, and for no issuer.
    #[must_use]
    pub fn new(fetch: &'a FetchContext<'a>) -> Self {
        Self {
            fetch,
            audience: None,
            token_endpoint: None,
            client_id: None,
            wanted: Wanted::default(),
        }
    }

    /// The audience to ask for.
    pub(crate) fn audience_or(&self, configured: Option<&'a str>) -> Option<&'a str> {
        self.wanted.audience.or(configured).or(self.audience)
    }
}

impl fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking")
            .field("audience", &self.audience)
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

/// A token as a source gave it, unchecked.
pub(crate) struct Found {
    pub(crate) text: SecretString,
    /// How long it is valid, if the source says so.
    pub(crate) expires_in: Option<Duration>,
}

impl From<SecretString> for Found {
    fn from(text: SecretString) -> Self {
        Self {
            text,
            expires_in: None,
        }
    }
}

/// A place of tokens.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// Its name in errors.
    fn name(&self, candidate: usize) -> String;

    /// Adds what its tokens depend on to the id of the provider that uses it.
    fn identify(&self, id: ProviderId, key: &str) -> ProviderId;

    /// Reads a token.
    async fn read(&self, cx: &Asking<'_>) -> Result<Found, Error>;

    /// The other provider's token that it stands for.
    fn input(&self) -> Option<&Input> {
        None
    }

    /// Whether each token is signed here, and so a new one.
    fn signs(&self) -> bool {
        false
    }

    /// Whether the scopes of a request are a part of the token, and not of the request.
    fn takes_scope(&self) -> bool {
        false
    }

    /// Whether it is the key file of a Google service account.
    fn is_google_key(&self) -> bool {
        false
    }

    /// Whether it asks for an audience, and has none of its own.
    fn lacks_audience(&self) -> bool {
        false
    }

    /// Whether it signs in the name of the client, and has no issuer of its own.
    fn lacks_issuer(&self) -> bool {
        false
    }

    /// What is wrong with it for this token endpoint, as far as that shows without asking another party.
    /// `None` for the endpoint: it is not known yet.
    fn fault(&self, _endpoint: Option<&Url>) -> Option<Error> {
        None
    }

    /// The audience that it is configured to ask for.
    fn audience(&self) -> Option<&str> {
        None
    }

    /// The name of the configured type of its tokens (RFC 8693 §3), without the prefix.
    fn token_type(&self) -> &'static str {
        "jwt"
    }

    /// The name of the configured type of its client assertions, without the prefix.
    fn assertion_type(&self) -> &'static str {
        "jwt-bearer"
    }
}
