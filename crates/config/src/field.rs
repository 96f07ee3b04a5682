//! [`Field`]: a key that a kind of provider takes.

/// A key that a kind of provider takes. The reader, the JSON Schema and the redaction of
/// `config show` all go by it.
#[derive(Clone, Debug)]
pub struct Field {
    pub(crate) name: &'static str,
    pub(crate) ty: FieldType,
    pub(crate) required: bool,
    pub(crate) per_request: bool,
    about: &'static str,
}

/// What a key's value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldType {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Bool,
    /// An https URL (or http to loopback).
    Url,
    /// A list of strings, or one.
    Texts,
    /// A list of scopes, or one string with spaces between them.
    Scopes,
    /// A secret: `env:NAME`, `file:PATH`, `{ cmd = ["argv", …] }`, the secret itself, or a list of
    /// these.
    Secret,
    /// A client identifier: what a secret can be, but no secret (RFC 6749 §2.2), so that it may be
    /// shown.
    Identifier,
    /// A date: `2026-03-01`.
    Date,
    /// A number, whole or not.
    Number,
    /// A duration: seconds as a number, or a string with a unit (`"500ms"`, `"30s"`, `"5m"`,
    /// `"1h"`, `"1d"`).
    Duration,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A table whose keys the kind itself knows.
    Table,
    /// A table whose values may be secrets, so that none of them is shown.
    SecretTable,
    /// Anything; the kind reads it itself.
    Any,
}

impl FieldType {
    /// What was expected, in words for an error.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Text => "a string".into(),
            Self::Integer => "a whole number".into(),
            Self::Bool => "true or false".into(),
            Self::Url => {
                "an https URL without a user name (http only to this machine)".into()
            },
            Self::Texts => "a string or a list of strings".into(),
            Self::Scopes => "a list of scopes, or one string with spaces between them".into(),
            Self::Secret => {
                "a secret: \"env:NAME\", \"file:PATH\", { cmd = [\"argv\", …] }, the secret \
                 itself, or a list of these"
                    .into()
            }
            Self::Identifier => {
                "an identifier: the text itself, \"env:NAME\", \"file:PATH\", { cmd = [\"argv\", …] }, \
                 or a list of these"
                    .into()
            }
            Self::Date => "a date like 2026-03-01".into(),
            Self::Number => "a number".into(),
            Self::Duration => {
                "a duration: seconds, or a text such as \"500ms\", \"30s\", \"5m\", \"1h\"".into()
            }
            Self::Choice(choices) => format!("one of {}", choices.join(", ")),
            Self::Table | Self::SecretTable => "a table".into(),
            Self::Any => "a value".into(),
        }
    }

    /// Whether values of this type must never be shown.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretTable)
    }
}

impl Field {
    /// A key and what its value has to be.
    #[must_use]
    pub const fn new(name: &'static str, ty: FieldType) -> Self {
        Self {
            name,
            ty,
            required: false,
            per_request: false,
            about: "",
        }
    }

    /// The key must be there.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The value is a default for a parameter of the token request, which an application may set
    /// for each call (`.param(…)`, `--param`).
    #[must_use]
    pub const fn per_request(mut self) -> Self {
        self.per_request = true;
        self
    }

    /// Says in a sentence what it is.
    #[must_use]
    pub const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// The key.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What its value has to be.
    #[must_use]
    pub fn ty(&self) -> FieldType {
        self.ty
    }

    /// Whether it must be there.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// What it is, in a sentence.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.about
    }
}

/// The keys that every kind takes.
pub(crate) const COMMON: &[Field] = &[
    Field::new("kind", FieldType::Text)
        .required()
        .about("The kind of provider."),
    Field::new("client_id", FieldType::Identifier).about(
        "The client identifier (RFC 6749 §2.2); like a secret it may be a reference, or a list.",
    ),
    Field::new("client_secret", FieldType::Secret)
        .about("The client secret (RFC 6749 §2.3.1), or a list tried in order."),
    Field::new("credentials", FieldType::Any).about(
        "Instead of client_id and client_secret: a list of { client_id, client_secret }, tried in \
         order.",
    ),
    Field::new("scope", FieldType::Scopes).about("The scopes to ask for (RFC 6749 §3.3)."),
    Field::new("token_endpoint", FieldType::Url)
        .about("The token endpoint, where it is not the vendor's usual one."),
    Field::new("api_base_url", FieldType::Url)
        .about("Where relative API paths go, if the vendor's answer names no base URL."),
];
