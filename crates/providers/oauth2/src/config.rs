//! [`kind`]: a standard authorization server in a configuration file.

use std::sync::Arc;

use biped_config::{ConfigValue, Field, FieldType, Kind, ProviderConfig, RawValue};
use biped_core::{Error, ParamValue, Provider, SecretRef};

use crate::{
    AUDIENCE, Algorithm, BasicEncoding, CertificateHeader, ClientAuthentication, OAuth2, RESOURCE,
    grant_request::check_name, metadata::parse_issuer, provider::KIND,
};

/// The kind `oauth2`, to be registered where configuration is read.
///
/// | key | |
/// | --- | --- |
/// | `issuer` or `token_endpoint` | required |
/// | `client_id` (or `credentials`) | required |
/// | `client_secret`, `key` (and `key_password`), `certificate` and `certificate_key` | as the method needs |
/// | `client_authentication` | default: what the credentials are for and the server lists |
/// | `basic_encoding` | `percent` (default), `form`, `raw` |
/// | `alg`, `kid`, `assertion_audience` | of assertions |
/// | `certificate` beside `key`, `certificate_header` | name the key's certificate in assertions (Entra ID) |
/// | `scope`, `resource`, `audience`, `parameters` | of the token |
/// | `dpop`, `dpop_key` | bind tokens to a key |
/// | `introspection_endpoint`, `revocation_endpoint` | default: the discovered ones |
///
/// Scope, resource and audience are defaults: an application may name others, and any further
/// parameter, for each request.
#[must_use]
pub fn kind() -> Kind {
    let url = |name, about| Field::new(name, FieldType::Url).about(about);
    let secret = |name, about| Field::new(name, FieldType::Secret).about(about);
    let text = |name, about| Field::new(name, FieldType::Text).about(about);
    Kind::new(KIND, from_config)
        .about("Any authorization server of RFC 6749")
        .with_open_params()
        .field(url(
            "issuer",
            "The server's issuer identifier, exactly as it spells it; its metadata tells the \
             endpoints (RFC 8414, OpenID Connect Discovery).",
        ))
        .field(url(
            "token_endpoint",
            "The token endpoint, where there is no issuer to tell it.",
        ))
        .field(url(
            "introspection_endpoint",
            "The introspection endpoint (RFC 7662); default: what the metadata names.",
        ))
        .field(url(
            "revocation_endpoint",
            "The revocation endpoint (RFC 7009); default: what the metadata names.",
        ))
        .field(
            Field::new(
                "client_authentication",
                FieldType::Choice(ClientAuthentication::NAMES),
            )
            .about(
                "How the client proves who it is; default: what the credentials are for and the \
                 server lists, client_secret_basic for a secret where nothing is listed.",
            ),
        )
        .field(
            Field::new("basic_encoding", FieldType::Choice(BasicEncoding::NAMES)).about(
                "How client_secret_basic writes identifier and secret: percent (default), form \
                 (as RFC 6749 says), raw.",
            ),
        )
        .field(secret(
            "key",
            "The private key of private_key_jwt: PEM (PKCS#8, PKCS#1, SEC1) or a JSON Web Key.",
        ))
        .field(secret(
            "key_password",
            "The password of an encrypted key (PKCS#8 with PBES2); each fetch takes the time that its \
             rounds take.",
        ))
        .field(
            Field::new("alg", FieldType::Choice(Algorithm::NAMES))
                .about("What assertions are signed with; default: what fits the key."),
        )
        .field(text(
            "kid",
            "The name of the key in assertions, and which one of a JSON Web Key Set is meant.",
        ))
        .field(text(
            "assertion_audience",
            "Whom assertions are made out to: issuer, token_endpoint, endpoint (whichever is asked) \
             or a text of the server's own; default: the issuer, else the token endpoint.",
        ))
        .field(secret(
            "certificate",
            "The client certificate and its chain, in PEM: with certificate_key for mutual TLS (RFC \
             8705), with key for assertions that name it in their header.",
        ))
        .field(secret(
            "certificate_key",
            "The client certificate's private key, in PEM, for mutual TLS.",
        ))
        .field(Field::new("certificate_header", FieldType::Texts).about(
            "How assertions name the certificate: x5t#S256 (default where certificate stands beside \
             key alone), x5t, x5c, or several of these.",
        ))
        .field(
            Field::new(RESOURCE, FieldType::Texts)
                .per_request()
                .about("The APIs that tokens are for, by URL (RFC 8707)."),
        )
        .field(
            Field::new(AUDIENCE, FieldType::Text)
                .per_request()
                .about("The API that tokens are for, for vendors that name it so."),
        )
        .field(
            Field::new("dpop", FieldType::Bool)
                .about("Whether tokens are bound to a key (RFC 9449); default: false."),
        )
        .field(secret(
            "dpop_key",
            "The key that tokens are bound to; default: one made per process, so that a token is of \
             use in this process alone.",
        ))
        .field(
            Field::new("parameters", FieldType::Table)
                .about("Further fields of the token request."),
        )
}

fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    let (client_id, client_secret) = credentials(config)?;
    let mut provider = start(config, client_id)?.named(config.name());
    if let Some(secret) = client_secret.clone() {
        provider = provider.client_secret(secret);
    }
    if let Some(url) = config.url("introspection_endpoint") {
        provider = provider.introspection_endpoint(url);
    }
    if let Some(url) = config.url("revocation_endpoint") {
        provider = provider.revocation_endpoint(url);
    }
    let method = parsed(config, "client_authentication");
    if let Some(method) = method {
        provider = provider.client_authentication(method);
    }
    if let Some(encoding) = parsed(config, "basic_encoding") {
        provider = provider.basic_encoding(encoding);
    }
    provider = with_key(provider, config);
    provider = with_certificate(provider, config, method);
    // What is missing is noted; the configuration tells all of it at once.
    if let Some(method) = method {
        let needs = |key: &str| drop(config.invalid(key, format!("missing; {method} needs it")));
        if method.needs_secret() && client_secret.is_none() {
            needs("client_secret");
        }
        if method == ClientAuthentication::PrivateKeyJwt && config.value("key").is_none() {
            needs("key");
        }
        let presents = ["certificate", "certificate_key", "certificate_header"];
        if method.needs_certificate() && presents.iter().all(|key| config.value(key).is_none()) {
            needs("certificate");
        }
    }
    provider = with_proofs(provider, config);
    Ok(Arc::new(with_parameters(provider, config)))
}

/// What signs assertions, and how.
fn with_key(mut provider: OAuth2, config: &ProviderConfig) -> OAuth2 {
    let key = config.secret("key");
    if let Some(password) = config.secret("key_password") {
        if key.is_none() {
            drop(config.invalid("key_password", "there is no key to open with it"));
        }
        provider = provider.key_password(password);
    }
    if let Some(key) = key {
        provider = provider.key(key);
    }
    if let Some(alg) = parsed(config, "alg") {
        provider = provider.alg(alg);
    }
    if let Some(kid) = config.string("kid") {
        provider = provider.kid(kid);
    }
    if let Some(audience) = config.string("assertion_audience") {
        provider = provider.assertion_audience(audience);
    }
    provider
}

/// The certificate that is presented where there is a key to it, and named in assertions where they
/// are to name it.
fn with_certificate(
    provider: OAuth2,
    config: &ProviderConfig,
    method: Option<ClientAuthentication>,
) -> OAuth2 {
    let certificate = config.secret("certificate");
    let certificate_key = config.secret("certificate_key");
    let headers = headers(config);
    let signs = config.value("key").is_some()
        && method.is_none_or(|method| method == ClientAuthentication::PrivateKeyJwt);
    let Some(certificate) = certificate else {
        if certificate_key.is_some() || headers.is_some() {
            drop(config.missing("certificate"));
        }
        return provider;
    };
    if headers.is_some() && !signs {
        let message = "it is for assertions signed with key (private_key_jwt)";
        drop(config.invalid("certificate_header", message));
    }
    match (certificate_key, headers) {
        (Some(key), None) => provider.certificate(certificate, key),
        (Some(key), Some(headers)) => provider
            .assertion_certificate(certificate.clone(), headers)
            .certificate(certificate, key),
        (None, Some(headers)) => provider.assertion_certificate(certificate, headers),
        (None, None) if signs => {
            provider.assertion_certificate(certificate, [CertificateHeader::X5tS256])
        }
        (None, None) => {
            drop(config.missing("certificate_key"));
            provider
        }
    }
}

