//! The suite for stores finds what is wrong: for every check there is a store that breaks just that
//! promise, and is found out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use biped_core::{
    Claim, Clock, DurableStore, Generation, IdentityKey, Lease, LeaseFailure, LeaseId, StoreError,
    StoredToken, SystemClock, TokenKey, TokenStore,
};
use biped_memory::MemoryStore;
use biped_testing::{
    TimeLimit,
    store::{
        Alternating, TestAccounts,
        conformance::{self, Check},
        fetches_once,
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    LosesAByte,
    KeepsTextOnly,
    MakesUpTokens,
    LooksAtMostOfTheKey,
    KeepsAMoment,
    KeepsForEver,
    KeepsTheFirst,
    KeepsTheLast,
    KeepsTheLastOfEquals,
    RoundsGenerations,
    PutsInTwoSteps,
    ForgetsNothing,
    HasNoTombstones,
    MovesTombstonesBack,
    ForgetsAll,
    ForgetsForGood,
    GrantsAlways,
    GrantsInTwoSteps,
    LeasesLapseEarly,
    HasOneLeaseForAll,
    LeasesNeverLapse,
    RenewsInNameOnly,
    RenewsForAnybody,
    RenewsWhatIsOver,
    IgnoresReleases,
    LetsAnybodyRelease,
    PutsKeepTheLease,
    AnyPutEndsTheLease,
    NumbersByNothing,
    NumbersByItsClockAlone,
    NumbersByWhatItHolds,
    IgnoresFailures,
    CoolsDownForEver,
    CoolsDownDespiteTokens,
    LetsAnybodyFail,
    PutsWakeNobody,
    PutsWakeWithTheLeaseOnly,
    ReleasesWakeNobody,
    LooksOnlyWhenWoken,
    HasANewKeyEachTime,
    KeepsLonger,
    ShowsOtherGenerations,
    HidesThatItKeptAnother,
    OldPutsKeepTheLease,
    SaysNothingOfTheTime,
    TellsNoReason,
    GivesEachTheSameId,
    NumbersByPutsAlone,
    HasTombstonesForAMoment,
    TombstonesEndWithTheLast,
    HasNoIdentityKey,
    FailsToGet,
    // No flaws: a store may do so.
    CountsSecondsOfLeases,
    TakesItsTimeForLeases,
}

/// Every check, and what it is there to find.
const FINDS: &[(&str, Flaw)] = &[
    ("a_token_comes_back_as_it_was_put", Flaw::LosesAByte),
    ("any_bytes_are_kept", Flaw::KeepsTextOnly),
    ("an_unknown_key_is_a_miss", Flaw::MakesUpTokens),
    ("keys_are_apart", Flaw::LooksAtMostOfTheKey),
    ("a_token_stays_until_its_time_is_over", Flaw::KeepsAMoment),
    ("a_token_is_gone_when_its_time_is_over", Flaw::KeepsForEver),
    ("a_newer_token_replaces_an_older_one", Flaw::KeepsTheFirst),
    (
        "an_older_token_never_replaces_a_newer_one",
        Flaw::KeepsTheLast,
    ),
    (
        "the_same_generation_is_stored_once",
        Flaw::KeepsTheLastOfEquals,
    ),
    (
        "generations_are_told_apart_to_the_microsecond",
        Flaw::RoundsGenerations,
    ),
    ("the_newest_of_many_puts_stays", Flaw::PutsInTwoSteps),
    ("a_forgotten_token_is_gone", Flaw::ForgetsNothing),
    ("a_forgotten_token_never_returns", Flaw::HasNoTombstones),
    (
        "an_earlier_forget_takes_nothing_back",
        Flaw::MovesTombstonesBack,
    ),
    (
        "a_later_forget_cuts_none_short",
        Flaw::TombstonesEndWithTheLast,
    ),
    ("forgetting_spares_a_newer_token", Flaw::ForgetsAll),
    (
        "a_token_newer_than_the_forgotten_is_stored",
        Flaw::ForgetsForGood,
    ),
    ("its_identity_key_stays_the_same", Flaw::HasANewKeyEachTime),
    ("a_taken_lease_is_not_granted", Flaw::GrantsAlways),
    ("of_many_claims_one_is_granted", Flaw::GrantsInTwoSteps),
    ("no_two_leases_are_valid_at_once", Flaw::LeasesLapseEarly),
    ("leases_of_keys_are_apart", Flaw::HasOneLeaseForAll),
    ("a_lapsed_lease_is_granted_anew", Flaw::LeasesNeverLapse),
    ("its_holder_renews_a_lease", Flaw::RenewsInNameOnly),
    ("a_lost_lease_is_not_renewed", Flaw::RenewsForAnybody),
    ("a_lapsed_lease_is_not_renewed", Flaw::RenewsWhatIsOver),
    ("a_released_lease_is_not_renewed", Flaw::RenewsWhatIsOver),
    ("a_release_gives_the_lease_back", Flaw::IgnoresReleases),
    ("only_its_holder_releases_a_lease", Flaw::LetsAnybodyRelease),
    ("a_put_gives_the_lease_back", Flaw::PutsKeepTheLease),
    (
        "a_put_with_another_lease_leaves_the_lease_alone",
        Flaw::AnyPutEndsTheLease,
    ),
    ("lease_generations_increase", Flaw::NumbersByNothing),
    (
        "lease_generations_are_ahead_of_what_was_put_or_forgotten",
        Flaw::NumbersByItsClockAlone,
    ),
    (
        "lease_generations_never_go_back_when_all_else_is_over",
        Flaw::NumbersByWhatItHolds,
    ),
    ("a_failure_cools_the_key_down", Flaw::IgnoresFailures),
    ("a_cool_down_passes", Flaw::CoolsDownForEver),
    ("a_token_ends_a_cool_down", Flaw::CoolsDownDespiteTokens),
    ("only_its_holder_leaves_a_failure", Flaw::LetsAnybodyFail),
    ("a_put_wakes_those_who_wait", Flaw::PutsWakeNobody),
    (
        "a_put_of_another_holder_wakes_those_who_wait",
        Flaw::PutsWakeWithTheLeaseOnly,
    ),
    ("a_release_wakes_those_who_wait", Flaw::ReleasesWakeNobody),
    (
        "a_change_before_the_wait_is_noticed",
        Flaw::LooksOnlyWhenWoken,
    ),
    (
        "a_release_before_the_wait_is_noticed",
        Flaw::LooksOnlyWhenWoken,
    ),
];

/// What else is in the promise of a check.
const FINDS_TOO: &[(&str, Flaw)] = &[
    ("a_token_comes_back_as_it_was_put", Flaw::KeepsLonger),
    (
        "a_token_comes_back_as_it_was_put",
        Flaw::ShowsOtherGenerations,
    ),
    (
        "an_older_token_never_replaces_a_newer_one",
        Flaw::HidesThatItKeptAnother,
    ),
    (
        "the_same_generation_is_stored_once",
        Flaw::HidesThatItKeptAnother,
    ),
    (
        "a_forgotten_token_never_returns",
        Flaw::HidesThatItKeptAnother,
    ),
    (
        "an_earlier_forget_takes_nothing_back",
        Flaw::HasTombstonesForAMoment,
    ),
    ("a_put_gives_the_lease_back", Flaw::OldPutsKeepTheLease),
    ("a_taken_lease_is_not_granted", Flaw::SaysNothingOfTheTime),
    ("a_failure_cools_the_key_down", Flaw::SaysNothingOfTheTime),
    ("a_failure_cools_the_key_down", Flaw::TellsNoReason),
    ("a_lapsed_lease_is_granted_anew", Flaw::GivesEachTheSameId),
    (
        "lease_generations_are_ahead_of_what_was_put_or_forgotten",
        Flaw::NumbersByPutsAlone,
    ),
    (
        "lease_generations_never_go_back_when_all_else_is_over",
        Flaw::NumbersByPutsAlone,
    ),
];

fn all() -> Vec<Check> {
    [
        conformance::STORAGE,
        conformance::LEASES,
        conformance::WAKING,
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_a_flaw_passes() {
    let store: Arc<dyn TokenStore> = Arc::new(Flawed::new(Flaw::None));
    assert_eq!(conformance::failures(&store, &all()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_counts_in_seconds_or_is_slow_passes() {
    let _limit = TimeLimit::start();
    let seconds: Arc<dyn TokenStore> = Arc::new(Flawed::new(Flaw::CountsSecondsOfLeases));
    let failures = conformance::failures(&seconds, conformance::LEASES).await;
    assert_eq!(failures, [""; 0]);
    let named = |check: &&Check| check.name == "its_holder_renews_a_lease";
    let check = conformance::LEASES.iter().find(named).unwrap();
    let slow = Arc::new(Flawed::new(Flaw::TakesItsTimeForLeases));
    assert_eq!(check.run(slow).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_check_finds_its_flaw() {
    let checks = all();
    let names: Vec<_> = checks.iter().map(|check| check.name).collect();
    let found: Vec<_> = FINDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, found, "a flaw for each check, in their order");
    let named = |name: &str| *checks.iter().find(|check| check.name == name).unwrap();
    let running: Vec<_> = FINDS
        .iter()
        .chain(FINDS_TOO)
        .map(|(name, flaw)| {
            let check = named(name);
            let store = Arc::new(Flawed::new(*flaw));
            (
                check,
                *flaw,
                tokio::spawn(async move { check.run(store).await }),
            )
        })
        .collect();
    for (check, flaw, outcome) in running {
        let outcome = outcome.await.unwrap();
        assert!(outcome.is_err(), "{check:?} does not find {flaw:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_hides_its_failure_is_found() {
    let is_found = async |store: Arc<dyn TokenStore>| {
        let check = conformance::a_store_that_is_down_says_so_in_time(store);
        tokio::spawn(check).await.is_err_and(|end| end.is_panic())
    };
    assert!(is_found(Arc::new(Flawed::new(Flaw::None))).await);
    let down = |leases, key| Arc::new(Down { leases, key });
    for key in [Asked::Fails, Asked::IsKnown] {
        for leases in [None, Some(Asked::Fails)] {
            assert!(!is_found(down(leases, key)).await, "{leases:?} {key:?}");
        }
    }
    assert!(is_found(down(Some(Asked::IsKnown), Asked::Fails)).await);
    for (leases, key) in [
        (Some(Asked::Hangs), Asked::Fails),
        (None, Asked::Hangs),
        (Some(Asked::Fails), Asked::Hangs),
    ] {
        assert!(is_found(down(leases, key)).await, "{leases:?} {key:?}");
    }
}

/// What an operation of a store does whose backend is down.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Fails,
    /// It returns what it need not ask for, or makes it up.
    IsKnown,
    Hangs,
}

impl Asked {
    async fn outcome<T>(self, known: T) -> Result<T, StoreError> {
        match self {
            Self::Fails => Err(StoreError::new("the backend is down")),
            Self::IsKnown => Ok(known),
            Self::Hangs => std::future::pending().await,
        }
    }
}

/// A store whose backend is down, with leases or without.
#[derive(Debug)]
struct Down {
    leases: Option<Asked>,
    key: Asked,
}

#[async_trait]
impl TokenStore for Down {
    async fn get(&self, _: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        Asked::Fails.outcome(None).await
    }

    async fn put(
        &self,
        _: &TokenKey,
        _: &StoredToken,
        _: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        Asked::Fails.outcome(true).await
    }

    async fn forget(&self, _: &TokenKey, _: Generation, _: Duration) -> Result<(), StoreError> {
        Asked::Fails.outcome(()).await
    }

    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        let Some(leases) = self.leases else {
            return WithDefaults.lease(key, ttl, renew).await;
        };
        let made_up = Lease {
            id: LeaseId(7),
            generation: Generation(7),
        };
        leases.outcome(Claim::Granted(made_up)).await
    }

    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        match self.leases {
            None => WithDefaults.release(key, lease, failed).await,
            Some(leases) => leases.outcome(()).await,
        }
    }

    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        self.key.outcome(None).await
    }
}

/// What a store does without leases of its own.
#[derive(Debug)]
struct WithDefaults;

#[async_trait]
impl TokenStore for WithDefaults {
    async fn get(&self, _: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        Ok(None)
    }

    async fn put(
        &self,
        _: &TokenKey,
        _: &StoredToken,
        _: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn forget(&self, _: &TokenKey, _: Generation, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_fetches_once_because_of_its_leases() {
    let _limit = TimeLimit::start();
    for (flaw, passes) in [(Flaw::None, true), (Flaw::GrantsAlways, false)] {
        let store = Arc::new(Flawed::new(flaw));
        let process = || -> Arc<dyn TokenStore> { store.clone() };
        let fleet = tokio::spawn(fetches_once((0..8).map(|_| process()).collect()));
        assert_eq!(fleet.await.is_ok(), passes, "{flaw:?}");
    }
}

/// Without an identity key, or without its store, a process never asks for a lease: the check says so, and
/// does not wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_whose_stores_share_nothing_is_told_what_to_do() {
    let _limit = TimeLimit::start();
    for (flaw, what) in [
        (Flaw::HasNoIdentityKey, "identity_key"),
        (Flaw::HasANewKeyEachTime, "identity_key"),
        (Flaw::FailsToGet, "get"),
    ] {
        let store = Arc::new(Flawed::new(flaw));
        let process = || -> Arc<dyn TokenStore> { store.clone() };
        let fleet = tokio::spawn(fetches_once((0..2).map(|_| process()).collect()));
        let panic = fleet.await.unwrap_err().into_panic();
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.unwrap();
        assert!(text.contains(what), "{flaw:?}: {text}");
    }
}

/// A store like any other, but for one flaw.
#[derive(Debug)]
struct Flawed {
    flaw: Flaw,
    entries: Mutex<HashMap<TokenKey, Entry>>,
    arrivals: tokio::sync::Notify,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    token: Option<(StoredToken, Duration)>,
    forgotten: Generation,
    forgotten_at: Duration,
    forgotten_until: Duration,
    lease: Option<(Lease, Duration)>,
    failure: Option<(Vec<u8>, Duration)>,
    newest: Generation,
}

impl Flawed {
    fn new(flaw: Flaw) -> Self {
        Self {
            flaw,
            entries: Mutex::default(),
            arrivals: tokio::sync::Notify::new(),
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn entry<T>(&self, key: &TokenKey, act: impl FnOnce(&mut Entry, Duration) -> T) -> T {
        let now = SystemClock.now().mono;
        let mut key = *key.as_bytes();
        if self.has(Flaw::LooksAtMostOfTheKey) {
            key[31] = 0;
        }
        let mut entries = self.entries.lock().unwrap();
        let entry = entries.entry(TokenKey::from_bytes(key)).or_default();
        let tokens_go = !self.has(Flaw::KeepsForEver);
        let leases_lapse = !self.has(Flaw::LeasesNeverLapse);
        let failures_pass = !self.has(Flaw::CoolsDownForEver);
        entry.token.take_if(|(_, end)| tokens_go && *end <= now);
        entry.lease.take_if(|(_, end)| leases_lapse && *end <= now);
        let moment = Duration::from_millis(100);
        if self.has(Flaw::HasTombstonesForAMoment) && entry.forgotten_at + moment <= now {
            entry.forgotten = Generation(0);
        }
        if self.has(Flaw::TombstonesEndWithTheLast) && entry.forgotten_until <= now {
            entry.forgotten = Generation(0);
        }
        entry
            .failure
            .take_if(|(_, end)| failures_pass && *end <= now);
        act(entry, now)
    }

    /// What may come between two steps.
    async fn others(&self) {
        SystemClock.sleep(Duration::from_millis(5)).await;
    }
}

#[async_trait]
impl TokenStore for Flawed {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        if self.has(Flaw::FailsToGet) {
            return Err(StoreError::new("as planted"));
        }
        let mut got = self.entry(key, |entry, now| {
            let (token, end) = entry.token.as_ref()?;
            let mut token = token.clone();
            token.keep = token.keep.min(end.saturating_sub(now));
            if self.has(Flaw::KeepsLonger) {
                token.keep += Duration::from_secs(60);
            }
            if self.has(Flaw::ShowsOtherGenerations) {
                token.generation.0 += 1;
            }
            Some(token)
        });
        if let Some(token) = &mut got {
            if self.has(Flaw::LosesAByte) {
                token.bytes.pop();
            }
            if self.has(Flaw::KeepsTextOnly) {
                token.bytes = String::from_utf8_lossy(&token.bytes)
                    .into_owned()
                    .into_bytes();
            }
        }
        if got.is_none() && self.has(Flaw::MakesUpTokens) {
            got = Some(StoredToken {
                generation: Generation(1),
                keep: Duration::from_secs(1),
                bytes: Vec::new(),
            });
        }
        Ok(got)
    }

    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        let mut token = token.clone();
        if self.has(Flaw::RoundsGenerations) {
            token.generation.0 -= token.generation.0 % 1000;
        }
        if self.has(Flaw::KeepsAMoment) {
            token.keep = token.keep.min(Duration::from_millis(100));
        }
        let wanted = |entry: &Entry| {
            let (held, forgotten) = (entry.token.as_ref(), entry.forgotten);
            let held = held.map_or(Generation(0), |(token, _)| token.generation);
            match self.flaw {
                Flaw::KeepsTheFirst if held != Generation(0) => false,
                Flaw::KeepsTheLast => token.generation > forgotten,
                Flaw::KeepsTheLastOfEquals => token.generation >= held.max(forgotten),
                _ => token.generation > held.max(forgotten),
            }
        };
        let early = self
            .has(Flaw::PutsInTwoSteps)
            .then(|| self.entry(key, |e, _| wanted(e)));
        if early.is_some() {
            self.others().await;
        }
        let (stored, is_free) = self.entry(key, |entry, now| {
            let is_kept = early.unwrap_or_else(|| wanted(entry));
            let gives_back = !self.has(Flaw::PutsKeepTheLease)
                && (is_kept || !self.has(Flaw::OldPutsKeepTheLease));
            let anybody = self.has(Flaw::AnyPutEndsTheLease);
            if let Some(given) = lease.filter(|_| gives_back) {
                entry
                    .lease
                    .take_if(|(held, _)| anybody || held.id == given.id);
            }
            let is_free = entry.lease.is_none();
            if !is_kept {
                return (self.has(Flaw::HidesThatItKeptAnother), is_free);
            }
            entry.newest = entry.newest.max(token.generation);
            if !self.has(Flaw::CoolsDownDespiteTokens) {
                entry.failure = None;
            }
            entry.token = Some((token.clone(), now + token.keep));
            (true, is_free)
        });
        let wakes = is_free || !self.has(Flaw::PutsWakeWithTheLeaseOnly);
        if wakes && !self.has(Flaw::PutsWakeNobody) {
            self.arrivals.notify_waiters();
        }
        Ok(stored)
    }

    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        if self.has(Flaw::ForgetsNothing) {
            return Ok(());
        }
        self.entry(key, |entry, now| {
            entry.forgotten_at = now;
            if entry.forgotten <= through {
                entry.forgotten_until = now + keep;
            }
            if !self.has(Flaw::NumbersByPutsAlone) {
                entry.newest = entry.newest.max(through);
            }
            entry.forgotten = match self.flaw {
                Flaw::HasNoTombstones => Generation(0),
                Flaw::MovesTombstonesBack => through,
                Flaw::ForgetsForGood => Generation(u64::MAX),
                _ => entry.forgotten.max(through),
            };
            let all = self.has(Flaw::ForgetsAll);
            entry
                .token
                .take_if(|(token, _)| all || token.generation <= through);
        });
        self.arrivals.notify_waiters();
        Ok(())
    }

    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        let one = TokenKey::from_bytes([0; 32]);
        let key = if self.has(Flaw::HasOneLeaseForAll) {
            &one
        } else {
            key
        };
        if self.has(Flaw::TakesItsTimeForLeases) {
            SystemClock.sleep(Duration::from_millis(250)).await;
        }
        let is_free = |entry: &Entry| entry.lease.is_none() || self.has(Flaw::GrantsAlways);
        let early = self
            .has(Flaw::GrantsInTwoSteps)
            .then(|| self.entry(key, |e, _| is_free(e)));
        if early.is_some() {
            self.others().await;
        }
        Ok(self.entry(key, |entry, now| {
            let end = match self.flaw {
                Flaw::LeasesLapseEarly => now + ttl / 4,
                Flaw::CountsSecondsOfLeases if ttl < Duration::from_secs(60) => {
                    Duration::from_secs((now + ttl).as_secs() + 1)
                }
                _ => now + ttl,
            };
            if let Some(mine) = renew {
                let anybody = self.has(Flaw::RenewsForAnybody);
                return match &mut entry.lease {
                    Some((held, until)) if held.id == mine.id || anybody => {
                        if !self.has(Flaw::RenewsInNameOnly) {
                            *until = end;
                        }
                        Claim::Granted(*held)
                    }
                    Some((_, until)) => Claim::Taken {
                        left: until.saturating_sub(now),
                    },
                    None if self.has(Flaw::RenewsWhatIsOver) => {
                        entry.lease = Some((*mine, end));
                        Claim::Granted(*mine)
                    }
                    None => Claim::Taken {
                        left: Duration::ZERO,
                    },
                };
            }
            let left = |until: Duration| match self.has(Flaw::SaysNothingOfTheTime) {
                true => Duration::ZERO,
                false => until.saturating_sub(now),
            };
            if !early.unwrap_or_else(|| is_free(entry)) {
                let until = entry.lease.as_ref().map_or(now, |(_, until)| *until);
                return Claim::Taken { left: left(until) };
            }
            if let Some((why, until)) = &entry.failure {
                let why = match self.has(Flaw::TellsNoReason) {
                    true => Vec::new(),
                    false => why.clone(),
                };
                return Claim::CoolingDown {
                    left: left(*until),
                    why,
                };
            }
            let clock = SystemClock.now().wall;
            let generation = match self.flaw {
                Flaw::NumbersByNothing => Generation(7),
                Flaw::NumbersByItsClockAlone => Generation(0).next(clock),
                Flaw::NumbersByWhatItHolds => {
                    let held = entry.token.as_ref().map(|(token, _)| token.generation);
                    held.unwrap_or(Generation(0)).next(clock)
                }
                _ => entry.newest.next(clock),
            };
            entry.newest = generation;
            let lease = Lease {
                id: match self.has(Flaw::GivesEachTheSameId) {
                    true => LeaseId(7),
                    false => LeaseId(fastrand::u128(..)),
                },
                generation,
            };
            entry.lease = Some((lease, end));
            Claim::Granted(lease)
        }))
    }

    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        self.entry(key, |entry, now| {
            let mine = |(held, _): &mut (Lease, Duration)| held.id == lease.id;
            let is_mine = entry.lease.as_mut().is_some_and(mine);
            if (is_mine || self.has(Flaw::LetsAnybodyRelease)) && !self.has(Flaw::IgnoresReleases) {
                entry.lease = None;
            }
            if (is_mine || self.has(Flaw::LetsAnybodyFail)) && !self.has(Flaw::IgnoresFailures) {
                let failure = failed.map(|failed| (failed.why, now + failed.cool_down));
                entry.failure = failure.or(entry.failure.take());
            }
        });
        if !self.has(Flaw::ReleasesWakeNobody) {
            self.arrivals.notify_waiters();
        }
        Ok(())
    }

    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        if self.has(Flaw::LooksOnlyWhenWoken) {
            self.arrivals.notified().await;
        }
        loop {
            let mut arrival = std::pin::pin!(self.arrivals.notified());
            arrival.as_mut().enable();
            let moved = self.entry(key, |entry, _| {
                let token = entry.token.as_ref();
                token.is_some_and(|(token, _)| token.generation > after) || entry.lease.is_none()
            });
            if moved {
                return Ok(());
            }
            arrival.await;
        }
    }

    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        if self.has(Flaw::HasANewKeyEachTime) {
            return IdentityKey::random().map(Some);
        }
        if self.has(Flaw::HasNoIdentityKey) {
            return Ok(None);
        }
        Ok(Some(IdentityKey::from_bytes([7; 32])))
    }
}

/// A store that others hand out: several handles to it say what it says.
#[tokio::test]
async fn handles_in_turn_say_what_their_store_says() {
    #[derive(Debug)]
    struct Claims(MemoryStore, TestAccounts);

    #[async_trait]
    impl TokenStore for Claims {
        async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
            self.0.get(key).await
        }
        async fn put(
            &self,
            key: &TokenKey,
            token: &StoredToken,
            lease: Option<&Lease>,
        ) -> Result<bool, StoreError> {
            self.0.put(key, token, lease).await
        }
        async fn forget(
            &self,
            key: &TokenKey,
            through: Generation,
            keep: Duration,
        ) -> Result<(), StoreError> {
            self.0.forget(key, through, keep).await
        }
        fn rest(&self) -> Duration {
            Duration::from_secs(1)
        }
        fn is_sealed(&self) -> bool {
            true
        }
        fn durable(&self) -> Option<Arc<dyn DurableStore>> {
            self.1.durable()
        }
    }

    let claims = || {
        Arc::new(Claims(
            MemoryStore::new(),
            TestAccounts::new(Arc::new(SystemClock)),
        ))
    };
    let store = Alternating::new(claims(), vec![claims()]);
    assert!(store.is_sealed());
    assert_eq!(store.rest(), Duration::from_secs(1));
    assert!(store.durable().is_some());

    // One handle that tells less is enough.
    let plain = Arc::new(MemoryStore::new());
    let mixed = Alternating::new(plain.clone(), vec![claims()]);
    assert!(!mixed.is_sealed());
    assert_eq!(mixed.rest(), plain.rest());
    assert!(Alternating::new(plain, Vec::new()).durable().is_none());
}
