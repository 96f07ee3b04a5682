//! Standard authorization servers, by an application that knows their issuer only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped::{
    Biped, ExposeSecret,
    reqwest::{ApiClients, TokenMiddleware},
    tower::TokenLayer,
};
use biped_testing::ManualClock;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{method, path},
};

const METADATA: &str = "/.well-known/oauth-authorization-server";

/// A server and an API behind it, and a client of both on a manual clock.
struct Server {
    mock: MockServer,
    clock: Arc<ManualClock>,
    biped: Biped,
    priority: AtomicU8,
}

impl Server {
    async fn with(lines: &str) -> Self {
        let mock = MockServer::start().await;
        let clock = Arc::new(ManualClock::new());
        let config = format!(
            "[providers.crm]\nkind = \"oauth2\"\nissuer = \"{0}\"\nclient_id = \"client-7\"\n\
             client_secret = \"a secret\"\napi_base_url = \"{0}\"\n{lines}\n",
            mock.uri()
        );
        let builder = Biped::builder().without_environment().toml(config);
        let biped = builder.clock(clock.clone()).build().unwrap();
        let server = Self {
            mock,
            clock,
            biped,
            priority: AtomicU8::new(u8::MAX),
        };
        server.tells(json!({})).await;
        server
    }

    /// Says from now on that everything is where it is by default, or here.
    async fn tells(&self, places: Value) {
        let issuer = self.mock.uri();
        let mut document = json!({
            "issuer": issuer,
            "token_endpoint": format!("{issuer}/token"),
            "revocation_endpoint": format!("{issuer}/revoke"),
        });
        for (name, place) in places.as_object().unwrap() {
            document[name] = format!("{issuer}{}", place.as_str().unwrap()).into();
        }
        let answer = ResponseTemplate::new(200).set_body_json(document);
        Mock::given(method("GET"))
            .and(path(METADATA))
            .respond_with(answer)
            .with_priority(self.next_priority())
            .mount(&self.mock)
            .await;
    }

    /// The latest answer comes first.
    fn next_priority(&self) -> u8 {
        self.priority.fetch_sub(1, Ordering::Relaxed)
    }

    async fn answers(&self, at: &str, answer: impl Respond + 'static) {
        Mock::given(path(at))
            .respond_with(answer)
            .with_priority(self.next_priority())
            .mount(&self.mock)
            .await;
    }

    async fn call(&self) -> u16 {
        let client = self.biped.client("crm").unwrap();
        client.get("/hello").send().await.unwrap().status().as_u16()
    }

    /// The requests for this path.
    async fn asked(&self, path: &str) -> Vec<Request> {
        let all = self.mock.received_requests().await.unwrap();
        all.into_iter()
            .filter(|request| request.url.path() == path)
            .collect()
    }
}

/// Gives out a token and another each time, of this type.
struct Tokens(&'static str, AtomicU64);

impl Respond for Tokens {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let next = self.1.fetch_add(1, Ordering::Relaxed);
        ResponseTemplate::new(200).set_body_json(json!({
            "access_token": format!("t-{next}"), "token_type": self.0, "expires_in": 3600,
        }))
    }
}

fn tokens(kind: &'static str) -> Tokens {
    Tokens(kind, AtomicU64::new(1))
}

#[tokio::test]
async fn a_token_endpoint_that_moved_is_found_without_anybody_noticing() {
    let server = Server::with("").await;
    server.answers("/token", tokens("Bearer")).await;
    server.answers("/hello", ResponseTemplate::new(200)).await;
    assert_eq!(server.call().await, 200);
    for (status, place) in [(404, "/token-2"), (410, "/token-3"), (308, "/token-4")] {
        let gone = ResponseTemplate::new(status);
        let before = server.asked(METADATA).await.len();
        for old in ["/token", "/token-2", "/token-3"] {
            server.answers(old, gone.clone()).await;
        }
        server.answers(place, tokens("Bearer")).await;
        server.tells(json!({ "token_endpoint": place })).await;
        server.clock.advance(Duration::from_secs(3600));
        assert_eq!(server.call().await, 200, "{status}");
        assert_eq!(server.asked(place).await.len(), 1);
        assert!(server.asked(METADATA).await.len() > before);
    }
}

#[tokio::test]
async fn what_is_not_shared_is_given_back_at_the_end() {
    let server = Server::with("").await;
    server.answers("/token", tokens("Bearer")).await;
    server.answers("/revoke", ResponseTemplate::new(200)).await;
    let source = server.biped.token_source("crm").unwrap();
    source.token().await.unwrap();
    source.clone().with_scopes("write").token().await.unwrap();
    assert_eq!(server.biped.manager().revoke_unshared().await, 2);
    let mut revoked: Vec<_> = server
        .asked("/revoke")
        .await
        .iter()
        .map(|request| String::from_utf8(request.body.clone()).unwrap())
        .collect();
    revoked.sort();
    let hint = "&token_type_hint=access_token";
    assert_eq!(
        revoked,
        [format!("token=t-1{hint}"), format!("token=t-2{hint}")]
    );
    assert!(source.fresh().is_none());
}

