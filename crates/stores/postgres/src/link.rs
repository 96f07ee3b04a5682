//! [`Link`]: the connection of a process, made again when it is lost.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime, sync::watch};
use tokio_postgres::Config;

use crate::{
    address::shown,
    fault::SILENT,
    race::{CONNECTING, Failed, race},
    session::{LIMIT, Session, Setup},
};

/// How long an operation that its caller drops must have waited for the connection to be at fault. A
/// caller's time may end a little earlier than the limit; one that polls drops what it waits for after
/// 100 ms, however well the server does.
const PATIENCE: Duration = LIMIT.saturating_sub(Duration::from_millis(50));

/// The connection of a process. All operations share it.
#[derive(Default)]
pub(crate) struct Link(Mutex<Current>);

#[derive(Default)]
struct Current {
    attempt: Option<Attempt>,
    /// The server that is tried first: the one that the connection is to.
    first: usize,
}

/// An operation that waits for its answer.
pub(crate) struct Waiting<'a> {
    link: &'a Link,
    setup: &'a Setup,
    /// When it began, unless it is over.
    since: Option<Duration>,
}

impl Waiting<'_> {
    pub(crate) fn end(mut self) {
        self.since = None;
    }
}

impl Drop for Waiting<'_> {
    /// An operation that its caller drops can't tell that nothing came.
    fn drop(&mut self) {
        let waited = |since| self.setup.clock.now().mono.saturating_sub(since);
        if self.since.is_some_and(|since| waited(since) >= PATIENCE) {
            self.link.part(self.setup);
        }
    }
}

/// A connection that is being made, or is made.
#[derive(Clone)]
struct Attempt {
    /// The runtime that drives it. On another runtime it would never respond.
    runtime: runtime::Id,
    outcome: watch::Receiver<Outcome>,
}

#[derive(Clone, Default)]
enum Outcome {
    #[default]
    Connecting,
    Ready(Arc<Session>),
    Failed(Arc<str>),
}

impl Link {
    /// The connection. It is made if there is none; all that ask meanwhile wait for the same. An operation
    /// that gives up leaves it being made, for the next.
    pub(crate) async fn session(
        self: &Arc<Self>,
        servers: &Arc<[Config]>,
        setup: &Setup,
    ) -> Result<Arc<Session>, String> {
        let mut outcome = self.attempt(servers, setup).outcome;
        let settled = outcome
            .wait_for(|outcome| !matches!(outcome, Outcome::Connecting))
            .await;
        match settled.as_deref() {
            Ok(Outcome::Ready(session)) => Ok(session.clone()),
            Ok(Outcome::Failed(why)) => Err(why.to_string()),
            _ => Err("can't be reached: the connection ended".into()),
        }
    }

    fn attempt(self: &Arc<Self>, servers: &Arc<[Config]>, setup: &Setup) -> Attempt {
        let runtime = runtime::Handle::current();
        let mut current = self.lock();
        if let Some(attempt) = &current.attempt
            && attempt.runtime == runtime.id()
            && attempt.is_of_use()
        {
            return attempt.clone();
        }
        let (told, outcome) = watch::channel(Outcome::default());
        let attempt = Attempt {
            runtime: runtime.id(),
            outcome,
        };
        current.attempt = Some(attempt.clone());
        let (link, servers, setup) = (Arc::downgrade(self), servers.clone(), setup.clone());
        let first = current.first;
        runtime.spawn(async move {
            let order = (0..servers.len()).map(|step| first.wrapping_add(step) % servers.len());
            let connect = |at: usize| {
                let (servers, setup) = (servers.clone(), setup.clone());
                async move { Session::connect(&servers[at], &setup).await }
            };
            match race(order, &*setup.clock, connect).await {
                Ok((at, session)) => {
                    if let Some(link) = link.upgrade() {
                        link.lock().first = at;
                    }
                    told.send_replace(Outcome::Ready(Arc::new(session)));
                }
                Err(failed) => {
                    // One that has answered may be promoted; one that is silent takes the time of others.
                    let answered = failed.iter().find(|failed| failed.why.is_some());
                    if let (Some(link), Some(failed)) = (link.upgrade(), answered) {
                        link.lock().first = failed.at;
                    }
                    let why = each_of(&servers, failed);
                    told.send_replace(Outcome::Failed(why.into()));
                }
            }
        });
        attempt
    }

    /// Drops a connection, so that the next operation makes another.
    pub(crate) fn part_with(&self, session: &Arc<Session>, setup: &Setup) {
        self.drop_current(session, setup, 0);
    }

    /// Drops a connection, so that the next operation makes another, to the next server if there are
    /// several.
    pub(crate) fn pass_over(&self, session: &Arc<Session>, setup: &Setup) {
        self.drop_current(session, setup, 1);
    }

    fn drop_current(&self, session: &Arc<Session>, setup: &Setup, skipped: usize) {
        let mut current = self.lock();
        let parted = current.attempt.take_if(|attempt| {
            let outcome = attempt.outcome.borrow();
            matches!(&*outcome, Outcome::Ready(known) if Arc::ptr_eq(known, session))
        });
        if parted.is_some() {
            current.first = current.first.wrapping_add(skipped);
            drop(current);
            setup.waiters.wake_all();
        }
    }

    /// Drops the connection if it is ready, since its server may hang. Returns whether it was ready.
    pub(crate) fn part(&self, setup: &Setup) -> bool {
        let ready = self.lock().attempt.as_ref().and_then(|attempt| {
            let outcome = attempt.outcome.borrow();
            match &*outcome {
                Outcome::Ready(session) => Some(session.clone()),
                _ => None,
            }
        });
        if let Some(session) = &ready {
            self.pass_over(session, setup);
        }
        ready.is_some()
    }

    /// Watches an operation that begins.
    pub(crate) fn watch<'a>(&'a self, setup: &'a Setup) -> Waiting<'a> {
        Waiting {
            link: self,
            setup,
            since: Some(setup.clock.now().mono),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says why no server can be used.
fn each_of(servers: &[Config], mut failed: Vec<Failed>) -> String {
    let why = |failed: &Failed| {
        let silent = || {
            format!(
                "does not respond within {} ms: {SILENT}",
                CONNECTING.as_millis()
            )
        };
        failed.why.clone().unwrap_or_else(silent)
    };
    if let ([_], [failed]) = (servers, &failed[..]) {
        return why(failed);
    }
    // In the order of the URL, whichever was asked first.
    failed.sort_by_key(|failed| failed.at);
    let each = failed.iter();
    let each: Vec<_> = each
        .map(|failed| format!("{} {}", shown(&servers[failed.at]), why(failed)))
        .collect();
    format!("has no server that can be used: {}", each.join("; "))
}

impl Attempt {
    /// Whether it is under way, or its connection is open.
    fn is_of_use(&self) -> bool {
        let is_over = self.outcome.has_changed().is_err();
        match &*self.outcome.borrow() {
            // The task that made it is gone with its runtime.
            Outcome::Connecting => !is_over,
            Outcome::Ready(session) => !session.client.is_closed(),
            Outcome::Failed(_) => false,
        }
    }
}
