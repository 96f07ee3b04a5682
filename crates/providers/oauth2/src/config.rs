//! [`kind`]: what a configuration file says about a standard authorization server.

use std::{collections::BTreeSet, sync::Arc};

use biped_config::{
    ConfigTable, ConfigValue, Field, FieldType, ProviderConfig, ProviderKind, Value,
};
use biped_core::{Error, ParamValue, Provider, SecretRef};
use biped_sources::GOOGLE_TOKEN_ENDPOINT;
use http::HeaderName;
use url::Url;

use crate::{
    authentication::{Configured, METHODS, NAMES},
    grant::{self, Grant},
    grant_request::{AUDIENCE, RESOURCE, check_name},
    headers,
    metadata::parse_issuer,
    provider::{KIND, OAuth2},
    resource::Api,
};

/// Returns the kind `oauth2`, which is registered where configuration is read.
///
/// | key | |
/// | --- | --- |
/// | `issuer` or `token_endpoint` | required, except with `api` and a `key` or a `certificate_key` |
/// | `api` | instead of `api_base_url` and `resource`: the API's URL, whose metadata (RFC 9728) says the rest |
/// | `resource_metadata` | where that metadata is; default: it is searched for |
/// | `client_id` (or `credentials`) | required, except with `client_assertion`, `jwt_bearer` and `token_exchange` |
/// | `client_secret`, `key` (and `key_password`), `certificate` and `certificate_key` | the credentials of the method |
/// | `client_authentication` | default: a method that credentials are configured for and that the server lists |
/// | `client_assertion`, `client_assertion_type` | what another party says about the client |
/// | `grant` | `client_credentials` (default), `jwt_bearer`, `token_exchange`, `refresh_token`, `password` |
/// | `assertion` | for `jwt_bearer` |
/// | `subject_token`, `actor_token`, and their `_type`; `requested_token_type` | for `token_exchange` |
/// | `refresh_token`, `rotates`, `account` | for `refresh_token` |
/// | `username`, `password` | for `password` |
/// | `basic_encoding` | `percent` (default), `form`, `raw` |
/// | `alg`, `kid`, `assertion_audience`, `assertion_typ` | how assertions are made |
/// | `certificate` with `key`, `certificate_header` | name the key's certificate in assertions (Entra ID) |
/// | `scope`, `resource`, `audience`, `parameters` | what the token is for |
/// | `resource = false` | with `api`: token requests don't name it |
/// | `dpop`, `dpop_key` | bind tokens to a key |
/// | `headers` | headers of the requests to the server, such as the key of a gateway |
/// | `attach.headers` | headers of API calls, beside the token |
/// | `expired` | which API responses reject the token; default: those of the standard |
/// | `introspection_endpoint`, `revocation_endpoint` | default: the discovered ones |
/// | `plain_http` | servers that are asked without TLS, `host:port`, in a service mesh |
///
/// A value of `headers` and of `attach.headers` may be a reference, like a secret. `expired` is a table or a
/// list of tables, each with `status`, or with `at` (a JSON pointer, or `header:Name`) and `any_of`. It
/// replaces the rule of the standard, so list 401 too.
///
/// Scope, resource and audience are defaults: for each request, an application may set others, and
/// any further parameter.
#[must_use]
pub fn kind() -> ProviderKind {
    let url = |name, about| Field::new(name, FieldType::Url).about(about);
    let secret = |name, about| Field::new(name, FieldType::Secret).about(about);
    let mut kind = ProviderKind::new(KIND, from_config)
        .takes_plain_http()
        .about("Any authorization server of RFC 6749")
        .with_open_params()
        .field(url(
            "issuer",
            "The server's issuer identifier, spelt exactly as the server spells it; the endpoints \
             are read from the server's metadata (RFC 8414, OpenID Connect Discovery).",
        ))
        .field(url(
            "api",
            "The API's URL, instead of api_base_url and resource; its metadata (RFC 9728) names the \
             resource and the scopes, and must name the issuer.",
        ))
        .base_url_key("api")
        .field(url(
            "resource_metadata",
            "Where the metadata of api is, at its origin; default: it is searched for.",
        ))
        .field(url(
            "token_endpoint",
            "The token endpoint, if the metadata of an issuer does not name it.",
        ))
        .field(url(
            "introspection_endpoint",
            "The introspection endpoint (RFC 7662); default: the one in the metadata.",
        ))
        .field(url(
            "revocation_endpoint",
            "The revocation endpoint (RFC 7009); default: the one in the metadata.",
        ))
        .field(
            Field::new("client_authentication", FieldType::Choice(NAMES)).about(
                "The client authentication method; default: the first that credentials are \
                 configured for and that the server lists, or client_secret_basic for a secret if \
                 it lists none.",
            ),
        );
    let mut declared = BTreeSet::new();
    for field in METHODS.iter().flat_map(|method| method.fields) {
        if declared.insert(field.name()) {
            kind = kind.field(field.clone());
        }
    }
    for field in grant::fields() {
        kind = kind.field(field);
    }
    kind.field(
        Field::new(RESOURCE, FieldType::TextsOrFalse)
            .per_request()
            .about(
                "The APIs that tokens are for, by URL (RFC 8707); another name is sent with a \
                 warning. Default: what api calls itself; false: none.",
            ),
    )
    .field(
        Field::new(AUDIENCE, FieldType::Texts)
            .per_request()
            .about("The APIs that tokens are for, for servers that use this parameter."),
    )
    .field(
        Field::new("dpop", FieldType::Bool)
            .about("Whether tokens are bound to a key (RFC 9449); default: false."),
    )
    .field(secret(
        "dpop_key",
        "The key that tokens are bound to; default: a key that each process generates, so that a \
         token works in this process only.",
    ))
    .field(
        // One may be a key of the vendor.
        Field::new("parameters", FieldType::SecretTable)
            .about("Further fields of the token request."),
    )
    .field(Field::new("params", FieldType::SecretTable).about("Another name of parameters."))
    .field(Field::new("headers", FieldType::SecretTable).about(
        "Headers of requests to the server, such as the key of a gateway; a value may be a reference, \
         like a secret.",
    ))
    .field(
        Field::new("attach", FieldType::SecretTable)
            .about("headers = { … }: headers of API calls, beside the token."),
    )
    .field(Field::new("expired", FieldType::Any).about(
        "Which API responses reject the token: a table or a list of tables with status, or at and \
         any_of; default: those of the standard.",
    ))
}

fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    let grant = Grant::from_config(config);
    let client_id = client_id(config, grant.as_ref())?;
    let is_named = client_id.is_some();
    let mut provider = start(config, client_id, grant.as_ref())?.named(config.name());
    if let Some(url) = config.url("introspection_endpoint") {
        provider = provider.introspection_endpoint(url);
    }
    if let Some(url) = config.url("revocation_endpoint") {
        provider = provider.revocation_endpoint(url);
    }
    // Problems are noted, and reported together.
    let authentication = Configured::read(config);
    let assertions = authentication.offered.iter().filter_map(|it| it.token());
    let assertions = assertions.map(|(token, _)| ("client_assertion", token));
    for (key, token) in grant.iter().flat_map(Grant::tokens).chain(assertions) {
        if token.lacks_issuer() && !is_named {
            let message = "the assertion has no iss; set iss in sign, or client_id";
            drop(config.invalid(key, message));
        }
        if let Some(fault) = token.fault(provider.fixed_token_endpoint()) {
            drop(config.invalid(key, fault.to_string()));
        }
    }
    provider = provider.with_options(authentication.options);
    for method in authentication.offered {
        provider = provider.offering(method);
    }
    if let Some(method) = authentication.chosen {
        provider = provider.client_authentication(method);
    }
    if let Some(grant) = grant {
        provider = provider.with_grant(grant);
    }
    provider = with_proofs(provider, config);
    provider = with_headers(provider, config);
    if let Some(rules) = config.rejection_rules("expired") {
        provider = provider.rejection_rules(rules);
    }
    provider = with_parameters(provider, config);
    if let Err(error) = provider.check_issuer() {
        return Err(config.invalid("issuer", error.message()));
    }
    Ok(Arc::new(provider))
}

/// Reads the key that tokens are bound to.
fn with_proofs(provider: OAuth2, config: &ProviderConfig) -> OAuth2 {
    match (config.boolean("dpop"), config.secret("dpop_key")) {
        (Some(false), Some(_)) => {
            drop(config.invalid("dpop_key", "dpop_key is set, but dpop is false"));
            provider
        }
        (_, Some(key)) => provider.dpop_key(key),
        (Some(true), None) => provider.dpop(),
        _ => provider,
    }
}

/// Reads the headers of requests to the server, and those of API calls.
fn with_headers(mut provider: OAuth2, config: &ProviderConfig) -> OAuth2 {
    for (name, value) in headers(config.table("headers")) {
        provider = provider.header(name, value);
    }
    if let Some(attach) = config.table("attach") {
        let table = attach.table("headers");
        attach.report_unread();
        for (name, value) in headers(table) {
            provider = provider.api_header(name, value);
        }
    }
    provider
}

fn headers(table: Option<ConfigTable>) -> Vec<(HeaderName, SecretRef)> {
    let Some(table) = table else {
        return Vec::new();
    };
    let read = |(key, _): (&str, &ConfigValue)| {
        let name: HeaderName = match key.parse() {
            Ok(name) => name,
            Err(_) => {
                drop(table.invalid(key, "this is not a valid header name"));
                return None;
            }
        };
        if let Err(error) = headers::check_name(&name) {
            drop(table.invalid(key, error.to_string()));
            return None;
        }
        Some((name, table.secret(key)?))
    };
    table.entries().into_iter().filter_map(read).collect()
}

