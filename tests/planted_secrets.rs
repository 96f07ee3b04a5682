//! Secrets are planted in every public type that can hold one, in every way a fetch or a call can
//! fail, and in whole flows that are listened to at every level; then all that can be read of it is
//! searched for them.

use std::{
    collections::{BTreeSet, HashSet},
    error::Error as StdError,
    fmt::{Debug, Display},
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use biped::{
    Biped, Error, ErrorKind, ExposeSecret, SecretString, Timestamp, Token, TokenManager,
    TokenRequest, blocking,
    client::{CallError, ClientIdentity, HttpClient},
    config::{ConfigFile, ConfigValue, Origin, OwnerCheck, Problem, Value},
    contentsquare::Contentsquare,
    envelope::Envelope,
    file::FileStore,
    oauth2::{CertificateHeader, ClientAuthentication, OAuth2},
    postgres::PostgresStore,
    provider::{
        Account, ApiRequest, ApiRequestParts, ApiResponse, AttachContext, FetchContext,
        IdentityRef, Provider, ProviderConfig, ProviderId, SecretRef, SystemClock, async_trait,
    },
    redis::{RedisStore, Sentinel},
    reqwest::{ApiClient, ApiClients, HttpSettings, TokenClient, TokenMiddleware},
    sealed::{SealKey, SealedStore},
    store::{
        DurableEntry, IdentityKey, MemoryStore, Revision, StoreConfig, StoredToken, TokenKey,
        TokenStore,
    },
    token_error,
    tower::TokenLayer,
};
use biped_dialect::{Dialect, Vendor};
use biped_sandbox::{ACCOUNT, Effect, Fault, KeyFilter};
use biped_sources::{Asking, ExternalToken, KeyRef, KeySource, Vault, VaultSettings};
use biped_testing::{
    ManualClock, Reply, ScriptedHttp, TestProvider,
    secrets::{Parts, encodings},
};
use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use url::Url;

use crate::{
    LIFETIME, Stage, account_entry,
    events::Events,
    public_types::{Held, TYPES},
    until,
};

const SECRET: &str = "pl4nted-c1ient-s3cret";
const TOKEN: &str = "pl4nted-acce55-t0ken";
const FURTHER: &str = "pl4nted-r3fresh-t0ken";
const PASSWORD: &str = "pl4nted-pa55word";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\npl4ntedpr1vatek3y\n-----END PRIVATE KEY-----\n";
/// A key to seal with, as it is written; its bytes are looked for as well.
const SEAL_KEY: &str = "cGw0bnRlZC1zM2FsLWszeS1vZi0zMi1ieXRlcy4uLi4=";
const PLANTED: [&str; 7] = [
    SECRET,
    TOKEN,
    FURTHER,
    PASSWORD,
    "pl4ntedpr1vatek3y",
    SEAL_KEY,
    // What all of them start with, so that no part of one gets by.
    "pl4nted",
];

/// All that could be read, and of what.
#[derive(Debug, Default)]
struct Shown(Vec<(String, String)>);

impl Shown {
    fn text(&mut self, of: &str, text: impl Into<String>) {
        self.0.push((of.to_owned(), text.into()));
    }

    fn debug(&mut self, of: &str, value: &(impl Debug + ?Sized)) {
        self.text(of, format!("{value:?}"));
        self.text(of, format!("{value:#?}"));
    }

    fn display(&mut self, of: &str, value: &(impl Display + ?Sized)) {
        self.text(of, format!("{value}"));
        self.text(of, format!("{value:#}"));
    }

    /// The error and all that is below it.
    fn error(&mut self, of: &str, error: &(dyn StdError + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.debug(of, error);
            self.display(of, error);
            next = error.source();
        }
    }

    fn names(&self) -> BTreeSet<&str> {
        self.0.iter().map(|(of, _)| &**of).collect()
    }

    /// Fails where a planted secret can be read, plain or in one of the usual disguises.
    fn assert_hidden(&self) {
        self.assert_hides(&PLANTED);
    }

    fn assert_hides(&self, secrets: &[&str]) {
        assert!(!self.0.is_empty());
        let needles: Vec<String> = secrets
            .iter()
            .flat_map(|secret| disguises(secret))
            .collect();
        for (of, text) in &self.0 {
            let lower = text.to_lowercase();
            let dense: String = text.split_whitespace().collect();
            for needle in &needles {
                let shows = [text, &lower, &dense]
                    .iter()
                    .any(|text| text.contains(needle));
                assert!(!shows, "{needle} can be read of {of}: {text}");
            }
        }
    }
}

/// A secret as it is, as lists of bytes print, in hexadecimal, and in base64 however it is aligned.
fn disguises(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let list: Vec<_> = bytes.iter().map(u8::to_string).collect();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut disguises = vec![secret.to_owned(), list.join(","), hex];
    for skip in 0..3 {
        // Whole groups of three bytes are the same wherever the text around them ends.
        let whole = &bytes[skip..];
        disguises.push(base64(&whole[..whole.len() / 3 * 3]));
    }
    disguises
}

/// Base64 (RFC 4648 §4) of whole groups of three bytes.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks_exact(3).flat_map(|group| {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[(bits >> shift) as usize & 63]))
    });
    groups.collect()
}

