//! The tenants of a source's provider.

use std::sync::Arc;

use biped_core::{Error, Provider};

use super::{Own, TokenSource};
use crate::refused::Refused;

impl TokenSource {
    /// Returns a source of the same provider's tokens for one tenant: a customer whose credentials are
    /// found by this name.
    ///
    /// If no tenant may have the name, or if the provider has no tenants, every attempt to get a token
    /// fails with a [`Configuration`](biped_core::ErrorKind::Configuration) error, and nothing is sent.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Self {
        let provider = self.provider();
        let tenant = match provider.tenants() {
            Some(tenants) => tenants.tenant(name, self.request()),
            None => Err(
                Error::configuration("this provider has no tenants").with_remedy(
                    "set tenant to a pattern in its configuration, such as \"[a-z0-9-]{1,40}\"",
                ),
            ),
        };
        let tenant = match tenant {
            Ok(tenant) => tenant,
            Err(error) => {
                let refused: Arc<dyn Provider> = Arc::new(Refused::new(provider.id()));
                let own = Own {
                    refusal: Some(self.named(error)),
                    ..Own::default()
                };
                return Self {
                    engine: self.engine.clone(),
                    key: self.engine.key(&refused, self.request().clone()),
                    own: Some(own.into()),
                };
            }
        };
        let key = self.engine.key(&tenant.provider, tenant.request);
        let source = Self::new(self.engine.clone(), key, tenant.provider);
        match tenant.api_base_url {
            None => source,
            url => source.with_api_base_url(url),
        }
    }

    /// Whether tokens can be had: a provider that has tenants gives none without a tenant.
    pub(super) fn check_tenant(&self) -> Result<(), Error> {
        let refusal = self.own.as_ref().and_then(|own| own.refusal.clone());
        let provider = self.provider();
        let lacks_tenant = || provider.id().tenant().is_none() && provider.tenants().is_some();
        match refusal {
            Some(error) => Err(error),
            None if lacks_tenant() => Err(self.named(
                Error::configuration("the provider has tenants, and no tenant is named")
                    .with_remedy("name one: .tenant(…), --tenant or Biped-Tenant"),
            )),
            None => Ok(()),
        }
    }
}
