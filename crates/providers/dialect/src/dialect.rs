//! [`Dialect`]: how one vendor issues tokens, as data.

use std::{borrow::Cow, fmt};

use biped_core::{BaseUrls, RejectionRule};
use url::Url;

use crate::{
    about::About,
    attach::Attach,
    example::Example,
    step::Step,
    template::{Template, Values},
};

/// How one vendor issues tokens: a file of a few lines, compiled when it is loaded.
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
    /// The digest of the whole file: two files that differ get different tokens.
    pub(crate) digest: Box<str>,
    pub(crate) about: Option<About>,
    /// The token request, then the requests that follow.
    pub(crate) steps: Vec<Step>,
    /// The request that ends a token.
    pub(crate) revoke: Option<Step>,
    pub(crate) attach: Option<Attach>,
    pub(crate) expired: Option<Vec<RejectionRule>>,
    pub(crate) client_certificate: bool,
    pub(crate) uses_client_id: bool,
    pub(crate) uses_client_secret: bool,
    pub(crate) params: Vec<Param>,
    pub(crate) examples: Vec<Example>,
}

impl Dialect {
    /// Returns the name of the file in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the description of the vendor, if the file has one.
    #[must_use]
    pub fn about(&self) -> Option<&About> {
        self.about.as_ref()
    }

    /// Returns the parameters, in the order in which the file declares or uses them.
    pub fn params(&self) -> impl ExactSizeIterator<Item = &Param> {
        self.params.iter()
    }

    /// Returns whether `client_id` is required.
    #[must_use]
    pub fn uses_client_id(&self) -> bool {
        self.uses_client_id
    }

    /// Returns whether `client_secret` is required.
    #[must_use]
    pub fn uses_client_secret(&self) -> bool {
        self.uses_client_secret
    }

    /// Returns whether a client certificate is required (mutual TLS).
    #[must_use]
    pub fn uses_client_certificate(&self) -> bool {
        self.client_certificate
    }

    /// Returns the token endpoint as the file writes it, with its parameters.
    #[must_use]
    pub fn url(&self) -> String {
        self.steps
            .first()
            .map_or_else(String::new, |step| step.url.outline(|_| None))
    }

    /// Returns the examples of the file.
    #[must_use]
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// The names of the values that responses export.
    pub(crate) fn exports(&self) -> impl Iterator<Item = &str> {
        let exports = self.steps.iter().flat_map(|step| &step.reads.export);
        exports.map(|(name, _)| &**name)
    }

    /// The hosts that a token, or a value from a response, may be sent to.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Template> {
        self.steps
            .iter()
            .flat_map(|step| &step.reads.base_url_hosts)
    }

    /// The base URLs, and the URLs of further requests, that a response of `asked` may name.
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

/// Renders a host. A parameter may contain an origin instead of a host.
fn host_name<'v>(host: &'v Template, values: &Values<'v>) -> Option<Cow<'v, str>> {
    let text = host.render(values)?;
    if !text.contains("://") {
        return Some(text);
    }
    let url = Url::parse(&text).ok()?;
    url.host_str().map(|host| host.to_owned().into())
}

/// Shows the name only: a file may contain a secret.
impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialect")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A parameter of a dialect: its templates name it, and the configuration gives its value.
#[derive(Clone, Debug)]
pub struct Param {
    pub(crate) name: Box<str>,
    pub(crate) says: Box<str>,
    pub(crate) secret: bool,
    pub(crate) optional: bool,
    pub(crate) declared: bool,
    /// Whether it is part of a URL, and so of the provider's identity.
    pub(crate) in_url: bool,
    /// The line of the first template that names it; 0 if there is none yet.
    pub(crate) line: usize,
}

impl Param {
    /// Returns the parameter's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the description in the file.
    #[must_use]
    pub fn says(&self) -> &str {
        &self.says
    }

    /// Returns whether the value is a secret, or may be one because the file does not declare it.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.secret || !self.declared
    }

    /// Returns whether the parameter may be omitted. Whatever names it is then not sent.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.optional
    }
}
