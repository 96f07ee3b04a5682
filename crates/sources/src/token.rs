//! [`ExternalToken`]: where a token that another party makes is found.

use std::{fmt, sync::Arc, time::Duration};

use biped_core::{
    Error, ErrorKind, ExposeSecret, Input, ProviderId, References, SecretRef, SecretString,
};
use url::Url;

use crate::{
    claims::Claims,
    secret::FromSecret,
    source::{Asking, Found, Source},
};

/// How long after its expiry a token is still sent: this machine's clock may be ahead.
const GRACE: Duration = Duration::from_secs(60);

/// The longest token that is sent, in bytes.
const LONGEST: usize = 64 * 1024;

/// Where a token that another party makes is found: a client assertion, the assertion of a grant, the
/// subject of an exchange, or an access token.
///
/// It is read for each attempt, and never kept.
#[derive(Clone)]
pub struct ExternalToken {
    source: Arc<dyn Source>,
    references: References,
}

/// A token of another party.
#[derive(Debug)]
#[non_exhaustive]
pub struct GivenToken {
    /// The token.
    pub text: SecretString,
    /// How long it is valid, if its source says so.
    pub expires_in: Option<Duration>,
}

impl From<SecretRef> for ExternalToken {
    fn from(secret: SecretRef) -> Self {
        Self::new(FromSecret(secret))
    }
}

impl ExternalToken {
    pub(crate) fn new(source: impl Source + 'static) -> Self {
        Self::of(Arc::new(source))
    }

    pub(crate) fn of(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            references: References::All,
        }
    }

    /// Limits what may be asked. A source is asked only if all references may be resolved.
    pub(crate) fn limited_to(mut self, references: References) -> Self {
        self.references = references;
        self
    }

    /// Where the token with this number is found, counted from 0, as it may be shown: `github`,
    /// `file:/run/t`, `provider:workload`.
    #[must_use]
    pub fn name(&self, candidate: usize) -> String {
        self.source.name(candidate)
    }

    /// Adds what the tokens depend on to the id of the provider that uses them. `key` is the key that
    /// they are configured with.
    #[must_use]
    pub fn identify(&self, id: ProviderId, key: &str) -> ProviderId {
        self.source.identify(id, key)
    }

    /// The other provider's token that it stands for.
    #[must_use]
    pub fn input(&self) -> Option<&Input> {
        self.source.input()
    }

    /// Whether each token is signed here, and so a new one.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.source.signs()
    }

    /// Whether the scopes of a request are a part of the token, and not of the request.
    #[must_use]
    pub fn takes_scope(&self) -> bool {
        self.source.takes_scope()
    }

    /// Whether it is the key file of a Google service account.
    #[must_use]
    pub fn is_google_key(&self) -> bool {
        self.source.is_google_key()
    }

    /// Whether it asks for an audience, and has none of its own.
    #[must_use]
    pub fn lacks_audience(&self) -> bool {
        self.source.lacks_audience()
    }

    /// Whether it signs in the name of the client, and has no issuer of its own.
    #[must_use]
    pub fn lacks_issuer(&self) -> bool {
        self.source.lacks_issuer()
    }

    /// What is wrong with it for an issuer with this token endpoint, as far as that shows without asking
    /// another party: the key file of a service account that names another endpoint. A file that can't be
    /// read yet is not wrong. `None` for the endpoint: it is not known yet.
    #[must_use]
    pub fn fault(&self, token_endpoint: Option<&Url>) -> Option<Error> {
        self.source.fault(token_endpoint)
    }

    /// The audience that it is configured to ask for.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        self.source.audience()
    }

    /// The type of its tokens in an exchange (RFC 8693 §3) if none is configured, without the prefix.
    #[must_use]
    pub fn token_type(&self) -> &'static str {
        self.source.token_type()
    }

    /// The type of its client assertions if none is configured, without the prefix.
    #[must_use]
    pub fn assertion_type(&self) -> &'static str {
        self.source.assertion_type()
    }

    /// Reads a token. The fetch conceals it.
    ///
    /// A JWT that expired more than a minute ago is not returned, nor is a text that is empty, that is
    /// longer than 64 KiB or that holds control characters.
    ///
    /// # Errors
    /// [`Secret`](ErrorKind::Secret) if it can't be read, or if the platform refuses;
    /// [`Unreachable`](ErrorKind::Unreachable), [`Unavailable`](ErrorKind::Unavailable) or
    /// [`InvalidResponse`](ErrorKind::InvalidResponse) if the platform does not answer, fails, or answers
    /// with something else. Each names its [source](Error::token_source), except a
    /// [`Configuration`](ErrorKind::Configuration) error.
    pub async fn read(&self, cx: &Asking<'_>) -> Result<GivenToken, Error> {
        let name = self.name(cx.fetch.candidate());
        let named = |error: Error| match error.kind() {
            ErrorKind::Configuration => error,
            _ if error.token_source().is_some() => error,
            _ => error.with_token_source(&*name),
        };
        if self.references != References::All || !cx.fetch.resolves_all() {
            let message = format!("{name} is not read, because the configuration is only shown");
            return Err(named(Error::secret(message)));
        }
        let Found { text, expires_in } = self.source.read(cx).await.map_err(named)?;
        cx.fetch.conceal(text.clone());
        check(text.expose_secret(), &name, cx).map_err(named)?;
        Ok(GivenToken { text, expires_in })
    }
}

fn check(text: &str, name: &str, cx: &Asking<'_>) -> Result<(), Error> {
    let refuse = |what: String| Err(Error::secret(what).transient(true));
    if text.is_empty() {
        return refuse(format!("the token of {name} is empty"));
    }
    if text.len() > LONGEST {
        return refuse(format!(
            "the token of {name} is longer than {LONGEST} bytes"
        ));
    }
    if text.chars().any(char::is_control) {
        return refuse(format!("the token of {name} contains control characters"));
    }
    let now = cx.fetch.now();
    let expiry = Claims::of(text).and_then(|claims| claims.expires_at);
    match expiry.filter(|expiry| expiry.after(GRACE) < now) {
        None => Ok(()),
        Some(expiry) => {
            let ago = now.since(expiry).as_secs();
            let ago = match ago {
                0..120 => format!("{ago} s"),
                120..7200 => format!("{} min", ago / 60),
                _ => format!("{} h", ago / 3600),
            };
            refuse(format!("the assertion in {name} expired {ago} ago"))
        }
    }
}

impl fmt::Debug for ExternalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExternalToken").field(&self.name(0)).finish()
    }
}
