//! [`Template`]: a provider that has tenants. [`OfTenant`]: the provider of one of them.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use biped_config::{ConfigValue, ProviderConfig, ProviderKind, TenantPattern, of_tenant};
use biped_core::{
    ApiRequest, ApiResponse, AttachContext, BaseUrls, Error, FetchContext, IdentityRef, Input,
    Inspection, ParamValue, PlainHttp, Probe, Proof, Provider, ProviderId, SecretRef, Tenant,
    Tenants, Timestamp, Token, TokenRequest, Verdict, async_trait,
};

use crate::config;

/// Makes the configuration of a provider out of its values.
type Configure = dyn Fn(BTreeMap<String, ConfigValue>) -> ProviderConfig + Send + Sync;

/// A provider that has tenants: what they share.
pub(crate) struct Template {
    id: ProviderId,
    pattern: TenantPattern,
    kind: ProviderKind,
    values: BTreeMap<String, ConfigValue>,
    configure: Box<Configure>,
    /// The provider of a tenant that doesn't exist. What it does to calls of an API is what all do, if
    /// providers are made anew.
    sample: Arc<dyn Provider>,
    /// Whether each tenant's provider is made anew for each fetch.
    is_made_anew: bool,
    /// Whether the configuration names a base URL of the API.
    has_base_url: bool,
    /// The configured request, in which the names of tenants are still to be filled in.
    request: TokenRequest,
    known: Mutex<Known>,
    this: Weak<Self>,
}

impl Template {
    pub(crate) fn new(
        pattern: TenantPattern,
        kind: ProviderKind,
        values: BTreeMap<String, ConfigValue>,
        configure: Box<Configure>,
        sample: Arc<dyn Provider>,
    ) -> Arc<Self> {
        let config = configure(values.clone());
        let request = kind.request(&config);
        let known = sample.id();
        let endpoint = TenantPattern::unfilled(&config, known.token_endpoint());
        let endpoint = endpoint.unwrap_or_else(|| known.token_endpoint().to_owned());
        let id = ProviderId::new(known.kind(), endpoint, "").named(known.shared_name());
        let is_made_anew = sample.is_made_anew()
            && sample.inputs().is_empty()
            && sample.attach_secrets().is_empty()
            && sample.client_identity().is_none()
            && sample.plain_http().is_none();
        let filled = configure(TenantPattern::sample(&kind, &values));
        let has_base_url = kind.api_base_url(&filled).is_some();
        Arc::new_cyclic(|this| Self {
            id,
            pattern,
            kind,
            values,
            configure,
            sample,
            is_made_anew,
            has_base_url,
            request,
            known: Mutex::default(),
            this: this.clone(),
        })
    }

    /// The configured request of all tenants.
    pub(crate) fn request(&self) -> &TokenRequest {
        &self.request
    }

    fn make(&self, name: &str) -> Result<Arc<dyn Provider>, Error> {
        let config = self.config(name);
        self.kind.build(&config).map_err(config::report)
    }

    fn config(&self, name: &str) -> ProviderConfig {
        (self.configure)(TenantPattern::fill(&self.kind, &self.values, name))
    }

    fn provider(&self, name: &str) -> Result<Arc<OfTenant>, Error> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(provider) = known().get(name) {
            return Ok(provider);
        }
        let template = self.this.upgrade();
        let template = template.ok_or_else(|| {
            Error::internal("the Biped that this provider belongs to was dropped")
        })?;
        let made = self.make(name)?;
        let provider = Arc::new(OfTenant {
            id: made.id().clone().of_tenant(name).sharing(self.sample.id()),
            kept: (!self.is_made_anew).then_some(made),
            template,
        });
        known().insert(&provider);
        Ok(provider)
    }

    /// The tenant `name`, for a request that was made for the tenant `before`.
    fn tenant_after(
        &self,
        before: Option<&str>,
        name: &str,
        request: &TokenRequest,
    ) -> Result<Tenant, Error> {
        self.pattern.check(name)?;
        let provider = self.provider(name)?;
        let request = self.filled(before, name, request);
        let tenant = Tenant::new(provider, request);
        if !self.has_base_url {
            return Ok(tenant);
        }
        let base_url = self.kind.api_base_url(&self.config(name));
        let invalid = || Error::configuration("the tenant's base URL is not a valid URL");
        Ok(tenant.api_base_url(Some(base_url.ok_or_else(invalid)?)))
    }

    /// The request with the name of the tenant in what is configured. What a caller set stays.
    fn filled(&self, before: Option<&str>, name: &str, request: &TokenRequest) -> TokenRequest {
        let as_before = |text: &str| match before {
            Some(before) => of_tenant(text, before),
            None => text.to_owned(),
        };
        let mut filled = request.clone();
        for (param, value) in self.request.params() {
            if request.value(param) == Some(&mapped(value, as_before)) {
                filled = filled.param(param, mapped(value, |text| of_tenant(text, name)));
            }
        }
        let configured: Vec<_> = self.request.scope_names().collect();
        let same = request
            .scope_names()
            .eq(configured.iter().map(|scope| as_before(scope)));
        if same && !configured.is_empty() {
            let scopes = configured.iter().map(|scope| of_tenant(scope, name));
            filled = filled.without_scopes().scopes(scopes);
        }
        filled
    }
}

