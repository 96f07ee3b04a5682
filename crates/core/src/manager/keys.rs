//! [`Keys`]: every key of a manager, found by what it is for, bounded and evicted.

use std::{
    hash::BuildHasher,
    sync::{Arc, PoisonError},
    time::Duration,
};

use hashbrown::HashTable;

use super::{
    budget::Endpoint,
    current::Current,
    settings::Settings,
    state::{Clearance, Key, Refusal},
    sync::{
        DefaultHashBuilder, Mutex, MutexGuard, RwLock,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};
use crate::{Error, Now, Provider, ProviderId, Token, TokenRequest, provider::NotedSecret};

/// One key: its current token, and what else is known of it.
// In this order: what every caller touches lies together.
#[repr(C)]
pub(crate) struct Entry {
    /// The token that is served; [`Token::nothing`] where there is none.
    pub(crate) current: Current,
    used: AtomicU32,
    pub(crate) client: Arc<Client>,
    pub(crate) request: TokenRequest,
    key: Mutex<Key>,
}

impl Entry {
    /// Locks what is known of the key. Never held across an await.
    pub(crate) fn key(&self) -> MutexGuard<'_, Key> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stamps the entry as used, once a second at most.
    #[inline]
    pub(crate) fn touch(&self, now: &Now) {
        let second = seconds(now);
        if self.used.load(Ordering::Relaxed) != second {
            self.used.store(second, Ordering::Relaxed);
        }
    }

    fn unused_for(&self, now: &Now) -> u32 {
        seconds(now).saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// Whether nobody has a handle to it, and nothing would be lost with it but a token. The map
    /// must be locked, so that nobody gets a handle meanwhile.
    fn is_evictable(self: &Arc<Self>, now: &Now) -> bool {
        Arc::strong_count(self) == 1 && self.key().is_idle(now) && !self.client.is_quarantined(now)
    }
}

#[allow(clippy::cast_possible_truncation)] // 136 years of uptime
fn seconds(now: &Now) -> u32 {
    now.mono.as_secs() as u32
}

/// A client of a vendor: what all its keys share.
pub(crate) struct Client {
    pub(crate) id: ProviderId,
    /// Who asked first; what speaks for all its keys.
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) endpoint: Arc<Endpoint>,
    refusal: Mutex<Option<Refusal>>,
    refusals: AtomicU64,
    /// Which of several secrets worked last.
    pub(crate) candidate: AtomicUsize,
}

impl Client {
    pub(crate) fn new(provider: Arc<dyn Provider>, endpoint: Arc<Endpoint>) -> Self {
        Self {
            id: provider.id().clone(),
            provider,
            endpoint,
            refusal: Mutex::default(),
            refusals: AtomicU64::new(0),
            candidate: AtomicUsize::new(0),
        }
    }

    /// Whether a flight of this client may start.
    pub(crate) fn clearance(&self, now: &Now) -> Clearance {
        if let Some((error, _)) = self.endpoint.hold(now) {
            return Clearance::Held(error);
        }
        self.refusal()
            .as_mut()
            .map_or(Clearance::Clear, |refusal| refusal.clearance(now))
    }

    pub(crate) fn refused(&self, error: &Error, secrets: &[NotedSecret], now: &Now) {
        Refusal::renew(&mut self.refusal(), error, secrets, now);
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accepted(&self) {
        *self.refusal() = None;
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refusal().is_some()
    }

    /// Whether it was refused so lately that nobody asks again yet.
    fn is_quarantined(&self, now: &Now) -> bool {
        self.refusal().as_ref().is_some_and(|it| it.stands(now))
    }

    /// How often it was refused: whoever took off before the latest refusal need not ask.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// The refusal that stands, and when it is put to the test again at the latest.
    pub(crate) fn last_error(&self, now: &Now) -> Option<(Error, Option<Duration>)> {
        let refusal = self.refusal();
        let refusal = refusal.as_ref()?;
        Some((
            refusal.error.clone(),
            Some(refusal.probe_at.saturating_sub(now.mono)),
        ))
    }

    fn refusal(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One in the model check, so that all keys meet there.
const SHARDS: usize = if cfg!(all(test, shuttle)) { 1 } else { 16 };

/// Every key of a manager.
pub(crate) struct Keys {
    shards: Box<[RwLock<Shard>]>,
    hasher: DefaultHashBuilder,
    bound: usize,
    idle: u32,
}

#[derive(Default)]
struct Shard {
    /// With their hashes, so that a table that grows reads none of them.
    entries: HashTable<(u64, Arc<Entry>)>,
    swept: u32,
}

impl Keys {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: DefaultHashBuilder::default(),
            bound: settings.max_keys.div_ceil(SHARDS),
            idle: u32::try_from(settings.idle.as_secs()).unwrap_or(u32::MAX),
        }
    }

    /// Looks a key up by reference, without copying anything.
    pub(crate) fn with<T>(
        &self,
        id: &ProviderId,
        request: &TokenRequest,
        act: impl FnOnce(&Arc<Entry>) -> T,
    ) -> Option<T> {
        self.find(self.hasher.hash_one((id, request)), id, request, act)
    }

    fn find<T>(
        &self,
        hash: u64,
        id: &ProviderId,
        request: &TokenRequest,
        act: impl FnOnce(&Arc<Entry>) -> T,
    ) -> Option<T> {
        let shard = self
            .shard(hash)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        shard
            .entries
            .find(hash, is(hash, id, request))
            .map(|(_, entry)| act(entry))
    }

    /// Finds a key, or makes it, and evicts others where there are too many or they lay idle.
    pub(crate) fn find_or_make(
        &self,
        id: &ProviderId,
        request: TokenRequest,
        now: &Now,
        nothing: &Arc<Token>,
        client: impl FnOnce() -> Arc<Client>,
    ) -> Arc<Entry> {
        let hash = self.hasher.hash_one((id, &request));
        if let Some(entry) = self.find(hash, id, &request, Arc::clone) {
            return entry;
        }
        let client = client();
        let mut shard = self
            .shard(hash)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, entry)) = shard.entries.find(hash, is(hash, id, &request)) {
            return entry.clone();
        }
        self.evict(&mut shard, now);
        let entry = Arc::new(Entry {
            client,
            request,
            current: Current::new(nothing.clone()),
            key: Mutex::default(),
            used: AtomicU32::new(seconds(now)),
        });
        shard
            .entries
            .insert_unique(hash, (hash, entry.clone()), |(hash, _)| *hash);
        entry
    }

    /// Every key, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.entries.iter().map(|(_, entry)| entry.clone()));
        }
        all
    }

    /// Drops what lay idle, looking now and then; and, where there are too many, a tenth more than
    /// needed of what was used longest ago, so that the next insertions need not look.
    fn evict(&self, shard: &mut Shard, now: &Now) {
        if seconds(now).saturating_sub(shard.swept) >= self.idle.div_ceil(4) {
            shard.swept = seconds(now);
            shard
                .entries
                .retain(|(_, entry)| entry.unused_for(now) < self.idle || !entry.is_evictable(now));
        }
        if shard.entries.len() < self.bound {
            return;
        }
        let mut ages: Vec<u32> = shard
            .entries
            .iter()
            .map(|(_, entry)| entry)
            .filter(|entry| entry.is_evictable(now))
            .map(|entry| entry.unused_for(now))
            .collect();
        let mut surplus = (shard.entries.len() + 1 - self.bound)
            .max(self.bound / 10)
            .min(ages.len());
        if surplus == 0 {
            return;
        }
        let (_, oldest, _) = ages.select_nth_unstable_by(surplus - 1, |a, b| b.cmp(a));
        let oldest = *oldest;
        shard.entries.retain(|(_, entry)| {
            let goes = surplus > 0 && entry.unused_for(now) >= oldest && entry.is_evictable(now);
            surplus -= usize::from(goes);
            !goes
        });
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // The hash is a fast one: some of its bits vary little, and the table itself uses the lowest
        // and the highest. Multiplied by the golden ratio, the upper bits depend on all of them.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The modulus is one in the model check.
        #[allow(clippy::cast_possible_truncation, clippy::modulo_one)]
        &self.shards[(mixed >> 56) as usize % SHARDS]
    }
}

/// Whether an entry is the one for this; those of another hash are not even looked at.
fn is(hash: u64, id: &ProviderId, request: &TokenRequest) -> impl Fn(&(u64, Arc<Entry>)) -> bool {
    move |(known, entry)| *known == hash && entry.request == *request && entry.client.id == *id
}
