//! Contentsquare's token request, and its rules.

use std::fmt;

use biped_core::{Error, ExposeSecret, ParamValue, SecretString, SetParam, TokenRequest};

/// The parameter that names the project. It is required with account-level credentials.
pub const PROJECT_ID: &str = "project_id";

/// The parameter that names the integration. It is required for [`Scope::Enrichment`].
pub const INTEGRATION_ID: &str = "integration_id";

/// Typed methods for Contentsquare's parameters, on a [`TokenRequest`], a `TokenSource` or an
/// `ApiClient`. A source or client keeps its credentials and uses the token of another project.
///
/// ```
/// use biped_contentsquare::{ContentsquareRequest as _, Scope};
/// use biped_core::TokenRequest;
///
/// let typed = TokenRequest::new().scope(Scope::Enrichment).project(42).integration(123);
/// let spelt_out = TokenRequest::new()
///     .scope("enrichment")
///     .param("project_id", 42)
///     .param("integration_id", 123);
/// assert_eq!(typed, spelt_out);
/// ```
pub trait ContentsquareRequest: SetParam {
    /// Sets the project.
    #[must_use]
    fn project(self, id: i64) -> Self {
        self.with_param(PROJECT_ID, id.into())
    }

    /// Sets the integration.
    #[must_use]
    fn integration(self, id: i64) -> Self {
        self.with_param(INTEGRATION_ID, id.into())
    }
}

impl<T: SetParam> ContentsquareRequest for T {}

/// A scope: one of Contentsquare's APIs.
///
/// A scope that this list does not contain is sent unchanged:
/// `TokenRequest::new().scope("brand-new")`, or `Scope::from("brand-new")`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Scope {
    /// The Data Export API: `data-export`.
    DataExport,
    /// The Metrics API: `metrics`.
    Metrics,
    /// The Enrichment API: `enrichment`. It can't be combined with any other scope, and needs an
    /// [integration](ContentsquareRequest::integration).
    Enrichment,
    /// The Speed Analysis Lab API: `speed-analysis`.
    SpeedAnalysis,
    /// `session-replay`, which `/v1/oauth/me` lists.
    SessionReplay,
    /// `symbolicator`, which `/v1/oauth/me` lists.
    Symbolicator,
    /// Any other scope.
    Other(Box<str>),
}

impl Scope {
    /// Returns the scope as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::DataExport => "data-export",
            Self::Metrics => "metrics",
            Self::Enrichment => ENRICHMENT,
            Self::SpeedAnalysis => "speed-analysis",
            Self::SessionReplay => "session-replay",
            Self::Symbolicator => "symbolicator",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for Scope {
    fn from(name: &str) -> Self {
        match name {
            "data-export" => Self::DataExport,
            "metrics" => Self::Metrics,
            ENRICHMENT => Self::Enrichment,
            "speed-analysis" => Self::SpeedAnalysis,
            "session-replay" => Self::SessionReplay,
            "symbolicator" => Self::Symbolicator,
            other => Self::Other(other.into()),
        }
    }
}

/// Two scopes are equal if they are sent as the same text.
impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Scope {}

impl AsRef<str> for Scope {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const ENRICHMENT: &str = "enrichment";

/// A token request that follows the vendor's rules.
pub(crate) struct ProjectRequest {
    scope: String,
    pub(crate) project_id: Option<i64>,
    integration_id: Option<i64>,
}

impl ProjectRequest {
    /// Checks the rules that can be checked without the vendor.
    pub(crate) fn of(request: &TokenRequest) -> Result<Self, Error> {
        for (name, _) in request.params() {
            if ![PROJECT_ID, INTEGRATION_ID].contains(&name) {
                return Err(Error::configuration(format!("unknown parameter {name}"))
                    .with_remedy(format!("expected one of {PROJECT_ID}, {INTEGRATION_ID}")));
            }
        }
        let project_id = number(request, PROJECT_ID)?;
        let integration_id = number(request, INTEGRATION_ID)?;
        let Some(scope) = request.joined_scopes(" ") else {
            return Err(
                Error::configuration("Contentsquare needs a scope").with_remedy(
                    "set scope to the APIs to use: data-export, metrics, speed-analysis, or enrichment \
                     alone",
                ),
            );
        };
        if !stands_alone(request.scope_names()) {
            return Err(Error::configuration(NOT_ALONE).with_remedy(NOT_ALONE_REMEDY));
        }
        if scope == ENRICHMENT && integration_id.is_none() {
            return Err(
                Error::configuration("the scope enrichment needs an integration").with_remedy(
                    "set integration_id to the number of the integration, from Contentsquare",
                ),
            );
        }
        Ok(Self {
            scope,
            project_id,
            integration_id,
        })
    }

