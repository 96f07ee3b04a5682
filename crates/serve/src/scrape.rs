//! What is looked up when the metrics are asked for.

use biped::{
    Status, TokenState,
    provider::{Clock, SystemClock},
};
use metrics::gauge;

use crate::live::Live;

const STATES: [TokenState; 5] = [
    TokenState::Fresh,
    TokenState::Usable,
    TokenState::Expired,
    TokenState::Missing,
    TokenState::Quarantined,
];

/// Notes how the process and the providers' default tokens stand.
pub(crate) fn scraped(live: &Live) {
    gauge!("biped_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics_process::Collector::default().collect();
    let now = SystemClock.now().wall;
    for served in live.all() {
        let Status {
            state, remaining, ..
        } = served.source.status();
        #[allow(clippy::cast_precision_loss)] // exact for millions of years
        let expiry = remaining.map_or(0.0, |left| now.after(left).unix_seconds() as f64);
        tell(&served.name, Some(state), expiry);
    }
}

/// Notes that a provider is no longer served.
pub(crate) fn removed(provider: &str) {
    tell(provider, None, 0.0);
}

fn tell(provider: &str, state: Option<TokenState>, expiry: f64) {
    for known in STATES {
        let is = f64::from(u8::from(Some(known) == state));
        let name = provider.to_owned();
        gauge!("biped_token_state", "provider" => name, "state" => known.as_str()).set(is);
    }
    let name = provider.to_owned();
    gauge!("biped_token_expiry_timestamp_seconds", "provider" => name).set(expiry);
}
