//! [`Refused`]: what stands for a tenant that can't be one.

use biped_core::{Error, FetchContext, Provider, ProviderId, Token, TokenRequest, async_trait};

/// A provider that gives no token, for a name that no tenant may have. All such names of a provider
/// share a key, so that made-up names take no memory.
#[derive(Debug)]
pub(crate) struct Refused {
    id: ProviderId,
}

impl Refused {
    pub(crate) fn new(of: &ProviderId) -> Self {
        // No tenant has an empty name.
        Self {
            id: of.clone().of_tenant(""),
        }
    }
}

#[async_trait]
impl Provider for Refused {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, _: &TokenRequest, _: &FetchContext<'_>) -> Result<Token, Error> {
        Err(Error::configuration("no tenant can have this name")
            .with_remedy("use a name that the provider's tenant allows"))
    }
}
