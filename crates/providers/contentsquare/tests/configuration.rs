//! Contentsquare in a configuration file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use biped_config::{ConfigValue, Origin, Problem, ProviderConfig, Value};
use biped_contentsquare::{TOKEN_ENDPOINT, kind};
use biped_core::{ParamValue, Provider, Timestamp, TokenRequest};

/// `[providers.analytics]` with these keys, each on a line of its own from line 2.
fn config(keys: &[(&str, Value)]) -> ProviderConfig {
    let at = |line| Origin::File {
        path: Arc::from(Path::new("biped.toml")),
        line,
        column: 0,
    };
    let values: BTreeMap<_, _> = keys
        .iter()
        .zip(2..)
        .map(|((key, raw), line)| {
            (
                (*key).to_owned(),
                ConfigValue {
                    raw: raw.clone(),
                    origin: at(line),
                },
            )
        })
        .collect();
    ProviderConfig::new("analytics", "contentsquare", at(1), values)
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn list(texts: &[&str]) -> Value {
    let item = |item: &&str| ConfigValue {
        raw: text(item),
        origin: Origin::Builder,
    };
    Value::List(texts.iter().map(item).collect())
}

fn with_credentials(keys: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    let credentials = [
        ("client_id", text("client-7")),
        ("client_secret", text("env:CS_SECRET")),
    ];
    credentials
        .into_iter()
        .chain(keys.iter().cloned())
        .collect()
}

fn build(keys: &[(&'static str, Value)]) -> Result<Arc<dyn Provider>, Vec<Problem>> {
    kind().build(&config(&with_credentials(keys)))
}

#[test]
fn credentials_are_enough() {
    let provider = build(&[]).unwrap();
    assert_eq!(provider.id().name(), "analytics");
    assert_eq!(provider.id().kind(), "contentsquare");
    assert_eq!(provider.id().client(), "client-7");
    assert_eq!(provider.id().token_endpoint(), TOKEN_ENDPOINT);
}

#[test]
fn the_request_has_the_scopes_and_ids_of_the_configuration() {
    let keys = [
        ("scope", text("metrics data-export")),
        ("project_id", Value::Integer(42)),
        ("integration_id", Value::Integer(123)),
    ];
    let request = kind().request(&config(&with_credentials(&keys)));
    let expected = TokenRequest::new()
        .scope("data-export")
        .scope("metrics")
        .param("project_id", 42)
        .param("integration_id", 123);
    assert_eq!(request, expected);
}

#[test]
fn parameters_that_come_as_text_get_their_type() {
    assert_eq!(
        kind().param("project_id", "42").unwrap(),
        ParamValue::Integer(42)
    );
    assert!(kind().param("project_id", "forty-two").is_err());
    assert!(kind().param("project", "42").is_err());
}

#[test]
fn enrichment_with_another_scope_is_found_at_its_line() {
    for scope in [
        list(&["data-export", "enrichment"]),
        text("data-export enrichment"),
    ] {
        let problems = build(&[("scope", scope)]).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].key, "providers.analytics.scope");
        assert!(matches!(problems[0].origin, Origin::File { line: 4, .. }));
    }
}

#[test]
fn what_a_request_may_still_name_is_no_problem() {
    assert!(build(&[("scope", text("enrichment"))]).is_ok());
    assert!(build(&[("project_id", Value::Integer(42))]).is_ok());
}

#[test]
fn all_problems_are_told_together() {
    let keys = [
        ("scope", list(&["metrics", "enrichment"])),
        ("client_id", text("client-7")),
    ];
    let problems = kind().build(&config(&keys)).unwrap_err();
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "providers.analytics.scope",
            "providers.analytics.client_secret"
        ]
    );
}

#[test]
fn values_of_the_wrong_type_are_problems() {
    for (key, raw) in [
        ("project_id", text("42")),
        ("integration_id", text("123")),
        ("client_secret_created", text("last spring")),
        (
            "token_endpoint",
            text("http://api.contentsquare.com/v1/oauth/token"),
        ),
        ("projct_id", Value::Integer(42)),
    ] {
        let problems = build(&[(key, raw)]).unwrap_err();
        assert_eq!(problems[0].key, format!("providers.analytics.{key}"));
    }
}

#[test]
fn the_date_of_the_secret_warns() {
    let provider = build(&[("client_secret_created", Value::Date("2026-03-01".into()))]).unwrap();
    let at = Timestamp::from_unix_seconds;
    assert_eq!(provider.warning(at(1_772_323_200)), None); // 2026-03-01
    assert!(provider.warning(at(1_802_000_000)).is_some()); // 2027-02-07
}

#[test]
fn the_token_endpoint_can_be_elsewhere() {
    let provider = build(&[(
        "token_endpoint",
        text("http://127.0.0.1:7600/v1/oauth/token"),
    )]);
    assert_eq!(
        provider.unwrap().id().token_endpoint(),
        "http://127.0.0.1:7600/v1/oauth/token"
    );
}
