//! A standard authorization server in a configuration file.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use biped_config::{ConfigValue, FieldType, Origin, Problem, ProviderConfig, Value};
use biped_core::{ParamValue, Provider, TokenRequest};
use biped_oauth2::kind;
use serde_json::Value as Json;

use crate::server::{Server, claims, field, header};

fn value(raw: Value) -> ConfigValue {
    let origin = Origin::File {
        path: Arc::from(Path::new("biped.toml")),
        line: 2,
        column: 0,
    };
    ConfigValue { raw, origin }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn config(keys: &[(&str, Value)]) -> ProviderConfig {
    let values: BTreeMap<_, _> = keys
        .iter()
        .map(|(key, raw)| ((*key).to_owned(), value(raw.clone())))
        .collect();
    ProviderConfig::new("crm", "oauth2", Origin::Builder, values)
}

/// With `client_id`, and the token endpoint unless an issuer is given.
fn build(keys: &[(&str, Value)]) -> Result<Arc<dyn Provider>, Vec<Problem>> {
    let mut all = vec![("client_id", text("client-7"))];
    if !keys.iter().any(|(key, _)| *key == "issuer") {
        all.push(("token_endpoint", text("https://login.example/token")));
    }
    all.extend_from_slice(keys);
    kind().build(&config(&all))
}

fn problem(keys: &[(&str, Value)]) -> String {
    let problems = build(keys).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0]
        .key
        .strip_prefix("providers.crm.")
        .unwrap()
        .to_owned()
}

#[test]
fn an_issuer_or_a_token_endpoint_is_enough() {
    let provider = build(&[("client_secret", text("env:CRM"))]).unwrap();
    assert_eq!(provider.id().name(), "crm");
    assert_eq!(provider.id().kind(), "oauth2");
    assert_eq!(provider.id().client(), "client-7");
    assert_eq!(
        provider.id().token_endpoint(),
        "https://login.example/token"
    );
    let provider = build(&[("issuer", text("https://login.example"))]).unwrap();
    assert_eq!(provider.id().token_endpoint(), "https://login.example");
    let neither = kind().build(&config(&[("client_id", text("client-7"))]));
    assert_eq!(neither.unwrap_err()[0].key, "providers.crm.issuer");
    // One that can't be used is not missing.
    for wrong in ["http://login.example/token", "login.example", ""] {
        let set = ("token_endpoint", text(wrong));
        let problems = kind().build(&config(&[("client_id", text("client-7")), set]));
        let keys: Vec<_> = problems.unwrap_err().into_iter().map(|it| it.key).collect();
        assert_eq!(keys, ["providers.crm.token_endpoint"], "{wrong}");
    }
}

#[test]
fn the_request_has_scope_resource_and_audience() {
    let resources = [
        value(text("https://a.example")),
        value(text("https://b.example")),
    ];
    let config = config(&[
        ("scope", text("write read")),
        ("resource", Value::List(resources.into())),
        ("audience", text("crm")),
    ]);
    let expected = TokenRequest::new()
        .scope("read write")
        .param("audience", vec!["crm".to_owned()])
        .param(
            "resource",
            vec![
                "https://a.example".to_owned(),
                "https://b.example".to_owned(),
            ],
        );
    assert_eq!(kind().request(&config), expected);
    let further = kind().param("tier", "gold").unwrap();
    assert_eq!(further, ParamValue::from("gold"));
}

#[test]
fn a_method_needs_what_it_is_made_of() {
    let method = |name: &str| ("client_authentication", text(name));
    assert_eq!(problem(&[method("client_secret_basic")]), "client_secret");
    assert_eq!(problem(&[method("client_secret_post")]), "client_secret");
    assert_eq!(problem(&[method("client_secret_jwt")]), "client_secret");
    assert_eq!(problem(&[method("private_key_jwt")]), "key");
    assert_eq!(problem(&[method("tls_client_auth")]), "certificate");
    assert_eq!(
        problem(&[method("self_signed_tls_client_auth")]),
        "certificate"
    );
    assert_eq!(problem(&[method("basic")]), "client_authentication");
    assert_eq!(
        problem(&[("certificate", text("file:c.pem"))]),
        "certificate_key"
    );
    assert_eq!(
        problem(&[("certificate_key", text("file:c.pem"))]),
        "certificate"
    );
    assert!(build(&[method("none")]).is_ok());
}

