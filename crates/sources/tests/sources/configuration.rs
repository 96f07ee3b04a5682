//! What a configuration may say about a source.

use biped_core::{ProviderId, SecretRef, TokenRequest};
use biped_sources::ExternalToken;

use crate::outcome::{config, source};

/// The one problem of a source.
fn problem(toml: &str) -> String {
    let (_, mut problems) = source(toml);
    let problem = problems
        .pop()
        .unwrap_or_else(|| panic!("{toml} is accepted"));
    assert!(problems.is_empty(), "{toml}: {problems:?} {problem}");
    problem
}

#[test]
fn a_source_is_a_secret_or_has_exactly_one_name() {
    for toml in [
        "token = 'file:/run/t'",
        "token = { cmd = ['aws', 'sts'] }",
        "token = ['env:A', 'env:B']",
        "token = { github = {} }",
        "token = { azure = { resource = 'r', object_id = 'o' } }",
        "token = { url = 'https://t.example' }",
        "token = { gcp = { endpoint = 'http://metadata.google.internal' } }",
        "token = { gcp = { endpoint = 'http://169.254.169.254' } }",
    ] {
        let (token, problems) = source(toml);
        assert!(
            problems.is_empty() && token.is_some(),
            "{toml}: {problems:?}"
        );
    }
    for (toml, key) in [
        ("token = {}", "providers.crm.token"),
        ("token = { github = {}, gcp = {} }", "providers.crm.token"),
        ("token = { gitub = {} }", "did you mean github?"),
        ("token = { kubernetes = {} }", "\"file:PATH\""),
        ("token = 7", "providers.crm.token"),
        ("token = { github = 7 }", "providers.crm.token.github"),
        ("token = { github = { audence = 'a' } }", "audience"),
        (
            "token = { github = {}, audience = 'a' }",
            "providers.crm.token.audience",
        ),
        (
            "token = { azure = { client_id = 'a', object_id = 'b' } }",
            "object_id",
        ),
        (
            "token = { gcp = { endpoint = 'http://192.0.2.1' } }",
            "endpoint",
        ),
        (
            "token = { gcp = { endpoint = 'http://169.254.169.254:8080' } }",
            "endpoint",
        ),
        (
            "token = { azure = { endpoint = 'http://169.254.1.1' } }",
            "endpoint",
        ),
        (
            "token = { gcp = { access = true, audience = 'a' } }",
            "audience",
        ),
        ("token = { url = 'http://192.0.2.1' }", "url"),
        ("token = { url = 'https://t', at = 'token' }", "at"),
        ("token = { sign = { iss = 'a' } }", "key"),
        ("token = { sign = { key = 'k', alg = 'XS256' } }", "alg"),
        ("token = { provider = 'other' }", "provider"),
    ] {
        let problem = problem(toml);
        assert!(problem.contains(key), "{toml}: {problem}");
    }
}

#[test]
fn what_tells_sources_apart_tells_ids_apart() {
    let id = |toml: &str| {
        let (token, problems) = source(toml);
        assert!(problems.is_empty(), "{toml}: {problems:?}");
        let id = ProviderId::new("test", "https://login.example", "");
        token.unwrap().identify(id, "client_assertion")
    };
    let all = [
        "token = 'file:/run/a'",
        "token = 'file:/run/b'",
        "token = { github = {} }",
        "token = { github = { audience = 'a' } }",
        "token = { gcp = { audience = 'a' } }",
        "token = { gcp = { audience = 'a', account = 'x' } }",
        "token = { gcp = { access = true } }",
        "token = { azure = {} }",
        "token = { azure = { client_id = 'a' } }",
        "token = { azure = { object_id = 'a' } }",
        "token = { url = 'https://t.example' }",
        "token = { url = 'https://t.example?a' }",
        "token = { url = 'https://t.example', at = '/a' }",
        "token = { url = 'https://t.example', headers = { A = 'x' } }",
        "token = { url = 'https://t.example', headers = { A = 'y' } }",
        "token = { sign = { key = 'a' } }",
        "token = { sign = { key = 'b' } }",
        "token = { sign = { key = 'a', sub = 's' } }",
        "token = { google_key = 'a' }",
        "token = { google_key = 'a', sub = 's' }",
    ];
    for (at, one) in all.iter().enumerate() {
        assert_eq!(id(one), id(one));
        for other in &all[at + 1..] {
            assert_ne!(id(one), id(other), "{one} {other}");
        }
    }
    // A secret in a query is not shown.
    let shown = format!("{:?}", id("token = { url = 'https://t.example?k=s3cret' }"));
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn two_sources_that_swap_their_keys_are_another_identity() {
    let workload = |_: &str| {
        let id = ProviderId::new("test", "https://workload.example", "w");
        Ok(Some((id, TokenRequest::new())))
    };
    let token = |toml: &str| {
        let config = config(&format!("token = {toml}")).finding_providers_with(workload);
        let token = ExternalToken::from_config(&config, "token");
        let problems = config.take_problems();
        assert!(problems.is_empty(), "{toml}: {problems:?}");
        token.unwrap()
    };
    let id = |subject: &str, actor: &str| {
        let id = ProviderId::new("test", "https://login.example", "");
        let id = token(subject).identify(id, "subject_token");
        token(actor).identify(id, "actor_token")
    };
    for (one, other) in [
        (
            "{ provider = 'workload', scope = 'user' }",
            "{ provider = 'workload', scope = 'service' }",
        ),
        (
            "{ url = 'https://t.example?a' }",
            "{ url = 'https://t.example?b' }",
        ),
        (
            "{ url = 'https://t.example', headers = { A = 'env:T' } }",
            "{ url = 'https://t.example', headers = { B = 'env:T' } }",
        ),
        (
            "{ url = 'https://t.example', headers = { A = 'env:T' } }",
            "{ url = 'https://t.example', body = 'env:T' }",
        ),
        (
            "{ sign = { key = { signer = ['a'], public = 'p' } } }",
            "{ sign = { key = { signer = ['b'], public = 'p' } } }",
        ),
        (
            "{ google_key = 'a', sub = 'one' }",
            "{ google_key = 'a', sub = 'other' }",
        ),
        ("{ github = { audience = 'a' } }", "{ github = {} }"),
    ] {
        assert_eq!(id(one, other), id(one, other));
        assert_ne!(id(one, other), id(other, one), "{one} {other}");
    }
}

#[test]
fn a_source_shows_no_secret() {
    let inline = ExternalToken::from(SecretRef::inline("s3cret"));
    assert!(!format!("{inline:?}").contains("s3cret"));
}
