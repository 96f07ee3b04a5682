//! Tokens on disk, as another process, an operator and an attacker find them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use biped_core::{
    AccountKey, Claim, Clock, Generation, Now, Revision, StoredToken, TokenKey, TokenRequest,
    TokenStore,
};
use biped_engine::TokenManager;
use biped_file::FileStore;
use biped_testing::{
    ManualClock, Reply, ScriptedHttp, TestProvider,
    store::{Alternating, conformance, durable},
};

const KEY: TokenKey = TokenKey::from_bytes([7; 32]);
const MINUTE: Duration = Duration::from_secs(60);

fn token(generation: u64) -> StoredToken {
    StoredToken {
        generation: Generation(generation),
        keep: MINUTE,
        bytes: b"the-token".to_vec(),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(directory).unwrap();
    let paths = all.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_keeps_every_promise() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(FileStore::new(directory.path().join("tokens")));
    conformance::run(store.clone(), conformance::STORAGE).await;
    conformance::run(store.clone(), conformance::LEASES).await;
    conformance::run(store, conformance::WAKING).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_to_a_directory_keep_every_promise_together() {
    let directory = tempfile::tempdir().unwrap();
    let handle = || Arc::new(FileStore::new(directory.path().join("tokens")));
    let store = Arc::new(Alternating::new(handle(), vec![handle()]));
    conformance::run(store.clone(), conformance::STORAGE).await;
    conformance::run(store.clone(), conformance::LEASES).await;
    conformance::run(store, conformance::WAKING).await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_says_so_in_time() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let store = Arc::new(FileStore::new(directory.path().join("file/tokens")));
    conformance::a_store_that_is_down_says_so_in_time(store).await;
}

#[tokio::test]
async fn a_token_outlives_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let first = FileStore::new(directory.path());
    assert!(first.put(&KEY, &token(1), None).await.unwrap());
    drop(first);
    let second = FileStore::new(directory.path());
    assert_eq!(second.get(&KEY).await.unwrap().unwrap().bytes, b"the-token");
}

#[tokio::test]
async fn only_the_owner_can_read_what_is_stored() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("state/biped");
    let store = FileStore::new(&directory);
    store.lease(&KEY, MINUTE, None).await.unwrap();
    store.put(&KEY, &token(1), None).await.unwrap();
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&home.path().join("state")), 0o700);
    let all = files(&directory, "");
    assert_eq!(all.len(), 3, "the token, the lease and the lock");
    for file in all {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_directory_that_others_can_write_to_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for bad in [0o770, 0o707, 0o1777] {
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(bad)).unwrap();
        let store = FileStore::new(directory.path());
        let error = store
            .put(&KEY, &token(1), None)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&directory.path().display().to_string()),
            "{error}"
        );
        assert!(error.contains(&format!("{bad:04o}")), "{error}");
        assert!(files(directory.path(), "").is_empty());
        conformance::a_store_that_is_down_says_so_in_time(Arc::new(store)).await;
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o750)).unwrap();
    let store = FileStore::new(directory.path());
    assert!(store.put(&KEY, &token(1), None).await.unwrap());
}

#[tokio::test]
async fn a_directory_that_was_removed_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path().join("tokens"));
    for generation in 1..3 {
        let stored = store.put(&KEY, &token(generation), None).await;
        assert!(stored.unwrap());
        assert_eq!(mode(store.directory()), 0o700);
        let found = store.get(&KEY).await.unwrap();
        assert_eq!(found.unwrap().generation, Generation(generation));
        fs::remove_dir_all(store.directory()).unwrap();
    }
    assert_eq!(store.get(&KEY).await.unwrap(), None);
}

#[tokio::test]
async fn a_directory_that_was_removed_takes_a_credential_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path().join("tokens"));
    let (accounts, key) = (store.durable().unwrap(), AccountKey::from_bytes([7; 32]));
    for _ in 0..2 {
        let lock = accounts.lock(&key).await.unwrap().expect("it is free");
        fs::remove_dir_all(store.directory()).unwrap();
        let swapped = accounts.swap(&key, Revision::NONE, b"next").await;
        assert!(swapped.unwrap());
        let entry = accounts.load(&key).await.unwrap().unwrap();
        assert_eq!(entry.bytes, b"next");
        lock.unlock().await;
        fs::remove_dir_all(store.directory()).unwrap();
    }
}

#[tokio::test]
async fn a_directory_that_is_opened_to_others_while_it_is_used_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path().join("tokens"));
    store.put(&KEY, &token(1), None).await.unwrap();
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(store.directory(), open).unwrap();
    let error = store.put(&KEY, &token(2), None).await.unwrap_err();
    assert!(error.to_string().contains("0777"), "{error}");
}

