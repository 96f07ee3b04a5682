//! [`TokenSource`]: a handle to one key.

mod base_url;
mod tenant;

use std::{fmt, sync::Arc, time::Duration};

use biped_core::{
    BaseUrls, Clock, Error, Generation, Inspection, Now, ParamValue, Proof, Provider, References,
    SetParam, Token, TokenKey, TokenRequest,
};
use tracing::Instrument as _;
use url::Url;

use crate::{
    engine::Engine,
    fleet::vet,
    flight::{
        Ended, Flight,
        demand::Demand,
        exchange::{Answer, Ask},
        task::FlightTask,
    },
    key::{
        cached::CachedToken,
        state::{Decision, Rejection},
        table::Key,
    },
    spans,
    status::{Status, TokenState},
    sync::Handle,
    telemetry,
    token_ref::TokenRef,
};

/// A cheap handle to the tokens for one request to one provider.
///
/// While it lives, its key is not evicted. [`param`](Self::param) and
/// [`with_scopes`](Self::with_scopes) give handles to other keys of the same provider.
#[derive(Clone)]
pub struct TokenSource {
    pub(crate) engine: Arc<Engine>,
    pub(crate) key: Arc<Key>,
    own: Option<Arc<Own>>,
}

/// What a handle may have that its key doesn't share; most have nothing, and stay small.
#[derive(Clone, Default)]
struct Own {
    /// A provider that is equal to the one that came first, and may have another name.
    provider: Option<Arc<dyn Provider>>,
    api_base_url: Option<Url>,
    /// Why there are no tokens: no tenant may have the name that was given.
    refusal: Option<Error>,
}

impl TokenSource {
    pub(crate) fn new(engine: Arc<Engine>, key: Arc<Key>, provider: Arc<dyn Provider>) -> Self {
        let known = Arc::ptr_eq(&provider, &key.client.provider);
        let own = (!known).then(|| {
            Arc::new(Own {
                provider: Some(provider),
                ..Own::default()
            })
        });
        Self { engine, key, own }
    }

    /// Returns the token, if it is fresh. This is the hot path: it takes no lock, allocates nothing
    /// and copies nothing.
    #[inline]
    #[must_use]
    pub fn fresh(&self) -> Option<TokenRef> {
        self.key.fresh(&self.engine.clock.now())
    }

    /// The token in memory, if it is usable; nothing is started to replace it.
    pub(crate) fn held(&self) -> Option<TokenRef> {
        let token = self.key.slot.load();
        let now = self.engine.clock.now();
        let is_usable = token.as_ref().is_some_and(|token| {
            token.schedule.unusable.is_ahead(&now) && !self.key.is_overdue(token, &now)
        });
        is_usable.then(|| TokenRef(token))
    }

    /// Returns a usable token, at once where there is one, else from the vendor.
    ///
    /// # Errors
    /// Why there is no token: the same error for all callers that waited.
    /// [`retry_after`](Error::retry_after) says when the next attempt will be made. After `max_wait`
    /// the error is transient, and the fetch continues.
    #[inline]
    pub async fn token(&self) -> Result<TokenRef, Error> {
        match self.fresh() {
            Some(token) => Ok(token),
            None => Box::pin(self.wait_for(Demand::default())).await,
        }
    }

