//! The files of the file store may be anything: the store returns an entry or none, and nothing
//! opens that was not sealed.
#![no_main]

use std::{fs, sync::Arc, time::Duration};

use biped_core::{Generation, StoredToken, TokenKey, TokenStore};
use biped_file::FileStore;
use biped_sealed::{SealKey, SealedStore};
use libfuzzer_sys::fuzz_target;

const TTL: Duration = Duration::from_millis(1);

fuzz_target!(|data: (u64, bool, &[u8])| {
    let (number, as_entry, bytes) = data;
    let key = TokenKey::from_bytes([7; 32]);
    let directory = std::env::temp_dir().join(format!("biped-fuzz-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = FileStore::new(&directory);
        let token = |generation, bytes: &[u8]| StoredToken {
            generation: Generation(generation),
            keep: Duration::from_secs(60),
            bytes: bytes.to_vec(),
        };
        let _ = store.put(&key, &token(number, bytes), None).await;
        if !as_entry {
            // Of the right name and mode, with whatever in it.
            let file = directory.join(format!("{key}.token"));
            fs::write(file, bytes).unwrap();
        }
        let held = store.get(&key).await.unwrap_or_default();
        if as_entry && let Some(held) = held {
            assert!(held.generation != Generation(number) || held.bytes == bytes);
        }
        let sealed = SealedStore::new(Arc::new(store.clone()), SealKey::from_bytes([1; 32]));
        assert!(!matches!(sealed.get(&key).await, Ok(Some(_))));
        let claim = format!("{:?}", sealed.lease(&key, TTL, None).await);
        let _ = store
            .put(&key, &token(number.saturating_add(1), b"t"), None)
            .await;
        let _ = store.forget(&key, Generation(u64::MAX), TTL).await;
        let _ = (claim, store.get(&key).await);
        let _ = fs::remove_dir_all(&directory);
    });
});
