//! [`About`]: what a person needs to know before trusting and using a vendor file.

use std::time::Duration;

use http::Method;

use crate::backing::Backing;

pub(crate) mod read;

/// The facts of a vendor file that a source can say, or that can be unverified.
pub(crate) const FACTS: &[&str] = &[
    "request",
    "encoding",
    "answer",
    "lifetime",
    "refusal",
    "expired",
    "api",
    "scopes",
    "verify",
    "credentials",
    "limits",
];

/// The vendor that a file describes, the sources of its facts, and its parameters.
#[derive(Clone, Debug)]
pub struct About {
    pub(crate) title: Box<str>,
    variant: Option<Box<str>>,
    aliases: Box<[Box<str>]>,
    docs: Box<str>,
    checked: Option<Box<str>>,
    live: bool,
    credentials: Option<Box<str>>,
    scopes: Option<Scopes>,
    api: Option<Box<str>>,
    verify: Option<Verify>,
    limits: Option<Limits>,
    same_token: bool,
    one_token: bool,
    sources: Box<[Source]>,
    unverified: Box<[Box<str>]>,
    tags: Box<[Box<str>]>,
    notes: Option<Box<str>>,
    pub(crate) params: Vec<Declared>,
}

/// Where a vendor file has facts from.
#[derive(Clone, Debug)]
pub struct Source {
    url: Box<str>,
    says: Box<[Box<str>]>,
    own: bool,
}

/// The scopes of a vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scopes {
    /// Scopes, or examples of them, each with a description.
    Listed(Vec<(String, String)>),
    /// A sentence, such as `none needed`.
    Described(String),
}

/// A harmless request that works with any valid token.
#[derive(Clone, Debug)]
pub struct Verify {
    method: Method,
    path: Box<str>,
    status: u16,
}

/// How many token requests a vendor allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    requests: u32,
    per: Duration,
}

/// A parameter as `[about]` declares it.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) name: Box<str>,
    pub(crate) says: Box<str>,
    pub(crate) secret: bool,
    pub(crate) optional: bool,
    pub(crate) line: usize,
}

impl About {
    /// Returns the vendor's name.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns which of the vendor's sets of credentials the file is for, such as `JWT`. Files with the
    /// same title are variants of one vendor.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// Returns the names under which people look for the vendor, such as its products.
    pub fn aliases(&self) -> impl ExactSizeIterator<Item = &str> {
        self.aliases.iter().map(|alias| &**alias)
    }

    /// Returns where to read on: `docs` of the file, or else its first source, the vendor's own first.
    #[must_use]
    pub fn docs(&self) -> &str {
        if !self.docs.is_empty() {
            return &self.docs;
        }
        let own = self.sources.iter().find(|source| source.own);
        own.or(self.sources.first())
            .map_or("", |source| &source.url)
    }

    /// Returns the day on which the file was last compared with its sources (`2026-11-22`).
    #[must_use]
    pub fn checked(&self) -> Option<&str> {
        self.checked.as_deref()
    }

    /// Returns whether the file has been used to fetch a token from the vendor itself.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Returns where the vendor issues the credentials, and to which role.
    #[must_use]
    pub fn credentials(&self) -> Option<&str> {
        self.credentials.as_deref()
    }

    /// Returns the vendor's scopes.
    #[must_use]
    pub fn scopes(&self) -> Option<&Scopes> {
        self.scopes.as_ref()
    }

    /// Returns the URL of the vendor's API, with its parameters: an `api_base_url` to start from.
    #[must_use]
    pub fn api(&self) -> Option<&str> {
        self.api.as_deref()
    }

    /// Returns a request that shows whether a token works.
    #[must_use]
    pub fn verify(&self) -> Option<&Verify> {
        self.verify.as_ref()
    }

    /// Returns the limit of the token endpoint.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.limits
    }

    /// Returns whether a further token request brings the same token until it expires.
    #[must_use]
    pub fn repeats_token(&self) -> bool {
        self.same_token
    }

    /// Returns whether a new token ends the earlier one.
    #[must_use]
    pub fn allows_one_token(&self) -> bool {
        self.one_token
    }

    /// Returns the sources of the facts.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Returns the facts that no source says, such as `refusal` or `lifetime`.
    pub fn unverified(&self) -> impl ExactSizeIterator<Item = &str> {
        self.unverified.iter().map(|fact| &**fact)
    }

    /// Returns what backs the vendor's request and its answer.
    #[must_use]
    pub fn backing(&self) -> Backing {
        let is_own = |fact: &str| {
            let mut own = self.sources().iter().filter(|source| source.is_own());
            own.any(|source| source.says().any(|said| said == fact))
        };
        let is_unverified = |fact: &str| self.unverified().any(|known| known == fact);
        Backing::of(self.is_live(), is_own, is_unverified)
    }

    /// Returns what the vendor is for, such as `identity` or `shipping`.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tags.iter().map(|tag| &**tag)
    }

    /// Returns further notes.
    #[must_use]
    pub fn notes(&self) -> Option<&str> {
        self.notes.as_deref()
    }

    /// Returns what this vendor calls `client_id`, `client_secret` or `scope`.
    #[must_use]
    pub fn says_of(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|param| &*param.name == name)
            .map(|param| &*param.says)
    }
}

impl Source {
    /// Returns the address of the page or the code.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the facts that the source says, such as `request`, `answer` or `scopes`.
    pub fn says(&self) -> impl ExactSizeIterator<Item = &str> {
        self.says.iter().map(|fact| &**fact)
    }

    /// Returns whether it is the vendor's own page, or its own code.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own
    }
}

impl Verify {
    /// Returns the method: `GET`, `HEAD` or `POST`.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the path below [`About::api`], with its parameters.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the status that a valid token brings.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }
}

impl Limits {
    /// Returns the number of token requests that the vendor allows in each [period](Self::period).
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// Returns the period.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.per
    }
}
