//! The matrix of real servers and methods. `tests/live/run oauth2` starts the servers, and tells by
//! `BIPED_LIVE_OAUTH2` which file configures a provider for each of them and each method, and by
//! `BIPED_LIVE_CA` whose certificates are to be trusted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::{
    fmt::Write as _,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use biped_config::{ConfigValue, Origin, ProviderConfig, Value};
use biped_core::{
    ClientIdentity, Clock, Error, ErrorKind, ExposeSecret as _, FetchContext, HttpClient, Now,
    Provider, SystemClock, TokenRequest, async_trait,
};
use biped_engine::{TokenManager, TokenSource};
use biped_oauth2::kind;
use biped_reqwest::{ApiClients, HttpSettings, TokenClient};
use bytes::Bytes;
use tokio::sync::Semaphore;
use url::Url;

/// How long the servers' tokens live.
const LIFETIME: Duration = Duration::from_secs(5);

/// How many rows run at a time: tokens that live so shortly bear no crowd.
const AT_A_TIME: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real authorization servers: tests/live/run oauth2"]
async fn every_server_and_every_method() {
    let file = std::env::var("BIPED_LIVE_OAUTH2").expect("tests/live/run oauth2 sets it");
    let ca = std::fs::read(std::env::var("BIPED_LIVE_CA").unwrap()).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let document: toml::Table = text.parse().unwrap();
    let rows: Vec<_> = document["providers"]
        .as_table()
        .unwrap()
        .iter()
        .map(|(name, keys)| Row {
            name: name.clone(),
            keys: keys.as_table().unwrap().clone(),
            settings: HttpSettings::new().extra_ca(ca.clone()),
        })
        .collect();
    let turns = Arc::new(Semaphore::new(AT_A_TIME));
    let running: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let turns = turns.clone();
            tokio::spawn(async move {
                let _turn = turns.acquire().await;
                (row.name.clone(), row.run().await)
            })
        })
        .collect();
    let mut results = Vec::new();
    for row in running {
        results.push(row.await.unwrap());
    }
    println!("{}", table(&results));
    let failed = results
        .iter()
        .flat_map(|(_, cells)| cells)
        .filter(|cell| cell.is_err())
        .count();
    assert_eq!(failed, 0, "cells of the table failed");
    assert!(results.len() >= 30, "the matrix is {} rows", results.len());
}

const COLUMNS: [&str; 6] = [
    "success",
    "wrong secret or key",
    "unknown scope",
    "expired, renewed",
    "revoked, renewed",
    "introspected",
];

/// What came of one try: what the server said, or what went wrong.
type Cell = Result<String, String>;

fn table(results: &[(String, Vec<Cell>)]) -> String {
    let width = results
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    let mut out = format!("\n{:width$}", "server and method");
    for column in COLUMNS {
        let _ = write!(out, " | {column:26}");
    }
    for (name, cells) in results {
        let _ = write!(out, "\n{name:width$}");
        for cell in cells {
            let text = match cell {
                Ok(text) => text.clone(),
                Err(why) => format!("FAILED {why}"),
            };
            let _ = write!(out, " | {text:26}");
        }
    }
    out
}

/// One server and one method.
struct Row {
    name: String,
    keys: toml::Table,
    settings: HttpSettings,
}

impl Row {
    async fn run(&self) -> Vec<Cell> {
        vec![
            self.success().await,
            self.wrong_credentials().await,
            self.unknown_scope().await,
            self.expired_is_renewed().await,
            self.revoked_is_renewed().await,
            self.introspected().await,
        ]
    }

    async fn success(&self) -> Cell {
        let source = self.source(&Arc::new(Lagging::default()));
        let token = source.token().await.map_err(told)?;
        self.call(&source).await?;
        Ok(format!("{} token", token.token_type()))
    }

    async fn wrong_credentials(&self) -> Cell {
        let provider = provider(&self.name, &self.with_wrong_credentials());
        let source = self
            .manager(&Arc::new(Lagging::default()))
            .source(provider, self.request());
        let error = source.token().await.map(|_| ());
        // Glewlwyd refuses with an empty 403.
        refused(error, &["401 invalid_client", "403 "])
    }

    async fn unknown_scope(&self) -> Cell {
        let source = self
            .source(&Arc::new(Lagging::default()))
            .with_scopes("admin");
        let token = source.token().await.map(|_| ());
        refused(token, &["400 invalid_scope", "400 scope_invalid"])
    }