fn headers(config: &ProviderConfig) -> Option<Vec<CertificateHeader>> {
    let key = "certificate_header";
    let names = config.texts(key)?;
    let read: Option<Vec<CertificateHeader>> = names.iter().map(|name| name.parse().ok()).collect();
    let read = read.filter(|headers| !headers.is_empty());
    if read.is_none() {
        let all = CertificateHeader::NAMES.join(", ");
        drop(config.invalid(key, format!("one or several of {all} are expected")));
    }
    read
}

/// What tokens are bound to.
fn with_proofs(provider: OAuth2, config: &ProviderConfig) -> OAuth2 {
    match (config.boolean("dpop"), config.secret("dpop_key")) {
        (Some(false), Some(_)) => {
            drop(config.invalid("dpop_key", "dpop = false leaves it without use"));
            provider
        }
        (_, Some(key)) => provider.dpop_key(key),
        (Some(true), None) => provider.dpop(),
        _ => provider,
    }
}

fn with_parameters(mut provider: OAuth2, config: &ProviderConfig) -> OAuth2 {
    for (name, value) in config.table("parameters").unwrap_or_default() {
        let key = "parameters";
        if let Err(error) = check_name(&name) {
            drop(config.invalid(key, error.message()));
            continue;
        }
        match parameter(&value) {
            Some(value) => provider = provider.parameter(name, value),
            None => {
                let message = format!("{name}: a text, a number, true, false or a list of texts");
                drop(config.invalid(key, message));
            }
        }
    }
    provider
}

/// Identifier and secret, or the pairs of `credentials`.
fn credentials(config: &ProviderConfig) -> Result<(SecretRef, Option<SecretRef>), Error> {
    if config.value("credentials").is_some() {
        return config.credentials().map(|(id, secret)| (id, Some(secret)));
    }
    let id = config
        .secret("client_id")
        .ok_or_else(|| config.missing("client_id"))?;
    Ok((id, config.secret("client_secret")))
}

fn start(config: &ProviderConfig, client_id: SecretRef) -> Result<OAuth2, Error> {
    let token_endpoint = config.url("token_endpoint");
    // As it is written: a URL's own spelling may end in a slash that the issuer's doesn't.
    let issuer = config.value("issuer").and_then(ConfigValue::to_text);
    let issuer = issuer.filter(|_| config.url("issuer").is_some());
    if let Some(issuer) = &issuer {
        parse_issuer(issuer).map_err(|error| config.invalid("issuer", error.message()))?;
    }
    match (issuer, token_endpoint) {
        (Some(issuer), None) => Ok(OAuth2::discovered(issuer, client_id)),
        (None, Some(endpoint)) => Ok(OAuth2::at(endpoint, client_id)),
        (Some(issuer), Some(endpoint)) => Ok(OAuth2::at(endpoint, client_id).issuer(issuer)),
        (None, None) => {
            Err(config.invalid("issuer", "missing; issuer or token_endpoint is needed"))
        }
    }
}

/// A choice that the fields have checked already.
fn parsed<T: std::str::FromStr>(config: &ProviderConfig, key: &str) -> Option<T> {
    config.string(key)?.parse().ok()
}

fn parameter(value: &ConfigValue) -> Option<ParamValue> {
    Some(match &value.raw {
        RawValue::Text(text) | RawValue::Date(text) => text.clone().into(),
        RawValue::Integer(number) => (*number).into(),
        RawValue::Float(number) => number.to_string().into(),
        RawValue::Bool(yes) => (*yes).into(),
        RawValue::List(_) => value.to_texts()?.into(),
        RawValue::Table(_) => return None,
    })
}
