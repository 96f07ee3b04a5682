//! A provider that knows only the API's URL.

use std::time::Duration;

use biped_core::{
    ApiResponse, Error, ErrorKind, FetchContext, PlainHttp, Provider as _, SecretRef, TokenRequest,
};
use biped_oauth2::{METADATA_LIFETIME, OAuth2, describe_api};
use biped_testing::{ManualClock, Reply, ScriptedHttp};
use http::{HeaderMap, HeaderValue, StatusCode, header::WWW_AUTHENTICATE};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::server::{CLIENT, Server, claims, field, json_answer};

pub(crate) const KEY: &str = include_str!("../keys/rsa.pkcs8.pem");
pub(crate) const RFC8414: &str = "/.well-known/oauth-authorization-server/login";
pub(crate) const OF_PATH: &str = "/.well-known/oauth-protected-resource/v2/crm";
pub(crate) const OF_ORIGIN: &str = "/.well-known/oauth-protected-resource";

/// A server that is an API at `/v2/crm` and an issuer at `/login`.
async fn both() -> Server {
    let server = Server::generous().await;
    server
        .serves(RFC8414, json_answer(200, &of_issuer(&server)))
        .await;
    server
}

pub(crate) fn api(server: &Server) -> String {
    server.url("/v2/crm").into()
}

pub(crate) fn issuer(server: &Server) -> String {
    server.url("/login").into()
}

pub(crate) fn of_issuer(server: &Server) -> Value {
    json!({ "issuer": issuer(server), "token_endpoint": server.url("/token").as_str() })
}

pub(crate) fn of_api(server: &Server) -> Value {
    json!({
        "resource": api(server),
        "authorization_servers": [issuer(server)],
        "scopes_supported": ["read", "write", "no scope"],
    })
}

pub(crate) fn with_secret(server: &Server) -> OAuth2 {
    OAuth2::discovered(issuer(server), SecretRef::inline(CLIENT))
        .client_secret(SecretRef::inline("a secret"))
        .api(api(server))
}

pub(crate) fn with_key(server: &Server) -> OAuth2 {
    OAuth2::discovered_by_api(api(server), SecretRef::inline(CLIENT)).key(SecretRef::inline(KEY))
}

pub(crate) fn challenge(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(401).insert_header("WWW-Authenticate", text)
}

pub(crate) async fn paths(server: &Server) -> Vec<String> {
    let requests = server.requests().await;
    let paths = requests.iter().map(|request| request.url.path().to_owned());
    paths.collect()
}

async fn last_field(server: &Server, name: &str) -> Option<String> {
    field(server.requests().await.last().unwrap(), name)
}

