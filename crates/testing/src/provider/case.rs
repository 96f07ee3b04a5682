//! [`Case`]: a vendor's request and answers, as the checks need them.
#![allow(clippy::expect_used, clippy::panic)] // a case that is incomplete says so by panicking

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use biped_core::{ApiRequestParts, Error, Provider, TokenRequest};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::{Recorded, Reply};

/// The secret that the suite has the provider made with. No error and no `Debug` may show it.
pub const SECRET: &str = "S3cret-of-the-suite";

/// How a vendor is made to grant and to refuse: its answers, in its own form.
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

/// A response that can be given again.
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

/// A request, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Sent {
    /// A POST to this URL.
    #[must_use]
    pub fn post(url: impl Into<String>) -> Self {
        Self {
            method: "POST".into(),
            url: url.into(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// Adds a header. A request with any header that is not named here is another request.
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
    /// A provider, made with a secret by `make`, and what it is asked for. The suite makes it with
    /// another secret as well, and sees to it that the two share nothing.
    ///
    /// Its token endpoint may be anywhere; nothing is sent there. It must be one that asks with a
    /// single request, which looks the same each time.
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

    /// Tells the request that is expected, the [`SECRET`] in it.
    #[must_use]
    pub fn sends(mut self, request: Sent) -> Self {
        self.sends = Some(request);
        self
    }

    /// Tells an answer that grants a token of this text.
    #[must_use]
    pub fn grants(mut self, token: impl Into<String>, answer: Reply) -> Self {
        self.granted = Some((token.into(), Answer::of(answer)));
        self
    }

    /// Tells how long the granted token lives, if its answer says so.
    #[must_use]
    pub fn for_seconds(mut self, seconds: u64) -> Self {
        self.lifetime = Some(Duration::from_secs(seconds));
        self
    }

    /// Tells an answer that refuses the client's credentials, in the vendor's words.
    #[must_use]
    pub fn refuses_client(mut self, answer: Reply) -> Self {
        self.refused_client = Some(Answer::of(answer));
        self
    }

    /// Tells an answer that refuses this request, while another may be granted.
    #[must_use]
    pub fn refuses_request(mut self, answer: Reply) -> Self {
        self.refused_request = Some(Answer::of(answer));
        self
    }

    /// Tells how the API answers to a token that has expired. Default: an empty 401.
    #[must_use]
    pub fn rejects(mut self, answer: Reply) -> Self {
        self.rejected = Some(Answer::of(answer));
        self
    }

    /// Tells how a granting answer names the API's base URL, and the topmost host of the vendor's
    /// that is to be trusted, as `https://vendor.example`.
    ///
    /// Without it the suite puts hostile base URLs in place of the one in the answer that grants,
    /// where that names one just as it is.
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

    /// Gives the provider with [`SECRET`] once more, but for another value in one of its other
    /// credentials, such as its `certificate`: for those with several.
    #[must_use]
    pub fn differs_in(mut self, credential: impl Into<String>, other: Arc<dyn Provider>) -> Self {
        self.others.push((credential.into(), other));
        self
    }

    /// The provider, made with [`SECRET`].
    #[must_use]
    pub fn provider(&self) -> Arc<dyn Provider> {
        (self.make)(SECRET)
    }

    pub(super) fn granted(&self) -> &(String, Answer) {
        self.granted
            .as_ref()
            .expect("the case tells no granting answer; see Case::grants")
    }

    pub(super) fn refused_client(&self) -> &Answer {
        self.refused_client
            .as_ref()
            .expect("the case tells no refusal; see Case::refuses_client")
    }
}

impl Answer {
    pub(super) fn of(reply: Reply) -> Self {
        let Reply::Response(response) = reply else {
            panic!("a case is made of responses");
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
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
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

/// A call of an API, on its way out.
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
