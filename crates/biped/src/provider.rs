//! For vendors: what a provider is made of, and how a kind of provider is declared.

pub use biped_config::{Field, FieldType, ProviderConfig, ProviderKind};
pub use biped_core::{
    ApiRequest, ApiRequestParts, ApiResponse, AttachContext, BaseUrls, Clock, FetchContext,
    IdentityRef, Lifetime, Now, PEEK_LIMIT, PEEK_TIME, Provider, ProviderId, SecretRef,
    SystemClock, TokenBuilder, Verdict, async_trait, check_secure, is_loopback, judge_by_status,
    redacted_url, wire,
};
