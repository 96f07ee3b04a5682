//! [`Vendor`]: the provider that a dialect describes.

use std::{fmt, sync::Arc, time::Duration};

use biped_core::{
    ApiRequest, ApiResponse, AttachContext, BaseUrls, Error, ExposeSecret, FetchContext,
    FetchLimit, IdentityRef, Input, Lifetime, PlainHttp, Probe, Provider, ProviderId,
    RejectionRule, SecretRef, Timestamp, Token, TokenRequest, Verdict, async_trait,
    judge_by_status,
};
use biped_sources::ExternalToken;
use http::header;
use url::Url;

use crate::{
    attach::Attach,
    dialect::Dialect,
    template::{Template, Values},
};

mod builder;
mod fetch;
mod revoke;

pub use self::builder::VendorBuilder;

/// The kind of every provider with a dialect.
pub(crate) const KIND: &str = "dialect";

/// A client of a vendor that a [`Dialect`] describes.
///
/// ```
/// use std::sync::Arc;
/// use biped_core::{Provider as _, SecretRef};
/// use biped_dialect::{Dialect, Vendor};
///
/// let dialect = Dialect::from_toml(r#"url = "https://vendor.example/oauth/token""#, "mine.toml")?;
/// let vendor = Vendor::builder(Arc::new(dialect))
///     .client_id(SecretRef::inline("client-7"))
///     .client_secret(SecretRef::env("VENDOR_SECRET"))
///     .build()?;
/// assert_eq!(vendor.id().token_endpoint(), "https://vendor.example/oauth/token");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Vendor {
    id: ProviderId,
    dialect: Arc<Dialect>,
    given: Given,
    /// The secrets that API requests need beside the token.
    attach_secrets: Vec<SecretRef>,
    /// The tokens of other providers that fetches need.
    inputs: Vec<Input>,
    is_example: bool,
}

/// The values from the configuration.
#[derive(Clone, Default)]
struct Given {
    client_id: Option<SecretRef>,
    client_secret: Option<SecretRef>,
    params: Vec<(Box<str>, SecretRef)>,
    /// The parameters whose values another party makes.
    tokens: Vec<(Box<str>, ExternalToken)>,
    identity: Option<IdentityRef>,
    token_endpoint: Option<Url>,
    plain_http: Option<PlainHttp>,
}

impl Given {
    /// The names of the parameters.
    fn names(&self) -> impl Iterator<Item = &str> {
        let params = self.params.iter().map(|(name, _)| &**name);
        params.chain(self.tokens.iter().map(|(name, _)| &**name))
    }

    fn secret(&self, name: &str) -> Option<&SecretRef> {
        match name {
            "client_id" => self.client_id.as_ref(),
            "client_secret" => self.client_secret.as_ref(),
            _ => self
                .params
                .iter()
                .find(|(known, _)| &**known == name)
                .map(|(_, value)| value),
        }
    }
}

#[async_trait]
impl Provider for Vendor {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn plain_http(&self) -> Option<&PlainHttp> {
        self.given.plain_http.as_ref()
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        self.check_params(request)?;
        let resolved = self.resolve(cx).await?;
        let answer = self.exchange(request, &resolved, cx).await;
        answer.inspect_err(|error| self.note_refusal(error, cx))
    }

    async fn revoke(&self, token: &Token, cx: &FetchContext<'_>) -> Result<(), Error> {
        let Some(step) = &self.dialect.revoke else {
            return Err(Error::configuration(
                "the vendor file describes no revocation ([revoke])",
            ));
        };
        let resolved = self.resolve(cx).await?;
        self.end(step, token, &resolved, cx).await
    }

    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        cx: &AttachContext<'_>,
    ) -> Result<(), Error> {
        let Some(attach) = &self.dialect.attach else {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, token.header().clone());
            return Ok(());
        };
        let mut kept = Vec::with_capacity(self.attach_secrets.len());
        for secret in &self.attach_secrets {
            kept.push((secret, cx.secret(secret)?.expose_secret()));
        }
        self.attach_with(attach, token, request, cx.now(), &kept)
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn attach_secrets(&self) -> &[SecretRef] {
        &self.attach_secrets
    }

    async fn base_urls(&self, cx: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        let mut steps = self.dialect.steps.iter();
        if steps.all(|step| step.reads.base_url.is_none()) {
            return Ok(BaseUrls::none());
        }
        self.named_base_urls(cx).await
    }

    fn accepts_stored(&self, token: &Token, request: &TokenRequest) -> bool {
        token.confirmation().is_none() && self.has_its_exports(token, request)
    }

    fn lives_until_rejected(&self) -> bool {
        let mut steps = self.dialect.steps.iter();
        steps.any(|step| step.reads.lifetime == Some(Lifetime::UntilRejected))
    }

    fn idle_limit(&self) -> Option<Duration> {
        let steps = self.dialect.steps.iter();
        steps.filter_map(|step| step.reads.idle).min()
    }

    fn fetch_limit(&self) -> Option<FetchLimit> {
        let limits = self.dialect.about.as_ref()?.limits()?;
        Some(FetchLimit::new(limits.requests(), limits.period()))
    }

    /// The request of `about.verify`, unless its path has parameters.
    fn probe(&self) -> Option<Probe> {
        let verify = self.dialect.about.as_ref()?.verify()?;
        let probe = || Probe::new(verify.method().clone(), verify.path(), verify.status());
        (!verify.path().contains('{')).then(probe)
    }

    fn judge(&self, response: &ApiResponse<'_>) -> Verdict {
        match &self.dialect.expired {
            Some(entries) => RejectionRule::judge(entries, response),
            None => judge_by_status(response),
        }
    }

    fn client_identity(&self) -> Option<&IdentityRef> {
        self.given
            .identity
            .as_ref()
            .filter(|_| self.dialect.client_certificate)
    }
}

