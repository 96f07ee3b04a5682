//! Grants: assertions, exchanges and passwords.

use biped_config::{ConfigTable, Origin, Problem, ProviderConfig};
use biped_core::{
    ApiRequest, ApiRequestParts, AttachContext, Error, ErrorKind, ExposeSecret, Provider,
    SecretRef, Token, TokenRequest,
};
use biped_oauth2::{ExternalToken, OAuth2, kind};
use serde_json::{Value, json};
use std::{borrow::Cow, sync::Arc};
use url::Url;
use wiremock::Request;

use crate::{
    issuer::{AUDIENCE, Accepts, assertion},
    server::{Server, claims, field, granted, json_answer},
};

fn build(toml: &str) -> Result<(Arc<dyn Provider>, TokenRequest), Vec<Problem>> {
    let values = ConfigTable::from_toml("biped.toml".as_ref(), toml).unwrap();
    let values = values.into_values();
    let config = ProviderConfig::new("crm", "oauth2", Origin::Builder, values);
    Ok((kind().build(&config)?, kind().request(&config)))
}

async fn fetch(server: &Server, toml: &str) -> Result<Token, Error> {
    let endpoint = server.url("/token");
    let toml = format!("token_endpoint = '{endpoint}'\nassertion_audience = '{AUDIENCE}'\n{toml}");
    let (provider, request) = build(&toml).unwrap_or_else(|problems| panic!("{problems:?}"));
    provider.fetch(&request, &server.context()).await
}

fn form(request: &Request) -> Vec<(String, String)> {
    let pairs = url::form_urlencoded::parse(&request.body);
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    of.iter().map(own).collect()
}

const GRANT: &str = "urn:ietf:params:oauth:grant-type:";
const TYPE: &str = "urn:ietf:params:oauth:token-type:";

#[tokio::test]
async fn an_assertion_is_a_grant_and_nothing_else_is_sent() {
    let server = Server::new().await;
    let accepts = Accepts {
        field: "assertion",
        kind: Some(("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")),
        refusal: (400, "invalid_grant"),
        once: None,
    };
    accepts.on(&server).await;
    let given = assertion(&json!({}));
    let toml = format!("grant = 'jwt_bearer'\nassertion = '{given}'\nscope = 'b a'");
    fetch(&server, &toml).await.unwrap();
    let requests = server.requests().await;
    let grant = format!("{GRANT}jwt-bearer");
    let mut sent = form(&requests[0]);
    sent.sort();
    let expected = [
        ("assertion", &*given),
        ("grant_type", &grant),
        ("scope", "b a"),
    ];
    assert_eq!(sent, pairs(&expected));

    // One that is signed here, by a client that says who it is.
    let key = include_str!("../keys/p256.pkcs8.pem");
    let toml = format!(
        "grant = 'jwt_bearer'\nclient_id = 'client-7'\nclient_secret = 's'\n\
         assertion = {{ sign = {{ key = '''{key}''', iss = 'https://platform.example', \
         sub = 'system:serviceaccount:crm', lifetime = 180 }} }}"
    );
    fetch(&server, &toml).await.unwrap();
    let requests = server.requests().await;
    assert!(requests[1].headers.contains_key("authorization"));
    let jwt = field(&requests[1], "assertion").unwrap();
    let claims = claims(&jwt);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        180
    );
}

#[tokio::test]
async fn scopes_are_in_the_claims_of_a_google_key_and_else_in_the_form() {
    let server = Server::generous().await;
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("sa.json");
    let file = json!({
        "type": "service_account", "client_email": "a@b.example", "private_key_id": "7",
        "private_key": include_str!("../keys/rsa.pkcs8.pem"),
        "token_uri": server.url("/token").as_str(),
    });
    std::fs::write(&path, file.to_string()).unwrap();
    let path = path.display();
    let key = include_str!("../keys/p256.pkcs8.pem");
    for assertion in [
        format!("{{ google_key = 'file:{path}' }}"),
        format!("{{ sign = {{ key = '''{key}''', iss = 'a' }} }}"),
    ] {
        let toml = format!("grant = 'jwt_bearer'\nscope = 'b a'\nassertion = {assertion}");
        fetch(&server, &toml).await.unwrap();
    }
    let requests = server.requests().await;
    let claimed = |at: usize| claims(&field(&requests[at], "assertion").unwrap());
    assert_eq!(field(&requests[0], "scope"), None);
    assert_eq!(claimed(0)["scope"], "b a");
    assert_eq!(field(&requests[1], "scope").as_deref(), Some("b a"));
    assert_eq!(claimed(1).get("scope"), None);
    for (at, lifetime) in [(0, 3600), (1, 300)] {
        let [exp, iat] = ["exp", "iat"].map(|name| claimed(at)[name].as_i64().unwrap());
        assert_eq!(exp - iat, lifetime);
    }
}

