//! [`Envelope`]: the provider itself.

use std::sync::Arc;

use biped_core::{
    BaseUrls, Error, ErrorKind, ExposeSecret, FetchContext, PlainHttp, Provider, ProviderId,
    SecretRef, Token, TokenRequest, async_trait, redacted_url, wire,
};
use url::Url;

use crate::answer;

/// A client at an envelope vendor.
///
/// ```
/// use biped_core::{Provider as _, SecretRef};
/// use biped_envelope::Envelope;
/// use url::Url;
///
/// let base_url = Url::parse("https://api.vendor.example")?;
/// let provider = Envelope::new(&base_url, SecretRef::inline("id"), SecretRef::env("SHOP_SECRET"))
///     .named("shop");
/// assert_eq!(provider.id().name(), "shop");
/// assert_eq!(provider.id().token_endpoint(), "https://api.vendor.example/v1/auth/token");
/// # Ok::<(), url::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Envelope {
    id: ProviderId,
    name: Arc<str>,
    client_id: SecretRef,
    client_secret: SecretRef,
    token_endpoint: Url,
    api_base_url: Option<Url>,
    grant_type: Option<Box<str>>,
    plain_http: Option<PlainHttp>,
}

pub(crate) const KIND: &str = "envelope";

impl Envelope {
    /// Returns the client with these credentials, at `{base_url}/v1/auth/token`.
    ///
    /// A `base_url` may end in `/v1`, which is not repeated. Relative API paths are appended to
    /// `base_url` as it is.
    #[must_use]
    pub fn new(base_url: &Url, client_id: SecretRef, client_secret: SecretRef) -> Self {
        Self::at(token_endpoint(base_url), client_id, client_secret).api_base_url(base_url.clone())
    }

    /// Returns the client with these credentials, at exactly this token endpoint. Relative API paths
    /// need [`api_base_url`](Self::api_base_url).
    #[must_use]
    pub fn at(token_endpoint: Url, client_id: SecretRef, client_secret: SecretRef) -> Self {
        Self {
            id: ProviderId::new(KIND, &token_endpoint, client_id.identity()),
            name: KIND.into(),
            client_id,
            client_secret,
            token_endpoint,
            api_base_url: None,
            grant_type: None,
            plain_http: None,
        }
        .with_id()
    }

    /// Sets the name for errors, logs and metrics. Default: `envelope`.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self.with_id()
    }

    /// Sets the base of relative API paths. Its tokens carry it as their
    /// [`base_url`](Token::base_url). Default: the base URL.
    #[must_use]
    pub fn api_base_url(mut self, url: Url) -> Self {
        self.api_base_url = Some(url);
        self.with_id()
    }

    /// Sends this `grant_type`. Default: none is sent.
    #[must_use]
    pub fn grant_type(mut self, grant_type: impl Into<Box<str>>) -> Self {
        self.grant_type = Some(grant_type.into());
        self.with_id()
    }

    /// Sets the servers that are asked without TLS, because a service mesh encrypts what is sent there.
    /// Default: none.
    #[must_use]
    pub fn with_plain_http(mut self, servers: PlainHttp) -> Self {
        self.plain_http = Some(servers);
        self
    }

    /// Computes the id of everything that makes tokens differ: credentials, base URL and grant type.
    fn with_id(mut self) -> Self {
        let mut id = ProviderId::new(KIND, &self.token_endpoint, self.id.client())
            .identifier(&self.client_id)
            .credential(&self.client_secret);
        if let Some(url) = &self.api_base_url {
            id = id.with("api_base_url", url);
        }
        if let Some(grant_type) = &self.grant_type {
            id = id.with("grant_type", grant_type);
        }
        self.id = id.named(self.name.clone());
        self
    }
}

