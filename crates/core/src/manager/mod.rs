//! The token manager: the engine that fetches, caches, shares, renews and rejects tokens.
//!
//! | file | what it is |
//! | --- | --- |
//! | [`state`] | what a key knows and decides: the whole state machine, synchronous |
//! | [`pilot`] | what a flight does: store, permit, lease, vendor, retry, landing |
//! | [`flight`] | the flight as those who wait for it see it |
//! | [`keys`] | all keys, found by what they are for; bounded and evicted |
//! | [`budget`] | what the keys of one token endpoint share |
//! | [`shared`] | the store behind it, bounded in time |
//! | [`observe`] | events and metrics |
//! | [`settings`] | the numbers |
//! | [`traffic`] | how many flights are under way |

mod budget;
mod flight;
mod keys;
mod observe;
mod pilot;
mod settings;
mod shared;
mod state;
mod traffic;

use std::{
    collections::HashMap,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use arc_swap::Guard;
use url::Url;

use self::{
    budget::Endpoint,
    flight::Flight,
    keys::{Client, Entry, Keys},
    pilot::{Answer, Ask, Pilot},
    shared::Shared,
    state::{Decision, Key, Want},
    traffic::Traffic,
};
pub use self::{settings::Settings, state::Rejection};
use crate::{
    Clock, Error, HttpClient, Inspection, Now, ParamValue, Provider, ProviderId, SystemClock,
    Token, TokenKey, TokenRequest, TokenStore, secret::Fingerprints,
};

/// Fetches, caches, shares and renews the tokens of any number of providers and requests.
///
/// Cheap to clone; all clones are the same manager. One is enough for a process.
///
/// # The rules
///
/// **Lifetimes.** A token's life starts when its request was *sent*. It is *fresh* until 80 to 85 %
/// of its life (drawn once per process, so that a fleet spreads out) and *usable* until 30 s, or a
/// tenth of its life if that is less, before its expiry; after that it is never handed out. Without
/// `expires_in` the `exp` of a JWT counts, else what the provider assumes, else 15 minutes. Both
/// clocks must agree: setting the wall clock back, or a night in the suitcase, never lets an expired
/// token out. Fetches of a key are at least 1 s (half a life, if less) apart.
///
/// **Flights.** One fetch per key at a time, in a task of its own, whatever the number of callers:
/// a caller that goes away takes nothing with it. While the token is usable nobody waits, and a
/// failed refresh leaves it in place. Without one, all wait for the same flight, get the same
/// answer, and wait at most `max_wait` (10 s). No lock is held across an await; idle keys cost no
/// task and no timer, and are evicted.
///
/// **Failures.** What may pass (no connection, a time-out, 408, 425, 429, 5xx, an empty 200) is
/// tried again: three quick attempts while somebody waits, then not before 1 s to 60 s have passed,
/// doubling, half of it jitter, and never longer than the token that still serves. Nothing sleeps for that: the next caller past the moment flies.
/// `Retry-After` is a floor for every key of the token endpoint (15 minutes at most). What the
/// vendor refuses is not repeated: `invalid_client` and `unauthorized_client` stop the client, every
/// other refusal its key, until the secret that was used changes (looked at once a second at most,
/// a command's every 30 s) or a probe after 1 to 15 minutes. One token endpoint gets 8 requests at a
/// time, callers before background work.
///
/// **Rejection.** [`reject`](TokenSource::reject) forgets that token and no newer one. If its
/// replacement is rejected within 10 s (a quarter of its life, if less) tokens are not the problem:
/// for a minute (one life, if less) rejections cause no fetch and no replay.
///
/// **Secrets** are read at each fetch and dropped after it. Of several, the next is tried on
/// `invalid_client`; the one that worked is remembered.
///
/// **The store**, if there is one, is looked at before a fetch and told after it. All its work
/// before a fetch has 250 ms; one that fails is left alone for 5 s, and no call fails with it. Of a
/// fleet, whoever holds the lease fetches. A rejected token never comes back from it.
#[derive(Clone)]
pub struct TokenManager(Arc<Engine>);

/// The parts of a manager that its keys and flights share.
pub(crate) struct Engine {
    http: Arc<dyn HttpClient>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    shared: Option<Shared>,
    keys: Keys,
    parties: Mutex<Parties>,
    fingerprints: Fingerprints,
    traffic: Arc<Traffic>,
    /// The part of a life after which this process refreshes.
    refresh_at: f64,
    nothing: Arc<Token>,
}

/// Clients and endpoints, by their names; gone with their last key.
#[derive(Default)]
struct Parties {
    clients: HashMap<ProviderId, Weak<Client>>,
    endpoints: HashMap<Box<str>, Weak<Endpoint>>,
}

/// Makes a [`TokenManager`]; see [`TokenManager::builder`].
#[derive(Debug)]
#[must_use]
pub struct TokenManagerBuilder {
    http: Arc<dyn HttpClient>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    store: Option<Arc<dyn TokenStore>>,
}

impl TokenManagerBuilder {
    /// Sets the clock. Default: the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the store behind the manager. Default: none; tokens live and die with the process.
    pub fn store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sets the numbers.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Makes the manager.
    #[must_use]
    pub fn build(self) -> TokenManager {
        let Self {
            http,
            clock,
            settings,
            store,
        } = self;
        let spread = settings.refresh_spread * fastrand::f64();
        TokenManager(Arc::new(Engine {
            shared: store.map(|store| Shared::new(store, clock.clone())),
            keys: Keys::new(&settings),
            parties: Mutex::default(),
            fingerprints: Fingerprints::new(),
            traffic: Arc::default(),
            refresh_at: settings.refresh_at + spread,
            nothing: Arc::new(Token::nothing()),
            http,
            clock,
            settings,
        }))
    }
}

impl TokenManager {
    /// Starts a manager that sends its token requests through `http`.
    pub fn builder(http: Arc<dyn HttpClient>) -> TokenManagerBuilder {
        let settings = Settings::default();
        TokenManagerBuilder {
            http,
            clock: Arc::new(SystemClock),
            settings,
            store: None,
        }
    }

    /// A handle to the tokens that `provider` gives for `request`. Costs a look-up; keep it.
    #[must_use]
    pub fn source(&self, provider: Arc<dyn Provider>, request: TokenRequest) -> TokenSource {
        let engine = &self.0;
        let id = provider.id();
        let now = engine.clock.now();
        let entry = engine
            .keys
            .find_or_make(id, request, &now, &engine.nothing, || engine.client(id));
        TokenSource {
            engine: engine.clone(),
            entry,
            provider,
            api_base_url: None,
        }
    }

    /// The token for `request`, if it is fresh, without a handle, without waiting and without
    /// copying anything: for those who serve many tenants. `None`: ask a
    /// [`source`](Self::source).
    #[must_use]
    pub fn fresh(&self, provider: &ProviderId, request: &TokenRequest) -> Option<TokenRef> {
        let now = self.0.clock.now();
        self.0
            .keys
            .with(provider, request, |entry| entry.fresh(&now))?
    }

    /// What is known of every key, in no order.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        let now = self.0.clock.now();
        self.0
            .keys
            .all()
            .iter()
            .map(|entry| entry.status(&now))
            .collect()
    }

    /// Waits until no fetch is under way and the store was told of all there were. A program that
    /// ends right after it got a token waits for this first: a token is handed out before it is
    /// stored, and renewed in the background.
    pub async fn quiet(&self) {
        self.0.traffic.quiet().await;
    }

    /// The clock that everything goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }
}