#[tokio::test]
async fn what_is_no_entry_is_set_aside_and_the_key_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    let place = directory.path().join(format!("{KEY}.token"));
    let elsewhere = directory.path().join("elsewhere");
    fs::write(&elsewhere, "not ours").unwrap();

    store.put(&KEY, &token(1), None).await.unwrap();
    let good = fs::read(&place).unwrap();
    let cut = good[..good.len() - 1].to_vec();
    let mut round: u32 = 0;
    let mut is_set_aside = async |make: &dyn Fn()| {
        let _ = fs::remove_file(&place);
        make();
        assert_eq!(store.get(&KEY).await.unwrap(), None);
        round += 1;
        assert!(!place.exists());
        assert!(store.put(&KEY, &token(2), None).await.unwrap());
        assert!(store.get(&KEY).await.unwrap().is_some());
        for aside in files(directory.path(), ".aside") {
            fs::remove_file(aside).unwrap();
            round -= 1;
        }
        assert_eq!(round, 0, "nothing was set aside");
    };
    let write = |content: &[u8], bits: u32| {
        fs::write(&place, content).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(bits)).unwrap();
    };
    is_set_aside(&|| write(b"", 0o600)).await;
    is_set_aside(&|| write(b"{}\n", 0o600)).await;
    is_set_aside(&|| write(&cut, 0o600)).await;
    is_set_aside(&|| write(&good, 0o666)).await;
    is_set_aside(&|| write(&good, 0o640)).await;
    is_set_aside(&|| symlink(&elsewhere, &place).unwrap()).await;
    assert_eq!(fs::read(&elsewhere).unwrap(), b"not ours");
}

#[tokio::test]
async fn what_was_set_aside_is_its_owners_alone_and_is_forgotten_with_the_token() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    store.put(&KEY, &token(1), None).await.unwrap();
    let place = directory.path().join(format!("{KEY}.token"));
    fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(store.get(&KEY).await.unwrap(), None);
    let aside = files(directory.path(), ".aside");
    let [aside] = &aside[..] else {
        panic!("{aside:?}");
    };
    let mode = fs::metadata(aside).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    store.forget(&KEY, Generation(2), MINUTE).await.unwrap();
    assert!(!aside.exists());
}

#[tokio::test]
async fn an_entry_of_another_version_is_a_miss_and_is_not_destroyed() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    store.put(&KEY, &token(1), None).await.unwrap();
    let place = directory.path().join(format!("{KEY}.token"));
    let theirs = b"{\"biped\":2,\"and\":\"more\"}\n";
    fs::write(&place, theirs).unwrap();
    assert_eq!(store.get(&KEY).await.unwrap(), None);
    let aside = files(directory.path(), ".aside");
    assert_eq!(fs::read(&aside[0]).unwrap(), theirs);
    assert!(store.put(&KEY, &token(2), None).await.unwrap());
    assert_eq!(
        store.get(&KEY).await.unwrap().unwrap().generation,
        Generation(2)
    );

    // Where a later version will keep its own.
    let later = directory.path().join(format!("{KEY}.2.token"));
    fs::write(&later, theirs).unwrap();
    store.forget(&KEY, Generation(2), MINUTE).await.unwrap();
    store.sweep().await.unwrap();
    assert_eq!(fs::read(&later).unwrap(), theirs);
}

#[tokio::test]
async fn what_is_over_is_swept_and_what_is_not_ours_stays() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(std::time::SystemTime::UNIX_EPOCH.into()));
    clock.advance(Duration::from_secs(1_772_366_400));
    let store = FileStore::with_clock(directory.path(), clock.clone());
    let others = TokenKey::from_bytes([8; 32]);
    store.put(&KEY, &token(1), None).await.unwrap();
    let mut long = token(1);
    long.keep = Duration::from_secs(366 * 24 * 60 * 60);
    store.put(&others, &long, None).await.unwrap();
    for kept in ["notes.txt", "notes.token", "draft.tmp", "lease"] {
        fs::write(directory.path().join(kept), "mine").unwrap();
    }
    let key = KEY.to_string();
    for left in [
        format!("{key}.00.tmp"),
        format!("{key}.00.aside"),
        format!("{:032x}.lease", 5),
    ] {
        fs::write(directory.path().join(left), "ours").unwrap();
    }
    assert_eq!(store.sweep().await.unwrap(), 0);
    // The files' own times are the machine's: a year is later than now, whenever this runs.
    clock.advance(Duration::from_secs(365 * 24 * 60 * 60));
    assert_eq!(store.sweep().await.unwrap(), 4);
    assert!(store.get(&others).await.unwrap().is_some());
    assert_eq!(files(directory.path(), "notes.txt").len(), 1);
    assert_eq!(
        files(directory.path(), "").len(),
        6,
        "four of others, a token, the lock"
    );
}