    /// The server's clock runs ahead of ours, so that an API call finds the token expired.
    async fn expired_is_renewed(&self) -> Cell {
        let clock = Arc::new(Lagging::default());
        let source = self.source(&clock);
        let start = SystemClock.now().mono;
        let old = source.token().await.map_err(told)?.into_owned();
        SystemClock
            .sleep(LIFETIME + Duration::from_millis(1500))
            .await;
        clock.fall_behind(SystemClock.now().mono.saturating_sub(start));
        let unaware = source
            .fresh()
            .map(|token| token.expose_secret() == old.expose_secret());
        if unaware != Some(true) {
            return Err("the old token isn't used any more".into());
        }
        self.call(&source).await?;
        self.is_new(&source, &old).await
    }

    /// Somebody revokes the token behind our back, so that an API call finds it gone.
    async fn revoked_is_renewed(&self) -> Cell {
        let clock = Arc::new(Lagging::default());
        let source = self.source(&clock);
        let old = source.token().await.map_err(told)?.into_owned();
        let http = Identified {
            http: TokenClient::with(self.settings.clone()).map_err(told)?,
            identity: self.identity(),
        };
        let cx = FetchContext::new(&http, &*clock);
        if let Err(error) = source.provider().revoke(&old, &cx).await {
            if self.is_structured(&error) {
                return Ok("not revocable".into());
            }
            return Err(told(error));
        }
        self.call(&source).await?;
        self.is_new(&source, &old).await
    }

    async fn introspected(&self) -> Cell {
        let source = self.source(&Arc::new(Lagging::default()));
        let inspection = match source.inspect().await {
            Err(error) if self.is_structured(&error) => return Ok("not introspectable".into()),
            inspection => inspection.map_err(told)?,
        };
        let inspection = inspection.ok_or("there is no introspection endpoint")?;
        if inspection.details["active"] != true {
            return Err("a token just issued is not active".into());
        }
        Ok(format!("scope {}", inspection.scopes.join(" ")))
    }

    /// oidc-provider keeps nothing of a token that says everything itself: it can neither describe
    /// it nor take it back, and says so.
    fn is_structured(&self, error: &Error) -> bool {
        let vendor = error.vendor();
        self.name.ends_with("jwt-resource")
            && vendor.is_some_and(|said| said.names("unsupported_token_type"))
    }

    /// Calls the API and wants 200.
    async fn call(&self, source: &TokenSource) -> Result<(), String> {
        let clients = ApiClients::with(self.settings.clone()).map_err(told)?;
        let answer = clients
            .client(source.clone())
            .get("/hello")
            .send()
            .await
            .map_err(|error| format!("{error:?}"))?;
        match answer.status().as_u16() {
            200 => Ok(()),
            status => Err(format!("the API answers {status}")),
        }
    }

    async fn is_new(&self, source: &TokenSource, old: &biped_core::Token) -> Cell {
        let new = source.token().await.map_err(told)?;
        if new.expose_secret() == old.expose_secret() {
            return Err("the API took the old token".into());
        }
        Ok("renewed".into())
    }

    fn manager(&self, clock: &Arc<Lagging>) -> TokenManager {
        let http = Arc::new(TokenClient::with(self.settings.clone()).unwrap());
        TokenManager::builder(http).clock(clock.clone()).build()
    }

    fn source(&self, clock: &Arc<Lagging>) -> TokenSource {
        let api = Url::parse(self.keys["api_base_url"].as_str().unwrap()).unwrap();
        self.manager(clock)
            .source(provider(&self.name, &self.keys), self.request())
            .with_api_base_url(Some(api))
    }

    fn request(&self) -> TokenRequest {
        kind().request(&config(&self.name, &self.keys))
    }

    fn identity(&self) -> Option<ClientIdentity> {
        let text = |key: &str| {
            let place = self.keys.get(key)?.as_str()?;
            std::fs::read_to_string(place.strip_prefix("file:")?).ok()
        };
        let pem = format!("{}\n{}", text("certificate")?, text("certificate_key")?);
        Some(ClientIdentity::from_pem(pem))
    }

