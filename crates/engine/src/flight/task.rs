//! [`FlightTask`]: carries out a flight: the store, the permit, the vendor, another attempt.
//!
//! It decides nothing: what follows from a failure is in `failure.rs`, what becomes of the key in
//! `key/state.rs`. What a flight does at the store is in `flight/store.rs`, how it ends in `flight/end.rs`.

use std::{sync::Arc, time::Duration};

use biped_core::{
    Error, Generation, IdentityKey, Lease, Now, Provider, ProviderId, SecretUse, SourceContext,
    Token,
};

use crate::{
    endpoint::Permit,
    engine::Engine,
    failure::{Consequences, FetchFailure, FlightFailure, Patience},
    fleet::session::{SharedStore, StoreSession},
    flight::{
        Flight,
        activity::ActivityGuard,
        exchange::{Answer, Ask},
    },
    input::Lent,
    key::{
        cached::{CachedToken, CallCredentials},
        table::Key,
    },
    settings::REST,
    sync::atomic::{AtomicBool, Ordering},
    telemetry,
};

/// Carries out one flight, in a task of its own.
pub(crate) struct FlightTask {
    pub(super) engine: Arc<Engine>,
    pub(super) key: Arc<Key>,
    pub(super) flight: Arc<Flight>,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) finished: bool,
    /// The request was sent once more with new tokens of other providers.
    replayed: AtomicBool,
    /// Dropped last, when the store was told as well.
    _activity: ActivityGuard,
}

/// What a flight brings.
pub(super) struct Fetched {
    pub(super) token: CachedToken,
    pub(super) from_store: bool,
    pub(super) lease: Option<Lease>,
    /// The secrets that were read for the request.
    pub(super) secrets: Vec<SecretUse>,
}

/// What a flight may do after it consulted the store.
pub(super) enum Admission {
    /// Take the token that the store had.
    Stored(Box<Fetched>),
    /// Ask the vendor, with this permit and, where the store gives one, a lease.
    Granted(Permit, Option<Lease>),
}

/// Why an attempt brought no token, and the lease under which it was made.
struct FailedAttempt {
    failure: FlightFailure,
    lease: Option<Lease>,
    /// Another provider's token was refused, and has been rejected: another attempt follows at once.
    replay: bool,
}

impl From<FlightFailure> for FailedAttempt {
    fn from(failure: FlightFailure) -> Self {
        Self {
            failure,
            lease: None,
            replay: false,
        }
    }
}

impl FlightTask {
    pub(crate) fn new(
        engine: Arc<Engine>,
        key: Arc<Key>,
        flight: Arc<Flight>,
        provider: Arc<dyn Provider>,
    ) -> Self {
        Self {
            _activity: engine.activity.begin(),
            engine,
            key,
            flight,
            provider,
            finished: false,
            replayed: AtomicBool::new(false),
        }
    }

    /// Carries out the flight.
    pub(crate) async fn run(mut self) {
        let engine = self.engine.clone();
        let started = engine.clock.now();
        let mut shared = engine.shared.clone();
        if self.provider.account().is_some() {
            // Without the store, which has the credential as well, there is no token at all.
            shared = shared.map(SharedStore::needed);
        }
        let client = self.key.client.clone();
        let provider = self.provider.clone();
        let mut session = None;

        let end = self
            .fetch_in_time(shared.as_ref(), &client.id, &mut session, &started)
            .await;
        match end {
            Ok(Fetched {
                token,
                from_store,
                lease,
                secrets,
            }) => {
                let token = self.succeed(token, from_store, &started);
                // Callers have the token; the store comes after.
                let Some(session) = &mut session else { return };
                if from_store {
                    self.key.state().stored = Some(session.key().into());
                }
                let may_be_stored = match &token {
                    Some(token) if !from_store && session.is_for(&secrets) => {
                        engine.may_share(token, &*provider).await
                    }
                    _ => false,
                };
                match token.filter(|_| may_be_stored) {
                    Some(token) => {
                        self.key.state().stored = Some(session.key().into());
                        session.put(&token, lease.as_ref()).await;
                    }
                    None => {
                        if let Some(lease) = lease {
                            session.release(&lease, None).await;
                        }
                    }
                }
            }
            Err(FailedAttempt { failure, lease, .. }) => {
                let (failure, own_wait) = self.fail(failure);
                let own_wait = own_wait.unwrap_or_default().max(REST);
                if let (Some(session), Some(lease)) = (&mut session, lease) {
                    let news = self.news_for_fleet(&failure, own_wait);
                    session.release(&lease, news).await;
                }
            }
        }
    }

