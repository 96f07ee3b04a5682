//! [`Field`]: a declared key of the configuration.

/// A declared key of a provider, a store or a section. The reader, the JSON Schema and the redaction
/// of `config show` all use the declaration.
#[derive(Clone, Debug)]
pub struct Field {
    pub(crate) name: &'static str,
    pub(crate) ty: FieldType,
    pub(crate) required: bool,
    pub(crate) per_request: bool,
    about: &'static str,
    members: Option<Members>,
}

/// The keys of the tables that a value consists of, for the JSON Schema.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Members {
    /// The value is a table with these keys.
    Table(&'static [Field]),
    /// The value is a list of tables with these keys.
    List(&'static [Field]),
    /// The value is a table whose names are free, and whose values are tables with these keys.
    Named(&'static [Field]),
}

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldType {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Bool,
    /// An https URL (or http to loopback, or to a server that `plain_http` lists).
    Url,
    /// A list of strings, or one.
    Texts,
    /// A list of strings, or one; or `false` for none, where there would be some otherwise.
    TextsOrFalse,
    /// A list of scopes, or one string with spaces between them.
    Scopes,
    /// A secret: `env:NAME`, `file:PATH`, `{ cmd = ["argv", …] }`, the secret itself, or a list of
    /// these. `env:NAME#/POINTER`, `file:PATH#/POINTER` and `{ cmd = […], at = "/POINTER" }` are a field
    /// of the JSON there.
    Secret,
    /// A client identifier. It is written like a secret, but may be shown (RFC 6749 §2.2).
    Identifier,
    /// A private key: a secret, or a table that names who signs with it.
    Key,
    /// Where a token that another party makes is found: a secret, or a table that names its source.
    TokenSource,
    /// A date: `2026-03-01`.
    Date,
    /// A number, whole or not.
    Number,
    /// A duration: seconds as a number, or a string with a unit (`"500ms"`, `"30s"`, `"5m"`,
    /// `"1h"`, `"1d"`).
    Duration,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A table. Its reader knows the keys. All its values are shown: a table that may hold a secret is a
    /// [`SecretTable`](Self::SecretTable).
    Table,
    /// A table whose values may be secrets; only references are shown.
    SecretTable,
    /// Any value. Its reader checks it.
    Any,
}

impl FieldType {
    /// Returns what an error calls the type.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Text => "a string".into(),
            Self::Integer => "a whole number".into(),
            Self::Bool => "true or false".into(),
            Self::Url => {
                "an https URL without user name and fragment (http only to this machine)".into()
            },
            Self::Texts => "a string or a list of strings".into(),
            Self::TextsOrFalse => "a string, a list of strings, or false".into(),
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
            Self::Key => {
                "a private key: \"file:PATH\", \"env:NAME\", { cmd = [\"argv\", …] }, or who \
                 signs: { signer = [\"argv\", …], public = \"file:PATH\" }, { pkcs11 = \"pkcs11:…\" } or \
                 { vault = \"NAME\" }"
                    .into()
            }
            Self::TokenSource => {
                "a token source: \"file:PATH\", \"env:NAME\", { cmd = [\"argv\", …] }, or a table such \
                 as { github = { audience = \"…\" } }"
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

    /// Returns whether values of this type must never be shown.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(
            self,
            Self::Secret | Self::SecretTable | Self::TokenSource | Self::Key
        )
    }
}

impl Field {
    /// Creates a field: a key and the type of its value.
    #[must_use]
    pub const fn new(name: &'static str, ty: FieldType) -> Self {
        Self {
            name,
            ty,
            required: false,
            per_request: false,
            about: "",
            members: None,
        }
    }

    /// Makes the key required.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Makes the value the default of a parameter of the token request, which an application may set
    /// for each call (`.param(…)`, `--param`).
    #[must_use]
    pub const fn per_request(mut self) -> Self {
        self.per_request = true;
        self
    }

    /// Sets a sentence that describes the key.
    #[must_use]
    pub const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// Says which keys the tables of its value have.
    #[must_use]
    pub const fn members(mut self, members: Members) -> Self {
        self.members = Some(members);
        self
    }

    /// Returns which keys the tables of its value have, if it says so.
    #[must_use]
    pub fn inside(&self) -> Option<Members> {
        self.members
    }

    /// Returns the key.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the type of its value.
    #[must_use]
    pub fn ty(&self) -> FieldType {
        self.ty
    }

    /// Returns whether the key is required.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Returns the sentence that describes the key.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.about
    }
}

/// The key of the API's base URL.
pub(crate) const API_BASE_URL: &str = "api_base_url";
/// The key that lists the servers which are asked without TLS.
pub(crate) const PLAIN_HTTP: &str = "plain_http";

/// The keys that every kind of provider takes.
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
    Field::new("tenant", FieldType::Text).about(
        "A regular expression for the names of tenants, whose credentials are found by {tenant} in \
         references, URLs, params and scope; default: no tenants.",
    ),
    Field::new("scope", FieldType::Scopes).about("The scopes to ask for (RFC 6749 §3.3)."),
    Field::new("token_endpoint", FieldType::Url)
        .about("The token endpoint, if it is not the vendor's usual one."),
    Field::new(API_BASE_URL, FieldType::Url)
        .about("Where relative API paths go, if the vendor's answer names no base URL."),
    Field::new(PLAIN_HTTP, FieldType::Texts).about(
        "The servers that are asked without TLS, by host and port, such as keycloak.auth.svc:8080: for \
         a service mesh, which encrypts the connection.",
    ),
    Field::new("http", FieldType::Table).about(
        "How this provider's connections are made, for token requests and API calls: the keys of \
         [http], which they override.",
    ),
];
