//! What the issuer and the API of the platforms accept, and what they refuse.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{Clock as _, SystemClock};
use biped_sandbox::Platforms;
use biped_testing::ManualClock;
use reqwest::StatusCode;
use serde_json::{Value, json};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Stage {
    platforms: Platforms,
    clock: Arc<ManualClock>,
    client: reqwest::Client,
}

impl Stage {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(SystemClock.now().wall));
        let builder = Platforms::builder().clock(clock.clone());
        Self {
            platforms: builder.start().await.unwrap(),
            clock,
            client: crate::client(),
        }
    }

    fn projected(&self) -> String {
        let file = self.platforms.directory().join("kubernetes.jwt");
        std::fs::read_to_string(file).unwrap()
    }

    /// What the issuer answers to this client assertion.
    async fn presented(&self, assertion: &str) -> (u16, Value) {
        self.asked(&[
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion),
        ])
        .await
    }

    async fn asked(&self, fields: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("{}/issuer/token", self.platforms.url());
        let answer = self.client.post(url).form(fields).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn call(&self, token: &str) -> u16 {
        let url = format!("{}/api/hello", self.platforms.url());
        let answer = self
            .client
            .get(url)
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        answer.status().as_u16()
    }
}

/// The same JWT with a changed claim, and its old signature.
fn forged(jwt: &str, name: &str, value: Value) -> String {
    let parts: Vec<_> = jwt.split('.').collect();
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims[name] = value;
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{}.{claims}.{}", parts[0], parts[2])
}

#[tokio::test]
async fn an_assertion_is_accepted_until_it_expires() {
    let stage = Stage::new().await;
    let assertion = stage.projected();
    let (status, answer) = stage.presented(&assertion).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        stage.call(answer["access_token"].as_str().unwrap()).await,
        200
    );
    stage.clock.advance(Duration::from_secs(601));
    let (status, answer) = stage.presented(&assertion).await;
    assert_eq!((status, &answer["error"]), (401, &json!("invalid_client")));
}

#[tokio::test]
async fn a_token_of_the_issuer_expires_too() {
    let stage = Stage::new().await;
    let (_, answer) = stage.presented(&stage.projected()).await;
    let token = answer["access_token"].as_str().unwrap();
    stage.clock.advance(Duration::from_secs(3601));
    assert_eq!(stage.call(token).await, 401);
}

#[tokio::test]
async fn what_was_not_signed_is_refused() {
    let stage = Stage::new().await;
    let assertion = stage.projected();
    let url = stage.platforms.url();
    let (header, rest) = assertion.split_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    for forged in [
        forged(&assertion, "sub", json!("someone")),
        forged(&assertion, "exp", json!(4_102_444_800_i64)),
        forged(&assertion, "iss", json!(format!("{url}/github"))),
        forged(&assertion, "iss", json!("https://evil.example")),
        format!("{none}.{rest}"),
        format!("{none}.{}.", rest.split('.').next().unwrap()),
        format!("{header}.{}.", rest.split('.').next().unwrap()),
        "not a token".into(),
        String::new(),
    ] {
        let (status, answer) = stage.presented(&forged).await;
        assert_eq!(status, 401, "{forged}: {answer}");
        assert_eq!(answer["error"], "invalid_client", "{forged}");
        assert_eq!(stage.call(&forged).await, 401, "{forged}");
    }
}

#[tokio::test]
async fn a_token_for_the_issuer_is_not_one_for_the_api() {
    let stage = Stage::new().await;
    assert_eq!(stage.call(&stage.projected()).await, 401);
    let url = format!("{}/api/hello", stage.platforms.url());
    let answer = stage.client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    let metadata = challenge.split('"').nth(1).unwrap();
    let document: Value = stage
        .client
        .get(metadata)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        document["resource"],
        format!("{}/api", stage.platforms.url())
    );
    let issuer = document["authorization_servers"][0].as_str().unwrap();
    assert_eq!(issuer, format!("{}/issuer", stage.platforms.url()));
}

