//! Keys in a transit engine: the exact requests, what each failure is, and whose tokens they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod configured;
mod signed;

use std::{collections::BTreeMap, time::Duration};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use biped_config::{ConfigTable, ConfigValue, Origin, Value};
use biped_core::{
    Clock, Error, ErrorKind, FetchContext, ProviderId, References, SecretRef, SystemClock,
};
use biped_reqwest::TokenClient;
use biped_sources::{Algorithm, AnyKey, KeyRef, KeySource, Vault, VaultSettings};
use serde_json::{Value as Json, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use self::{configured::value, signed::is_valid};

macro_rules! public {
    ($name:literal) => {
        include_str!(concat!(
            "../../providers/oauth2/tests/keys/",
            $name,
            ".public.pem"
        ))
    };
}

fn table(parts: Vec<(&str, Value)>, vault: &Vault) -> Value {
    let parts = parts.into_iter();
    let parts = parts.map(|(name, raw)| (name.to_owned(), value(raw, vault)));
    Value::Table(parts.collect())
}

/// The key that `key = { vault = … }` names, or what is wrong with it.
fn key(named: Value, vault: &Vault) -> Result<KeyRef, Vec<String>> {
    let key = value(table(vec![("vault", named)], vault), vault);
    let values = BTreeMap::from([("key".to_owned(), key)]);
    let table = ConfigTable::new("providers.crm", Origin::Builder, values);
    let read = KeyRef::from_config(&table, "key");
    let problems: Vec<_> = table.take_problems().into_iter().map(|it| it.key).collect();
    read.filter(|_| problems.is_empty()).ok_or(problems)
}

fn crm(vault: &Vault) -> KeyRef {
    key(Value::from("crm"), vault).unwrap()
}

fn connected(settings: VaultSettings) -> Vault {
    let vault = Vault::new();
    vault.locate(settings);
    vault
}

fn at(server: &MockServer) -> VaultSettings {
    VaultSettings::new()
        .address(server.uri().parse().unwrap())
        .token(SecretRef::inline("s.token"))
}

async fn sign_at(key: &KeyRef, alg: Option<Algorithm>, clock: &dyn Clock) -> Result<String, Error> {
    let http = TokenClient::new()?;
    let cx = FetchContext::new(&http, clock);
    let source = KeySource {
        name: "key",
        password: None,
        kid: None,
    };
    let key: AnyKey = key.read(source, &cx).await?;
    let alg = alg.unwrap_or(key.algorithms()[0]);
    let claims = json!({ "exp": 4_000_000_000_u64 });
    key.jws(alg, json!({}), &claims, &cx).await
}

async fn sign(key: &KeyRef, alg: Option<Algorithm>) -> Result<String, Error> {
    sign_at(key, alg, &SystemClock).await
}

/// What a transit engine says about a key.
fn described(kind: &str, public: &str) -> ResponseTemplate {
    let old = json!({ "public_key": "of version 1" });
    let keys = json!({ "1": old, "2": { "public_key": public, "name": kind } });
    let data = json!({ "type": kind, "latest_version": 2, "keys": keys });
    ResponseTemplate::new(200).set_body_json(json!({ "data": data }))
}

fn signature(text: &str) -> ResponseTemplate {
    let data = json!({ "signature": format!("vault:v2:{text}"), "key_version": 2 });
    ResponseTemplate::new(200).set_body_json(json!({ "data": data }))
}

async fn answers(server: &MockServer, how: &str, answer: ResponseTemplate) {
    Mock::given(method(how))
        .respond_with(answer)
        .mount(server)
        .await;
}

async fn asked(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let asked = requests.iter().map(|request| {
        let token = request.headers.get("x-vault-token");
        let token = token.map_or("-", |token| token.to_str().unwrap());
        format!("{} {} {token}", request.method, request.url.path())
    });
    asked.collect()
}

/// The raw key of Ed25519, which is at the end of its PEM.
fn raw_ed25519() -> String {
    let pem: String = public!("ed25519").lines().skip(1).take(1).collect();
    let der = STANDARD.decode(pem).unwrap();
    STANDARD.encode(&der[der.len() - 32..])
}

#[tokio::test]
async fn each_algorithm_is_asked_for_with_exactly_its_parameters() {
    let rsa = |alg: &'static str, hash: &str, padding: &str| {
        let mut body = json!({ "hash_algorithm": hash, "signature_algorithm": padding });
        if padding == "pss" {
            body["salt_length"] = "hash".into();
        }
        ("rsa-2048", public!("rsa").to_owned(), alg, 256, body)
    };
    let ec = |kind: &'static str, public: &str, alg: &'static str, length: usize, hash: &str| {
        let body = json!({ "hash_algorithm": hash, "marshaling_algorithm": "jws" });
        (kind, public.to_owned(), alg, length, body)
    };
    for (kind, public, alg, length, mut body) in [
        rsa("RS256", "sha2-256", "pkcs1v15"),
        rsa("RS384", "sha2-384", "pkcs1v15"),
        rsa("RS512", "sha2-512", "pkcs1v15"),
        rsa("PS256", "sha2-256", "pss"),
        rsa("PS384", "sha2-384", "pss"),
        rsa("PS512", "sha2-512", "pss"),
        ec("ecdsa-p256", public!("p256"), "ES256", 64, "sha2-256"),
        ec("ecdsa-p384", public!("p384"), "ES384", 96, "sha2-384"),
        ec("ecdsa-p521", public!("p521"), "ES512", 132, "sha2-512"),
        ("ed25519", raw_ed25519(), "EdDSA", 64, json!({})),
    ] {
        let server = MockServer::start().await;
        answers(&server, "GET", described(kind, &public)).await;
        let bytes = vec![0xfb; length];
        // EC comes in base64url, the others in base64.
        let text = match kind.starts_with("ecdsa") {
            true => URL_SAFE_NO_PAD.encode(&bytes),
            false => STANDARD.encode(&bytes),
        };
        answers(&server, "POST", signature(&text)).await;
        let vault = connected(at(&server).namespace("team/a"));
        let jwt = sign(&crm(&vault), Some(alg.parse().unwrap()))
            .await
            .unwrap();
        let (input, signed) = jwt.rsplit_once('.').unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(signed).unwrap(), bytes, "{alg}");
        body["input"] = STANDARD.encode(input).into();
        assert_eq!(
            asked(&server).await,
            [
                "GET /v1/transit/keys/crm s.token",
                "POST /v1/transit/sign/crm s.token"
            ]
        );
        let requests = server.received_requests().await.unwrap();
        let sent: Json = serde_json::from_slice(&requests[1].body).unwrap();
        assert_eq!(sent, body, "{alg}");
        assert_eq!(requests[1].headers["content-type"], "application/json");
        for request in &requests {
            assert_eq!(request.headers["x-vault-namespace"], "team/a");
        }
    }
}

