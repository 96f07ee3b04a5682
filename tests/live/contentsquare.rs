//! Contentsquare itself, with real credentials from the environment:
//!
//! | variable | |
//! | --- | --- |
//! | `BIPED_LIVE_CS_CLIENT_ID`, `BIPED_LIVE_CS_CLIENT_SECRET` | required; credentials with the scope `data-export` |
//! | `BIPED_LIVE_CS_PROJECT_ID` | required with account-level credentials |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;

use biped::{Biped, ErrorKind};

fn application(client_secret: &str) -> Biped {
    let mut builder = Biped::builder()
        .without_environment()
        .toml("providers.live = { kind = 'contentsquare', scope = 'data-export' }")
        .value(
            "providers.live.client_id",
            text("env:BIPED_LIVE_CS_CLIENT_ID"),
        )
        .value("providers.live.client_secret", text(client_secret));
    if let Ok(project) = env::var("BIPED_LIVE_CS_PROJECT_ID") {
        let project = project
            .parse()
            .expect("BIPED_LIVE_CS_PROJECT_ID is a number");
        builder = builder.value(
            "providers.live.project_id",
            biped::config::Value::Integer(project),
        );
    }
    builder.build().unwrap()
}

fn text(text: &str) -> biped::config::Value {
    biped::config::Value::Text(text.into())
}

#[tokio::test]
#[ignore = "needs real credentials in BIPED_LIVE_CS_CLIENT_ID, BIPED_LIVE_CS_CLIENT_SECRET and, for an account's, \
            BIPED_LIVE_CS_PROJECT_ID: cargo test -p biped-tests --test live_contentsquare -- --ignored"]
async fn a_token_an_inspection_and_a_call_of_data_export() {
    let biped = application("env:BIPED_LIVE_CS_CLIENT_SECRET");
    let source = biped.token_source("live").unwrap();
    let token = source.token().await.unwrap().into_owned();
    assert!(token.lifetime().is_some_and(|life| !life.is_zero()));
    let base_url = source
        .base_url(&token)
        .expect("every token names its cloud");
    assert_eq!(base_url.scheme(), "https");
    assert!(base_url.host_str().unwrap().ends_with("contentsquare.com"));

    let inspection = source.inspect().await.unwrap().expect("/v1/oauth/me");
    assert!(inspection.scopes.iter().any(|scope| scope == "data-export"));

    let call = biped
        .client("live")
        .unwrap()
        .get("/v1/exports")
        .query(&[("limit", "1")]);
    let response = call.send().await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    let answer: serde_json::Value = response.json().await.unwrap();
    assert!(answer.is_object());
}

#[tokio::test]
#[ignore = "needs a real client in BIPED_LIVE_CS_CLIENT_ID, which it sends one wrong secret for: \
            cargo test -p biped-tests --test live_contentsquare -- --ignored"]
async fn a_wrong_secret_is_refused_in_the_vendors_words() {
    let biped = application("inline:not the secret");
    let error = biped
        .token_source("live")
        .unwrap()
        .token()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.vendor().is_some_and(biped::VendorError::has_words));
}
