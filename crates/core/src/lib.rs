//! The vocabulary and the engine of Biped, two-legged OAuth for Rust. No HTTP library and no
//! vendor is in here.
//!
//! | for | read |
//! | --- | --- |
//! | an application that wants tokens | [`TokenManager`], [`TokenSource`], [`TokenRequest`] |
//! | somebody who adds a vendor | [`Provider`], [`wire`], [`Kind`] and [`ProviderConfig`] |
//! | somebody who adds a store | [`TokenStore`] |
//! | somebody who adds an HTTP stack | [`HttpClient`] for token requests, [`call`] for API calls |
//! | tests | [`Clock`] |
//!
//! An application usually depends on the façade `biped` instead.

mod api;
mod base_urls;
mod call;
mod clock;
mod config;
mod error;
mod file;
mod http;
mod identity;
mod key;
mod manager;
mod provider;
mod redact;
mod request;
mod secret;
mod store;
mod text;
mod token;
pub mod wire;

pub use self::{
    api::{
        ApiRequest, ApiRequestParts, ApiResponse, AttachContext, PEEK_LIMIT, PEEK_TIME, Verdict,
        judge_by_status,
    },
    base_urls::BaseUrls,
    call::{BASE_URL_PLACEHOLDER, CallError, Transport, call},
    clock::{Clock, Now, SystemClock, Timestamp},
    config::{
        ConfigValue, Field, FieldType, Kind, Origin, Problem, ProviderConfig, RawValue, References,
        nearest,
    },
    error::{Error, ErrorKind, VendorError},
    file::{FILE_TIMEOUT, MAX_FILE_SIZE, read_file, read_file_if, read_text_file},
    http::{ClientIdentity, HttpClient, check_secure, is_loopback, shown},
    identity::IdentityKey,
    key::{ProviderId, TokenKey},
    manager::{
        Rejection, Settings, Status, TokenManager, TokenManagerBuilder, TokenRef, TokenSource,
        TokenState,
    },
    provider::{FetchContext, IdentityRef, Inspection, Project, Provider},
    request::{ParamValue, TokenRequest},
    secret::{COMMAND_TIMEOUT, SecretRef},
    store::{Claim, Failure, Lease, LeaseId, MemoryStore, StoreError, StoredToken, TokenStore},
    token::{DEFAULT_LIFETIME, Generation, Lifetime, MAX_LIFETIME, Token, TokenBuilder},
};
pub use async_trait::async_trait;
pub use secrecy::{ExposeSecret, SecretString};
