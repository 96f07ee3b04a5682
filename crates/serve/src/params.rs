//! Which of a provider's tokens a request wants: parameters, scopes, and a least life.

use std::time::Duration;

use biped::TokenSource;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::{callers::Identity, live::Served, problem::Problem, target::percent_decoded};

const PARAM: HeaderName = HeaderName::from_static("biped-param");
const SCOPE: HeaderName = HeaderName::from_static("biped-scope");
const TENANT: HeaderName = HeaderName::from_static("biped-tenant");
const MIN_TTL: HeaderName = HeaderName::from_static("biped-min-ttl");

/// The longest name that an answer shows.
const MAX_SHOWN: usize = 32;

/// What a request asks for beside the provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenSelection {
    params: Vec<(String, String)>,
    scope: Option<String>,
    tenant: Option<String>,
    pub(crate) min_ttl: Option<Duration>,
}

impl TokenSelection {
    /// Reads the parameters in a path and in `Biped-…` headers.
    pub(crate) fn read(path: &[(&str, &str)], headers: &HeaderMap) -> Result<Self, Problem> {
        let mut selection = Self::default();
        for (name, value) in path {
            let (Some(name), Some(value)) = (percent_decoded(name), percent_decoded(value)) else {
                return Err(wrong(
                    "a parameter in the path is not percent-encoded UTF-8",
                ));
            };
            selection.add(&name, value)?;
        }
        for value in headers.get_all(PARAM) {
            let text = value.to_str().ok();
            let pair = text.and_then(|text| text.split_once('='));
            let Some((name, value)) = pair else {
                return Err(wrong("Biped-Param: expected NAME=VALUE"));
            };
            let value = percent_decoded(value.trim())
                .ok_or_else(|| wrong("Biped-Param: expected a percent-encoded value"))?;
            let name = name.trim();
            if matches!(name, "scope" | "tenant") {
                return Err(wrong(
                    "Biped-Param: use Biped-Scope or Biped-Tenant for this",
                ));
            }
            selection.add(name, value)?;
        }
        if let Some(scope) = one(headers, &SCOPE)? {
            selection.add("scope", scope.to_owned())?;
        }
        if let Some(tenant) = one(headers, &TENANT)? {
            selection.add("tenant", tenant.to_owned())?;
        }
        if let Some(seconds) = one(headers, &MIN_TTL)? {
            selection.min_ttl = Some(
                whole_seconds(seconds)
                    .ok_or_else(|| wrong("Biped-Min-TTL: expected a whole number of seconds"))?,
            );
        }
        Ok(selection)
    }

    /// Adds a parameter, the scope or the tenant, each of which may be given once.
    pub(crate) fn add(&mut self, name: &str, value: String) -> Result<(), Problem> {
        if name == "tenant" {
            return match self.tenant.replace(value) {
                None => Ok(()),
                Some(_) => Err(wrong("the tenant is given twice")),
            };
        }
        if name == "scope" {
            return match self.scope.replace(value) {
                None => Ok(()),
                Some(_) => Err(wrong("the scope is given twice")),
            };
        }
        if self.params.iter().any(|(known, _)| known == name) {
            return Err(wrong(&format!(
                "{} is given twice",
                named("parameter", name)
            )));
        }
        self.params.push((name.to_owned(), value));
        Ok(())
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.params.is_empty() && self.scope.is_none() && self.tenant.is_none()
    }

    /// What tells this selection from others.
    pub(crate) fn key(&self, provider: &str) -> String {
        let mut params = self.params.clone();
        params.sort();
        format!(
            "{provider}\n{params:?}\n{:?}\n{:?}",
            self.scope, self.tenant
        )
    }

