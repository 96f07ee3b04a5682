//! `/-/events`: [`status`](crate::status) as server-sent events, whenever it changes.

use std::{sync::Arc, time::Duration};

use biped::provider::{Clock, SystemClock};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

use crate::{
    body::AnswerBody,
    limiter::Permit,
    problem::Problem,
    route_context::RouteContext,
    shared::{Shared, Stage},
    status,
};

/// How many may follow at a time.
const FOLLOWERS: usize = 32;
/// How long after an event the next may follow.
const REST: Duration = Duration::from_millis(500);
/// After so long without an event a comment shows that the connection is there.
const QUIET: Duration = Duration::from_secs(15);

struct Following {
    shared: Arc<Shared>,
    last: String,
    told_at: Duration,
    _place: Permit,
}

/// Returns a response with an event now, and one whenever the status changes, until the sidecar stops.
pub(crate) fn follow(context: &RouteContext<'_>) -> Result<Response<AnswerBody>, Problem> {
    let place = context
        .shared
        .followers
        .try_take(FOLLOWERS)
        .ok_or_else(|| {
            let what = "too many clients follow /-/events; close one, or read /-/status";
            Problem::new("overloaded", what).retry_after(Duration::from_secs(1))
        })?;
    let following = Following {
        shared: context.shared.clone(),
        last: String::new(),
        told_at: Duration::ZERO,
        _place: place,
    };
    let events = unfold(following, |mut following| async move {
        let piece = following.next().await?;
        Some((piece, following))
    });
    let mut response = Response::new(AnswerBody::pieces(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Following {
    async fn next(&mut self) -> Option<Bytes> {
        let mut stage = self.shared.stage.subscribe();
        loop {
            if !self.last.is_empty() {
                tokio::select! {
                    biased;
                    _ = stage.wait_for(|stage| *stage >= Stage::Closing) => return None,
                    () = SystemClock.sleep(REST) => {}
                }
            }
            let now = SystemClock.now().mono;
            let text = status::of(&self.shared, &self.shared.live.load()).to_string();
            if text != self.last {
                self.told_at = now;
                self.last = text;
                return Some(format!("data: {}\n\n", self.last).into());
            }
            if now.saturating_sub(self.told_at) >= QUIET {
                self.told_at = now;
                return Some(Bytes::from_static(b":\n\n"));
            }
        }
    }
}
