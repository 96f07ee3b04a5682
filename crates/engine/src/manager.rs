//! [`TokenManager`]: the engine that fetches, caches, shares, renews and rejects tokens.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use biped_core::{
    Clock, Error, HttpClient, Provider, ProviderId, SystemClock, TokenRequest, TokenStore,
};
use tokio::runtime::Handle;

use crate::{
    engine::{Engine, HttpClients, UnderWay},
    fleet::session::SharedStore,
    flight::exchange::Ask,
    input::NoLenders,
    key::table::KeyTable,
    lending::Named,
    rotation::{HELD, Rotations},
    settings::Settings,
    source::TokenSource,
    status::Status,
    sync::Mutex,
    token_ref::TokenRef,
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
/// clocks must agree: an expired token is never handed out, even if the wall clock is set back or the
/// machine was suspended. Fetches of a key are at least 1 s (half a life, if less) apart.
///
/// **Flights.** One fetch per key at a time, in a task of its own, whatever the number of callers:
/// a caller that is cancelled cancels nothing. While the token is usable no caller waits, and a
/// failed refresh leaves it in place. Without one, all wait for the same flight, get the same
/// answer, and wait at most `max_wait` (10 s). No lock is held across an await; idle keys cost no
/// task and no timer, and are evicted.
///
/// **Failures.** What may pass (no connection, a time-out, 408, 425, 429, 5xx, an empty 200) is
/// tried again: three quick attempts while a caller waits, then not before 1 s to 60 s have passed,
/// doubling, half of it jitter, and never longer than the token that still serves. Nothing sleeps for
/// that: the next caller after that moment starts the fetch. A configuration that only the vendor's
/// answer shows to be wrong waits in the same way. `Retry-After` is a floor for every key of the token endpoint
/// (15 minutes at most). What the vendor refuses is not repeated: `invalid_client` and
/// `unauthorized_client` stop the client, every other refusal its key, until the secret that was used
/// changes (looked at once a second at most, a command's every 30 s) or a probe after 1 to 15 minutes.
/// One token endpoint gets 8 requests at a time, callers before background work.
///
/// **Runtimes that stand still** keep nothing from others. A flight that its runtime has not driven
/// for 8 s loses its permit and its place in the queue of the endpoint, and after 10 s the
/// next caller of its key starts another.
///
/// **Rejection.** [`reject`](TokenSource::reject) forgets that token and no newer one. If its
/// replacement is rejected within 10 s (a quarter of its life, if less) tokens are not the problem:
/// for a minute (one life, if less) rejections cause no fetch and no replay.
///
/// **The last resort.** A rejected token may be good for all calls but one. Callers wait for its
/// replacement; where that fetch fails for a reason that may pass, the rejected token serves again, in
/// this process only, until a replacement comes or its life ends, and fetches go on in the background.
/// A rejection by a call that got it since ends it for good; late rejections by earlier calls do not.
/// It never serves after [`forget`](TokenSource::forget), for [`fetch`](TokenSource::fetch), for the
/// replay of a call that it was rejected for, or while the vendor refuses the client.
///
/// **Secrets** are read at each fetch and dropped after it. Of several, the next is tried on
/// `invalid_client`; the one that worked is remembered.
///
/// **Tokens of other providers.** A provider that needs another's token
/// ([`Provider::inputs`](biped_core::Provider::inputs)) gets it as any caller does, with 60 s of its life
/// left, before it takes its permit and its lease. The other's error is this one's, and stops nothing
/// else. Where the vendor refuses such a token, that token is rejected, and the request is sent once more
/// with the next one.
///
/// **The store**, if there is one, is read before a fetch and written after it. All its work
/// before a fetch has 250 ms; one that fails is not used for 5 s, and no call fails because of it. In a
/// fleet, the process that holds the lease fetches. A rejected token never comes back from it. While a
/// token serves, a store that fails puts its renewal off, until half of the time between its refresh
/// point and its end of use is over: a fleet without its store for a moment asks the vendor no more often.
/// A store that was too slow is told of the new token all the same.
///
/// **Whose token it is.** In memory a client is its [`ProviderId`], credentials and all: two that
/// differ in a secret share neither a token nor a refusal. In a store that has an
/// [identity key](TokenStore::identity_key) the values of its secrets count as well, as they are at
/// the start of a flight: a rotated secret costs a fleet one fetch, while the token in memory serves
/// on. Of a command, whose reading is not free, its words count. Where a value can't be read the
/// store is not used. A refusal that a process shares is obeyed by the processes that would send what
/// was refused. A store without an identity key gets no tokens of secrets that stand in the
/// configuration itself, none of providers without a client identifier, and no refusals.
///
/// # What it tells
///
/// [`status`](TokenSource::status) and [`statuses`](Self::statuses) say how a key stands. Events go
/// to `tracing`, with the provider's name and what the token is for. At the level `DEBUG` they tell each
/// request: method, URL without query and secrets, status and time; at `TRACE` also that one is sent.
/// A fetch is a span, `fetch`, and so are its requests and each attempt of a call, with the attributes of
/// OpenTelemetry's HTTP conventions (`http.request.method`, `server.address`, `http.response.status_code`,
/// `http.request.resend_count`, `error.type`, …). A fetch outlives the callers that wait for it: their spans
/// are linked to it, and none is its parent. No span holds a token or a query.
/// With the feature `metrics` it counts, through the crate of that name:
///
/// | metric | type | labels | what |
/// | --- | --- | --- | --- |
/// | `biped_fetches_total` | counter | `provider`, `outcome` | flights that ended: `token`, `stored` (the store had it), or the [kind](biped_core::ErrorKind) of the error |
/// | `biped_waits_total` | counter | `provider` | callers that had to wait for a flight |
/// | `biped_stale_served_total` | counter | `provider` | tokens served past their refresh point |
/// | `biped_remaining_life_seconds` | histogram | `provider` | life left of a token that was served past its refresh point |
/// | `biped_rejections_total` | counter | `provider`, `outcome` | tokens that an API rejected: `renewing`, `superseded`, `cooling_down` |
/// | `biped_store_faults_total` | counter | `provider`, `operation` | what the store failed to do: `get`, `put`, `forget`, `lease`, `release`, `identity_key`, `swap` |
/// | `biped_leases_lost_total` | counter | `provider` | leases that lapsed while their holder was fetching |
///
/// These names are a contract. `provider` is the name that the application uses; no label ever
/// holds a key, a tenant or a scope, and nothing that is told a token. Providers with equal ids share their
/// keys, and are counted under the name of the one that came first.
#[derive(Clone)]
pub struct TokenManager(pub(crate) Arc<Engine>);

/// Makes a [`TokenManager`]; see [`TokenManager::builder`].
#[derive(Debug)]
#[must_use]
pub struct TokenManagerBuilder {
    http: HttpClients,
    clock: Arc<dyn Clock>,
    settings: Settings,
    store: Option<Arc<dyn TokenStore>>,
    named: BTreeMap<Arc<str>, Arc<dyn Provider>>,
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

    /// Sends the token requests of a provider through a client of its own, such as one with another
    /// proxy. Providers with equal ids share it, as they share their tokens.
    pub fn provider_http(mut self, provider: &ProviderId, http: Arc<dyn HttpClient>) -> Self {
        self.http.own.insert(provider.clone(), http);
        self
    }

    /// Names a provider, so that others can need its tokens
    /// ([`Provider::inputs`](biped_core::Provider::inputs)).
    pub fn named_provider(
        mut self,
        name: impl Into<Arc<str>>,
        provider: Arc<dyn Provider>,
    ) -> Self {
        self.named.insert(name.into(), provider);
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
            named,
        } = self;
        let spread = settings.refresh_spread * fastrand::f64();
        let rotations = Rotations::new(store.as_ref().and_then(|store| store.durable()));
        let shared = store.map(|store| SharedStore::new(store, clock.clone(), settings.store_wait));
        if let Some(shared) = shared.as_ref().filter(|_| Handle::try_current().is_ok()) {
            shared.look_for_key();
        }
        TokenManager(Arc::new_cyclic(|engine| Engine {
            shared,
            keys: KeyTable::new(&settings),
            parties: Mutex::default(),
            activity: Arc::default(),
            rotations,
            adopted: Mutex::default(),
            lenders: match named.is_empty() {
                true => Box::new(NoLenders),
                false => Box::new(Named {
                    engine: engine.clone(),
                    providers: named,
                }),
            },
            refresh_at: settings.refresh_at + spread,
            http: http.spanned(),
            clock,
            settings,
        }))
    }
}

