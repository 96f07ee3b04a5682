//! [`GrantRequest`]: what a token request says, apart from who the client is.

use biped_core::{Error, ParamValue, TokenRequest};

/// The parameter that names the APIs that the token is for, by their URLs (RFC 8707 §2).
pub const RESOURCE: &str = "resource";

/// The parameter that names the API that the token is for, for servers that use it instead of
/// [`RESOURCE`].
pub const AUDIENCE: &str = "audience";

/// The parameters that the provider writes itself.
const RESERVED: [&str; 15] = [
    "grant_type",
    "scope",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "assertion",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "refresh_token",
    "username",
    "password",
];

/// The scopes and parameters of a token request, checked by the rules of the standard.
#[derive(Debug)]
pub(crate) struct GrantRequest {
    scopes: Vec<String>,
    /// Whether the scopes are those that the API asks for.
    are_of_api: bool,
    fields: Vec<(String, String)>,
}

impl GrantRequest {
    /// The request's parameters, and the `fixed` ones of the provider that the request does not set.
    pub(crate) fn of(
        request: &TokenRequest,
        fixed: &[(String, ParamValue)],
    ) -> Result<Self, Error> {
        let mut fields = Vec::new();
        let inherited = fixed
            .iter()
            .filter(|(name, _)| request.value(name).is_none())
            .map(|(name, value)| (name.as_str(), value));
        for (name, value) in inherited.chain(request.params()) {
            check_name(name)?;
            match value {
                ParamValue::List(all) => {
                    fields.extend(all.iter().map(|text| (name.to_owned(), text.to_string())));
                }
                one => fields.push((name.to_owned(), one.to_string())),
            }
        }
        for (_, resource) in fields.iter().filter(|(name, _)| name == RESOURCE) {
            check_resource(resource)?;
        }
        Ok(Self {
            scopes: request.scope_names().map(Into::into).collect(),
            are_of_api: false,
            fields,
        })
    }

    /// Names the API that the token is for, and the scopes that the API asks for, unless the request says
    /// otherwise.
    pub(crate) fn for_resource(&mut self, resource: Option<&str>, scopes: &[String]) {
        if let Some(resource) = resource
            && !self.fields.iter().any(|(name, _)| name == RESOURCE)
        {
            self.fields.push((RESOURCE.to_owned(), resource.to_owned()));
        }
        if self.scopes.is_empty() {
            self.scopes = scopes.to_vec();
            self.are_of_api = true;
        }
    }

    /// The scopes that the API asks for, if they are requested: what a response without a scope grants
    /// (RFC 6749 §5.1), and the caller does not know.
    pub(crate) fn scope_of_api(&self) -> Option<String> {
        (self.are_of_api && !self.scopes.is_empty()).then(|| self.scopes.join(" "))
    }

    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(String::as_str)
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Refuses the parameters that the provider writes itself.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if RESERVED.contains(&name) {
        return Err(Error::configuration(format!(
            "{name} can't be set as a parameter, because the provider sets it"
        ))
        .with_remedy("remove it"));
    }
    Ok(())
}

/// RFC 8707 §2: an absolute URI without fragment. What is no URI is sent, since some servers name their
/// APIs so.
fn check_resource(text: &str) -> Result<(), Error> {
    let wrong = match url::Url::parse(text) {
        Ok(url) if url.fragment().is_some() => "a resource must not have a fragment",
        _ if text.trim().is_empty() => "a resource must not be empty",
        _ => return Ok(()),
    };
    Err(Error::configuration(wrong).with_remedy("if the server names APIs otherwise, set audience"))
}

/// Returns what is odd about the resources of a request.
pub(crate) fn warning(request: &TokenRequest, fixed: &[(String, ParamValue)]) -> Option<String> {
    let fixed = fixed.iter().find(|(name, _)| name == RESOURCE);
    let resources = request.value(RESOURCE).or(fixed.map(|(_, value)| value))?;
    let is_odd = |text: &str| url::Url::parse(text).is_err();
    let is_odd = match resources {
        ParamValue::List(all) => all.iter().any(|text| is_odd(text)),
        one => is_odd(&one.to_string()),
    };
    is_odd.then(|| {
        "resource is not a URI, as RFC 8707 wants it; it is sent as it is, and the server may refuse it"
            .to_owned()
    })
}
