//! A vendor on loopback, and a client of it that goes by a dialect.

use std::sync::Arc;

use biped_core::{Error, FetchContext, Provider as _, SecretRef, SystemClock, Token, TokenRequest};
use biped_dialect::{Dialect, Vendor, VendorBuilder};
use biped_engine::{TokenManager, TokenSource};
use biped_reqwest::{ApiClient, TokenClient};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{any, path},
};

pub(crate) const SECRET: &str = "s3cret&with=all+of %that;é";

pub(crate) struct Server(pub(crate) MockServer);

impl Server {
    /// One that answers everything with this.
    pub(crate) async fn answering(status: u16, body: Value) -> Self {
        Self::with(ResponseTemplate::new(status).set_body_json(body)).await
    }

    pub(crate) async fn with(answer: ResponseTemplate) -> Self {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        Self(server)
    }

    /// One that gives out a token as RFC 6749 says.
    pub(crate) async fn giving_tokens() -> Self {
        Self::answering(200, token_answer()).await
    }

    /// One that answers nothing yet.
    pub(crate) async fn empty() -> Self {
        Self(MockServer::start().await)
    }

    pub(crate) async fn at(&self, place: &str, status: u16, body: Value) -> &Self {
        let answer = ResponseTemplate::new(status).set_body_json(body);
        Mock::given(path(place))
            .respond_with(answer)
            .mount(&self.0)
            .await;
        self
    }

    /// The dialect, whose `{origin}` is this server.
    pub(crate) fn vendor(&self, dialect: &str) -> VendorBuilder {
        let dialect = match Dialect::from_toml(dialect, "test.toml") {
            Ok(dialect) => Arc::new(dialect),
            Err(error) => panic!("{error}"),
        };
        let mut vendor = Vendor::builder(dialect.clone());
        if dialect.uses_client_id() {
            vendor = vendor.client_id(SecretRef::inline("client 7"));
        }
        if dialect.uses_client_secret() {
            vendor = vendor.client_secret(SecretRef::inline(SECRET));
        }
        if dialect.params().any(|param| param.name() == "origin") {
            vendor = vendor.param("origin", SecretRef::inline(self.0.uri()));
        }
        vendor
    }

    pub(crate) async fn fetch(
        &self,
        vendor: VendorBuilder,
        request: &TokenRequest,
    ) -> Result<Token, Error> {
        let http = TokenClient::new().unwrap();
        vendor
            .build()?
            .fetch(request, &FetchContext::new(&http, &SystemClock))
            .await
    }

    /// Fetches by this dialect.
    pub(crate) async fn token(&self, dialect: &str) -> Result<Token, Error> {
        self.fetch(self.vendor(dialect), &TokenRequest::new()).await
    }

    /// The one request that a fetch by this dialect sends.
    pub(crate) async fn sent(&self, dialect: &str) -> Sent {
        self.token(dialect).await.unwrap();
        self.last().await
    }

    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.0.received_requests().await.unwrap()
    }

    pub(crate) async fn last(&self) -> Sent {
        Sent(self.requests().await.pop().expect("a request was sent"))
    }

    /// Tokens as an application gets them, for the API on this server.
    pub(crate) fn source(&self, vendor: VendorBuilder) -> TokenSource {
        let http = Arc::new(TokenClient::new().unwrap());
        TokenManager::builder(http)
            .build()
            .source(Arc::new(vendor.build().unwrap()), TokenRequest::new())
            .with_api_base_url(Some(self.0.uri().parse().unwrap()))
    }

    /// A client of the API, which is on this server too.
    pub(crate) fn client(&self, vendor: VendorBuilder) -> ApiClient {
        ApiClient::new(self.source(vendor)).unwrap()
    }
}

pub(crate) fn token_answer() -> Value {
    json!({ "access_token": "t-1", "token_type": "Bearer", "expires_in": 3600 })
}

/// A request as it came.
pub(crate) struct Sent(pub(crate) Request);

impl Sent {
    pub(crate) fn line(&self) -> String {
        let query = self
            .0
            .url
            .query()
            .map_or(String::new(), |query| format!("?{query}"));
        format!("{} {}{query}", self.0.method, self.0.url.path())
    }

    pub(crate) fn body(&self) -> &str {
        std::str::from_utf8(&self.0.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.0.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Some(self.0.headers.get(name)?.to_str().unwrap())
    }
}