#[tokio::test]
async fn a_scheme_has_any_case() {
    let stage = Stage::new().await;
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &*stage.projected()),
    ];
    let (_, answer) = stage.asked(&fields).await;
    let token = answer["access_token"].as_str().unwrap();
    let url = format!("{}/api/hello", stage.platforms.url());
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = stage.client.get(&url);
        let request = request.header("authorization", format!("{scheme} {token}"));
        assert_eq!(crate::status_of(request).await, 200, "{scheme}");
    }
}

#[tokio::test]
async fn the_issuer_has_what_the_standards_require() {
    let stage = Stage::new().await;
    let url = stage.platforms.url();
    let metadata = format!("{url}/.well-known/oauth-authorization-server/issuer");
    let metadata = crate::json_of(stage.client.get(metadata), StatusCode::OK).await;
    // RFC 8414 §2: required, though empty without an authorization endpoint.
    assert_eq!(metadata["response_types_supported"], json!([]));

    // RFC 6749 §3.2: a parameter without a value counts as left out. §5.1: no answer is cached.
    let endpoint = format!("{url}/issuer/token");
    let assertion = stage.projected();
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &*assertion),
        ("client_id", ""),
        ("scope", ""),
        ("resource", ""),
    ];
    let answer = crate::send(stage.client.post(&endpoint).form(&fields)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let answer: Value = answer.json().await.unwrap();
    assert!(answer["scope"].is_null(), "{answer}");

    // RFC 6749 §5.2, also for a body that is not a form.
    let request = stage.client.post(&endpoint).json(&json!({}));
    let answer = crate::json_of(request, StatusCode::BAD_REQUEST).await;
    assert_eq!(answer["error"], "invalid_request");
}

#[tokio::test]
async fn an_exchange_says_what_it_issued_and_a_grant_what_it_lacks() {
    let stage = Stage::new().await;
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    let token = stage.projected();
    let (status, answer) = stage
        .asked(&[
            ("grant_type", exchange),
            ("subject_token", &token),
            ("subject_token_type", jwt),
        ])
        .await;
    assert_eq!(status, 200, "{answer}");
    let issued = "urn:ietf:params:oauth:token-type:access_token";
    assert_eq!(answer["issued_token_type"], issued);
    for (fields, error) in [
        (&[("grant_type", exchange)][..], "invalid_request"),
        (&[("grant_type", bearer)], "invalid_request"),
        (
            &[("grant_type", bearer), ("assertion", "x")],
            "invalid_grant",
        ),
        (
            &[
                ("grant_type", bearer),
                ("assertion", &token),
                ("assertion", &token),
            ],
            "invalid_request",
        ),
        (
            &[
                ("grant_type", exchange),
                ("subject_token", &token),
                ("subject_token_type", issued),
            ],
            // RFC 8693 §2.2.2, here and below.
            "invalid_request",
        ),
        (
            &[
                ("grant_type", exchange),
                ("subject_token", "x"),
                ("subject_token_type", jwt),
            ],
            "invalid_request",
        ),
        (
            &[
                ("grant_type", exchange),
                ("subject_token", &token),
                ("subject_token_type", jwt),
                ("actor_token", &token),
                ("actor_token_type", "x"),
            ],
            "invalid_request",
        ),
        (
            &[
                ("grant_type", exchange),
                ("subject_token", &token),
                ("subject_token_type", jwt),
                ("actor_token_type", jwt),
            ],
            "invalid_request",
        ),
        (
            &[
                ("grant_type", bearer),
                ("assertion", &token),
                ("resource", "https://other"),
            ],
            "invalid_target",
        ),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (&[("grant_type", "client_credentials")], "invalid_client"),
    ] {
        let (_, answer) = stage.asked(fields).await;
        assert_eq!(answer["error"], error, "{fields:?}");
    }
}