/// Wants this nonce in each proof, and says so.
struct WantsNonce(&'static str);

impl Respond for WantsNonce {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        if proof(request.headers["dpop"].to_str().unwrap())["nonce"] == self.0 {
            return ResponseTemplate::new(200);
        }
        ResponseTemplate::new(401)
            .insert_header("WWW-Authenticate", r#"DPoP error="use_dpop_nonce""#)
            .insert_header("DPoP-Nonce", self.0)
    }
}

/// What a proof says.
fn proof(jwt: &str) -> Value {
    let part = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn bound_tokens_work_through_the_client_and_the_middleware() {
    let server = Server::with("dpop = true").await;
    server.answers("/token", tokens("DPoP")).await;
    server.answers("/hello", WantsNonce("n-1")).await;
    assert_eq!(server.call().await, 200);
    server.answers("/hello", WantsNonce("n-2")).await;
    let source = server.biped.token_source("crm").unwrap();
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(TokenMiddleware::new(source))
        .with(ApiClients::new().unwrap())
        .build();
    let url = format!("{}/hello?page=2", server.mock.uri());
    let answer = client.post(url).body("whole").send().await.unwrap();
    assert_eq!(answer.status(), 200);

    let calls = server.asked("/hello").await;
    let said: Vec<_> = calls
        .iter()
        .map(|call| {
            assert_eq!(call.headers["authorization"], "DPoP t-1");
            let said = proof(call.headers["dpop"].to_str().unwrap());
            assert_eq!(said["htu"], format!("{}/hello", server.mock.uri()));
            (said["htm"].clone(), said["nonce"].clone())
        })
        .collect();
    let null = Value::Null;
    assert_eq!(
        said,
        [
            (json!("GET"), null),
            (json!("GET"), json!("n-1")),
            (json!("POST"), json!("n-1")),
            (json!("POST"), json!("n-2")),
        ]
    );
    assert_eq!(
        server.asked("/token").await.len(),
        1,
        "one token for all of them"
    );
}

#[tokio::test]
async fn bound_tokens_work_through_the_tower_layer() {
    let server = Server::with("dpop = true").await;
    server.answers("/token", tokens("DPoP")).await;
    let (seen, sent) = std::sync::mpsc::channel();
    let api = tower::service_fn(move |request: http::Request<_>| {
        let said = proof(request.headers()["dpop"].to_str().unwrap());
        let answer = http::Response::builder();
        let answer = match said["nonce"].as_str() {
            Some("n-1") => answer.status(200),
            _ => answer
                .status(401)
                .header("WWW-Authenticate", r#"DPoP error="use_dpop_nonce""#)
                .header("DPoP-Nonce", "n-1"),
        };
        seen.send((request.headers().clone(), said)).unwrap();
        async move { Ok::<_, std::io::Error>(answer.body(Full::new(Bytes::new())).unwrap()) }
    });
    let source = server.biped.token_source("crm").unwrap();
    let client = TokenLayer::new(source).layer(api);
    let url = format!("{}/hello", server.mock.uri());
    let request = http::Request::get(&url)
        .body(Full::new(Bytes::new()))
        .unwrap();
    let answer = client.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await.unwrap();
    let calls: Vec<_> = sent.try_iter().collect();
    assert_eq!(calls.len(), 2);
    for (headers, said) in &calls {
        assert_eq!(headers["authorization"], "DPoP t-1");
        assert_eq!((&said["htm"], &said["htu"]), (&json!("GET"), &json!(url)));
    }
    assert_ne!(calls[0].1["jti"], calls[1].1["jti"]);
}

#[tokio::test]
async fn a_rotated_proof_key_binds_the_next_token_and_the_old_one_serves_on() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("key");
    let keys = "../crates/providers/oauth2/tests/keys";
    std::fs::copy(format!("{keys}/p256.pkcs8.pem"), &file).unwrap();
    let server = Server::with(&format!("dpop_key = \"file:{}\"", file.display())).await;
    server.answers("/token", tokens("DPoP")).await;
    server.answers("/hello", ResponseTemplate::new(200)).await;
    assert_eq!(server.call().await, 200);
    std::fs::copy(format!("{keys}/ed25519.pkcs8.pem"), &file).unwrap();
    assert_eq!(
        server.call().await,
        200,
        "the token in use is of the old key"
    );
    server.clock.advance(Duration::from_secs(3600));
    assert_eq!(server.call().await, 200);

    let algs: Vec<_> = server
        .asked("/hello")
        .await
        .iter()
        .map(|call| {
            let jwt = call.headers["dpop"].to_str().unwrap();
            let header = URL_SAFE_NO_PAD
                .decode(jwt.split('.').next().unwrap())
                .unwrap();
            serde_json::from_slice::<Value>(&header).unwrap()["alg"].clone()
        })
        .collect();
    assert_eq!(algs, ["ES256", "ES256", "EdDSA"]);
    let token = server
        .biped
        .token_source("crm")
        .unwrap()
        .token()
        .await
        .unwrap();
    assert_eq!(token.expose_secret(), "t-2");
}
