//! How a flight ends: what becomes of the key, and what its callers get.

use std::{sync::Arc, time::Duration};

use biped_core::{Error, Now};

use crate::{
    failure::FlightFailure,
    flight::{Ended, Flight, Outcome, demand::Demand, task::FlightTask},
    key::cached::CachedToken,
    sync::atomic::Ordering,
    telemetry,
};

impl FlightTask {
    /// Publishes a token: first for callers to come, then for those that wait. Returns it, if it is
    /// the one that is served from now on.
    pub(super) fn succeed(
        &mut self,
        token: CachedToken,
        from_store: bool,
        started: &Now,
    ) -> Option<Arc<CachedToken>> {
        let now = self.engine.clock.now();
        let token = Arc::new(token);
        {
            let mut state = self.key.state();
            let current = self.key.slot.load_full();
            let wanted = (!from_store).then(|| self.flight.min_ttl());
            if !state.succeeded(&token, &now, wanted) {
                drop(state);
                let error = Error::invalid_response(
                    "the token was revoked locally while it was being fetched",
                );
                self.fail(FlightFailure::Forgotten(error.transient(true)));
                return None;
            }
            clear(&mut state.flight, &self.flight);
            if let Some(current) = current
                && token.generation() <= current.generation()
            {
                // This flight was believed lost, and a later one brought a newer token.
                drop(state);
                self.finish(Ok(current));
                return None;
            }
            self.key.slot.publish(&mut state, token.clone());
        }
        if from_store {
            self.flight.set_from_store();
            if self.flight.ends_refusal() {
                self.key.client.secret_changed(self.flight.refusals_seen);
            }
        } else {
            self.key.client.accepted();
            self.key.fetches.fetch_add(1, Ordering::Relaxed);
        }
        let took = now.mono.saturating_sub(started.mono);
        telemetry::fetched(
            &self.key.client.id,
            &self.key.request,
            &token,
            from_store,
            took,
        );
        telemetry::assumed(&self.key.client.id, &self.key.request, &token);
        self.finish(Ok(token.clone()));
        Some(token)
    }

    fn finish(&mut self, outcome: Outcome) {
        self.finished = true;
        self.flight.finish(outcome);
    }

    /// Notes a failure and ends the flight with it. Returns it, and how long this key doesn't ask.
    pub(super) fn fail(&mut self, failure: FlightFailure) -> (FlightFailure, Option<Duration>) {
        let now = self.engine.clock.now();
        let client = &self.key.client;
        let failure = failure.map_error(|error| error.with_provider(client.id.shared_name()));
        let (own_wait, serving) = {
            let mut state = self.key.state();
            let current = self.key.slot.load();
            let own_wait = state.failed(&failure, current.as_deref(), &now);
            clear(&mut state.flight, &self.flight);
            let last_resort = self.key.last_resort(&state, Demand::default(), &now);
            let serving = current.as_ref().or(last_resort.as_ref());
            let is_usable = |token: &Arc<CachedToken>| token.schedule.unusable.is_ahead(&now);
            (own_wait, serving.is_some_and(is_usable))
        };
        // What the engine will do, whatever the vendor asked for.
        let client_wait = client.last_error(&now).filter(|_| failure.refuses_client());
        let wait = own_wait.or(client_wait.and_then(|(_, wait)| wait));
        let paused = client.endpoint.paused(&now).map(|(_, left)| left);
        let mut error = failure.error().clone();
        if wait.is_some() {
            error = error.with_next_attempt(wait.max(paused));
        }
        if failure.is_news() {
            self.key.fetches.fetch_add(1, Ordering::Relaxed);
            telemetry::failed(&client.id, &self.key.request, &error, serving);
        }
        self.finish(Err(match failure.is_no_answer() {
            true => Ended::Unanswered,
            false => Ended::Failed(error),
        }));
        (failure, own_wait)
    }
}

fn clear(slot: &mut Option<Arc<Flight>>, flight: &Arc<Flight>) {
    slot.take_if(|current| Arc::ptr_eq(current, flight));
}
