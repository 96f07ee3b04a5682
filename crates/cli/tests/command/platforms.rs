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
    let workload = format!("{GCP}/identity?audience={issuer}&format=full");
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
        ("", "gcp", vec![workload.clone(), token.clone()]),
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
        (
            "",
            "azure-api",
            vec![format!(
                "200 GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource={api}"
            )],
        ),
        ("", "federated", vec![token.clone()]),
        ("", "google-key", vec![token.clone()]),
        ("", "signed", vec![token.clone()]),
        ("", "key", vec![token.clone()]),
        ("", "discovered", vec![token.clone()]),
        // Another provider's token is asked for once, and kept.
        ("", "workload", vec![workload.clone()]),
        ("", "chained", vec![token.clone()]),
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
fn a_projected_text_is_presented_wherever_it_is_read() {
    let stage = Stage::new();
    let directory = stage.platforms.directory().to_owned();
    let path = directory.join("kubernetes.jwt");
    let file = path.display();
    for lines in [
        format!("client_assertion = 'file:{file}'"),
        "client_assertion = 'file:${PROJECTED}/kubernetes.jwt'".into(),
        "client_assertion = 'env:JOB_TOKEN'".into(),
        "client_assertion = 'env:JOB#/token'".into(),
        format!("client_assertion = {{ cmd = ['cat', '{file}'] }}"),
        format!("client_assertion = ['env:NOT_SET', 'file:{file}']"),
        "grant = 'jwt_bearer'\nassertion = 'env:JOB_TOKEN'".into(),
        "grant = 'token_exchange'\nsubject_token = 'env:JOB_TOKEN'".into(),
    ] {
        stage.configure(&lines);
        let token = std::fs::read_to_string(&path).unwrap();
        let mut command = stage.world.command(["token", "it", "--fresh"]);
        command
            .env("PROJECTED", &directory)
            .env("JOB", format!(r#"{{"token": "{token}"}}"#))
            .env("JOB_TOKEN", token);
        let seen = stage.platforms.seen().len();
        assert_ne!(Ran::of(command.output().unwrap()).ok(), "", "{lines}");
        let asked = stage.requests_after(seen);
        assert_eq!(asked, ["200 POST /issuer/token"], "{lines}");
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

/// The secrets in the files of the sandbox: whole, and of a key a line of it.
fn written(stage: &Stage) -> Vec<String> {
    let files = std::fs::read_dir(stage.platforms.directory()).unwrap();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
    let long = |text: String| {
        let lines = text.replace("\\n", "\n");
        let lines = lines.lines().map(|line| line.trim().trim_end_matches('\r'));
        let is_secret =
            |line: &&str| line.len() > 20 && !line.contains("-----") && !line.contains('"');
        lines
            .filter(is_secret)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    texts.flat_map(long).collect()
}

const PLANTED: &str = "pl4nted-s3cret";

/// Entries that show a secret to somebody who refuses it, or has none.
fn planted(url: &str) -> Vec<String> {
    let client = "client_id = 'c'\n";
    let vault = format!("[vault]\naddress = '{url}'\n");
    vec![
        format!("{client}client_secret = 'env:PLANTED'"),
        format!("{client}client_secret = 'env:CREDENTIALS#/secret'"),
        format!("{client}client_secret = 'env:CREDENTIALS#/missing'"),
        format!("{client}client_secret = ['env:NOT_SET', 'env:PLANTED']"),
        format!("{client}client_secret = {{ cmd = ['echo', '{PLANTED}'] }}"),
        format!("{client}client_secret = {{ cmd = ['false', '{PLANTED}'] }}"),
        format!("{client}key = 'env:PLANTED'"),
        "client_assertion = 'env:PLANTED'".into(),
        "grant = 'jwt_bearer'\nassertion = 'env:PLANTED'".into(),
        "grant = 'jwt_bearer'\nassertion = { google_key = 'env:CREDENTIALS' }".into(),
        "grant = 'jwt_bearer'\nassertion = { sign = { key = 'env:PLANTED', iss = 'i' } }".into(),
        "grant = 'token_exchange'\nsubject_token = 'env:PLANTED'\nactor_token = 'env:PLANTED'"
            .into(),
        format!(
            "{client}client_secret = 'env:PLANTED'\ngrant = 'password'\nusername = 'u'\n\
             password = 'env:PLANTED'"
        ),
        format!(
            "{client}client_secret = 'env:PLANTED'\ngrant = 'refresh_token'\nrotates = false\n\
             refresh_token = 'env:PLANTED'"
        ),
        format!(
            "client_assertion = {{ url = '{url}/any/token?key={PLANTED}', body = 'env:PLANTED', \
             headers = {{ Authorization = 'env:PLANTED' }} }}"
        ),
        format!("{client}client_secret = 'vault:kv/crm#secret'\n{vault}token = 'env:PLANTED'"),
        format!("{client}key = {{ vault = 'crm' }}\n{vault}token = 'env:PLANTED'"),
        format!(
            "{client}client_secret = 'vault:kv/crm#secret'\n{vault}\
             login = {{ role = 'r', jwt = 'env:PLANTED' }}"
        ),
    ]
}

/// One secret of each source and each flow, in each command, whether it works or fails.
#[test]
fn no_secret_of_any_source_is_in_any_output() {
    let stage = Stage::new();
    let toml = stage.platforms.config_toml();
    let entries = toml
        .lines()
        .filter_map(|line| line.strip_prefix("[providers."));
    let entries: Vec<_> = entries.map(|line| line.trim_end_matches(']')).collect();
    assert!(entries.len() > 20, "{entries:?}");
    let mut secrets = written(&stage);
    let of_variables: Vec<_> = ["GitHub", "Azure App Service"]
        .map(|about| stage.environment(about).variables)
        .into_iter()
        .flatten()
        .filter(|(name, _)| !name.ends_with("URL") && !name.ends_with("ENDPOINT"))
        .map(|(_, value)| value)
        .collect();
    assert_eq!(of_variables.len(), 2);
    secrets.extend(of_variables);
    // A seal, two seeds, two keys, a projected token.
    assert!(secrets.len() > 8, "{secrets:?}");
    let hidden = |what: &str, told: &str, token: &str| {
        // Every JWT here starts so, whoever signed it.
        assert!(!told.contains("eyJ"), "{what}: {told}");
        assert!(token.is_empty() || !told.contains(token), "{what}: {told}");
        for secret in &secrets {
            assert!(!told.contains(secret), "{what}: {told}");
        }
    };
    for entry in &entries {
        let about = match *entry {
            "github" => "GitHub",
            "azure-app-service" => "Azure App Service",
            "azure-arc" => "Azure Arc",
            _ => "",
        };
        let token = stage.run(about, &format!("-vv token {entry}"));
        let mut told = vec![token.stderr.clone()];
        for line in ["check", "identity"] {
            let ran = stage.run(about, &format!("-vv {line} {entry}"));
            told.push(ran.stdout + &ran.stderr);
        }
        let token = token.ok();
        for told in told {
            hidden(entry, &told, token.trim());
        }
    }
    for line in ["-vv config show", "-vv list"] {
        let ran = stage.run("", line);
        hidden(line, &(ran.stdout + &ran.stderr), "");
    }
    for lines in planted(stage.platforms.url()) {
        let api = stage.platforms.url();
        stage.configure(&format!("api_base_url = '{api}/api'\n{lines}"));
        for line in [
            "token it",
            "token it --format json",
            "check it",
            "identity it",
            "call it GET /hello",
            "config show",
        ] {
            let mut command = stage.world.command(["-vv"]);
            command
                .args(line.split_whitespace())
                .env("PLANTED", PLANTED)
                .env(
                    "CREDENTIALS",
                    format!(r#"{{"secret": "{PLANTED}", "type": "{PLANTED}"}}"#),
                );
            let ran = Ran::of(command.output().unwrap());
            assert!(
                ran.status != 0 || !line.starts_with("token"),
                "{lines}: {ran:?}"
            );
            let told = ran.stdout + &ran.stderr;
            assert!(!told.contains(PLANTED), "{lines}: {line}: {told}");
            hidden(&lines, &told, "");
        }
    }
}
