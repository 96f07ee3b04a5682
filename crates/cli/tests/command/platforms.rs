//! Clients without a secret, against platforms that demand what their documentation says, and an issuer
//! that verifies what they sign.

use std::time::Duration;

use biped_sandbox::{Environment, Platforms};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::world::{Ran, World};

struct Stage {
    world: World,
    platforms: Platforms,
    _runtime: Runtime,
}

impl Stage {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let lifetime = Duration::from_secs(3600);
        let starting = Platforms::builder().lifetime(lifetime).start();
        let platforms = runtime.block_on(starting).unwrap();
        let world = World::empty();
        world.write("biped.toml", &platforms.config_toml());
        Self {
            world,
            platforms,
            _runtime: runtime,
        }
    }

    /// One entry at the issuer, with these lines.
    fn configure(&self, lines: &str) {
        let url = self.platforms.url();
        let toml = format!("[providers.it]\nkind = 'oauth2'\nissuer = '{url}/issuer'\n{lines}\n");
        self.world.write("biped.toml", &toml);
    }

    /// The variables of the platform whose description starts so.
    fn environment(&self, about: &str) -> Environment {
        let mut all = self.platforms.environments().into_iter();
        all.find(|it| it.about.starts_with(about)).unwrap()
    }

    /// Runs a command as a job of this platform; of none if it is empty.
    fn run(&self, about: &str, line: &str) -> Ran {
        let mut command = self.world.command(line.split_whitespace());
        if !about.is_empty() {
            command.envs(self.environment(about).variables);
        }
        Ran::of(command.output().unwrap())
    }

    /// The requests since the last `seen` many, but for the issuer's metadata.
    fn requests_after(&self, seen: usize) -> Vec<String> {
        let all = self.platforms.seen().into_iter().skip(seen);
        let all = all.map(|it| format!("{} {}", it.status, it.request));
        all.filter(|it| !it.contains("/.well-known/")).collect()
    }

    fn token_requests(&self) -> usize {
        let seen = self.platforms.seen();
        let of_issuer = seen
            .iter()
            .filter(|it| it.request.contains("/issuer/token"));
        of_issuer.count()
    }
}

#[test]
fn each_platform_sees_its_request_once_a_fetch() {
    const GCP: &str = "200 GET /computeMetadata/v1/instance/service-accounts/default";
    const AZURE: &str = "api%3A%2F%2FAzureADTokenExchange";
    let stage = Stage::new();
    let url = stage
        .platforms
        .url()
        .replace(':', "%3A")
        .replace('/', "%2F");
    let (issuer, api) = (format!("{url}%2Fissuer"), format!("{url}%2Fapi"));
    let token = "200 POST /issuer/token".to_owned();
    let arc =
        format!("/arc/metadata/identity/oauth2/token?api-version=2020-06-01&resource={AZURE}");
    let forgejo = "/forgejo/api/actions/_apis/pipelines/workflows/7/idtoken";
    for (about, entry, expected) in [
        (
            "GitHub",
            "github",
            vec![
                format!("200 GET /github/token?api-version=2.0&audience={issuer}"),
                token.clone(),
            ],
        ),
        (
            "Forgejo",
            "github",
            vec![
                format!("200 GET {forgejo}?api-version=2.0&audience={issuer}"),
                token.clone(),
            ],
        ),
        ("", "kubernetes", vec![token.clone()]),
        (
            "",
            "gcp",
            vec![
                format!("{GCP}/identity?audience={issuer}&format=full"),
                token.clone(),
            ],
        ),
        (
            "",
            "gcp-identity",
            vec![format!("{GCP}/identity?audience={api}&format=full")],
        ),
        (
            "",
            "gcp-access --scope=a,b",
            vec![format!("{GCP}/token?scopes=a%2Cb")],
        ),
        (
            "",
            "azure",
            vec![
                format!(
                    "200 GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource={AZURE}"
                ),
                token.clone(),
            ],
        ),
        (
            "Azure App Service",
            "azure-app-service",
            vec![
                format!("200 GET /msi/token?api-version=2019-08-01&resource={AZURE}"),
                token.clone(),
            ],
        ),
        (
            "Azure Arc",
            "azure-arc",
            vec![
                format!("401 GET {arc}"),
                format!("200 GET {arc}"),
                token.clone(),
            ],
        ),
        ("", "any", vec!["200 GET /any/token".into(), token.clone()]),
        #[cfg(unix)]
        (
            "",
            "spiffe",
            vec![
                "200 POST /SpiffeWorkloadAPI/FetchJWTSVID".into(),
                token.clone(),
            ],
        ),
        ("", "federated", vec![token.clone()]),
        ("", "google-key", vec![token.clone()]),
    ] {
        for _ in 0..2 {
            let seen = stage.platforms.seen().len();
            let ran = stage.run(about, &format!("token --fresh {entry}"));
            assert_ne!(ran.ok().trim(), "", "{entry}");
            assert_eq!(stage.requests_after(seen), expected, "{about} {entry}");
        }
    }
}