fn with_parameters(mut provider: OAuth2, config: &ProviderConfig) -> OAuth2 {
    let tables = ["parameters", "params"].map(|key| {
        let table = config.table(key).map(ConfigTable::into_values);
        let values = table.unwrap_or_default().into_iter();
        values.map(move |(name, value)| (key, name, value))
    });
    for (key, name, value) in tables.into_iter().flatten() {
        if let Err(error) = check_name(&name) {
            drop(config.invalid(key, error.message()));
            continue;
        }
        match parameter(&value) {
            Some(value) => provider = provider.parameter(name, value),
            None => {
                let message = format!(
                    "{name}: expected a string, a number, true, false or a list of strings"
                );
                drop(config.invalid(key, message));
            }
        }
    }
    provider
}

/// Reads the client identifier, alone or out of the pairs of `credentials`. A client that presents what
/// another party says about it needs none.
fn client_id(config: &ProviderConfig, grant: Option<&Grant>) -> Result<Option<SecretRef>, Error> {
    if config.value("credentials").is_some() {
        return config.credentials().map(|(id, _)| Some(id));
    }
    let proves_itself = ["client_secret", "key", "certificate_key"]
        .into_iter()
        .any(|key| config.value(key).is_some());
    let presents =
        config.value("client_assertion").is_some() || grant.is_none_or(Grant::may_be_anonymous);
    match config.secret("client_id") {
        None if proves_itself || !presents => Err(config.missing("client_id")),
        client_id => Ok(client_id),
    }
}

fn start(
    config: &ProviderConfig,
    client_id: Option<SecretRef>,
    grant: Option<&Grant>,
) -> Result<OAuth2, Error> {
    let token_endpoint = config.url("token_endpoint");
    // Unchanged: a parsed URL may end in a slash that the issuer does not have.
    let issuer = config.value("issuer").and_then(ConfigValue::to_text);
    let issuer = issuer.filter(|_| config.url("issuer").is_some());
    if let Some(issuer) = &issuer {
        parse_issuer(issuer, |url| config.check_url(url))
            .map_err(|error| config.invalid("issuer", error.message()))?;
    }
    let is_google = matches!(grant, Some(Grant::JwtBearer(token)) if token.is_google_key());
    let token_endpoint = match (&issuer, token_endpoint) {
        (None, None) if is_google => Url::parse(GOOGLE_TOKEN_ENDPOINT).ok(),
        (_, token_endpoint) => token_endpoint,
    };
    let api = api(config)?;
    if issuer.is_none() && token_endpoint.is_none() && api.is_none() {
        let mut set = ["issuer", "token_endpoint", "api"].into_iter();
        if let Some(key) = set.find(|key| config.value(key).is_some()) {
            // What is wrong with it is noted.
            return Err(config.invalid(key, "expected a URL"));
        }
        return Err(config.invalid("issuer", "missing; expected issuer or token_endpoint"));
    }
    let mut provider = OAuth2::new(issuer, token_endpoint, client_id).with_api(api);
    if let Some(servers) = config.plain_http() {
        provider = provider.with_plain_http(servers.clone());
    }
    Ok(provider)
}

/// Reads the API's address, and what belongs to it.
fn api(config: &ProviderConfig) -> Result<Option<Api>, Error> {
    // Unchanged, as the issuer.
    let text = |key| {
        let text = config.value(key).and_then(ConfigValue::to_text);
        text.filter(|_| config.url(key).is_some())
    };
    let metadata = text("resource_metadata");
    let sends_resource = !config.value(RESOURCE).is_some_and(ConfigValue::is_false);
    let Some(api) = text("api") else {
        if metadata.is_some() {
            drop(config.invalid(
                "resource_metadata",
                "resource_metadata is set, but api is not",
            ));
        }
        return Ok(None);
    };
    if config.value("api_base_url").is_some() {
        let message = "api is the base URL already; remove one of api and api_base_url";
        drop(config.invalid("api_base_url", message));
    }
    let mut api = Api::new(api);
    api.sends_resource = sends_resource;
    api.plain_http = config.plain_http().cloned();
    if let Some(metadata) = metadata {
        api = api.with_metadata(metadata);
        if let Some(Err(error)) = api.fixed_metadata() {
            return Err(config.invalid("resource_metadata", error.message()));
        }
    }
    Ok(Some(api))
}

fn parameter(value: &ConfigValue) -> Option<ParamValue> {
    Some(match &value.raw {
        Value::Text(text) | Value::Date(text) => text.clone().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => number.to_string().into(),
        Value::Bool(yes) => (*yes).into(),
        Value::List(_) => value.to_texts()?.into(),
        Value::Table(_) => return None,
    })
}
