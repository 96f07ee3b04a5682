//! Secrets in OpenBao and Vault: the exact requests, and what each failure is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod configured;

use std::{collections::BTreeMap, time::Duration};

use biped_config::{ConfigTable, Origin, Problem, SecretScheme, Value};
use biped_core::{Clock, Error, ErrorKind, ExposeSecret, SecretRef, SystemClock};
use biped_sources::{Vault, VaultSettings};
use biped_testing::ManualClock;
use serde_json::{Value as Json, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use self::configured::value;

const REFERENCE: &str = "vault:kv/team/crm#client_secret";

fn texts(parts: &[(&str, &str)], vault: &Vault) -> Value {
    let parts = parts.iter().map(|(name, text)| {
        (
            (*name).to_owned(),
            value(Value::Text((*text).into()), vault),
        )
    });
    Value::Table(parts.collect())
}

fn reference(vault: &Vault, text: &str) -> Option<SecretRef> {
    value(Value::Text(text.into()), vault).to_secret()
}

/// A server that is connected to `settings`.
fn connected(settings: VaultSettings) -> Vault {
    let vault = Vault::new();
    vault.locate(settings);
    vault
}

async fn read_at(vault: &Vault, text: &str, clock: &dyn Clock) -> Result<String, Error> {
    let secret = reference(vault, text).unwrap().resolve(0, clock).await?;
    Ok(secret.expose_secret().to_owned())
}

async fn read(vault: &Vault, text: &str) -> Result<String, Error> {
    read_at(vault, text, &SystemClock).await
}

fn with_token(server: &MockServer) -> VaultSettings {
    VaultSettings::new()
        .address(server.uri().parse().unwrap())
        .token(SecretRef::inline("s.token"))
}

fn with_login(server: &MockServer) -> VaultSettings {
    let address = server.uri().parse().unwrap();
    let jwt = SecretRef::inline("a.jwt.x").into();
    VaultSettings::new()
        .address(address)
        .login("team/jwt", "biped", jwt)
}

fn secret(data: &Json) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({ "data": { "data": data, "metadata": { "version": 3 } } }))
}

async fn answers(server: &MockServer, answer: ResponseTemplate) {
    Mock::given(method("GET"))
        .respond_with(answer)
        .mount(server)
        .await;
}

/// Gives the tokens `t-1`, `t-2`, … for a life of 100 s, and secrets to those of `valid`.
async fn logs_in(server: &MockServer, valid: &[&str]) {
    for number in (1..=4).rev() {
        let auth =
            json!({ "auth": { "client_token": format!("t-{number}"), "lease_duration": 100 } });
        Mock::given(method("POST"))
            .and(path("/v1/auth/team/jwt/login"))
            .respond_with(ResponseTemplate::new(200).set_body_json(auth))
            .up_to_n_times(1)
            .with_priority(number)
            .mount(server)
            .await;
    }
    for token in valid {
        Mock::given(method("GET"))
            .and(header("x-vault-token", *token))
            .respond_with(secret(&json!({ "client_secret": "hunter2" })))
            .mount(server)
            .await;
    }
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(403))
        .with_priority(9)
        .mount(server)
        .await;
}

async fn asked(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let asked = requests.iter().map(|request| {
        let token = request.headers.get("x-vault-token");
        let token = token.map_or("-", |token| token.to_str().unwrap());
        format!("{} {token}", request.method)
    });
    asked.collect()
}