/// Not by root, who reads everything: there is nothing to see then.
#[tokio::test]
async fn what_may_not_be_read_is_set_aside_too() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    let place = directory.path().join(format!("{KEY}.token"));
    fs::write(&place, "somebody else's").unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(store.get(&KEY).await.unwrap(), None);
    assert_eq!(files(directory.path(), ".aside").len(), 1);
    assert!(store.put(&KEY, &token(1), None).await.unwrap());
}

/// A directory in which nothing new can be written: the names of drafts are too long there, those of
/// entries aren't. Also a short name for it, under which all goes well.
#[cfg(target_os = "linux")]
fn without_room(home: &Path) -> (PathBuf, PathBuf) {
    const LONGEST: usize = 4096;
    let mut deep = home.join("deep");
    let target = LONGEST - "/".len() - KEY.to_string().len() - ".token".len() - 10;
    while deep.as_os_str().len() < target {
        let room = target - deep.as_os_str().len() - 1;
        deep.push("d".repeat(if room > 210 { 200 } else { room }));
    }
    fs::create_dir_all(&deep).unwrap();
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o700)).unwrap();
    let short = home.join("short");
    symlink(&deep, &short).unwrap();
    (deep, short)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_room_nobody_gets_a_lease_and_none_is_left_behind() {
    let home = tempfile::tempdir().unwrap();
    let (deep, short) = without_room(home.path());
    let store = FileStore::new(&deep);
    store.lease(&KEY, MINUTE, None).await.unwrap_err();
    assert!(files(&short, ".lease").is_empty());
    assert!(files(&short, ".tmp").is_empty());
    let claim = FileStore::new(&short).lease(&KEY, MINUTE, None).await;
    assert!(matches!(claim, Ok(Claim::Granted(_))));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_room_a_token_is_forgotten_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let (deep, short) = without_room(home.path());
    let (full, well) = (FileStore::new(&deep), FileStore::new(&short));
    well.put(&KEY, &token(5), None).await.unwrap();
    full.put(&KEY, &token(6), None).await.unwrap_err();
    let left = well.get(&KEY).await.unwrap().unwrap();
    assert_eq!(left.generation, Generation(5));
    full.forget(&KEY, Generation(4), MINUTE).await.unwrap_err();
    assert!(well.get(&KEY).await.unwrap().is_some());
    full.forget(&KEY, Generation(5), MINUTE).await.unwrap_err();
    assert_eq!(well.get(&KEY).await.unwrap(), None);
}

/// A command stores one token and ends.
#[tokio::test]
async fn the_first_token_of_a_process_sweeps_before_its_put_is_done() {
    let directory = tempfile::tempdir().unwrap();
    // Time stands still while it sweeps: however busy the machine is, it gets to the end.
    let clock = Arc::new(ManualClock::new());
    let process = || FileStore::with_clock(directory.path(), clock.clone());
    for seed in 0..20 {
        let key = TokenKey::from_bytes([seed; 32]);
        process().put(&key, &token(1), None).await.unwrap();
    }
    clock.advance(2 * MINUTE);
    let key = TokenKey::from_bytes([99; 32]);
    process().put(&key, &token(1), None).await.unwrap();
    assert_eq!(files(directory.path(), ".token").len(), 1);
}

/// A clock on which everything takes its time.
#[derive(Debug)]
struct Slow(ManualClock);

impl Clock for Slow {
    fn now(&self) -> Now {
        self.0.advance(Duration::from_millis(2));
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.advance(duration);
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn what_one_put_leaves_to_sweep_the_next_ones_do() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(Slow(ManualClock::new()));
    let store = FileStore::with_clock(directory.path(), clock.clone());
    for seed in 0..60 {
        let key = TokenKey::from_bytes([seed; 32]);
        store.put(&key, &token(1), None).await.unwrap();
    }
    clock.0.advance(Duration::from_secs(60 * 60));
    let mut left = Vec::new();
    for seed in 100..105 {
        let key = TokenKey::from_bytes([seed; 32]);
        store.put(&key, &token(1), None).await.unwrap();
        clock.0.advance(Duration::from_secs(2));
        left.push(files(directory.path(), ".token").len());
    }
    assert!(left[0] > 30, "one put does all: {left:?}");
    assert!(left[4] < left[0], "nobody goes on: {left:?}");
}

#[tokio::test]
async fn what_others_are_still_at_is_not_swept() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    store.put(&KEY, &token(1), None).await.unwrap();
    let names = [
        format!("{KEY}.00.tmp"),
        format!("{KEY}.00.aside"),
        format!("{:032x}.lease", 5),
    ];
    for name in &names {
        let file = fs::File::create(directory.path().join(name)).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - MINUTE / 2).unwrap();
    }
    assert_eq!(store.sweep().await.unwrap(), 0);
    assert!(
        names
            .iter()
            .all(|name| directory.path().join(name).exists())
    );
}

