//! Whether the sidecar is ready: the first fetches, and the route that tells.

use std::{sync::Arc, time::Duration};

use biped::provider::{Clock, SystemClock};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::{live::Live, reply, shared::Shared};

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
    for served in live.warmed() {
        fetches.spawn(async move { drop(served.source.token().await) });
    }
    drop(live);
    let all = async { while fetches.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        () = SystemClock.sleep(limit) => fetches.detach_all(),
    }
    required(&shared).await;
    shared.step_done();
}

/// Completes when the providers that the present configuration requires have their tokens.
async fn required(shared: &Shared) {
    let mut reloads = shared.reloads.subscribe();
    loop {
        reloads.borrow_and_update();
        let tried = async {
            let live = shared.live.load_full();
            let must = live
                .all()
                .filter(|served| live.serve.requires(&served.name));
            let tried = join_all(must.map(|served| served.source.token())).await;
            tried.iter().all(Result::is_ok)
        };
        tokio::select! {
            biased;
            has_all = tried => match has_all {
                true => return,
                false => SystemClock.sleep(AGAIN).await,
            },
            // It may require others.
            Ok(()) = reloads.changed() => {}
        }
    }
}
