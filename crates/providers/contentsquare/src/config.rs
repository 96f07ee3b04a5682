//! [`kind`]: Contentsquare in a configuration file.

use std::sync::Arc;

use biped_config::{Field, FieldType, ProviderConfig, ProviderKind};
use biped_core::{Error, Provider};

use crate::{
    Contentsquare, INTEGRATION_ID, PROJECT_ID,
    provider::KIND,
    request::{NOT_ALONE, NOT_ALONE_REMEDY, stands_alone},
};

/// The kind `contentsquare`, to be registered where configuration is read.
///
/// | key | |
/// | --- | --- |
/// | `client_id`, `client_secret` (or `credentials`) | required |
/// | `scope` | `data-export`, `metrics`, `speed-analysis` and others together, or `enrichment` alone |
/// | `project_id` | needed with account-level credentials |
/// | `integration_id` | needed for `enrichment` |
/// | `client_secret_created` | a date; the end of the credentials' year is warned of |
/// | `token_endpoint` | default [`TOKEN_ENDPOINT`](crate::TOKEN_ENDPOINT) |
///
/// Scope, project and integration are defaults: an application may name others for each request.
#[must_use]
pub fn kind() -> ProviderKind {
    ProviderKind::new(KIND, from_config)
        .about("Contentsquare: Data Export, Metrics, Enrichment, Speed Analysis Lab")
        .field(Field::new("client_id", FieldType::Identifier).about(
            "The OAuth client_id from the Contentsquare console, of a project or of an account.",
        ))
        .field(
            Field::new("client_secret", FieldType::Secret)
                .about("The OAuth client_secret that belongs to it, or a list tried in order."),
        )
        .field(Field::new("client_secret_created", FieldType::Date).about(
            "The day the credentials were made: they expire after a year, and are warned of \
             30 days before.",
        ))
        .field(Field::new("scope", FieldType::Scopes).about(
            "The APIs to use: data-export, metrics, speed-analysis, together or not; or \
             enrichment, alone.",
        ))
        .field(
            Field::new(PROJECT_ID, FieldType::Integer)
                .per_request()
                .about("The project to work on, needed with account-level credentials."),
        )
        .field(
            Field::new(INTEGRATION_ID, FieldType::Integer)
                .per_request()
                .about("The integration to push to, needed for the scope enrichment."),
        )
        .field(Field::new("token_endpoint", FieldType::Url).about(
            "Where tokens are issued, if not at https://api.contentsquare.com/v1/oauth/token; \
             /me is beside it.",
        ))
}

fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    // Only what no request can mend is a problem here: a scope, a project or an integration that is
    // missing may come with the request.
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
