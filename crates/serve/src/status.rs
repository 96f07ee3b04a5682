//! `/-/status`: how the sidecar and the providers stand, as JSON.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use biped::{
    ErrorKind,
    config::shown_endpoint,
    provider::{Clock, SystemClock, wire},
};
use serde_json::{Value, json};

use crate::{
    live::{Live, Served},
    meter::CLASSES,
    shared::Shared,
};

/// How the sidecar stands, and every provider's default token.
pub(crate) fn of(shared: &Shared, live: &Live) -> Value {
    // Their number, never their names.
    let mut tenants: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for status in live.biped.manager().statuses() {
        // A name that no tenant may have is kept as an empty one.
        if let Some(tenant) = status.tenant.filter(|tenant| !tenant.is_empty()) {
            tenants.entry(status.provider).or_default().insert(tenant);
        }
    }
    let providers = live.all().map(|served| {
        let mut shown = provider(served);
        if served.provider.provider().tenants().is_some() {
            shown["tenants"] = json!(tenants.get(&served.name).map_or(0, BTreeSet::len));
        }
        shown
    });
    let providers: Vec<Value> = providers.collect();
    let uptime = SystemClock.now().mono.saturating_sub(shared.started);
    let configuration = shared.configuration.load();
    json!({
        "version": 1,
        "ready": shared.is_ready(),
        "release": env!("CARGO_PKG_VERSION"),
        "uptime": uptime.as_secs(),
        "configuration": {
            "path": configuration.path,
            "sha256": configuration.sha256,
            "read_at": configuration.read_at.map(|at| format!("{at:.3}")),
            "error": configuration.error,
        },
        "providers": providers,
    })
}

fn provider(served: &Served) -> Value {
    let status = served.source.status();
    let now = SystemClock.now().wall;
    let error = status.last_error.as_ref().map(|error| {
        let vendor = error
            .vendor()
            .cloned()
            .map(biped::VendorError::cut_and_escaped);
        let vendor = vendor.as_ref();
        let said = vendor.and_then(|vendor| vendor.message.as_deref().map(Cow::Borrowed));
        json!({
            "kind": error.kind().as_str(),
            "status": vendor.and_then(|vendor| vendor.status),
            "code": vendor.and_then(|vendor| vendor.code.as_deref()),
            "reason": vendor.and_then(|vendor| vendor.reason.as_deref()),
            "message": match said {
                Some(said) if error.says_more_than_vendor() => {
                    Cow::from(format!("{said} ({})", wire::escaped(error.message())))
                }
                Some(said) => said,
                None => wire::escaped(error.message()),
            },
        })
    });
    let token = served.source.fresh();
    let expires_at = token.as_ref().and_then(|token| token.expires_at());
    let base = match &token {
        Some(token) => served.source.base_url(token),
        None => None,
    };
    let is_unread = status
        .last_error
        .as_ref()
        .is_some_and(|error| error.kind() == ErrorKind::Secret);
    let requests = served.series.by_class();
    let requests = CLASSES.into_iter().zip(requests);
    let requests: serde_json::Map<_, _> = requests
        .map(|(class, count)| (class.to_owned(), count.into()))
        .collect();
    json!({
        "name": &*served.name,
        "kind": served.provider.kind(),
        "state": status.state.as_str(),
        "token_endpoint": shown_endpoint(served.provider.token_endpoint()),
        "base_url": base.map(url::Url::as_str),
        "expires_at": expires_at.map(|at| at.to_string()),
        "refresh_at": status.refresh_in.map(|left| now.after(left).to_string()),
        "remaining": status.remaining.map(|left| left.as_secs()),
        "fetches": status.fetches,
        "rejections": status.rejections,
        "requests": requests,
        "secrets_found": !is_unread,
        "fetching": status.fetching,
        "last_error": error,
        "next_attempt": status.next_attempt.map(|wait| wait.as_secs()),
    })
}
