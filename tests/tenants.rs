//! One provider, the credentials of many customers.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use biped::{
    Biped, Builder, Error, ErrorKind, ExposeSecret, SecretString,
    config::{SecretScheme, SecretSource, SourceContext},
    file::FileStore,
    oauth2::METADATA_LIFETIME,
    provider::async_trait,
    redis::RedisStore,
    sealed::{SealKey, SealedStore},
    store::{MemoryStore, TokenStore},
};
use biped_testing::{ManualClock, Recorded, Reply, ScriptedHttp, TimeLimit, settle};
use tempfile::TempDir;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::events::Events;

const CRM: &str = r#"
    [providers.crm]
    kind = "oauth2"
    tenant = "[a-z0-9-]{1,40}"
    token_endpoint = "https://{tenant}.crm.example/oauth/token"
    client_id = "vault:{tenant}/id"
    client_secret = "vault:{tenant}/secret"
    client_authentication = "client_secret_basic"
    params = { region = "eu", account = "{tenant}" }
    scope = "read:{tenant} write"
    api_base_url = "https://{tenant}.crm.example/api"
"#;

/// The secrets of the customers, and how often each was read.
#[derive(Clone, Debug, Default)]
struct Vault {
    secrets: Arc<Mutex<BTreeMap<String, String>>>,
    reads: Arc<Mutex<Vec<String>>>,
}

impl Vault {
    fn with(all: &[(&str, &str)]) -> Self {
        let vault = Self::default();
        for (path, secret) in all {
            vault.set(path, secret);
        }
        vault
    }

    fn set(&self, path: &str, secret: &str) {
        self.secrets
            .lock()
            .unwrap()
            .insert(path.into(), secret.into());
    }

    fn remove(&self, path: &str) {
        self.secrets.lock().unwrap().remove(path);
    }

    fn reads(&self) -> Vec<String> {
        std::mem::take(&mut self.reads.lock().unwrap())
    }

    fn scheme(&self) -> SecretScheme {
        let vault = self.clone();
        SecretScheme::new("vault", move |path: &str| {
            let place = Place(path.to_owned(), vault.clone());
            Ok(Arc::new(place) as Arc<dyn SecretSource>)
        })
    }
}

#[derive(Debug)]
struct Place(String, Vault);

#[async_trait]
impl SecretSource for Place {
    fn reference(&self) -> String {
        format!("vault:{}", self.0)
    }

    async fn read(&self, _: &SourceContext<'_>) -> Result<SecretString, Error> {
        self.1.reads.lock().unwrap().push(self.0.clone());
        let secrets = self.1.secrets.lock().unwrap();
        let secret = secrets.get(&self.0).cloned();
        secret
            .map(Into::into)
            .ok_or_else(|| Error::secret("the vault has no such entry"))
    }
}

/// Two customers whose client ids are equal.
fn twins() -> Vault {
    Vault::with(&[
        ("acme/id", "shared-id"),
        ("acme/secret", "secret-of-acme"),
        ("umbrella/id", "shared-id"),
        ("umbrella/secret", "secret-of-umbrella"),
    ])
}

#[tokio::test]
async fn a_tenant_whose_api_is_named_reads_its_metadata_once_and_keeps_it_through_an_outage() {
    const METADATA: &str = "https://acme.api.example/.well-known/oauth-protected-resource";
    const TOKEN: &str = "https://login.example/token";
    let (clock, http) = (Arc::new(ManualClock::new()), Arc::new(ScriptedHttp::new()));
    http.answer_with(|count, request| match &*request.url {
        METADATA if count == 1 => Reply::json(
            200,
            r#"{"resource":"https://acme.api.example","authorization_servers":["https://login.example"]}"#,
        ),
        METADATA => Reply::error(503, "down"),
        _ => Reply::token(&format!("token-{count}"), 60),
    });
    let biped = Biped::builder()
        .without_environment()
        .toml(
            "[providers.crm]\nkind = 'oauth2'\ntenant = '[a-z]+'\nissuer = 'https://login.example'\n\
             token_endpoint = 'https://login.example/token'\napi = 'https://{tenant}.api.example'\n\
             client_id = 'id'\nclient_secret = 's'\n",
        )
        .clock(clock.clone())
        .http_client(http.clone())
        .build()
        .unwrap();
    let source = biped.token_source("crm").unwrap().tenant("acme");
    for _ in 0..3 {
        source.token().await.unwrap();
        clock.advance(Duration::from_secs(600));
    }
    let sent = http.requests();
    let urls: Vec<_> = sent.iter().map(|request| &*request.url).collect();
    assert_eq!(urls, [METADATA, TOKEN, TOKEN, TOKEN]);
    // It is read again, which fails.
    clock.advance(METADATA_LIFETIME);
    source.token().await.unwrap();
    assert!(http.count() > 5);
}