#[tokio::test]
async fn every_method_is_used_that_is_chosen_by_name() {
    let kind = kind();
    let choice = kind
        .fields()
        .find(|field| field.name() == "client_authentication");
    let FieldType::Choice(names) = choice.unwrap().ty() else {
        panic!("client_authentication is no choice");
    };
    assert_eq!(names.len(), 8);
    for name in names {
        let server = Server::generous().await;
        let provider = kind.build(&config(&[
            ("token_endpoint", text(server.url("/token").as_str())),
            ("client_id", text("client-7")),
            ("client_authentication", text(name)),
            ("client_secret", text("a secret")),
            // Its header says {"alg":"given"}.
            ("client_assertion", text("eyJhbGciOiJnaXZlbiJ9.e30.c2ln")),
            ("key", text(include_str!("../keys/p256.pkcs8.pem"))),
            ("certificate", text("a certificate")),
            ("certificate_key", text("its key")),
        ]));
        let request = TokenRequest::new();
        let fetched = provider.unwrap().fetch(&request, &server.context()).await;
        fetched.unwrap();
        let requests = server.requests().await;
        let alg = field(&requests[0], "client_assertion").map(|jwt| header(&jwt)["alg"].clone());
        let proof = (
            requests[0].headers.contains_key("authorization"),
            field(&requests[0], "client_secret").is_some(),
            alg.as_ref().and_then(Json::as_str),
        );
        let expected = match *name {
            "client_secret_basic" => (true, false, None),
            "client_secret_post" => (false, true, None),
            "client_secret_jwt" => (false, false, Some("HS256")),
            "private_key_jwt" => (false, false, Some("ES256")),
            "client_assertion" => (false, false, Some("given")),
            _ => (false, false, None),
        };
        assert_eq!(proof, expected, "{name}");
    }
}

