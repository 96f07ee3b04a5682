//! What an author probably meant by a key that the kind of provider does not take, if another kind
//! takes it.

use biped_config::{ConfigValue, Field, Problem, ProviderKind};

use crate::{
    config::{self, Table},
    registry::Registry,
};

/// The table of a vendor's own parameters.
const PARAMS: &str = "params";

/// The keys of a client certificate, and the kind that takes them for any server.
const CERTIFICATE: &str = "certificate";
const CERTIFICATE_KEY: &str = "certificate_key";
const STANDARD: &str = "oauth2";

/// Adds to the unknown keys of the provider `name` which kinds take them.
pub(super) fn add(
    problems: &mut [Problem],
    name: &str,
    values: &Table,
    kind: &ProviderKind,
    registry: &Registry,
) {
    if !kind.declares_fields() {
        return;
    }
    for problem in problems {
        let vendor = values.get("vendor").and_then(ConfigValue::to_text);
        let meant = vendor.and_then(|vendor| registry.provider(&vendor));
        if let Some(meant) = meant
            && problem.key == format!("providers.{name}.vendor")
        {
            let meant = meant.name();
            problem
                .message
                .push_str(&format!("; {meant} is a kind: set kind = {meant:?}"));
        }
        if let Some(param) = problem
            .key
            .strip_prefix(&format!("providers.{name}.params."))
            && takes(kind, param)
            && !problem.message.contains("key of the provider")
        {
            let hint = format!("; {param} is a key of the provider: set it in [providers.{name}]");
            problem.message.push_str(&hint);
        }
        let key = values
            .keys()
            .find(|key| problem.key == format!("providers.{name}.{key}"))
            .filter(|key| !takes(kind, key));
        let Some(key) = key else { continue };
        if config::http::is_key(key) {
            problem.message = format!(
                "unknown key; set {key} in the table [providers.{name}.http], or in [http] for all \
                 providers"
            );
            continue;
        }
        if is_certificate(key) {
            problem.message = match takes(kind, CERTIFICATE) {
                true => format!("unknown key; did you mean {}?", of_certificate(key)),
                false => format!(
                    "unknown key; a client certificate needs kind = \"{STANDARD}\", with \
                     {CERTIFICATE} and {CERTIFICATE_KEY}"
                ),
            };
            continue;
        }
        let others = registry.providers().filter(|other| takes(other, key));
        let others: Vec<_> = others
            .map(|kind| format!("kind = {:?}", kind.name()))
            .collect();
        if !others.is_empty() {
            let others = others.join(", ");
            let is_question = problem.message.ends_with('?');
            let link = if is_question { " This" } else { "; this" };
            problem
                .message
                .push_str(&format!("{link} is a key of {others}"));
        } else if takes(kind, PARAMS) && !problem.message.contains("did you mean") {
            let hint = format!("; a parameter of the vendor is set in [providers.{name}.params]");
            problem.message.push_str(&hint);
        }
    }
}

fn takes(kind: &ProviderKind, key: &str) -> bool {
    kind.fields().map(Field::name).any(|name| name == key)
}

/// Whether a key is about a client certificate, whatever other programs call it.
fn is_certificate(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    key.split('_')
        .any(|word| ["cert", "certificate", "crt"].contains(&word))
        || ["client_key", "tls_key"].contains(&&*key)
}

/// The key that such a key means.
fn of_certificate(key: &str) -> &'static str {
    match key.to_lowercase().ends_with("key") {
        true => CERTIFICATE_KEY,
        false => CERTIFICATE,
    }
}
