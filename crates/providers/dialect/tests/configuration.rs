//! Dialects in a configuration file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, sync::Arc};

use biped_config::{ConfigValue, Origin, Problem, ProviderConfig, Value};
use biped_core::{Provider, TokenRequest};
use biped_dialect::kind;

const DIALECT: &str = r#"
url = "https://{region}.vendor.example/{tenant}/token"
fields = { key = "{api_key}", account = { number = "{account}" } }

[about]
title = "A vendor"
docs = "https://vendor.example"

[about.params]
region = "eu or us"
tenant = "the tenant"
api_key = { says = "the key", secret = true }
account = { says = "the account", optional = true }
"#;

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("vendors")).unwrap();
        std::fs::write(directory.path().join("vendors/mine.toml"), DIALECT).unwrap();
        Self(directory)
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::File {
            path: Arc::from(self.0.path().join("biped.toml")),
            line,
            column: 0,
        }
    }

    fn value(&self, raw: Value, line: usize) -> ConfigValue {
        ConfigValue {
            raw,
            origin: self.origin(line),
        }
    }

    fn texts(&self, pairs: &[(&str, &str)]) -> BTreeMap<String, ConfigValue> {
        let pair = |(line, (key, text)): (usize, &(&str, &str))| {
            ((*key).to_owned(), self.value((*text).into(), line + 2))
        };
        pairs.iter().enumerate().map(pair).collect()
    }

    fn build(
        &self,
        keys: &[(&str, &str)],
        params: &[(&str, &str)],
    ) -> Result<Arc<dyn Provider>, Vec<Problem>> {
        let mut values = self.texts(keys);
        if !params.is_empty() {
            let table = Value::Table(self.texts(params));
            values.insert("params".into(), self.value(table, 9));
        }
        kind().build(&ProviderConfig::new(
            "shop",
            "dialect",
            self.origin(1),
            values,
        ))
    }
}

const MINE: (&str, &str) = ("file", "vendors/mine.toml");
const ID: (&str, &str) = ("client_id", "client-7");
const SECRET: (&str, &str) = ("client_secret", "pl4nted");
const PARAMS: [(&str, &str); 3] = [("region", "eu"), ("tenant", "acme"), ("api_key", "pl4nted")];

fn keys(problems: &[Problem]) -> Vec<&str> {
    let strip = |problem: &Problem| {
        problem
            .key
            .strip_prefix("providers.shop.")
            .unwrap()
            .to_owned()
    };
    problems
        .iter()
        .map(|problem| strip(problem).leak() as &str)
        .collect()
}

#[test]
fn a_file_is_found_beside_the_configuration() {
    let provider = Directory::new()
        .build(&[MINE, ID, SECRET], &PARAMS)
        .unwrap();
    assert_eq!(provider.id().name(), "shop");
    assert_eq!(provider.id().kind(), "dialect");
    assert_eq!(provider.id().client(), "client-7");
    assert_eq!(
        provider.id().token_endpoint(),
        "https://eu.vendor.example/acme/token"
    );
    assert!(!format!("{provider:?}").contains("pl4nted"));
}

#[cfg(feature = "catalogue")]
#[test]
fn a_vendor_is_found_in_the_catalogue() {
    let directory = Directory::new();
    let keycloak = [("vendor", "keycloak"), ID, SECRET];
    let params = [("base_url", "https://login.example"), ("realm", "shop")];
    let provider = directory.build(&keycloak, &params).unwrap();
    assert_eq!(
        provider.id().token_endpoint(),
        "https://login.example/realms/shop/protocol/openid-connect/token"
    );
    let problems = directory
        .build(&[("vendor", "keyclock"), ID, SECRET], &params)
        .unwrap_err();
    assert_eq!(keys(&problems), ["vendor"]);
    assert!(problems[0].message.contains("keycloak"), "{}", problems[0]);
}

#[test]
fn all_that_is_missing_or_given_in_vain_is_told_together() {
    let directory = Directory::new();
    let given = [("region", "eu"), ("apikey", "pl4nted")];
    let problems = directory.build(&[MINE, ID], &given).unwrap_err();
    let found = keys(&problems);
    for key in [
        "client_secret",
        "params.tenant",
        "params.api_key",
        "params.apikey",
    ] {
        assert!(found.contains(&key), "{key}: {found:?}");
    }
    assert!(!format!("{problems:?}").contains("pl4nted"));
    assert_eq!(
        keys(&directory.build(&[ID, SECRET], &[]).unwrap_err()),
        ["vendor"]
    );
    let both = [MINE, ("vendor", "keycloak"), ID, SECRET];
    assert_eq!(
        keys(&directory.build(&both, &PARAMS).unwrap_err()),
        ["file"]
    );
    let nowhere = [("file", "nowhere.toml"), ID, SECRET];
    assert_eq!(
        keys(&directory.build(&nowhere, &PARAMS).unwrap_err()),
        ["file"]
    );
    let one = [MINE, ID, SECRET, ("certificate", "file:client.pem")];
    assert_eq!(
        keys(&directory.build(&one, &PARAMS).unwrap_err()),
        ["certificate_key"]
    );
}

