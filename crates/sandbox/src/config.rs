//! A biped.toml for the sandbox.

use crate::clients::{ACCOUNT, Credentials, PROJECT, SHOP};

/// Four providers for Contentsquare and one for the envelope vendor.
pub(crate) fn toml(url: &str, clouds: [&str; 2]) -> String {
    let [first, second] = clouds;
    let token_endpoint = quoted(&format!("{url}/v1/oauth/token"));
    let account = credentials(ACCOUNT);
    let project = credentials(PROJECT);
    let shop = credentials(SHOP);
    let base_url = quoted(url);
    format!(
        r#"# Works against a Biped sandbox at {url}. The secrets are valid only there.

# Data Export with account-level credentials, for the project on the cloud {first}
#   biped call exports GET /v1/exports
[providers.exports]
kind = "contentsquare"
token_endpoint = {token_endpoint}
{account}
scope = ["data-export", "metrics"]
project_id = 42

# Data Export for the same account's project on the cloud {second}
#   biped call exports-us GET /v1/exports
[providers.exports-us]
kind = "contentsquare"
token_endpoint = {token_endpoint}
{account}
scope = ["data-export"]
project_id = 43

# Enrichment with project-level credentials, which need no project_id
#   biped call enrichment POST /v1/enrichment/integrations/123/data -d '{{"sessions": []}}'
[providers.enrichment]
kind = "contentsquare"
token_endpoint = {token_endpoint}
{project}
scope = ["enrichment"]
integration_id = 123

# Speed Analysis Lab
#   biped call speed-analysis GET '/v1/speed-analysis/monitoring list'
[providers.speed-analysis]
kind = "contentsquare"
token_endpoint = {token_endpoint}
{account}
scope = ["speed-analysis"]
project_id = 42

# The envelope vendor, with the same base URL for its token endpoint and its API
#   biped call shop GET /v1/orders
[providers.shop]
kind = "envelope"
base_url = {base_url}
{shop}
"#
    )
}

fn credentials(of: Credentials) -> String {
    let Credentials {
        client_id,
        client_secret,
    } = of;
    format!(
        "client_id = {}\nclient_secret = {}",
        quoted(client_id),
        quoted(client_secret)
    )
}

/// A TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
