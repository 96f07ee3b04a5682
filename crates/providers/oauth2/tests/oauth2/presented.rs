//! Client assertions that another party makes.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use biped_core::{Clock, ErrorKind, ExposeSecret, Provider, SecretRef, SystemClock, TokenRequest};
use biped_engine::TokenManager;
use biped_oauth2::{ClientAuthentication, ExternalToken, OAuth2};
use biped_testing::ManualClock;
use serde_json::json;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::{
    issuer::{AUDIENCE, Accepts, assertion},
    server::{CLIENT, Server, field, header},
};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// A file that a kubelet replaces.
pub(crate) struct Projected {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Projected {
    pub(crate) fn new(content: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let file = Self {
            _directory: directory,
            path,
        };
        file.replace(content);
        file
    }

    /// At once: by another file under its name.
    pub(crate) fn replace(&self, content: &str) {
        let other = self.path.with_extension("new");
        fs::write(&other, content).unwrap();
        fs::rename(other, &self.path).unwrap();
    }

    /// As a configuration names it.
    pub(crate) fn reference(&self) -> String {
        format!("file:{}", self.path.display())
    }

    fn token(&self) -> ExternalToken {
        SecretRef::file(&self.path).into()
    }
}

fn client(server: &Server, token: ExternalToken) -> OAuth2 {
    server.client().client_assertion(token)
}

#[tokio::test]
async fn an_assertion_of_another_party_is_sent_with_its_type() {
    let server = Server::new().await;
    Accepts::client_assertions().on(&server).await;
    let file = Projected::new(&assertion(&json!({})));
    server.fetch(&client(&server, file.token())).await.unwrap();
    let spiffe = ClientAuthentication::client_assertion_of_type(file.token(), "jwt-spiffe");
    let spiffe = server.client().client_authentication(spiffe);
    server.fetch(&spiffe).await.unwrap();
    let own = ClientAuthentication::client_assertion_of_type(file.token(), "urn:acme:assertion");
    let own = server
        .client()
        .client_authentication(own)
        .without_client_id();
    server.fetch(&own).await.unwrap();
    let requests = server.requests().await;
    let sent: Vec<_> = requests
        .iter()
        .map(|it| {
            (
                field(it, "client_assertion_type").unwrap(),
                field(it, "client_id"),
            )
        })
        .collect();
    let client = Some(CLIENT.to_owned());
    assert_eq!(
        sent,
        [
            (JWT_BEARER.into(), client.clone()),
            (JWT_SPIFFE.into(), client),
            ("urn:acme:assertion".into(), None),
        ]
    );
    assert!(
        requests
            .iter()
            .all(|it| !it.headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn an_assertion_for_another_audience_is_refused_as_the_client() {
    let server = Server::new().await;
    Accepts::client_assertions().on(&server).await;
    let file = Projected::new(&assertion(&json!({ "aud": "https://other" })));
    let error = server
        .fetch(&client(&server, file.token()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.refuses_client());
    assert_eq!(error.token_source(), None);
}

#[tokio::test]
async fn of_a_list_the_next_assertion_is_tried() {
    let server = Server::new().await;
    Accepts::client_assertions().on(&server).await;
    let wrong = SecretRef::inline(assertion(&json!({ "sub": "another" })));
    let right = Projected::new(&assertion(&json!({})));
    let list = wrong.or(&SecretRef::file(&right.path));
    let manager =
        TokenManager::builder(Arc::new(biped_reqwest::TokenClient::new().unwrap())).build();
    let provider = Arc::new(client(&server, list.into()));
    let source = manager.source(provider, TokenRequest::new());
    source.token().await.unwrap();
    assert_eq!(server.requests().await.len(), 2);
}

#[tokio::test]
async fn a_file_that_is_replaced_under_many_callers_is_never_stale() {
    let server = Server::new().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let accepts = Accepts {
        once: Some(seen.clone()),
        ..Accepts::client_assertions()
    };
    accepts.on(&server).await;
    let file = Projected::new("not there yet");
    let http = Arc::new(biped_reqwest::TokenClient::new().unwrap());
    let provider: Arc<dyn Provider> = Arc::new(client(&server, file.token()));
    let mut current = BTreeSet::new();
    for round in 0..50 {
        let token = assertion(&json!({}));
        file.replace(&token);
        current.insert(token.clone());
        let manager = TokenManager::builder(http.clone()).build();
        let callers: Vec<_> = (0..64)
            .map(|_| {
                let source = manager.source(provider.clone(), TokenRequest::new());
                tokio::spawn(async move { source.token().await.map(drop) })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        // All callers shared one fetch, with the assertion of this round.
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), round + 1);
        assert_eq!(seen.last(), Some(&token));
    }
    assert_eq!(current.len(), 50);
}

#[tokio::test]
async fn an_expired_file_sends_nothing_and_the_token_in_use_stays() {
    let server = Server::new().await;
    Accepts::client_assertions().on(&server).await;
    let file = Projected::new(&assertion(&json!({})));
    let http = Arc::new(biped_reqwest::TokenClient::new().unwrap());
    let clock = Arc::new(ManualClock::at(Clock::now(&SystemClock).wall));
    let manager = TokenManager::builder(http).clock(clock.clone()).build();
    let provider = Arc::new(client(&server, file.token()));
    let source = manager.source(provider, TokenRequest::new());
    source.token().await.unwrap();
    // The token is due for a refresh, and serves on meanwhile.
    clock.advance(Duration::from_secs(3300));
    file.replace(&assertion(&json!({ "exp": crate::server::now() - 90 })));
    assert_eq!(source.token().await.unwrap().expose_secret(), "t-1");
    manager.drain().await;
    let error = source.status().last_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(
        error.token_source().unwrap().starts_with("file:"),
        "{error}"
    );
    assert_eq!(server.requests().await.len(), 1);
    assert_eq!(source.token().await.unwrap().expose_secret(), "t-1");
}

#[tokio::test]
async fn an_assertion_that_is_taken_once_does_not_stop_the_client() {
    let server = Server::new().await;
    let accepts = Accepts {
        once: Some(Arc::default()),
        ..Accepts::client_assertions()
    };
    accepts.on(&server).await;
    let file = Projected::new(&assertion(&json!({})));
    let provider = client(&server, file.token());
    server.fetch(&provider).await.unwrap();
    let again = server.fetch(&provider).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Refused);
    assert!(!again.refuses_client());
    assert!(
        again.to_string().contains("takes each assertion once"),
        "{again}"
    );
    // This text is not sent again.
    let waits = server.fetch(&provider).await.unwrap_err();
    assert_eq!(
        (waits.kind(), waits.is_transient()),
        (ErrorKind::Secret, true)
    );
    assert_eq!(server.requests().await.len(), 2);
    file.replace(&assertion(&json!({})));
    server.fetch(&provider).await.unwrap();
}

#[tokio::test]
async fn revocation_and_introspection_carry_it_too() {
    let server = Server::new().await;
    Accepts::client_assertions().on(&server).await;
    let file = Projected::new(&assertion(&json!({})));
    let provider = client(&server, file.token())
        .without_client_id()
        .revocation_endpoint(server.url("/revoke"))
        .introspection_endpoint(server.url("/introspect"));
    let token = server.fetch(&provider).await.unwrap();
    provider.revoke(&token, &server.context()).await.unwrap();
    let _ = provider
        .inspect(&TokenRequest::new(), &server.context())
        .await;
    let requests = server.requests().await;
    assert_eq!(requests.len(), 4);
    for request in requests {
        assert_eq!(
            field(&request, "client_assertion_type").as_deref(),
            Some(JWT_BEARER)
        );
        assert_eq!(field(&request, "client_id"), None);
    }
}

#[tokio::test]
async fn what_we_sign_says_that_it_is_a_client_authentication() {
    let server = Server::generous().await;
    let key = || SecretRef::inline(include_str!("../keys/p256.pkcs8.pem"));
    let certificate = SecretRef::inline(include_str!("../keys/p256.certificate.pem"));
    let by_certificate = server
        .client()
        .key(key())
        .assertion_certificate(certificate, [biped_oauth2::CertificateHeader::X5t]);
    for (provider, expected) in [
        (server.client().key(key()), "client-authentication+jwt"),
        (by_certificate, "JWT"),
        (server.client().key(key()).assertion_typ("own"), "own"),
    ] {
        server.fetch(&provider).await.unwrap();
        let jwt = field(server.requests().await.last().unwrap(), "client_assertion").unwrap();
        assert_eq!(header(&jwt)["typ"], expected);
    }
}

/// The provider whose client assertion this TOML describes.
fn configured(server: &Server, assertion: &str) -> Arc<dyn Provider> {
    let toml = format!(
        "token_endpoint = '{}'\nassertion_audience = '{AUDIENCE}'\nclient_assertion = {assertion}",
        server.url("/token")
    );
    let values = biped_config::ConfigTable::from_toml("biped.toml".as_ref(), &toml).unwrap();
    let origin = biped_config::Origin::Builder;
    let config = biped_config::ProviderConfig::new("crm", "oauth2", origin, values.into_values());
    biped_oauth2::kind().build(&config).unwrap()
}

#[tokio::test]
async fn what_a_platform_says_is_believed_by_a_server_that_verifies_it() {
    let server = Server::new().await;
    Accepts::client_assertions().on(&server).await;
    for (source, answer) in [
        (
            "{ gcp = { endpoint = 'URL' } }",
            ResponseTemplate::new(200)
                .insert_header("Metadata-Flavor", "Google")
                .set_body_string(assertion(&json!({}))),
        ),
        (
            "{ azure = { endpoint = 'URL' } }",
            ResponseTemplate::new(200)
                .set_body_json(json!({ "access_token": assertion(&json!({})), "expires_in": 60 })),
        ),
        (
            "{ url = 'URL', at = '/t' }",
            ResponseTemplate::new(200).set_body_json(json!({ "t": assertion(&json!({})) })),
        ),
    ] {
        let platform = MockServer::start().await;
        Mock::given(any())
            .respond_with(answer)
            .mount(&platform)
            .await;
        let provider = configured(&server, &source.replace("URL", &platform.uri()));
        let request = TokenRequest::new();
        let fetched = provider.fetch(&request, &server.context()).await;
        assert_eq!(fetched.unwrap().expose_secret(), "t-1", "{source}");
        // Once a fetch.
        assert_eq!(platform.received_requests().await.unwrap().len(), 1);
        provider.fetch(&request, &server.context()).await.unwrap();
        assert_eq!(platform.received_requests().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_failing_platform_stops_no_other_client() {
    let server = Server::new().await;
    Accepts::client_assertions().on(&server).await;
    let platform = MockServer::start().await;
    let down = ResponseTemplate::new(503).insert_header("Retry-After", "600");
    Mock::given(any()).respond_with(down).mount(&platform).await;
    let http = Arc::new(biped_reqwest::TokenClient::new().unwrap());
    let clock = Arc::new(ManualClock::at(Clock::now(&SystemClock).wall));
    let manager = TokenManager::builder(http).clock(clock).build();
    let source = format!("{{ url = '{}' }}", platform.uri());
    let failing = manager.source(configured(&server, &source), TokenRequest::new());
    let error = failing.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.token_source(), Some(&*format!("{}/", platform.uri())));
    // The issuer is the same, and is not the one that asked for a pause.
    let file = Projected::new(&assertion(&json!({})));
    let other = manager.source(Arc::new(client(&server, file.token())), TokenRequest::new());
    other.token().await.unwrap();
    assert_eq!(server.requests().await.len(), 1);
}

#[tokio::test]
async fn an_assertion_follows_no_redirect() {
    for status in [301, 302, 303, 307, 308] {
        let (server, stranger) = (Server::new().await, MockServer::start().await);
        let away = ResponseTemplate::new(status).insert_header("Location", stranger.uri());
        Mock::given(any())
            .respond_with(away)
            .mount(&server.mock)
            .await;
        let file = Projected::new(&assertion(&json!({})));
        let provider = client(&server, file.token());
        let fetched = provider
            .fetch(&TokenRequest::new(), &server.context())
            .await;
        assert!(fetched.is_err(), "{status}");
        assert_eq!(server.requests().await.len(), 1, "{status}");
        assert!(stranger.received_requests().await.unwrap().is_empty());
    }
}
