//! What a sealed store returns, and with which keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use biped_core::{
    AccountKey, Claim, DurableStore, Generation, Lease, LeaseFailure, Revision, SecretRef,
    StoreError, StoredToken, TokenKey, TokenRequest, TokenStore, async_trait,
};
use biped_engine::TokenManager;
use biped_file::FileStore;
use biped_memory::MemoryStore;
use biped_sealed::{SealKey, SealedStore};
use biped_testing::{
    ManualClock, Reply, ScriptedHttp, TestProvider,
    store::{conformance, durable},
};

const KEY: TokenKey = TokenKey::from_bytes([7; 32]);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn key(seed: u8) -> SealKey {
    SealKey::from_bytes([seed; 32])
}

fn token(generation: u64) -> StoredToken {
    StoredToken {
        generation: Generation(generation),
        keep: HOUR,
        bytes: format!("the-token-{generation}").into_bytes(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_store_keeps_every_promise() {
    let store = SealedStore::new(Arc::new(MemoryStore::new()), key(1));
    let store = Arc::new(store.also_reading(key(2)));
    conformance::run(store.clone(), conformance::STORAGE).await;
    conformance::run(store.clone(), conformance::LEASES).await;
    conformance::run(store, conformance::WAKING).await;
}

#[tokio::test]
async fn what_is_below_holds_no_byte_of_the_token() {
    let directory = tempfile::tempdir().unwrap();
    let store = SealedStore::new(Arc::new(FileStore::new(directory.path())), key(1));
    let secret = "2YotnFZFEjr1zCsicMWpAA";
    let mut token = token(5);
    token.bytes = format!("{{\"token\":\"{secret}\"}}").into_bytes();
    store.put(&KEY, &token, None).await.unwrap();
    let other = TokenKey::from_bytes([8; 32]);
    let Claim::Granted(lease) = store.lease(&other, HOUR, None).await.unwrap() else {
        panic!("the lease was not granted");
    };
    let failure = LeaseFailure {
        cool_down: HOUR,
        why: secret.as_bytes().to_vec(),
    };
    store.release(&other, &lease, Some(failure)).await.unwrap();
    let mut searched = 0;
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        searched += content.len();
        for piece in secret.as_bytes().windows(6) {
            assert!(!content.windows(6).any(|window| window == piece));
        }
    }
    assert!(searched > 200, "there was something to search");
}

#[tokio::test]
async fn an_entry_opens_nowhere_but_in_its_place() {
    let below = Arc::new(MemoryStore::new());
    let store = SealedStore::new(below.clone(), key(1));
    store.put(&KEY, &token(5), None).await.unwrap();
    let sealed = below.get(&KEY).await.unwrap().unwrap();

    let elsewhere = TokenKey::from_bytes([8; 32]);
    below.put(&elsewhere, &sealed, None).await.unwrap();
    assert_eq!(store.get(&elsewhere).await.unwrap(), None);

    let mut renumbered = sealed.clone();
    renumbered.generation = Generation(6);
    below.put(&KEY, &renumbered, None).await.unwrap();
    assert_eq!(store.get(&KEY).await.unwrap(), None);

    assert!(store.put(&KEY, &token(7), None).await.unwrap());
    assert_eq!(
        store.get(&KEY).await.unwrap().unwrap().bytes,
        b"the-token-7"
    );
}

#[tokio::test]
async fn what_was_never_sealed_or_is_cut_is_a_miss() {
    let below = Arc::new(MemoryStore::new());
    let store = SealedStore::new(below.clone(), key(1));
    below.put(&KEY, &token(1), None).await.unwrap();
    assert_eq!(store.get(&KEY).await.unwrap(), None);

    store.put(&KEY, &token(2), None).await.unwrap();
    let mut cut = below.get(&KEY).await.unwrap().unwrap();
    cut.generation = Generation(3);
    cut.bytes.truncate(20);
    below.put(&KEY, &cut, None).await.unwrap();
    assert_eq!(store.get(&KEY).await.unwrap(), None);
}

#[tokio::test]
async fn a_failure_that_cannot_be_opened_still_cools_down() {
    let below = Arc::new(MemoryStore::new());
    let (one, other) = (
        SealedStore::new(below.clone(), key(1)),
        SealedStore::new(below, key(2)),
    );
    let Claim::Granted(lease) = one.lease(&KEY, HOUR, None).await.unwrap() else {
        panic!("the lease was not granted");
    };
    let failure = LeaseFailure {
        cool_down: HOUR,
        why: b"the vendor is down".to_vec(),
    };
    one.release(&KEY, &lease, Some(failure)).await.unwrap();
    let why = async |store: &SealedStore| match store.lease(&KEY, HOUR, None).await.unwrap() {
        Claim::CoolingDown { why, .. } => why,
        claim => panic!("it is to cool down, but the answer is {claim:?}"),
    };
    assert_eq!(why(&one).await, b"the vendor is down");
    assert_eq!(why(&other).await, b"");
}

/// The steps of a rotation, which processes of a fleet have at the same time.
#[tokio::test]
async fn the_steps_of_a_rotation_can_be_rolled_out_one_after_another() {
    let (old, new) = (|| key(1), || key(2));
    let below = Arc::new(MemoryStore::new());
    let steps = [
        SealedStore::new(below.clone(), old()),
        SealedStore::new(below.clone(), old()).also_reading(new()),
        SealedStore::new(below.clone(), new()).also_reading(old()),
        SealedStore::new(below.clone(), new()),
    ];
    let mut generation = 0;
    let mut reads = async |writer: &SealedStore, reader: &SealedStore| {
        generation += 1;
        assert!(writer.put(&KEY, &token(generation), None).await.unwrap());
        reader.get(&KEY).await.unwrap().is_some()
    };
    for pair in steps[..3].windows(2) {
        assert!(reads(&pair[0], &pair[1]).await);
        assert!(reads(&pair[1], &pair[0]).await);
    }
    // The last step waits until no entry of the old key is left. It can read what the second step writes.
    assert!(reads(&steps[2], &steps[3]).await);
    assert!(reads(&steps[3], &steps[2]).await);
    // Without the first step, processes that are behind can't read new entries.
    assert!(!reads(&steps[2], &steps[0]).await);
    assert!(!reads(&steps[3], &steps[0]).await);
}

#[test]
fn no_key_is_shown() {
    let store = SealedStore::new(
        Arc::new(MemoryStore::new()),
        SealKey::from_bytes(*b"hunter2-hunter2-hunter2-hunter2-"),
    );
    let shown = format!("{store:?}");
    assert!(shown.contains("SealKey("), "{shown}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("104, 117, 110"),
        "{shown}"
    );
}

/// A shared store, which has no identity key of its own.
#[derive(Debug, Default)]
struct Plain(MemoryStore);

#[async_trait]
impl TokenStore for Plain {
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
}

#[tokio::test]
async fn a_store_without_a_key_gets_one_of_the_first_seal_key() {
    let plain = Arc::new(Plain::default());
    let identity = async |keys: &[u8]| {
        let sealed = SealedStore::new(plain.clone(), key(keys[0]));
        let sealed = keys[1..]
            .iter()
            .fold(sealed, |sealed, seed| sealed.also_reading(key(*seed)));
        sealed.identity_key().await.unwrap().unwrap()
    };
    assert!(plain.identity_key().await.unwrap().is_none());
    let one = identity(&[1]).await;
    assert_eq!(one, identity(&[1, 2]).await);
    assert_ne!(one, identity(&[2, 1]).await);
    assert_ne!(one.as_bytes(), &[1; 32], "it is not the seal key itself");
}

#[tokio::test]
async fn a_stores_own_key_stays_through_a_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let below = Arc::new(FileStore::new(directory.path()));
    let own = below.identity_key().await.unwrap();
    for seed in [1, 2] {
        let sealed = SealedStore::new(below.clone(), key(seed));
        assert_eq!(sealed.identity_key().await.unwrap(), own);
    }
}

#[tokio::test]
async fn in_a_shared_store_that_is_sealed_a_wrong_secret_finds_no_token() {
    let plain = Arc::new(Plain::default());
    let clock = Arc::new(ManualClock::new());
    let process = |secret: &str| {
        let http = Arc::new(ScriptedHttp::new());
        let manager = TokenManager::builder(http.clone())
            .clock(clock.clone())
            .store(Arc::new(SealedStore::new(plain.clone(), key(1))))
            .build();
        let provider = TestProvider::default().secret(SecretRef::inline(secret));
        let source = manager.source(Arc::new(provider), TokenRequest::new());
        (http, manager, source)
    };
    let (http, manager, source) = process("right");
    http.push(Reply::token("t-1", 1000));
    source.token().await.unwrap();
    manager.drain().await;
    let (http, _, source) = process("right");
    source.token().await.unwrap();
    assert_eq!(http.count(), 0);
    let (http, _, source) = process("wrong");
    http.push(Reply::error(401, "invalid_client"));
    assert!(source.token().await.unwrap_err().refuses_client());
}

const ACCOUNT: AccountKey = AccountKey::from_bytes([9; 32]);

fn accounts(directory: &std::path::Path, keys: &[u8]) -> Arc<dyn DurableStore> {
    let files = Arc::new(FileStore::new(directory));
    let mut keys = keys.iter().map(|seed| key(*seed));
    let store = SealedStore::new(files, keys.next().unwrap());
    keys.fold(store, SealedStore::also_reading)
        .durable()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_credentials_are_kept_as_others() {
    let directory = tempfile::tempdir().unwrap();
    durable::run(async || accounts(directory.path(), &[1])).await;
    assert!(accounts(directory.path(), &[1]).is_sealed());
    let unsealed = FileStore::new(directory.path()).durable().unwrap();
    assert!(!unsealed.is_sealed());
    let memory = SealedStore::new(Arc::new(MemoryStore::new()), key(1));
    assert!(memory.durable().is_none());
}

#[tokio::test]
async fn a_credential_of_an_older_key_is_rewritten_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let entry = async |keys: &[u8]| accounts(directory.path(), keys).load(&ACCOUNT).await;
    let old = accounts(directory.path(), &[1]);
    assert!(old.swap(&ACCOUNT, Revision::NONE, b"R-1").await.unwrap());
    assert_eq!(entry(&[2, 1]).await.unwrap().unwrap().bytes, b"R-1");
    // The new key alone reads it now, and what the next writer expects is the new revision.
    let read = entry(&[2]).await.unwrap().unwrap();
    assert_eq!((read.revision, &read.bytes[..]), (Revision(2), &b"R-1"[..]));
    let error = entry(&[1]).await.unwrap_err().to_string();
    assert!(error.contains("seal"), "{error}");
    // Reading with the key that wrote it changes nothing.
    assert_eq!(entry(&[2, 1]).await.unwrap().unwrap().revision, Revision(2));
}

/// The seal key that is missing is named, as `SealKey` shows it.
#[tokio::test]
async fn a_credential_that_can_not_be_opened_names_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let store = accounts(directory.path(), &[1]);
    assert!(store.swap(&ACCOUNT, Revision::NONE, b"R-1").await.unwrap());
    let error = accounts(directory.path(), &[2]).load(&ACCOUNT).await;
    let shown = format!("{:?}", key(1));
    let id = shown.trim_start_matches("SealKey(").trim_end_matches(')');
    assert!(error.unwrap_err().to_string().contains(id));

    // Moved to another account, or set back to another revision.
    let below = FileStore::new(directory.path()).durable().unwrap();
    let sealed = below.load(&ACCOUNT).await.unwrap().unwrap().bytes.clone();
    assert!(!String::from_utf8_lossy(&sealed).contains("R-1"));
    let other = AccountKey::from_bytes([8; 32]);
    assert!(below.swap(&other, Revision::NONE, &sealed).await.unwrap());
    store.load(&other).await.unwrap_err();
    assert!(below.swap(&ACCOUNT, Revision(1), &sealed).await.unwrap());
    store.load(&ACCOUNT).await.unwrap_err();
}