    /// Returns a token with at least `min_ttl` of its life left, for what takes long, like an
    /// upload. A token that was just fetched is good enough, whatever its life.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn token_with(&self, min_ttl: Duration) -> Result<TokenRef, Error> {
        Box::pin(self.wait_for(Demand {
            min_ttl,
            ..Demand::default()
        }))
        .await
    }

    /// Asks the vendor for a token now, whatever there is in memory or in the store. The old one
    /// serves others until the new one is here.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn fetch(&self) -> Result<TokenRef, Error> {
        Box::pin(self.wait_for(Demand {
            must_ask_vendor: true,
            ..Demand::default()
        }))
        .await
    }

    /// A token with this much of its life left, for another provider.
    pub(crate) async fn to_lend(
        &self,
        min_ttl: Duration,
        replacement: bool,
    ) -> Result<TokenRef, Error> {
        Box::pin(self.wait_for(Demand {
            min_ttl,
            no_last_resort: replacement,
            ..Demand::default()
        }))
        .await
    }

    /// Returns how this client proves who it is, for people. It may ask the source of an assertion, and
    /// sends nothing to the vendor.
    ///
    /// # Errors
    /// If the source of an assertion, another provider's token or a secret can't be got.
    pub async fn proof(&self) -> Result<Proof, Error> {
        match self.ask(Ask::Proof(&self.key.request)).await? {
            Answer::Proof(proof) => Ok(*proof),
            _ => Ok(Proof::default()),
        }
    }

    /// A token other than one that was just rejected.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub(crate) async fn replacement(&self) -> Result<TokenRef, Error> {
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        Box::pin(self.wait_for(Demand {
            no_last_resort: true,
            ..Demand::default()
        }))
        .await
    }

    async fn wait_for(&self, demand: Demand) -> Result<TokenRef, Error> {
        self.check_tenant()?;
        let Self { engine, key, .. } = self;
        let name = key.client.id.name();
        let deadline = engine
            .clock
            .now()
            .mono
            .saturating_add(engine.settings.max_wait);
        loop {
            let now = engine.clock.now();
            key.drop_overdue(&now);
            key.touch(&now);
            let flight = match self.decide(demand, &now) {
                Decision::Serve { token, stale } => {
                    if stale {
                        telemetry::served_stale(name, &token, &now);
                    }
                    return Ok(token.into());
                }
                Decision::Start { flight, meanwhile } => {
                    self.launch(flight.clone());
                    if let Some(token) = meanwhile {
                        telemetry::served_stale(name, &token, &now);
                        return Ok(token.into());
                    }
                    flight
                }
                Decision::Join(flight) => flight,
                Decision::WaitUntil(until) if until < deadline => {
                    engine.clock.sleep(until.saturating_sub(now.mono)).await;
                    continue;
                }
                Decision::WaitUntil(until) => {
                    let wait = until.saturating_sub(now.mono);
                    return Err(self.too_long().with_next_attempt(Some(wait)));
                }
                Decision::Fail(error) => {
                    let error = key.client.endpoint.with_pause(error, &now);
                    return Err(self.named(error));
                }
            };
            telemetry::waited(name);
            flight.link();
            let outcome = tokio::select! {
                biased;
                outcome = flight.wait() => outcome,
                () = engine.clock.sleep(deadline.saturating_sub(now.mono)) => {
                    key.state().return_last_resort(true);
                    return self.last_resort_or(self.too_long(), demand);
                }
            };
            match outcome {
                Ok(token) if !flight.satisfies(demand, &token, &now) => {}
                Ok(token) => return Ok(token.into()),
                Err(Ended::Failed(error)) => return self.last_resort_or(error, demand),
                Err(Ended::Unanswered) => {}
            }
        }
    }

    /// The rejected token, where it serves again; else this error.
    fn last_resort_or(&self, error: Error, demand: Demand) -> Result<TokenRef, Error> {
        let now = self.engine.clock.now();
        let last_resort = self.key.last_resort(&self.key.state(), demand, &now);
        match last_resort {
            Some(token) => {
                telemetry::served_stale(self.key.client.id.name(), &token, &now);
                Ok(token.into())
            }
            None => Err(self.named(error)),
        }
    }

    /// Starts a flight if one is due, and doesn't wait for it.
    fn start(&self) {
        let now = self.engine.clock.now();
        if let Decision::Start { flight, .. } = self.decide(Demand::default(), &now) {
            self.launch(flight);
        }
    }

    fn decide(&self, demand: Demand, now: &Now) -> Decision {
        let demand = Demand {
            runtime: Handle::try_current().is_ok() && self.engine.clock.can_sleep(),
            // Read ahead of the refusal itself: one that comes between the two is noticed.
            refusals: self.key.client.refusals(),
            ..demand
        };
        let mut state = self.key.state();
        let demand = self.key.permitted(&state, demand);
        let current = self.key.slot.load();
        state.decide(current.as_ref(), demand, now, || {
            self.key.client.permission(now)
        })
    }

    /// Starts a flight, after the key's lock was released: where the runtime is shutting down the
    /// task is dropped on the spot, and its end takes the lock.
    fn launch(&self, flight: Arc<Flight>) {
        let Self { engine, key, .. } = self;
        let provider = self.provider().clone();
        let span = spans::of_flight(key.client.id.name(), &key.request);
        flight.set_span(span.clone());
        let task = FlightTask::new(engine.clone(), key.clone(), flight, provider);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(task.run().instrument(span))),
            Err(_) => drop(task),
        }
    }

    fn too_long(&self) -> Error {
        let seconds = self.engine.settings.max_wait.as_secs_f64();
        let error = Error::unreachable(format!("no token within {seconds} s"));
        self.named(error.still_fetching())
    }

    /// The error with the name that this caller knows the provider by: equal providers share their
    /// tokens, and their failures, whatever their names.
    fn named(&self, error: Error) -> Error {
        let id = self.provider().id();
        if error.provider() == Some(id.name()) {
            return error;
        }
        error.with_provider(id.shared_name())
    }

    /// Forgets a token that an API rejected, and no newer one, and starts to fetch another.
    ///
    /// Synchronous, and cheap to call for every 401: a hundred at once cost one fetch.
    pub fn reject(&self, token: &CachedToken) -> Rejection {
        let Self { engine, key, .. } = self;
        let now = engine.clock.now();
        let rejection = {
            let mut state = key.state();
            let current = key.slot.load();
            let rejection = state.reject(token, current.as_deref(), &now);
            if rejection == Rejection::Renewing {
                key.slot.clear(&mut state);
                engine.note_untold(&mut state);
            }
            rejection
        };
        telemetry::rejected(&key.client.id, &key.request, rejection);
        if rejection == Rejection::Renewing {
            self.start();
        }
        rejection
    }

    /// Forgets this key's token, here and in the store: after a leak.
    ///
    /// # Errors
    /// [`Store`](biped_core::ErrorKind::Store) where the store could not be told. It is forgotten here
    /// all the same.
    pub async fn forget(&self) -> Result<(), Error> {
        self.check_tenant()?;
        let Self { engine, key, .. } = self;
        let mut through = self.forget_here(Generation::default());
        let Some(shared) = &engine.shared else {
            return Ok(());
        };
        let stored = key.state().stored.as_deref().copied();
        let own = shared.key_of(&key.client.id, &key.request).await;
        let names = [
            stored,
            own.as_ref()
                .ok()
                .copied()
                .flatten()
                .filter(|own| Some(*own) != stored),
        ];
        for name in names.into_iter().flatten() {
            // The store's clock numbers the fleet's tokens, and may be ahead of this process's.
            let stored = shared.generation(&name).await;
            if let Some(stored) = stored.as_ref().ok().filter(|stored| **stored > through) {
                through = self.forget_here(*stored);
            }
            shared.forget(&name, through).await?;
            stored?;
        }
        // Should the secrets be readable again, the next flight tells it.
        own.map_err(|error| {
            let message = format!(
                "the token is forgotten in this process, but not in the store: {}",
                error.message()
            );
            Error::store(message)
                .with_remedy("repair that, then forget the token again")
                .with_source(error)
        })?;
        key.state().told(through);
        Ok(())
    }

    /// Forgets here what there is, and notes that the store is to be told. Returns the newest generation
    /// that is forgotten: `stored` or a later one.
    fn forget_here(&self, stored: Generation) -> Generation {
        let Self { engine, key, .. } = self;
        let through = key.forget_all(stored, &engine.clock.now());
        engine.note_untold(&mut key.state());
        through
    }

    /// Returns what the vendor says that these credentials are good for; `None` where it doesn't say.
    ///
    /// # Errors
    /// As a fetch; it is neither cached nor retried.
    pub async fn inspect(&self) -> Result<Option<Inspection>, Error> {
        match self.ask(Ask::Inspection(&self.key.request)).await? {
            Answer::Inspection(inspection) => Ok(inspection),
            _ => Ok(None),
        }
    }

    /// Makes the vendor forget the current token (RFC 7009), and forgets it here and in the store.
    ///
    /// # Errors
    /// Where the vendor has no revocation, or refuses it.
    pub async fn revoke(&self) -> Result<(), Error> {
        if let Some(current) = self.key.slot.load_full() {
            self.ask(Ask::Revocation(&current)).await?;
        }
        self.forget().await
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<Answer, Error> {
        self.check_tenant()?;
        let provider = self.provider();
        let lent = self.engine.borrow(&**provider, false).await?;
        let asked = self.engine.ask_in_turn(provider, &self.key, ask, &lent);
        asked.await.map_err(|failure| self.named(failure.error))
    }

    /// Returns what the store holds for this key, usable or not, and how it stands; `None` without a
    /// store, if the store has no token, and for a token that no answer of the vendor's could have made. Runs no command.
    ///
    /// # Errors
    /// [`Store`](biped_core::ErrorKind::Store), and [`Secret`](biped_core::ErrorKind::Secret) where it
    /// can't be told which token of the store is this one's.
    pub async fn stored(&self) -> Result<Option<(Token, TokenState)>, Error> {
        self.check_tenant()?;
        let Some(shared) = &self.engine.shared else {
            return Ok(None);
        };
        let Key {
            client, request, ..
        } = &*self.key;
        let Some(name) = shared.key_of(&client.id, request).await? else {
            return Ok(None);
        };
        let Some(token) = shared.peek(&name).await? else {
            return Ok(None);
        };
        let provider = &**self.provider();
        let cx = self.engine.context(provider, 0, None);
        let cx = cx.limited_to(References::WithoutCommands);
        if let Err(why) = vet::check_stored(&token, provider, request, &cx).await {
            telemetry::stored_ignored(provider.id().name(), &why);
            return Ok(None);
        }
        let now = self.engine.clock.now();
        let state = TokenState::of(&self.engine.schedule(&token, &now), &now);
        Ok(Some((token, state)))
    }

    /// Returns the status of this key.
    #[must_use]
    pub fn status(&self) -> Status {
        self.key.status(&self.engine.clock.now())
    }

    /// Returns the name under which the store has this source's token, by what its secrets are now. It
    /// reads the environment and files for that, and runs no command.
    ///
    /// `None` without a store, where a secret can't be read, and where the tokens stay in the process
    /// because the store can't tell their secrets apart
    /// ([`TokenStore::identity_key`](biped_core::TokenStore::identity_key)).
    pub async fn store_key(&self) -> Option<TokenKey> {
        self.check_tenant().ok()?;
        let shared = self.engine.shared.as_ref()?;
        let Key {
            client, request, ..
        } = &*self.key;
        shared.key_of(&client.id, request).await.ok().flatten()
    }

    /// Returns what the tokens are for.
    #[must_use]
    pub fn request(&self) -> &TokenRequest {
        &self.key.request
    }

    /// Returns the provider of the tokens.
    #[must_use]
    pub fn provider(&self) -> &Arc<dyn Provider> {
        let own = self.own.as_ref().and_then(|own| own.provider.as_ref());
        own.unwrap_or(&self.key.client.provider)
    }

    /// Returns the clock that everything goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.engine.clock
    }

    /// Returns a source of the same provider's tokens for another request.
    #[must_use]
    pub fn with_request(&self, request: TokenRequest) -> Self {
        let provider = self.provider();
        Self {
            key: self.engine.key(provider, request),
            engine: self.engine.clone(),
            own: self.own.clone(),
        }
    }

    /// Returns a source for the same request with another value for one parameter.
    #[must_use]
    pub fn param(&self, name: impl AsRef<str>, value: impl Into<ParamValue>) -> Self {
        self.with_request(self.request().clone().param(name, value))
    }

    /// Returns a source for the same request with these scopes (one, or several separated by spaces) in
    /// place of its own.
    #[must_use]
    pub fn with_scopes(&self, scopes: impl AsRef<str>) -> Self {
        self.with_request(self.request().clone().without_scopes().scope(scopes))
    }

    /// Which base URLs the vendor may name with the token to come.
    pub(crate) async fn named_base_urls(&self) -> Result<BaseUrls, Error> {
        let provider = &**self.provider();
        let cx = self.engine.context(provider, 0, None);
        provider.base_urls(&cx).await
    }
}

impl SetParam for TokenSource {
    fn with_param(self, name: &str, value: ParamValue) -> Self {
        self.param(name, value)
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("provider", &self.provider().id())
            .field("request", self.request())
            .finish_non_exhaustive()
    }
}
