//! [`Engine`]: what the keys and flights of a manager share.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use biped_core::{Clock, Error, HttpClient, Now, Provider, ProviderId, Token, TokenRequest};

use crate::{
    client::Client,
    endpoint::Endpoint,
    fleet::{format, session::SharedStore},
    flight::activity::Activity,
    input::{Lenders, Lent, error_of},
    key::{
        schedule::Schedule,
        state::KeyState,
        table::{Key, KeyTable},
    },
    rotation::Rotations,
    settings::Settings,
    spans::Spanned,
    sync::{Mutex, lock},
};

/// The parts of a manager that its keys and flights share.
pub(crate) struct Engine {
    pub(crate) http: HttpClients,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) shared: Option<SharedStore>,
    pub(crate) keys: KeyTable,
    pub(crate) parties: Mutex<Parties>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) rotations: Rotations,
    /// What managers whose tokens were taken over have under way.
    pub(crate) adopted: Mutex<Vec<UnderWay>>,
    /// The providers that lend others their tokens.
    pub(crate) lenders: Box<dyn Lenders>,
    /// The part of a life after which this process refreshes.
    pub(crate) refresh_at: f64,
}

/// What a manager has under way that a program waits for before it ends.
#[derive(Clone)]
pub(crate) struct UnderWay {
    pub(crate) flights: Arc<Activity>,
    /// The credentials that are held because the store is down.
    pub(crate) held: Arc<Activity>,
    /// Whether a store is told of what is fetched.
    pub(crate) is_stored: bool,
}

impl UnderWay {
    /// Whether a manager or a task has it still.
    fn is_alive(&self) -> bool {
        Arc::strong_count(&self.flights) > 1 || Arc::strong_count(&self.held) > 1
    }
}

/// What sends token requests.
#[derive(Debug)]
pub(crate) struct HttpClients {
    pub(crate) default: Arc<dyn HttpClient>,
    /// The providers that have one of their own.
    pub(crate) own: HashMap<ProviderId, Arc<dyn HttpClient>>,
}

impl HttpClients {
    /// The same clients, whose requests have spans.
    pub(crate) fn spanned(self) -> Self {
        let spanned = |http| Arc::new(Spanned(http)) as Arc<dyn HttpClient>;
        let own = self.own.into_iter();
        Self {
            default: spanned(self.default),
            own: own.map(|(id, http)| (id, spanned(http))).collect(),
        }
    }

    pub(crate) fn of(&self, id: &ProviderId) -> &dyn HttpClient {
        let own = self.own.get(id).or_else(|| {
            // A tenant's provider is not the one that is configured, and has its name.
            id.tenant()?;
            let mut all = self.own.iter();
            let (_, client) = all.find(|(known, _)| known.name() == id.name())?;
            Some(client)
        });
        &**own.unwrap_or(&self.default)
    }
}

/// Clients and endpoints, by their names; gone with their last key.
#[derive(Default)]
pub(crate) struct Parties {
    clients: HashMap<ProviderId, Weak<Client>>,
    endpoints: HashMap<Box<str>, Weak<Endpoint>>,
}

impl Engine {
    /// The key of what `request` asks of `provider`.
    pub(crate) fn key(&self, provider: &Arc<dyn Provider>, request: TokenRequest) -> Arc<Key> {
        let now = self.clock.now();
        self.keys
            .find_or_make(provider.id(), request, &now, || self.client(provider))
    }

    /// The clients whose providers have tenants.
    pub(crate) fn clients_with_tenants(&self) -> Vec<Arc<Client>> {
        let parties = lock(&self.parties);
        let clients = parties.clients.values().filter_map(Weak::upgrade);
        clients
            .filter(|client| client.provider.tenants().is_some())
            .collect()
    }

    /// The client of this id: one that has a key, or the tenant of one of `with_tenants`.
    pub(crate) fn client_to_adopt(
        &self,
        id: &ProviderId,
        with_tenants: &[Arc<Client>],
    ) -> Option<Arc<Client>> {
        let known = lock(&self.parties).clients.get(id).and_then(Weak::upgrade);
        if known.is_some() {
            return known;
        }
        let name = id.tenant()?;
        let candidates = with_tenants
            .iter()
            .filter(|client| client.id.name() == id.name());
        let tenants = candidates.filter_map(|client| {
            let tenants = client.provider.tenants()?;
            tenants.tenant(name, &TokenRequest::new()).ok()
        });
        let mut same = tenants.filter(|tenant| tenant.provider.id() == id);
        same.next().map(|tenant| self.client(&tenant.provider))
    }

