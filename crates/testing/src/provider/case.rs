//! [`Case`]: a vendor's request and responses, for the checks.
#![allow(clippy::expect_used, clippy::panic)] // a case that is incomplete says so by panicking

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use biped_core::{ApiRequestParts, Error, Provider, TokenRequest};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::{Recorded, Reply};

/// The secret of the provider under test. No error and no `Debug` output may show it.
pub const SECRET: &str = "S3cret-of-the-suite";

/// A provider and its vendor's request and responses, in the vendor's own form.
pub struct Case {
    pub(super) make: Box<Make>,
    pub(super) request: TokenRequest,
    pub(super) sends: Option<Sent>,
    pub(super) granted: Option<(String, Answer)>,
    pub(super) lifetime: Option<Duration>,
    pub(super) refused_client: Option<Answer>,
    pub(super) refused_request: Option<Answer>,
    pub(super) rejected: Option<Answer>,
    pub(super) base_urls: Option<NamesBaseUrl>,
    pub(super) others: Vec<(String, Arc<dyn Provider>)>,
}

type Make = dyn Fn(&str) -> Arc<dyn Provider> + Send + Sync;

/// A response that can be repeated.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

pub(super) struct NamesBaseUrl {
    pub(super) trusted: String,
    pub(super) answer: Box<dyn Fn(&str) -> Reply + Send + Sync>,
}

/// A complete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Sent {
    /// Returns a POST request to this URL.
    #[must_use]
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url.into())
    }

    /// Returns a GET request to this URL, for the few vendors that want their token requests so. Its URL
    /// must not contain the secret, which a log would keep.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url.into())
    }

    fn new(method: &str, url: String) -> Self {
        Self {
            method: method.into(),
            url,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// Adds a header. All headers of the request must be added.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self.headers.sort();
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// Whether two requests differ in the spelling of their JSON bodies only.
    pub(super) fn is_same_json(&self, other: &Self) -> bool {
        let json = |sent: &Self| serde_json::from_str::<serde_json::Value>(&sent.body).ok();
        let without_body = |sent: &Self| Self {
            body: String::new(),
            ..sent.clone()
        };
        json(self).is_some_and(|body| json(other) == Some(body))
            && without_body(self) == without_body(other)
    }

    pub(super) fn of(recorded: &Recorded) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut headers: Vec<_> = recorded
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
            .collect();
        headers.sort();
        Self {
            method: recorded.method.to_string(),
            url: recorded.url.clone(),
            headers,
            body: text(&recorded.body),
        }
    }
}

impl Case {
    /// Returns the case of a provider that `make` builds with a secret, and of a token request. The
    /// suite also builds it with another secret, and checks that the two share nothing.
    ///
    /// The token endpoint may be any URL; no request is sent to it. The provider must send a single
    /// request, and the same one each time.
    pub fn new(
        make: impl Fn(&str) -> Arc<dyn Provider> + Send + Sync + 'static,
        request: TokenRequest,
    ) -> Self {
        Self {
            make: Box::new(make),
            request,
            sends: None,
            granted: None,
            lifetime: None,
            refused_client: None,
            refused_request: None,
            rejected: None,
            base_urls: None,
            others: Vec::new(),
        }
    }

    /// Sets the expected request, which contains [`SECRET`].
    #[must_use]
    pub fn sends(mut self, request: Sent) -> Self {
        self.sends = Some(request);
        self
    }

    /// Sets a response that grants this token.
    #[must_use]
    pub fn grants(mut self, token: impl Into<String>, answer: Reply) -> Self {
        self.granted = Some((token.into(), Answer::of(answer)));
        self
    }

    /// Sets the granted token's lifetime, if the response contains it.
    #[must_use]
    pub fn for_seconds(mut self, seconds: u64) -> Self {
        self.lifetime = Some(Duration::from_secs(seconds));
        self
    }

    /// Sets a response that refuses the client's credentials, in the vendor's form.
    #[must_use]
    pub fn refuses_client(mut self, answer: Reply) -> Self {
        self.refused_client = Some(Answer::of(answer));
        self
    }

    /// Sets a response that refuses this request, but not every request of the client.
    #[must_use]
    pub fn refuses_request(mut self, answer: Reply) -> Self {
        self.refused_request = Some(Answer::of(answer));
        self
    }