#[test]
fn the_search_finds_what_is_there() {
    let find = |text: String| {
        let shown = Shown(vec![("this".into(), text)]);
        std::panic::catch_unwind(|| shown.assert_hidden()).is_err()
    };
    assert!(find(format!("x{SECRET}x")));
    assert!(find(format!("{:?}", SECRET.as_bytes())));
    assert!(find(format!("{:#?}", TOKEN.as_bytes())));
    assert!(find("0x706C346E746564".into()));
    assert!(find(base64(b"id:pl4nted-c1ient-s3cret")));
    assert!(find(base64(b"an-id:pl4nted-c1ient-s3cret")));
    assert!(find(SEAL_KEY.into()));
    assert!(!find("[redacted] of the client analytics".into()));
}

fn token() -> Token {
    builder().build().unwrap()
}

fn builder() -> biped::provider::TokenBuilder {
    let further = json!({ "refresh_token": FURTHER, "id_token": { "text": FURTHER } });
    let Some(further) = further.as_object().cloned() else {
        panic!("an object");
    };
    Token::new(TOKEN, Timestamp::from_unix_seconds(1_800_000_000))
        .scope(Some("data-export"))
        .extra(further)
}

/// A vendor's whole answer, good for Contentsquare, oauth2, the test provider and the dialect.
fn answer() -> String {
    json!({
        "access_token": TOKEN, "token_type": "bearer", "expires_in": 3600,
        "refresh_token": FURTHER, "data": { "access_token": TOKEN, "expires_in": 3600 },
    })
    .to_string()
}

fn vendor() -> Arc<ScriptedHttp> {
    let http = ScriptedHttp::new();
    http.answer_with(|_, _| Reply::json(200, &answer()));
    Arc::new(http)
}

/// An API request of nobody's library.
struct Request {
    method: http::Method,
    url: Url,
    headers: http::HeaderMap,
}

impl ApiRequestParts for Request {
    fn method(&self) -> &http::Method {
        &self.method
    }

    fn url(&self) -> std::borrow::Cow<'_, Url> {
        std::borrow::Cow::Borrowed(&self.url)
    }

    fn set_url(&mut self, url: Url) -> Result<(), Error> {
        self.url = url;
        Ok(())
    }

    fn headers_mut(&mut self) -> &mut http::HeaderMap {
        &mut self.headers
    }

    fn body(&self) -> Option<&[u8]> {
        Some(SECRET.as_bytes())
    }
}

/// Shows what it is given while it works with it.
#[derive(Debug)]
struct Nosy {
    id: ProviderId,
    secret: SecretRef,
    shown: Arc<Mutex<Shown>>,
}

#[async_trait]
impl Provider for Nosy {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn attach_secrets(&self) -> &[SecretRef] {
        std::slice::from_ref(&self.secret)
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let secret = cx.secret(&self.secret).await?;
        let mut shown = self.shown.lock().unwrap();
        shown.debug("SecretString", &secret);
        shown.debug("FetchContext", cx);
        builder().build()
    }

    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        cx: &AttachContext<'_>,
    ) -> Result<(), Error> {
        assert_eq!(cx.secret(&self.secret)?.expose_secret(), SECRET);
        let headers = request.headers_mut();
        headers.insert("authorization", token.header().clone());
        let mut shown = self.shown.lock().unwrap();
        shown.debug("AttachContext", cx);
        shown.debug("ApiRequest", request);
        Ok(())
    }
}