#[tokio::test]
async fn a_field_is_read_with_one_request_each_time() {
    let server = MockServer::start().await;
    answers(
        &server,
        secret(&json!({ "client_secret": "hunter2", "port": 8200, "x": [1] })),
    )
    .await;
    let vault = connected(with_token(&server).namespace("team/a"));
    for _ in 0..2 {
        assert_eq!(read(&vault, REFERENCE).await.unwrap(), "hunter2");
    }
    assert_eq!(
        read(&vault, "vault:kv/team/crm#port").await.unwrap(),
        "8200"
    );
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert_eq!(request.url.path(), "/v1/kv/data/team/crm");
        assert_eq!(request.headers["x-vault-token"], "s.token");
        assert_eq!(request.headers["x-vault-namespace"], "team/a");
        assert_eq!(request.body, b"");
    }
    for field in ["x", "client"] {
        let error = read(&vault, &format!("vault:kv/team/crm#{field}"))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.is_transient()),
            (ErrorKind::Secret, false)
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_secret_that_is_replaced_is_seen_at_the_next_read() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(secret(&json!({ "client_secret": "the first" })))
        .up_to_n_times(1)
        .with_priority(1)
        .mount(&server)
        .await;
    answers(&server, secret(&json!({ "client_secret": "the next" }))).await;
    let vault = connected(with_token(&server));
    for expected in ["the first", "the next"] {
        assert_eq!(read(&vault, REFERENCE).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_mount_with_slashes_is_named_in_a_table() {
    let server = MockServer::start().await;
    answers(&server, secret(&json!({ "pin": "1" }))).await;
    let vault = connected(with_token(&server));
    let parts = [("mount", "team/kv"), ("path", "a b/c"), ("field", "pin")];
    let table = |parts| {
        let inner = value(texts(parts, &vault), &vault);
        let table = Value::Table(BTreeMap::from([("vault".to_owned(), inner)]));
        value(table, &vault).to_secret()
    };
    let secret = table(&parts).unwrap();
    assert_eq!(secret.to_string(), "vault:team/kv/a b/c#pin");
    assert_eq!(
        secret
            .resolve(0, &SystemClock)
            .await
            .unwrap()
            .expose_secret(),
        "1"
    );
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].url.path(), "/v1/team/kv/data/a%20b/c");
    assert!(table(&parts[..2]).is_none());
    let further = [parts[0], parts[1], parts[2], ("x", "y")];
    assert!(table(&further).is_none());
}

#[test]
fn a_reference_that_leads_elsewhere_is_refused_when_it_is_read() {
    let vault = Vault::new();
    for wrong in [
        "vault:",
        "vault:kv",
        "vault:kv/x",
        "vault:kv#f",
        "vault:/x#f",
        "vault:kv/#f",
        "vault:kv/x#",
        "vault:kv/../sys#f",
        "vault:kv/./x#f",
        "vault:kv//x#f",
        "vault:../x#f",
    ] {
        assert!(reference(&vault, wrong).is_none(), "{wrong}");
    }
    assert_eq!(reference(&vault, REFERENCE).unwrap().to_string(), REFERENCE);
}

#[tokio::test]
async fn each_failure_says_whether_it_may_pass() {
    let page = ResponseTemplate::new(200).set_body_string("<html>");
    let deleted = json!({ "data": { "data": null, "metadata": { "deletion_time": "x" } } });
    for (answer, kind, transient) in [
        (ResponseTemplate::new(403), ErrorKind::Secret, false),
        (
            ResponseTemplate::new(404).set_body_json(deleted.clone()),
            ErrorKind::Secret,
            false,
        ),
        (
            ResponseTemplate::new(200).set_body_json(deleted),
            ErrorKind::Secret,
            false,
        ),
        (ResponseTemplate::new(400), ErrorKind::Secret, false),
        (ResponseTemplate::new(429), ErrorKind::Unavailable, true),
        (ResponseTemplate::new(500), ErrorKind::Unavailable, true),
        (ResponseTemplate::new(503), ErrorKind::Unavailable, true),
        (ResponseTemplate::new(307), ErrorKind::InvalidResponse, true),
        (page, ErrorKind::InvalidResponse, true),
    ] {
        let server = MockServer::start().await;
        answers(&server, answer).await;
        let error = read(&connected(with_token(&server)), REFERENCE)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.is_transient()),
            (kind, transient),
            "{error}"
        );
        assert_eq!(error.token_source(), Some(REFERENCE), "{error}");
        assert!(error.message().contains(REFERENCE), "{error}");
        assert_eq!(asked(&server).await, ["GET s.token"]);
    }
    let nobody = VaultSettings::new()
        .address("http://127.0.0.1:1".parse().unwrap())
        .token(SecretRef::inline("s.token"));
    let error = read(&connected(nobody), REFERENCE).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_transient()),
        (ErrorKind::Unreachable, true)
    );
    // Its address is not known.
    let error = read(&Vault::new(), REFERENCE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
}

