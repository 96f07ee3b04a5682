//! `/-/status`: how the providers stand, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use biped::provider::wire;
use serde_json::{Value, json};

use crate::{live::Live, shared::Shared};

/// The state of every provider's default token.
pub(crate) fn of(shared: &Shared, live: &Live) -> Value {
    // Their number, never their names.
    let mut tenants: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for status in live.biped.manager().statuses() {
        // A name that no tenant may have is kept as an empty one.
        if let Some(tenant) = status.tenant.filter(|tenant| !tenant.is_empty()) {
            tenants.entry(status.provider).or_default().insert(tenant);
        }
    }
    let providers: Vec<Value> = live
        .all()
        .map(|served| {
            let status = served.source.status();
            let error = status.last_error.as_ref().map(|error| {
                let vendor = error
                    .vendor()
                    .cloned()
                    .map(biped::VendorError::cut_and_escaped);
                let vendor = vendor.as_ref();
                json!({
                    "kind": error.kind().as_str(),
                    "status": vendor.and_then(|vendor| vendor.status),
                    "code": vendor.and_then(|vendor| vendor.code.as_deref()),
                    "reason": vendor.and_then(|vendor| vendor.reason.as_deref()),
                    "message": wire::escaped(error.message()),
                })
            });
            let token = served.source.fresh();
            let expires_at = token.as_ref().and_then(|token| token.expires_at());
            let base = match &token {
                Some(token) => served.source.base_url(token),
                None => None,
            };
            let mut shown = json!({
                "name": &*served.name,
                "kind": served.provider.kind(),
                "state": status.state.as_str(),
                "token_endpoint": served.provider.token_endpoint(),
                "base_url": base.map(url::Url::as_str),
                "expires_at": expires_at.map(|at| at.to_string()),
                "remaining": status.remaining.map(|left| left.as_secs()),
                "fetching": status.fetching,
                "last_error": error,
                "next_attempt": status.next_attempt.map(|wait| wait.as_secs()),
            });
            if served.provider.provider().tenants().is_some() {
                shown["tenants"] = json!(tenants.get(&served.name).map_or(0, BTreeSet::len));
            }
            shown
        })
        .collect();
    json!({"version": 1, "ready": shared.is_ready(), "providers": providers})
}
