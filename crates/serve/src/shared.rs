//! [`Shared`]: what all connections share.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use biped::{
    Timestamp,
    provider::{Clock, SystemClock},
};
use http::Response;
use tokio::sync::{Notify, watch};

use crate::{
    body::AnswerBody,
    callers::{Identity, NewKeys},
    limiter::Limiter,
    live::Live,
    meter::Series,
    observe::{Call, LogSink, Render},
    peer::Shown,
    presence::Presence,
    problem::Problem,
    upstream::OwnAddresses,
};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) live: ArcSwap<Live>,
    /// Where the sidecar listens itself.
    pub(crate) own: OwnAddresses,
    /// The addresses of the listeners.
    pub(crate) shown: ArcSwap<Shown>,
    pub(crate) started: Duration,
    /// The configuration that was read last, and what came of that.
    pub(crate) configuration: ArcSwap<Configuration>,
    /// How many follow `/-/events`.
    pub(crate) followers: Arc<Limiter>,
    /// Whether the first fetches have ended.
    is_warm: watch::Sender<bool>,
    pub(crate) new_keys: NewKeys,
    /// What is counted of requests that are for no provider.
    pub(crate) series: Arc<Series>,
    /// Calls under way.
    pub(crate) calls: Arc<Limiter>,
    /// Connections of callers.
    pub(crate) connected: Arc<Limiter>,
    /// Connections of probes.
    pub(crate) probes: Arc<Limiter>,
    pub(crate) log: LogSink,
    /// What `/-/metrics` answers.
    pub(crate) render: Option<Render>,
    pub(crate) stage: watch::Sender<Stage>,
    /// Told by `/-/quit`.
    pub(crate) quit: Notify,
    /// Who is connected.
    pub(crate) presence: Arc<Presence>,
    /// What must be done before readiness: the first fetches, and each file.
    steps: AtomicUsize,
    /// How often the configuration changed.
    pub(crate) reloads: watch::Sender<u64>,
}

/// The configuration that was read last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configuration {
    pub(crate) path: Option<String>,
    /// Of the file, in hexadecimal.
    pub(crate) sha256: Option<String>,
    /// When it was taken.
    pub(crate) read_at: Option<Timestamp>,
    /// Why the changed one is not in use.
    pub(crate) error: Option<String>,
    /// The hashes of the files that it consisted of. One that is missing has none.
    pub(crate) refused: Option<BTreeMap<PathBuf, [u8; 32]>>,
}

/// How far the sidecar is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Running,
    /// No longer ready, but calls are taken.
    Lingering,
    /// Connections end after what they have begun.
    Closing,
    /// Connections end now.
    Over,
}

impl Shared {
    pub(crate) fn new(live: Live, own: OwnAddresses, log: LogSink, render: Option<Render>) -> Self {
        let live_files = live.serve.files.len();
        Self {
            series: Arc::new(Series::new(&"".into())),
            calls: Arc::default(),
            connected: Arc::default(),
            probes: Arc::default(),
            shown: ArcSwap::default(),
            started: SystemClock.now().mono,
            configuration: ArcSwap::default(),
            followers: Arc::default(),
            live: ArcSwap::from_pointee(live),
            own,
            is_warm: watch::Sender::new(false),
            new_keys: NewKeys::default(),
            log,
            render,
            stage: watch::Sender::new(Stage::Running),
            quit: Notify::new(),
            presence: Arc::new(Presence::new(Arc::new(SystemClock))),
            steps: AtomicUsize::new(1 + live_files),
            reloads: watch::Sender::new(0),
        }
    }

    /// Whether calls are welcome.
    pub(crate) fn is_ready(&self) -> bool {
        *self.stage.borrow() == Stage::Running && *self.is_warm.borrow()
    }

    /// One of the steps before readiness is done.
    pub(crate) fn step_done(&self) {
        let left = self.steps.fetch_sub(1, Ordering::AcqRel) - 1;
        if left == 0 {
            self.is_warm.send_replace(true);
        }
    }

    /// Waits until the first fetches have ended.
    pub(crate) async fn warmed(&self) {
        let mut is_warm = self.is_warm.subscribe();
        // The sender lives as long as this.
        let _ = is_warm.wait_for(|is_warm| *is_warm).await;
    }

    /// Notes a problem of a call, and makes it an answer.
    pub(crate) fn refuse(
        &self,
        problem: Problem,
        is_grpc: bool,
        call: &mut Call,
    ) -> Response<AnswerBody> {
        match problem.is_gone {
            true => call.gone(),
            false => {
                call.error = Some(problem.word);
                call.status = Some(problem.status);
            }
        }
        problem.into_response(is_grpc).map(AnswerBody::own)
    }

    /// Counts a key of a caller.
    pub(crate) fn admit_key(
        &self,
        identity: &Identity,
        key: &str,
        live: &Live,
    ) -> Result<(), Problem> {
        let caller = identity.as_ref().map_or("", |caller| caller.name());
        let limit = live.serve.new_keys_per_minute;
        self.new_keys.admit(caller, key, limit)
    }
}
