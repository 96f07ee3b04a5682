//! What the engine tells: `tracing` events, and `metrics` where that feature is on, by the contract
//! on [`TokenManager`](crate::TokenManager)'s page. No event holds a token, and each is one line,
//! whatever names, parameters and other people's texts are in it.

use std::{fmt, time::Duration};

use biped_core::{
    Error, Now, ProviderId, RequestObserver, Token, TokenRequest,
    wire::{Escaped, escaped},
};
use http::{Method, StatusCode};

use crate::{key::state::Rejection, spans};

/// The target of events about a store: a command shows these to its user.
const STORE: &str = "biped::store";
/// The target of warnings about a credential that a person must renew or configure in another way.
const CREDENTIAL: &str = "biped::credential";

/// What a token is for, to be read: the tenant, then the request.
struct Wanted<'a>(&'a ProviderId, &'a TokenRequest);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(tenant) = self.0.tenant() else {
            return self.1.fmt(f);
        };
        write!(f, "tenant={}", Escaped(tenant))?;
        match self.1.to_string() {
            request if request.is_empty() => Ok(()),
            request => write!(f, " {request}"),
        }
    }
}

pub(crate) fn fetched(
    id: &ProviderId,
    request: &TokenRequest,
    token: &Token,
    from_store: bool,
    took: Duration,
) {
    let (provider, request) = (id.name(), Wanted(id, request));
    let outcome = if from_store { "stored" } else { "token" };
    spans::flight_ended(Ok(outcome));
    count2("biped_fetches_total", provider, ("outcome", outcome));
    let provider = &*escaped(provider);
    tracing::debug!(provider, %request, outcome, took_ms = took.as_millis(), "fetched a new token");
    let token_type = token.token_type();
    if !from_store && token.scheme() == "Bearer" && !token_type.eq_ignore_ascii_case("bearer") {
        // The API may refuse it.
        let token_type = Escaped(token_type);
        tracing::warn!(provider, %request, "the token's type is `{token_type}`; sending it as Bearer");
    }
}

/// A request that was sent although it is odd.
pub(crate) fn odd_request(id: &ProviderId, request: &TokenRequest, warning: &str) {
    let (provider, request) = (id.name(), Wanted(id, request));
    let (provider, warning) = (&*escaped(provider), Escaped(warning));
    tracing::warn!(provider, %request, "{warning}");
}

/// A vendor that replaces a refresh token that was configured as a fixed one.
pub(crate) fn unexpected_rotation(provider: &str) {
    let provider = &*escaped(provider);
    tracing::warn!(
        target: CREDENTIAL,
        provider,
        "the server replaced the refresh token, and may refuse the configured one from now on; set \
         rotates = true"
    );
}

/// A token whose lifetime nothing told.
pub(crate) fn assumed(id: &ProviderId, request: &TokenRequest, token: &Token) {
    let (provider, request) = (id.name(), Wanted(id, request));
    if let (Some(why), Some(life)) = (token.assumed_lifetime(), token.lifetime()) {
        let (provider, lifetime_s) = (&*escaped(provider), life.as_secs());
        tracing::debug!(provider, %request, lifetime_s, "the lifetime of the token is assumed: {why}");
    }
}

pub(crate) fn failed(id: &ProviderId, request: &TokenRequest, error: &Error, serving: bool) {
    let (provider, request) = (id.name(), Wanted(id, request));
    spans::flight_ended(Err(error));
    count2(
        "biped_fetches_total",
        provider,
        ("outcome", error.kind().as_str()),
    );
    // A warning even while a token still serves: no call has failed yet, and an operator can act in time.
    let retry_in_ms = error.retry_after().map(|wait| wait.as_millis());
    let (provider, kind, error) = (
        &*escaped(provider),
        error.kind().as_str(),
        error.clone().without_plan().without_provider().to_string(),
    );
    let error = Escaped(&error);
    tracing::warn!(provider, %request, kind, serving, retry_in_ms, "no token could be fetched: {error}");
}

pub(crate) fn waited(provider: &str) {
    count("biped_waits_total", provider);
}

pub(crate) fn served_stale(provider: &str, token: &Token, now: &Now) {
    count("biped_stale_served_total", provider);
    if let Some(expiry) = token.expires_at() {
        let left = expiry.since(now.wall);
        histogram("biped_remaining_life_seconds", provider, left.as_secs_f64());
    }
}

pub(crate) fn rejected(id: &ProviderId, request: &TokenRequest, rejection: Rejection) {
    let (provider, request) = (id.name(), Wanted(id, request));
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
        "the token store failed; continuing without it: {why}"
    );
}

/// A store that did not keep what became of a credential.
pub(crate) fn credential_fault(provider: &str, why: &str, consequence: &str) {
    count2("biped_store_faults_total", provider, ("operation", "swap"));
    let (provider, why) = (&*escaped(provider), Escaped(why));
    tracing::warn!(
        target: STORE,
        provider,
        "the account's entry can't be stored: {why}; {consequence}"
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
        "the store is not sealed, so it can't tell clients apart: tokens of inline secrets, and of \
         providers without a client_id, stay in this process; set store.seal to share them"
    );
}

pub(crate) fn lease_lost(provider: &str) {
    count("biped_leases_lost_total", provider);
    let provider = &*escaped(provider);
    tracing::warn!(target: STORE, provider, "lost the lease on a fetch while it was running");
}

/// Logs the requests of a provider, if a log wants to hear of them.
pub(crate) struct Requests<'p>(&'p str);

impl<'p> Requests<'p> {
    pub(crate) fn of(provider: &'p str) -> Option<Self> {
        tracing::enabled!(tracing::Level::DEBUG).then_some(Self(provider))
    }

    /// A call of the API was answered, or not.
    pub(crate) fn called(
        &self,
        method: &Method,
        url: &str,
        status: Option<StatusCode>,
        took: Duration,
    ) {
        let (provider, url) = (&*escaped(self.0), &*escaped(url));
        let (status, took_ms) = (status.map(|status| status.as_u16()), took.as_millis());
        tracing::debug!(provider, %method, url, status, took_ms, "called the API");
    }
}

impl RequestObserver for Requests<'_> {
    fn sending(&self, method: &Method, url: &str, bytes: usize) {
        let (provider, url) = (&*escaped(self.0), &*escaped(url));
        tracing::trace!(provider, %method, url, bytes, "sends a request");
    }

    fn answered(
        &self,
        method: &Method,
        url: &str,
        answer: Result<(StatusCode, usize), &Error>,
        took: Duration,
    ) {
        let (provider, url) = (&*escaped(self.0), &*escaped(url));
        let took_ms = took.as_millis();
        match answer {
            Ok((status, bytes)) => {
                let status = status.as_u16();
                tracing::debug!(provider, %method, url, status, took_ms, bytes, "asked the vendor");
            }
            Err(error) => {
                let kind = error.kind().as_str();
                tracing::debug!(provider, %method, url, kind, took_ms, "the request to the vendor failed");
            }
        }
    }
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
