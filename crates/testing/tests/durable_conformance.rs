//! The suite for durable stores finds what is wrong: for every check there are stores that break just
//! that promise, and are found out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use biped_core::{
    AccountKey, Clock, DurableEntry, DurableLock, DurableStore, Revision, StoreError, SystemClock,
    async_trait,
};
use biped_testing::{TimeLimit, store::durable};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    MakesUpEntries,
    LosesAByte,
    CountsNothing,
    KeepsForItselfAlone,
    KeepsTextOnly,
    StopsAtAZero,
    ForgetsWithItsHandle,
    ForgetsWithItsLastHandle,
    Fails,
    SwapsWhateverIsThere,
    WritesOverAFirstEntry,
    StartsAnywhere,
    SwapsInTwoSteps,
    LooksAtMostOfTheKey,
    LocksNothing,
    LocksItsOwnHandleOnly,
    IgnoresUnlocking,
    LocksInTwoSteps,
    HasOneLock,
    UnlocksAll,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_a_flaw_passes() {
    let backend = Arc::<Backend>::default();
    durable::run(async || backend.open(Flaw::None)).await;
}

/// The names of the checks that fail.
async fn found(flaw: Flaw) -> Vec<String> {
    let backend = Arc::<Backend>::default();
    let failures = durable::failures(async || backend.open(flaw)).await;
    let names = failures.iter().map(|failure| failure.split(':').next());
    names.map(|name| name.unwrap().to_owned()).collect()
}

/// Otherwise a store that keeps entries in memory, as long as one process has it open, would pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_live_as_long_as_any_handle_are_found() {
    let _limit = TimeLimit::start();
    let found = found(Flaw::ForgetsWithItsLastHandle).await;
    assert_eq!(found, ["an_entry_outlives_its_handle"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_broken_promise_is_named_and_hides_no_other() {
    let _limit = TimeLimit::start();
    let found_two = found(Flaw::LocksNothing).await;
    let two = [
        "a_lock_has_one_holder",
        "of_many_that_ask_for_a_lock_one_gets_it",
    ];
    assert!(
        two.iter()
            .all(|name| found_two.iter().any(|found| found == name))
    );
    assert!(!found_two.iter().any(|name| name == "any_bytes_are_kept"));
    assert_eq!(found(Flaw::Fails).await.len(), 11);
}

type Stores = [Arc<dyn DurableStore>; 2];

async fn is_found(check: impl Future<Output = ()> + Send + 'static) -> bool {
    tokio::spawn(check).await.is_err_and(|end| end.is_panic())
}

/// Whether a check finds each of these flaws, and passes a store without one.
macro_rules! finds {
    ($($check:ident: $($flaw:ident)*;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            let check = |flaw| {
                let backend = Arc::<Backend>::default();
                let stores: Stores = [backend.open(flaw), backend.open(flaw)];
                is_found(async move { durable::$check(&stores).await })
            };
            assert!(!check(Flaw::None).await);
            for flaw in [$(Flaw::$flaw),*] {
                assert!(check(flaw).await, "{flaw:?}");
            }
        }
    )*};
}

finds! {
    an_account_without_an_entry_has_none: MakesUpEntries;
    an_entry_comes_back_as_it_was_written: LosesAByte CountsNothing KeepsForItselfAlone;
    any_bytes_are_kept: KeepsTextOnly StopsAtAZero;
    a_swap_that_expects_another_revision_changes_nothing:
        SwapsWhateverIsThere WritesOverAFirstEntry StartsAnywhere;
    of_many_swaps_one_succeeds: SwapsInTwoSteps;
    accounts_are_apart: LooksAtMostOfTheKey;
    a_lock_has_one_holder: LocksNothing LocksItsOwnHandleOnly;
    a_lock_that_is_given_back_is_granted_anew: IgnoresUnlocking;
    of_many_that_ask_for_a_lock_one_gets_it: LocksInTwoSteps;
    locks_of_accounts_are_apart: HasOneLock LooksAtMostOfTheKey UnlocksAll;
}

#[test]
fn an_entry_outlives_its_handle() {
    let is_found = |flaw| {
        let check = std::thread::spawn(move || {
            let backend = Arc::<Backend>::default();
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let open = async || backend.open(flaw);
            let check = durable::an_entry_outlives_its_handle(&open);
            runtime.unwrap().block_on(check);
        });
        check.join().is_err()
    };
    assert!(!is_found(Flaw::None));
    assert!(is_found(Flaw::ForgetsWithItsHandle));
    assert!(is_found(Flaw::ForgetsWithItsLastHandle));
}

/// What handles share.
#[derive(Debug, Default)]
struct Backend {
    /// How many handles there were.
    handles: AtomicUsize,
    /// How many of them are open.
    open: AtomicUsize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Revision, bytes, and the handle that wrote them.
    entries: HashMap<AccountKey, (u64, Vec<u8>, usize)>,
    /// The handles that hold locks.
    locks: HashMap<AccountKey, usize>,
}

/// A handle to a store that is like any other, but for one flaw.
#[derive(Clone, Debug)]
struct Flawed {
    flaw: Flaw,
    number: usize,
    backend: Arc<Backend>,
}

#[derive(Debug)]
struct Lock {
    key: AccountKey,
    store: Arc<Flawed>,
}

/// The handle that a test has.
#[derive(Debug)]
struct Handle(Arc<Flawed>);

impl Backend {
    fn open(self: &Arc<Self>, flaw: Flaw) -> Arc<dyn DurableStore> {
        let number = self.handles.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        let backend = self.clone();
        Arc::new(Handle(Arc::new(Flawed {
            flaw,
            number,
            backend,
        })))
    }
}

impl Flawed {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn kept<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.backend.kept.lock().unwrap())
    }

    fn key(&self, key: &AccountKey) -> AccountKey {
        let mut key = *key.as_bytes();
        if self.has(Flaw::LooksAtMostOfTheKey) {
            key[31] = 0;
        }
        AccountKey::from_bytes(key)
    }

    fn revision(&self, kept: &Kept, key: &AccountKey) -> u64 {
        kept.entries.get(key).map_or(0, |entry| entry.0)
    }

    fn may_write(&self, present: u64, expected: u64) -> bool {
        match self.flaw {
            Flaw::SwapsWhateverIsThere => true,
            Flaw::WritesOverAFirstEntry if expected == 0 => true,
            Flaw::StartsAnywhere if present == 0 => true,
            _ => present == expected,
        }
    }

    fn may_fail(&self) -> Result<(), StoreError> {
        match self.has(Flaw::Fails) {
            true => Err(StoreError::new("as planted")),
            false => Ok(()),
        }
    }

    /// What may come between two steps.
    async fn others(&self) {
        SystemClock.sleep(Duration::from_millis(50)).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let is_last = self.0.backend.open.fetch_sub(1, Relaxed) == 1;
        if is_last && self.0.has(Flaw::ForgetsWithItsLastHandle) {
            self.0.kept(|kept| kept.entries.clear());
        }
        if self.0.has(Flaw::ForgetsWithItsHandle) {
            let own = self.0.number;
            self.0
                .kept(|kept| kept.entries.retain(|_, entry| entry.2 != own));
        }
    }
}

