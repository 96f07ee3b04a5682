//! Keys in PKCS#11 tokens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod signed;

use std::{collections::BTreeMap, fs};

use biped_config::{ConfigTable, ConfigValue, Origin, Value};
use biped_core::{Error, ErrorKind, FetchContext, References, SystemClock};
use biped_reqwest::TokenClient;
use biped_sources::{Algorithm, AnyKey, KeyRef, KeySource, remember_refused_pins};
use serde_json::json;

use self::signed::is_valid;

macro_rules! public {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!(
                "../../providers/oauth2/tests/keys/",
                $name,
                ".public.pem"
            )),
        )
    };
}

const PUBLIC: [(&str, &str); 5] = [
    public!("rsa"),
    public!("p256"),
    public!("p384"),
    public!("p521"),
    public!("ed25519"),
];

fn value(raw: Value) -> ConfigValue {
    let origin = Origin::Builder;
    ConfigValue { raw, origin }
}

/// The key that this URI names, or the number of problems.
fn key(uri: &str, pin: Option<&str>) -> Result<KeyRef, usize> {
    let mut parts = BTreeMap::from([("pkcs11".to_owned(), value(Value::Text(uri.into())))]);
    parts.extend(pin.map(|pin| ("pin".to_owned(), value(Value::Text(pin.into())))));
    let values = BTreeMap::from([("key".to_owned(), value(Value::Table(parts)))]);
    let table = ConfigTable::new("providers.crm", Origin::Builder, values);
    let read = KeyRef::from_config(&table, "key");
    let problems = table.take_problems().len();
    read.filter(|_| problems == 0).ok_or(problems)
}

async fn sign(key: &KeyRef, alg: Option<Algorithm>) -> Result<String, Error> {
    let http = TokenClient::new()?;
    let cx = FetchContext::new(&http, &SystemClock);
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

#[test]
fn a_key_is_named_by_a_uri_without_a_pin() {
    let uri = "pkcs11:token=t;object=crm?module-path=/usr/lib/softhsm/libsofthsm2.so";
    let named = key(uri, Some("env:PIN")).unwrap();
    assert_eq!(named.name(), "pkcs11:token=t;object=crm");
    assert!(named.text().is_none());
    for wrong in [
        "pkcs11:object=crm",
        "file:key.pem",
        &format!("{uri}&pin-value=1"),
    ] {
        assert_eq!(key(wrong, None).unwrap_err(), 1, "{wrong}");
    }
}

#[tokio::test]
async fn a_module_that_is_not_there_is_an_error_of_the_key() {
    let key = key("pkcs11:object=crm?module-path=/no/such/module.so", None).unwrap();
    let error = sign(&key, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(error.message().contains("/no/such/module.so"));
}

#[tokio::test]
async fn no_module_is_loaded_while_a_configuration_is_only_shown() {
    let key = key("pkcs11:object=crm?module-path=/no/such/module.so", None).unwrap();
    let http = TokenClient::new().unwrap();
    let cx = FetchContext::new(&http, &SystemClock).limited_to(References::WithoutCommands);
    let source = KeySource {
        name: "key",
        password: None,
        kid: None,
    };
    let error = key.read(source, &cx).await.unwrap_err();
    assert!(!error.message().contains("module"), "{error}");
}

#[tokio::test]
#[ignore = "needs SoftHSM: tests/live/run pkcs11"]
async fn a_token_signs_with_each_type_of_key_and_gets_a_wrong_pin_once() {
    let module = std::env::var("BIPED_LIVE_PKCS11").unwrap();
    let work = tempfile::tempdir().unwrap();
    remember_refused_pins(work.path().join("pins"));
    let pin = work.path().join("pin");
    let pin_reference = format!("file:{}", pin.display());
    let named = |what: &str| {
        let uri = format!("pkcs11:token=live%20suite;{what}?module-path={module}");
        key(&uri, Some(&pin_reference)).unwrap()
    };
    let refused = |error: Error| {
        assert_eq!(
            (error.kind(), error.is_transient()),
            (ErrorKind::Secret, false),
            "{error}"
        );
        assert!(!error.to_string().contains("000000"));
        error.message().to_owned()
    };
    let kept = || fs::read_dir(work.path().join("pins")).map_or(0, Iterator::count);

    fs::write(&pin, "000000").unwrap();
    let first = refused(sign(&named("object=p256"), None).await.unwrap_err());
    // Another key of the same token does not send it either.
    let second = refused(sign(&named("object=rsa"), None).await.unwrap_err());
    assert_ne!(first.split(": ").nth(1), second.split(": ").nth(1));
    assert_eq!(kept(), 1);
    let file = fs::read_dir(work.path().join("pins"))
        .unwrap()
        .next()
        .unwrap();
    assert!(
        !fs::read_to_string(file.unwrap().path())
            .unwrap()
            .contains("000000")
    );

    // Nor does it send one that was refused before another one.
    fs::write(&pin, "111111").unwrap();
    let other = refused(sign(&named("object=p256"), None).await.unwrap_err());
    assert_eq!(other, first);
    fs::write(&pin, "000000").unwrap();
    let third = refused(sign(&named("object=p256"), None).await.unwrap_err());
    assert_eq!(third.split(": ").nth(1), second.split(": ").nth(1));

    fs::write(&pin, "567890").unwrap();
    for (name, pem) in PUBLIC {
        let key = named(&format!("object={name}"));
        let jwt = sign(&key, None).await.unwrap();
        assert!(is_valid(&jwt, name, pem), "{name}");
        // The session stays open.
        assert!(
            is_valid(&sign(&key, None).await.unwrap(), name, pem),
            "{name}"
        );
    }
    assert_eq!(kept(), 0);
    for alg in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ] {
        let jwt = sign(&named("id=%01"), Some(alg)).await.unwrap();
        assert!(is_valid(&jwt, "rsa", PUBLIC[0].1), "{alg}");
    }
    refused(sign(&named("object=absent"), None).await.unwrap_err());
    let uri = format!("pkcs11:token=absent;object=rsa?module-path={module}");
    let error = sign(&key(&uri, None).unwrap(), None).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}