impl Engine {
    fn client(&self, id: &ProviderId) -> Arc<Client> {
        let mut parties = self
            .parties
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = parties.clients.get(id).and_then(Weak::upgrade) {
            return client;
        }
        let known = parties
            .endpoints
            .get(id.token_endpoint())
            .and_then(Weak::upgrade);
        let endpoint = known.unwrap_or_else(|| {
            let endpoint = Endpoint::new(&self.settings);
            parties
                .endpoints
                .insert(id.token_endpoint().into(), Arc::downgrade(&endpoint));
            endpoint
        });
        if parties.clients.len() == parties.clients.capacity() {
            // About to grow: the dead go first.
            parties
                .clients
                .retain(|_, client| client.strong_count() > 0);
            parties
                .endpoints
                .retain(|_, endpoint| endpoint.strong_count() > 0);
        }
        let client = Arc::new(Client::new(id.clone(), endpoint));
        parties.clients.insert(id.clone(), Arc::downgrade(&client));
        client
    }

    /// Without a store there is nobody to tell what was forgotten.
    fn note_untold(&self, key: &mut Key) {
        if self.shared.is_none() {
            key.tell_store();
        }
    }
}

impl Entry {
    #[inline]
    fn fresh(&self, now: &Now) -> Option<TokenRef> {
        let token = self.current.load();
        if !token.schedule.refresh.is_ahead(now) {
            return None;
        }
        self.touch(now);
        Some(TokenRef(token))
    }