/// A clock on which every wait is over at once.
#[derive(Debug)]
struct Hurried;

impl Clock for Hurried {
    fn now(&self) -> biped_core::Now {
        SystemClock.now()
    }

    fn sleep(&self, _: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn a_server_that_does_not_respond_is_unreachable_and_one_that_says_too_much_is_not_believed()
{
    let late = secret(&json!({})).set_delay(Duration::from_secs(60));
    let large = ResponseTemplate::new(200).set_body_string("x".repeat((1 << 20) + 1));
    for (answer, clock, kind) in [
        (late, &Hurried as &dyn Clock, ErrorKind::Unreachable),
        (large, &SystemClock, ErrorKind::InvalidResponse),
    ] {
        let server = MockServer::start().await;
        answers(&server, answer).await;
        let error = read_at(&connected(with_token(&server)), REFERENCE, clock)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.is_transient()),
            (kind, true),
            "{error}"
        );
        assert_eq!(error.token_source(), Some(REFERENCE));
    }
}

#[tokio::test]
async fn a_login_lasts_for_four_fifths_of_its_life() {
    let server = MockServer::start().await;
    logs_in(&server, &["t-1", "t-2"]).await;
    let vault = connected(with_login(&server).namespace("team"));
    let clock = ManualClock::new();
    for _ in 0..2 {
        assert_eq!(read_at(&vault, REFERENCE, &clock).await.unwrap(), "hunter2");
    }
    clock.advance(Duration::from_secs(79));
    read_at(&vault, REFERENCE, &clock).await.unwrap();
    clock.advance(Duration::from_secs(1));
    read_at(&vault, REFERENCE, &clock).await.unwrap();
    assert_eq!(
        asked(&server).await,
        [
            "POST -", "GET t-1", "GET t-1", "GET t-1", "POST -", "GET t-2"
        ]
    );
    let login = &server.received_requests().await.unwrap()[0];
    assert_eq!(login.headers["x-vault-namespace"], "team");
    assert_eq!(login.headers["content-type"], "application/json");
    let body: Json = serde_json::from_slice(&login.body).unwrap();
    assert_eq!(body, json!({ "role": "biped", "jwt": "a.jwt.x" }));
}

#[tokio::test]
async fn a_login_whose_life_is_beyond_all_numbers_lasts() {
    let server = MockServer::start().await;
    let auth = json!({ "auth": { "client_token": "t-0", "lease_duration": u64::MAX } });
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_json(auth))
        .with_priority(1)
        .mount(&server)
        .await;
    logs_in(&server, &["t-0"]).await;
    let vault = connected(with_login(&server));
    for _ in 0..2 {
        assert_eq!(read(&vault, REFERENCE).await.unwrap(), "hunter2");
    }
    assert_eq!(asked(&server).await, ["POST -", "GET t-0", "GET t-0"]);
}

#[tokio::test]
async fn a_session_that_is_refused_is_opened_anew_once() {
    let server = MockServer::start().await;
    logs_in(&server, &["t-2"]).await;
    let vault = connected(with_login(&server));
    // The first is new, so that the refusal is the answer.
    let error = read(&vault, REFERENCE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert_eq!(asked(&server).await, ["POST -", "GET t-1"]);
    assert_eq!(read(&vault, REFERENCE).await.unwrap(), "hunter2");
    assert_eq!(asked(&server).await[2..], ["GET t-1", "POST -", "GET t-2"]);
}

#[tokio::test]
async fn many_reads_at_once_bring_one_login() {
    let server = MockServer::start().await;
    logs_in(&server, &["t-1"]).await;
    let vault = connected(with_login(&server));
    let reads = (0..16).map(|_| {
        let vault = vault.clone();
        tokio::spawn(async move { read(&vault, REFERENCE).await.unwrap() })
    });
    for read in reads.collect::<Vec<_>>() {
        assert_eq!(read.await.unwrap(), "hunter2");
    }
    let logins = asked(&server).await;
    assert_eq!(logins.iter().filter(|it| *it == "POST -").count(), 1);
}

#[tokio::test]
async fn a_login_that_is_refused_shows_no_jwt() {
    for (status, kind) in [
        (400, ErrorKind::Secret),
        (403, ErrorKind::Secret),
        (503, ErrorKind::Unavailable),
        (200, ErrorKind::InvalidResponse),
    ] {
        let server = MockServer::start().await;
        let said = json!({ "errors": ["a.jwt.x is wrong"] });
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(status).set_body_json(said))
            .mount(&server)
            .await;
        let error = read(&connected(with_login(&server)), REFERENCE)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!format!("{error} {error:?}").contains("a.jwt.x"), "{error}");
        let said = error.vendor().map(ToString::to_string).unwrap_or_default();
        assert_eq!(
            said.contains("is wrong"),
            kind == ErrorKind::Secret || status == 503,
            "{said}"
        );
        assert_eq!(asked(&server).await, ["POST -"]);
    }
}

