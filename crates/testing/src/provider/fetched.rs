//! One fetch of a provider and its result, and the manager of the checks.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use biped_core::{Clock as _, Error, FetchContext, Provider, Timestamp, Token};
use biped_engine::{Settings, TokenManager, TokenManagerBuilder};

use super::case::{Answer, Case};
use crate::{ManualClock, Recorded, ScriptedHttp};

/// The result of one fetch.
pub(super) struct Fetched {
    pub(super) outcome: Result<Token, Error>,
    pub(super) requests: Vec<Recorded>,
    pub(super) sent_at: Timestamp,
}

impl Fetched {
    pub(super) fn error(self, of: &str) -> Error {
        match self.outcome {
            Ok(_) => panic!("{of} is read as a token"),
            Err(error) => error,
        }
    }
}

/// Fetches from a vendor that takes five seconds to send this response.
pub(super) async fn fetch(provider: &dyn Provider, case: &Case, answer: &Answer) -> Fetched {
    let clock = Arc::new(ManualClock::new());
    let http = ScriptedHttp::new();
    http.answer_with({
        let (clock, answer) = (clock.clone(), answer.clone());
        move |_, _| {
            clock.advance(Duration::from_secs(5));
            answer.reply()
        }
    });
    let sent_at = clock.now().wall;
    let cx = FetchContext::new(&http, &*clock).with_plain_http(provider.plain_http());
    let outcome = provider.fetch(&case.request, &cx).await;
    Fetched {
        outcome,
        requests: http.requests(),
        sent_at,
    }
}

/// A manager whose callers wait for the first attempt and for no other: nobody moves the clock while a
/// check waits.
pub(super) fn manager(http: &Arc<ScriptedHttp>, clock: &Arc<ManualClock>) -> TokenManagerBuilder {
    TokenManager::builder(http.clone())
        .clock(clock.clone())
        .settings(Settings::default().max_wait(Duration::from_nanos(1)))
}
