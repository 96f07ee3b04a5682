//! [`Dialect`]: how one vendor spells the exchange, compiled.

use std::{borrow::Cow, fmt};

use biped_core::BaseUrls;
use url::Url;

use crate::{
    about::About,
    attach::{Attach, Expired},
    example::Example,
    step::Step,
    template::{Template, Values},
};

/// How one vendor spells the exchange: a file of a few lines, compiled when it is loaded.
///
/// ```
/// use biped_dialect::Dialect;
///
/// let dialect = Dialect::from_toml(
///     r#"
///     url = "https://{region}.vendor.example/oauth/token"
///     encoding = "json"
///     response.token = "/data/token"
///     "#,
///     "mine.toml",
/// )?;
/// let params: Vec<_> = dialect.params().map(|param| param.name()).collect();
/// assert_eq!(params, ["region"]);
/// # Ok::<(), biped_dialect::LoadError>(())
/// ```
#[derive(Clone)]
pub struct Dialect {
    pub(crate) name: Box<str>,
    /// Of the whole text: two files that differ make different tokens.
    pub(crate) digest: Box<str>,
    pub(crate) about: Option<About>,
    /// The token request first, then what follows it.
    pub(crate) steps: Vec<Step>,
    pub(crate) attach: Option<Attach>,
    pub(crate) expired: Option<Vec<Expired>>,
    pub(crate) client_certificate: bool,
    pub(crate) uses_client_id: bool,
    pub(crate) uses_client_secret: bool,
    pub(crate) params: Vec<Param>,
    pub(crate) examples: Vec<Example>,
}

impl Dialect {
    /// What errors call the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a person needs to know of it, where the file says so.
    #[must_use]
    pub fn about(&self) -> Option<&About> {
        self.about.as_ref()
    }

    /// The parameters that its templates name, in the order in which the file tells or uses them.
    pub fn params(&self) -> impl ExactSizeIterator<Item = &Param> {
        self.params.iter()
    }

    /// Whether `client_id` has to be given.
    #[must_use]
    pub fn uses_client_id(&self) -> bool {
        self.uses_client_id
    }

    /// Whether `client_secret` has to be given.
    #[must_use]
    pub fn uses_client_secret(&self) -> bool {
        self.uses_client_secret
    }

    /// Whether a client certificate has to be given (mutual TLS).
    #[must_use]
    pub fn uses_client_certificate(&self) -> bool {
        self.client_certificate
    }

    /// The token endpoint as the file writes it.
    #[must_use]
    pub fn url(&self) -> String {
        self.steps
            .first()
            .map_or_else(String::new, |step| step.url.outline(|_| None))
    }

    /// The exchanges that the file gives as examples.
    #[must_use]
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// The names of what the answers export.
    pub(crate) fn exports(&self) -> impl Iterator<Item = &str> {
        let exports = self.steps.iter().flat_map(|step| &step.reads.export);
        exports.map(|(name, _)| &**name)
    }

    /// The hosts that a token, or what an answer gave, may go to.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Template> {
        self.steps
            .iter()
            .flat_map(|step| &step.reads.base_url_hosts)
    }

    /// Where an answer of `asked` may say that the API, or the next request's address, is.
    pub(crate) fn base_urls(&self, values: &Values<'_>, asked: &Url) -> BaseUrls {
        let hosts: Vec<_> = self
            .hosts()
            .filter_map(|host| host_name(host, values))
            .collect();
        BaseUrls::at(&hosts, asked)
    }

    pub(crate) fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| &*param.name == name)
    }
}

/// A host, rendered. A parameter that names one may be an origin.
fn host_name<'v>(host: &'v Template, values: &Values<'v>) -> Option<Cow<'v, str>> {
    let text = host.render(values)?;
    if !text.contains("://") {
        return Some(text);
    }
    let url = Url::parse(&text).ok()?;
    url.host_str().map(|host| host.to_owned().into())
}

/// Its name only: a file may hold a secret.
impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialect")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A parameter of a dialect: what its templates name and a configuration gives.
#[derive(Clone, Debug)]
pub struct Param {
    pub(crate) name: Box<str>,
    pub(crate) says: Box<str>,
    pub(crate) secret: bool,
    pub(crate) optional: bool,
    pub(crate) declared: bool,
    /// Whether it is part of an address, and so of who the provider is.
    pub(crate) in_url: bool,
    /// Where a template names it first.
    pub(crate) line: usize,
}

impl Param {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, in the file's words.
    #[must_use]
    pub fn says(&self) -> &str {
        &self.says
    }

    /// Whether it is a secret. What a file doesn't say anything about may be one.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.secret || !self.declared
    }

    /// Whether it may be left out; what names it is then not sent.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.optional
    }
}