#[async_trait]
impl Provider for Envelope {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn plain_http(&self) -> Option<&PlainHttp> {
        self.plain_http.as_ref()
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        if let Some((name, _)) = request.params().next() {
            return Err(Error::configuration(format!("unknown parameter {name}"))
                .with_remedy("remove it; the kind envelope has no parameters"));
        }
        let api = self.api_base_url.as_ref();
        api.map_or(Ok(()), |url| cx.check_url(url))?;
        let scope = request.joined_scopes(" ");
        let client_id = cx.identifier(&self.client_id).await?;
        let client_secret = cx.secret(&self.client_secret).await?;
        let fields = [
            ("client_id", Some(client_id.as_str())),
            ("client_secret", Some(client_secret.expose_secret())),
            ("grant_type", self.grant_type.as_deref()),
            ("scope", scope.as_deref()),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let response = cx.post_form(self.token_endpoint.as_str(), fields).await?;
        answer::token(&response, cx.sent_at(), cx.now())
            .and_then(|token| token.base_url(self.api_base_url.clone()).build())
            .map_err(|error| wire::with_status(error, &response))
            .map_err(|error| self.explained(error))
    }

    async fn base_urls(&self, _: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        let fixed = self.api_base_url.clone().map(BaseUrls::fixed);
        Ok(fixed.unwrap_or_default())
    }
}

impl Envelope {
    /// Adds a remedy to status 404, this vendor's response to a wrong base URL.
    fn explained(&self, error: Error) -> Error {
        let status = error.vendor().and_then(|vendor| vendor.status);
        if error.kind() != ErrorKind::Refused || status != Some(404) {
            return error;
        }
        let asked = redacted_url(&self.token_endpoint);
        error.with_remedy(format!(
            "check base_url; {asked} is probably not a token endpoint"
        ))
    }
}

/// `{base_url}/v1/auth/token`, whether or not the base URL ends in `/v1` or a slash.
pub(crate) fn token_endpoint(base_url: &Url) -> Url {
    let mut endpoint = base_url.clone();
    endpoint.set_query(None);
    endpoint.set_fragment(None);
    let base = base_url.path().trim_end_matches('/');
    let base = base.strip_suffix("/v1").unwrap_or(base);
    endpoint.set_path(&format!("{base}/v1/auth/token"));
    endpoint
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn provider(base_url: &str) -> Envelope {
        Envelope::new(
            &url(base_url),
            SecretRef::inline("id"),
            SecretRef::inline("pl4nted"),
        )
    }

    #[test]
    fn v1_is_not_doubled() {
        for (base, endpoint) in [
            ("https://v.example", "https://v.example/v1/auth/token"),
            ("https://v.example/", "https://v.example/v1/auth/token"),
            ("https://v.example/v1", "https://v.example/v1/auth/token"),
            ("https://v.example/v1//", "https://v.example/v1/auth/token"),
            (
                "https://v.example/shop/",
                "https://v.example/shop/v1/auth/token",
            ),
            (
                "https://v.example/shop/v1/",
                "https://v.example/shop/v1/auth/token",
            ),
            (
                "https://v.example/env1",
                "https://v.example/env1/v1/auth/token",
            ),
            (
                "http://127.0.0.1:7600/a%20b?x=1#y",
                "http://127.0.0.1:7600/a%20b/v1/auth/token",
            ),
        ] {
            assert_eq!(token_endpoint(&url(base)).as_str(), endpoint, "{base}");
        }
    }

    #[test]
    fn what_makes_tokens_differ_is_in_the_id_and_the_name_is_not() {
        let plain = provider("https://v.example");
        assert_eq!(plain.id(), plain.clone().named("shop").id());
        assert_ne!(
            plain.id(),
            plain.clone().grant_type("client_credentials").id()
        );
        // The same endpoint, but its tokens say that the API is elsewhere.
        assert_ne!(plain.id(), provider("https://v.example/v1").id());
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", provider("https://v.example")).contains("pl4nted"));
    }

    #[test]
    fn an_invalid_token_rejects_at_any_status() {
        let provider = provider("https://api.vendor.example");
        let judged = |challenge: &'static str| {
            let mut headers = http::HeaderMap::new();
            let challenge = http::HeaderValue::from_static(challenge);
            headers.insert("www-authenticate", challenge);
            let now = biped_core::Timestamp::default();
            let forbidden = http::StatusCode::FORBIDDEN;
            provider.judge(&biped_core::ApiResponse::new(forbidden, &headers, now))
        };
        let rejected = biped_core::Verdict::Rejected;
        assert_eq!(judged("Bearer error=\"invalid_token\""), rejected);
        assert_ne!(judged("Bearer error=\"insufficient_scope\""), rejected);
    }
}