#[tokio::test]
async fn a_refused_assertion_refuses_the_request_and_not_the_client() {
    let server = Server::new().await;
    for status in [400, 401] {
        let refusal = json_answer(status, &json!({ "error": "invalid_grant" }));
        server.answers_once("/token", refusal).await;
        let error = fetch(&server, "grant = 'jwt_bearer'\nassertion = 'a'")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(!error.refuses_client(), "{status}");
    }
}

#[tokio::test]
async fn an_exchange_has_every_parameter() {
    let server = Server::new().await;
    let answer = json!({
        "access_token": "t-1", "token_type": "Bearer", "issued_token_type": format!("{TYPE}jwt"),
        "refresh_token": "r",
    });
    server.answers("/token", json_answer(200, &answer)).await;
    let toml = "grant = 'token_exchange'\nsubject_token = 'subject'\nactor_token = 'actor'\n\
                actor_token_type = 'access_token'\nrequested_token_type = 'urn:acme:type'\n\
                audience = ['https://a', 'https://b']\nresource = 'https://r'\nscope = 's'\n\
                parameters = { x = '1' }";
    let token = fetch(&server, toml).await.unwrap();
    assert_eq!(
        token.extra("issued_token_type"),
        Some(&json!(format!("{TYPE}jwt")))
    );
    assert_eq!(token.extra("refresh_token"), None);
    let mut sent = form(&server.requests().await[0]);
    sent.sort();
    let [grant, access, jwt] = [
        format!("{GRANT}token-exchange"),
        format!("{TYPE}access_token"),
        format!("{TYPE}jwt"),
    ];
    let expected = [
        ("actor_token", "actor"),
        ("actor_token_type", &*access),
        ("audience", "https://a"),
        ("audience", "https://b"),
        ("grant_type", &*grant),
        ("requested_token_type", "urn:acme:type"),
        ("resource", "https://r"),
        ("scope", "s"),
        ("subject_token", "subject"),
        ("subject_token_type", &*jwt),
        ("x", "1"),
    ];
    assert_eq!(sent, pairs(&expected));
}

struct Call {
    method: http::Method,
    url: Url,
    headers: http::HeaderMap,
}

impl ApiRequestParts for Call {
    fn method(&self) -> &http::Method {
        &self.method
    }

    fn url(&self) -> Cow<'_, Url> {
        Cow::Borrowed(&self.url)
    }

    fn set_url(&mut self, url: Url) -> Result<(), Error> {
        self.url = url;
        Ok(())
    }

    fn headers_mut(&mut self) -> &mut http::HeaderMap {
        &mut self.headers
    }

    fn body(&self) -> Option<&[u8]> {
        None
    }
}

#[tokio::test]
async fn a_token_that_is_for_no_api_is_taken_only_where_a_type_was_asked_for() {
    let server = Server::new().await;
    let answer = json!({ "access_token": "t-1", "token_type": "N_A", "expires_in": 60 });
    server.answers("/token", json_answer(200, &answer)).await;
    let exchange = "grant = 'token_exchange'\nsubject_token = 'subject'";
    let error = fetch(&server, exchange).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);

    let typed = format!("{exchange}\nrequested_token_type = 'jwt'");
    let token = fetch(&server, &typed).await.unwrap();
    assert_eq!(token.expose_secret(), "t-1");
    let endpoint = server.url("/token");
    let (provider, request) = build(&format!("token_endpoint = '{endpoint}'\n{typed}")).unwrap();
    assert!(provider.accepts_stored(&token, &request));
    let mut call = Call {
        method: http::Method::GET,
        url: server.url("/api"),
        headers: http::HeaderMap::new(),
    };
    let cx = AttachContext::new(&biped_core::SystemClock, &[]);
    let error = provider
        .attach(&token, &mut ApiRequest::new(&mut call), &cx)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[test]
