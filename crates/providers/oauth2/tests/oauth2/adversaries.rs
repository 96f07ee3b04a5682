//! What an API, its metadata or an issuer must not bring about, a test each: no credential leaves.

use biped_core::{ErrorKind, FetchContext, Provider as _, SecretRef, SystemClock, TokenRequest};
use biped_oauth2::OAuth2;
use biped_testing::{Reply, ScriptedHttp};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::{
    api_url::{
        KEY, OF_ORIGIN, OF_PATH, RFC8414, api, challenge, issuer, of_api, of_issuer, paths,
        with_key, with_secret,
    },
    server::{CLIENT, Server, granted, json_answer},
};

/// A server that is an API and its issuer, and another that must never hear of a credential.
struct Stage {
    server: Server,
    evil: Server,
}

impl Stage {
    /// The issuer describes itself, and the API says nothing yet.
    async fn new() -> Self {
        Self::of_issuer(|_| {}).await
    }

    /// An issuer whose description of itself is changed so.
    async fn of_issuer(change: impl FnOnce(&mut Value)) -> Self {
        let (server, evil) = (Server::generous().await, Server::generous().await);
        let mut document = of_issuer(&server);
        change(&mut document);
        server.serves(RFC8414, json_answer(200, &document)).await;
        Self { server, evil }
    }

    async fn api_says(&self, name: &str, value: Value) -> &Self {
        let mut document = of_api(&self.server);
        document[name] = value;
        let answer = json_answer(200, &document);
        self.server.serves(OF_PATH, answer).await;
        self
    }

    /// Clients that have an issuer and something to give away.
    fn clients(&self) -> Vec<OAuth2> {
        let inline = SecretRef::inline;
        let bare = || OAuth2::discovered(issuer(&self.server), inline(CLIENT));
        let at_api = |client: OAuth2| client.api(api(&self.server));
        let secret = || bare().client_secret(inline("a secret"));
        vec![
            with_secret(&self.server),
            at_api(bare().client_assertion(inline("an assertion").into())),
            at_api(bare().jwt_bearer(inline("an assertion").into())),
            at_api(secret().token_exchange(inline("a subject").into())),
            at_api(secret().password(inline("u"), inline("a password"))),
            at_api(bare().key(inline(KEY))),
        ]
    }

    /// Each client fails, and neither server was sent a thing that proves a client.
    async fn gives_nothing(&self, clients: impl IntoIterator<Item = OAuth2>) {
        for client in clients {
            let error = self.server.fetch(&client).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        }
        let asked = self.server.requests().await;
        assert!(!asked.is_empty());
        for request in asked.iter().chain(&self.evil.requests().await) {
            assert_eq!(request.method, "GET", "{}", request.url);
            assert_eq!(request.body, b"", "{}", request.url);
            assert_eq!(request.url.query(), None);
            assert!(!request.headers.contains_key("authorization"));
        }
    }

    /// Nor was the other server asked at all.
    async fn leaves_the_other_alone(&self) {
        assert!(self.evil.requests().await.is_empty());
    }
}

/// The API's metadata has this member, and no client proves itself to anybody.
async fn metadata_with(name: &str, value: impl FnOnce(&Stage) -> Value) {
    let stage = Stage::new().await;
    stage.api_says(name, value(&stage)).await;
    stage.gives_nothing(stage.clients()).await;
    stage.leaves_the_other_alone().await;
    // Nor was the issuer asked who it is.
    assert!(!paths(&stage.server).await.contains(&RFC8414.into()));
}

#[tokio::test]
async fn metadata_of_another_origins_resource() {
    let value = |stage: &Stage| json!(stage.evil.url("/v2/crm").as_str());
    metadata_with("resource", value).await;
}

#[tokio::test]
async fn a_resource_without_a_scheme() {
    metadata_with("resource", |_| json!("//v2/crm")).await;
}

#[tokio::test]
async fn a_resource_with_two_slashes() {
    let value = |stage: &Stage| json!(format!("{}//v2", stage.server.mock.uri()));
    metadata_with("resource", value).await;
}