    fn status(&self, now: &Now) -> Status {
        let token = self.current.load();
        let key = self.key();
        let failure = self.client.last_error(now).or_else(|| key.last_error(now));
        let state = if token.schedule.refresh.is_ahead(now) {
            TokenState::Fresh
        } else if token.schedule.unusable.is_ahead(now) {
            TokenState::Usable
        } else if key.is_refused() || self.client.is_refused() {
            TokenState::Quarantined
        } else if token.is_nothing() {
            TokenState::Missing
        } else {
            TokenState::Expired
        };
        let has_token = !token.is_nothing();
        Status {
            provider: self.client.id.shared_name(),
            request: self.request.clone(),
            state,
            remaining: token
                .expires_at()
                .filter(|_| has_token)
                .map(|expiry| expiry.since(now.wall)),
            fetching: key.flight.is_some(),
            next_attempt: failure.as_ref().and_then(|(_, next)| *next),
            last_error: failure.map(|(error, _)| error),
        }
    }
}

/// What is known of a key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The provider's name.
    pub provider: Arc<str>,
    /// What the token is for.
    pub request: TokenRequest,
    /// How it stands.
    pub state: TokenState,
    /// How much of the token's life is left; `None` without a token, and for one that is good until
    /// it is rejected.
    pub remaining: Option<Duration>,
    /// Whether a fetch is in progress.
    pub fetching: bool,
    /// Why the last fetch failed, if it did.
    pub last_error: Option<Error>,
    /// How long the vendor is left alone after that, at most.
    pub next_attempt: Option<Duration>,
}

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// The token needs nothing.
    Fresh,
    /// The token still serves, and the next caller refreshes it.
    Usable,
    /// The token may not be sent any more.
    Expired,
    /// There is no token yet, or no more.
    Missing,
    /// There is no token, and the vendor refuses to give one.
    Quarantined,
}

impl TokenState {
    /// The state in one word, lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Usable => "usable",
            Self::Expired => "expired",
            Self::Missing => "missing",
            Self::Quarantined => "quarantined",
        }
    }
}

impl fmt::Display for TokenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A token, borrowed from the manager: no lock, no allocation, no shared counter while it is fresh.
/// Let it go soon; [`into_owned`](Self::into_owned) gives one to keep.
pub struct TokenRef(Guard<Arc<Token>>);

impl TokenRef {
    /// A token to keep.
    #[must_use]
    pub fn into_owned(self) -> Arc<Token> {
        Guard::into_inner(self.0)
    }
}

impl From<Arc<Token>> for TokenRef {
    fn from(token: Arc<Token>) -> Self {
        Self(Guard::from_inner(token))
    }
}

impl Deref for TokenRef {
    type Target = Token;

    #[inline]
    fn deref(&self) -> &Token {
        &self.0
    }
}

impl fmt::Debug for TokenRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A cheap handle to the tokens for one request to one provider.
///
/// While it lives, its key is not evicted. [`param`](Self::param) and [`scope`](Self::scope) give
/// handles to other keys of the same provider.
#[derive(Clone)]
pub struct TokenSource {
    engine: Arc<Engine>,
    entry: Arc<Entry>,
    provider: Arc<dyn Provider>,
    api_base_url: Option<Arc<Url>>,
}

impl TokenSource {
    /// The token, if it is fresh: the hot path, which takes no lock, allocates nothing and copies
    /// nothing.
    #[inline]
    #[must_use]
    pub fn fresh(&self) -> Option<TokenRef> {
        self.entry.fresh(&self.engine.clock.now())
    }