/// Whatever holds secrets in core.
async fn of_core(shown: &mut Shown) {
    let http = vendor();
    shown.debug("Token", &token());
    shown.debug("TokenBuilder", &builder());
    shown.debug("Token", &token().header());
    assert!(token().header().is_sensitive());

    shown.debug("SecretString", &SecretString::from(SECRET));
    let inline = SecretRef::inline(SECRET);
    let command = SecretRef::command(["pass", SECRET]);
    for reference in [inline.clone(), command.clone(), inline.or(&command)] {
        shown.debug("SecretRef", &reference);
        shown.display("SecretRef", &reference);
        for member in reference.members() {
            shown.debug("Member", &member);
        }
        let identity = IdentityRef {
            certificate: SecretRef::inline(PEM),
            key: reference,
        };
        shown.debug("IdentityRef", &identity);
    }
    shown.debug("ClientIdentity", &ClientIdentity::from_pem(PEM));
    shown.debug(
        "ExternalToken",
        &ExternalToken::from(SecretRef::inline(TOKEN)),
    );
    let password = SecretString::from(PASSWORD);
    let source = KeySource {
        name: "key",
        password: Some(&password),
        kid: None,
    };
    shown.debug("KeySource", &source);
    shown.debug("KeyRef", &KeyRef::from(SecretRef::inline(PEM)));
    let jwt = ExternalToken::from(SecretRef::inline(TOKEN));
    for settings in [
        VaultSettings::new().token(SecretRef::inline(TOKEN)),
        VaultSettings::new().login("jwt", "biped", jwt),
    ] {
        shown.debug("VaultSettings", &settings);
        let vault = Vault::new();
        vault.locate(settings);
        shown.debug("Vault", &vault);
    }
    let cx = FetchContext::new(&*http, &SystemClock);
    let given = ExternalToken::from(SecretRef::inline(TOKEN));
    shown.debug("GivenToken", &given.read(&Asking::new(&cx)).await.unwrap());

    let values = [
        Value::Text(SECRET.into()),
        Value::Date(SECRET.into()),
        Value::List(vec![value(SECRET.into())]),
        Value::Table([("key".into(), value(SECRET.into()))].into()),
    ];
    for raw in values {
        shown.debug("Value", &raw);
        shown.debug("ConfigValue", &value(raw.clone()));
        let fields = [
            "client_secret",
            "client_id",
            "scope",
            "token_endpoint",
            "other",
        ];
        let table = fields.map(|name| (name.to_owned(), value(raw.clone())));
        let config = ProviderConfig::new("acme", "acme", Origin::Builder, table.into());
        shown.debug("ProviderConfig", &config);
        shown.debug("ConfigTable", &*config);
        let store = config.entries().into_iter();
        let store = store.map(|(key, value)| (key.to_owned(), value.clone()));
        let store = StoreConfig::new(Origin::Builder, store.collect());
        shown.debug("StoreConfig", &store);
        let kinds = [
            biped::contentsquare::kind(),
            biped::envelope::kind(),
            biped::oauth2::kind(),
            biped_dialect::kind(),
        ];
        for kind in kinds {
            let problems = kind.build(&config).expect_err("another key there is none");
            for problem in &problems {
                shown.debug("Problem", problem);
                shown.display("Problem", problem);
            }
        }
        shown.debug("Problem", &Vec::<Problem>::new());
    }

    let nosy = Arc::new(Mutex::new(Shown::default()));
    let provider = Arc::new(Nosy {
        id: ProviderId::new("nosy", "https://nosy.example/token", "id")
            .credential(&inline)
            .with_redacted("fields", SECRET),
        secret: inline.clone(),
        shown: nosy.clone(),
    });
    let store = Arc::new(MemoryStore::new());
    let builder = TokenManager::builder(vendor()).store(store.clone());
    shown.debug("TokenManagerBuilder", &builder);
    let manager = builder.build();
    let source = manager.source(provider.clone(), TokenRequest::new());
    let held = source.token().await.unwrap();
    shown.debug("TokenRef", &held);
    shown.debug("CachedToken", &*held);
    let mut request = Request {
        method: http::Method::GET,
        url: format!("https://api.example/?token={TOKEN}")
            .parse()
            .unwrap(),
        headers: http::HeaderMap::new(),
    };
    source
        .attach(&held, &mut ApiRequest::new(&mut request))
        .unwrap();
    assert!(!request.headers.is_empty());
    shown.0.append(&mut nosy.lock().unwrap().0);
    shown.debug("TokenManager", &manager);
    shown.debug("TokenSource", &source);
    shown.debug("Status", &source.status());
    shown.debug("Status", &manager.statuses());

    let key = source.store_key().await.unwrap();
    let put = || async { store.get(&key).await.unwrap() };
    let stored = loop {
        if let Some(stored) = put().await {
            break stored;
        }
        tokio::task::yield_now().await;
    };
    let has_token = stored
        .bytes
        .windows(TOKEN.len())
        .any(|w| w == TOKEN.as_bytes());
    assert!(has_token, "or this test looks for nothing");
    shown.debug("StoredToken", &stored);
    let entry = DurableEntry {
        revision: Revision(1),
        bytes: SECRET.into(),
    };
    shown.debug("DurableEntry", &entry);
    let account = Account::new("oauth2", "https://login.example", "crm");
    let account = account.seed(Some(SecretRef::inline(SECRET)));
    shown.debug("Account", &account);
    shown.debug("MemoryStore", &store);
    shown.debug("Redactor", &biped::provider::wire::Redactor::new([SECRET]));

    let headers = [
        ("set-cookie", TOKEN),
        ("x-api-key", SECRET),
        ("location", TOKEN),
    ];
    let headers = headers.into_iter().map(|(name, text)| {
        let text = http::HeaderValue::from_static(text);
        (http::HeaderName::from_static(name), text)
    });
    let headers: http::HeaderMap = headers.collect();
    let url = format!("https://me:{PASSWORD}@api.example/?token={TOKEN}")
        .parse()
        .unwrap();
    let now = Timestamp::default();
    let response = ApiResponse::new(http::StatusCode::UNAUTHORIZED, &headers, now);
    let body = answer();
    shown.debug(
        "ApiResponse",
        &response.with_url(&url).with_body(body.as_bytes()),
    );

    let provider = Contentsquare::new(SecretRef::inline("id"), inline).token_endpoint(&url);
    let source = manager.source(Arc::new(provider), TokenRequest::new().scope("metrics"));
    let error = source
        .token()
        .await
        .expect_err("a user name in the endpoint");
    shown.error("Error", &error);
    shown.error("CallError", &CallError::<std::io::Error>::Token(error));
}