fn mapped(value: &ParamValue, change: impl Fn(&str) -> String) -> ParamValue {
    match value {
        ParamValue::Text(text) => change(text).into(),
        ParamValue::List(all) => {
            let all: Vec<String> = all.iter().map(|text| change(text)).collect();
            all.into()
        }
        other => other.clone(),
    }
}

impl Tenants for Template {
    fn tenant(&self, name: &str, request: &TokenRequest) -> Result<Tenant, Error> {
        self.tenant_after(None, name, request)
    }
}

#[async_trait]
impl Provider for Template {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, _: &TokenRequest, _: &FetchContext<'_>) -> Result<Token, Error> {
        Err(Error::configuration(
            "the provider has tenants, and no tenant is named",
        ))
    }

    fn tenants(&self) -> Option<&dyn Tenants> {
        Some(self)
    }

    fn probe(&self) -> Option<Probe> {
        self.sample.probe()
    }

    fn warning(&self, now: Timestamp) -> Option<String> {
        self.sample.warning(now)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The tenants whose providers are in use, by a hash of the name: the provider has the name itself. Of two
/// names with one hash, the one that came last is found.
#[derive(Default)]
struct Known<H = RandomState> {
    hasher: H,
    providers: HashMap<u64, Weak<OfTenant>>,
}

impl<H: BuildHasher> Known<H> {
    fn get(&self, name: &str) -> Option<Arc<OfTenant>> {
        let found = self.providers.get(&self.hasher.hash_one(name))?.upgrade()?;
        (found.name() == name).then_some(found)
    }

    fn insert(&mut self, provider: &Arc<OfTenant>) {
        if self.providers.len() == self.providers.capacity() {
            // About to grow: the unused ones go first.
            self.providers.retain(|_, it| it.strong_count() > 0);
            let more = self.providers.len();
            self.providers.reserve(more);
        }
        let hash = self.hasher.hash_one(provider.name());
        self.providers.insert(hash, Arc::downgrade(provider));
    }
}

/// The provider of one tenant. Where providers are made anew it holds nothing but its id.
struct OfTenant {
    id: ProviderId,
    kept: Option<Arc<dyn Provider>>,
    template: Arc<Template>,
}

impl OfTenant {
    fn provider(&self) -> Result<Arc<dyn Provider>, Error> {
        match &self.kept {
            Some(kept) => Ok(kept.clone()),
            None => self.template.make(self.name()),
        }
    }

    fn name(&self) -> &str {
        self.id.tenant().unwrap_or_default()
    }

    /// The provider for what is the same for every tenant.
    fn like_all(&self) -> &dyn Provider {
        &**self.kept.as_ref().unwrap_or(&self.template.sample)
    }
}

impl Tenants for OfTenant {
    fn tenant(&self, name: &str, request: &TokenRequest) -> Result<Tenant, Error> {
        self.template.tenant_after(Some(self.name()), name, request)
    }
}

#[async_trait]
impl Provider for OfTenant {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        self.provider()?.fetch(request, cx).await
    }

    fn inputs(&self) -> &[Input] {
        self.like_all().inputs()
    }

    fn tenants(&self) -> Option<&dyn Tenants> {
        Some(self)
    }

    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        cx: &AttachContext<'_>,
    ) -> Result<(), Error> {
        self.like_all().attach(token, request, cx)
    }

    fn attach_secrets(&self) -> &[SecretRef] {
        self.like_all().attach_secrets()
    }

    fn judge(&self, response: &ApiResponse<'_>) -> Verdict {
        self.like_all().judge(response)
    }

    fn accepts_stored(&self, token: &Token, request: &TokenRequest) -> bool {
        self.like_all().accepts_stored(token, request)
    }

    async fn is_given_key(&self, thumbprint: &str, cx: &FetchContext<'_>) -> bool {
        match self.provider() {
            Ok(provider) => provider.is_given_key(thumbprint, cx).await,
            Err(_) => false,
        }
    }

    fn lives_until_rejected(&self) -> bool {
        self.like_all().lives_until_rejected()
    }

    fn client_identity(&self) -> Option<&IdentityRef> {
        self.like_all().client_identity()
    }

    fn plain_http(&self) -> Option<&PlainHttp> {
        self.like_all().plain_http()
    }

    fn signs_url(&self) -> bool {
        self.like_all().signs_url()
    }

    async fn base_urls(&self, cx: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        self.provider()?.base_urls(cx).await
    }

    async fn inspect(
        &self,
        request: &TokenRequest,
        cx: &FetchContext<'_>,
    ) -> Result<Option<Inspection>, Error> {
        self.provider()?.inspect(request, cx).await
    }

    async fn proof(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Proof, Error> {
        self.provider()?.proof(request, cx).await
    }

    fn proof_method(&self) -> Option<&'static str> {
        self.like_all().proof_method()
    }

    async fn revoke(&self, token: &Token, cx: &FetchContext<'_>) -> Result<(), Error> {
        self.provider()?.revoke(token, cx).await
    }

    fn idle_limit(&self) -> Option<Duration> {
        self.like_all().idle_limit()
    }

    fn probe(&self) -> Option<Probe> {
        self.like_all().probe()
    }

    fn warning(&self, now: Timestamp) -> Option<String> {
        self.like_all().warning(now)
    }

    fn request_warning(&self, request: &TokenRequest) -> Option<String> {
        self.like_all().request_warning(request)
    }
}

impl fmt::Debug for OfTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfTenant")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
