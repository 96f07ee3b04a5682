//! What goes out to an envelope vendor, byte for byte, and what becomes of its answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use biped_core::{
    Error, ErrorKind, ExposeSecret as _, FetchContext, Provider as _, SecretRef, SystemClock,
    Token, TokenRequest,
};
use biped_envelope::Envelope;
use biped_reqwest::TokenClient;
use serde_json::{Value, json};
use url::Url;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path},
};

const ACCESS_TOKEN: &str = "sk-418e41a74ca2e7d941fa4456d73dbed7";

/// The vendor on loopback, and a client of it.
struct Vendor {
    server: MockServer,
    http: TokenClient,
}

impl Vendor {
    /// One that answers every token request with this.
    async fn answering(status: u16, body: Value) -> Self {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).set_body_json(body);
        Mock::given(method("POST"))
            .and(path("/v1/auth/token"))
            .respond_with(answer)
            .mount(&server)
            .await;
        Self {
            server,
            http: TokenClient::new().unwrap(),
        }
    }

    async fn giving_tokens() -> Self {
        Self::answering(
            200,
            json!({
                "data": {
                    "access_token": ACCESS_TOKEN,
                    "token_type": "Bearer",
                    "expires_in": 3600
                }
            }),
        )
        .await
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&self.server.uri()).unwrap().join(path).unwrap()
    }

    fn provider(&self, base_path: &str) -> Envelope {
        let secret = SecretRef::inline("s3cret&with=all+of %that;é");
        Envelope::new(
            &self.url(base_path),
            SecretRef::inline("YOUR_CLIENT_ID"),
            secret,
        )
    }

    async fn fetch(&self, provider: &Envelope, request: &TokenRequest) -> Result<Token, Error> {
        provider
            .fetch(request, &FetchContext::new(&self.http, &SystemClock))
            .await
    }

    async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}

const CREDENTIALS: &str =
    "client_id=YOUR_CLIENT_ID&client_secret=s3cret%26with%3Dall%2Bof+%25that%3B%C3%A9";

/// Checks one request whole: its line, the headers that matter, and its body to the byte.
fn assert_is_post(request: &Request, body: &str) {
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(request.url.path(), "/v1/auth/token");
    assert_eq!(request.url.query(), None);
    assert_eq!(
        request.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
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
async fn the_form_holds_the_credentials_and_nothing_else() {
    let vendor = Vendor::giving_tokens().await;
    let token = vendor
        .fetch(&vendor.provider("/"), &TokenRequest::new())
        .await
        .unwrap();
    assert_eq!(token.expose_secret(), ACCESS_TOKEN);
    assert_is_post(&vendor.requests().await[0], CREDENTIALS);
}

#[tokio::test]
async fn grant_type_and_scope_are_sent_if_given() {
    let vendor = Vendor::giving_tokens().await;
    let provider = vendor.provider("/").grant_type("client_credentials");
    vendor
        .fetch(&provider, &TokenRequest::new().scope("b a"))
        .await
        .unwrap();
    let body = format!("{CREDENTIALS}&grant_type=client_credentials&scope=b+a");
    assert_is_post(&vendor.requests().await[0], &body);
}

#[tokio::test]
async fn a_base_url_with_v1_asks_at_the_same_place() {
    let vendor = Vendor::giving_tokens().await;
    for base_path in ["/", "/v1", "/v1/"] {
        vendor
            .fetch(&vendor.provider(base_path), &TokenRequest::new())
            .await
            .unwrap();
    }
    let requests = vendor.requests().await;
    assert_eq!(requests.len(), 3);
    requests
        .iter()
        .for_each(|request| assert_is_post(request, CREDENTIALS));
}

#[tokio::test]
async fn tokens_carry_the_configured_base_url() {
    let vendor = Vendor::giving_tokens().await;
    let provider = vendor.provider("/v1");
    let token = vendor.fetch(&provider, &TokenRequest::new()).await.unwrap();
    assert_eq!(token.base_url(), Some(&vendor.url("/v1")));

    let elsewhere = Url::parse("https://api.vendor.example").unwrap();
    let provider = provider.api_base_url(elsewhere.clone());
    let token = vendor.fetch(&provider, &TokenRequest::new()).await.unwrap();
    assert_eq!(token.base_url(), Some(&elsewhere));

    let at = vendor.url("/v1/auth/token");
    let provider = Envelope::at(at, SecretRef::inline("id"), SecretRef::inline("secret"));
    let token = vendor.fetch(&provider, &TokenRequest::new()).await.unwrap();
    assert_eq!(token.base_url(), None);
}

#[tokio::test]
async fn what_can_not_be_right_is_found_before_anything_is_sent() {
    let vendor = Vendor::giving_tokens().await;
    let provider = vendor.provider("/");
    let with_param = TokenRequest::new().param("project_id", 42);
    let open = provider
        .clone()
        .api_base_url(Url::parse("http://api.vendor.example").unwrap());
    for (provider, request) in [(provider, with_param), (open, TokenRequest::new())] {
        let error = vendor.fetch(&provider, &request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    assert!(vendor.requests().await.is_empty());
}

#[tokio::test]
async fn a_wrong_secret_gives_the_vendors_words() {
    let vendor = Vendor::answering(
        401,
        json!({
            "error": {
                "code": "401021",
                "code_reason": "invalid_client",
                "message": "Invalid client_id, client_secret, or session_key"
            }
        }),
    )
    .await;
    let error = vendor
        .fetch(&vendor.provider("/"), &TokenRequest::new())
        .await
        .unwrap_err();
    assert!(error.refuses_client());
    let words = error.vendor().unwrap();
    assert_eq!(words.status, Some(401));
    assert_eq!(words.code.as_deref(), Some("401021"));
    assert_eq!(words.reason.as_deref(), Some("invalid_client"));
    assert_eq!(
        words.message.as_deref(),
        Some("Invalid client_id, client_secret, or session_key")
    );
}

#[tokio::test]
async fn not_found_points_at_the_base_url() {
    let vendor =
        Vendor::answering(404, json!({ "error": "Resource or endpoint not found." })).await;
    let error = vendor
        .fetch(&vendor.provider("/"), &TokenRequest::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(
        error.vendor().unwrap().message.as_deref(),
        Some("Resource or endpoint not found.")
    );
    let remedy = error.remedy().unwrap();
    assert!(remedy.contains("base_url"), "{remedy}");
    assert!(
        remedy.contains(vendor.url("/v1/auth/token").as_str()),
        "{remedy}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_secret() {
    let vendor = Vendor::giving_tokens().await;
    vendor.server.reset().await;
    let answer = ResponseTemplate::new(308).insert_header("Location", "/v1/elsewhere");
    Mock::given(path("/v1/auth/token"))
        .respond_with(answer)
        .mount(&vendor.server)
        .await;
    let error = vendor
        .fetch(&vendor.provider("/"), &TokenRequest::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert_eq!(vendor.requests().await.len(), 1);
}

#[tokio::test]
async fn a_token_that_cannot_be_sent_is_told_with_the_answers_status() {
    let vendor = Vendor::answering(201, json!({ "data": { "access_token": "a\nb" } })).await;
    let error = vendor
        .fetch(&vendor.provider("/"), &TokenRequest::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert_eq!(error.vendor().unwrap().status, Some(201));
}