fn value(raw: Value) -> ConfigValue {
    ConfigValue {
        raw,
        origin: Origin::Builder,
    }
}

/// Whatever holds secrets around core: providers, stores, clients, the façade.
async fn of_the_others(shown: &mut Shown, directory: &Path) {
    let secret = || SecretRef::inline(SECRET);
    let id = || SecretRef::inline("id");
    let pem = || SecretRef::inline(PEM);
    let url: Url = "https://login.example/token".parse().unwrap();
    let contentsquare = Contentsquare::new(id(), secret());
    shown.debug("Contentsquare", &contentsquare);
    shown.debug("Envelope", &Envelope::new(&url, id(), secret()));
    let oauth2 = OAuth2::at(url.clone(), id()).client_secret(secret());
    shown.debug("OAuth2", &oauth2);
    let token = ExternalToken::from(secret());
    shown.debug("Platform", &biped_platform::Platform::new(token));
    let oauth2 = oauth2.key(pem()).certificate(pem(), pem()).dpop_key(pem());
    let oauth2 = oauth2
        .key_password(secret())
        .assertion_certificate(pem(), [CertificateHeader::X5c]);
    shown.debug("OAuth2", &oauth2);
    for method in [
        ClientAuthentication::client_secret_basic(secret()),
        ClientAuthentication::client_secret_post(secret()),
        ClientAuthentication::client_secret_jwt(secret()),
        ClientAuthentication::private_key_jwt(pem()),
        ClientAuthentication::tls_client_auth(pem(), pem()),
        ClientAuthentication::self_signed_tls_client_auth(pem(), pem()),
    ] {
        shown.debug("ClientAuthentication", &method);
        shown.display("ClientAuthentication", &method);
        shown.debug("OAuth2", &oauth2.clone().client_authentication(method));
    }
    shown.debug("ProviderId", oauth2.id());
    let acme = ProviderId::new("acme", "https://login.example/token", "id")
        .credential(&secret())
        .credential(&SecretRef::command(["vault", SECRET]))
        .with_redacted("fields", SECRET);
    shown.debug("ProviderId", &acme);

    let dialect = "url = 'https://login.example/token'\nencoding = 'json'\n\
                   fields = { id = '{client_id}', secret = '{client_secret}', key = '{api_secret}' }\n\
                   response.token = '/access_token'\n";
    let dialect = Dialect::from_toml(dialect, "mine.toml");
    let dialect = Arc::new(dialect.unwrap_or_else(|error| panic!("{error}")));
    let builder = Vendor::builder(dialect)
        .client_id(id())
        .client_secret(secret());
    let builder = builder.param("api_secret", secret());
    shown.debug("VendorBuilder", &builder);
    shown.debug("Vendor", &builder.build().unwrap());

    shown.debug("TestProvider", &TestProvider::default().secret(secret()));
    let http = vendor();
    shown.debug("ScriptedHttp", &http);
    shown.debug("Credentials", &ACCOUNT);
    shown.assert_hides(&[ACCOUNT.client_secret]);

    let key = SealKey::parse(&SecretString::from(SEAL_KEY)).unwrap();
    shown.debug("SealKey", &key);
    let files = FileStore::new(directory.join("tokens"));
    let stored = StoredToken {
        generation: biped::store::Generation(1),
        keep: LIFETIME,
        bytes: TOKEN.into(),
    };
    let at = TokenKey::from_bytes([7; 32]);
    assert!(files.put(&at, &stored, None).await.unwrap());
    shown.debug("FileStore", &files);
    let identity = files.identity_key().await.unwrap().unwrap();
    shown.debug("IdentityKey", &identity);
    let planted = IdentityKey::from_bytes(SECRET.repeat(4).as_bytes()[..32].try_into().unwrap());
    shown.debug("IdentityKey", &planted);
    let sealed = SealedStore::new(Arc::new(MemoryStore::new()), key);
    assert!(sealed.put(&at, &stored, None).await.unwrap());
    shown.debug("SealedStore", &sealed);

    let proxy = format!("http://me:{PASSWORD}@127.0.0.1:1");
    let settings = HttpSettings::new().proxy(proxy.clone()).extra_ca(PEM);
    shown.debug("HttpSettings", &settings);
    shown.debug("ProxySetting", settings.proxy_setting());
    let settings = HttpSettings::new().proxy(proxy.clone());
    let client = TokenClient::with(settings.clone()).unwrap();
    shown.debug("TokenClient", &client);
    let clients = ApiClients::with(settings).unwrap();
    let manager = TokenManager::builder(http).build();
    let source = manager.source(Arc::new(TestProvider::default()), TokenRequest::new());
    assert_eq!(source.token().await.unwrap().expose_secret(), TOKEN);
    shown.debug("ApiClients", &clients);
    shown.debug("ApiClient", &clients.client(source.clone()));
    shown.debug("ApiClient", &clients.client(source.clone()).get("/x"));
    shown.debug("ApiClient", &ApiClient::new(source.clone()).unwrap());
    shown.debug("TokenMiddleware", &TokenMiddleware::new(source.clone()));
    shown.debug("TokenLayer", &TokenLayer::new(source));

    let sentinel = Sentinel::new("mymaster").user("me").password(PASSWORD);
    shown.debug("Sentinel", &sentinel);
    for url in [
        "redis://me:PASSWORD@127.0.0.1:1/3",
        "rediss://:PASSWORD@redis.example?x=PASSWORD",
    ] {
        let url = SecretString::from(url.replace("PASSWORD", PASSWORD));
        match RedisStore::new(&url) {
            Ok(store) => shown.debug("RedisStore", &store),
            Err(error) => shown.error("RedisStore", &error),
        }
    }
    for url in [
        "postgres://me:PASSWORD@127.0.0.1:1/base",
        "postgres://me:PASSWORD@127.0.0.1:PASSWORD/base?PASSWORD=PASSWORD",
    ] {
        let url = SecretString::from(url.replace("PASSWORD", PASSWORD));
        match PostgresStore::new(&url) {
            Ok(store) => shown.debug("PostgresStore", &store),
            Err(error) => shown.error("PostgresStore", &error),
        }
    }

    let config = format!(
        "[providers.a]\nkind = 'contentsquare'\nclient_id = 'id'\nscope = 'metrics'\n\
         client_secret = ['{SECRET}', {{ cmd = ['pass', '{SECRET}'] }}]\n\
         [http]\nproxy = '{proxy}'\n"
    );
    let builder = Biped::builder()
        .without_environment()
        .toml(&*config)
        .value("providers.a.client_secret", SECRET)
        .http_client(vendor());
    shown.debug("Builder", &builder);
    for setting in builder.config().unwrap() {
        shown.debug("config::Setting", &setting);
        shown.display("config::Setting", &setting);
    }
    let path = directory.join("biped.toml");
    std::fs::write(&path, &config).unwrap();
    let file = ConfigFile::open(&path, OwnerCheck::Warn).unwrap();
    shown.debug("config::ConfigFile", &file);
    let reach = builder.reach(&file).unwrap();
    shown.debug("config::Reach", &reach);
    // Whoever is asked about a command sees all of it; what else stands in the file is not shown.
    let pass = format!("'pass', '{SECRET}'");
    assert!(config.contains(&pass));
    std::fs::write(&path, config.replace(&pass, "'pass'")).unwrap();
    let file = ConfigFile::open(&path, OwnerCheck::Warn).unwrap();
    let reach = builder.reach(&file).unwrap();
    assert!(reach.lines().any(|line| line.contains("pass")));
    for line in reach.lines() {
        shown.text("config::Reach", line);
    }
    let biped = builder.build().unwrap();
    let source = biped.token_source("a").unwrap();
    assert_eq!(source.token().await.unwrap().expose_secret(), TOKEN);
    shown.debug("Biped", &biped);
    shown.debug("config::Setting", biped.config());
    shown.debug("ConfiguredProvider", biped.provider("a").unwrap());

    let blocking = blocking::Biped::new(biped).unwrap();
    shown.debug("blocking::Biped", &blocking);
    let client = blocking.client("a").unwrap();
    shown.debug("blocking::ApiClient", &client);
    shown.debug(
        "blocking::RequestBuilder",
        &client.get("/x").header("x-api-key", SECRET),
    );
}