#[tokio::test]
async fn a_resource_whose_path_ends_within_a_segment() {
    let value = |stage: &Stage| json!(stage.server.url("/v2/c").as_str());
    metadata_with("resource", value).await;
}

#[tokio::test]
async fn a_resource_below_the_api() {
    let value = |stage: &Stage| json!(stage.server.url("/v2/crm/x").as_str());
    metadata_with("resource", value).await;
}

#[tokio::test]
async fn a_resource_with_a_query() {
    let value = |stage: &Stage| json!(format!("{}?x", api(&stage.server)));
    metadata_with("resource", value).await;
}

#[tokio::test]
async fn another_issuer() {
    let value = |stage: &Stage| json!([stage.evil.mock.uri()]);
    metadata_with("authorization_servers", value).await;
}

#[tokio::test]
async fn no_issuer() {
    metadata_with("authorization_servers", |_| json!([])).await;
}

#[tokio::test]
async fn an_issuer_outside_a_list() {
    let value = |stage: &Stage| json!(issuer(&stage.server));
    metadata_with("authorization_servers", value).await;
}

#[tokio::test]
async fn an_issuer_with_one_slash_more() {
    let value = |stage: &Stage| json!([format!("{}/", issuer(&stage.server))]);
    metadata_with("authorization_servers", value).await;
}

#[tokio::test]
async fn an_issuer_that_is_the_same_only_once_it_is_parsed() {
    let value = |stage: &Stage| json!([format!("{}/../login", stage.server.mock.uri())]);
    metadata_with("authorization_servers", value).await;
}

/// The API's challenge names this as its metadata.
async fn challenge_naming(metadata: impl FnOnce(&Stage) -> String) {
    let stage = Stage::new().await;
    let about = json_answer(200, &of_api(&stage.server));
    stage.evil.serves("/about", about).await;
    let text = format!("Bearer resource_metadata=\"{}\"", metadata(&stage));
    stage.server.serves("/v2/crm", challenge(&text)).await;
    stage.gives_nothing(stage.clients()).await;
    stage.gives_nothing([with_key(&stage.server)]).await;
    stage.leaves_the_other_alone().await;
}

#[tokio::test]
async fn a_challenge_that_names_metadata_of_another_origin() {
    challenge_naming(|stage| stage.evil.url("/about").into()).await;
}

#[tokio::test]
async fn a_challenge_that_names_metadata_without_a_scheme() {
    challenge_naming(|stage| format!("//{}/about", stage.evil.url("/").authority())).await;
}

/// A redirect to a place that would give itself out as the API's metadata, or the issuer's.
fn away(evil: &Server) -> ResponseTemplate {
    ResponseTemplate::new(302).insert_header("Location", evil.url("/about").as_str())
}

#[tokio::test]
async fn metadata_of_the_api_behind_a_redirect() {
    let stage = Stage::new().await;
    let mut document = of_api(&stage.server);
    document["authorization_servers"] = json!([stage.evil.mock.uri()]);
    let about = json_answer(200, &document);
    stage.evil.serves("/about", about).await;
    for at in [OF_PATH, OF_ORIGIN, "/v2/crm"] {
        stage.server.serves(at, away(&stage.evil)).await;
    }
    stage.gives_nothing([with_key(&stage.server)]).await;
    stage.leaves_the_other_alone().await;
}

#[tokio::test]
async fn metadata_of_the_issuer_behind_a_redirect() {
    let (server, evil) = (Server::generous().await, Server::generous().await);
    let mut document = of_issuer(&server);
    document["token_endpoint"] = json!(evil.url("/token").as_str());
    evil.serves("/about", json_answer(200, &document)).await;
    server.serves(RFC8414, away(&evil)).await;
    for at in [
        "/.well-known/openid-configuration/login",
        "/login/.well-known/openid-configuration",
    ] {
        server.serves(at, away(&evil)).await;
    }
    let stage = Stage { server, evil };
    stage
        .api_says("resource", json!(api(&stage.server)))
        .await
        .gives_nothing(stage.clients())
        .await;
    stage.leaves_the_other_alone().await;
}

