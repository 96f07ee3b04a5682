//! [`Tenants`]: a provider that has credentials of many customers. [`Tenant`]: one of them.

use std::sync::Arc;

use url::Url;

use crate::{Error, Provider, TokenRequest};

/// A provider whose credentials are a function of the tenant, such as the customer of a platform that
/// calls one vendor for many customers ([`Provider::tenants`]).
pub trait Tenants {
    /// Returns the provider of one tenant. Calls with the same name give equal providers: the tenant is
    /// part of the provider's id ([`ProviderId::of_tenant`](crate::ProviderId::of_tenant)).
    ///
    /// `request` is what was asked of this provider so far. Its configured scopes and parameters may
    /// depend on the tenant.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) for a name that no tenant may have.
    fn tenant(&self, name: &str, request: &TokenRequest) -> Result<Tenant, Error>;
}

/// One tenant of a provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tenant {
    /// The tenant's provider.
    pub provider: Arc<dyn Provider>,
    /// What is asked of it.
    pub request: TokenRequest,
    /// Where relative API paths go, if the vendor's answer names no base URL.
    pub api_base_url: Option<Url>,
}

impl Tenant {
    /// A tenant with this provider and request.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, request: TokenRequest) -> Self {
        Self {
            provider,
            request,
            api_base_url: None,
        }
    }

    /// Sets where relative API paths go. Default: nowhere.
    #[must_use]
    pub fn api_base_url(mut self, url: Option<Url>) -> Self {
        self.api_base_url = url;
        self
    }
}