fn a_client_in_code_is_the_one_of_the_configuration() {
    let issuer = || OAuth2::discovered("https://login.example", SecretRef::inline("client-7"));
    let secret = |provider: OAuth2| provider.client_secret(SecretRef::env("CRM"));
    let file = |path: &str| ExternalToken::from(SecretRef::file(path));
    let api = "https://api.example/v2";
    let from = "issuer = 'https://login.example'";
    let client = "client_id = 'client-7'";
    let with_secret = "client_secret = 'env:CRM'";
    for (toml, provider) in [
        (
            format!(
                "{from}\n{client}\n{with_secret}\ngrant = 'refresh_token'\nrotates = false\n\
                 refresh_token = 'env:CRM_REFRESH'"
            ),
            secret(issuer()).fixed_refresh_token(SecretRef::env("CRM_REFRESH")),
        ),
        (
            format!(
                "{from}\n{client}\n{with_secret}\ngrant = 'refresh_token'\naccount = 'desk'\n\
                 refresh_token = 'env:CRM_SEED'"
            ),
            secret(issuer())
                .rotating_refresh_token(Some("desk".into()), Some(SecretRef::env("CRM_SEED"))),
        ),
        (
            format!("{from}\n{client}\n{with_secret}\ngrant = 'refresh_token'"),
            secret(issuer())
                .rotating_refresh_token(None, None)
                .named("crm"),
        ),
        (
            format!("{client}\nkey = 'file:/key'\napi = '{api}'\nresource = false"),
            OAuth2::discovered_by_api(api, SecretRef::inline("client-7"))
                .key(SecretRef::file("/key"))
                .without_resource(),
        ),
        (
            format!("{from}\ngrant = 'jwt_bearer'\nassertion = 'file:/jwt'"),
            issuer().jwt_bearer(file("/jwt")).without_client_id(),
        ),
        (
            format!("{from}\nclient_assertion = 'file:/svid'"),
            issuer().without_client_id().client_assertion(file("/svid")),
        ),
    ] {
        let (configured, _) = build(&toml).unwrap_or_else(|problems| panic!("{problems:?}"));
        let same = provider.named("crm");
        assert_eq!(configured.id(), same.id(), "{toml}");
        assert_eq!(
            format!("{:?}", configured.account()),
            format!("{:?}", same.account()),
            "{toml}"
        );
    }
}

#[tokio::test]
async fn a_password_is_sent_with_the_client() {
    let server = Server::new().await;
    server.answers("/token", granted("t-1")).await;
    let toml = "grant = 'password'\nclient_id = 'client-7'\nclient_secret = 's'\nusername = 'u'\n\
                password = 'p w'\nclient_authentication = 'client_secret_post'";
    fetch(&server, toml).await.unwrap();
    let mut sent = form(&server.requests().await[0]);
    sent.sort();
    let expected = [
        ("client_id", "client-7"),
        ("client_secret", "s"),
        ("grant_type", "password"),
        ("password", "p w"),
        ("username", "u"),
    ];
    assert_eq!(sent, pairs(&expected));
}

#[tokio::test]
async fn a_fixed_refresh_token_is_sent_at_each_fetch() {
    let server = Server::new().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("refresh");
    let endpoint = server.url("/token");
    let toml = format!(
        "token_endpoint = '{endpoint}'\ngrant = 'refresh_token'\nrotates = false\n\
         client_id = 'client-7'\nclient_secret = 's'\nrefresh_token = 'file:{}'\nscope = 'a'\n\
         client_authentication = 'client_secret_post'",
        file.display()
    );
    let (provider, request) = build(&toml).unwrap();
    let answer = |token: &str| {
        let answer = json!({ "access_token": "t", "refresh_token": token });
        json_answer(200, &answer)
    };
    let warning = || provider.warning(biped_core::Timestamp::from_unix_seconds(0));
    for (at, token) in ["r-1", "r-2"].into_iter().enumerate() {
        std::fs::write(&file, token).unwrap();
        server.answers_once("/token", answer(token)).await;
        let got = provider.fetch(&request, &server.context()).await.unwrap();
        assert_eq!(got.extra("refresh_token"), None);
        let mut sent = form(&server.requests().await[at]);
        sent.sort();
        let expected = [
            ("client_id", "client-7"),
            ("client_secret", "s"),
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("scope", "a"),
        ];
        assert_eq!(sent, pairs(&expected));
        assert_eq!(warning(), None);
    }

    // One that is replaced after all: the access token serves, and a warning says what to set.
    server.answers_once("/token", answer("r-3")).await;
    let cx = server.context();
    provider.fetch(&request, &cx).await.unwrap();
    assert!(warning().unwrap().contains("rotates = true"));
    let replacement = cx.take_replacement().unwrap();
    assert_eq!(replacement.expose_secret(), "r-3");

    let refusal = json_answer(400, &json!({ "error": "invalid_grant" }));
    server.answers_once("/token", refusal).await;
    let cx = server.context();
    let error = provider.fetch(&request, &cx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!error.refuses_client());
    assert!(cx.tries_next_secret(), "another of a list may be taken");
}

