//! [`kind`]: a vendor with a dialect in a configuration file.

use std::{path::Path, sync::Arc};

use biped_config::{ConfigValue, Field, FieldType, ProviderConfig, ProviderKind, Value};
use biped_core::{Error, IdentityRef, Provider, SecretRef};
use biped_sources::ExternalToken;

use crate::{Dialect, Vendor, provider::KIND};

/// Returns the kind `dialect`, to register where configuration is read.
///
/// | key | |
/// | --- | --- |
/// | `vendor` | a vendor of the catalogue; or |
/// | `file` | a vendor file of your own, relative to the configuration file |
/// | `params` | the parameters of the dialect; each may be a reference, like a secret, or a source of tokens (`{ github = … }`) |
/// | `client_id`, `client_secret` (or `credentials`) | required if the dialect uses them |
/// | `scope` | the scopes to request; default: those of the dialect |
/// | `certificate`, `certificate_key` | required if the dialect has `client_certificate = true` |
/// | `token_endpoint` | the URL of the token request; default: the dialect's |
/// | `plain_http` | servers that are asked without TLS, `host:port`, in a service mesh: this `token_endpoint`, and the API |
#[must_use]
pub fn kind() -> ProviderKind {
    ProviderKind::new(KIND, from_config)
        .takes_plain_http()
        .about("Any other vendor, described in a few lines of TOML")
        .with_open_params()
        .field(
            Field::new("vendor", FieldType::Text)
                .about("A vendor of the catalogue; `biped vendors` lists them."),
        )
        .field(
            Field::new("file", FieldType::Text)
                .about("A vendor file of your own, relative to this file."),
        )
        .field(
            Field::new("params", FieldType::SecretTable)
                .about("The vendor's parameters; a value may be a reference, like a secret."),
        )
        .field(
            Field::new("certificate", FieldType::Secret)
                .about("The client certificate in PEM, for vendors that require one."),
        )
        .field(
            Field::new("certificate_key", FieldType::Secret)
                .about("The certificate's private key in PEM."),
        )
}

fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    let dialect = dialect(config);
    let (params, tokens) = params(config);
    let identity = identity(config);
    let dialect = dialect?;
    let mut vendor = Vendor::builder(dialect.clone()).named(config.name());
    let (client_id, client_secret) = if config.value("credentials").is_some() {
        let (id, secret) = config.credentials()?;
        (Some(id), Some(secret))
    } else {
        (config.secret("client_id"), config.secret("client_secret"))
    };
    if let Some(client_id) = client_id {
        vendor = vendor.client_id(client_id);
    }
    if let Some(client_secret) = client_secret {
        vendor = vendor.client_secret(client_secret);
    }
    for (name, value) in params? {
        vendor = vendor.param(name, value);
    }
    for (name, token) in tokens {
        vendor = vendor.token_param(name, token);
    }
    if let Some(identity) = identity? {
        vendor = vendor.certificate(identity);
    }
    if let Some(url) = config.url("token_endpoint") {
        vendor = vendor.token_endpoint(url);
    }
    if let Some(servers) = config.plain_http() {
        vendor = vendor.with_plain_http(servers.clone());
    }
    let mut first = None;
    for lack in vendor.lacks() {
        let error = config.invalid(&lack.key, lack.message);
        first.get_or_insert(error);
    }
    match first {
        Some(error) => Err(error),
        None => Ok(Arc::new(vendor.build_anyway())),
    }
}

fn dialect(config: &ProviderConfig) -> Result<Arc<Dialect>, Error> {
    match (config.string("vendor"), config.path("file")) {
        (Some(_), Some(_)) => Err(config.invalid(
            "file",
            "vendor and file exclude each other; remove one of them",
        )),
        (Some(vendor), None) => of_catalogue(config, &vendor),
        (None, Some(path)) => of_file(config, &path),
        (None, None) => Err(config.invalid(
            "vendor",
            "missing; set vendor to a name that `biped vendors` lists, or file to a vendor file of \
             your own",
        )),
    }
}

#[cfg(feature = "catalogue")]
fn of_catalogue(config: &ProviderConfig, vendor: &str) -> Result<Arc<Dialect>, Error> {
    crate::Catalogue::built_in().dialect(vendor).ok_or_else(|| {
        let meant = crate::Catalogue::built_in()
            .suggestion(vendor)
            .map_or(String::new(), |meant| format!("; {meant}"));
        config.invalid(
            "vendor",
            format!("the catalogue does not contain this vendor{meant}"),
        )
    })
}

#[cfg(not(feature = "catalogue"))]
fn of_catalogue(config: &ProviderConfig, _: &str) -> Result<Arc<Dialect>, Error> {
    Err(config.invalid(
        "vendor",
        "the catalogue needs biped's feature catalogue, which is not enabled; set file instead",
    ))
}

fn of_file(config: &ProviderConfig, path: &Path) -> Result<Arc<Dialect>, Error> {
    let text = config
        .text_of_file("file")
        .unwrap_or_else(|| Err(config.missing("file")))?;
    Dialect::from_toml(&text, &path.display().to_string())
        .map(Arc::new)
        .map_err(|error| {
            let all: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
            config.invalid(
                "file",
                format!("the vendor file has problems: {}", all.join("; ")),
            )
        })
}

/// The values of parameters, and those that another party makes.
type Params = (
    Result<Vec<(String, SecretRef)>, Error>,
    Vec<(String, ExternalToken)>,
);

fn params(config: &ProviderConfig) -> Params {
    let mut params = Vec::new();
    let mut tokens = Vec::new();
    let mut wrong = None;
    let Some(given) = config.table("params") else {
        return (Ok(params), tokens);
    };
    for (name, value) in given.entries() {
        let name = name.to_owned();
        match param(value) {
            None if matches!(value.raw, Value::Table(_)) => {
                match ExternalToken::from_table(config, &given, &name) {
                    Some(token) if token.lacks_issuer() => {
                        let message = "the assertion has no iss; set iss in sign";
                        wrong = Some(given.invalid(&name, message));
                    }
                    Some(token) => tokens.push((name, token)),
                    None => {
                        wrong = Some(Error::configuration(format!("params.{name} can't be used")));
                    }
                }
            }
            Some(reference) => {
                let place = format!(
                    "providers.{}.params.{name}, {}",
                    config.name(),
                    value.origin
                );
                params.push((name, reference.configured_at(place)));
            }
            None => {
                let what =
                    "expected a string, a number, true or false, or a reference, as for a secret";
                wrong = Some(config.invalid(&format!("params.{name}"), what));
            }
        }
    }
    (wrong.map_or(Ok(params), Err), tokens)
}

fn param(value: &ConfigValue) -> Option<SecretRef> {
    match &value.raw {
        Value::Integer(number) => Some(SecretRef::inline(number.to_string())),
        Value::Float(number) => Some(SecretRef::inline(number.to_string())),
        Value::Bool(yes) => Some(SecretRef::inline(yes.to_string())),
        Value::Date(date) => Some(SecretRef::inline(date.clone())),
        _ => value.to_secret(),
    }
}

fn identity(config: &ProviderConfig) -> Result<Option<IdentityRef>, Error> {
    match (
        config.secret("certificate"),
        config.secret("certificate_key"),
    ) {
        (Some(certificate), Some(key)) => Ok(Some(IdentityRef { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(config.invalid("certificate_key", "missing; certificate needs it")),
        (None, Some(_)) => Err(config.invalid("certificate", "missing; certificate_key needs it")),
    }
}
