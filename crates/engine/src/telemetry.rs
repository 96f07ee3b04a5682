//! What the engine tells: `tracing` events, and `metrics` where that feature is on, by the contract
//! on [`TokenManager`](crate::TokenManager)'s page. No event holds a token, and each is one line,
//! whatever names, parameters and other people's texts are in it.

use std::time::Duration;

use biped_core::{
    Error, Token, TokenRequest,
    wire::{Escaped, escaped},
};

use crate::key::state::Rejection;

/// The target of events about a store: a command shows these to its user.
const STORE: &str = "biped::store";

pub(crate) fn fetched(
    provider: &str,
    request: &TokenRequest,
    token: &Token,
    from_store: bool,
    took: Duration,
) {
    let outcome = if from_store { "stored" } else { "token" };
    count2("biped_fetches_total", provider, ("outcome", outcome));
    let provider = &*escaped(provider);
    tracing::debug!(provider, %request, outcome, took_ms = took.as_millis(), "has a new token");
    let token_type = token.token_type();
    if !from_store && token.scheme() == "Bearer" && !token_type.eq_ignore_ascii_case("bearer") {
        // The API may refuse it.
        let token_type = Escaped(token_type);
        tracing::warn!(provider, %request, "the token's type is `{token_type}`; sending it as Bearer");
    }
}

pub(crate) fn failed(provider: &str, request: &TokenRequest, error: &Error, serving: bool) {
    count2(
        "biped_fetches_total",
        provider,
        ("outcome", error.kind().as_str()),
    );
    // A warning even while a token still serves: no call has failed yet, and an operator can act in time.
    let (provider, kind, error) = (
        &*escaped(provider),
        error.kind().as_str(),
        error.to_string(),
    );
    let error = Escaped(&error);
    tracing::warn!(provider, %request, kind, serving, "got no token: {error}");
}

pub(crate) fn waited(provider: &str) {
    count("biped_waits_total", provider);
}

pub(crate) fn served_stale(provider: &str, left: Option<Duration>) {
    count("biped_stale_served_total", provider);
    if let Some(left) = left {
        histogram("biped_remaining_life_seconds", provider, left.as_secs_f64());
    }
}

pub(crate) fn rejected(provider: &str, request: &TokenRequest, rejection: Rejection) {
    let outcome = match rejection {
        Rejection::Renewing => "renewing",
        Rejection::Superseded => "superseded",
        Rejection::CoolingDown => "cooling_down",
    };
    count2("biped_rejections_total", provider, ("outcome", outcome));
    let provider = &*escaped(provider);
    tracing::debug!(provider, %request, outcome, "an API rejected a token");
}

pub(crate) fn store_fault(provider: &str, operation: &'static str, why: &str) {
    count2(
        "biped_store_faults_total",
        provider,
        ("operation", operation),
    );
    let (provider, why) = (&*escaped(provider), Escaped(why));
    tracing::warn!(
        target: STORE,
        provider,
        operation,
        "the token store failed, going on without it: {why}"
    );
}

/// An entry of the store that no answer of the vendor's could have made.
pub(crate) fn stored_ignored(provider: &str, why: &str) {
    count2("biped_store_faults_total", provider, ("operation", "get"));
    let (provider, why) = (&*escaped(provider), Escaped(why));
    tracing::warn!(
        target: STORE,
        provider,
        operation = "get",
        "the stored token is not used: {why}"
    );
}

/// A store that can't tell secrets apart: said once.
pub(crate) fn store_without_key() {
    tracing::warn!(
        target: STORE,
        "the store has no key to tell secrets apart by: tokens of secrets that stand in the \
         configuration, and of providers without a client_id, stay in this process; seal the store \
         to share them"
    );
}

pub(crate) fn lease_lost(provider: &str) {
    count("biped_leases_lost_total", provider);
    let provider = &*escaped(provider);
    tracing::warn!(target: STORE, provider, "lost the lease on a fetch while it was running");
}

#[cfg(feature = "metrics")]
fn count(name: &'static str, provider: &str) {
    metrics::counter!(name, "provider" => provider.to_owned()).increment(1);
}

#[cfg(feature = "metrics")]
fn count2(name: &'static str, provider: &str, (label, value): (&'static str, &'static str)) {
    metrics::counter!(name, "provider" => provider.to_owned(), label => value).increment(1);
}

#[cfg(feature = "metrics")]
fn histogram(name: &'static str, provider: &str, value: f64) {
    metrics::histogram!(name, "provider" => provider.to_owned()).record(value);
}

#[cfg(not(feature = "metrics"))]
fn count(_: &'static str, _: &str) {}

#[cfg(not(feature = "metrics"))]
fn count2(_: &'static str, _: &str, _: (&'static str, &'static str)) {}

#[cfg(not(feature = "metrics"))]
fn histogram(_: &'static str, _: &str, _: f64) {}