/// A vendor whose tokens say which secret they were got with.
fn vendor() -> Arc<ScriptedHttp> {
    let http = Arc::new(ScriptedHttp::new());
    http.answer_with(|count, request| {
        let secret = secret_of(request);
        match secret.starts_with("secret-of-") {
            true => Reply::token(&format!("token-{count}-{secret}"), 3600),
            false => Reply::error(401, "invalid_client"),
        }
    });
    http
}

fn secret_of(request: &Recorded) -> String {
    let header = request.headers["authorization"].to_str().unwrap();
    let plain = BASE64_STANDARD.decode(header.strip_prefix("Basic ").unwrap());
    let plain = String::from_utf8(plain.unwrap()).unwrap();
    plain.split_once(':').unwrap().1.to_owned()
}

fn builder(vault: &Vault, http: &Arc<ScriptedHttp>) -> Builder {
    Biped::builder()
        .without_environment()
        .secret_scheme(vault.scheme())
        .http_client(http.clone())
}

async fn token(biped: &Biped, tenant: &str) -> Result<String, Error> {
    let source = biped.token_source("crm").unwrap().tenant(tenant);
    let token = source.token().await?;
    Ok(token.expose_secret().to_owned())
}

#[tokio::test]
async fn the_first_token_of_a_tenant_costs_one_read_of_its_references_and_one_request() {
    let (vault, http) = (twins(), vendor());
    let biped = builder(&vault, &http).toml(CRM).build().unwrap();
    assert_eq!(vault.reads(), [""; 0]);
    for _ in 0..3 {
        let token = token(&biped, "acme").await.unwrap();
        assert!(token.ends_with("-secret-of-acme"), "{token}");
    }
    assert_eq!(vault.reads(), ["acme/id", "acme/secret"]);
    let requests = http.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].url, "https://acme.crm.example/oauth/token");
    let body = std::str::from_utf8(&requests[0].body).unwrap();
    for field in ["region=eu", "account=acme", "scope=read%3Aacme+write"] {
        assert!(body.split('&').any(|known| known == field), "{body}");
    }

    let umbrella = biped.token_source("crm").unwrap().tenant("umbrella");
    let acme = umbrella.tenant("acme");
    let acme = acme.token().await.unwrap().into_owned();
    assert!(acme.expose_secret().ends_with("-secret-of-acme"));
    assert_eq!(http.count(), 1, "a tenant's handle leads to another tenant");
    let base = umbrella.base_url(&acme).unwrap();
    assert_eq!(base.as_str(), "https://umbrella.crm.example/api");
}

#[tokio::test]
async fn without_a_tenant_and_with_a_wrong_name_nothing_is_sent() {
    let (vault, http) = (twins(), vendor());
    let biped = builder(&vault, &http).toml(CRM).build().unwrap();
    let plain = biped.token_source("crm").unwrap();
    let error = plain.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.provider(), Some("crm"));
    for wrong in [
        "",
        "ACME",
        "a.b",
        "../acme",
        "acme/x",
        "-a",
        "ä",
        &"a".repeat(41),
    ] {
        let error = token(&biped, wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{wrong}");
        let client = biped.client("crm").unwrap().tenant(wrong);
        assert!(client.get("/x").send().await.is_err(), "{wrong}");
        let source = plain.tenant(wrong);
        assert!(source.forget().await.is_err());
        assert!(source.stored().await.is_err());
        assert!(source.param("x", 1).token().await.is_err());
    }
    assert_eq!((http.count(), vault.reads().len()), (0, 0));
}

#[tokio::test]
async fn the_calls_of_one_tenant_do_not_wait_for_those_of_another() {
    let _limit = TimeLimit::start();
    let api = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_string("body");
    Mock::given(any()).respond_with(answer).mount(&api).await;
    let (vault, http) = (twins(), vendor());
    let text = CRM
        .replace("https://{tenant}.crm.example/api", &api.uri())
        .replace("read:{tenant} write", "write")
        .replace(", account = \"{tenant}\"", "");
    let biped = builder(&vault, &http).toml(text).build().unwrap();
    let client = biped.client("crm").unwrap().max_concurrent_requests(1);
    let held = client.tenant("acme").get("/x").send().await.unwrap();
    let other = client.tenant("umbrella").get("/x").send().await.unwrap();
    assert_eq!(other.text().await.unwrap(), "body");
    drop(held);
    client.tenant("acme").get("/x").send().await.unwrap();
}