async fn of_the_sidecar(shown: &mut Shown) {
    let config = format!(
        "[providers.a]\nkind = 'contentsquare'\nclient_id = 'id'\nscope = 'metrics'\n\
         client_secret = '{SECRET}'\n[serve]\nlisten = ['127.0.0.1:0']\n\
         [[serve.callers]]\nname = 'c'\ntoken = '{PASSWORD}'\n"
    );
    let builder = Biped::builder()
        .section(biped_serve::section())
        .without_environment()
        .toml(config)
        .http_client(vendor());
    for setting in builder.config().unwrap() {
        shown.display("config::Setting", &setting);
    }
    let biped = builder.build().unwrap();
    let serve = biped.section::<biped_serve::Serve>("serve").unwrap();
    shown.debug("Serve", serve);
    let server = biped_serve::Server::new(biped);
    shown.debug("Server", &server);
    let running = server.start().await.unwrap();
    running.warmed().await;
    shown.debug("Running", &running);
}

#[tokio::test]
async fn no_public_type_shows_a_secret() {
    let directory = TempDir::new().unwrap();
    let mut shown = Shown::default();
    of_core(&mut shown).await;
    of_the_others(&mut shown, directory.path()).await;
    of_the_sidecar(&mut shown).await;
    let sandbox = biped_sandbox::Sandbox::builder().start().await.unwrap();
    sandbox.change_secret(ACCOUNT.client_id, SECRET);
    shown.debug("Sandbox", &sandbox);
    shown.assert_hidden();

    let types = TYPES.iter().flat_map(|(_, types)| *types);
    let planted = types.filter(|(_, held)| *held == Held::Planted);
    let planted: BTreeSet<_> = planted.map(|(name, _)| *name).collect();
    assert_eq!(
        shown.names(),
        planted,
        "planted here, and said to be planted"
    );
}