#[test]
fn keys_belong_to_their_grants() {
    let base = "token_endpoint = 'https://login.example/token'\n";
    for (toml, key) in [
        ("client_id = 'a'\nassertion = 'x'", "assertion"),
        ("client_id = 'a'\nsubject_token = 'x'", "subject_token"),
        ("client_id = 'a'\npassword = 'x'", "password"),
        ("grant = 'jwt_bearer'", "assertion"),
        ("grant = 'token_exchange'", "subject_token"),
        (
            "grant = 'password'\nclient_id = 'a'\npassword = 'x'",
            "username",
        ),
        (
            "grant = 'password'\nusername = 'a'\npassword = 'x'",
            "client_id",
        ),
        (
            "grant = 'jwt_bearer'\nassertion = 'x'\nclient_secret = 's'",
            "client_id",
        ),
        ("grant = 'refresh'\nclient_id = 'a'", "grant"),
        (
            "grant = 'refresh_token'\nclient_id = 'a'\nrotates = false",
            "refresh_token",
        ),
        ("client_id = 'a'\nrotates = false", "rotates"),
        (
            "grant = 'refresh_token'\nclient_id = 'a'\nrotates = false\nrefresh_token = 'x'\n\
             account = 'b'",
            "account",
        ),
        (
            "client_assertion = 'x'\nclient_id = 'a'\nclient_secret = 's'",
            "client_assertion",
        ),
        (
            "client_assertion = 'x'\nclient_id = 'a'\nkey = 's'",
            "client_assertion",
        ),
        (
            "client_id = 'a'\nclient_assertion_type = 'jwt'",
            "client_assertion_type",
        ),
        (
            "grant = 'token_exchange'\nsubject_token = 'x'\nactor_token_type = 'jwt'",
            "actor_token_type",
        ),
        (
            "grant = 'jwt_bearer'\nassertion = { sign = { key = 'k' } }",
            "assertion",
        ),
        (
            "client_assertion = { sign = { key = 'k', sub = 's' } }",
            "client_assertion",
        ),
        (
            "grant = 'token_exchange'\nsubject_token = { sign = { key = 'k' } }",
            "subject_token",
        ),
    ] {
        let Err(problems) = build(&format!("{base}{toml}")) else {
            panic!("{toml} is accepted");
        };
        assert_eq!(problems.len(), 1, "{toml}: {problems:?}");
        assert_eq!(problems[0].key, format!("providers.crm.{key}"), "{toml}");
    }
    for toml in [
        "client_assertion = 'x'",
        "client_assertion = { github = {} }\nclient_id = 'a'",
        "client_assertion = { sign = { key = 'k' } }\nclient_id = 'a'",
        "grant = 'jwt_bearer'\nassertion = { sign = { key = 'k', iss = 'a' } }",
        "grant = 'jwt_bearer'\nassertion = { sign = { key = 'k', claims = { iss = 'a' } } }",
        "client_assertion = 'x'\nclient_id = 'a'\nclient_secret = 's'\n\
         client_authentication = 'client_assertion'",
        "grant = 'jwt_bearer'\nassertion = { google_key = 'file:sa.json' }",
    ] {
        let built = build(&format!("{base}{toml}"));
        assert!(built.is_ok(), "{toml}: {:?}", built.unwrap_err());
    }
    let google = "grant = 'jwt_bearer'\nassertion = { google_key = 'file:sa.json' }";
    let (provider, _) = build(google).unwrap();
    assert_eq!(
        provider.id().token_endpoint(),
        "https://oauth2.googleapis.com/token"
    );
}