    /// The body of the token request.
    pub(crate) fn body<'a>(
        &'a self,
        client_id: &'a str,
        client_secret: &'a SecretString,
    ) -> Body<'a> {
        Body {
            client_id,
            client_secret: client_secret.expose_secret(),
            grant_type: "client_credentials",
            scope: &self.scope,
            project_id: self.project_id,
            integration_id: self.integration_id,
        }
    }
}

/// The body of `POST /v1/oauth/token`, with its fields in the order of the vendor's documentation.
#[derive(serde::Serialize)]
pub(crate) struct Body<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    grant_type: &'static str,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integration_id: Option<i64>,
}

/// The body of `POST /v1/oauth/me`.
#[derive(serde::Serialize)]
pub(crate) struct MeBody<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) client_secret: &'a str,
}

pub(crate) const NOT_ALONE: &str =
    "the scope enrichment can't be combined with any other scope in one token";
pub(crate) const NOT_ALONE_REMEDY: &str =
    "use a separate provider, or a separate request, with scope = \"enrichment\"";

/// Whether `enrichment`, if present, is the only scope.
pub(crate) fn stands_alone<'a>(mut scopes: impl Iterator<Item = &'a str>) -> bool {
    let first = scopes.next() == Some(ENRICHMENT);
    scopes.all(|scope| (scope == ENRICHMENT) == first)
}

fn number(request: &TokenRequest, name: &str) -> Result<Option<i64>, Error> {
    request.value(name).map_or(Ok(None), |value| match value {
        ParamValue::Integer(number) => Ok(Some(*number)),
        _ => Err(
            Error::configuration(format!("parameter {name}: expected an integer"))
                .with_remedy(format!("write a number without quotes: {name} = 42")),
        ),
    })
}

#[cfg(test)]
mod tests {
    use biped_core::ErrorKind;

    use super::*;

    fn refusal(request: &TokenRequest) -> Option<ErrorKind> {
        ProjectRequest::of(request).err().map(|error| error.kind())
    }

    #[test]
    fn scopes_combine_unless_one_is_enrichment() {
        let both = TokenRequest::new().scopes([Scope::Metrics, Scope::DataExport]);
        assert_eq!(
            ProjectRequest::of(&both).unwrap().scope,
            "metrics data-export"
        );
        let broken = TokenRequest::new()
            .scope("data-export enrichment")
            .integration(1);
        assert_eq!(refusal(&broken), Some(ErrorKind::Configuration));
    }

    #[test]
    fn enrichment_needs_an_integration() {
        let request = TokenRequest::new().scope(Scope::Enrichment).project(42);
        assert_eq!(refusal(&request), Some(ErrorKind::Configuration));
        assert_eq!(refusal(&request.integration(123)), None);
    }

    #[test]
    fn a_request_without_scope_breaks_a_rule() {
        assert_eq!(
            refusal(&TokenRequest::new().project(42)),
            Some(ErrorKind::Configuration)
        );
    }

    #[test]
    fn an_integration_goes_along_with_any_scope() {
        let request = TokenRequest::new()
            .scope(Scope::DataExport)
            .integration(123);
        assert_eq!(
            ProjectRequest::of(&request).unwrap().integration_id,
            Some(123)
        );
    }

    #[test]
    fn scopes_that_nobody_knows_are_sent() {
        let request = TokenRequest::new().scope(Scope::from("brand-new"));
        assert_eq!(ProjectRequest::of(&request).unwrap().scope, "brand-new");
        assert_eq!(Scope::Other("metrics".into()), Scope::Metrics);
    }

    #[test]
    fn ids_that_are_no_numbers_and_parameters_that_nobody_knows_break_a_rule() {
        let base = TokenRequest::new().scope(Scope::Metrics);
        for request in [
            base.clone().param(PROJECT_ID, "42"),
            base.clone().param(PROJECT_ID, true),
            base.clone().param(INTEGRATION_ID, "123"),
            base.clone().param("project", 42),
        ] {
            assert_eq!(
                refusal(&request),
                Some(ErrorKind::Configuration),
                "{request}"
            );
        }
    }
}