fn section(keys: &[(&str, Value)]) -> Result<(), Vec<Problem>> {
    let vault = Vault::new();
    let values = keys
        .iter()
        .map(|(key, raw)| ((*key).to_owned(), value(raw.clone(), &vault)));
    let table = ConfigTable::new("vault", Origin::Builder, values.collect());
    Vault::section().read(&table).map(drop)
}

#[test]
fn the_section_says_what_is_wrong() {
    let text = |text: &str| Value::Text(text.into());
    let vault = Vault::new();
    let login = |parts: &[(&str, &str)]| texts(parts, &vault);
    let whole = [("mount", "jwt"), ("role", "biped"), ("jwt", "file:token")];
    assert!(section(&[]).is_ok());
    assert!(
        section(&[
            ("address", text("https://vault.example:8200")),
            ("login", login(&whole))
        ])
        .is_ok()
    );
    assert!(section(&[("token", text("env:T")), ("namespace", text("a"))]).is_ok());
    let source = |name: &'static str, parts: &[(&str, &str)]| {
        let source = Value::Table(BTreeMap::from([(
            name.to_owned(),
            value(texts(parts, &vault), &vault),
        )]));
        let parts = [("role", text("biped")), ("jwt", source)];
        let parts = parts.map(|(name, raw)| (name.to_owned(), value(raw, &vault)));
        Value::Table(BTreeMap::from(parts))
    };
    let signs = [("key", "k"), ("iss", "a"), ("aud", "vault")];
    assert!(section(&[("login", source("sign", &signs))]).is_ok());
    for (key, wrong) in [
        ("login.jwt", vec![("login", source("sign", &signs[..2]))]),
        (
            "login.jwt",
            vec![("login", source("sign", &[signs[0], signs[2]]))],
        ),
        ("login.jwt", vec![("login", source("gcp", &[]))]),
        (
            "address",
            vec![("address", text("http://vault.example:8200"))],
        ),
        (
            "address",
            vec![("address", text("https://vault.example:8200?x"))],
        ),
        (
            "token",
            vec![("token", text("env:T")), ("login", login(&whole))],
        ),
        ("token", vec![("token", text(REFERENCE))]),
        ("login.jwt", vec![("login", login(&whole[..2]))]),
        ("login.jwt", vec![("login", login(&whole[1..2]))]),
        (
            "login.mount",
            vec![("login", login(&[("mount", "../sys"), whole[1], whole[2]]))],
        ),
        (
            "login.jwt",
            vec![("login", login(&[whole[1], ("jwt", REFERENCE)]))],
        ),
        (
            "login.x",
            vec![("login", login(&[whole[0], whole[1], whole[2], ("x", "y")]))],
        ),
        ("namespace", vec![("namespace", text("a\nb"))]),
    ] {
        let problems = section(&wrong).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|it| &*it.key).collect();
        assert_eq!(keys, [format!("vault.{key}")], "{problems:?}");
    }
}

