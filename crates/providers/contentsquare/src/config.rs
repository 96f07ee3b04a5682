//! [`kind`]: Contentsquare in a configuration file.

use std::sync::Arc;

use biped_config::{Field, FieldType, ProviderConfig, ProviderKind};
use biped_core::{Error, Provider};

use crate::{
    Contentsquare, INTEGRATION_ID, PROJECT_ID,
    provider::KIND,
    request::{NOT_ALONE, NOT_ALONE_REMEDY, stands_alone},
};

/// Returns the kind `contentsquare`, to register where configuration is read.
///
/// | key | |
/// | --- | --- |
/// | `client_id`, `client_secret` (or `credentials`) | required |
/// | `scope` | `enrichment` alone, or any of `data-export`, `metrics`, `speed-analysis` and others |
/// | `project_id` | required with account-level credentials |
/// | `integration_id` | required for `enrichment` |
/// | `client_secret_created` | a date; Biped warns before the credentials expire, a year later |
/// | `token_endpoint` | default [`TOKEN_ENDPOINT`](crate::TOKEN_ENDPOINT) |
///
/// Scope, project and integration are defaults; a request may name others.
#[must_use]
pub fn kind() -> ProviderKind {
    ProviderKind::new(KIND, from_config)
        .about("Contentsquare: Data Export, Metrics, Enrichment, Speed Analysis Lab")
        .field(Field::new("client_id", FieldType::Identifier).about(
            "The OAuth client_id of a project or an account, from the Contentsquare console.",
        ))
        .field(
            Field::new("client_secret", FieldType::Secret)
                .about("The OAuth client_secret, or a list of secrets to try in order."),
        )
        .field(Field::new("client_secret_created", FieldType::Date).about(
            "The day on which the credentials were created; Biped warns 30 days before they expire, \
             after a year.",
        ))
        .field(Field::new("scope", FieldType::Scopes).about(
            "The APIs to use: any of data-export, metrics and speed-analysis; or enrichment, \
             which can't be combined.",
        ))
        .field(
            Field::new(PROJECT_ID, FieldType::Integer)
                .per_request()
                .about("The project, required with account-level credentials."),
        )
        .field(
            Field::new(INTEGRATION_ID, FieldType::Integer)
                .per_request()
                .about("The integration to push data to, required for the scope enrichment."),
        )
        .field(Field::new("token_endpoint", FieldType::Url).about(
            "The URL of the token endpoint, if not https://api.contentsquare.com/v1/oauth/token; \
             it must end in /token.",
        ))
}

fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    // A missing scope, project or integration is not a problem here: the request may name it.
    let scopes = config.texts("scope").unwrap_or_default();
    if !stands_alone(scopes.iter().flat_map(|scope| scope.split_whitespace())) {
        drop(config.invalid("scope", format!("{NOT_ALONE}; {NOT_ALONE_REMEDY}")));
    }
    let (client_id, client_secret) = config.credentials()?;
    let mut provider = Contentsquare::new(client_id, client_secret).named(config.name());
    if let Some(url) = config.url("token_endpoint") {
        provider = provider.token_endpoint(&url);
    }
    if let Some(created) = config.date("client_secret_created") {
        provider = provider.client_secret_created(created);
    }
    Ok(Arc::new(provider))
}
