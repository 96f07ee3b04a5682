//! For those who add a vendor: what a provider is made of, and how a kind of provider is declared.
//!
//! [`http`] is the crate of that name, whose types stand in the signatures.

pub use biped_config::{Field, FieldType, ProviderConfig, ProviderKind};
pub use biped_core::{
    Account, ApiRequest, ApiRequestParts, ApiResponse, AttachContext, BaseUrls, Choice, Clock,
    DEFAULT_LIFETIME, FetchContext, FetchLimit, IdentityRef, Input, Lifetime, MAX_LIFETIME,
    NoLifetime, Now, PEEK_LIMIT, PEEK_TIME, PlainHttp, Probe, Proof, Provider, ProviderId,
    SecretRef, SecretUse, SystemClock, TokenBuilder, Verdict, async_trait, check_secure, http,
    is_loopback, judge_by_status, redacted_url, wire,
};
