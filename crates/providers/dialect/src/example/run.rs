//! Running an [`Example`], without a network.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use biped_core::{
    ApiResponse, Clock, Error, ExposeSecret as _, FetchContext, HttpClient, IdentityRef,
    NoLifetime, Now, Provider as _, SecretRef, Token, TokenRequest, Verdict, async_trait,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value as Json;

use super::{
    ApiAnswer, Difference, EXAMPLE_TIME, Example, Exchange, ExpectedError, ExpectedToken,
    GivenResponse, Outcome,
    compare::{self, Differences},
    keys,
};
use crate::{
    dialect::{Dialect, Param},
    provider::Vendor,
};

impl Example {
    /// Runs the example without a network, and returns where the dialect does something else.
    #[must_use]
    pub fn run(&self, dialect: &Arc<Dialect>) -> Vec<Difference> {
        self.try_out(dialect).0
    }

    /// Does the same, and also returns why the lifetime of the token is assumed, if it is.
    pub(crate) fn try_out(&self, dialect: &Arc<Dialect>) -> (Vec<Difference>, Option<NoLifetime>) {
        let mut differences = Differences::hiding(self.secrets(dialect));
        match self.run_with(dialect, &mut differences) {
            Ok(()) => {}
            Err(error) => differences.add(self.line, "example", "no error", &error.to_string()),
        }
        (differences.found, differences.assumed)
    }

    /// The names and values of the secrets.
    fn secrets(&self, dialect: &Dialect) -> Vec<(String, String)> {
        let is_secret = |name: &str| {
            name == "client_secret" || dialect.param(name).is_some_and(Param::is_secret)
        };
        self.given
            .iter()
            .filter(|(name, _)| is_secret(name))
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect()
    }

    fn run_with(&self, dialect: &Arc<Dialect>, found: &mut Differences) -> Result<(), Error> {
        let mut vendor = Vendor::builder(dialect.clone()).for_an_example();
        let mut kept: Vec<(SecretRef, String)> = Vec::new();
        let mut request = TokenRequest::new();
        for (name, text) in &self.given {
            let text = keys::example(text)?;
            let secret = SecretRef::inline(text.clone());
            kept.push((secret.clone(), text.clone()));
            match &**name {
                "scope" => request = request.scope(text),
                "client_id" => vendor = vendor.client_id(secret),
                "client_secret" => vendor = vendor.client_secret(secret),
                _ => vendor = vendor.param(&**name, secret),
            }
        }
        if dialect.client_certificate {
            let none = SecretRef::inline("an example");
            vendor = vendor.certificate(IdentityRef {
                certificate: none.clone(),
                key: none,
            });
        }
        let vendor = vendor.build()?;
        let http = Script::of(&self.exchanges);
        let fetched = now_or_never(async {
            let cx = FetchContext::new(&http, &Still);
            vendor.fetch(&request, &cx).await
        })?;
        let sent = http.sent();
        for (at, exchange) in self.exchanges.iter().enumerate() {
            match sent.get(at) {
                Some(request) => compare::request(&exchange.request, request, found),
                None => {
                    // If there was an error, it is compared below.
                    let what = format!("request {}", at + 1);
                    found.add(exchange.request.line, &what, "a request", "none");
                }
            }
        }
        match (&self.outcome, fetched) {
            (Outcome::Token(expected), Ok(token)) => {
                found.assumed = token.assumed_lifetime();
                expected.compare(&token, found);
                expected.compare_attached(&vendor, &token, &kept, found)?;
            }
            (Outcome::Error(expected), Err(error)) => expected.compare(&error, found),
            (Outcome::Token(expected), Err(error)) => {
                found.add(expected.line, "expect", "a token", &error.to_string());
            }
            (Outcome::Error(expected), Ok(_)) => {
                found.add(expected.line, "error", "an error", "a token");
            }
            (Outcome::Unsaid, _) => found.add(self.line, "expect", "expect or error", "neither"),
        }
        for answer in &self.api {
            let rejected = answer.judged(&vendor) == Verdict::Rejected;
            if rejected != answer.rejected {
                let say = |yes| if yes { "rejected" } else { "accepted" };
                found.add(answer.line, "api", say(answer.rejected), say(rejected));
            }
        }
        Ok(())
    }
}