    /// Sets the API's response to an expired token. Default: an empty 401.
    ///
    /// If neither its headers nor its body tell it from others, its status alone rejects a token; that may
    /// be 403.
    #[must_use]
    pub fn rejects(mut self, answer: Reply) -> Self {
        self.rejected = Some(Answer::of(answer));
        self
    }

    /// Sets a response that grants a token and names a base URL, and the vendor's topmost trusted host,
    /// such as `https://vendor.example`.
    ///
    /// Without it, the suite replaces the base URL in the granting response by hostile ones, if the
    /// response contains the URL literally.
    #[must_use]
    pub fn names_base_url(
        mut self,
        trusted: &str,
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        self.base_urls = Some(NamesBaseUrl {
            trusted: trusted.into(),
            answer: Box::new(answer),
        });
        self
    }

    /// Adds a provider with [`SECRET`] that differs from the one under test in a single setting: a
    /// further credential, such as a `certificate`, or a setting on which it depends what a token is
    /// good for, such as the token endpoint or an account. The suite checks that its id differs.
    #[must_use]
    pub fn differs_in(mut self, setting: impl Into<String>, other: Arc<dyn Provider>) -> Self {
        self.others.push((setting.into(), other));
        self
    }

    /// Returns the provider, built with [`SECRET`].
    #[must_use]
    pub fn provider(&self) -> Arc<dyn Provider> {
        (self.make)(SECRET)
    }

    /// Whether the vendor's answer is the token itself, as text or in quotes, so that almost any other
    /// text would be a token as well.
    pub(super) fn grants_plain_text(&self) -> bool {
        let (token, answer) = self.granted();
        let body = String::from_utf8_lossy(&answer.body);
        let body = body.trim();
        body == token || serde_json::from_str::<String>(body).is_ok_and(|text| text == *token)
    }

    pub(super) fn granted(&self) -> &(String, Answer) {
        self.granted
            .as_ref()
            .expect("the case has no granting response; call Case::grants")
    }

    pub(super) fn refused_client(&self) -> &Answer {
        self.refused_client
            .as_ref()
            .expect("the case has no refusal; call Case::refuses_client")
    }
}

impl Answer {
    pub(super) fn of(reply: Reply) -> Self {
        let Reply::Response(response) = reply else {
            panic!("expected a response");
        };
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    pub(super) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    pub(super) fn reply(&self) -> Reply {
        let mut response = http::Response::new(self.body.clone());
        *response.status_mut() = StatusCode::from_u16(self.status).expect("a status");
        *response.headers_mut() = self.headers.clone();
        Reply::Response(response)
    }

    pub(super) fn with_status(&self, status: u16) -> Self {
        Self {
            status,
            ..self.clone()
        }
    }

    pub(super) fn with_body(&self, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..self.clone()
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// A request to an API.
pub(super) struct ApiCall {
    method: Method,
    url: Url,
    pub(super) headers: HeaderMap,
}

impl Default for ApiCall {
    fn default() -> Self {
        Self {
            method: Method::GET,
            url: Url::parse("https://api.vendor.example/things?page=1").expect("a URL"),
            headers: HeaderMap::new(),
        }
    }
}

impl ApiRequestParts for ApiCall {
    fn method(&self) -> &Method {
        &self.method
    }

    fn url(&self) -> Cow<'_, Url> {
        Cow::Borrowed(&self.url)
    }

    fn set_url(&mut self, url: Url) -> Result<(), Error> {
        self.url = url;
        Ok(())
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    fn body(&self) -> Option<&[u8]> {
        Some(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_another_spelling_of_its_json_is_told_from_another_one() {
        let sent = |body: &str| Sent::post("https://login.example/token").body(body);
        let expected = sent(r#"{"a": 1, "b": 2}"#);
        assert!(sent(r#"{"b":2,"a":1}"#).is_same_json(&expected));
        for other in [sent(r#"{"a":1,"b":3}"#), sent("a=1&b=2"), sent("")] {
            assert!(!other.is_same_json(&expected), "{other:?}");
        }
        assert!(!sent("a=1").is_same_json(&sent("a=1")));
        let header = sent(r#"{"b":2,"a":1}"#).header("x", "y");
        assert!(!header.is_same_json(&expected));
    }
}
