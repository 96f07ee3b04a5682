//! The engine of Biped, two-legged OAuth for Rust: it keeps access tokens, and calls APIs with them.
//!
//! | for | read |
//! | --- | --- |
//! | tokens | [`TokenManager`], whose page has the rules, and [`TokenSource`] |
//! | calls with a token, on another HTTP library | [`call`] and [`Transport`] |
//!
//! # The map
//!
//! | file | what it is |
//! | --- | --- |
//! | `manager.rs` | [`TokenManager`], its builder, the rules |
//! | `source.rs`, `token_ref.rs` | the handle that callers have; the token it hands out |
//! | `engine.rs` | what keys and flights share |
//! | `status.rs`, `settings.rs`, `telemetry.rs`, `spans.rs` | what is known of a key; the numbers; events and metrics; spans |
//! | `failure.rs` | what follows from a failure: when it is tried again, what is paused, what the fleet hears. Pure |
//! | `input.rs`, `lending.rs` | tokens of other providers that a fetch needs |
//! | `rotation.rs`, `rotation/` | credentials that change with each use: what follows from what, pure, and the task that carries it out |
//! | `client.rs` | what the keys of one client share: its refusal |
//! | `endpoint.rs`, `endpoint/` | what the keys of one token endpoint share: the pause, the rate, permits and who gets them first |
//! | `key/` | a key: its state machine, synchronous; the token it serves; how keys are found and evicted |
//! | `flight/` | a fetch in progress: as its callers see it, what they want, the task that carries it out |
//! | `fleet/` | the store as one flight uses it, bounded in time, and what is written there |
//! | `call.rs`, `call/` | an API call with a token: where it goes, what the response says |
//! | `sync.rs` | what all of this is made of: locks, atomics, tasks |
//! | `model/` | a model check of how flights, rejections, keys and permits meet |
//!
//! The model check puts its own primitives in the place of `sync.rs` and plays this very code in
//! thousands of orders; `model/mod.rs` says how to run it. What can go wrong between two steps belongs
//! there.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod call;
mod client;
mod endpoint;
mod engine;
mod failure;
mod fleet;
mod flight;
mod input;
mod key;
mod lending;
mod manager;
#[cfg(all(test, shuttle))]
mod model;
mod refused;
mod rotation;
mod settings;
mod source;
mod spans;
mod status;
mod sync;
mod telemetry;
mod token_ref;

pub use self::{
    call::{BASE_URL_PLACEHOLDER, CallError, Transport, call},
    key::{cached::CachedToken, state::Rejection},
    manager::{TokenManager, TokenManagerBuilder},
    rotation::account::{Credential, CredentialState},
    settings::Settings,
    source::TokenSource,
    status::{Status, TokenState},
    token_ref::TokenRef,
};