#[tokio::test]
async fn the_apis_metadata_names_resource_and_scopes() {
    let server = both().await;
    server
        .serves(OF_PATH, json_answer(200, &of_api(&server)))
        .await;
    let token = server.fetch(&with_secret(&server)).await.unwrap();
    assert_eq!(token.scope(), Some("read write"), "the response is silent");
    assert_eq!(paths(&server).await, [OF_PATH, RFC8414, "/token"]);
    assert_eq!(last_field(&server, "resource").await, Some(api(&server)));
    assert_eq!(
        last_field(&server, "scope").await.as_deref(),
        Some("read write")
    );
    for request in &server.requests().await[..2] {
        assert!(!request.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn a_challenge_says_where_the_metadata_is_and_which_scopes_to_request() {
    for scheme in ["Bearer", "dpop"] {
        let server = both().await;
        let at = server.url("/about");
        let text = format!(
            "Basic realm=\"x\", {scheme} resource_metadata=\"{at}\", scope=\"contacts.read\""
        );
        server.serves("/v2/crm", challenge(&text)).await;
        server
            .serves("/about", json_answer(200, &of_api(&server)))
            .await;
        server.fetch(&with_secret(&server)).await.unwrap();
        assert_eq!(
            paths(&server).await,
            [OF_PATH, "/v2/crm", "/about", RFC8414, "/token"]
        );
        assert_eq!(
            last_field(&server, "scope").await.as_deref(),
            Some("contacts.read")
        );
    }
}

#[tokio::test]
async fn a_challenge_of_another_scheme_says_nothing() {
    let server = both().await;
    let text = format!("Basic resource_metadata=\"{}\"", server.url("/about"));
    server.serves("/v2/crm", challenge(&text)).await;
    let mut document = of_api(&server);
    document["resource"] = server.mock.uri().into();
    server.serves(OF_ORIGIN, json_answer(200, &document)).await;
    server.fetch(&with_secret(&server)).await.unwrap();
    assert_eq!(
        paths(&server).await,
        [OF_PATH, "/v2/crm", OF_ORIGIN, RFC8414, "/token"]
    );
    assert_eq!(
        last_field(&server, "resource").await,
        Some(server.mock.uri())
    );
}

#[tokio::test]
async fn without_metadata_the_configured_issuer_is_asked_for_the_apis_url() {
    let mut unlisted = json!({});
    for absent in [None, Some(&mut unlisted)] {
        let server = both().await;
        if let Some(document) = absent {
            document["resource"] = api(&server).into();
            server.serves(OF_PATH, json_answer(200, document)).await;
        }
        let provider = with_secret(&server);
        server.fetch(&provider).await.unwrap();
        assert_eq!(last_field(&server, "resource").await, Some(api(&server)));
        assert_eq!(last_field(&server, "scope").await, None);
        let cx = server.context();
        let proof = provider.proof(&TokenRequest::new(), &cx).await.unwrap();
        assert!(proof.warnings[0].contains("RFC 9728"));

        let error = server.fetch(&with_key(&server)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
}

#[tokio::test]
async fn what_is_configured_wins_over_what_the_api_says() {
    let server = both().await;
    server
        .serves("/about", json_answer(200, &of_api(&server)))
        .await;
    let provider = with_secret(&server).resource_metadata(server.url("/about"));
    let request = TokenRequest::new().scope("admin");
    server.fetch_for(&provider, &request).await.unwrap();
    assert_eq!(last_field(&server, "scope").await.as_deref(), Some("admin"));
    assert_eq!(paths(&server).await, ["/about", RFC8414, "/token"]);

    server.fetch(&provider.without_resource()).await.unwrap();
    assert_eq!(last_field(&server, "resource").await, None);
}

#[tokio::test]
async fn a_key_may_go_where_the_api_says_since_its_proof_is_of_use_to_nobody_else() {
    let server = both().await;
    server
        .serves(OF_PATH, json_answer(200, &of_api(&server)))
        .await;
    let provider = with_key(&server);
    server.fetch(&provider).await.unwrap();
    let assertion = last_field(&server, "client_assertion").await.unwrap();
    assert_eq!(claims(&assertion)["aud"], issuer(&server));
    let cx = server.context();
    let proof = provider.proof(&TokenRequest::new(), &cx).await.unwrap();
    assert_eq!(proof.audience, [issuer(&server)]);
    let pin = format!("issuer = \"{}\"", issuer(&server));
    assert!(proof.warnings[0].contains(&pin), "{:?}", proof.warnings);
}

#[tokio::test]
async fn no_other_credential_goes_to_an_issuer_that_only_the_api_names() {
    let server = both().await;
    server
        .serves(OF_PATH, json_answer(200, &of_api(&server)))
        .await;
    let inline = SecretRef::inline;
    let bare = || OAuth2::discovered_by_api(api(&server), inline(CLIENT));
    for provider in [
        bare(),
        bare().client_secret(inline("a secret")),
        with_key(&server).client_secret(inline("a secret")),
        with_key(&server).assertion_audience("token_endpoint"),
        with_key(&server).jwt_bearer(inline("x").into()),
        with_key(&server).token_exchange(inline("x").into()),
        with_key(&server).password(inline("u"), inline("p")),
        bare().client_assertion(inline("x").into()),
        with_key(&server).header("x-api-key".parse().unwrap(), inline("gateway")),
        with_key(&server).parameter("api_key", "gateway"),
    ] {
        let error = server.fetch(&provider).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{provider:?}");
        let (request, cx) = (TokenRequest::new(), server.context());
        assert!(provider.inspect(&request, &cx).await.is_err());
    }
    assert!(paths(&server).await.is_empty());
}

#[tokio::test]
async fn the_error_says_whom_the_api_trusts() {
    let server = both().await;
    let mut document = of_api(&server);
    document["authorization_servers"] = json!(["https://login.example", "https://x.example?pl4nt"]);
    server.serves(OF_PATH, json_answer(200, &document)).await;
    let error: Error = server.fetch(&with_secret(&server)).await.unwrap_err();
    let expected = format!(
        "the API trusts https://login.example, another one; these credentials are for {}",
        issuer(&server)
    );
    assert_eq!(error.message(), expected);
}

#[tokio::test]
async fn what_the_api_said_is_believed_for_an_hour_and_while_it_cannot_say_it_again() {
    let server = both().await;
    server
        .answers_once(OF_PATH, json_answer(200, &of_api(&server)))
        .await;
    server.serves(OF_PATH, ResponseTemplate::new(503)).await;
    let clock = ManualClock::new();
    let provider = with_secret(&server);
    let asked = async || {
        let cx = FetchContext::new(&server.http, &clock);
        provider.fetch(&TokenRequest::new(), &cx).await.unwrap();
        let asked = paths(&server).await;
        asked.iter().filter(|path| *path == OF_PATH).count()
    };
    assert_eq!(asked().await, 1);
    clock.advance(METADATA_LIFETIME - Duration::from_secs(1));
    assert_eq!(asked().await, 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(asked().await, 2);

    let fresh = server.fetch(&with_secret(&server)).await.unwrap_err();
    assert_eq!(fresh.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_challenge_that_names_other_metadata_is_followed_once() {
    let server = both().await;
    server
        .serves(OF_PATH, json_answer(200, &of_api(&server)))
        .await;
    let mut other = of_api(&server);
    other["scopes_supported"] = json!(["new"]);
    server.serves("/about", json_answer(200, &other)).await;
    let provider = with_secret(&server);
    server.fetch(&provider).await.unwrap();

    let about = server.url("/about");
    rejects(&provider, "https://evil.example/about");
    rejects(&provider, server.url(OF_PATH).as_str());
    server.fetch(&provider).await.unwrap();
    assert!(!paths(&server).await.contains(&"/about".into()));
    for _ in 0..3 {
        rejects(&provider, about.as_str());
        server.fetch(&provider).await.unwrap();
    }
    assert_eq!(last_field(&server, "scope").await.as_deref(), Some("new"));
    let asked = paths(&server).await;
    assert_eq!(asked.iter().filter(|path| *path == "/about").count(), 1);
}

#[tokio::test]
async fn other_metadata_is_followed_again_when_what_is_known_has_lived_its_time() {
    let server = both().await;
    let (known, mut other) = (of_api(&server), of_api(&server));
    other["scopes_supported"] = json!(["new"]);
    server.serves(OF_PATH, json_answer(200, &known)).await;
    server.serves("/about", json_answer(200, &other)).await;
    let clock = ManualClock::new();
    let provider = with_secret(&server);
    let scope = async || {
        let cx = FetchContext::new(&server.http, &clock);
        provider.fetch(&TokenRequest::new(), &cx).await.unwrap();
        last_field(&server, "scope").await.unwrap()
    };
    for _ in 0..2 {
        assert_eq!(scope().await, "read write");
        rejects(&provider, server.url("/about").as_str());
        assert_eq!(scope().await, "new");
        clock.advance(METADATA_LIFETIME);
    }
}

#[tokio::test]
async fn other_metadata_that_cannot_be_read_now_is_followed_later() {
    let server = both().await;
    let (known, mut other) = (of_api(&server), of_api(&server));
    other["scopes_supported"] = json!(["new"]);
    server.serves(OF_PATH, json_answer(200, &known)).await;
    let provider = with_secret(&server);
    server.fetch(&provider).await.unwrap();
    let busy = ResponseTemplate::new(503);
    server.answers_once("/about", busy).await;
    server.serves("/about", json_answer(200, &other)).await;
    rejects(&provider, server.url("/about").as_str());
    for scope in ["read write", "new", "new"] {
        server.fetch(&provider).await.unwrap();
        assert_eq!(last_field(&server, "scope").await.as_deref(), Some(scope));
    }
    let asked = paths(&server).await;
    assert_eq!(asked.iter().filter(|path| *path == "/about").count(), 2);
}

/// The API rejects a token, and names metadata.
fn rejects(provider: &OAuth2, metadata: &str) {
    let mut headers = HeaderMap::new();
    let text = format!("Bearer error=\"invalid_token\", resource_metadata=\"{metadata}\"");
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_str(&text).unwrap());
    let now = biped_core::Clock::now(&biped_core::SystemClock).wall;
    provider.judge(&ApiResponse::new(StatusCode::UNAUTHORIZED, &headers, now));
}

#[tokio::test]
async fn a_copy_for_another_api_asks_that_api() {
    let server = both().await;
    let base = OAuth2::discovered(issuer(&server), SecretRef::inline(CLIENT))
        .client_secret(SecretRef::inline("a secret"));
    for path in ["/v2/crm", "/v2/shop"] {
        let mut document = of_api(&server);
        document["resource"] = server.url(path).as_str().into();
        let at = format!("{OF_ORIGIN}{path}");
        server.serves(&at, json_answer(200, &document)).await;
        let copy = base.clone().api(server.url(path));
        server.fetch(&copy).await.unwrap();
        let resource = last_field(&server, "resource").await.unwrap();
        assert_eq!(resource, server.url(path).as_str());
    }
}

#[tokio::test]
async fn an_api_that_may_be_asked_without_tls_is_asked() {
    let servers = PlainHttp::new(["crm.auth.svc:8080"]).unwrap();
    let provider = || {
        OAuth2::discovered("https://login.example", SecretRef::inline(CLIENT))
            .client_secret(SecretRef::inline("a secret"))
    };
    let api = "http://crm.auth.svc:8080";
    for provider in [
        provider().api(api).with_plain_http(servers.clone()),
        provider().with_plain_http(servers.clone()).api(api),
    ] {
        let http = ScriptedHttp::new();
        http.answer_with(|_, _| Reply::status(503));
        let clock = ManualClock::new();
        let cx = FetchContext::new(&http, &clock).with_plain_http(provider.plain_http());
        let error = provider.fetch(&TokenRequest::new(), &cx).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(http.count() > 0);
    }
}

#[tokio::test]
async fn an_api_is_described_before_anything_is_configured() {
    let server = Server::new().await;
    let mut document = of_issuer(&server);
    document["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt"]);
    server.serves(RFC8414, json_answer(200, &document)).await;
    server
        .serves(OF_PATH, json_answer(200, &of_api(&server)))
        .await;
    let found = describe_api(&api(&server), &server.context())
        .await
        .unwrap();
    assert_eq!(found.resource, api(&server));
    assert_eq!(found.issuers, [issuer(&server)]);
    assert_eq!(found.scopes, ["read", "write"]);
    assert_eq!(found.methods, ["private_key_jwt"]);
    assert_eq!(paths(&server).await, [OF_PATH, RFC8414]);

    let nowhere = describe_api(server.mock.uri().as_str(), &server.context()).await;
    assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::Configuration);
}
