//! The vocabulary of Biped, two-legged OAuth for Rust: what a provider, a store and a client of either
//! have in common. No HTTP library, no vendor and no engine is in here.
//!
//! | for | read |
//! | --- | --- |
//! | somebody who adds a vendor | [`Provider`], [`FetchContext`], [`wire`] |
//! | somebody who adds a store | [`TokenStore`] |
//! | somebody who adds an HTTP stack | [`HttpClient`] |
//! | tests | [`Clock`] |
//!
//! `biped-config` says how a provider or a store is configured, `biped-engine` keeps the tokens. An
//! application usually depends on the façade `biped` instead.

mod api;
mod base_urls;
mod clock;
mod error;
mod fetch;
mod http;
mod id;
mod identity;
mod lifetime;
mod provider;
mod redact;
mod request;
mod secret;
mod store;
mod token;
mod url;
pub mod wire;

pub use self::{
    api::{
        ApiRequest, ApiRequestParts, ApiResponse, AttachContext, PEEK_LIMIT, PEEK_TIME, Verdict,
        judge_by_status,
    },
    base_urls::BaseUrls,
    clock::{Clock, Now, SystemClock, Timestamp},
    error::{Error, ErrorKind, StoreError, VendorError},
    fetch::FetchContext,
    http::{ClientIdentity, HttpClient},
    id::{ProviderId, StoreKey, TokenKey},
    identity::IdentityKey,
    lifetime::{DEFAULT_LIFETIME, Lifetime, MAX_LIFETIME},
    provider::{Choice, IdentityRef, Inspection, Provider},
    request::{ParamValue, SetParam, TokenRequest},
    secret::{COMMAND_TIMEOUT, References, SecretRef, SecretSource, SecretUse, SourceContext},
    store::{Claim, Generation, Lease, LeaseFailure, LeaseId, StoredToken, TokenStore},
    token::{Token, TokenBuilder},
    url::{check_secure, is_loopback, redacted_url},
};
pub use async_trait::async_trait;
pub use biped_io::{FILE_TIMEOUT, MAX_FILE_SIZE, read_file, read_file_if, read_text_file};
pub use secrecy::{ExposeSecret, SecretString};