#[test]
fn a_key_file_for_another_endpoint_is_wrong_when_the_configuration_is_read() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("sa.json");
    let key_file = |kind: &str, uri: &str| {
        let uri = match uri {
            "" => String::new(),
            uri => format!(",\"token_uri\":\"{uri}\""),
        };
        std::fs::write(
            &path,
            format!("{{\"type\":\"{kind}\",\"private_key\":\"pl4nted\"{uri}}}"),
        )
        .unwrap();
    };
    let built = |further: &str, references: &str| {
        build(&format!(
            "{further}grant = 'jwt_bearer'\nassertion = {{ google_key = '{references}{}' }}",
            path.display()
        ))
        .map(drop)
    };
    let google = "https://oauth2.googleapis.com/token";
    let (other, endpoint) = (
        "https://login.example/token",
        "token_endpoint = 'https://login.example/token'\n",
    );
    for (kind, uri, further) in [
        ("service_account", other, ""),
        ("service_account", google, endpoint),
        ("external_account", "", ""),
        ("authorized_user", "", ""),
    ] {
        key_file(kind, uri);
        let problems = built(further, "file:").unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key, "providers.crm.assertion");
        assert!(!format!("{problems:?}").contains("pl4nted"));
        // A command is not run for it.
        assert!(
            build(&format!(
                "{further}grant = 'jwt_bearer'\nassertion = {{ google_key = {{ cmd = ['cat', '{}'] }} }}",
                path.display()
            ))
            .is_ok()
        );
    }
    for (uri, further) in [
        (google, ""),
        (other, endpoint),
        ("", ""),
        // The endpoint is not known before the issuer is asked.
        (other, "issuer = 'https://login.example'\n"),
    ] {
        key_file("service_account", uri);
        built(further, "file:").unwrap();
    }
    // A file that is not there yet, or not written yet, is no mistake of the configuration.
    std::fs::write(&path, "{").unwrap();
    built("", "file:").unwrap();
    std::fs::remove_file(&path).unwrap();
    built("", "file:").unwrap();
}

#[test]
fn what_is_presented_tells_clients_apart() {
    let all = [
        "client_assertion = 'x'",
        "client_assertion = 'y'",
        "client_assertion = 'x'\nclient_assertion_type = 'jwt-spiffe'",
        "client_assertion = 'x'\nclient_id = 'a'",
        "client_assertion = { github = {} }",
        "grant = 'jwt_bearer'\nassertion = 'x'",
        "grant = 'jwt_bearer'\nassertion = 'y'",
        "grant = 'token_exchange'\nsubject_token = 'x'",
        "grant = 'token_exchange'\nsubject_token = 'x'\nsubject_token_type = 'access_token'",
        "grant = 'token_exchange'\nsubject_token = 'x'\nactor_token = 'y'",
        "grant = 'token_exchange'\nsubject_token = 'y'\nactor_token = 'x'",
        "grant = 'token_exchange'\nsubject_token = 'x'\nrequested_token_type = 'jwt'",
        "grant = 'password'\nclient_id = 'a'\nusername = 'u'\npassword = 'x'",
        "grant = 'password'\nclient_id = 'a'\nusername = 'v'\npassword = 'x'",
        "grant = 'password'\nclient_id = 'a'\nusername = 'u'\npassword = 'y'",
        "grant = 'refresh_token'\nclient_id = 'a'\nrotates = false\nrefresh_token = 'x'",
        "grant = 'refresh_token'\nclient_id = 'a'\nrotates = false\nrefresh_token = 'y'",
        "grant = 'refresh_token'\nclient_id = 'a'\nrefresh_token = 'x'",
        "grant = 'refresh_token'\nclient_id = 'a'\naccount = 'other'",
    ];
    let id = |toml: &str| {
        let base = "token_endpoint = 'https://login.example/token'\n";
        let (provider, _) = build(&format!("{base}{toml}")).unwrap();
        provider.id().clone()
    };
    for (at, one) in all.iter().enumerate() {
        assert_eq!(id(one), id(one));
        for other in &all[at + 1..] {
            assert_ne!(id(one), id(other), "{one} / {other}");
        }
    }
    let shown = Value::from(format!("{:?}", id("client_assertion = 's3cret'"))).to_string();
    assert!(!shown.contains("s3cret"));
}
