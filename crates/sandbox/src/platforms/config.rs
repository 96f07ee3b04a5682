//! A biped.toml with an entry for each platform, and the variables that platforms set.

use std::fmt;

use serde_json::json;

use super::{
    services::{APP_SERVICE, ARC, FORGEJO},
    state::{ACCOUNT_EMAIL, CLIENT_ID, Party, ROTATING, State},
};
use crate::config::quoted;

/// The variables that a platform sets for what runs on it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Environment {
    /// The platform, and the entry that needs them.
    pub about: &'static str,
    /// What it sets.
    pub variables: Vec<(&'static str, String)>,
    /// What another platform sets, and this one does not.
    pub unset: &'static [&'static str],
}

impl fmt::Debug for Environment {
    /// Leaves out the values, of which some are credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.iter().map(|(name, _)| name).collect();
        f.debug_struct("Environment")
            .field("about", &self.about)
            .field("variables", &names)
            .field("unset", &self.unset)
            .finish()
    }
}

/// What each platform sets. Where all are set, one after the other, each entry works.
pub(super) fn environments(state: &State) -> Vec<Environment> {
    let (url, header) = (&state.url, || state.identity_header.clone());
    let job = |about, path: &str| Environment {
        about,
        variables: vec![
            (
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                format!("{url}{path}?api-version=2.0"),
            ),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", state.runner.clone()),
        ],
        unset: &[],
    };
    vec![
        job("Forgejo Actions, for the entry github", FORGEJO),
        job("GitHub Actions, for the entry github", "/github/token"),
        Environment {
            about: "Azure Arc, for the entry azure-arc",
            variables: vec![
                ("IDENTITY_ENDPOINT", format!("{url}{ARC}")),
                ("IMDS_ENDPOINT", url.clone()),
            ],
            unset: &["IDENTITY_HEADER"],
        },
        Environment {
            about: "Azure App Service and Container Apps, for the entry azure-app-service",
            variables: vec![
                ("IDENTITY_ENDPOINT", format!("{url}{APP_SERVICE}")),
                ("IDENTITY_HEADER", header()),
            ],
            unset: &["IMDS_ENDPOINT"],
        },
    ]
}

/// An entry of kind oauth2 at the issuer.
fn entry(state: &State, about: &str, name: &str, lines: &str) -> String {
    let (issuer, api) = (state.issuer(), state.api());
    format!(
        "\n# {about}\n#   biped call {name} GET /hello\n[providers.{name}]\nkind = \"oauth2\"\n\
         issuer = \"{issuer}\"\napi_base_url = \"{api}\"\n{lines}\n"
    )
}

/// An entry of kind platform, whose tokens are for the API.
fn platform(state: &State, about: &str, name: &str, token: &str) -> String {
    let api = state.api();
    format!(
        "\n# {about}\n#   biped call {name} GET /hello\n[providers.{name}]\nkind = \"platform\"\n\
         api_base_url = \"{api}\"\ntoken = {token}\n"
    )
}