#[tokio::test]
async fn a_token_endpoint_that_redirects() {
    for status in [301, 302, 303, 307, 308] {
        let (server, evil) = (Server::new().await, Server::generous().await);
        let described = json_answer(200, &of_issuer(&server));
        server.serves(RFC8414, described).await;
        let away = ResponseTemplate::new(status);
        let away = away.insert_header("Location", evil.url("/token").as_str());
        server.answers("/token", away).await;
        let stage = Stage { server, evil };
        stage.api_says("resource", json!(api(&stage.server))).await;
        for client in stage.clients() {
            stage.server.fetch(&client).await.unwrap_err();
        }
        stage.leaves_the_other_alone().await;
    }
}

/// The issuer's metadata is changed so, and no client proves itself to anybody.
async fn issuer_with(name: &str, value: Value) {
    let stage = Stage::of_issuer(|document| document[name] = value).await;
    stage
        .api_says("resource", json!(api(&stage.server)))
        .await
        .gives_nothing(stage.clients())
        .await;
    stage.gives_nothing([with_key(&stage.server)]).await;
}

#[tokio::test]
async fn metadata_of_an_issuer_that_is_mixed_up_with_another() {
    issuer_with("issuer", json!("https://login.example")).await;
}

#[tokio::test]
async fn an_issuer_that_knows_nothing_of_the_api() {
    issuer_with("protected_resources", json!(["https://api.example"])).await;
}

#[tokio::test]
async fn an_issuer_that_takes_clients_without_proof() {
    let stage = Stage::of_issuer(|document| {
        document["token_endpoint_auth_methods_supported"] = json!(["none"]);
    })
    .await;
    stage.api_says("resource", json!(api(&stage.server))).await;
    let clients = [with_secret(&stage.server), with_key(&stage.server)];
    stage.gives_nothing(clients).await;
}

#[tokio::test]
async fn a_token_endpoint_in_plain_http_elsewhere() {
    issuer_with("token_endpoint", json!("http://login.example/token")).await;
}

const OF_API: &str = "https://api.example/.well-known/oauth-protected-resource/v2";

/// An API on the internet names this issuer, and nobody pinned one.
async fn found_issuer(issuer: &'static str) {
    let http = ScriptedHttp::new();
    http.answer_with(move |_, request| {
        let document = match &*request.url {
            OF_API => json!({
                "resource": "https://api.example/v2", "authorization_servers": [issuer],
            }),
            _ => json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/token") }),
        };
        Reply::json(200, &document.to_string())
    });
    let cx = FetchContext::new(&http, &SystemClock);
    let client = OAuth2::discovered_by_api("https://api.example/v2", SecretRef::inline(CLIENT));
    let client = client.key(SecretRef::inline(KEY));
    let error = client.fetch(&TokenRequest::new(), &cx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    let asked: Vec<_> = http.requests().iter().map(|it| it.url.clone()).collect();
    assert_eq!(asked, [OF_API], "{issuer}");
}

#[tokio::test]
async fn an_issuer_at_a_private_address() {
    for issuer in ["https://10.0.0.1", "https://[fd00::1]", "https://0x0a.1"] {
        found_issuer(issuer).await;
    }
}

#[tokio::test]
async fn an_issuer_at_the_metadata_servers_address() {
    found_issuer("https://169.254.169.254").await;
}

#[tokio::test]
async fn an_issuer_on_this_machine() {
    for issuer in [
        "https://localhost",
        "http://127.0.0.1:1",
        "https://x.localhost.",
    ] {
        found_issuer(issuer).await;
    }
}

#[tokio::test]
async fn an_issuer_in_plain_http() {
    found_issuer("http://login.example").await;
}

/// All of the above can fail: what is honest gets its token.
#[tokio::test]
async fn what_is_honest_gets_a_token() {
    let stage = Stage::new().await;
    stage.api_says("resource", json!(api(&stage.server))).await;
    for client in stage.clients() {
        stage.server.answers("/token", granted("t")).await;
        stage.server.fetch(&client).await.unwrap();
    }
    stage.leaves_the_other_alone().await;
}
