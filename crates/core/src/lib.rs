//! The vocabulary of Biped, two-legged OAuth for Rust: what providers of tokens, token stores and HTTP
//! clients have in common. It contains no HTTP library, no vendor and no engine.
//!
//! | to add | read |
//! | --- | --- |
//! | a vendor | [`Provider`], [`FetchContext`], [`wire`] |
//! | a store | [`TokenStore`] |
//! | an HTTP library | [`HttpClient`], [`ApiRequestParts`] |
//! | a clock for tests | [`Clock`] |
//!
//! `biped-config` says how a provider or a store is configured, and `biped-engine` keeps tokens. An
//! application usually depends on the façade `biped` instead.
//!
//! The types of [`http`] stand in these signatures, so it is re-exported: a provider of your own needs no
//! dependency on the same version of it.
//!
//! ```
//! use biped_core::{
//!     ApiRequest,
//!     http::{HeaderValue, header::InvalidHeaderValue},
//! };
//!
//! fn put(signature: &str, request: &mut ApiRequest<'_>) -> Result<(), InvalidHeaderValue> {
//!     let mut value = HeaderValue::from_str(signature)?;
//!     value.set_sensitive(true);
//!     request.headers_mut().insert("x-signature", value);
//!     Ok(())
//! }
//! ```
//!
//! # Map
//!
//! Each file uses only files above it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `client_identity.rs` | [`ClientIdentity`] |
//! | `request.rs` | [`TokenRequest`], [`SetParam`] |
//! | `id.rs`, `id/` | [`ProviderId`], and the names of tokens: [`TokenKey`], [`StoreKey`] |
//! | `input.rs` | [`Input`]: a token of another provider that a fetch needs |
//! | `token.rs` | [`Token`] |
//! | `api.rs` | [`ApiRequest`], [`ApiResponse`], [`Verdict`] |
//! | `rejection.rs` | [`RejectionRule`]: which API responses reject the token, as data |
//! | `observer.rs` | [`RequestObserver`], which is told of the requests of a fetch |
//! | `fetch.rs` | [`FetchContext`] |
//! | `proof.rs` | [`Proof`]: how a client proves who it is |
//! | `provider.rs` | [`Provider`], [`FetchLimit`], [`Inspection`], [`Probe`] |
//! | `store.rs` | [`TokenStore`], [`Lease`], [`Claim`] |
//! | `durable.rs` | [`DurableStore`], [`Account`]: credentials that change with each use |
//! | `variables.rs` | [`VariableNames`]: the environment variables that a configuration's references name |
//!
//! Five crates lie below, and none of them knows what a token is. What providers and stores need of them
//! is re-exported here.
//!
//! | crate | what is in it |
//! | --- | --- |
//! | `biped-wire` | [`wire`], which reads what vendors write; [`BaseUrls`], [`check_secure`]: where a secret may be sent |
//! | `biped-secret` | [`SecretRef`]: places of secrets, and how they are read; [`IdentityKey`] |
//! | `biped-error` | [`Error`], [`VendorError`], [`StoreError`]; [`Clock`], [`Timestamp`] |
//! | `biped-redact` | makes text of others fit to be shown |
//! | `biped-io` | reads files and runs commands |

mod api;
mod client_identity;
mod durable;
mod fetch;
mod id;
mod input;
mod observer;
mod proof;
mod provider;
mod rejection;
mod request;
mod store;
mod token;
mod variables;

pub use self::{
    api::{
        ApiRequest, ApiRequestParts, ApiResponse, AttachContext, PEEK_LIMIT, PEEK_TIME, Verdict,
        judge_by_status,
    },
    client_identity::ClientIdentity,
    durable::{Account, AccountKey, DurableEntry, DurableLock, DurableStore, Revision},
    fetch::FetchContext,
    id::{ProviderId, StoreKey, TokenKey},
    input::Input,
    observer::RequestObserver,
    proof::Proof,
    provider::{Choice, FetchLimit, IdentityRef, Inspection, Probe, Provider, Tenant, Tenants},
    rejection::RejectionRule,
    request::{ParamValue, SetParam, TokenRequest},
    store::{Claim, Generation, Lease, LeaseFailure, LeaseId, StoredToken, TokenStore},
    token::{Token, TokenBuilder},
    variables::VariableNames,
};
pub use ::http;
pub use async_trait::async_trait;
#[doc(inline)]
pub use biped_error::{
    Clock, Error, ErrorKind, Now, StoreError, SystemClock, Timestamp, VendorError,
};
pub use biped_io::{
    FILE_TIMEOUT, MAX_FILE_SIZE, read_file, read_file_async, read_file_if, read_text_file,
    replace_file, replace_file_durably,
};
#[doc(inline)]
pub use biped_secret::{
    COMMAND_TIMEOUT, IdentityKey, References, SecretRef, SecretSource, SecretUse, SourceContext,
    name_credentials, pem_blocks,
};
#[doc(inline)]
pub use biped_wire::{
    BaseUrls, DEFAULT_LIFETIME, HttpClient, Lifetime, MAX_LIFETIME, NoLifetime, PlainHttp,
    check_platform, check_secure, is_loopback, is_on_host, redacted_url, wire,
};
// Two crates before their 1.0 are part of this crate's interface. `async_trait` is only a macro: the
// methods that it writes return types of the standard library. The types of `secrecy` are here because
// applications, providers and HTTP libraries already hold their secrets in them; a new 0.x of it is a
// breaking change of this crate, as is one of any crate whose types stand in its signatures.
pub use secrecy::{ExposeSecret, SecretString};
