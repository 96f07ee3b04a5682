//! [`Input`]: a token of another provider that a fetch needs.

use std::sync::Arc;

use crate::{ProviderId, TokenRequest};

/// A token of another provider that a provider needs for its own requests: as a client assertion, or
/// as what it exchanges.
///
/// A provider names its inputs ([`Provider::inputs`](crate::Provider::inputs)). The `TokenManager`
/// gets these tokens as for any caller, before it fetches, and
/// [`FetchContext::input`](crate::FetchContext::input) returns them. So no provider knows another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    provider: Arc<str>,
    id: ProviderId,
    request: TokenRequest,
    field: Option<Box<str>>,
}

impl Input {
    /// Creates an input: the token that the provider with this name and id gives for `request`.
    #[must_use]
    pub fn new(provider: impl Into<Arc<str>>, id: ProviderId, request: TokenRequest) -> Self {
        Self(Arc::new(Parts {
            provider: provider.into(),
            id,
            request,
            field: None,
        }))
    }

    /// Asks for a further field of the other provider's response, such as `id_token`, in place of its
    /// access token.
    #[must_use]
    pub fn with_field(self, field: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Parts {
            provider: self.0.provider.clone(),
            id: self.0.id.clone(),
            request: self.0.request.clone(),
            field: Some(field.into()),
        }))
    }

    /// Returns the name of the other provider.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.0.provider
    }

    /// Returns the id of the other provider.
    #[must_use]
    pub fn id(&self) -> &ProviderId {
        &self.0.id
    }

    /// Returns what the other provider is asked for.
    #[must_use]
    pub fn request(&self) -> &TokenRequest {
        &self.0.request
    }

    /// Returns the field of the other provider's response; `None` for its access token.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }
}

impl ProviderId {
    /// Adds a token of another provider that the tokens depend on: that provider's id with its
    /// credentials, and what it is asked for. Its name doesn't count. `role` says what the token is used
    /// as, such as `subject_token`: of two inputs it tells which is which.
    #[must_use]
    pub fn input(self, role: &str, input: &Input) -> Self {
        let request = input.request();
        let scopes: Vec<_> = request.scope_names().collect();
        let params: Vec<_> = request.params().collect();
        let asked = format!("{:?}", (scopes, params, input.field()));
        self.resting_on(role, input.id(), &asked)
    }
}