#[test]
fn a_file_that_is_no_dialect_is_told_with_its_lines() {
    let directory = Directory::new();
    let path = directory.0.path().join("vendors/mine.toml");
    std::fs::write(path, "url = \"https://v.example\"\nmethd = \"GET\"\n").unwrap();
    let problems = directory.build(&[MINE, ID, SECRET], &[]).unwrap_err();
    assert_eq!(keys(&problems), ["file"]);
    assert!(
        problems[0].message.contains("mine.toml:2: methd"),
        "{}",
        problems[0]
    );
}

#[test]
fn what_makes_tokens_differ_is_in_the_id_and_no_secret_is() {
    let directory = Directory::new();
    let with = |name: &'static str, value: &'static str| {
        let mut params = PARAMS.to_vec();
        params.retain(|(known, _)| *known != name);
        params.push((name, value));
        directory.build(&[MINE, ID, SECRET], &params).unwrap()
    };
    let usual = with("region", "eu");
    assert_eq!(usual.id(), with("tenant", "acme").id());
    assert_ne!(usual.id(), with("region", "us").id());
    assert_ne!(usual.id(), with("account", "7").id());
    // A configuration that is equal except for the key gets no token of the key's owner.
    assert_ne!(usual.id(), with("api_key", "an0ther").id());
    assert!(!format!("{:?}", with("api_key", "an0ther").id()).contains("an0ther"));
    let commands = ["cmd:vault a", "cmd:vault b"].map(|command| with("region", command));
    assert_ne!(commands[0].id(), commands[1].id());
    let other = directory.build(&[MINE, ID, ("client_secret", "another")], &PARAMS);
    assert_ne!(usual.id(), other.unwrap().id());
}

#[test]
fn without_a_client_identifier_the_secret_tells_clients_apart() {
    let directory = Directory::new();
    let text = "url = \"https://v.example/{key}\"\nauth = \"none\"\n";
    std::fs::write(directory.0.path().join("vendors/mine.toml"), text).unwrap();
    let with = |key: &str| directory.build(&[MINE], &[("key", key)]).unwrap();
    let one = with("pl4nted-1");
    assert_eq!(one.id(), with("pl4nted-1").id());
    assert_ne!(one.id(), with("pl4nted-2").id());
    assert_eq!(one.id().client(), "", "the name is not a client");
    assert_eq!(one.id().token_endpoint(), "https://v.example/{key}");
    assert!(!format!("{one:?}").contains("pl4nted"));
}

#[test]
fn parameters_may_be_numbers_and_references() {
    let directory = Directory::new();
    std::fs::write(directory.0.path().join("key"), "from a file\n").unwrap();
    let mut params = directory.texts(&[
        ("region", "eu"),
        ("tenant", "acme"),
        ("api_key", "file:key"),
    ]);
    params.insert("account".into(), directory.value(7.into(), 5));
    let mut values = directory.texts(&[MINE, ID, SECRET]);
    values.insert("params".into(), directory.value(Value::Table(params), 4));
    let config = ProviderConfig::new("shop", "dialect", directory.origin(1), values);
    let provider = kind().build(&config).unwrap();
    assert!(format!("{:?}", provider.id()).contains("(\"account\", \"7\")"));
    let bad = directory.value(Value::List(Vec::new()), 6);
    let mut values = directory.texts(&[MINE, ID, SECRET]);
    let table = Value::Table([("region".to_owned(), bad)].into());
    values.insert("params".into(), directory.value(table, 4));
    let config = ProviderConfig::new("shop", "dialect", directory.origin(1), values);
    assert_eq!(keys(&kind().build(&config).unwrap_err()), ["params.region"]);
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_told_with_its_place() {
    let params = [
        ("region", "eu"),
        ("tenant", "acme"),
        ("api_key", "file:nowhere"),
    ];
    let provider = Directory::new().build(&[MINE, ID, SECRET], &params);
    let http = biped_reqwest::TokenClient::new().unwrap();
    let cx = biped_core::FetchContext::new(&http, &biped_core::SystemClock);
    let fetched = provider.unwrap().fetch(&TokenRequest::new(), &cx).await;
    let error = fetched.unwrap_err();
    assert_eq!(error.kind(), biped_core::ErrorKind::Secret);
    assert!(error.message().contains("params.api_key"), "{error}");
    assert!(error.message().contains("biped.toml:"), "{error}");
}

#[test]
fn parameters_of_a_request_are_texts_of_any_name() {
    let value = kind().param("project_id", "42").unwrap();
    assert_eq!(value.as_text(), Some("42"));
}

#[tokio::test]
async fn the_base_urls_that_an_answer_may_name_are_what_the_file_says() {
    let named = "response = { base_url = \"/api\", base_url_hosts = [\"*.vendor.example\"] }";
    for (response, elsewhere) in [("", false), (named, true)] {
        let directory = Directory::new();
        let dialect = DIALECT.replace("[about]", &format!("{response}\n[about]"));
        std::fs::write(directory.0.path().join("vendors/mine.toml"), dialect).unwrap();
        let provider = directory.build(&[MINE, ID, SECRET], &PARAMS).unwrap();
        let url = |text: &str| url::Url::parse(text).unwrap();
        let (api, eu) = (
            url("https://api.example"),
            url("https://eu.vendor.example/a"),
        );
        let http = biped_reqwest::TokenClient::new().unwrap();
        let cx = biped_core::FetchContext::new(&http, &biped_core::SystemClock);
        let named = provider.base_urls(&cx).await.unwrap();
        assert!(!named.covers(&api));
        assert_eq!(named.covers(&eu), elsewhere);
    }
}