#[async_trait]
impl DurableStore for Handle {
    async fn load(&self, key: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
        let store = &self.0;
        store.may_fail()?;
        let key = store.key(key);
        let found = store.kept(|kept| kept.entries.get(&key).cloned());
        let mine = |entry: &(u64, Vec<u8>, usize)| {
            entry.2 == store.number || !store.has(Flaw::KeepsForItselfAlone)
        };
        let Some((revision, mut bytes, _)) = found.filter(mine) else {
            return Ok(store.has(Flaw::MakesUpEntries).then(|| DurableEntry {
                revision: Revision::NONE,
                bytes: Vec::new(),
            }));
        };
        match store.flaw {
            Flaw::LosesAByte => drop(bytes.pop()),
            Flaw::KeepsTextOnly => bytes = String::from_utf8_lossy(&bytes).into_owned().into(),
            Flaw::StopsAtAZero => {
                let end = bytes.iter().position(|byte| *byte == 0);
                bytes.truncate(end.unwrap_or(bytes.len()));
            }
            _ => {}
        }
        let counted = if store.has(Flaw::CountsNothing) {
            1
        } else {
            revision
        };
        Ok(Some(DurableEntry {
            revision: Revision(counted),
            bytes,
        }))
    }

    async fn swap(
        &self,
        key: &AccountKey,
        expected: Revision,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let store = &self.0;
        store.may_fail()?;
        let key = store.key(key);
        let may = |kept: &Kept| store.may_write(store.revision(kept, &key), expected.0);
        let early = store
            .has(Flaw::SwapsInTwoSteps)
            .then(|| store.kept(|kept| may(kept)));
        if early.is_some() {
            store.others().await;
        }
        Ok(store.kept(|kept| {
            let writes = early.unwrap_or_else(|| may(kept));
            if writes {
                let entry = (expected.0 + 1, bytes.to_vec(), store.number);
                kept.entries.insert(key, entry);
            }
            writes
        }))
    }

    async fn lock(&self, key: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
        let store = &self.0;
        store.may_fail()?;
        let key = if store.has(Flaw::HasOneLock) {
            AccountKey::from_bytes([0; 32])
        } else {
            store.key(key)
        };
        let is_free = |kept: &Kept| match kept.locks.get(&key) {
            None => true,
            Some(holder) if store.has(Flaw::LocksItsOwnHandleOnly) => *holder != store.number,
            Some(_) => store.has(Flaw::LocksNothing),
        };
        let early = store
            .has(Flaw::LocksInTwoSteps)
            .then(|| store.kept(|kept| is_free(kept)));
        if early.is_some() {
            store.others().await;
        }
        let taken = store.kept(|kept| {
            let takes = early.unwrap_or_else(|| is_free(kept));
            if takes {
                kept.locks.insert(key, store.number);
            }
            takes
        });
        let store = store.clone();
        Ok(taken.then(|| Box::new(Lock { key, store }) as Box<dyn DurableLock>))
    }
}

#[async_trait]
impl DurableLock for Lock {
    fn lease(&self) -> Option<Duration> {
        None
    }

    async fn unlock(self: Box<Self>) {
        match self.store.flaw {
            Flaw::IgnoresUnlocking => {}
            Flaw::UnlocksAll => self.store.kept(|kept| kept.locks.clear()),
            _ => drop(self.store.kept(|kept| kept.locks.remove(&self.key))),
        }
    }
}
