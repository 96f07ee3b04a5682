//! Parameters whose values another party makes, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use biped_config::{ConfigTable, Origin, Problem, ProviderConfig};
use biped_core::{ErrorKind, ExposeSecret, FetchContext, Provider, SystemClock, TokenRequest};
use biped_dialect::kind;
use biped_reqwest::TokenClient;
use serde_json::json;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path},
};

const DIALECT: &str = r#"
url = "https://vendor.example/token"
fields = { assertion = "{assertion}" }

[about]
title = "A vendor"
docs = "https://vendor.example"

[about.params]
assertion = { says = "who we are", secret = true }
"#;

struct Stage {
    server: MockServer,
    directory: tempfile::TempDir,
}

impl Stage {
    async fn new(dialect: &str) -> Self {
        let stage = Self {
            server: MockServer::start().await,
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::write(stage.directory.path().join("mine.toml"), dialect).unwrap();
        stage
    }

    fn build(&self, params: &str) -> Result<Arc<dyn Provider>, Vec<Problem>> {
        let server = self.server.uri();
        let toml = format!(
            "file = 'mine.toml'\nclient_id = 'a'\nclient_secret = 'b'\ntoken_endpoint = '{server}/token'\n[params]\n{}",
            params.replace("URL", &server)
        );
        let file = self.directory.path().join("biped.toml");
        let values = ConfigTable::from_toml(&file, &toml).unwrap().into_values();
        let config = ProviderConfig::new("shop", "dialect", Origin::Builder, values);
        kind().build(&config)
    }
}

#[tokio::test]
async fn a_parameter_may_be_what_a_platform_says() {
    let stage = Stage::new(DIALECT).await;
    let platform = ResponseTemplate::new(200).set_body_string("f.r.p");
    Mock::given(path("/platform"))
        .respond_with(platform)
        .mount(&stage.server)
        .await;
    let vendor = ResponseTemplate::new(200).set_body_json(json!({ "access_token": "t-1" }));
    Mock::given(method("POST"))
        .respond_with(vendor)
        .mount(&stage.server)
        .await;
    let provider = stage.build("assertion = { url = 'URL/platform' }").unwrap();
    let http = TokenClient::new().unwrap();
    let cx = FetchContext::new(&http, &SystemClock);
    let token = provider.fetch(&TokenRequest::new(), &cx).await.unwrap();
    assert_eq!(token.expose_secret(), "t-1");
    let requests = stage.server.received_requests().await.unwrap();
    let body = |request: &Request| String::from_utf8(request.body.clone()).unwrap();
    let last = body(requests.last().unwrap());
    assert!(last.contains("f.r.p"), "{last}");

    let other = stage
        .build("assertion = { url = 'URL/elsewhere' }")
        .unwrap();
    assert_ne!(provider.id(), other.id());
    let error = other.fetch(&TokenRequest::new(), &cx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(error.token_source().is_some());
}

#[tokio::test]
async fn a_token_of_another_party_stays_out_of_urls_and_names_what_is_wrong() {
    let stage = Stage::new(DIALECT).await;
    let Err(problems) = stage.build("assertion = { gitub = {} }") else {
        panic!("it is accepted");
    };
    assert!(
        problems
            .iter()
            .any(|it| it.key.contains("params.assertion")),
        "{problems:?}"
    );

    let in_url = DIALECT.replace("/token\"", "/{assertion}/token\"");
    let in_url = in_url.replace("fields = { assertion = \"{assertion}\" }", "");
    let stage = Stage::new(&in_url.replace(", secret = true", "")).await;
    let Err(problems) = stage.build("assertion = { github = {} }") else {
        panic!("it is accepted");
    };
    assert!(
        problems
            .iter()
            .any(|it| it.key.contains("params.assertion")),
        "{problems:?}"
    );
}
