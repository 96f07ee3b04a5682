//! A vendor that has both a crate and a dialect gets the same requests, and its answers give the
//! same tokens and errors.
#![cfg(feature = "catalogue")]

use biped_contentsquare::{Contentsquare, ContentsquareRequest as _, Scope};
use biped_core::{
    Error, ExposeSecret as _, FetchContext, Provider, SecretRef, SystemClock, Token, TokenRequest,
};
use biped_dialect::{Catalogue, Vendor};
use biped_envelope::Envelope;
use biped_reqwest::TokenClient;
use serde_json::{Value, json};

use crate::server::{Sent, Server};

fn id() -> SecretRef {
    SecretRef::inline("client 7")
}

fn secret() -> SecretRef {
    SecretRef::inline(crate::server::SECRET)
}

async fn fetch(provider: &dyn Provider, request: &TokenRequest) -> Result<Token, Error> {
    let http = TokenClient::new().unwrap();
    let cx = FetchContext::new(&http, &SystemClock);
    provider.fetch(request, &cx).await
}

/// What a token says, without the moment it was asked for.
fn facts(outcome: Result<Token, Error>) -> Value {
    match outcome {
        Ok(token) => json!({
            "token": token.expose_secret(),
            "type": token.token_type(),
            "scope": token.scope(),
            "life": token.lifetime().map(|life| life.as_secs()),
            "base_url": token.base_url().map(url::Url::as_str),
        }),
        Err(error) => json!({
            "kind": error.kind().as_str(),
            "transient": error.is_transient(),
            "client": error.refuses_client(),
            "vendor": error.vendor(),
        }),
    }
}

/// The two requests, by their bytes or as JSON.
async fn same_request(server: &Server) {
    let all: Vec<_> = server.requests().await.into_iter().map(Sent).collect();
    let [crate_sent, dialect_sent] = &all[..] else {
        panic!("{} requests", all.len());
    };
    assert_eq!(crate_sent.line(), dialect_sent.line());
    for name in ["content-type", "accept", "authorization"] {
        assert_eq!(crate_sent.header(name), dialect_sent.header(name));
    }
    if crate_sent.header("content-type") == Some("application/json") {
        assert_eq!(crate_sent.json(), dialect_sent.json());
    } else {
        assert_eq!(crate_sent.body(), dialect_sent.body());
    }
}

#[tokio::test]
async fn contentsquare_is_the_same_as_its_crate() {
    let good = json!({
        "access_token": "eyJ.CNT.XXX", "token_type": "bearer", "expires_in": 3600,
        "scope": "enrichment", "project_id": 42,
        "endpoint": "https://api.eu-west-1.production.contentsquare.com"
    });
    let with = |name: &str, value: Value| {
        let mut answer = good.clone();
        answer[name] = value;
        answer
    };
    let request = TokenRequest::new()
        .scope(Scope::Enrichment)
        .project(42)
        .integration(123);
    for (status, answer) in [
        (200, good.clone()),
        (200, with("endpoint", json!(""))),
        (
            200,
            with("endpoint", json!("https://contentsquare.com.evil.example")),
        ),
        (200, with("expires_in", json!("1800"))),
        (200, with("access_token", Value::Null)),
        (
            200,
            json!({ "success": false, "errorCode": "X", "errorMessage": "no" }),
        ),
        (
            401,
            json!({ "success": false, "errorCode": "JWT_EXPIRED", "errorMessage": "Auth token is expired." }),
        ),
        (
            400,
            json!({ "error": "invalid_scope", "error_description": "no such scope" }),
        ),
        (503, json!({})),
    ] {
        let server = Server::answering(status, answer.clone()).await;
        let endpoint: url::Url = format!("{}/v1/oauth/token", server.0.uri())
            .parse()
            .unwrap();
        let by_crate = Contentsquare::new(id(), secret()).token_endpoint(&endpoint);
        let dialect = Catalogue::built_in().dialect("contentsquare").unwrap();
        let by_dialect = Vendor::builder(dialect)
            .client_id(id())
            .client_secret(secret())
            .token_endpoint(endpoint)
            .build()
            .unwrap();
        let from_crate = facts(fetch(&by_crate, &request).await);
        let from_dialect = facts(fetch(&by_dialect, &request).await);
        assert_eq!(from_crate, from_dialect, "{status} {answer}");
        same_request(&server).await;
    }
}

#[tokio::test]
async fn the_envelope_vendor_is_the_same_as_its_crate() {
    let data = json!({ "access_token": "sk-1", "token_type": "Bearer", "expires_in": 3600 });
    let refused = json!({
        "code": "401021", "code_reason": "invalid_client",
        "message": "Invalid client_id, client_secret, or session_key"
    });
    for (status, answer) in [
        (200, json!({ "data": data })),
        (200, json!({ "data": data.to_string() })),
        (200, json!({ "data": {} })),
        (200, json!({ "error": refused })),
        (401, json!({ "error": refused })),
        (
            400,
            json!({ "error": { "code": 400_013, "code_reason": "invalid_request", "message": "m" } }),
        ),
        (403, json!({ "error": refused.to_string() })),
        (
            500,
            json!({ "error": { "code": "500999", "code_reason": "API_ERROR" } }),
        ),
    ] {
        let server = Server::answering(status, answer.clone()).await;
        let base_url: url::Url = server.0.uri().parse().unwrap();
        let endpoint = base_url.join("/v1/auth/token").unwrap();
        let by_crate = Envelope::at(endpoint, id(), secret());
        let dialect = Catalogue::built_in().dialect("envelope").unwrap();
        let by_dialect = Vendor::builder(dialect)
            .client_id(id())
            .client_secret(secret())
            .param("base_url", SecretRef::inline(server.0.uri()))
            .build()
            .unwrap();
        let from_crate = facts(fetch(&by_crate, &TokenRequest::new()).await);
        let from_dialect = facts(fetch(&by_dialect, &TokenRequest::new()).await);
        assert_eq!(from_crate, from_dialect, "{status} {answer}");
        same_request(&server).await;
    }
}
