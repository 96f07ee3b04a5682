//! What goes out to Contentsquare, byte for byte, and what becomes of its answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use biped_contentsquare::{Contentsquare, ContentsquareRequest as _, Scope};
use biped_core::{
    Error, ErrorKind, ExposeSecret as _, FetchContext, Provider as _, SecretRef, SystemClock,
    Timestamp, Token, TokenRequest,
};
use biped_engine::TokenManager;
use biped_reqwest::{ApiClient, TokenClient};
use biped_testing::ManualClock;
use serde_json::{Value, json};
use url::Url;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{body_partial_json, method, path},
};

/// The credentials of the vendor's documents: the secret has characters that forms would escape.
const CLIENT_ID: &str = "c3133d76-a768-4f5a-XXX";
const CLIENT_SECRET: &str = "0ISL0DEC;UyYKB;riWRS0EXXX";

/// Contentsquare on loopback, and a client of it.
struct Vendor {
    server: MockServer,
    http: TokenClient,
}

impl Vendor {
    async fn new() -> Self {
        Self {
            server: MockServer::start().await,
            http: TokenClient::new().unwrap(),
        }
    }

    async fn answers(&self, at: &str, status: u16, body: Value) -> &Self {
        let answer = ResponseTemplate::new(status).set_body_json(body);
        Mock::given(method("POST"))
            .and(path(at))
            .respond_with(answer)
            .mount(&self.server)
            .await;
        self
    }

    fn provider(&self) -> Contentsquare {
        let endpoint = Url::parse(&self.server.uri())
            .unwrap()
            .join("/v1/oauth/token")
            .unwrap();
        Contentsquare::new(
            SecretRef::inline(CLIENT_ID),
            SecretRef::inline(CLIENT_SECRET),
        )
        .token_endpoint(&endpoint)
    }

    async fn fetch(&self, request: &TokenRequest) -> Result<Token, Error> {
        self.provider()
            .fetch(request, &FetchContext::new(&self.http, &SystemClock))
            .await
    }

    async fn inspect(&self) -> Result<biped_core::Inspection, Error> {
        let cx = FetchContext::new(&self.http, &SystemClock);
        let provider = self
            .provider()
            .client_secret_created(Timestamp::from_unix_seconds(0));
        Ok(provider
            .inspect(&TokenRequest::new(), &cx)
            .await?
            .expect("this vendor tells"))
    }

    async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}

const TOKEN: &str = "/v1/oauth/token";
const ME: &str = "/v1/oauth/me";

fn token_answer(endpoint: &str) -> Value {
    json!({
        "access_token": "eyJhbGciOiJSIsImtpY5MTXXX.CNTcKWAUb2mTp2cZyiDRYYOtGCKXXX",
        "token_type": "bearer",
        "expires_in": 3600,
        "scope": "data-export",
        "project_id": 42,
        "endpoint": endpoint,
    })
}

fn me_answer(projects: &Value) -> Value {
    json!({
        "scopes": "metrics data-export session-replay symbolicator",
        "permissions": { "projects": projects },
    })
}

fn two_projects() -> Value {
    json!([{ "id": 42, "name": "UX ANALYTICS" }, { "id": 43, "name": "SHOP" }])
}

/// Checks one request whole: its line, the headers that matter, and its body to the byte.
fn assert_is_post(request: &Request, path: &str, body: &str) {
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(request.url.path(), path);
    assert_eq!(request.url.query(), None);
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["accept"], "application/json");
    assert_eq!(
        request.headers["content-length"],
        body.len().to_string().as_str()
    );
    for absent in ["authorization", "cookie", "referer"] {
        assert!(!request.headers.contains_key(absent), "{absent}");
    }
    assert_eq!(std::str::from_utf8(&request.body).unwrap(), body);
}