impl Vendor {
    /// Checks the parameters of a token request. It may set a parameter that is neither a secret nor
    /// part of a URL, because URLs belong to the provider's identity.
    fn check_params(&self, request: &TokenRequest) -> Result<(), Error> {
        for (name, _) in request.params() {
            let why = match self.dialect.param(name) {
                None => "unknown parameter",
                Some(param) if param.secret => "a secret can't be a parameter of a token request",
                Some(param) if param.in_url => {
                    "a part of a URL can't be a parameter of a token request"
                }
                Some(_) => continue,
            };
            return Err(Error::configuration(format!("{name}: {why}"))
                .with_remedy("set it among the provider's params, or remove it"));
        }
        Ok(())
    }

    /// Whether a stored token's extra fields are exactly the exports and the requested parameters. Any
    /// other field could replace a configured value in a template.
    fn has_its_exports(&self, token: &Token, request: &TokenRequest) -> bool {
        let asked = |name: &str| {
            let mut params = request.params();
            let (_, value) = params.find(|(known, _)| *known == name)?;
            Some(value.to_string())
        };
        let mut exports = self.dialect.exports();
        let mut asked_for = request.params().filter(|(name, _)| self.is_kept(name));
        exports.all(|name| token.extra(name).is_some())
            && asked_for.all(|(name, _)| token.extra(name).is_some())
            && token.extras().all(|(name, value)| match value.as_str() {
                Some(_) if self.dialect.exports().any(|known| known == name) => true,
                Some(text) => self.is_kept(name) && asked(name).as_deref() == Some(text),
                None => false,
            })
    }

    fn uuid(&self) -> String {
        if self.is_example {
            return EXAMPLE_UUID.into();
        }
        uuid(fastrand::u128(..))
    }

    /// Whether a parameter of the token request is kept with the token, for its calls or for its end.
    fn is_kept(&self, name: &str) -> bool {
        let has_it = |template: &Template| template.names().any(|known| known == name);
        let attach = self.dialect.attach.iter();
        let mut is_kept = attach.flat_map(Attach::templates).any(has_it);
        if let Some(revoke) = &self.dialect.revoke {
            revoke.templates(&mut |template, _| is_kept |= has_it(template));
        }
        is_kept
    }

    /// Attaches the token, with the secrets in `kept`.
    fn attach_with(
        &self,
        attach: &Attach,
        token: &Token,
        request: &mut ApiRequest<'_>,
        now: Timestamp,
        kept: &[(&SecretRef, &str)],
    ) -> Result<(), Error> {
        let find = |secret: Option<&SecretRef>| {
            let secret = secret?;
            kept.iter()
                .find(|(known, _)| *known == secret)
                .map(|(_, value)| *value)
        };
        let uuid = self.uuid();
        let mut named: Vec<(&str, &str)> = self
            .given
            .params
            .iter()
            .filter_map(|(name, secret)| Some((&**name, find(Some(secret))?)))
            .collect();
        for template in attach.templates() {
            for name in template.names() {
                if let Some(text) = token.extra(name).and_then(|value| value.as_str()) {
                    named.push((name, text));
                }
            }
        }
        let values = Values {
            client_id: find(self.given.client_id.as_ref()),
            client_secret: find(self.given.client_secret.as_ref()),
            scope: token.scope(),
            url: Some(self.id.token_endpoint()),
            token: Some(token.expose_secret()),
            uuid: &uuid,
            now,
            named: &named,
        };
        attach.apply(&values, request)
    }

    /// Attaches the token of an example, as [`Provider::attach`] does.
    pub(crate) fn attach_example(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        now: Timestamp,
        kept: &[(&SecretRef, &str)],
    ) -> Result<(), Error> {
        match &self.dialect.attach {
            Some(attach) => self.attach_with(attach, token, request, now, kept),
            None => {
                request
                    .headers_mut()
                    .insert(header::AUTHORIZATION, token.header().clone());
                Ok(())
            }
        }
    }
}

/// The value of `{uuid}` in examples.
const EXAMPLE_UUID: &str = "00000000-0000-4000-8000-000000000000";

/// A random UUID (RFC 9562 §5.4).
fn uuid(random: u128) -> String {
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{bits:032x}");
    let (a, rest) = digits.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

impl fmt::Debug for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vendor")
            .field("id", &self.id)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_their_version_and_variant() {
        assert_eq!(uuid(0), EXAMPLE_UUID);
        let all = uuid(u128::MAX);
        assert_eq!(all, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