#[test]
fn what_opens_the_server_is_not_inside_it_however_deep() {
    let vault = Vault::new();
    let table = |parts: &[(&str, Value)]| {
        let parts = parts.iter();
        let parts = parts.map(|(name, raw)| ((*name).to_owned(), value(raw.clone(), &vault)));
        Value::Table(parts.collect())
    };
    let text = |text: &str| Value::Text(text.into());
    let signs = |key: Value| {
        let parts = [("iss", text("a")), ("aud", text("vault")), ("key", key)];
        table(&[("sign", table(&parts))])
    };
    let url = |secret: &str| {
        let headers = table(&[("vault", text(secret))]);
        table(&[("url", text("https://t.example")), ("headers", headers)])
    };
    let google = |secret: &str| table(&[("google_key", text(secret))]);
    let command = |public: &str| {
        let argv = Value::List(vec![value(text("sign"), &vault)]);
        table(&[("signer", argv), ("public", text(public))])
    };
    let transit = table(&[("mount", text("transit")), ("key", text("k"))]);
    let section = |jwt: Value| section(&[("login", table(&[("role", text("r")), ("jwt", jwt)]))]);
    for inside in [
        url(REFERENCE),
        google(REFERENCE),
        signs(text(REFERENCE)),
        signs(table(&[("vault", text("k"))])),
        signs(table(&[("vault", transit)])),
        signs(command(REFERENCE)),
        Value::List(vec![
            value(text("env:JWT"), &vault),
            value(text(REFERENCE), &vault),
        ]),
    ] {
        let problems = section(inside.clone()).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|it| &*it.key).collect();
        assert_eq!(keys, ["vault.login.jwt"], "{inside:?}: {problems:?}");
    }
    let elsewhere = "env:SECRET";
    for outside in [
        url(elsewhere),
        google(elsewhere),
        signs(text(elsewhere)),
        signs(command(elsewhere)),
    ] {
        let read = section(outside.clone());
        assert!(read.is_ok(), "{outside:?}: {read:?}");
    }
}

#[test]
fn nothing_shows_what_opens_the_server() {
    let settings = VaultSettings::new()
        .address("https://vault.example".parse().unwrap())
        .token(SecretRef::inline("pl4nted"));
    let vault = connected(settings.clone());
    let scheme: SecretScheme = vault.scheme();
    assert!(!format!("{settings:?} {vault:?} {scheme:?}").contains("pl4nted"));
}

#[tokio::test]
#[ignore = "needs a real server: tests/live/run vault"]
async fn a_real_server_gives_its_secrets() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let address = variable("BIPED_LIVE_VAULT").parse().unwrap();
    let jwt = SecretRef::file(variable("BIPED_LIVE_VAULT_JWT"));
    let settings = VaultSettings::new().address(address);
    let token = settings
        .clone()
        .token(SecretRef::env("BIPED_LIVE_VAULT_TOKEN"));
    let role = |role: &str| settings.clone().login("jwt", role, jwt.clone().into());
    for settings in [token.clone(), role("biped")] {
        let vault = connected(settings);
        assert_eq!(
            read(&vault, "vault:secret/team/crm#client_secret")
                .await
                .unwrap(),
            "hunter2"
        );
        assert_eq!(
            read(&vault, "vault:secret/team/crm#port").await.unwrap(),
            "8200"
        );
        for absent in [
            "secret/team/crm#absent",
            "secret/absent#x",
            "secret/deleted#x",
            "absent/x#x",
        ] {
            let error = read(&vault, &format!("vault:{absent}")).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.is_transient()),
                (ErrorKind::Secret, false),
                "{error}"
            );
        }
    }
    let inner = connected(token.clone().namespace("inner"));
    assert_eq!(
        read(&inner, "vault:secret/crm#client_secret")
            .await
            .unwrap(),
        "inner"
    );
    for denied in [
        role("other"),
        settings.clone().token(SecretRef::inline("s.wrong")),
    ] {
        let error = read(&connected(denied), "vault:secret/team/crm#client_secret")
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.is_transient()),
            (ErrorKind::Secret, false),
            "{error}"
        );
    }
    // The role's tokens can be used twice, so that a third read needs a new login.
    let short = connected(role("short"));
    for _ in 0..5 {
        assert_eq!(
            read(&short, "vault:secret/team/crm#client_secret")
                .await
                .unwrap(),
            "hunter2"
        );
    }
}