    /// The source of the tokens that are wanted, if the provider's settings allow the parameters, and
    /// the caller may name the tenant.
    pub(crate) fn source(
        &self,
        served: &Served,
        caller: &Identity,
    ) -> Result<TokenSource, Problem> {
        let mut source = self.tenant_source(served, caller)?;
        for (name, value) in &self.params {
            if !served.settings.params.contains(name) {
                return Err(forbidden(format!(
                    "{} is not allowed; list it in params of [serve.providers.{}]",
                    named("parameter", name),
                    served.name
                )));
            }
            let value = served.provider.param(name, value).map_err(|error| {
                let detail = biped::provider::wire::escaped(error.message()).into_owned();
                Problem::new("parameter", detail).status(StatusCode::BAD_REQUEST)
            })?;
            source = source.param(name, value);
        }
        if let Some(scope) = &self.scope {
            if !self.is_scope_allowed(served) {
                return Err(forbidden(scope_not_allowed(served)));
            }
            source = source.with_scopes(scope);
        }
        Ok(source)
    }

    /// Whether the provider's settings list each scope that is wanted.
    pub(crate) fn is_scope_allowed(&self, served: &Served) -> bool {
        let allowed = &served.settings.scopes;
        let mut words = self.scope.iter().flat_map(|it| it.split_ascii_whitespace());
        words.all(|word| allowed.iter().any(|known| known == word))
    }

    /// The provider's source, or that of a tenant.
    fn tenant_source(&self, served: &Served, caller: &Identity) -> Result<TokenSource, Problem> {
        let tenants = served.provider.provider().tenants();
        let Some(tenant) = &self.tenant else {
            return match tenants {
                None => Ok(served.source.clone()),
                Some(_) => Err(wrong(
                    "the provider has tenants, and the request names none; send Biped-Tenant",
                )),
            };
        };
        let Some(tenants) = tenants.filter(|_| served.settings.tenants) else {
            return Err(forbidden(format!(
                "a tenant is not allowed; set tenants = true in [serve.providers.{}]",
                served.name
            )));
        };
        if caller
            .as_ref()
            .is_some_and(|caller| !caller.may_name(tenant))
        {
            return Err(forbidden(
                "this caller may not name the tenant; list it in tenants of the caller",
            ));
        }
        if let Err(error) = tenants.tenant(tenant, served.source.request()) {
            return Err(wrong(&biped::provider::wire::escaped(error.message())));
        }
        Ok(served.source.tenant(tenant))
    }
}

/// The value of a header that may be given once.
pub(crate) fn one<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h str>, Problem> {
    let mut all = headers.get_all(name).iter();
    let Some(value) = all.next() else {
        return Ok(None);
    };
    match (value.to_str(), all.next()) {
        (Ok(text), None) => Ok(Some(text.trim())),
        _ => Err(wrong(&format!(
            "expected one {name} header, of visible ASCII"
        ))),
    }
}

/// Reads a whole number of seconds, of at most a year.
pub(crate) fn whole_seconds(text: &str) -> Option<Duration> {
    let seconds: u64 = text.parse().ok()?;
    (seconds <= 365 * 86_400).then(|| Duration::from_secs(seconds))
}

pub(crate) fn wrong(what: &str) -> Problem {
    Problem::new("parameter", what).status(StatusCode::BAD_REQUEST)
}

/// A parameter or a field by its name; without it where the name may be something else, such as a secret
/// that was sent in its place.
pub(crate) fn named(what: &str, name: &str) -> String {
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    match is_plain && (1..=MAX_SHOWN).contains(&name.len()) {
        true => format!("the {what} {name}"),
        false => format!("a {what}"),
    }
}

pub(crate) fn scope_not_allowed(served: &Served) -> String {
    let name = &served.name;
    format!("a scope is not allowed; list it in scopes of [serve.providers.{name}]")
}

fn forbidden(what: impl Into<String>) -> Problem {
    Problem::new("parameter", what)
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn only_what_can_be_a_name_is_shown_as_one() {
        assert_eq!(named("field", "audience"), "the field audience");
        let long = "a".repeat(33);
        for other in [
            "",
            "{\"client_secret\":\"s3cret\"}",
            "s3cret+/",
            "two words",
            &*long,
        ] {
            assert_eq!(named("field", other), "a field");
        }
    }
}