#[test]
fn a_certificate_is_presented_or_named_as_what_stands_beside_it_says() {
    let certificate = ("certificate", text("file:c.pem"));
    let certificate_key = ("certificate_key", text("file:c.key.pem"));
    let key = ("key", text("file:k.pem"));
    let named = |name: &str| ("certificate_header", text(name));
    let presents = |keys: &[(&str, Value)]| build(keys).unwrap().client_identity().is_some();
    assert!(!presents(&[certificate.clone(), key.clone()]));
    assert!(!presents(&[certificate.clone(), key.clone(), named("x5t")]));
    assert!(presents(&[
        certificate.clone(),
        certificate_key.clone(),
        key.clone()
    ]));
    let all = [
        certificate.clone(),
        certificate_key.clone(),
        key.clone(),
        named("x5c"),
    ];
    assert!(presents(&all));
    for (keys, expected) in [
        (
            vec![certificate.clone(), key.clone(), named("x5u")],
            "certificate_header",
        ),
        (
            vec![certificate.clone(), certificate_key, named("x5t")],
            "certificate_header",
        ),
        (vec![key.clone(), named("x5t")], "certificate"),
        (vec![("key_password", text("env:P"))], "key_password"),
        (
            vec![
                certificate.clone(),
                key.clone(),
                ("client_authentication", text("jwt")),
            ],
            "client_authentication",
        ),
        (
            vec![
                certificate,
                key,
                ("client_authentication", text("tls_client_auth")),
            ],
            "certificate_key",
        ),
    ] {
        assert_eq!(problem(&keys), expected);
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let problems = build(&[
        ("client_authentication", text("private_key_jwt")),
        ("certificate_key", text("file:c.pem")),
        ("dpop", Value::Bool(false)),
        ("dpop_key", text("file:k.pem")),
    ])
    .unwrap_err();
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    for key in ["key", "certificate", "dpop_key"] {
        assert!(
            keys.contains(&format!("providers.crm.{key}").as_str()),
            "{keys:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_beside_an_encrypted_key_is_named_by_its_thumbprint() {
    let server = Server::generous().await;
    let provider = |headers: Option<Value>| {
        let mut keys = vec![
            ("token_endpoint", text(server.url("/token").as_str())),
            ("client_id", text("client-7")),
            ("key", text(include_str!("../keys/p256.encrypted.pem"))),
            ("key_password", text("secret")),
            (
                "certificate",
                text(include_str!("../keys/p256.certificate.pem")),
            ),
        ];
        keys.extend(headers.map(|headers| ("certificate_header", headers)));
        kind().build(&config(&keys)).unwrap()
    };
    let both = Value::List(vec![value(text("x5t")), value(text("x5c"))]);
    for (headers, expected) in [(None, vec!["x5t#S256"]), (Some(both), vec!["x5c", "x5t"])] {
        let request = TokenRequest::new();
        provider(headers)
            .fetch(&request, &server.context())
            .await
            .unwrap();
        let requests = server.requests().await;
        let jwt = field(requests.last().unwrap(), "client_assertion").unwrap();
        let said = header(&jwt);
        let names: Vec<_> = said
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| name.starts_with('x'))
            .collect();
        assert_eq!(names, expected);
    }
}

#[test]
fn what_cannot_be_meant_is_a_problem() {
    assert_eq!(
        problem(&[("issuer", text("http://login.example"))]),
        "issuer"
    );
    assert_eq!(
        problem(&[("issuer", text("https://login.example/?a=b"))]),
        "issuer"
    );
    assert_eq!(problem(&[("alg", text("RS1"))]), "alg");
    assert_eq!(
        problem(&[("basic_encoding", text("plain"))]),
        "basic_encoding"
    );
    assert_eq!(problem(&[("grant_type", text("password"))]), "grant_type");
    let key = ("dpop_key", text("file:k.pem"));
    assert_eq!(problem(&[("dpop", Value::Bool(false)), key]), "dpop_key");
    let reserved = BTreeMap::from([("grant_type".to_owned(), value(text("password")))]);
    assert_eq!(
        problem(&[("parameters", Value::Table(reserved))]),
        "parameters"
    );
}

#[tokio::test]
async fn every_key_reaches_the_wire() {
    let server = Server::generous().await;
    let parameters = BTreeMap::from([("tier".to_owned(), value(text("gold")))]);
    let provider = kind()
        .build(&config(&[
            ("token_endpoint", text(server.url("/token").as_str())),
            ("client_id", text("client-7")),
            ("client_authentication", text("private_key_jwt")),
            ("key", text(include_str!("../keys/rsa.pkcs1.pem"))),
            ("alg", text("PS384")),
            ("kid", text("k-1")),
            ("assertion_audience", text("https://aud.example")),
            ("parameters", Value::Table(parameters)),
        ]))
        .unwrap();
    let request = TokenRequest::new().scope("read");
    provider.fetch(&request, &server.context()).await.unwrap();
    let requests = server.requests().await;
    assert_eq!(field(&requests[0], "tier").as_deref(), Some("gold"));
    let jwt = field(&requests[0], "client_assertion").unwrap();
    assert_eq!(header(&jwt)["alg"], "PS384");
    assert_eq!(header(&jwt)["kid"], "k-1");
    assert_eq!(claims(&jwt)["aud"], "https://aud.example");
}

#[test]
fn an_api_replaces_base_url_and_resource() {
    let all = [
        ("api", text("https://api.crm.example/v2")),
        ("issuer", text("https://login.crm.example")),
        ("client_secret", text("env:CRM")),
    ];
    let table = config(&[&all[..], &[("client_id", text("client-7"))]].concat());
    let provider = kind().build(&table).unwrap();
    let base_url = kind().api_base_url(&table).unwrap();
    assert_eq!(base_url.as_str(), "https://api.crm.example/v2");
    let unnamed = build(&[&all[..], &[("resource", Value::Bool(false))]].concat()).unwrap();
    assert_ne!(provider.id(), unnamed.id());
    assert_ne!(provider.id(), build(&all[1..]).unwrap().id());

    let with =
        |key: &'static str, value: &str| problem(&[&all[..], &[(key, text(value))]].concat());
    assert_eq!(
        with("api_base_url", "https://api.crm.example/v2"),
        "api_base_url"
    );
    assert_eq!(
        with("resource_metadata", "https://other.example/about"),
        "resource_metadata"
    );
    let query = ("api", text("https://api.crm.example/v2?x"));
    assert_eq!(problem(&[&all[1..], &[query]].concat()), "api");
    let alone = ("resource_metadata", text("https://api.crm.example/about"));
    assert_eq!(
        problem(&[&all[1..], &[alone]].concat()),
        "resource_metadata"
    );
}

#[test]
fn an_api_may_choose_the_issuer_only_for_what_is_of_use_to_nobody_else() {
    let build = |keys: &[(&str, Value)]| {
        let mut all = vec![
            ("client_id", text("client-7")),
            ("api", text("https://api.crm.example/v2")),
        ];
        all.extend_from_slice(keys);
        let built = kind().build(&config(&all));
        built.map(drop).map_err(|problems| problems[0].key.clone())
    };
    let key = ("key", text("file:key.pem"));
    let grant = |grant: &str| ("grant", text(grant));
    assert!(build(std::slice::from_ref(&key)).is_ok());
    assert!(build(&[key.clone(), ("assertion_audience", text("issuer"))]).is_ok());
    let certificate = ("certificate", text("file:crm.pem"));
    assert!(build(&[certificate, ("certificate_key", text("file:key.pem"))]).is_ok());
    for refused in [
        vec![],
        vec![("client_secret", text("env:CRM"))],
        vec![key.clone(), ("client_secret", text("env:CRM"))],
        vec![("client_assertion", text("file:token"))],
        vec![key.clone(), ("assertion_audience", text("token_endpoint"))],
        vec![
            key.clone(),
            grant("jwt_bearer"),
            ("assertion", text("file:token")),
        ],
        vec![
            key.clone(),
            grant("token_exchange"),
            ("subject_token", text("file:token")),
        ],
        vec![
            key.clone(),
            grant("password"),
            ("username", text("u")),
            ("password", text("env:P")),
        ],
        vec![
            key.clone(),
            ("token_endpoint", text("https://login.example/token")),
        ],
    ] {
        let problem = build(&refused).unwrap_err();
        assert_eq!(problem, "providers.crm.issuer", "{refused:?}");
    }
}
