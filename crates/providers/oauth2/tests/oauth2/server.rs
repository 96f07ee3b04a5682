//! An authorization server on loopback, and the client of these tests.

use biped_core::{Error, FetchContext, Provider, SecretRef, SystemClock, Token, TokenRequest};
use biped_oauth2::OAuth2;
use biped_reqwest::TokenClient;
use serde_json::{Value, json};
use url::Url;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path},
};

pub(crate) const CLIENT: &str = "client-7";
pub(crate) const SECRET: &str = "p %&:+~/-._*é";

pub(crate) struct Server {
    pub(crate) mock: MockServer,
    pub(crate) http: TokenClient,
}

impl Server {
    pub(crate) async fn new() -> Self {
        Self {
            mock: MockServer::start().await,
            http: TokenClient::new().unwrap(),
        }
    }

    /// A server that gives every request a token.
    pub(crate) async fn generous() -> Self {
        let server = Self::new().await;
        server.answers("/token", granted("t-1")).await;
        server
    }

    pub(crate) async fn answers(&self, at: &str, answer: ResponseTemplate) -> &Self {
        Mock::given(method("POST"))
            .and(path(at))
            .respond_with(answer)
            .mount(&self.mock)
            .await;
        self
    }

    /// Answers once like this, before whatever else is answered there.
    pub(crate) async fn answers_once(&self, at: &str, answer: ResponseTemplate) -> &Self {
        Mock::given(path(at))
            .respond_with(answer)
            .up_to_n_times(1)
            .with_priority(1)
            .mount(&self.mock)
            .await;
        self
    }

    /// Serves this document there.
    pub(crate) async fn serves(&self, at: &str, answer: ResponseTemplate) -> &Self {
        Mock::given(method("GET"))
            .and(path(at))
            .respond_with(answer)
            .mount(&self.mock)
            .await;
        self
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&self.mock.uri()).unwrap().join(path).unwrap()
    }

    /// The client at `/token`, without credentials.
    pub(crate) fn client(&self) -> OAuth2 {
        OAuth2::at(self.url("/token"), SecretRef::inline(CLIENT))
    }

    /// The client at `/token`, with its secret.
    pub(crate) fn client_with_secret(&self) -> OAuth2 {
        self.client().client_secret(SecretRef::inline(SECRET))
    }

    pub(crate) fn context(&self) -> FetchContext<'_> {
        FetchContext::new(&self.http, &SystemClock)
    }

    pub(crate) async fn fetch(&self, provider: &OAuth2) -> Result<Token, Error> {
        self.fetch_for(provider, &TokenRequest::new()).await
    }

    pub(crate) async fn fetch_for(
        &self,
        provider: &OAuth2,
        request: &TokenRequest,
    ) -> Result<Token, Error> {
        provider.fetch(request, &self.context()).await
    }

    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.mock.received_requests().await.unwrap()
    }

    /// The body of the latest request, as it was sent.
    pub(crate) async fn body(&self) -> String {
        let requests = self.requests().await;
        String::from_utf8(requests.last().unwrap().body.clone()).unwrap()
    }
}

pub(crate) fn granted(text: &str) -> ResponseTemplate {
    json_answer(
        200,
        &json!({ "access_token": text, "token_type": "Bearer", "expires_in": 3600 }),
    )
}

pub(crate) fn json_answer(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

/// A field of a form, decoded.
pub(crate) fn field(request: &Request, name: &str) -> Option<String> {
    url::form_urlencoded::parse(&request.body)
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

/// A part of a JWT, unverified.
pub(crate) fn part(jwt: &str, at: usize) -> Value {
    use base64::Engine as _;
    let part = jwt.split('.').nth(at).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

pub(crate) fn header(jwt: &str) -> Value {
    part(jwt, 0)
}

pub(crate) fn claims(jwt: &str) -> Value {
    part(jwt, 1)
}

pub(crate) fn now() -> i64 {
    biped_core::Clock::now(&SystemClock).wall.unix_seconds()
}
