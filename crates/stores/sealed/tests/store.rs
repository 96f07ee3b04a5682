//! What a sealed store gives back, and to whom.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use biped_core::{Claim, Generation, LeaseFailure, MemoryStore, StoredToken, TokenKey, TokenStore};
use biped_file::FileStore;
use biped_sealed::{SealKey, SealedStore};
use biped_testing::store::conformance;

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
        panic!("nobody has it");
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
        panic!("nobody has it");
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

/// The steps of a rotation, as processes of a fleet have them side by side.
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
    // The last step waits until nothing is left that the old key wrote; what the step before writes
    // it can read.
    assert!(reads(&steps[2], &steps[3]).await);
    assert!(reads(&steps[3], &steps[2]).await);
    // Who leaves the first step out is not understood by those who are behind.
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
