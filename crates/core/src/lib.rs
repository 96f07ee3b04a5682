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
//! # Map
//!
//! Each file uses only files above it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `clock.rs` | [`Clock`], [`Timestamp`] |
//! | `lifetime.rs` | [`Lifetime`] and the limits of every token's life |
//! | `error.rs` | [`Error`], [`VendorError`], [`StoreError`] |
//! | `redact.rs` | an error without the secrets of a fetch |
//! | `url.rs` | which URLs secrets may be sent to |
//! | `pem.rs` | [`pem_blocks`]: PEM as parsers accept it |
//! | `http.rs` | [`HttpClient`], [`ClientIdentity`] |
//! | `identity.rs` | [`IdentityKey`], under which digests of secrets are made |
//! | `secret.rs`, `secret/` | [`SecretRef`]: places of secrets, and how they are read |
//! | `request.rs` | [`TokenRequest`], [`SetParam`] |
//! | `id.rs`, `id/` | [`ProviderId`], and the names of tokens: [`TokenKey`], [`StoreKey`] |
//! | `input.rs` | [`Input`]: a token of another provider that a fetch needs |
//! | `base_urls.rs` | [`BaseUrls`]: which hosts a response may name |
//! | `challenge.rs` | the parameters of `WWW-Authenticate` |
//! | `pointer.rs` | where a value is in a response |
//! | `wire.rs` | reading what vendors write |
//! | `refusal.rs` | the vendor's words in an error, in whatever envelope |
//! | `token.rs` | [`Token`] |
//! | `api.rs` | [`ApiRequest`], [`ApiResponse`], [`Verdict`] |
//! | `rejection.rs` | [`RejectionRule`]: which API responses reject the token, as data |
//! | `observer.rs` | [`RequestObserver`], which is told of the requests of a fetch |
//! | `fetch.rs` | [`FetchContext`] |
//! | `proof.rs` | [`Proof`]: how a client proves who it is |
//! | `provider.rs` | [`Provider`], [`FetchLimit`], [`Inspection`], [`Probe`] |
//! | `store.rs` | [`TokenStore`], [`Lease`], [`Claim`] |
//! | `durable.rs` | [`DurableStore`], [`Account`]: credentials that change with each use |
//!
//! Files and commands are read by `biped-io`, and text of others is made fit to be shown by
//! `biped-redact`. Neither knows what a token is. What providers and stores need of them is re-exported
//! here.

mod api;
mod base_urls;
mod challenge;
mod clock;
mod durable;
mod error;
mod fetch;
mod http;
mod id;
mod identity;
mod input;
mod lifetime;
mod observer;
mod pem;
mod plain_http;
mod pointer;
mod proof;
mod provider;
mod redact;
mod refusal;
mod rejection;
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
    durable::{Account, AccountKey, DurableEntry, DurableLock, DurableStore, Revision},
    error::{Error, ErrorKind, StoreError, VendorError},
    fetch::FetchContext,
    http::{ClientIdentity, HttpClient},
    id::{ProviderId, StoreKey, TokenKey},
    identity::IdentityKey,
    input::Input,
    lifetime::{DEFAULT_LIFETIME, Lifetime, MAX_LIFETIME, NoLifetime},
    observer::RequestObserver,
    pem::pem_blocks,
    plain_http::PlainHttp,
    proof::Proof,
    provider::{Choice, FetchLimit, IdentityRef, Inspection, Probe, Provider, Tenant, Tenants},
    rejection::RejectionRule,
    request::{ParamValue, SetParam, TokenRequest},
    secret::{COMMAND_TIMEOUT, References, SecretRef, SecretSource, SecretUse, SourceContext},
    store::{Claim, Generation, Lease, LeaseFailure, LeaseId, StoredToken, TokenStore},
    token::{Token, TokenBuilder},
    url::{check_platform, check_secure, is_loopback, is_on_host, redacted_url},
};
pub use async_trait::async_trait;
pub use biped_io::{
    FILE_TIMEOUT, MAX_FILE_SIZE, read_file, read_file_async, read_file_if, read_text_file,
    replace_file, replace_file_durably,
};
// Two crates before their 1.0 are part of this crate's interface. `async_trait` is only a macro: the
// methods that it writes return types of the standard library. The types of `secrecy` are here because
// applications, providers and HTTP libraries already hold their secrets in them; a new 0.x of it is a
// breaking change of this crate, as is one of any crate whose types stand in its signatures.
pub use secrecy::{ExposeSecret, SecretString};