impl TokenManager {
    /// Returns a builder of a manager that sends its token requests through `http`.
    pub fn builder(http: Arc<dyn HttpClient>) -> TokenManagerBuilder {
        let settings = Settings::default();
        TokenManagerBuilder {
            http: HttpClients {
                default: http,
                own: HashMap::new(),
            },
            clock: Arc::new(SystemClock),
            settings,
            store: None,
            named: BTreeMap::new(),
        }
    }

    /// Returns a handle to the tokens that `provider` gives for `request`. Costs a look-up; keep it.
    #[must_use]
    pub fn source(&self, provider: Arc<dyn Provider>, request: TokenRequest) -> TokenSource {
        let key = self.0.key(&provider, request);
        TokenSource::new(self.0.clone(), key, provider)
    }

    /// Returns the token for `request`, if it is fresh, without a handle, without waiting and
    /// without copying anything: for applications that serve many tenants. `None`: ask a
    /// [`source`](Self::source).
    #[must_use]
    pub fn fresh(&self, provider: &ProviderId, request: &TokenRequest) -> Option<TokenRef> {
        let now = self.0.clock.now();
        self.0.keys.with(provider, request, |key| key.fresh(&now))?
    }

    /// Returns what is known of every key, in no order.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        let now = self.0.clock.now();
        self.0
            .keys
            .all()
            .iter()
            .map(|key| key.status(&now))
            .collect()
    }

    /// Waits until no fetch is under way and the store was told of all there were. A program that
    /// ends right after it got a token waits for this first: a token is handed out before it is
    /// stored, and renewed in the background.
    ///
    /// Returns at the latest when every fetch that was under way must have ended (46 s): one whose
    /// runtime stands still never does. A refresh token that could not be stored is waited for 10 s
    /// longer.
    pub async fn drain(&self) {
        self.drain_these(&self.0.under_way()).await;
    }

    /// Waits as [`drain`](Self::drain) does, but not for fetches without a store to tell: nothing is lost with
    /// them. For a program that has no use for another token.
    pub async fn drain_store(&self) {
        let mut all = self.0.under_way();
        all.retain(|one| one.is_stored);
        self.drain_these(&all).await;
    }

    async fn drain_these(&self, all: &[UnderWay]) {
        let Engine {
            clock, settings, ..
        } = &*self.0;
        let flights = async {
            for one in all {
                one.flights.drain().await;
            }
        };
        let held = async {
            for one in all {
                one.held.drain().await;
            }
        };
        if Handle::try_current().is_err() || !clock.can_sleep() {
            // Nothing to measure time with.
            return flights.await;
        }
        let limit = settings
            .flight_limit
            .saturating_add(settings.store_wait.saturating_mul(4));
        tokio::select! {
            biased;
            () = flights => {}
            () = clock.sleep(limit) => {}
        }
        tokio::select! {
            biased;
            () = held => {}
            () = clock.sleep(HELD) => {}
        }
    }

    /// Gets a token for each of these sources, all at once: before the first caller comes, or to
    /// tell whether the application is ready. Returns the outcomes in their order,
    /// after `max_wait` at the latest.
    pub async fn warm(
        &self,
        sources: impl IntoIterator<Item = TokenSource>,
    ) -> Vec<Result<(), Error>> {
        let warm = |source: TokenSource| async move { source.token().await.map(drop) };
        let waits = sources.into_iter().map(warm);
        let mut outcomes = Vec::new();
        let Ok(runtime) = Handle::try_current() else {
            // No fetch can start, so there is nothing to wait for.
            for wait in waits {
                outcomes.push(wait.await);
            }
            return outcomes;
        };
        let waits: Vec<_> = waits.map(|wait| runtime.spawn(wait)).collect();
        for wait in waits {
            let outcome = wait.await.unwrap_or_else(|error| {
                Err(Error::internal("the runtime ended").with_source(error))
            });
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Makes the vendors forget the tokens in memory (RFC 7009), and forgets them here: for the end
    /// of an application. Returns how many were revoked.
    ///
    /// What is in a store stays, since others may be using the same tokens; of those that never
    /// enter one (they are bound to a key of this process) no other process has any. Providers without
    /// revocation are passed over.
    pub async fn revoke_unshared(&self) -> usize {
        let engine = &self.0;
        let mut revoked = 0;
        for key in engine.keys.all() {
            let Some(token) = key.slot.load_full() else {
                continue;
            };
            let now = engine.clock.now();
            let provider = key.client.provider.clone();
            let is_shared =
                engine.may_share(&token, &*provider).await && engine.may_store(&key).await;
            if is_shared || !token.schedule.unusable.is_ahead(&now) {
                continue;
            }
            let asked = match engine.borrow(&*provider, false).await {
                Ok(lent) => engine
                    .ask(&provider, &key, Ask::Revocation(&token), &lent, None)
                    .await
                    .is_ok(),
                Err(_) => false,
            };
            if asked {
                let mut state = key.state();
                state.forget(token.generation(), &now);
                let served = key.slot.load().as_ref().map(|token| token.generation());
                if served == Some(token.generation()) {
                    key.slot.clear(&mut state);
                }
                engine.note_untold(&mut state);
                revoked += 1;
            }
        }
        revoked
    }

    /// Takes over the tokens in the memory of another manager, for the providers that both have sources
    /// of, and for their tenants: for a process that read its configuration again. A key that has a token
    /// here keeps it. What the store was not yet told of a forgotten token is taken over as well.
    ///
    /// Providers are the same if their [`ProviderId`]s are, credentials and all. What is under way in the
    /// other manager stays there, and [`drain`](Self::drain) of this one waits for it as well.
    pub fn adopt(&self, old: &Self) {
        self.0.adopt_under_way(&old.0);
        let now = self.0.clock.now();
        let with_tenants = self.0.clients_with_tenants();
        for key in old.0.keys.all() {
            let id = &key.client.id;
            let token = key.slot.load_full();
            let token = token.filter(|token| token.schedule.unusable.is_ahead(&now));
            let past = key.state().past();
            if token.is_none() && !past.is_owed() {
                continue;
            }
            let Some(client) = self.0.client_to_adopt(id, &with_tenants) else {
                continue;
            };
            let own = self
                .0
                .keys
                .find_or_make(id, key.request.clone(), &now, || client);
            let mut state = own.state();
            state.adopt(past);
            self.0.note_untold(&mut state);
            if let Some(token) = token.filter(|_| own.slot.load().is_none()) {
                own.touch_as(&key);
                own.slot.publish(&mut state, token);
            }
        }
    }

    /// Returns the clock that everything goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }
}

impl fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManager")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}