#[tokio::test]
async fn a_table_names_the_mount() {
    let server = MockServer::start().await;
    answers(&server, "GET", described("ed25519", &raw_ed25519())).await;
    answers(&server, "POST", signature(&STANDARD.encode([1; 64]))).await;
    let vault = connected(at(&server));
    let parts = vec![("mount", "team/transit".into()), ("key", "c r m".into())];
    let named = key(table(parts, &vault), &vault).unwrap();
    assert_eq!(named.name(), "vault:team/transit/c r m");
    assert!(named.text().is_none());
    sign(&named, None).await.unwrap();
    assert_eq!(
        asked(&server).await,
        [
            "GET /v1/team/transit/keys/c%20r%20m s.token",
            "POST /v1/team/transit/sign/c%20r%20m s.token"
        ]
    );
    // The mount is left out.
    let named = key(table(vec![("key", "crm".into())], &vault), &vault).unwrap();
    assert_eq!(named.name(), "vault:transit/crm");
    // A key whose text is a secret in the vault is read and not asked to sign.
    let parts = [("mount", "kv"), ("path", "crm"), ("field", "pem")];
    let parts = parts.map(|(name, text)| (name, text.into())).to_vec();
    let read = key(table(parts, &vault), &vault).unwrap();
    assert_eq!(read.text().unwrap().to_string(), "vault:kv/crm#pem");
}

