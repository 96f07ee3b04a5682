//! The sandbox as its users see it: over HTTP, with a plain client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod contentsquare;
mod envelope;
mod faults;
mod platforms;
mod running;
mod stats;

use std::{sync::Arc, time::Duration};

use biped_core::Timestamp;
use biped_sandbox::{Credentials, SHOP, Sandbox, SandboxBuilder};
use biped_testing::ManualClock;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

const LIFETIME: Duration = Duration::from_secs(3600);

/// Some fraction of a second, so that rounding shows.
const START: Timestamp = Timestamp::from_unix_millis(1_790_000_000_300);

/// A sandbox on a manual clock, and a plain client.
struct Bench {
    sandbox: Sandbox,
    clock: Arc<ManualClock>,
    http: Client,
}

impl Bench {
    async fn start() -> Self {
        Self::of(Sandbox::builder()).await
    }

    async fn of(builder: SandboxBuilder) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let sandbox = builder
            .clock(clock.clone())
            .lifetime(LIFETIME)
            .start()
            .await
            .unwrap();
        Self {
            sandbox,
            clock,
            http: client(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.url())
    }

    /// A token request to Contentsquare; `more` is added to the credentials.
    fn ask(&self, of: Credentials, mut more: Value) -> RequestBuilder {
        let fields = more.as_object_mut().expect("an object");
        for (name, value) in [
            ("client_id", of.client_id),
            ("client_secret", of.client_secret),
            ("grant_type", "client_credentials"),
        ] {
            fields.entry(name).or_insert(value.into());
        }
        self.http.post(self.url("/v1/oauth/token")).json(&more)
    }

    /// A token of Contentsquare's.
    async fn token(&self, of: Credentials, more: Value) -> String {
        let answer = json_of(self.ask(of, more), StatusCode::OK).await;
        answer["access_token"].as_str().unwrap().into()
    }

    fn ask_shop(&self) -> RequestBuilder {
        let form = [
            ("client_id", SHOP.client_id),
            ("client_secret", SHOP.client_secret),
        ];
        self.http.post(self.url("/v1/auth/token")).form(&form)
    }

    async fn shop_token(&self) -> String {
        let answer = json_of(self.ask_shop(), StatusCode::OK).await;
        answer["data"]["access_token"].as_str().unwrap().into()
    }

    fn get(&self, base: &str, path: &str, token: &str) -> RequestBuilder {
        self.http.get(format!("{base}{path}")).bearer_auth(token)
    }

    /// `GET` on the first cloud.
    fn call(&self, path: &str, token: &str) -> RequestBuilder {
        self.get(self.sandbox.clouds()[0], path, token)
    }

    fn orders(&self, token: &str) -> RequestBuilder {
        self.get(self.sandbox.url(), "/v1/orders", token)
    }
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

async fn json_of(request: RequestBuilder, status: StatusCode) -> Value {
    let response = send(request).await;
    assert_eq!(response.status(), status, "{}", response.url());
    response.json().await.unwrap()
}

async fn status_of(request: RequestBuilder) -> u16 {
    send(request).await.status().as_u16()
}

/// The status and the `errorCode` of Contentsquare's answer.
async fn refusal(request: RequestBuilder) -> (u16, String) {
    let response = send(request).await;
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["success"], false);
    assert!(body["errorMessage"].is_string());
    (status, body["errorCode"].as_str().unwrap().into())
}
