//! The envelope vendor in a configuration file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use biped_config::{ConfigValue, Origin, Problem, ProviderConfig, Value};
use biped_core::Provider;
use biped_envelope::kind;

/// Builds `[providers.shop]` with these texts, each on a line of its own from line 2.
fn build(keys: &[(&str, &str)]) -> Result<Arc<dyn Provider>, Vec<Problem>> {
    let at = |line| Origin::File {
        path: Arc::from(Path::new("biped.toml")),
        line,
        column: 0,
    };
    let values: BTreeMap<_, _> = keys
        .iter()
        .zip(2..)
        .map(|((key, text), line)| {
            let raw = Value::Text((*text).to_owned());
            (
                (*key).to_owned(),
                ConfigValue {
                    raw,
                    origin: at(line),
                },
            )
        })
        .collect();
    kind().build(&ProviderConfig::new("shop", "envelope", at(1), values))
}

const ID: (&str, &str) = ("client_id", "client-7");
const SECRET: (&str, &str) = ("client_secret", "file:/run/secrets/shop");

fn problem_keys(keys: &[(&str, &str)]) -> Vec<String> {
    build(keys)
        .unwrap_err()
        .into_iter()
        .map(|problem| problem.key)
        .collect()
}

#[test]
fn a_base_url_and_credentials_are_enough() {
    let provider = build(&[("base_url", "https://v.example/v1"), ID, SECRET]).unwrap();
    assert_eq!(provider.id().name(), "shop");
    assert_eq!(provider.id().kind(), "envelope");
    assert_eq!(provider.id().client(), "client-7");
    assert_eq!(
        provider.id().token_endpoint(),
        "https://v.example/v1/auth/token"
    );
}

#[test]
fn a_token_endpoint_stands_in_for_the_base_url() {
    let endpoint = ("token_endpoint", "https://login.example/token");
    let alone = build(&[endpoint, ID, SECRET]).unwrap();
    let both = build(&[endpoint, ("base_url", "https://v.example"), ID, SECRET]).unwrap();
    for provider in [&alone, &both] {
        assert_eq!(
            provider.id().token_endpoint(),
            "https://login.example/token"
        );
    }
    // Their tokens are for different places.
    assert_ne!(alone.id(), both.id());
}

#[test]
fn all_that_is_missing_is_told_together() {
    let keys = problem_keys(&[SECRET]);
    assert_eq!(
        keys,
        ["providers.shop.client_id", "providers.shop.base_url"]
    );
}

#[test]
fn a_base_url_that_can_not_be_one_is_a_problem() {
    for url in [
        "http://v.example",
        "v.example",
        "https://v.example?x=1",
        "https://v.example#x",
    ] {
        assert_eq!(
            problem_keys(&[("base_url", url), ID, SECRET]),
            ["providers.shop.base_url"]
        );
    }
}

#[test]
fn unknown_keys_and_parameters_are_problems() {
    let keys = [
        ("base_url", "https://v.example"),
        ID,
        SECRET,
        ("project_id", "42"),
    ];
    assert_eq!(problem_keys(&keys), ["providers.shop.project_id"]);
    assert!(kind().param("project_id", "42").is_err());
}