#[tokio::test]
async fn limits_hold_whatever_the_pattern_allows() {
    let (vault, http) = (twins(), vendor());
    let text = CRM.replace("[a-z0-9-]{1,40}", "(?s).*");
    let biped = builder(&vault, &http).toml(text).build().unwrap();
    for wrong in [
        "",
        "a.b",
        "a/b",
        "_a",
        "-a",
        "a b",
        "a\n",
        "{tenant}",
        &"a".repeat(65),
    ] {
        let error = token(&biped, wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{wrong}");
    }
    assert_eq!((http.count(), vault.reads().len()), (0, 0));
}

#[tokio::test]
async fn a_pattern_matches_the_whole_name() {
    let (vault, http) = (twins(), vendor());
    let text = CRM.replace("[a-z0-9-]{1,40}", "acme|umb");
    let biped = builder(&vault, &http).toml(text).build().unwrap();
    assert!(token(&biped, "acme").await.is_ok());
    for wrong in ["umbrella", "acmes", "xacme"] {
        assert!(token(&biped, wrong).await.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_provider_without_tenants_refuses_one() {
    let (vault, http) = (twins(), vendor());
    let plain = "[providers.crm]\nkind = 'oauth2'\ntoken_endpoint = 'https://crm.example/token'\n\
                 client_id = 'a'\nclient_secret = 'secret-of-all'\n";
    let biped = builder(&vault, &http).toml(plain).build().unwrap();
    let source = biped.token_source("crm").unwrap();
    source.token().await.unwrap();
    let error = source.tenant("acme").token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(http.count(), 1);
}

/// A configuration with one line changed, and the key that is complained about.
#[test]
fn the_place_of_a_tenant_is_checked_when_the_configuration_is_read() {
    const WRONG: &[(&str, &str, &str)] = &[
        ("tenant = \"[a-z0-9-]{1,40}\"", "", "token_endpoint"),
        ("[a-z0-9-]{1,40}", "[a-z", "tenant"),
        ("[a-z0-9-]{1,40}", "a)|(b", "tenant"),
        ("[a-z0-9-]{1,40}", "", "tenant"),
        (
            "//{tenant}.crm.example/o",
            "//{tenant}.example/o",
            "token_endpoint",
        ),
        ("//{tenant}.crm.example/o", "//{tenant}/o", "token_endpoint"),
        (
            "//{tenant}.crm.example/o",
            "//{TENANT}.crm.example/o",
            "token_endpoint",
        ),
        (
            "//{tenant}.crm.example/o",
            "//x{tenant}.crm.example/o",
            "token_endpoint",
        ),
        (
            "//{tenant}.crm.example/o",
            "//{tenant}.{tenant}.crm.example/o",
            "token_endpoint",
        ),
        (
            "//{tenant}.crm.example/o",
            "//{tenant}.0.0.1/o",
            "token_endpoint",
        ),
        (
            "//{tenant}.crm.example/o",
            "//crm.example:{tenant}/o",
            "token_endpoint",
        ),
        (
            "//{tenant}.crm.example/o",
            "//{tenant}@crm.example/o",
            "token_endpoint",
        ),
        // Readers of URLs take further slashes, and none, for two.
        (
            "//{tenant}.crm.example/o",
            "////{tenant}/o",
            "token_endpoint",
        ),
        (
            "https://{tenant}.crm.example/o",
            "https:{tenant}://crm.example/o",
            "token_endpoint",
        ),
        (
            "//{tenant}.crm.example/api",
            "//{tenant}.example/api",
            "api_base_url",
        ),
        ("\"vault:{tenant}/id\"", "\"inline:{tenant}\"", "client_id"),
        (
            "\"vault:{tenant}/secret\"",
            "\"s-{tenant}\"",
            "client_secret",
        ),
        (
            "\"vault:{tenant}/secret\"",
            "{ cmd = [\"/x/{tenant}\"] }",
            "client_secret",
        ),
        (
            "\"vault:{tenant}/secret\"",
            "\"cmd:/x/{tenant} y\"",
            "client_secret",
        ),
        (
            "\"vault:{tenant}/secret\"",
            "{ cmd = [\"/x\"], at = \"/x\", of = \"{tenant}\" }",
            "client_secret",
        ),
        (
            "[providers.crm]",
            "[providers.crm]\nparams = { \"{tenant}\" = \"x\" }",
            "params",
        ),
        (
            "[providers.crm]",
            "[providers.crm]\nrotates = true",
            "rotates",
        ),
        // As it is by default, too.
        (
            "[providers.crm]",
            "[providers.crm]\ngrant = \"refresh_token\"",
            "grant",
        ),
    ];
    let (vault, http) = (twins(), vendor());
    for (old, new, key) in WRONG {
        assert!(CRM.contains(old));
        let text = CRM.replace(old, new);
        let error = builder(&vault, &http).toml(text).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let said = error.to_string();
        assert!(
            said.contains(&format!("providers.crm.{key}")),
            "{new}: {said}"
        );
    }
    const GOOD: &[(&str, &str)] = &[
        ("//{tenant}.crm.example/o", "//eu.{tenant}.crm.example/o"),
        ("//{tenant}.crm.example/o", "//crm.example/{tenant}/o"),
        (
            "\"vault:{tenant}/secret\"",
            "[\"env:S_{tenant}\", \"file:/s/{tenant}\"]",
        ),
        (
            "\"vault:{tenant}/secret\"",
            "{ cmd = [\"/x\", \"--of={tenant}\"] }",
        ),
        ("\"vault:{tenant}/secret\"", "{ file = \"/s/{tenant}\" }"),
        (
            "\"vault:{tenant}/secret\"",
            "{ file = \"/s\", at = \"/{tenant}/secret\" }",
        ),
        (
            "\"vault:{tenant}/secret\"",
            "{ cmd = [\"/x\"], at = \"/{tenant}/secret\" }",
        ),
    ];
    for (old, new) in GOOD {
        let text = CRM.replace(old, new);
        builder(&vault, &http).toml(text).build().unwrap();
    }
}

/// One key for each tenant, and each signs elsewhere.
#[tokio::test]
async fn a_command_signs_with_the_key_of_the_tenant() {
    const PUBLIC: &str = include_str!("../crates/providers/oauth2/tests/keys/ed25519.public.pem");
    let directory = TempDir::new().unwrap();
    for tenant in ["acme", "umbrella"] {
        fs::write(directory.path().join(format!("{tenant}.pem")), PUBLIC).unwrap();
    }
    let (vault, http) = (twins(), Arc::new(ScriptedHttp::new()));
    http.answer_with(|count, _| Reply::token(&format!("token-{count}"), 3600));
    let place = directory.path().display();
    let text = format!(
        r#"
        [providers.crm]
        kind = "oauth2"
        tenant = "[a-z]+"
        token_endpoint = "https://crm.example/oauth/token"
        client_id = "vault:{{tenant}}/id"
        [providers.crm.key]
        signer = ["sh", "-c", "echo $1 >> {place}/signed; head -c 64 /dev/zero | base64", "sign", "key-{{tenant}}"]
        public = "file:{place}/{{tenant}}.pem"
        "#
    );
    let biped = builder(&vault, &http).toml(text).build().unwrap();
    let tokens = [
        token(&biped, "acme").await.unwrap(),
        token(&biped, "umbrella").await.unwrap(),
        token(&biped, "acme").await.unwrap(),
    ];
    assert_eq!(tokens[0], tokens[2]);
    assert_ne!(tokens[0], tokens[1]);
    let signed = fs::read_to_string(directory.path().join("signed")).unwrap();
    assert_eq!(signed, "key-acme\nkey-umbrella\n");
}

/// As the sidecar does when it reads its configuration again.
#[tokio::test]
async fn a_new_configuration_takes_over_the_tokens_of_tenants() {
    let (vault, http) = (twins(), vendor());
    let old = builder(&vault, &http).toml(CRM).build().unwrap();
    let mut tokens = Vec::new();
    for tenant in ["acme", "umbrella"] {
        tokens.push(token(&old, tenant).await.unwrap());
    }
    vault.reads();
    let adopting = |text: &str| {
        let new = builder(&vault, &http).toml(text).build().unwrap();
        new.manager().adopt(old.manager());
        new
    };
    let new = adopting(&CRM.replace("/api\"", "/v2\""));
    for (tenant, old) in ["acme", "umbrella"].into_iter().zip(&tokens) {
        assert_eq!(token(&new, tenant).await.unwrap(), *old);
    }
    assert_eq!((http.count(), vault.reads().len()), (2, 0));

    // Tenants that are no more, and tokens of other credentials or for something else, stay behind.
    let new = adopting(&CRM.replace("[a-z0-9-]{1,40}", "acme"));
    assert_eq!(
        new.manager().statuses().len(),
        old.manager().statuses().len() - 1
    );
    token(&new, "umbrella").await.unwrap_err();
    assert_eq!(http.count(), 2);
    for (from, to) in [("{tenant}/id", "{tenant}/secret"), ("write\"", "read\"")] {
        let before = http.count();
        let new = adopting(&CRM.replace(from, to));
        assert!(!tokens.contains(&token(&new, "acme").await.unwrap()));
        assert_eq!(http.count(), before + 1, "{from}");
    }
}

#[test]
fn no_other_provider_needs_the_token_of_one_with_tenants() {
    let (vault, http) = (twins(), vendor());
    let text = format!(
        "{CRM}\n[providers.b]\nkind = 'oauth2'\ntoken_endpoint = 'https://b.example/t'\n\
         client_id = 'b'\nclient_assertion = {{ provider = 'crm' }}\n"
    );
    let error = builder(&vault, &http).toml(text).build().unwrap_err();
    assert!(error.to_string().contains("has tenants"), "{error}");
}

/// The stores that tokens of twins are planted in.
fn stores(directory: &TempDir) -> Vec<(&'static str, Arc<dyn TokenStore>)> {
    let file = |name: &str| FileStore::new(directory.path().join(name));
    let sealed = SealedStore::new(Arc::new(file("sealed")), SealKey::from_bytes([7; 32]));
    vec![
        ("memory", Arc::new(MemoryStore::new())),
        ("file", Arc::new(file("plain"))),
        ("sealed", Arc::new(sealed)),
    ]
}

#[tokio::test]
async fn twins_with_one_client_id_never_get_each_others_tokens() {
    let directory = TempDir::new().unwrap();
    for (store_name, store) in stores(&directory) {
        twins_stay_apart(store_name, store).await;
    }
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn twins_never_get_each_others_tokens_from_a_shared_redis() {
    let url = std::env::var("BIPED_TEST_REDIS_URL").expect("BIPED_TEST_REDIS_URL");
    let open = |prefix: &str| {
        let store = RedisStore::new(&url.clone().into()).unwrap();
        // Another run may have left its tokens there.
        let run = std::process::id();
        Arc::new(store.prefix(format!("biped:{prefix}:{run}")).unwrap())
    };
    twins_stay_apart("redis", open("plain")).await;
    let sealed = SealedStore::new(open("sealed"), SealKey::from_bytes([7; 32]));
    twins_stay_apart("sealed redis", Arc::new(sealed)).await;
}

/// Asks for the tokens of twins in one process after another.
async fn twins_stay_apart(store_name: &str, store: Arc<dyn TokenStore>) {
    let (vault, http) = (twins(), vendor());
    for round in 0..3 {
        // Another process each time, with nothing in its memory.
        let biped = builder(&vault, &http)
            .toml(one_endpoint())
            .store(store.clone())
            .build()
            .unwrap();
        for tenant in ["acme", "umbrella", "acme"] {
            let token = token(&biped, tenant).await.unwrap();
            let own = format!("-secret-of-{tenant}");
            assert!(token.ends_with(&own), "{store_name} {round}: {token}");
        }
        biped.manager().drain().await;
    }
    assert_eq!(http.count(), 2, "{store_name}: one request for each twin");
}

/// The provider with nothing but the secrets that tells one tenant from another.
fn one_endpoint() -> String {
    CRM.replace("//{tenant}.crm.example/o", "//crm.example/o")
        .replace(", account = \"{tenant}\"", "")
        .replace("read:{tenant} write", "read")
}

#[tokio::test]
async fn tenants_at_one_endpoint_share_its_budget() {
    // How many of twelve tenants' requests are on their way before any is answered.
    for (text, at_a_time) in [(one_endpoint(), 3), (CRM.to_owned(), 12)] {
        let (vault, http) = (Vault::default(), vendor());
        let text = format!("{text}\n[engine]\nconcurrent_fetches = 3\n");
        let biped = builder(&vault, &http).toml(text).build().unwrap();
        http.close_gate();
        let asking: Vec<_> = (0..12)
            .map(|number| {
                let tenant = format!("tenant-{number}");
                vault.set(&format!("{tenant}/id"), "shared-id");
                vault.set(&format!("{tenant}/secret"), &format!("secret-of-{tenant}"));
                let source = biped.token_source("crm").unwrap().tenant(&tenant);
                tokio::spawn(async move { source.token().await.map(drop) })
            })
            .collect();
        http.arrivals(at_a_time).await;
        settle().await;
        assert_eq!(http.count(), at_a_time);
        http.open_gate();
        for asked in asking {
            asked.await.unwrap().unwrap();
        }
        assert_eq!(http.count(), 12);
    }
}

#[tokio::test]
async fn what_happens_to_a_tenant_happens_to_no_other() {
    let (vault, http) = (twins(), vendor());
    vault.set("umbrella/secret", "wrong");
    let one_endpoint = CRM.replace("//{tenant}.crm.example/o", "//crm.example/o");
    let store = Arc::new(MemoryStore::new());
    let biped = builder(&vault, &http).toml(one_endpoint).store(store);
    let biped = biped.build().unwrap();
    let error = token(&biped, "umbrella").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let acme = token(&biped, "acme").await.unwrap();

    // A rejection, and a token that is forgotten.
    vault.set("umbrella/secret", "secret-of-umbrella");
    let umbrella = biped.token_source("crm").unwrap().tenant("umbrella");
    umbrella.forget().await.unwrap();
    let held = biped.token_source("crm").unwrap().tenant("acme");
    assert_eq!(held.fresh().unwrap().expose_secret(), acme);
    held.forget().await.unwrap();
    assert!(held.fresh().is_none());
    vault.set("acme/secret", "secret-of-acme-2");
    assert!(token(&biped, "acme").await.unwrap().ends_with("acme-2"));

    // A tenant that was removed has no token after it was forgotten.
    vault.remove("acme/secret");
    held.forget().await.unwrap();
    assert!(token(&biped, "acme").await.is_err());
}

#[tokio::test]
async fn a_changed_secret_counts_at_the_next_fetch() {
    let (vault, http) = (twins(), vendor());
    let clock = Arc::new(ManualClock::new());
    let biped = builder(&vault, &http).toml(CRM).clock(clock.clone());
    let biped = biped.build().unwrap();
    token(&biped, "acme").await.unwrap();
    vault.set("acme/secret", "secret-of-acme-next");
    clock.advance(Duration::from_secs(3600));
    let next = token(&biped, "acme").await.unwrap();
    assert!(next.ends_with("secret-of-acme-next"), "{next}");
}

#[tokio::test]
async fn events_name_the_tenant_and_hold_no_secret() {
    let (vault, http) = (twins(), vendor());
    let biped = builder(&vault, &http).toml(CRM).build().unwrap();
    let events = Events::new();
    let listening = events.listen();
    token(&biped, "acme").await.unwrap();
    drop(listening);
    let text = events.text();
    assert!(text.contains("request=tenant=acme read:acme"), "{text}");
    assert!(!text.contains("secret-of"), "{text}");
    let statuses = biped.manager().statuses();
    let tenants: Vec<_> = statuses.iter().map(|it| it.tenant.as_deref()).collect();
    assert!(tenants.contains(&Some("acme")), "{tenants:?}");
}

#[tokio::test]
async fn files_of_tenants_are_found_by_their_names() {
    let directory = TempDir::new().unwrap();
    let http = vendor();
    for tenant in ["acme", "umbrella"] {
        fs::write(
            directory.path().join(tenant),
            format!("secret-of-{tenant}\n"),
        )
        .unwrap();
    }
    let place = directory.path().display();
    let text = format!(
        "[providers.crm]\nkind = 'oauth2'\ntenant = '[a-z]+'\nclient_id = 'one'\n\
         token_endpoint = 'https://crm.example/t'\nclient_secret = 'file:{place}/{{tenant}}'\n"
    );
    let biped = builder(&Vault::default(), &http)
        .toml(text)
        .build()
        .unwrap();
    for tenant in ["acme", "umbrella"] {
        let token = token(&biped, tenant).await.unwrap();
        assert!(token.ends_with(&format!("secret-of-{tenant}")));
    }
    let error = token(&biped, "nobody").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert_eq!(http.count(), 2);
}
