//! Where the name of a tenant stands in the keys of a provider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use biped_config::{
    ConfigTable, ConfigValue, Field, FieldType, ProviderKind, TenantPattern, Value,
};
use biped_core::Error;

fn kind() -> ProviderKind {
    let build = |_: &_| Err(Error::internal("nothing is made of it"));
    ProviderKind::new("test", build)
        .field(Field::new("key", FieldType::Key))
        .field(Field::new("assertion", FieldType::TokenSource))
}

fn values(toml: &str) -> BTreeMap<String, ConfigValue> {
    let toml = format!("tenant = '[a-z]+'\n{toml}");
    let table = ConfigTable::from_toml("biped.toml".as_ref(), &toml).unwrap();
    table.into_values()
}

/// All texts of a value.
fn texts(value: &ConfigValue) -> Vec<String> {
    match &value.raw {
        Value::Text(text) => vec![text.clone()],
        Value::List(all) => all.iter().flat_map(texts).collect(),
        Value::Table(table) => table.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_tenant_has_its_own_key_wherever_the_key_is() {
    let _limit = biped_testing::TimeLimit::start();
    for (toml, expected) in [
        (
            "key = { signer = ['/sign', '--key={tenant}'], public = 'file:/keys/{tenant}.pem' }",
            &["file:/keys/acme.pem", "/sign", "--key=acme"][..],
        ),
        (
            "key = { pkcs11 = 'pkcs11:token={tenant};object=k-{tenant}?module-path=/x.so', \
             pin = 'file:/pins/{tenant}' }",
            &[
                "file:/pins/acme",
                "pkcs11:token=acme;object=k-acme?module-path=/x.so",
            ],
        ),
        ("key = { vault = '{tenant}' }", &["acme"]),
        (
            "key = { vault = { mount = 'transit-{tenant}', key = '{tenant}' } }",
            &["acme", "transit-acme"],
        ),
        (
            "assertion = { sign = { key = { signer = ['/sign', '{tenant}'], public = 'file:/p' } } }",
            &["file:/p", "/sign", "acme"],
        ),
    ] {
        let values = values(toml);
        let pattern = TenantPattern::read(&kind(), "providers.crm", &values);
        assert!(pattern.unwrap().is_some(), "{toml}");
        let filled = TenantPattern::fill(&kind(), &values, "acme");
        let key = filled.iter().find(|(name, _)| *name != "tenant").unwrap();
        assert_eq!(texts(key.1), expected, "{toml}");
    }
}

#[test]
fn a_tenant_chooses_no_code_that_runs() {
    let _limit = biped_testing::TimeLimit::start();
    for toml in [
        "key = { signer = ['/keys/{tenant}/sign'], public = 'file:/p' }",
        "key = { pkcs11 = 'pkcs11:object=k?module-path=/lib/{tenant}.so' }",
        "assertion = { sign = { key = { pkcs11 = 'pkcs11:object=k?module-path=/{tenant}' } } }",
    ] {
        let problems = TenantPattern::read(&kind(), "providers.crm", &values(toml)).unwrap_err();
        let [problem] = &problems[..] else {
            panic!("{problems:?}")
        };
        let key = toml.split(' ').next().unwrap();
        assert_eq!(problem.key, format!("providers.crm.{key}"));
    }
}

#[test]
fn a_tenant_chooses_nothing_in_front_of_a_host() {
    let _limit = biped_testing::TimeLimit::start();
    for (toml, is_good) in [
        (
            "token_endpoint = 'https://{tenant}.erp.example.com/x'",
            true,
        ),
        ("token_endpoint = 'ht{tenant}://login.example.com'", false),
        // The first colon ends the scheme, and one slash is as good as two.
        (
            "token_endpoint = 'ht{tenant}:/x://{tenant}.erp.example.com'",
            false,
        ),
        (
            "token_endpoint = 'https:/{tenant}/x://{tenant}.erp.example.com'",
            false,
        ),
        (
            "assertion = { url = 'https:/{tenant}/x://{tenant}.erp.example.com' }",
            false,
        ),
        // No URL, but one of the arguments.
        (
            "client_secret = 'cmd:/bin/get {tenant} https://vault.example.com'",
            true,
        ),
    ] {
        let read = TenantPattern::read(&kind(), "providers.crm", &values(toml));
        assert_eq!(read.is_ok(), is_good, "{toml}");
    }
}
