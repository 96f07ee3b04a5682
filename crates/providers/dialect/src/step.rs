//! [`Step`]: one request of a dialect, as data.

use std::time::Duration;

use http::{HeaderName, Method};
use serde_json::Value;

use crate::{answer_path::Pointer, response::Reads, template::Template};

/// One request, and how its response is read.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) url: Template,
    pub(crate) method: Method,
    pub(crate) encoding: Encoding,
    pub(crate) auth: Auth,
    /// In the order of sending.
    pub(crate) fields: Vec<Field>,
    pub(crate) query: Vec<Field>,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Option<Template>,
    pub(crate) scope_separator: Box<str>,
    pub(crate) scopes: Box<[Box<str>]>,
    pub(crate) jwt: Option<Jwt>,
    /// Whether the JWT is the token, and nothing is sent.
    pub(crate) is_token: bool,
    pub(crate) reads: Reads,
}

/// How fields are sent.
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

/// Where the client's credentials are sent.
#[derive(Clone, Debug)]
pub(crate) enum Auth {
    /// In the fields; [`Step::fields`] contains them.
    InFields,
    Basic {
        user: Template,
        password: Template,
    },
    /// The JWT as `Authorization: Bearer`.
    Bearer,
    /// Only where templates name them.
    Nowhere,
}

/// A field of a request.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) at: FieldName,
    pub(crate) value: FieldValue,
}

/// The name of a field, or its pointer in a JSON body.
#[derive(Clone, Debug)]
pub(crate) enum FieldName {
    Name(Box<str>),
    Pointer(Pointer),
}

/// The value of a field.
#[derive(Clone, Debug)]
pub(crate) enum FieldValue {
    Text(Template),
    /// A template whose text is a number.
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

/// The name of a header.
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
    /// Cut off the key's text.
    pub(crate) prefix: Option<Box<str>>,
    /// Whether the header has the thumbprint of the key's certificate.
    pub(crate) x5t: bool,
    /// The certificate in PEM; `None`: it is beside the key.
    pub(crate) certificate: Option<Template>,
    /// Further members of the header.
    pub(crate) header: Vec<(Box<str>, FieldValue)>,
    pub(crate) claims: Vec<(Box<str>, FieldValue)>,
    pub(crate) lifetime: u64,
}

pub(crate) const DEFAULT_JWT_LIFETIME: Duration = Duration::from_secs(300);
