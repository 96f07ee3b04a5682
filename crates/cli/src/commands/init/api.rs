//! `biped init --api`: a provider for an API that says what a client needs.

use biped::{
    oauth2::{ApiDescription, describe_api},
    provider::{FetchContext, SystemClock},
    reqwest::TokenClient,
};

use crate::{failure::Outcome, output, session::Session};

/// What is at the front of many hosts' names, and names no vendor.
const COMMON_LABELS: [&str; 4] = ["www", "api", "apis", "mcp"];

pub(super) fn run(session: &Session, url: &str) -> Outcome {
    let client = TokenClient::new()?;
    let found = session.block_on(session.limited(url, async {
        let context = FetchContext::new(&client, &SystemClock);
        describe_api(url, &context).await
    }))?;
    output::text(&entry(url, &found))
}

fn entry(url: &str, found: &ApiDescription) -> String {
    let name = name(url);
    let variable =
        |field: &str| format!("\"env:{}_{field}\"", name.to_uppercase().replace('-', "_"));
    let mut lines = vec![
        format!("[providers.{name}]"),
        "kind = \"oauth2\"".to_owned(),
        format!("api = {}", text(url)),
    ];
    let mut issuers = found.issuers.iter().map(|issuer| text(issuer));
    lines.extend(issuers.next().map(|first| {
        format!("issuer = {first}  # receives the credentials; check that you trust it")
    }));
    lines.extend(issuers.map(|other| format!("# issuer = {other}")));
    lines.push(format!("client_id = {}", variable("CLIENT_ID")));
    let lists = |method: &str| found.methods.iter().any(|listed| listed == method);
    let takes_secret = found.methods.is_empty()
        || found
            .methods
            .iter()
            .any(|method| method.starts_with("client_secret_"));
    if lists("private_key_jwt") {
        lines.push(format!("key = \"file:{name}.pem\""));
    } else if takes_secret {
        lines.push(format!("client_secret = {}", variable("CLIENT_SECRET")));
    } else if found
        .methods
        .iter()
        .any(|method| method.ends_with("tls_client_auth"))
    {
        lines.push(format!("certificate = \"file:{name}.crt.pem\""));
        lines.push(format!("certificate_key = \"file:{name}.key.pem\""));
    }
    if lists("private_key_jwt") && takes_secret {
        lines.push(format!(
            "# client_secret = {}  # instead of key",
            variable("CLIENT_SECRET")
        ));
    }
    if !found.methods.is_empty() {
        let methods = found.methods.iter().map(|method| text(method));
        lines.push(format!(
            "# The server lists: {}",
            methods.collect::<Vec<_>>().join(", ")
        ));
    }
    if !found.scopes.is_empty() {
        let scopes: Vec<_> = found.scopes.iter().map(|scope| text(scope)).collect();
        lines.push(format!(
            "# scope = [{}]  # default: all of these",
            scopes.join(", ")
        ));
    }
    lines.join("\n") + "\n"
}

/// Returns a name for the provider: the first word of the host that is not common to many.
fn name(url: &str) -> String {
    let host = url.split("//").nth(1).unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default();
    let labels: Vec<_> = host.split('.').collect();
    let named = labels[..labels.len().saturating_sub(1)]
        .iter()
        .find(|label| !COMMON_LABELS.contains(label));
    let is_word = |label: &&&str| {
        let mut bytes = label.bytes();
        bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    named
        .filter(is_word)
        .map_or_else(|| "api".into(), |label| label.to_lowercase())
}

/// Writes a text of the server as a TOML string. What could act on a terminal is left out.
fn text(text: &str) -> String {
    let shown: String = text.chars().filter(|char| !char.is_control()).collect();
    serde_json::Value::String(shown).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_after_the_host() {
        for (url, expected) in [
            ("https://api.crm.example/v2", "crm"),
            ("https://www.crm.example:8443", "crm"),
            ("https://CRM.example", "crm"),
            ("https://api.example/v2", "api"),
            ("http://127.0.0.1:4000/mcp", "api"),
            ("http://localhost:4000/mcp", "api"),
            ("https://[::1]/x", "api"),
            ("nonsense", "api"),
        ] {
            assert_eq!(name(url), expected, "{url}");
        }
    }

    #[test]
    fn what_a_server_says_stays_one_toml_string() {
        let mut found = ApiDescription::default();
        found.issuers = vec![
            "https://a.example".into(),
            "x\"\n[http]\nproxy = \"y".into(),
        ];
        found.scopes = vec!["read".into(), "a\u{1b}[2J".into()];
        found.methods = vec!["private_key_jwt".into(), "x\nkey = 1".into()];
        let entry = entry("https://api.crm.example", &found);
        assert_eq!(entry.lines().count(), 9, "{entry}");
        assert!(!entry.contains('\u{1b}'));
        assert!(entry.contains("\nkey = \"file:crm.pem\"\n"));
    }
}