#[tokio::test]
async fn a_kubelet_replaces_its_file_every_5_s() {
    let stage = Stage::new().await;
    // The kubelet waits for its next turn.
    let waits = async || {
        while stage.clock.next_wake().is_none() {
            tokio::task::yield_now().await;
        }
    };
    let mut last = stage.projected();
    for _ in 0..3 {
        waits().await;
        stage.clock.advance(Duration::from_secs(5));
        waits().await;
        let next = stage.projected();
        assert_ne!(next, last);
        assert_eq!(stage.presented(&next).await.0, 200);
        last = next;
    }
}

#[tokio::test]
async fn a_projected_token_is_replaced_when_a_test_wants_it() {
    let stage = Stage::new().await;
    let before = stage.projected();
    stage.platforms.replace_projected_token().unwrap();
    let after = stage.projected();
    assert_ne!(before, after);
    assert_eq!(stage.presented(&after).await.0, 200);
}

#[tokio::test]
async fn its_files_go_with_it() {
    let stage = Stage::new().await;
    let directory = stage.platforms.directory().to_owned();
    assert!(directory.join("client.key.pem").exists());
    stage.platforms.stop().await;
    assert!(!directory.exists());
}

/// What the issuer answers to this refresh token, or nothing if the answer is lost.
async fn refreshed(stage: &Stage, token: &str) -> Option<(u16, Value)> {
    let url = format!("{}/issuer/token", stage.platforms.url());
    let assertion = stage.projected();
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &*assertion),
    ];
    let answer = stage.client.post(url).form(&fields).send().await.unwrap();
    let status = answer.status().as_u16();
    Some((status, answer.json().await.ok()?))
}

fn seed(stage: &Stage, account: &str) -> String {
    let file = stage.platforms.directory().join(format!("{account}.seed"));
    std::fs::read_to_string(file).unwrap()
}

fn next(answer: Option<(u16, Value)>) -> String {
    let (status, answer) = answer.expect("an answer");
    assert_eq!(status, 200, "{answer}");
    answer["refresh_token"].as_str().unwrap().to_owned()
}

fn assert_refused(answer: Option<(u16, Value)>) {
    let (status, answer) = answer.expect("an answer");
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_revokes_its_account() {
    let stage = Stage::new().await;
    let first = seed(&stage, "rotating");
    let second = next(refreshed(&stage, &first).await);
    let third = next(refreshed(&stage, &second).await);
    assert_refused(refreshed(&stage, &second).await);
    assert_refused(refreshed(&stage, &third).await);
    // The other account is not touched, nor is any by a token of none.
    assert_refused(refreshed(&stage, "x-0").await);
    let other = next(refreshed(&stage, &seed(&stage, "rotating-grace")).await);
    next(refreshed(&stage, &other).await);
    // A new consent makes it good again.
    let url = format!("{}/issuer/_sandbox/consent/rotating", stage.platforms.url());
    let new = stage.client.post(url).send().await.unwrap().text().await;
    next(refreshed(&stage, &new.unwrap()).await);
}

#[tokio::test]
async fn a_refresh_needs_the_client() {
    let stage = Stage::new().await;
    let token = seed(&stage, "rotating");
    let (status, answer) = stage
        .asked(&[("grant_type", "refresh_token"), ("refresh_token", &token)])
        .await;
    assert_eq!((status, &answer["error"]), (401, &json!("invalid_client")));
    next(refreshed(&stage, &token).await);
}

#[tokio::test]
async fn an_answer_that_is_lost_costs_the_account_where_there_is_no_grace() {
    let stage = Stage::new().await;
    for (account, has_grace) in [("rotating", false), ("rotating-grace", true)] {
        let first = seed(&stage, account);
        stage.platforms.lose_answer();
        assert_eq!(refreshed(&stage, &first).await, None, "{account}");
        let again = refreshed(&stage, &first).await;
        match has_grace {
            true => drop(next(again)),
            false => assert_refused(again),
        }
    }
}