    /// Another secret, another key of the same kind, another client's certificate, or, where there is
    /// nothing of these, another client.
    fn with_wrong_credentials(&self) -> toml::Table {
        let mut keys = self.keys.clone();
        if self.name.ends_with("-none") {
            keys.insert("client_id".into(), "nobody".into());
        }
        if let Some(secret) = keys.get_mut("client_secret") {
            let wrong = secret.as_str().unwrap().replace('a', "e");
            *secret = wrong.into();
        }
        if let Some(key) = keys.get_mut("key") {
            *key = another(key.as_str().unwrap()).into();
        }
        if !keys.contains_key("certificate_key") {
            // What it names is the right key.
            keys.remove("certificate_header");
            keys.remove("certificate");
        }
        if let Some(certificate) = keys.get("certificate").cloned() {
            let directory = Path::new(certificate.as_str().unwrap()).parent().unwrap();
            let place = |name: &str| directory.join(name).display().to_string();
            keys.insert("certificate".into(), place("other.pem").into());
            keys.insert("certificate_key".into(), place("other.key.pem").into());
        }
        keys
    }
}

/// Refused, and what the server said, which must be one of these.
fn refused(outcome: Result<(), Error>, expected: &[&str]) -> Cell {
    match outcome {
        Ok(()) => Err("there is a token".into()),
        Err(error) if error.kind() == ErrorKind::Refused => {
            let vendor = error.vendor().cloned().unwrap_or_default();
            let status = vendor.status.unwrap_or_default();
            let said = format!("{status} {}", vendor.code.unwrap_or_default());
            if expected.contains(&said.as_str()) {
                Ok(said)
            } else {
                Err(told(error))
            }
        }
        Err(error) => Err(told(error)),
    }
}

#[allow(clippy::needless_pass_by_value)] // so that it maps errors
fn told(error: Error) -> String {
    error.to_string()
}

/// A key of the same kind as this file's, that no server knows.
fn another(place: &str) -> String {
    let random = SystemRandom::new();
    let ec = |alg| {
        let key = EcdsaKeyPair::generate_pkcs8(alg, &random).unwrap();
        key.as_ref().to_vec()
    };
    let name = Path::new(place).file_name().unwrap().to_str().unwrap();
    let der = match name.split('.').next().unwrap() {
        "rsa" => {
            let key = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
            let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
            der.as_ref().to_vec()
        }
        "p256" => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
        "p384" => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
        "p521" => ec(&ECDSA_P521_SHA512_FIXED_SIGNING),
        "ed25519" => Ed25519KeyPair::generate_pkcs8(&random)
            .unwrap()
            .as_ref()
            .to_vec(),
        other => panic!("what kind of key is {other}?"),
    };
    let text = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

fn provider(name: &str, keys: &toml::Table) -> Arc<dyn Provider> {
    kind().build(&config(name, keys)).unwrap()
}

fn config(name: &str, keys: &toml::Table) -> ProviderConfig {
    let values = keys.iter().map(|(key, raw)| (key.clone(), value(raw)));
    ProviderConfig::new(name, "oauth2", Origin::Builder, values.collect())
}

fn value(raw: &toml::Value) -> ConfigValue {
    let raw = match raw {
        toml::Value::String(text) => Value::Text(text.clone()),
        toml::Value::Boolean(yes) => Value::Bool(*yes),
        toml::Value::Integer(number) => Value::Integer(*number),
        toml::Value::Array(all) => Value::List(all.iter().map(value).collect()),
        toml::Value::Table(table) => {
            let values = table.iter().map(|(key, raw)| (key.clone(), value(raw)));
            Value::Table(values.collect())
        }
        other => panic!("what is {other:?}?"),
    };
    let origin = Origin::Builder;
    ConfigValue { raw, origin }
}

/// Presents a certificate where the manager would.
#[derive(Debug)]
struct Identified {
    http: TokenClient,
    identity: Option<ClientIdentity>,
}

#[async_trait]
impl HttpClient for Identified {
    async fn send(
        &self,
        mut request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Error> {
        if let Some(identity) = &self.identity {
            request.extensions_mut().insert(identity.clone());
        }
        self.http.send(request).await
    }
}

/// A clock that can fall behind all others.
#[derive(Debug, Default)]
struct Lagging {
    millis: AtomicU64,
}

impl Lagging {
    fn fall_behind(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap();
        self.millis.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for Lagging {
    fn now(&self) -> Now {
        let behind = Duration::from_millis(self.millis.load(Ordering::SeqCst));
        let now = SystemClock.now();
        Now {
            mono: now.mono.saturating_sub(behind),
            wall: now.wall.before(behind),
        }
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        SystemClock.sleep(duration)
    }
}
