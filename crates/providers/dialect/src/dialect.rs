//! [`Dialect`]: how one vendor spells the exchange, compiled.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use biped_config::Problem;
use biped_core::{BaseUrls, Error, Lifetime, Timestamp, Token};
use bytes::Bytes;
use http::{HeaderName, Method};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::{
    about::About,
    answer::{Asked, Gained},
    compile,
    example::Example,
    expiry::Expiry,
    place::{Place, Pointer},
    source::{Faults, parse},
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
    /// Loads a dialect; `name` is what errors call its file.
    ///
    /// # Errors
    /// Everything that is wrong with the text, each with its line: a key that is not in the schema,
    /// a template that names an unknown parameter, a pointer that isn't one. No value is quoted.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, LoadError> {
        let faults = Faults::of(name);
        let table = parse(text, &faults);
        // What follows a slip of syntax would only be told wrong.
        let compiled = if faults.is_empty() {
            compile::dialect(&table, name, digest(text), &faults)
        } else {
            None
        };
        match compiled {
            Some(dialect) if faults.is_empty() => Ok(dialect),
            _ => Err(LoadError {
                problems: faults.into_problems().into(),
            }),
        }
    }

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

    /// Reads an answer to the token request, sent at `sent_at`: what [`Vendor`](crate::Vendor) does
    /// with it, before any further request.
    ///
    /// # Errors
    /// As [`Provider::fetch`](biped_core::Provider::fetch) for what the answer says. A base URL in it
    /// is checked against hosts without parameters only.
    pub fn read_token(
        &self,
        response: &http::Response<Bytes>,
        sent_at: Timestamp,
    ) -> Result<Token, Error> {
        let Some(step) = self.steps.first() else {
            return Err(Error::internal("a dialect without a request"));
        };
        let values = Values {
            client_id: None,
            client_secret: None,
            scope: None,
            url: None,
            token: None,
            uuid: "",
            now: sent_at,
            named: &[],
        };
        let asked = Asked {
            dialect: self,
            url: &Url::parse("https://vendor.invalid")
                .map_err(|_| Error::internal("a URL of this crate is none"))?,
            sent_at,
            now: sent_at,
            is_more_to_come: false,
            values: &values,
        };
        let mut gained = Gained::default();
        gained.take(&step.reads, response, &asked)?;
        gained.build()
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

fn digest(text: &str) -> Box<str> {
    let digest = Sha256::digest(text);
    hex(&digest[..16]).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// Everything that is wrong with a dialect.
#[derive(Clone, Debug)]
pub struct LoadError {
    problems: Arc<[Problem]>,
}

impl LoadError {
    /// The problems, in the order of their lines.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// One request, and how its answer is read.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) url: Template,
    pub(crate) method: Method,
    pub(crate) encoding: Encoding,
    pub(crate) auth: Auth,
    /// In the order in which they are sent.
    pub(crate) fields: Vec<Field>,
    pub(crate) query: Vec<Field>,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Option<Template>,
    pub(crate) scope_separator: Box<str>,
    pub(crate) scopes: Box<[Box<str>]>,
    pub(crate) jwt: Option<Jwt>,
    pub(crate) reads: Reads,
}

/// How fields travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Form,
    Json,
    Query,
    Text,
    None,
}

impl Encoding {
    pub(crate) fn carries_fields(self) -> bool {
        matches!(self, Self::Form | Self::Json | Self::Query)
    }
}

/// Where the client's credentials go.
#[derive(Clone, Debug)]
pub(crate) enum Auth {
    /// Among the fields, which [`Step::fields`] holds already.
    InFields,
    Basic {
        user: Template,
        password: Template,
    },
    /// The JWT as `Authorization: Bearer`.
    Bearer,
    /// Nowhere but where templates name them.
    Nowhere,
}

/// A field of a request.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) at: FieldName,
    pub(crate) value: FieldValue,
}

/// What a field is called, or where in a JSON body it stands.
#[derive(Clone, Debug)]
pub(crate) enum FieldName {
    Name(Box<str>),
    Pointer(Pointer),
}

/// What a field says.
#[derive(Clone, Debug)]
pub(crate) enum FieldValue {
    Text(Template),
    /// A number that a template makes.
    Number(Template),
    Fixed(Value),
    List(Vec<FieldValue>),
    /// The signed JWT.
    Assertion,
}

/// A header of a request.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) name: HeaderTitle,
    pub(crate) value: Template,
}

/// What a header is called.
#[derive(Clone, Debug)]
pub(crate) enum HeaderTitle {
    Fixed(HeaderName),
    Made(Template),
}

/// A JWT to sign.
#[derive(Clone, Debug)]
pub(crate) struct Jwt {
    pub(crate) alg: jsonwebtoken::Algorithm,
    pub(crate) key: Template,
    pub(crate) kid: Option<Template>,
    pub(crate) claims: Vec<(Box<str>, FieldValue)>,
    pub(crate) lifetime: u64,
}

/// How an answer is read.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    /// The keys of a good answer that matter; `None`: all of it does.
    pub(crate) wanted: Option<Box<[Box<str>]>>,
    pub(crate) is_text: bool,
    /// `None`: this answer brings no token of its own.
    pub(crate) token: Option<Place>,
    /// Whether an answer without a token is an error.
    pub(crate) needs_token: bool,
    pub(crate) expires: Option<Expiry>,
    pub(crate) lifetime: Option<Lifetime>,
    pub(crate) base_url: Option<Place>,
    pub(crate) base_url_hosts: Vec<Template>,
    pub(crate) export: Vec<(Box<str>, Place)>,
    pub(crate) ok: Option<Success>,
    pub(crate) words: Words,
    pub(crate) token_type: Place,
    pub(crate) scope: Place,
}

/// The flag in a body that tells a success.
#[derive(Clone, Debug)]
pub(crate) struct Success {
    pub(crate) at: Place,
    pub(crate) equals: Value,
    pub(crate) or_absent: bool,
}

/// Where an answer's error words are.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    pub(crate) code: Option<Place>,
    pub(crate) reason: Option<Place>,
    pub(crate) message: Option<Place>,
}

/// How an API request carries the token.
#[derive(Clone, Debug)]
pub(crate) struct Attach {
    pub(crate) headers: Vec<Header>,
    pub(crate) query: Vec<(Box<str>, Template)>,
    pub(crate) basic: Option<(Template, Template)>,
}

/// An API answer that rejects the token: all that is given must hold.
#[derive(Clone, Debug)]
pub(crate) struct Expired {
    pub(crate) status: Option<Vec<u16>>,
    pub(crate) body: Option<(Place, Vec<Value>)>,
}

pub(crate) const DEFAULT_JWT_LIFETIME: Duration = Duration::from_secs(300);
