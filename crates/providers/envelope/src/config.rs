//! [`kind`]: the envelope vendor in a configuration file.

use std::sync::Arc;

use biped_config::{Field, FieldType, ProviderConfig, ProviderKind};
use biped_core::{Error, Provider};

use crate::{
    Envelope,
    provider::{KIND, token_endpoint},
};

/// Returns the kind `envelope`, to register where configuration is read.
///
/// | key | |
/// | --- | --- |
/// | `base_url` | required, unless `token_endpoint` is set; tokens are issued at `{base_url}/v1/auth/token` |
/// | `client_id`, `client_secret` (or `credentials`) | required |
/// | `token_endpoint` | default: derived from `base_url` |
/// | `api_base_url` | the base of relative API paths; default: `base_url` |
/// | `grant_type` | sent if it is set |
/// | `scope` | sent if it is set |
/// | `plain_http` | servers that are asked without TLS, `host:port`, in a service mesh |
#[must_use]
pub fn kind() -> ProviderKind {
    ProviderKind::new(KIND, from_config)
        .takes_plain_http()
        .about("Form-encoded /v1/auth/token endpoints that wrap responses in data and error")
        .field(Field::new("base_url", FieldType::Url).about(
            "The vendor's base URL, with or without /v1; tokens are issued at /v1/auth/token.",
        ))
        .field(
            Field::new("client_id", FieldType::Identifier)
                .about("The OAuth client_id of your application."),
        )
        .field(
            Field::new("client_secret", FieldType::Secret)
                .about("The OAuth client_secret, or a list of secrets to try in order."),
        )
        .field(
            Field::new("grant_type", FieldType::Text).about(
                "The grant_type to send, for endpoints that need one; by default none is sent.",
            ),
        )
        .field(
            Field::new("token_endpoint", FieldType::Url)
                .about("The URL of the token endpoint, if not /v1/auth/token below base_url."),
        )
        .field(
            Field::new("api_base_url", FieldType::Url)
                .about("The base of relative API paths, if not base_url."),
        )
}

fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    let credentials = config.credentials();
    let base_url = config.url("base_url");
    let api_base_url = config.url("api_base_url").or_else(|| base_url.clone());
    if base_url
        .as_ref()
        .is_some_and(|url| url.query().is_some() || url.fragment().is_some())
    {
        return Err(config.invalid("base_url", "expected a URL without query and fragment"));
    }
    let endpoint = match (config.url("token_endpoint"), &base_url) {
        (Some(endpoint), _) => endpoint,
        (None, Some(base_url)) => token_endpoint(base_url),
        (None, None) => {
            let message = "missing; set base_url, or token_endpoint";
            return Err(config.invalid("base_url", message));
        }
    };
    let (client_id, client_secret) = credentials?;
    let mut provider = Envelope::at(endpoint, client_id, client_secret);
    if let Some(url) = api_base_url {
        provider = provider.api_base_url(url);
    }
    if let Some(servers) = config.plain_http() {
        provider = provider.with_plain_http(servers.clone());
    }
    if let Some(grant_type) = config.string("grant_type") {
        provider = provider.grant_type(grant_type);
    }
    Ok(Arc::new(provider.named(config.name())))
}
