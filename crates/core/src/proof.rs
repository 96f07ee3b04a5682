//! [`Proof`]: how a client proves who it is, for people.

use std::borrow::Cow;

use crate::Timestamp;

/// How a client proves who it is, and what its proof says. It holds no secret and no token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// The client authentication method, or the grant: `client_secret_basic`, `client_assertion`.
    pub method: Option<Cow<'static, str>>,
    /// Where what is presented is from: `github`, `file:/run/t`, `env:CRM_SECRET`.
    pub source: Option<String>,
    /// The `iss` of a presented JWT.
    pub issuer: Option<String>,
    /// The `sub` of a presented JWT.
    pub subject: Option<String>,
    /// The `aud` of a presented JWT.
    pub audience: Vec<String>,
    /// The `exp` of a presented JWT.
    pub expires_at: Option<Timestamp>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl Proof {
    /// Creates a proof by this method, of what is found at `source`.
    #[must_use]
    pub fn new(method: impl Into<Cow<'static, str>>, source: Option<String>) -> Self {
        Self {
            method: Some(method.into()),
            source,
            ..Self::default()
        }
    }
}
