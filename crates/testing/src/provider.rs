//! Tools for tests of providers.
//!
//! | for | use |
//! | --- | --- |
//! | checking that an implementation keeps the promises of [`Provider`] | [`conformance`] |
//! | a plain provider for tests of something else | [`TestProvider`] |

mod base_urls;
mod case;
pub mod conformance;
mod fetched;
mod garbage;
mod leaks;
mod repeating;
mod report;
mod sharing;
mod stored;

use async_trait::async_trait;
use biped_core::{
    Account, BaseUrls, Error, ExposeSecret, FetchContext, FetchLimit, Lifetime, PlainHttp,
    Provider, ProviderId, SecretRef, Token, TokenRequest, VendorError, wire,
};

/// A plain provider. It sends a form with `client_id`, `client_secret`, `scope` and the request's
/// parameters to `https://login.example/token`, and reads a response as in RFC 6749 §5, with
/// `base_url` if that is enabled.
#[derive(Debug)]
pub struct TestProvider {
    id: ProviderId,
    secret: SecretRef,
    assumed: Option<Lifetime>,
    base_urls: BaseUrls,
    plain_http: Option<PlainHttp>,
    limit: Option<FetchLimit>,
    account: Option<Account>,
}

impl Default for TestProvider {
    fn default() -> Self {
        Self::new("client-1")
    }
}

impl TestProvider {
    /// Returns the provider for this client.
    #[must_use]
    pub fn new(client: &str) -> Self {
        Self::at("https://login.example/token", client)
    }

    /// Returns the provider for this client at another token endpoint.
    #[must_use]
    pub fn at(token_endpoint: &str, client: &str) -> Self {
        Self {
            id: ProviderId::new("test", token_endpoint, client),
            secret: SecretRef::inline("the-secret"),
            assumed: None,
            base_urls: BaseUrls::none(),
            plain_http: None,
            limit: None,
            account: None,
        }
        .identified()
    }

    fn identified(mut self) -> Self {
        let id = ProviderId::new("test", self.id.token_endpoint(), self.id.client());
        self.id = id.named(self.id.name()).credential(&self.secret);
        self
    }

    /// Sets its name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.id = self.id.named(name);
        self
    }

    /// Sets its secret.
    #[must_use]
    pub fn secret(mut self, secret: SecretRef) -> Self {
        self.secret = secret;
        self.identified()
    }

    /// Sends a refresh token that its vendor replaces at each use. `seed` is where the first one is.
    #[must_use]
    pub fn rotating(mut self, seed: Option<SecretRef>) -> Self {
        let account = Account::new("test", self.id.token_endpoint(), self.id.name());
        self.account = Some(account.seed(seed));
        self
    }

    /// Sets which base URLs its vendor's responses may name. Default: none.
    #[must_use]
    pub fn naming(mut self, base_urls: BaseUrls) -> Self {
        self.base_urls = base_urls;
        self
    }

    /// Sets the servers that may be asked without TLS. Default: none.
    #[must_use]
    pub fn with_plain_http(mut self, servers: PlainHttp) -> Self {
        self.plain_http = Some(servers);
        self
    }

    /// Sets how many token requests its vendor allows. Default: no limit is known.
    #[must_use]
    pub fn fetch_limit(mut self, limit: FetchLimit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets the lifetime that it assumes if a response does not contain one.
    #[must_use]
    pub fn assumed_lifetime(mut self, lifetime: Lifetime) -> Self {
        self.assumed = Some(lifetime);
        self
    }
}

#[async_trait]
impl Provider for TestProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn plain_http(&self) -> Option<&PlainHttp> {
        self.plain_http.as_ref()
    }

    fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    async fn base_urls(&self, _: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        Ok(self.base_urls.clone())
    }

    fn fetch_limit(&self) -> Option<FetchLimit> {
        self.limit
    }

    fn lives_until_rejected(&self) -> bool {
        self.assumed == Some(Lifetime::UntilRejected)
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let secret = cx.secret(&self.secret).await?;
        let scope = request.joined_scopes(" ");
        let params: Vec<_> = request
            .params()
            .map(|(name, value)| (name, value.to_string()))
            .collect();
        let fields = [
            ("client_id", self.id.client()),
            ("client_secret", secret.expose_secret()),
        ];
        let refresh = match &self.account {
            Some(_) => Some(cx.refresh_token()?),
            None => None,
        };
        let refresh = refresh.as_ref().map(ExposeSecret::expose_secret);
        let fields = fields
            .into_iter()
            .chain(refresh.map(|token| ("refresh_token", token)))
            .chain(scope.iter().map(|scope| ("scope", scope.as_str())))
            .chain(params.iter().map(|(name, value)| (*name, value.as_str())));
        let response = cx.post_form(self.id.token_endpoint(), fields).await?;
        let answer = wire::json(&response);
        if !response.status().is_success() {
            let mut vendor = VendorError::new(response.status().as_u16());
            if let Ok(answer) = &answer {
                if let Some(code) = answer["error"].as_str() {
                    vendor = vendor.code(code);
                }
                if let Some(message) = answer["error_description"].as_str() {
                    vendor = vendor.message(message);
                }
            }
            return Err(wire::failure(&response, vendor, cx.now()));
        }
        let answer = answer?;
        if let Some(new) = answer["refresh_token"].as_str() {
            cx.replace_refresh_token(new);
        }
        let text = answer["access_token"]
            .as_str()
            .ok_or_else(|| Error::invalid_response("the response does not contain access_token"))?;
        let base_url = match answer["base_url"].as_str() {
            Some(text) => Some(self.base_urls(cx).await?.read(text)?),
            None => None,
        };
        let token = Token::new(text, cx.sent_at())
            .expires_in(wire::seconds(&answer["expires_in"]))
            .token_type(answer["token_type"].as_str())
            .scope(answer["scope"].as_str())
            .base_url(base_url);
        match self.assumed {
            Some(lifetime) => token.assumed_lifetime(lifetime).build(),
            None => token.build(),
        }
    }
}
