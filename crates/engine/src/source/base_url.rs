//! Where the API of a source's tokens is.

use std::sync::Arc;

use biped_core::Token;
use url::Url;

use super::{Own, TokenSource};

impl TokenSource {
    /// Returns a source of the same tokens, with a base URL for API calls where the vendor's answer
    /// names none.
    #[must_use]
    pub fn with_api_base_url(mut self, api_base_url: Option<Url>) -> Self {
        let mut own = self.own.as_deref().cloned().unwrap_or_default();
        own.api_base_url = api_base_url;
        let Own {
            provider,
            api_base_url,
            refusal,
        } = &own;
        let has_own = provider.is_some() || api_base_url.is_some() || refusal.is_some();
        self.own = has_own.then(|| Arc::new(own));
        self
    }

    pub(crate) fn configured_base_url(&self) -> Option<&Url> {
        self.own.as_ref()?.api_base_url.as_ref()
    }

    /// Returns where the API is: as the token says, else as it was configured.
    #[must_use]
    pub fn base_url<'a>(&'a self, token: &'a Token) -> Option<&'a Url> {
        token.base_url().or(self.configured_base_url())
    }
}