pub(super) fn toml(state: &State) -> String {
    let (url, api, issuer) = (&state.url, state.api(), state.issuer());
    let path = |name: &str| state.directory().join(name).display().to_string();
    let oauth2 = |about: &str, name: &str, lines: &str| entry(state, about, name, lines);
    let platform = |about: &str, name: &str, token: &str| platform(state, about, name, token);
    let kubernetes = quoted(&format!("file:{}", path("kubernetes.jwt")));
    let key = quoted(&format!("file:{}", path("client.key.pem")));
    let directory = quoted(&state.directory().display().to_string());
    let bearer = quoted(&format!("Bearer {}", state.runner));
    let mut all = vec![
        format!(
            "\n# Platforms, an issuer at {issuer} that trusts them, and an API at {api}.\n\
             # The variables that `biped sandbox --platform` prints are for the entries github,\n\
             # azure-app-service and azure-arc.\n"
        ),
        oauth2(
            "A job of GitHub Actions or Forgejo Actions",
            "github",
            "client_assertion = { github = {} }",
        ),
        oauth2(
            "A projected token of Kubernetes, which a kubelet replaces every 5 s",
            "kubernetes",
            &format!("client_assertion = {kubernetes}"),
        ),
        oauth2(
            "The identity of a Google service account, as a client assertion",
            "gcp",
            &format!("client_assertion = {{ gcp = {{ endpoint = \"{url}\" }} }}"),
        ),
        platform(
            "The same identity, for an API that verifies Google's tokens",
            "gcp-identity",
            &format!("{{ gcp = {{ audience = \"{api}\", endpoint = \"{url}\" }} }}"),
        ),
        platform(
            "An access token of a Google service account",
            "gcp-access",
            &format!("{{ gcp = {{ access = true, endpoint = \"{url}\" }} }}"),
        ),
        oauth2(
            "The managed identity of a virtual machine in Azure",
            "azure",
            &format!("client_assertion = {{ azure = {{ endpoint = \"{url}\" }} }}"),
        ),
        oauth2(
            "The managed identity of App Service or Container Apps",
            "azure-app-service",
            "client_assertion = { azure = {} }",
        ),
        oauth2(
            "The managed identity of a machine with the agent of Azure Arc",
            "azure-arc",
            &format!("client_assertion = {{ azure = {{ key_directory = {directory} }} }}"),
        ),
        platform(
            "The same identity, for an API that trusts Entra ID",
            "azure-api",
            &format!("{{ azure = {{ resource = \"{api}\", endpoint = \"{url}\" }} }}"),
        ),
        oauth2(
            "Any endpoint that responds with a token",
            "any",
            &format!(
                "client_assertion = {{ url = \"{url}/any/token\", at = \"/data/token\", \
                 headers = {{ Authorization = {bearer} }} }}"
            ),
        ),
        format!(
            "\n# A token for the issuer, which the entry chained presents\n#   biped token workload\n\
             [providers.workload]\nkind = \"platform\"\n\
             token = {{ gcp = {{ audience = \"{issuer}\", endpoint = \"{url}\" }} }}\n"
        ),
        oauth2(
            "Another provider's token, as a client assertion",
            "chained",
            "client_assertion = { provider = \"workload\" }",
        ),
        oauth2(
            "The same projected token as the grant (RFC 7523)",
            "federated",
            &format!("grant = \"jwt_bearer\"\nassertion = {kubernetes}"),
        ),
        oauth2(
            "An assertion that is signed here, as the grant",
            "signed",
            &format!(
                "grant = \"jwt_bearer\"\nassertion = {{ sign = {{ key = {key}, iss = \
                 \"{CLIENT_ID}\", sub = \"{CLIENT_ID}\" }} }}"
            ),
        ),
        oauth2(
            "The key file of a Google service account",
            "google-key",
            &format!(
                "grant = \"jwt_bearer\"\nscope = [\"read\"]\nassertion = {{ google_key = {} }}",
                quoted(&format!("file:{}", path("service-account.json")))
            ),
        ),
        oauth2(
            "Another provider's token, exchanged (RFC 8693)",
            "exchanged",
            "grant = \"token_exchange\"\nsubject_token = { provider = \"kubernetes\" }",
        ),
        format!(
            "\n# The API's address alone, and the issuer that the token may go to (RFC 9728)\n\
             #   biped call discovered GET /hello\n[providers.discovered]\nkind = \"oauth2\"\n\
             api = \"{api}\"\nissuer = \"{issuer}\"\nclient_assertion = {kubernetes}\n"
        ),
        oauth2(
            "A client with a key of its own (private_key_jwt)",
            "key",
            &format!("client_id = \"{CLIENT_ID}\"\nkey = {key}"),
        ),
    ];
    for (name, has_grace) in ROTATING {
        let about = match has_grace {
            true => "The same at a server that accepts the latest replaced one again",
            false => {
                "A refresh token that is replaced with each use, and revoked if an old one is used"
            }
        };
        let seed = quoted(&format!("file:{}", path(&format!("{name}.seed"))));
        let lines = format!(
            "grant = \"refresh_token\"\nclient_id = \"{CLIENT_ID}\"\nkey = {key}\nrefresh_token = {seed}"
        );
        all.push(oauth2(about, name, &lines));
    }
    all.push(format!(
        "\n# Refresh tokens that are replaced with each use need a store that outlives the process, and a\n\
         # key that seals them.\n\
         # POST {issuer}/_sandbox/lose-answer loses the answer to the next refresh.\n[store]\nkind = \"file\"\npath = {}\nseal = {}\n",
        quoted(&path("tokens")),
        quoted(&format!("file:{}", path("seal.key")))
    ));
    if cfg!(unix) {
        let socket = quoted(&format!("unix://{}", path("agent.sock")));
        all.push(oauth2(
            "A JWT-SVID of a SPIFFE Workload API",
            "spiffe",
            &format!("client_assertion = {{ spiffe = {{ socket = {socket} }} }}"),
        ));
    }
    all.concat()
}

/// A service account's key file, whose token endpoint is the issuer's.
pub(super) fn service_account(state: &State) -> String {
    let pem = state.key(Party::Account).map(super::keys::Key::pem);
    let file = json!({
        "type": "service_account", "client_email": ACCOUNT_EMAIL, "private_key_id": ACCOUNT_EMAIL,
        "private_key": pem, "token_uri": state.token_endpoint(),
    });
    format!("{file:#}\n")
}