#[tokio::test]
async fn generations_never_go_back_even_when_nothing_else_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new());
    let store = FileStore::with_clock(directory.path(), clock.clone());
    let ahead = Generation(0).next(clock.now().wall.after(60 * MINUTE));
    let mut early = token(1);
    early.generation = ahead;
    let (put, forgotten) = (KEY, TokenKey::from_bytes([8; 32]));
    store.put(&put, &early, None).await.unwrap();
    store.forget(&forgotten, ahead, MINUTE).await.unwrap();
    clock.advance(2 * MINUTE);
    store.sweep().await.unwrap();
    for key in [put, forgotten] {
        let Claim::Granted(lease) = store.lease(&key, MINUTE, None).await.unwrap() else {
            panic!("nobody has it");
        };
        assert!(lease.generation > ahead);
    }
}

#[tokio::test]
async fn a_process_that_dies_gives_its_lease_back_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let dying = FileStore::new(directory.path());
    let living = FileStore::new(directory.path());
    dying.lease(&KEY, MINUTE, None).await.unwrap();
    let claim = living.lease(&KEY, MINUTE, None).await.unwrap();
    assert!(matches!(claim, Claim::Taken { .. }));
    // The system closes what a process had open; so does this.
    drop(dying);
    let claim = living.lease(&KEY, MINUTE, None).await.unwrap();
    assert!(matches!(claim, Claim::Granted(_)));
}

#[tokio::test]
async fn somebody_who_hangs_with_the_lock_costs_an_error_not_a_hang() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(Slow(ManualClock::new()));
    let store = FileStore::with_clock(directory.path(), clock);
    store.put(&KEY, &token(1), None).await.unwrap();
    let lock = fs::File::open(directory.path().join("lock")).unwrap();
    fs4::FileExt::lock(&lock).unwrap();
    assert!(
        store.get(&KEY).await.unwrap().is_some(),
        "reading takes no lock"
    );
    assert!(store.put(&KEY, &token(2), None).await.is_err());
    fs4::FileExt::unlock(&lock).unwrap();
    assert!(store.put(&KEY, &token(2), None).await.unwrap());
}

#[tokio::test]
async fn a_lock_that_others_hold_for_a_while_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new());
    let store = FileStore::with_clock(directory.path(), clock.clone());
    store.put(&KEY, &token(1), None).await.unwrap();
    let lock = fs::File::open(directory.path().join("lock")).unwrap();
    fs4::FileExt::lock(&lock).unwrap();
    let put = tokio::spawn(async move { store.put(&KEY, &token(2), None).await });
    // More than a second, as a machine that is busy with other things may need.
    for _ in 0..300 {
        while clock.next_wake().is_none() && !put.is_finished() {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_millis(5));
    }
    fs4::FileExt::unlock(&lock).unwrap();
    while !put.is_finished() {
        // Time passes while it sleeps, and not while it looks.
        if clock.next_wake().is_some() {
            clock.advance(Duration::from_millis(5));
        }
        tokio::task::yield_now().await;
    }
    assert!(put.await.unwrap().unwrap());
}

#[test]
fn the_state_directory_is_where_the_platform_says() {
    let store = FileStore::in_state_directory().unwrap();
    assert!(store.directory().ends_with("biped"));
}

fn identity_file(directory: &Path) -> PathBuf {
    directory.join("identity.key")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_has_one_key_whoever_asks_first() {
    let directory = tempfile::tempdir().unwrap();
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let store = FileStore::new(directory.path());
            tokio::spawn(async move { store.identity_key().await.unwrap().unwrap() })
        })
        .collect();
    let mut keys = Vec::new();
    for asked in asking {
        keys.push(asked.await.unwrap());
    }
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(mode(&identity_file(directory.path())), 0o600);
    let stored = fs::read(identity_file(directory.path())).unwrap();
    assert_eq!(stored, keys[0].as_bytes());
    assert!(files(directory.path(), ".tmp").is_empty());
    let elsewhere = tempfile::tempdir().unwrap();
    let other = FileStore::new(elsewhere.path()).identity_key().await;
    assert_ne!(other.unwrap().unwrap(), keys[0]);
}

