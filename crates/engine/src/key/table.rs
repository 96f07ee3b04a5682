//! [`KeyTable`]: every key of a manager, found by what it is for, bounded and evicted.

use std::{
    hash::BuildHasher,
    sync::{Arc, PoisonError},
    time::Duration,
};

use hashbrown::HashTable;

use biped_core::{Generation, Now, ProviderId, Token, TokenRequest};

use crate::{
    client::Client,
    flight::demand::Demand,
    key::{cached::CachedToken, slot::Slot, state::KeyState},
    settings::Settings,
    sync::{
        DefaultHashBuilder, Mutex, MutexGuard, RwLock,
        atomic::{AtomicU32, Ordering},
        lock,
    },
};

/// One key: its current token, and what else is known of it.
// In this order: what every caller touches lies together.
#[repr(C)]
pub(crate) struct Key {
    /// The token that is served, if there is one.
    pub(crate) slot: Slot,
    used: AtomicU32,
    /// Fetches that ended at the vendor.
    pub(crate) fetches: AtomicU32,
    pub(crate) client: Arc<Client>,
    pub(crate) request: TokenRequest,
    state: Mutex<KeyState>,
}

impl Key {
    /// Locks what is known of the key. Never held across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, KeyState> {
        lock(&self.state)
    }

    /// The demand; without the last resort while the vendor refuses the client.
    pub(crate) fn permitted(&self, state: &KeyState, demand: Demand) -> Demand {
        let no_last_resort = state.has_last_resort() && self.client.is_refused();
        Demand {
            no_last_resort: demand.no_last_resort || no_last_resort,
            ..demand
        }
    }

    /// The rejected token that serves again, if it does and may serve this caller.
    pub(crate) fn last_resort(
        &self,
        state: &KeyState,
        demand: Demand,
        now: &Now,
    ) -> Option<Arc<CachedToken>> {
        state.last_resort(self.permitted(state, demand), now)
    }

    /// Forgets every token that there is, and that is being fetched. Returns the newest generation that is
    /// forgotten: `stored` or a later one.
    pub(crate) fn forget_all(&self, stored: Generation, now: &Now) -> Generation {
        let mut state = self.state();
        let current = self.slot.load();
        let served = current.as_ref().map(|token| token.generation());
        let newest = state.newest.max(served.unwrap_or_default()).max(stored);
        let through = newest.next(now.wall);
        state.forget(through, now);
        self.slot.clear(&mut state);
        through
    }

    /// Stamps the key as used, once a second at most.
    #[inline]
    pub(crate) fn touch(&self, now: &Now) {
        let second = seconds(now);
        if self.used.load(Ordering::Relaxed) != second {
            self.used.store(second, Ordering::Relaxed);
        }
    }

    /// Whether the vendor has ended a token by now because it lay unused.
    #[inline]
    pub(crate) fn is_overdue(&self, token: &Token, now: &Now) -> bool {
        self.client.idle_limit.is_some_and(|limit| {
            let unused = Duration::from_secs(self.unused_for(now).into());
            unused.min(now.wall.since(token.requested_at())) >= limit
        })
    }

    /// Clears the slot of a token that is overdue. Call it before the key is stamped as used.
    pub(crate) fn drop_overdue(&self, now: &Now) {
        if self.client.idle_limit.is_none() {
            return;
        }
        let mut state = self.state();
        let current = self.slot.load_full();
        if current.is_some_and(|token| self.is_overdue(&token, now)) {
            self.slot.clear(&mut state);
        }
    }

    /// Stamps the key as used when this one was last.
    pub(crate) fn touch_as(&self, other: &Self) {
        let second = other.used.load(Ordering::Relaxed);
        self.used.store(second, Ordering::Relaxed);
    }

    fn unused_for(&self, now: &Now) -> u32 {
        seconds(now).saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// Whether it has no handle, and nothing would be lost with it but a token. The shard must be
    /// locked, so that no caller gets a handle during the check.
    fn is_evictable(self: &Arc<Self>, now: &Now) -> bool {
        Arc::strong_count(self) == 1
            && self.state().is_idle(now)
            && !self.client.is_quarantined(now)
    }
}

#[allow(clippy::cast_possible_truncation)] // 136 years of uptime
fn seconds(now: &Now) -> u32 {
    now.mono.as_secs() as u32
}

/// One in the model check, so that all keys meet there.
const SHARDS: usize = if cfg!(all(test, shuttle)) { 1 } else { 16 };