impl ExpectedToken {
    fn compare(&self, token: &Token, found: &mut Differences) {
        let parts = (&self.jwt_header, &self.jwt_claims);
        let text = token.expose_secret();
        compare::jwt(self.line, "expect.jwt", parts, Some(text), found);
        let is_jwt = self.token.as_deref() == Some("{jwt}") && text.split('.').count() == 3;
        let text = if is_jwt { "{jwt}" } else { text };
        let mut same = |what: &str, expected: Option<&str>, actual: Option<&str>| {
            if let Some(expected) = expected {
                found.compare(self.line, what, expected, actual.unwrap_or("missing"));
            }
        };
        same("expect.token", self.token.as_deref(), Some(text));
        let until_rejected = "until rejected".to_owned();
        let say = |life: Option<u64>| life.map_or(until_rejected.clone(), |life| life.to_string());
        let lifetime = self.lifetime.map(say);
        let actual = say(token.lifetime().map(|life| life.as_secs()));
        same("expect.lifetime", lifetime.as_deref(), Some(&actual));
        same(
            "expect.base_url",
            self.base_url.as_deref(),
            token.base_url().map(url::Url::as_str),
        );
        same("expect.scope", self.scope.as_deref(), token.scope());
        for (name, value) in &self.export {
            let actual = token.extra(name).and_then(Json::as_str);
            same(&format!("expect.export.{name}"), Some(value), actual);
        }
    }

    fn compare_attached(
        &self,
        vendor: &Vendor,
        token: &Token,
        kept: &[(SecretRef, String)],
        found: &mut Differences,
    ) -> Result<(), Error> {
        if self.attach_headers.is_empty() && self.attach_query.is_none() {
            return Ok(());
        }
        let kept: Vec<_> = kept
            .iter()
            .map(|(secret, text)| (secret, text.as_str()))
            .collect();
        let attached = compare::attached(|request| {
            vendor.attach_example(token, request, EXAMPLE_TIME, &kept)
        })?;
        compare::headers(
            self.line,
            "expect.attach",
            &self.attach_headers,
            &attached.headers,
            found,
        );
        let query = attached.query();
        found.compare(
            self.line,
            "expect.attach.query",
            self.attach_query.as_deref().unwrap_or_default(),
            &query,
        );
        Ok(())
    }
}

impl ExpectedError {
    fn compare(&self, error: &Error, found: &mut Differences) {
        let vendor = error.vendor().cloned().unwrap_or_default();
        let pairs = [
            ("error.code", &self.code, vendor.code),
            ("error.reason", &self.reason, vendor.reason),
            ("error.message", &self.message, vendor.message),
            ("error.kind", &self.kind, Some(error.kind().to_string())),
            (
                "error.invalid_client",
                &self.invalid_client.map(|yes| yes.to_string()),
                Some(error.refuses_client().to_string()),
            ),
        ];
        for (what, expected, actual) in pairs {
            if let Some(expected) = expected {
                found.compare(
                    self.line,
                    what,
                    expected,
                    actual.as_deref().unwrap_or("missing"),
                );
            }
        }
    }
}

impl ApiAnswer {
    fn judged(&self, vendor: &Vendor) -> Verdict {
        let headers = self.response.header_map();
        let status = StatusCode::from_u16(self.response.status).unwrap_or(StatusCode::OK);
        let response = ApiResponse::new(status, &headers, EXAMPLE_TIME);
        match vendor.judge(&response) {
            Verdict::NeedsBody { .. } => {
                let response = ApiResponse::new(status, &headers, EXAMPLE_TIME);
                vendor.judge(&response.with_body(&self.response.body))
            }
            verdict => verdict,
        }
    }
}

impl GivenResponse {
    fn header_map(&self) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).ok();
        self.headers
            .iter()
            .filter_map(|(name, text)| Some((name.clone(), value(text)?)))
            .collect()
    }
}

/// An HTTP client that replays the responses of an example, and records the requests.
#[derive(Debug)]
struct Script {
    answers: Vec<GivenResponse>,
    sent: Mutex<Vec<http::Request<Bytes>>>,
}

impl Script {
    fn of(exchanges: &[Exchange]) -> Self {
        Self {
            answers: exchanges.iter().map(|one| one.response.clone()).collect(),
            sent: Mutex::default(),
        }
    }

    fn sent(self) -> Vec<http::Request<Bytes>> {
        self.sent
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl HttpClient for Script {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = self.answers.get(sent.len()).ok_or_else(|| {
            Error::configuration(
                "the dialect sends more requests than the example has; add [[example.then]]",
            )
        })?;
        sent.push(request);
        let mut response = http::Response::new(answer.body.clone());
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
        *response.headers_mut() = answer.header_map();
        Ok(response)
    }
}

/// A clock that always shows the time of the examples.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now {
            mono: Duration::ZERO,
            wall: EXAMPLE_TIME,
        }
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

/// Returns the value of a future that never waits.
fn now_or_never<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err(Error::internal("an example waits")),
    }
}