/// Secrets in whatever a vendor may answer: none comes out again.
fn answers() -> Vec<Reply> {
    let echo = format!("bad secret {SECRET} and token {TOKEN}");
    let words = |text: &str| {
        json!({
            "error": "invalid_request", "error_description": text, "errorCode": "X",
            "errorMessage": text, "success": false,
        })
        .to_string()
    };
    let enveloped =
        json!({ "error": { "code": SECRET, "code_reason": SECRET, "message": SECRET } });
    let mut answers = Vec::new();
    for status in [200, 302, 400, 401, 403, 404, 429, 500] {
        // The vendor's own words are shown: but not the secret that it was sent.
        answers.push(Reply::json(status, &words(&format!("you sent {SECRET}"))));
        answers.push(Reply::json(status, &enveloped.to_string()));
        // What is no words of an error's is never shown.
        answers.push(Reply::json(status, &echo));
        answers.push(Reply::json(status, &format!("<html>{echo}</html>")));
        answers.push(Reply::json(status, &format!("\"{echo}\"")));
        answers.push(Reply::json(status, &format!("{{\"data\": \"{echo}\"}}")));
        answers.push(Reply::status(status).with_header("location", TOKEN));
    }
    for broken in [
        json!({ "access_token": format!("{TOKEN}\n") }),
        json!({ "access_token": format!("{TOKEN}\u{e9}") }),
        json!({ "access_token": [TOKEN] }),
        json!({ "access_token": { "text": TOKEN } }),
        json!({ "access_tokens": TOKEN, "data": TOKEN }),
        json!({ "access_token": TOKEN, "endpoint": format!("https://{PASSWORD}@x.example") }),
        json!({ "access_token": TOKEN, "endpoint": [TOKEN] }),
        json!({ "access_token": TOKEN, "endpoint": format!("https://x.example/?{TOKEN}#{TOKEN}") }),
        json!({ "access_token": TOKEN, "token_type": "mac", "expires_in": TOKEN, "scope": 7 }),
        json!({ "access_token": TOKEN, "project_id": TOKEN }),
        json!({ "data": { "access_token": format!("{TOKEN}\n") } }),
        json!({ "data": [TOKEN] }),
    ] {
        answers.push(Reply::json(200, &broken.to_string()));
    }
    answers.push(Reply::unreachable());
    answers
}

#[tokio::test]
async fn no_answer_of_a_vendor_brings_a_secret_into_an_error() {
    let secret = || SecretRef::inline(SECRET);
    let id = || SecretRef::inline("id");
    let url: Url = "https://login.example/token".parse().unwrap();
    let providers: [(&str, Arc<dyn Provider>); 4] = [
        (
            "contentsquare",
            Arc::new(Contentsquare::new(id(), secret())),
        ),
        ("envelope", Arc::new(Envelope::new(&url, id(), secret()))),
        (
            "oauth2",
            Arc::new(OAuth2::at(url.clone(), id()).client_secret(secret())),
        ),
        ("test", Arc::new(TestProvider::default().secret(secret()))),
    ];
    let mut shown = Shown::default();
    let mut kinds = HashSet::new();
    let events = Events::new();
    let _listening = events.listen();
    for (name, provider) in providers {
        for reply in answers() {
            let of = format!("{name}: {reply:?}");
            let http = Arc::new(ScriptedHttp::new());
            http.push(reply);
            http.answer_with(|_, _| Reply::error(401, "invalid_client"));
            let clock = Arc::new(ManualClock::new());
            let manager = TokenManager::builder(http).clock(clock.clone()).build();
            let request = TokenRequest::new().scope("metrics").param("project_id", 42);
            let source = manager.source(provider.clone(), request);
            // Where it is tried again, the second answer ends it.
            let told = crate::driven(&clock, source.token()).await;
            if let Err(error) = told {
                kinds.insert(error.kind());
                shown.error(&of, &error);
                shown.debug(&of, &source.status());
            }
        }
    }
    shown.text("events", events.text());
    shown.assert_hidden();
    assert!(events.text().contains("no token could be fetched"));
    for kind in [ErrorKind::Refused, ErrorKind::InvalidResponse] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
}

/// Has a character of every sort that some encoding changes.
const REPEATED: &str = "S3/c+r\"e&t <K9>'\\=%~Z";