/// Every key of a manager.
pub(crate) struct KeyTable {
    shards: Box<[RwLock<Shard>]>,
    hasher: DefaultHashBuilder,
    bound: usize,
    idle: u32,
}

#[derive(Default)]
struct Shard {
    /// With their hashes, so that a table that grows reads none of them.
    keys: HashTable<(u64, Arc<Key>)>,
    swept: u32,
    /// When a sweep freed too few keys, and the number of keys up to which no other follows in that second.
    full_at: u32,
    full_until: usize,
    /// How many keys the sweeps examined.
    #[cfg(test)]
    examined: usize,
}

impl KeyTable {
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
        act: impl FnOnce(&Arc<Key>) -> T,
    ) -> Option<T> {
        self.find(self.hasher.hash_one((id, request)), id, request, act)
    }

    fn find<T>(
        &self,
        hash: u64,
        id: &ProviderId,
        request: &TokenRequest,
        act: impl FnOnce(&Arc<Key>) -> T,
    ) -> Option<T> {
        let shard = self
            .shard(hash)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        shard
            .keys
            .find(hash, is(hash, id, request))
            .map(|(_, key)| act(key))
    }

    /// Finds a key, or makes it, and evicts others where there are too many or they lay idle.
    pub(crate) fn find_or_make(
        &self,
        id: &ProviderId,
        request: TokenRequest,
        now: &Now,
        client: impl FnOnce() -> Arc<Client>,
    ) -> Arc<Key> {
        let hash = self.hasher.hash_one((id, &request));
        if let Some(key) = self.find(hash, id, &request, Arc::clone) {
            return key;
        }
        let client = client();
        let mut shard = self
            .shard(hash)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = shard.keys.find(hash, is(hash, id, &request)) {
            return key.clone();
        }
        self.evict(&mut shard, now);
        let key = Arc::new(Key {
            client,
            request,
            slot: Slot::default(),
            state: Mutex::default(),
            used: AtomicU32::new(seconds(now)),
            fetches: AtomicU32::new(0),
        });
        shard
            .keys
            .insert_unique(hash, (hash, key.clone()), |(hash, _)| *hash);
        key
    }

    /// Every key, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Key>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.keys.iter().map(|(_, key)| key.clone()));
        }
        all
    }

    /// Drops what lay idle, looking now and then; and, where there are too many, a tenth more than
    /// needed of what was used longest ago, so that the next insertions need not look.
    fn evict(&self, shard: &mut Shard, now: &Now) {
        if seconds(now).saturating_sub(shard.swept) >= self.idle.div_ceil(4) {
            shard.swept = seconds(now);
            shard
                .keys
                .retain(|(_, key)| key.unused_for(now) < self.idle || !key.is_evictable(now));
        }
        if shard.keys.len() < self.bound {
            return;
        }
        // Keys in use can't go. A look that frees too few would be repeated by each new key, and cost
        // the more the more there are, so the next one waits for a second or for a tenth more keys.
        if seconds(now) == shard.full_at && shard.keys.len() < shard.full_until {
            return;
        }
        #[cfg(test)]
        {
            shard.examined += shard.keys.len();
        }
        let mut ages: Vec<u32> = shard
            .keys
            .iter()
            .map(|(_, key)| key)
            .filter(|key| key.is_evictable(now))
            .map(|key| key.unused_for(now))
            .collect();
        let wanted = (shard.keys.len() + 1 - self.bound).max(self.bound / 10);
        let mut surplus = wanted.min(ages.len());
        if surplus < wanted {
            shard.full_at = seconds(now);
            shard.full_until = shard.keys.len() + shard.keys.len() / 10 + 1;
        }
        if surplus == 0 {
            return;
        }
        let (_, oldest, _) = ages.select_nth_unstable_by(surplus - 1, |a, b| b.cmp(a));
        let oldest = *oldest;
        shard.keys.retain(|(_, key)| {
            let goes = surplus > 0 && key.unused_for(now) >= oldest && key.is_evictable(now);
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

/// Whether a key is the one for this; those of another hash are not even looked at.
fn is(hash: u64, id: &ProviderId, request: &TokenRequest) -> impl Fn(&(u64, Arc<Key>)) -> bool {
    move |(known, key)| *known == hash && key.request == *request && key.client.id == *id
}

#[cfg(test)]
mod tests;