    /// A usable token: at once where there is one, else from the vendor.
    ///
    /// # Errors
    /// Why there is none: the same for all who waited. [`retry_after`](Error::retry_after) says
    /// when the next attempt will be made. Transient after `max_wait`, while the fetch goes on.
    #[inline]
    pub async fn token(&self) -> Result<TokenRef, Error> {
        match self.fresh() {
            Some(token) => Ok(token),
            None => Box::pin(self.wait_for(Want::default())).await,
        }
    }

    /// A token with at least `min_ttl` of its life left: for what takes long, like an upload. A
    /// token that was just fetched is good enough, whatever its life.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn token_with(&self, min_ttl: Duration) -> Result<TokenRef, Error> {
        Box::pin(self.wait_for(Want {
            min_ttl,
            ..Want::default()
        }))
        .await
    }

    /// A token asked of the vendor now, whatever there is in memory or in the store. The old one
    /// serves others until the new one is here.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn fetch(&self) -> Result<TokenRef, Error> {
        Box::pin(self.wait_for(Want {
            anew: true,
            ..Want::default()
        }))
        .await
    }

    async fn wait_for(&self, want: Want) -> Result<TokenRef, Error> {
        let Self { engine, entry, .. } = self;
        let name = entry.client.id.name();
        let deadline = engine
            .clock
            .now()
            .mono
            .saturating_add(engine.settings.max_wait);
        loop {
            let now = engine.clock.now();
            entry.touch(&now);
            let flight = match self.decide(want, &now) {
                Decision::Serve { token, stale } => {
                    if stale {
                        let left = token.expires_at().map(|expiry| expiry.since(now.wall));
                        observe::served_stale(name, left);
                    }
                    return Ok(token.into());
                }
                Decision::Launch { flight, meanwhile } => {
                    self.launch(flight.clone());
                    if let Some(token) = meanwhile {
                        let left = token.expires_at().map(|expiry| expiry.since(now.wall));
                        observe::served_stale(name, left);
                        return Ok(token.into());
                    }
                    flight
                }
                Decision::Join(flight) => flight,
                Decision::Rest(until) if until < deadline => {
                    engine.clock.sleep(until.saturating_sub(now.mono)).await;
                    continue;
                }
                Decision::Rest(until) => {
                    let wait = until.saturating_sub(now.mono);
                    return Err(self.too_long().with_retry_after(Some(wait)));
                }
                Decision::Fail(error) => return Err(self.named(error)),
            };
            observe::waited(name);
            return tokio::select! {
                biased;
                outcome = flight.wait() => {
                    outcome.map(Into::into).map_err(|error| self.named(error))
                }
                () = engine.clock.sleep(deadline.saturating_sub(now.mono)) => Err(self.too_long()),
            };
        }
    }

    fn decide(&self, want: Want, now: &Now) -> Decision {
        let want = Want {
            runtime: tokio::runtime::Handle::try_current().is_ok(),
            ..want
        };
        let mut key = self.entry.key();
        let current = self.entry.current.load();
        key.decide(&current, want, now, || self.entry.client.clearance(now))
    }

    /// Starts a flight, after the key's lock was released: where the runtime is shutting down the
    /// task is dropped on the spot, and its end takes the lock.
    fn launch(&self, flight: Arc<Flight>) {
        let Self {
            engine,
            entry,
            provider,
            ..
        } = self;
        let pilot = Pilot::new(engine.clone(), entry.clone(), flight, provider.clone());
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(pilot.fly())),
            Err(_) => drop(pilot),
        }
    }

    fn too_long(&self) -> Error {
        let seconds = self.engine.settings.max_wait.as_secs_f64();
        self.named(Error::unreachable(format!(
            "no token after {seconds} s; the fetch goes on"
        )))
    }

    /// The error with the name that this caller knows the provider by: equal providers share their
    /// tokens, and their failures, whatever their names.
    fn named(&self, error: Error) -> Error {
        let id = self.provider.id();
        if error.provider() == Some(id.name()) {
            return error;
        }
        error.with_provider(id.shared_name())
    }

    /// Forgets a token that an API rejected, and no newer one, and starts to fetch another.
    ///
    /// Synchronous, and cheap to call for every 401: a hundred at once cost one fetch.
    pub fn reject(&self, token: &Token) -> Rejection {
        let Self { engine, entry, .. } = self;
        let now = engine.clock.now();
        let rejection = {
            let mut key = entry.key();
            let current = entry.current.load();
            let rejection = key.reject(token, &current, &now);
            if rejection == Rejection::Renewing {
                entry.current.store(engine.nothing.clone());
                engine.note_untold(&mut key);
            }
            rejection
        };
        observe::rejected(entry.client.id.name(), &entry.request, rejection);
        if rejection == Rejection::Renewing
            && let Decision::Launch { flight, .. } = self.decide(Want::default(), &now)
        {
            self.launch(flight);
        }
        rejection
    }

    /// Forgets this key's token, here and in the store: after a leak.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) where the store could not be told. It is forgotten here
    /// all the same.
    pub async fn forget(&self) -> Result<(), Error> {
        let Self { engine, entry, .. } = self;
        let through = {
            let mut key = entry.key();
            let now = engine.clock.now();
            let through = key
                .newest
                .max(entry.current.load().generation())
                .next(now.wall);
            key.forget(through, &now);
            entry.current.store(engine.nothing.clone());
            engine.note_untold(&mut key);
            through
        };
        match &engine.shared {
            Some(shared) => shared.forget(&self.key(), through).await,
            None => Ok(()),
        }
    }

    /// What the vendor says that these credentials are good for; `None` where it doesn't say.
    ///
    /// # Errors
    /// As a fetch; it is neither cached nor retried.
    pub async fn inspect(&self) -> Result<Option<Inspection>, Error> {
        match self.ask(Ask::Inspection(&self.entry.request)).await? {
            Answer::Inspection(inspection) => Ok(inspection),
            _ => Ok(None),
        }
    }

    /// Makes the vendor forget the current token (RFC 7009), and forgets it here and in the store.
    ///
    /// # Errors
    /// Where the vendor has no revocation, or refuses it.
    pub async fn revoke(&self) -> Result<(), Error> {
        let current = self.entry.current.load_full();
        if !current.is_nothing() {
            self.ask(Ask::Revocation(&current)).await?;
        }
        self.forget().await
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<Answer, Error> {
        let asked = self.engine.ask(&self.provider, &self.entry, ask).await;
        asked.map_err(|(error, _)| self.named(error))
    }

    /// What the store holds for this key, usable or not; `None` without a store.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store).
    pub async fn stored(&self) -> Result<Option<Token>, Error> {
        match &self.engine.shared {
            Some(shared) => shared.peek(&self.key()).await,
            None => Ok(None),
        }
    }

    /// How this key stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.entry.status(&self.engine.clock.now())
    }

    /// The name of this key in a store.
    #[must_use]
    pub fn key(&self) -> TokenKey {
        TokenKey::new(&self.entry.client.id, &self.entry.request)
    }

    /// What the tokens are for.
    #[must_use]
    pub fn request(&self) -> &TokenRequest {
        &self.entry.request
    }

    /// Who gives them.
    #[must_use]
    pub fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    /// The clock that everything goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.engine.clock
    }

    /// The same provider's tokens for another request.
    #[must_use]
    pub fn with_request(&self, request: TokenRequest) -> Self {
        let manager = TokenManager(self.engine.clone());
        let api_base_url = self.api_base_url.clone();
        Self {
            api_base_url,
            ..manager.source(self.provider.clone(), request)
        }
    }

    /// The same request with another value for one parameter.
    #[must_use]
    pub fn param(&self, name: impl AsRef<str>, value: impl Into<ParamValue>) -> Self {
        self.with_request(self.request().clone().param(name, value))
    }

    /// The same request with these scopes (one, or several separated by spaces) and no others.
    #[must_use]
    pub fn scope(&self, scope: impl AsRef<str>) -> Self {
        self.with_request(self.request().clone().without_scopes().scope(scope))
    }

    /// The same tokens, with a base URL for API calls where the vendor's answer names none.
    #[must_use]
    pub fn with_api_base_url(mut self, api_base_url: Option<Url>) -> Self {
        self.api_base_url = api_base_url.map(Arc::new);
        self
    }

    /// Where the API is: as the token says, else as it was configured.
    #[must_use]
    pub fn base_url<'a>(&'a self, token: &'a Token) -> Option<&'a Url> {
        token.base_url().or(self.api_base_url.as_deref())
    }
}

impl fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManager")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("provider", &self.provider.id())
            .field("request", self.request())
            .finish_non_exhaustive()
    }
}