#[tokio::test]
async fn a_secret_that_a_vendor_repeats_across_the_cut_is_nowhere_to_be_read() {
    let secret = || SecretRef::inline(REPEATED);
    let id = || SecretRef::inline("id");
    let url: Url = "https://login.example/token".parse().unwrap();
    let dialect = "url = 'https://login.example/token'\nauth = 'basic'\n";
    let dialect = Dialect::from_toml(dialect, "mine.toml");
    let vendor = Vendor::builder(Arc::new(dialect.unwrap_or_else(|error| panic!("{error}"))))
        .client_id(id())
        .client_secret(secret());
    let providers: [Arc<dyn Provider>; 4] = [
        Arc::new(Contentsquare::new(id(), secret())),
        Arc::new(Envelope::new(&url, id(), secret())),
        Arc::new(OAuth2::at(url.clone(), id()).client_secret(secret())),
        Arc::new(vendor.build().unwrap()),
    ];
    let parts = Parts::of(REPEATED);
    let directory = TempDir::new().unwrap();
    let redactor = biped::provider::wire::Redactor::new([REPEATED]);
    assert_eq!(parts.find_in(&format!("{redactor:?}")), None);
    for (at, provider) in providers.into_iter().enumerate() {
        for (number, (encoding, echo)) in encodings(REPEATED).into_iter().enumerate() {
            let before = ".".repeat(biped::provider::wire::VENDOR_TEXT_LIMIT - echo.len() / 2);
            let words = format!("{before}{echo}");
            let body = json!({
                "error": words, "error_description": words, "error_uri": words,
                "errorCode": words, "errorMessage": words, "code": words, "message": words,
            });
            let events = Events::new();
            let listening = events.listen();
            let http = Arc::new(ScriptedHttp::new());
            let busy = Reply::json(503, &body.to_string());
            http.push(busy.with_header("retry-after", "60"));
            let tokens = directory.path().join(format!("{at}-{number}"));
            let manager = TokenManager::builder(http)
                .clock(Arc::new(ManualClock::new()))
                .store(Arc::new(FileStore::new(&tokens)))
                .build();
            let request = match provider.id().kind() {
                "contentsquare" => TokenRequest::new().scope("metrics").param("project_id", 42),
                _ => TokenRequest::new(),
            };
            let source = manager.source(provider.clone(), request);
            let error = source.token().await.unwrap_err();
            manager.drain().await;
            drop(listening);

            let mut shown = Shown::default();
            shown.error("an error", &error);
            shown.debug("a status", &source.status());
            shown.text("events", events.text());
            let mut written = 0;
            for file in fs::read_dir(&tokens).unwrap() {
                let bytes = fs::read(file.unwrap().path()).unwrap();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                written += usize::from(text.contains("[redacted]"));
                shown.text("a file of the store", text);
            }
            assert_eq!(written, 1, "the failure is written down: {error}");
            for (of, text) in &shown.0 {
                let text = text.replace("........", "");
                assert_eq!(parts.find_in(&text), None, "{encoding} in {of}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn no_secret_that_can_not_be_read_or_sent_is_shown() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        SecretRef::file(path)
    };
    let script = |text: &str| SecretRef::command(["sh", "-c", text]);
    let bad_utf8 = [SECRET.as_bytes(), &[0xff]].concat();
    let places = [
        file("not-text", &bad_utf8),
        script(&format!("echo {SECRET}; echo {SECRET} >&2; exit 1")),
        script(&format!("printf '{SECRET}\\377'")),
        script(&format!(": {SECRET}")),
        SecretRef::command(["/no/such/program", SECRET]),
        SecretRef::env("BIPED_TEST_NO_SUCH_VARIABLE"),
        file("empty", b""),
    ];
    let mut shown = Shown::default();
    for place in places {
        let error = place.resolve(0, &SystemClock).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Secret);
        shown.error("a secret", &error);
        if let Err(error) = place.read_now() {
            shown.error("a secret", &error);
        }
    }

    // Settings that can't work.
    for settings in [
        HttpSettings::new().proxy(format!("::{PASSWORD}::")),
        HttpSettings::new().proxy(format!("gopher://me:{PASSWORD}@proxy")),
        HttpSettings::new().extra_ca(format!("{PEM}{PEM}")),
        HttpSettings::new().extra_ca(SECRET),
    ] {
        shown.error("settings", &TokenClient::with(settings).unwrap_err());
    }
    let identity = ClientIdentity::from_pem(PEM);
    let client = TokenClient::with(HttpSettings::new().no_proxy()).unwrap();
    let through = format!("http://me:{PASSWORD}@127.0.0.1:1");
    let proxied = TokenClient::with(HttpSettings::new().proxy(through)).unwrap();
    for (client, url) in [
        (
            &client,
            format!("https://me:{PASSWORD}@127.0.0.1:1/token?key={SECRET}"),
        ),
        (&client, format!("http://127.0.0.1:1/token?key={SECRET}")),
        (&client, format!("/token?key={SECRET}")),
        (
            &proxied,
            format!("https://login.invalid/token?key={SECRET}"),
        ),
    ] {
        let request = |identity: Option<&ClientIdentity>| {
            let mut request = http::Request::post(&url).body(Bytes::from(SECRET)).unwrap();
            identity.map(|identity| request.extensions_mut().insert(identity.clone()));
            request
        };
        for identity in [None, Some(&identity)] {
            let sent = client.send(request(identity)).await;
            shown.error("a request", &sent.expect_err("nobody is there"));
        }
    }

    // A dialect whose text holds what should have been a parameter.
    let text = format!("url = '{SECRET}'\nencoding = '{SECRET}'\n{SECRET} = 1\n[{SECRET}\n");
    for text in [
        text.clone(),
        text.lines().take(2).collect::<Vec<_>>().join("\n"),
    ] {
        let error = Dialect::from_toml(&text, "mine.toml").unwrap_err();
        shown.text("a dialect", format!("{error} {error:?}"));
    }
    for wrong in [format!("{SEAL_KEY}{SEAL_KEY}"), SECRET.into()] {
        shown.error("a seal", &SealKey::parse(&wrong.into()).unwrap_err());
    }
    shown.assert_hidden();
}

/// Panics with a secret in its message, as a bug in a provider might.
#[derive(Debug)]
struct Panicking(ProviderId);

#[async_trait]
impl Provider for Panicking {
    fn id(&self) -> &ProviderId {
        &self.0
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let secret = cx.secret(&SecretRef::inline(SECRET)).await?;
        // Without a message on the way to the terminal, which would be the provider's own doing.
        std::panic::resume_unwind(Box::new(secret.expose_secret().to_owned()));
    }
}

#[tokio::test]
async fn a_panic_of_a_provider_is_an_error_without_its_message() {
    let events = Events::new();
    let _listening = events.listen();
    let manager = TokenManager::builder(vendor()).build();
    let id = ProviderId::new("panicking", "https://login.example/token", "id");
    let source = manager.source(Arc::new(Panicking(id)), TokenRequest::new());
    let error = source.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    let mut shown = Shown::default();
    shown.error("a panic", &error);
    shown.debug("a panic", &source.status());
    shown.text("events", events.text());
    shown.assert_hidden();
}

#[tokio::test]
async fn no_event_of_a_whole_flow_shows_a_secret() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, SECRET).unwrap();
    let events = Events::new();
    let _listening = events.listen();
    let mut shown = Shown::default();
    let mut tokens = HashSet::new();

    let stage = Stage::built(|sandbox, builder| {
        sandbox.change_secret(ACCOUNT.client_id, SECRET);
        let lines = format!(
            "client_secret = \"file:{}\"\nscope = \"data-export\"\nproject_id = 42",
            file.display()
        );
        builder
            .toml(account_entry(sandbox, "exports", &lines))
            .value("http.timeout", "2s")
            .value("http.read_timeout", "2s")
            .store(Arc::new(MemoryStore::new()))
    })
    .await;
    let source = stage.biped.token_source("exports").unwrap();
    let client = stage.biped.client("exports").unwrap();
    let faults = [
        Effect::None,
        Effect::Status(503),
        Effect::Status(400),
        Effect::Reset,
        Effect::Stall,
        Effect::Html,
        Effect::Empty,
    ];
    for effect in faults {
        let told = stage
            .driven(source.token())
            .await
            .map(biped::TokenRef::into_owned);
        match told {
            Ok(token) => drop(tokens.insert(token.expose_secret().to_owned())),
            Err(error) => shown.error("a token", &error),
        }
        stage.clock.advance(LIFETIME / 10);
        stage.sandbox.revoke_tokens(&KeyFilter::all());
        if effect != Effect::None {
            stage.sandbox.fail_next(Fault::new(effect));
        }
        for path in ["/v1/exports", "/v1/nothing", "https://evil.example/"] {
            match stage.driven(client.get(path).send()).await {
                Ok(response) => {
                    shown.debug("a response", &response);
                    match response.text().await {
                        Ok(text) => shown.text("a body", text),
                        Err(error) => shown.error("a body", &error),
                    }
                }
                Err(error) => {
                    if let Some(error) = token_error(&error) {
                        shown.error("a call", error);
                    }
                    shown.error("a call", &error);
                }
            }
        }
        shown.debug("a status", &source.status());
        stage.clock.advance(LIFETIME / 2);
        stage.sandbox.fail_next(Fault::new(effect));
        if let Ok(Some(inspection)) = source.inspect().await {
            shown.debug("an inspection", &inspection);
        }
        stage.clock.advance(LIFETIME / 2);
        stage.sandbox.clear_faults();
    }
    fs::write(&file, "pl4nted-but-wrong").unwrap();
    stage.clock.advance(LIFETIME);
    let error = stage.driven(source.token()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    shown.error("a refusal", &error);
    let settled = || events.text().contains("no token could be fetched");
    until("the refusal was logged", settled).await;

    let logged = events.text();
    for word in [
        "fetched a new token",
        "an API rejected a token",
        "TRACE",
        "DEBUG",
        "WARN",
    ] {
        assert!(logged.contains(word), "{word} was logged");
    }
    shown.text("events", logged);
    shown.assert_hidden();
    assert!(tokens.len() >= 3, "{}", tokens.len());
    let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
    shown.assert_hides(&tokens);
}