#[tokio::test]
async fn a_token_request_is_json_with_integers() {
    let vendor = Vendor::new().await;
    vendor.answers(TOKEN, 200, token_answer("")).await;
    let request = TokenRequest::new()
        .scope(Scope::Enrichment)
        .project(42)
        .integration(123);
    vendor.fetch(&request).await.unwrap();
    assert_is_post(
        &vendor.requests().await[0],
        TOKEN,
        r#"{"client_id":"c3133d76-a768-4f5a-XXX","client_secret":"0ISL0DEC;UyYKB;riWRS0EXXX","grant_type":"client_credentials","scope":"enrichment","project_id":42,"integration_id":123}"#,
    );
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_sent() {
    let vendor = Vendor::new().await;
    vendor.answers(TOKEN, 200, token_answer("")).await;
    let request = TokenRequest::new().scopes([Scope::Metrics, Scope::DataExport]);
    vendor.fetch(&request).await.unwrap();
    assert_is_post(
        &vendor.requests().await[0],
        TOKEN,
        r#"{"client_id":"c3133d76-a768-4f5a-XXX","client_secret":"0ISL0DEC;UyYKB;riWRS0EXXX","grant_type":"client_credentials","scope":"metrics data-export"}"#,
    );
}

#[tokio::test]
async fn every_api_has_its_scope_and_unknown_ones_are_sent() {
    let vendor = Vendor::new().await;
    vendor.answers(TOKEN, 200, token_answer("")).await;
    let scopes = [
        (Scope::DataExport, "data-export"),
        (Scope::Metrics, "metrics"),
        (Scope::SpeedAnalysis, "speed-analysis"),
        (Scope::SessionReplay, "session-replay"),
        (Scope::Symbolicator, "symbolicator"),
        (Scope::from("brand-new"), "brand-new"),
    ];
    for (scope, _) in &scopes {
        vendor
            .fetch(&TokenRequest::new().scope(scope))
            .await
            .unwrap();
    }
    let sent: Vec<Value> = vendor
        .requests()
        .await
        .iter()
        .map(|request| request.body_json().unwrap())
        .collect();
    for (sent, (_, expected)) in sent.iter().zip(&scopes) {
        assert_eq!(sent["scope"], *expected);
    }
    assert_eq!(sent.len(), scopes.len());
}

#[tokio::test]
async fn rules_are_checked_before_anything_is_sent() {
    let vendor = Vendor::new().await;
    vendor.answers(TOKEN, 200, token_answer("")).await;
    for request in [
        TokenRequest::new(),
        TokenRequest::new().project(42),
        TokenRequest::new()
            .scope("data-export enrichment")
            .integration(123),
        TokenRequest::new().scope(Scope::Enrichment).project(42),
        TokenRequest::new()
            .scope(Scope::Metrics)
            .param("project_id", "42"),
        TokenRequest::new()
            .scope(Scope::Metrics)
            .param("project", 42),
    ] {
        let error = vendor.fetch(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{request}");
        assert!(error.remedy().is_some(), "{request}");
    }
    assert!(vendor.requests().await.is_empty());
}

#[tokio::test]
async fn each_token_carries_the_base_url_of_its_project() {
    let vendor = Vendor::new().await;
    let clouds = [
        (42, "https://api.eu-west-1.production.contentsquare.com"),
        (43, "https://api.us-east-1.production.contentsquare.com"),
    ];
    for (project, base_url) in clouds {
        let mut answer = token_answer(base_url);
        answer["project_id"] = project.into();
        Mock::given(path(TOKEN))
            .and(body_partial_json(json!({ "project_id": project })))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(&vendor.server)
            .await;
    }
    let manager = TokenManager::builder(Arc::new(TokenClient::new().unwrap())).build();
    let account = manager.source(
        Arc::new(vendor.provider()),
        TokenRequest::new().scope(Scope::DataExport),
    );
    for (project, base_url) in clouds {
        let source = account.clone().project(project);
        let token = source.token().await.unwrap();
        assert_eq!(
            source.base_url(&token),
            Some(&Url::parse(base_url).unwrap())
        );
    }
}

#[tokio::test]
async fn a_project_is_set_on_a_request_a_source_and_a_client_alike() {
    let vendor = Vendor::new().await;
    let manager = TokenManager::builder(Arc::new(TokenClient::new().unwrap())).build();
    let request = TokenRequest::new().scope(Scope::Metrics);
    let source = manager.source(Arc::new(vendor.provider()), request.clone());
    let wanted = request.project(42).integration(7);
    assert_eq!(*source.clone().project(42).integration(7).request(), wanted);
    let client = ApiClient::new(source).unwrap().project(42).integration(7);
    assert_eq!(*client.token_source().request(), wanted);
}

#[tokio::test]
async fn a_sandbox_on_loopback_may_name_a_cloud_on_loopback() {
    let vendor = Vendor::new().await;
    vendor
        .answers(TOKEN, 200, token_answer("http://127.0.0.1:7601"))
        .await;
    let token = vendor
        .fetch(&TokenRequest::new().scope(Scope::DataExport))
        .await
        .unwrap();
    assert_eq!(
        token.base_url().map(Url::as_str),
        Some("http://127.0.0.1:7601/")
    );
}

#[tokio::test]
async fn bearer_is_sent_as_the_scheme_is_written() {
    let vendor = Vendor::new().await;
    vendor.answers(TOKEN, 200, token_answer("")).await;
    let token = vendor
        .fetch(&TokenRequest::new().scope(Scope::DataExport))
        .await
        .unwrap();
    assert_eq!(token.token_type(), "bearer");
    assert_eq!(token.header(), &format!("Bearer {}", token.expose_secret()));
    assert!(token.header().is_sensitive());
}

#[tokio::test]
async fn a_token_for_another_project_is_an_error() {
    let vendor = Vendor::new().await;
    vendor.answers(TOKEN, 200, token_answer("")).await;
    let request = TokenRequest::new().scope(Scope::DataExport).project(43);
    assert_eq!(
        vendor.fetch(&request).await.unwrap_err().kind(),
        ErrorKind::InvalidResponse
    );
}

#[tokio::test]
async fn inspect_asks_me_with_the_credentials_alone() {
    let vendor = Vendor::new().await;
    vendor.answers(ME, 200, me_answer(&two_projects())).await;
    let inspection = vendor.inspect().await.unwrap();
    assert_is_post(
        &vendor.requests().await[0],
        ME,
        r#"{"client_id":"c3133d76-a768-4f5a-XXX","client_secret":"0ISL0DEC;UyYKB;riWRS0EXXX"}"#,
    );
    assert_eq!(
        inspection.scopes,
        ["metrics", "data-export", "session-replay", "symbolicator"]
    );
    let ids: Vec<_> = inspection
        .choices
        .iter()
        .map(|project| project.value.as_integer())
        .collect();
    assert_eq!(ids, [Some(42), Some(43)]);
    assert_eq!(
        inspection.expires_at,
        Some(Timestamp::from_unix_seconds(365 * 24 * 60 * 60))
    );
}

#[tokio::test]
async fn inspect_gives_the_vendors_refusal() {
    let vendor = Vendor::new().await;
    vendor
        .answers(
            ME,
            401,
            json!({ "success": false, "errorCode": "NO_SUCH_CLIENT" }),
        )
        .await;
    let error = vendor.inspect().await.unwrap_err();
    assert_eq!(
        error.vendor().unwrap().code.as_deref(),
        Some("NO_SUCH_CLIENT")
    );
    assert!(error.refuses_client());
}

fn project_required() -> Value {
    json!({ "success": false, "errorCode": "PROJECT_REQUIRED", "errorMessage": "No project." })
}

#[tokio::test]
async fn account_credentials_without_a_project_are_told_which_there_are() {
    for status in [400, 401, 403] {
        told_which_projects_there_are(status).await;
    }
}

async fn told_which_projects_there_are(status: u16) {
    let vendor = Vendor::new().await;
    vendor.answers(TOKEN, status, project_required()).await;
    vendor.answers(ME, 200, me_answer(&two_projects())).await;
    let error = vendor
        .fetch(&TokenRequest::new().scope(Scope::DataExport))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(
        error.vendor().unwrap().code.as_deref(),
        Some("PROJECT_REQUIRED")
    );
    let remedy = error.remedy().unwrap();
    for named in ["project_id", "42 (UX ANALYTICS)", "43 (SHOP)"] {
        assert!(remedy.contains(named), "{remedy}");
    }
    let paths: Vec<_> = vendor
        .requests()
        .await
        .iter()
        .map(|request| request.url.path().to_owned())
        .collect();
    assert_eq!(paths, [TOKEN, ME]);
}

#[tokio::test]
async fn a_project_that_is_not_permitted_is_told_with_those_that_are() {
    let vendor = Vendor::new().await;
    let refusal = json!({ "errorCode": "X", "errorMessage": "No access to project 99." });
    vendor.answers(TOKEN, 403, refusal).await;
    vendor.answers(ME, 200, me_answer(&two_projects())).await;
    let request = TokenRequest::new().scope(Scope::DataExport);
    let error = vendor
        .fetch(&request.clone().project(42))
        .await
        .unwrap_err();
    assert_eq!(error.remedy(), None, "the project is permitted");
    let error = vendor.fetch(&request.project(99)).await.unwrap_err();
    assert_eq!(error.vendor().unwrap().status, Some(403));
    let remedy = error.remedy().unwrap();
    assert!(remedy.contains("42 (UX ANALYTICS), 43 (SHOP)"), "{remedy}");
}

#[tokio::test]
async fn a_refusal_stands_when_me_tells_nothing() {
    let other = json!({ "errorCode": "SCOPE_NOT_PERMITTED" });
    let one_project = me_answer(&json!([{ "id": 42, "name": "UX ANALYTICS" }]));
    for (status, body, refusal, remedy) in [
        (200, one_project.clone(), project_required(), Some("42")),
        (200, me_answer(&json!([])), project_required(), Some("")),
        (
            401,
            json!({ "errorCode": "X" }),
            project_required(),
            Some(""),
        ),
        (503, json!("down"), project_required(), Some("")),
        (200, one_project, other.clone(), None),
        (503, json!("down"), other, None),
    ] {
        let vendor = Vendor::new().await;
        vendor.answers(TOKEN, 400, refusal.clone()).await;
        vendor.answers(ME, status, body).await;
        let error = vendor
            .fetch(&TokenRequest::new().scope(Scope::DataExport))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(
            error.vendor().unwrap().code.as_deref(),
            refusal["errorCode"].as_str()
        );
        match remedy {
            Some(named) => {
                let told = error.remedy().unwrap();
                assert!(
                    told.contains("project_id") && told.contains(named),
                    "{told}"
                );
            }
            None => assert_eq!(error.remedy(), None),
        }
        assert_eq!(vendor.requests().await.len(), 2);
    }
}

/// Refuses a token, and never says which projects there are.
#[derive(Debug)]
struct SilentMe;

#[biped_core::async_trait]
impl biped_core::HttpClient for SilentMe {
    async fn send(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> Result<http::Response<bytes::Bytes>, Error> {
        if request.uri().path() == ME {
            return std::future::pending().await;
        }
        let mut answer = http::Response::new(project_required().to_string().into());
        *answer.status_mut() = http::StatusCode::BAD_REQUEST;
        Ok(answer)
    }
}

#[tokio::test]
async fn a_refusal_does_not_wait_long_for_me() {
    let clock = Arc::new(ManualClock::new());
    let fetching = tokio::spawn({
        let clock = clock.clone();
        async move {
            let secret = SecretRef::inline(CLIENT_SECRET);
            let provider = Contentsquare::new(SecretRef::inline(CLIENT_ID), secret);
            let cx = FetchContext::new(&SilentMe, &*clock);
            let request = TokenRequest::new().scope(Scope::DataExport);
            provider.fetch(&request, &cx).await
        }
    });
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(std::time::Duration::from_secs(5));
    let error = fetching.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.remedy().unwrap().contains("project_id"));
}

#[tokio::test]
async fn me_is_asked_only_where_the_project_may_be_the_reason() {
    let any = TokenRequest::new().scope(Scope::DataExport);
    for (status, body, request) in [
        (401, json!({ "error": "invalid_client" }), any.clone()),
        (400, json!({ "errorCode": "invalid_client" }), any.clone()),
        (401, json!({}), any.clone()),
        (503, project_required(), any.clone()),
        (429, project_required(), any.clone()),
        (200, json!({}), any.clone()),
        (
            403,
            json!({ "errorCode": "SCOPE_NOT_PERMITTED" }),
            any.project(42),
        ),
    ] {
        let vendor = Vendor::new().await;
        vendor.answers(TOKEN, status, body.clone()).await;
        vendor.answers(ME, 200, me_answer(&two_projects())).await;
        vendor.fetch(&request).await.unwrap_err();
        assert_eq!(
            vendor.requests().await.len(),
            1,
            "{status} {body} {request}"
        );
    }
}

#[tokio::test]
async fn an_answer_tells_when_to_come_back() {
    let vendor = Vendor::new().await;
    let answer = ResponseTemplate::new(429).insert_header("Retry-After", "7");
    Mock::given(path(TOKEN))
        .respond_with(answer)
        .mount(&vendor.server)
        .await;
    let error = vendor
        .fetch(&TokenRequest::new().scope(Scope::Metrics))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(7)));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_secret() {
    let vendor = Vendor::new().await;
    let answer = ResponseTemplate::new(307).insert_header("Location", "/elsewhere");
    Mock::given(path(TOKEN))
        .respond_with(answer)
        .mount(&vendor.server)
        .await;
    let error = vendor
        .fetch(&TokenRequest::new().scope(Scope::Metrics))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert_eq!(vendor.requests().await.len(), 1);
}