    /// Waits from now on also for what another has under way, and for what that one waits for.
    pub(crate) fn adopt_under_way(&self, old: &Self) {
        let theirs = {
            let mut adopted = lock(&old.adopted);
            adopted.retain(UnderWay::is_alive);
            adopted.clone()
        };
        let mut adopted = lock(&self.adopted);
        for other in theirs.into_iter().chain([old.own_under_way()]) {
            let is_same = |it: &UnderWay| Arc::ptr_eq(&it.flights, &other.flights);
            if !is_same(&self.own_under_way()) && !adopted.iter().any(is_same) {
                adopted.push(other);
            }
        }
    }

    /// Everything that is waited for before the program ends.
    pub(crate) fn under_way(&self) -> Vec<UnderWay> {
        let mut all = lock(&self.adopted).clone();
        all.push(self.own_under_way());
        all
    }

    fn own_under_way(&self) -> UnderWay {
        UnderWay {
            flights: self.activity.clone(),
            held: self.rotations.held.clone(),
            is_stored: self.shared.is_some(),
        }
    }

    fn client(&self, provider: &Arc<dyn Provider>) -> Arc<Client> {
        let id = provider.id();
        let mut parties = lock(&self.parties);
        if let Some(client) = parties.clients.get(id).and_then(Weak::upgrade) {
            return client;
        }
        let known = parties
            .endpoints
            .get(id.token_endpoint())
            .and_then(Weak::upgrade);
        let endpoint = known.unwrap_or_else(|| {
            let endpoint = Endpoint::new(&self.settings, provider.fetch_limit());
            parties
                .endpoints
                .insert(id.token_endpoint().into(), Arc::downgrade(&endpoint));
            endpoint
        });
        if parties.clients.len() == parties.clients.capacity() {
            // About to grow: the unused ones go first. Where most are in use it grows all the same, so
            // that the next clients need not look again.
            let Parties { clients, endpoints } = &mut *parties;
            clients.retain(|_, client| client.strong_count() > 0);
            endpoints.retain(|_, endpoint| endpoint.strong_count() > 0);
            clients.reserve(clients.len());
        }
        let client = Arc::new(Client::new(provider.clone(), endpoint));
        parties.clients.insert(id.clone(), Arc::downgrade(&client));
        client
    }

    /// The tokens of other providers that this one needs.
    pub(crate) async fn borrow(
        &self,
        provider: &dyn Provider,
        replacement: bool,
    ) -> Result<Vec<Lent>, Error> {
        let mut lent = Vec::new();
        for input in provider.inputs() {
            let one = self.lenders.lend(input, replacement).await;
            lent.push(one.map_err(|error| error_of(error, input, provider.id().name()))?);
        }
        Ok(lent)
    }

    /// Until when a token is fresh and usable; `seen` as for [`Schedule::of`].
    pub(crate) fn schedule(&self, token: &Token, seen: &Now) -> Schedule {
        Schedule::of(token, seen, self.refresh_at, self.settings.margin)
    }

    /// Whether a key's tokens may be in a store.
    pub(crate) async fn may_store(&self, key: &Key) -> bool {
        match &self.shared {
            Some(shared) => shared.may_keep(&key.client.id).await,
            None => false,
        }
    }

    /// Whether this token may be in a store: one that is bound to a key only in a sealed store, for
    /// processes that were given the key.
    pub(crate) async fn may_share(&self, token: &Token, provider: &dyn Provider) -> bool {
        if format::is_free(token) {
            return self.shared.is_some();
        }
        let is_sealed = self.shared.as_ref().is_some_and(SharedStore::is_sealed);
        match format::bound_to(token) {
            Some(thumbprint) if is_sealed => {
                let cx = self.context(provider, 0, None);
                provider.is_given_key(thumbprint, &cx).await
            }
            _ => false,
        }
    }

    /// Without a store, what was forgotten needs no telling.
    pub(crate) fn note_untold(&self, state: &mut KeyState) {
        if self.shared.is_none() {
            state.told(state.forgotten());
        }
    }
}
