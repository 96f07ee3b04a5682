//! Whether the sidecar is ready: the first fetches, and the route that tells.

use std::{sync::Arc, time::Duration};

use biped::provider::{Clock, SystemClock};
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::{
    live::{Live, Served},
    reply,
    shared::Shared,
};

/// How long after a failure the token of a required provider is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// `/-/ready`.
pub(crate) fn ready(shared: &Shared) -> Response<Bytes> {
    let is_ready = shared.is_ready();
    let live = shared.live.load();
    let providers: Map<String, Value> = live
        .all()
        .map(|served| {
            let state = served.source.status().state;
            (served.name.to_string(), json!(state.as_str()))
        })
        .collect();
    let body = json!({"ready": is_ready, "providers": providers});
    let mut response = reply::json(&body);
    if !is_ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// Fetches the first tokens; ready when each fetch has ended, well or badly, or the time is over, and
/// the required providers have theirs.
pub(crate) async fn warm_up(shared: Arc<Shared>, live: Arc<Live>) {
    let mut fetches = JoinSet::new();
    let limit = live.serve.warm_timeout;
    let required = |served: &Served| {
        let names = &live.serve.ready_requires;
        names.iter().any(|name| **name == *served.name)
    };
    let mut must = JoinSet::new();
    for served in live.warmed() {
        if required(&served) {
            must.spawn(async move {
                while served.source.token().await.is_err() {
                    SystemClock.sleep(AGAIN).await;
                }
            });
        } else {
            fetches.spawn(async move { drop(served.source.token().await) });
        }
    }
    let all = async { while fetches.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        () = SystemClock.sleep(limit) => fetches.detach_all(),
    }
    while must.join_next().await.is_some() {}
    shared.step_done();
}