#[test]
fn what_a_configuration_says_wrong_about_a_key_is_told() {
    let vault = Vault::new();
    let parts = |all: &[(&'static str, &str)]| {
        let all = all.iter().map(|(name, text)| (*name, (*text).into()));
        table(all.collect(), &vault)
    };
    let place = "providers.crm.key.vault".to_owned();
    for wrong in [
        Value::from(""),
        "a/b".into(),
        "..".into(),
        3.into(),
        parts(&[]),
        parts(&[("mount", "transit")]),
        parts(&[("mount", "kv"), ("path", "crm")]),
        parts(&[("mount", "../sys"), ("key", "crm")]),
        parts(&[("mount", ""), ("key", "crm")]),
        parts(&[("key", "a/b")]),
    ] {
        assert_eq!(key(wrong, &vault).unwrap_err(), [place.as_str()]);
    }
    let further = parts(&[("key", "crm"), ("x", "y")]);
    assert_eq!(key(further, &vault).unwrap_err(), [format!("{place}.x")]);
    // An application's own scheme of this name has no keys.
    let values = table(vec![("vault", "crm".into())], &vault);
    let origin = Origin::Builder;
    let Value::Table(mut values) = values else {
        panic!()
    };
    values
        .values_mut()
        .for_each(|it| it.origin = origin.clone());
    let raw = Value::Table(values);
    let values = BTreeMap::from([("key".to_owned(), ConfigValue { raw, origin })]);
    let table = ConfigTable::new("providers.crm", Origin::Builder, values);
    assert!(KeyRef::from_config(&table, "key").is_none());
    assert_eq!(table.take_problems().len(), 1);
}

#[tokio::test]
async fn each_failure_says_whether_it_may_pass() {
    let text = |status: u16| {
        let said = json!({ "errors": ["no s.token here"] });
        ResponseTemplate::new(status).set_body_json(said)
    };
    let page = || ResponseTemplate::new(200).set_body_string("<html>");
    let (secret, unavailable) = (ErrorKind::Secret, ErrorKind::Unavailable);
    let failures = || {
        [
            (text(400), secret, false),
            (text(403), secret, false),
            (text(404), secret, false),
            (text(429), unavailable, true),
            (text(500), unavailable, true),
            // Sealed.
            (text(503), unavailable, true),
            (text(307), ErrorKind::InvalidResponse, true),
            (page(), ErrorKind::InvalidResponse, true),
        ]
    };
    let fails = async |asks: ResponseTemplate, signs: ResponseTemplate, requests: usize| {
        let server = MockServer::start().await;
        answers(&server, "GET", asks).await;
        answers(&server, "POST", signs).await;
        let error = sign(&crm(&connected(at(&server))), None).await.unwrap_err();
        assert_eq!(error.token_source(), Some("vault:transit/crm"), "{error}");
        assert!(error.message().contains("vault:transit/crm"), "{error}");
        assert!(!format!("{error} {error:?}").contains("s.token"), "{error}");
        assert_eq!(asked(&server).await.len(), requests);
        error
    };
    let fine = || described("ecdsa-p256", public!("p256"));
    for (answer, kind, transient) in failures() {
        let error = fails(answer, page(), 1).await;
        assert_eq!(
            (error.kind(), error.is_transient()),
            (kind, transient),
            "{error}"
        );
    }
    for (answer, kind, transient) in failures() {
        let error = fails(fine(), answer, 2).await;
        assert_eq!(
            (error.kind(), error.is_transient()),
            (kind, transient),
            "{error}"
        );
    }
    // A key of another type, one without a public half, and what is not a public key.
    let error = fails(described("aes256-gcm96", "x"), page(), 1).await;
    assert_eq!(
        (error.kind(), error.is_transient()),
        (secret, false),
        "{error}"
    );
    let bare = json!({ "data": { "type": "ed25519", "latest_version": 1, "keys": { "1": 1_700_000_000 } } });
    let bare = ResponseTemplate::new(200).set_body_json(bare);
    for answer in [
        bare,
        described("rsa-2048", "x"),
        described("ed25519", "eA=="),
    ] {
        let error = fails(answer, page(), 1).await;
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{error}");
    }
    for wrong in ["", "?", "=", "vault"] {
        let error = fails(fine(), signature(wrong), 2).await;
        assert!(
            matches!(error.kind(), ErrorKind::InvalidResponse | ErrorKind::Secret),
            "{error}"
        );
    }
    let nobody = VaultSettings::new()
        .address("http://127.0.0.1:1".parse().unwrap())
        .token(SecretRef::inline("s.token"));
    let error = sign(&crm(&connected(nobody)), None).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_transient()),
        (ErrorKind::Unreachable, true)
    );
    // Its address is not known.
    let error = sign(&crm(&Vault::new()), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
}

#[tokio::test]
async fn a_login_opens_the_engine_and_is_repeated_once() {
    let server = MockServer::start().await;
    for number in (1..=2).rev() {
        let auth =
            json!({ "auth": { "client_token": format!("t-{number}"), "lease_duration": 100 } });
        Mock::given(method("POST"))
            .and(path("/v1/auth/jwt/login"))
            .respond_with(ResponseTemplate::new(200).set_body_json(auth))
            .up_to_n_times(1)
            .with_priority(number)
            .mount(&server)
            .await;
    }
    // The session ends between the two requests.
    for (how, token, answer) in [
        ("GET", "t-1", described("ed25519", &raw_ed25519())),
        ("POST", "t-1", ResponseTemplate::new(403)),
        ("POST", "t-2", signature(&STANDARD.encode([1; 64]))),
    ] {
        Mock::given(method(how))
            .and(header("x-vault-token", token))
            .respond_with(answer)
            .with_priority(3)
            .mount(&server)
            .await;
    }
    let settings = VaultSettings::new()
        .address(server.uri().parse().unwrap())
        .login("jwt", "biped", SecretRef::inline("a.jwt.x").into());
    sign(&crm(&connected(settings)), None).await.unwrap();
    assert_eq!(
        asked(&server).await,
        [
            "POST /v1/auth/jwt/login -",
            "GET /v1/transit/keys/crm t-1",
            "POST /v1/transit/sign/crm t-1",
            "POST /v1/auth/jwt/login -",
            "POST /v1/transit/sign/crm t-2",
        ]
    );
}