#[tokio::test]
async fn a_manager_that_is_made_makes_no_directory() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("tokens");
    let store = Arc::new(FileStore::new(&directory));
    let http = Arc::new(ScriptedHttp::new());
    http.push(Reply::token("t-1", 1000));
    let manager = TokenManager::builder(http).store(store).build();
    let source = manager.source(Arc::new(TestProvider::default()), TokenRequest::new());
    assert!(!directory.exists());
    source.token().await.unwrap();
    manager.drain().await;
    assert!(identity_file(&directory).exists());
    assert_eq!(files(&directory, ".token").len(), 1);
}

#[tokio::test]
async fn the_key_outlives_what_is_forgotten_and_swept() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new());
    let store = FileStore::with_clock(directory.path(), clock.clone());
    let key = store.identity_key().await.unwrap();
    store.put(&KEY, &token(1), None).await.unwrap();
    store.forget(&KEY, Generation(1), MINUTE).await.unwrap();
    clock.advance(MINUTE * 60 * 24 * 365);
    store.sweep().await.unwrap();
    assert_eq!(store.identity_key().await.unwrap(), key);
}

#[tokio::test]
async fn a_key_that_others_may_know_is_set_aside() {
    let secret = [7; 32];
    let spoilt: [fn(&Path); 5] = [
        |place| fs::set_permissions(place, fs::Permissions::from_mode(0o640)).unwrap(),
        |place| fs::set_permissions(place, fs::Permissions::from_mode(0o602)).unwrap(),
        |place| fs::write(place, [7; 31]).unwrap(),
        |place| fs::write(place, [7; 33]).unwrap(),
        |place| {
            let behind = place.with_file_name("behind");
            fs::rename(place, &behind).unwrap();
            symlink(behind, place).unwrap();
        },
    ];
    for spoil in spoilt {
        let directory = tempfile::tempdir().unwrap();
        let place = identity_file(directory.path());
        let store = FileStore::new(directory.path());
        store.identity_key().await.unwrap();
        fs::write(&place, secret).unwrap();
        spoil(&place);
        let key = store.identity_key().await.unwrap().unwrap();
        assert_ne!(*key.as_bytes(), secret);
        assert_eq!(files(directory.path(), ".aside").len(), 1);
        assert_eq!(mode(&place), 0o600);
        assert_eq!(store.identity_key().await.unwrap().unwrap(), key);
    }
}

#[tokio::test]
async fn what_is_left_of_the_making_of_a_key_is_swept() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new());
    let store = FileStore::with_clock(directory.path(), clock.clone());
    store.identity_key().await.unwrap();
    for name in ["identity.0000000000000001.tmp", "identity.1.aside"] {
        fs::write(directory.path().join(name), "left").unwrap();
    }
    clock.advance(MINUTE * 60 * 24 * 365 * 100);
    assert_eq!(store.sweep().await.unwrap(), 2);
    assert!(identity_file(directory.path()).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_keeps_credentials() {
    let directory = tempfile::tempdir().unwrap();
    let open = async || {
        let store = FileStore::new(directory.path().join("tokens"));
        store.durable().unwrap()
    };
    durable::run(open).await;
    let tokens = directory.path().join("tokens");
    assert!(files(&tokens, ".tmp").is_empty());
    for file in files(&tokens, "") {
        assert_eq!(mode(&file), 0o600);
    }
    // A sweep leaves them alone.
    let before = files(&tokens, ".account").len();
    FileStore::new(&tokens).sweep().await.unwrap();
    assert!(before > 0 && files(&tokens, ".account").len() == before);
}

/// A miss would let an account be seeded over a credential that is still good.
#[tokio::test]
async fn a_credential_that_was_spoilt_is_an_error_and_no_miss() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path()).durable().unwrap();
    let key = AccountKey::from_bytes([7; 32]);
    assert!(store.swap(&key, Revision::NONE, b"bytes").await.unwrap());
    let file = directory.path().join(format!("{key}.account"));
    let whole = fs::read(&file).unwrap();
    for spoilt in [&b""[..], b"biped account 2\n", &whole[..20]] {
        fs::write(&file, spoilt).unwrap();
        store.load(&key).await.unwrap_err();
        store.swap(&key, Revision::NONE, b"new").await.unwrap_err();
    }
    fs::write(&file, &whole).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    store.load(&key).await.unwrap_err();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(store.load(&key).await.unwrap().unwrap().bytes, b"bytes");
}
