//! [`describe_api`]: what an API says about itself, before anything is configured.

use biped_core::{Error, FetchContext};

use super::{
    address::{Api, check_found_issuer},
    names_nobody,
    search::{Search, search},
};
use crate::metadata;

/// What an API and the authorization server that it names say about themselves (RFC 9728, RFC 8414).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiDescription {
    /// What the API calls itself.
    pub resource: String,
    /// The authorization servers that it trusts, by their issuer identifiers; at least one.
    pub issuers: Vec<String>,
    /// The scopes that it asks for, or lists.
    pub scopes: Vec<String>,
    /// The client authentication methods that the first of the servers lists; empty if it lists none.
    pub methods: Vec<String>,
}

/// Asks an API what tokens it wants, and the first authorization server that it names how clients
/// authenticate. No credential is sent.
///
/// ```no_run
/// # async fn example(cx: &biped_core::FetchContext<'_>) -> Result<(), biped_core::Error> {
/// let found = biped_oauth2::describe_api("https://api.crm.example/v2", cx).await?;
/// println!("{}", found.issuers[0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Configuration`](biped_core::ErrorKind::Configuration) if the API names no authorization server, or one
/// that must not be trusted; and as [`FetchContext::send`].
pub async fn describe_api(api: &str, cx: &FetchContext<'_>) -> Result<ApiDescription, Error> {
    let api = Api::new(api.to_owned());
    let document = match search(&api, &mut None, cx).await? {
        Search::Found(document) => document,
        Search::Absent { error, .. } => return Err(error.unwrap_or_else(names_nobody)),
    };
    document.check_resource(&api)?;
    let issuers = document.servers.unwrap_or_default();
    let first = issuers.first().ok_or_else(names_nobody)?;
    check_found_issuer(first, &api)?;
    let server = metadata::Cache::default().get(first, false, cx).await?.0;
    server.check_resource(&document.resource)?;
    Ok(ApiDescription {
        resource: document.resource,
        scopes: document.scopes,
        methods: server.authentication_methods.clone().unwrap_or_default(),
        issuers,
    })
}
