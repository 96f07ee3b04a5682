//! Reads a source in a process of its own, which has the variables of a platform.

use std::process::Command;

use biped_config::{ConfigTable, Origin, ProviderConfig, Value as Written};
use biped_core::{ExposeSecret, FetchContext, SystemClock};
use biped_reqwest::{HttpSettings, TokenClient};
use biped_sources::{Asking, ExternalToken, Wanted};
use serde_json::{Value, json};

/// The provider whose key `token` this TOML sets.
pub(crate) fn config(toml: &str) -> ProviderConfig {
    let table = ConfigTable::from_toml("biped.toml".as_ref(), toml).unwrap();
    let values = table.into_values();
    ProviderConfig::new("crm", "test", Origin::Builder, values)
}

/// The source, and the keys of its problems.
pub(crate) fn source(toml: &str) -> (Option<ExternalToken>, Vec<String>) {
    let config = config(toml);
    let token = ExternalToken::from_config(&config, "token");
    let problems = config.take_problems().into_iter();
    (token, problems.map(|it| it.to_string()).collect())
}

/// What reading the source brings, with these variables.
pub(crate) fn outcome(toml: &str, variables: &[(&str, &str)]) -> Value {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "outcome::child", "--nocapture"]);
    command.env("SOURCE", toml);
    // A proxy that nothing may use.
    command.env("http_proxy", "http://127.0.0.1:1");
    command.env("https_proxy", "http://127.0.0.1:1");
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("OUTCOME "));
    let line = line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(line).unwrap()
}

/// Runs in the process that [`outcome`] starts, and does nothing elsewhere.
#[tokio::test]
async fn child() {
    let Ok(toml) = std::env::var("SOURCE") else {
        return;
    };
    let (token, problems) = source(&toml);
    assert!(problems.is_empty(), "{problems:?}");
    let http = TokenClient::with(HttpSettings::new()).unwrap();
    let cx = FetchContext::new(&http, &SystemClock);
    let all = config(&toml);
    let text = |key: &str| match &all.value(key)?.raw {
        Written::Text(text) => Some(text.clone()),
        _ => None,
    };
    let (audience, resource, scope) = (text("audience"), text("resource"), text("scope"));
    let asking = Asking {
        audience: Some("https://issuer.example"),
        client_id: Some("client-7"),
        wanted: Wanted {
            audience: audience.as_deref(),
            resource: resource.as_deref(),
            scope: scope.as_deref(),
        },
        ..Asking::new(&cx)
    };
    let outcome = match token.unwrap().read(&asking).await {
        Ok(given) => json!({
            "token": given.text.expose_secret(),
            "expires_in": given.expires_in.map(|life| life.as_secs()),
        }),
        Err(error) => {
            let error = error.redacting(&cx.redactor());
            let vendor = error.vendor();
            json!({
                "kind": error.kind().as_str(),
                "transient": error.is_transient(),
                "source": error.token_source(),
                "status": vendor.and_then(|it| it.status),
                "code": vendor.and_then(|it| it.code.clone()),
                "said": vendor.and_then(|it| it.message.clone()),
                "shown": error.to_string(),
            })
        }
    };
    println!("\nOUTCOME {outcome}");
}