#[tokio::test]
async fn a_server_that_does_not_respond_is_given_up() {
    let server = MockServer::start().await;
    let late = described("ed25519", &raw_ed25519()).set_delay(Duration::from_secs(60));
    answers(&server, "GET", late).await;
    let error = sign_at(&crm(&connected(at(&server))), None, &Hurried)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.is_transient()),
        (ErrorKind::Unreachable, true)
    );
}

/// A clock on which every wait is over at once.
#[derive(Debug)]
struct Hurried;

impl Clock for Hurried {
    fn now(&self) -> biped_core::Now {
        SystemClock.now()
    }

    fn sleep(&self, _: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn one_key_in_two_vaults_makes_two_clients() {
    let of = |address: &str, namespace: Option<&str>| {
        let settings = VaultSettings::new().address(address.parse().unwrap());
        let vault = Vault::new();
        vault.locate(match namespace {
            Some(namespace) => settings.namespace(namespace),
            None => settings,
        });
        let id = ProviderId::new("oauth2", "https://login.example", "client-7");
        let secret = value("vault:kv/crm#secret".into(), &vault)
            .to_secret()
            .unwrap();
        (crm(&vault).identify(id, "key"), secret)
    };
    let one = of("https://one.example", None);
    assert_eq!(one, of("https://one.example/", None));
    for other in [
        of("https://two.example", None),
        of("https://one.example:8200", None),
        of("https://one.example", Some("team")),
    ] {
        assert_ne!(one.0, other.0);
        assert_ne!(one.1, other.1);
        // Neither says where the vault is.
        let shown = format!("{:?} {:?} {}", other.0, other.1, other.1);
        assert!(
            !shown.contains(".example:8200") && !shown.contains("two"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn no_vault_is_asked_while_a_configuration_is_only_shown() {
    let server = MockServer::start().await;
    let key = crm(&connected(at(&server)));
    let http = TokenClient::new().unwrap();
    let cx = FetchContext::new(&http, &SystemClock).limited_to(References::WithoutCommands);
    let source = KeySource {
        name: "key",
        password: None,
        kid: None,
    };
    key.read(source, &cx).await.unwrap_err();
    assert_eq!(asked(&server).await.len(), 0);
}

#[tokio::test]
#[ignore = "needs a real server: tests/live/run vault"]
async fn a_real_server_signs_with_each_type_of_key() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let address = variable("BIPED_LIVE_VAULT").parse().unwrap();
    let publics = variable("BIPED_LIVE_VAULT_PUBLIC");
    let jwt = SecretRef::file(variable("BIPED_LIVE_VAULT_JWT"));
    let settings = VaultSettings::new().address(address);
    let token = settings
        .clone()
        .token(SecretRef::env("BIPED_LIVE_VAULT_TOKEN"));
    let role = |role: &str| settings.clone().login("jwt", role, jwt.clone().into());
    let rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    for settings in [token.clone(), role("signer")] {
        let vault = connected(settings);
        for (name, algs) in [
            ("rsa", &rsa[..]),
            ("p256", &["ES256"]),
            ("p384", &["ES384"]),
            ("p521", &["ES512"]),
            ("ed25519", &["EdDSA"]),
        ] {
            let pem = std::fs::read_to_string(format!("{publics}/{name}.pem")).unwrap();
            let named = key(name.into(), &vault).unwrap();
            for alg in algs {
                let jwt = sign(&named, Some(alg.parse().unwrap())).await.unwrap();
                assert!(is_valid(&jwt, name, &pem), "{alg}");
            }
        }
    }
    let vault = connected(token);
    for absent in ["absent", "aes"] {
        let error = sign(&key(absent.into(), &vault).unwrap(), None)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.is_transient()),
            (ErrorKind::Secret, false),
            "{error}"
        );
    }
    // A role whose policy lacks the key.
    let denied = connected(role("biped"));
    let error = sign(&key("rsa".into(), &denied).unwrap(), None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret, "{error}");
}