    /// What the other processes hear of a failure, where this one waits for `own_wait`.
    fn news_for_fleet<'f>(
        &self,
        failure: &'f FlightFailure,
        own_wait: Duration,
    ) -> Option<(&'f FetchFailure, Duration)> {
        let rest = failure.fleet_rest(own_wait)?;
        match failure {
            FlightFailure::Fetch(fetch) if self.engine.settings.share_failures => {
                Some((fetch, rest))
            }
            _ => None,
        }
    }

    /// Fetches within the time for that, and gives heartbeats meanwhile.
    async fn fetch_in_time<'s>(
        &self,
        shared: Option<&'s SharedStore>,
        id: &'s ProviderId,
        session: &mut Option<StoreSession<'s>>,
        started: &Now,
    ) -> Result<Fetched, FailedAttempt> {
        let Engine {
            clock, settings, ..
        } = &*self.engine;
        let mut fetch = std::pin::pin!(self.fetch(shared, id, session));
        let mut left = settings.flight_limit;
        while !left.is_zero() {
            tokio::select! {
                biased;
                end = &mut fetch => return end,
                () = clock.sleep(left.min(settings.heartbeat)) => {}
            }
            let now = clock.now();
            self.flight.give_heartbeat(&now);
            if self.flight.is_queued() {
                self.key.client.endpoint.pass_over_lost(&now);
            }
            let passed = now.mono.saturating_sub(started.mono);
            left = settings.flight_limit.saturating_sub(passed);
        }
        let limit = settings.flight_limit.as_secs();
        let error = if self.flight.is_queued() {
            Error::unreachable(format!(
                "no token within {limit} s: too many token requests wait for this token endpoint"
            ))
            .with_remedy("raise engine.concurrent_fetches")
        } else {
            Error::unreachable(format!("no token within {limit} s"))
        };
        Err(FlightFailure::Fetch(error.into()).into())
    }

    /// As many attempts as the failures allow.
    async fn fetch<'s>(
        &self,
        shared: Option<&'s SharedStore>,
        id: &'s ProviderId,
        session: &mut Option<StoreSession<'s>>,
    ) -> Result<Fetched, FailedAttempt> {
        let clock = &*self.engine.clock;
        if let Some(recheck) = self.flight.recheck() {
            let http = self.engine.http.of(id);
            let reading = SourceContext::new(clock).with_http(http);
            let is_over = recheck.is_in_entry
                && Box::pin(self.engine.may_send_credential(&*self.provider)).await;
            if !is_over && !recheck.any_changed(&reading).await {
                return Err(FlightFailure::Known(recheck.refusal).into());
            }
            self.flight.recheck_passed();
        }
        if let Some(shared) = shared {
            *session = Box::pin(shared.session(id, &self.key.request)).await;
        }
        let mut attempts = 1;
        loop {
            let failed = match self.attempt(session).await {
                Ok(fetched) => return Ok(fetched),
                Err(failed) => failed,
            };
            if failed.replay {
                if let (Some(session), Some(lease)) = (session.as_mut(), failed.lease) {
                    session.release(&lease, None).await;
                }
                continue;
            }
            let Some(wait) = failed.failure.retry(attempts, self.patience()) else {
                return Err(failed);
            };
            if let (Some(session), Some(lease)) = (session.as_mut(), failed.lease) {
                let news = self.news_for_fleet(&failed.failure, wait);
                session.release(&lease, news).await;
            }
            clock.sleep(wait).await;
            attempts += 1;
        }
    }

    /// One attempt: the store, the permit, the lease, the vendor.
    ///
    /// The futures of a store are boxed: most flights have no store, and need no room for them.
    async fn attempt(
        &self,
        session: &mut Option<StoreSession<'_>>,
    ) -> Result<Fetched, FailedAttempt> {
        let mut lent = Vec::new();
        if !self.provider.inputs().is_empty() {
            if let Some(session) = session
                && let Some(fetched) = Box::pin(self.stored(session)).await
            {
                return Ok(fetched);
            }
            let replacement = self.replayed.load(Ordering::Relaxed);
            let borrowed = Box::pin(self.engine.borrow(&*self.provider, replacement)).await;
            lent = borrowed.map_err(FlightFailure::Known)?;
        }
        let (mut permit, lease) = loop {
            let (permit, lease) = match session {
                None => (self.permit().await?, None),
                Some(session) => match Box::pin(self.consult_store(session)).await? {
                    Admission::Stored(fetched) => return Ok(*fetched),
                    Admission::Granted(permit, lease) => (permit, lease),
                },
            };
            if permit.is_still_held() {
                break (permit, lease);
            }
            // The runtime stood still for a while, and the permit went to another flight.
            if let (Some(session), Some(lease)) = (session.as_mut(), lease) {
                Box::pin(session.release(&lease, None)).await;
            }
        };
        if lease.is_none()
            && let Some(put_off) = self.put_off()
        {
            return Err(put_off.into());
        }
        let generation = self.next_generation(lease.as_ref());
        permit.set_used(true);
        let answer = match session {
            None => self.ask(None, &lent).await,
            Some(session) => {
                let identity = session.identity().cloned();
                Box::pin(session.holding(lease, self.ask(identity.as_ref(), &lent))).await
            }
        };
        permit.set_used(
            answer
                .as_ref()
                .map_or_else(|failure| failure.sent, |_| true),
        );
        let replay = answer.as_ref().is_err_and(|failure| self.renews(failure));
        if let Err(failure) = &answer
            && !replay
        {
            self.apply(failure);
        }
        // Not sooner: the flight that gets it next has to know what this one heard.
        drop(permit);
        let failed = |failure| FailedAttempt {
            failure,
            lease,
            replay,
        };
        match answer {
            Ok(Answer::Token(token, sent, credentials, secrets)) => {
                let token = self.cached(*token, generation, credentials, &sent);
                if !token.schedule.unusable.is_ahead(&self.engine.clock.now()) {
                    let error = Error::invalid_response("the token had expired before it arrived");
                    return Err(failed(FlightFailure::Fetch(error.transient(true).into())));
                }
                Ok(Fetched {
                    token,
                    from_store: false,
                    lease,
                    secrets,
                })
            }
            Ok(_) => {
                let error = Error::internal("a fetch ended without a token");
                Err(FlightFailure::Interrupted(error).into())
            }
            Err(failure) => Err(failed(FlightFailure::Fetch(failure))),
        }
    }

    async fn ask(
        &self,
        identity: Option<&IdentityKey>,
        lent: &[Lent],
    ) -> Result<Answer, FetchFailure> {
        let ask = Ask::Token(&self.key.request, identity);
        if let Some(warning) = self.provider.request_warning(&self.key.request) {
            telemetry::odd_request(&self.key.client.id, &self.key.request, &warning);
        }
        self.engine
            .ask_in_turn(&self.provider, &self.key, ask, lent)
            .await
    }

    /// Rejects the tokens of other providers that the vendor refused. Returns whether the request is
    /// to be sent once more.
    fn renews(&self, failure: &FetchFailure) -> bool {
        let mut renews = false;
        for lender in &failure.lenders {
            renews |= lender.reject();
        }
        renews && !self.replayed.swap(true, Ordering::Relaxed)
    }

    /// Carries out what a failure means for the other keys of the client and of the endpoint.
    fn apply(&self, failure: &FetchFailure) {
        let client = &self.key.client;
        let now = self.engine.clock.now();
        let Consequences {
            pause_endpoint,
            refuse_client,
        } = failure.consequences();
        if let Some(wait) = pause_endpoint {
            client.endpoint.pause(wait, &failure.error, &now);
        }
        if refuse_client {
            let error = failure.error.clone().with_provider(client.id.shared_name());
            client.refused(&error, failure, &now);
        }
    }

    /// The right to send one request, when the vendor may be asked.
    pub(super) async fn permit(&self) -> Result<Permit, FlightFailure> {
        let clock = &*self.engine.clock;
        let client = &self.key.client;
        loop {
            self.flight.set_queued(true);
            let permit = client.endpoint.permit(&self.flight, clock).await;
            self.flight.set_queued(false);
            let now = clock.now();
            // Another flight of this client was refused since this one was allowed to start.
            if client.refusals() != self.flight.refusals_seen
                && let Some((error, _)) = client.last_error(&now)
            {
                return Err(FlightFailure::Known(error));
            }
            let Some((error, left)) = client.endpoint.paused(&now) else {
                return Ok(permit);
            };
            drop(permit);
            if !self.patience().covers(left) {
                return Err(FlightFailure::Known(error));
            }
            clock.sleep(left).await;
        }
    }

    pub(super) fn patience(&self) -> Patience {
        let Engine {
            clock, settings, ..
        } = &*self.engine;
        self.flight.patience(settings.max_wait, &clock.now())
    }

    /// The generation of the token to be fetched. It is the newest from now on, so that the token is
    /// forgotten with the others if they are forgotten while it is being fetched.
    fn next_generation(&self, lease: Option<&Lease>) -> Generation {
        let mut state = self.key.state();
        let newest = state.newest;
        state.newest = match lease {
            // The store's clock numbers the fleet's tokens; ours may be ahead of it.
            Some(lease) => lease.generation.max(Generation(newest.0.saturating_add(1))),
            None => newest.next(self.engine.clock.now().wall),
        };
        state.newest
    }

    pub(super) fn cached(
        &self,
        token: Token,
        generation: Generation,
        credentials: CallCredentials,
        seen: &Now,
    ) -> CachedToken {
        let schedule = self.engine.schedule(&token, seen);
        CachedToken::new(token, generation, credentials, schedule)
    }
}

/// However a flight ends (a panic in the provider, a runtime that shuts down), its callers get an
/// error, and the next caller starts another flight.
impl Drop for FlightTask {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.fail(if std::thread::panicking() {
            let error = Error::internal("the provider panicked");
            FlightFailure::Panic(error.with_remedy("this is a bug in the provider"))
        } else {
            let error = Error::internal("the fetch was interrupted: its runtime ended");
            FlightFailure::Interrupted(error.transient(true))
        });
    }
}