#[test]
fn an_assertion_for_another_is_refused_by_the_issuer() {
    let stage = Stage::new();
    let url = stage.platforms.url();
    let socket = stage.platforms.directory().join("agent.sock");
    let socket = socket.display();
    let other = "https://other.example";
    let mut all = vec![
        (
            "GitHub",
            format!("client_assertion = {{ github = {{ audience = '{other}' }} }}"),
        ),
        (
            "",
            format!(
                "client_assertion = {{ gcp = {{ audience = '{other}', endpoint = '{url}' }} }}"
            ),
        ),
        (
            "",
            format!(
                "client_assertion = {{ azure = {{ resource = '{other}', endpoint = '{url}' }} }}"
            ),
        ),
        (
            "Azure App Service",
            format!("client_assertion = {{ azure = {{ resource = '{other}' }} }}"),
        ),
        (
            "GitHub",
            "client_assertion = { github = {} }\nclient_id = 'another'".into(),
        ),
        (
            "GitHub",
            "client_assertion = { github = {} }\nclient_assertion_type = 'jwt-spiffe'".into(),
        ),
    ];
    if cfg!(unix) {
        let spiffe = |keys: &str| {
            format!("client_assertion = {{ spiffe = {{ socket = 'unix://{socket}'{keys} }} }}")
        };
        all.push(("", spiffe(&format!(", audience = ['{other}']"))));
        all.push(("", spiffe("") + "\nclient_assertion_type = 'jwt-bearer'"));
    }
    for (about, lines) in all {
        stage.configure(&lines);
        let asked = stage.token_requests();
        let error = stage.run(about, "token it --format json").error(3);
        assert_eq!(error["kind"], "refused", "{lines}");
        assert_eq!(error["code"], "invalid_client", "{lines}");
        assert_eq!(error["source"], Value::Null, "{lines}");
        assert_eq!(stage.token_requests(), asked + 1, "{lines}");
    }
}

#[test]
fn what_fails_at_a_platform_never_reaches_the_issuer() {
    let stage = Stage::new();
    let url = stage.platforms.url();
    let github = "client_assertion = { github = {} }";
    let nowhere = "unix:///no/such/agent.sock";
    for (lines, variables, status, kind, source) in [
        (github.to_owned(), vec![], 2, "secret", "github"),
        (
            github.to_owned(),
            vec![
                (
                    "ACTIONS_ID_TOKEN_REQUEST_URL",
                    format!("{url}/github/token?api-version=2.0"),
                ),
                ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "wrong".into()),
            ],
            2,
            "secret",
            "github",
        ),
        (
            format!("client_assertion = {{ gcp = {{ endpoint = '{url}/nowhere' }} }}"),
            vec![],
            4,
            "unavailable",
            "gcp",
        ),
        (
            "client_assertion = { azure = {} }".into(),
            vec![
                ("IDENTITY_ENDPOINT", format!("{url}/msi/token")),
                ("IDENTITY_HEADER", "wrong".into()),
            ],
            2,
            "secret",
            "azure",
        ),
        (
            // Arc's agent names a file that is not in this directory.
            "client_assertion = { azure = { key_directory = '/' } }".into(),
            vec![
                (
                    "IDENTITY_ENDPOINT",
                    format!("{url}/arc/metadata/identity/oauth2/token"),
                ),
                ("IMDS_ENDPOINT", url.into()),
            ],
            2,
            "secret",
            "azure",
        ),
        (
            format!("client_assertion = {{ spiffe = {{ socket = '{nowhere}' }} }}"),
            vec![],
            2,
            "secret",
            "spiffe",
        ),
    ] {
        stage.configure(&lines);
        let mut command = stage.world.command(["token", "it", "--format", "json"]);
        command.envs(variables);
        let error = Ran::of(command.output().unwrap()).error(status);
        assert_eq!(
            (&error["kind"], &error["source"]),
            (&kind.into(), &source.into()),
            "{lines}"
        );
    }
    assert_eq!(stage.token_requests(), 0);
}

#[test]
fn a_key_file_with_another_token_endpoint_is_found_before_anything_is_sent() {
    let stage = Stage::new();
    let file = stage.platforms.directory().join("service-account.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let url = stage.platforms.url();
    let other = text.replace(&format!("{url}/issuer/token"), "https://evil.example/token");
    assert_ne!(text, other);
    std::fs::write(&file, other).unwrap();
    for line in [
        "check google-key",
        "identity google-key",
        "token google-key",
    ] {
        let ran = stage.run("", &format!("{line} --format json"));
        assert_eq!(ran.status, 2, "{ran:?}");
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(told.contains(r#""kind":"configuration""#), "{told}");
        assert!(!told.contains("evil.example"), "{told}");
    }
    assert_eq!(stage.token_requests(), 0);
}

#[test]
fn nothing_that_a_platform_gives_or_is_shown_is_told() {
    let stage = Stage::new();
    let secrets: Vec<_> = ["GitHub", "Azure App Service"]
        .map(|about| stage.environment(about).variables)
        .into_iter()
        .flatten()
        .filter(|(name, _)| !name.ends_with("URL") && !name.ends_with("ENDPOINT"))
        .map(|(_, value)| value)
        .collect();
    assert_eq!(secrets.len(), 2);
    for (about, entry) in [
        ("GitHub", "github"),
        ("Azure App Service", "azure-app-service"),
        ("Azure Arc", "azure-arc"),
        ("", "kubernetes"),
        ("", "gcp"),
        ("", "gcp-identity"),
        ("", "gcp-access"),
        ("", "any"),
        ("", "spiffe"),
        ("", "chained"),
        ("", "google-key"),
    ] {
        let token = stage.run(about, &format!("-vv token {entry}"));
        let mut told = vec![token.stderr.clone()];
        for line in ["check", "identity", "config show"] {
            let ran = stage.run(about, &format!("-vv {line} {entry}"));
            told.push(ran.stdout + &ran.stderr);
        }
        let token = token.ok();
        for told in told {
            // Every JWT here starts so, whoever signed it.
            assert!(!told.contains("eyJ"), "{entry}: {told}");
            assert!(!told.contains(token.trim()), "{entry}: {told}");
            for secret in &secrets {
                assert!(!told.contains(secret), "{entry}: {told}");
            }
        }
    }
}
