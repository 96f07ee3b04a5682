//! The promises of a store, and what is particular to this one.

use std::{sync::Arc, time::Duration};

use biped_core::{AccountKey, Claim, Generation, Revision, StoredToken, TokenKey, TokenStore};
use biped_postgres::PostgresStore;
use biped_sealed::{SealKey, SealedStore};
use biped_testing::store::{Alternating, conformance, durable};

use crate::postgres::Postgres;

pub(crate) fn a_key() -> TokenKey {
    let mut key = [0; 32];
    key.fill_with(|| fastrand::u8(..));
    TokenKey::from_bytes(key)
}

pub(crate) fn token(generation: u64) -> StoredToken {
    StoredToken {
        generation: Generation(generation),
        keep: Duration::from_secs(60),
        bytes: b"the-token".to_vec(),
    }
}

/// Waits for the first connection, which may take longer than an operation on a machine that is busy.
pub(crate) async fn connected(store: &dyn TokenStore) {
    for _ in 0..400 {
        match store.get(&a_key()).await {
            Ok(_) => return,
            Err(error) => assert!(
                error.to_string().contains("does not respond within"),
                "{error}"
            ),
        }
    }
    panic!("the store never works");
}

pub(crate) async fn keeps_every_promise(store: Arc<dyn TokenStore>) {
    connected(&*store).await;
    conformance::run(store.clone(), conformance::STORAGE).await;
    conformance::run(store.clone(), conformance::LEASES).await;
    conformance::run(store, conformance::WAKING).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_postgres_keeps_every_promise() {
    let server = Postgres::start("").await;
    keeps_every_promise(Arc::new(server.store())).await;
}

/// A commit that waits for a replica, or for a slow disk, would take longer than an operation has.
pub(crate) const ITS_REPLICA_IS_GONE: &str = "synchronous_standby_names = 'gone'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_postgres_whose_synchronous_replica_is_gone_keeps_every_promise() {
    let server = Postgres::start(ITS_REPLICA_IS_GONE).await;
    keeps_every_promise(Arc::new(server.store())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn two_connections_keep_every_promise_together() {
    let server = Postgres::start("").await;
    let other = Arc::new(server.store());
    connected(&*other).await;
    keeps_every_promise(Arc::new(Alternating::new(
        Arc::new(server.store()),
        vec![other],
    )))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_store_that_may_not_listen_keeps_every_promise_by_looking() {
    let server = Postgres::start("").await;
    keeps_every_promise(Arc::new(server.store().pooler(true))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_sealed_postgres_keeps_every_promise_and_shows_no_token() {
    let server = Postgres::start("").await;
    let sealed = SealedStore::new(Arc::new(server.store()), SealKey::from_bytes([7; 32]));
    connected(&sealed).await;
    sealed.put(&a_key(), &token(1), None).await.unwrap();
    let client = server.client().await;
    let rows = client.query("SELECT token FROM biped_tokens", &[]).await;
    let rows = rows.unwrap();
    let stored: &[u8] = rows[0].get(0);
    assert!(!stored.windows(9).any(|window| window == b"the-token"));
    keeps_every_promise(Arc::new(sealed)).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn tables_are_apart() {
    let server = Postgres::start("").await;
    server.run("CREATE SCHEMA exporter").await;
    let key = a_key();
    let one = server.store();
    let other = server.store().table("exporter.Tokens").unwrap();
    connected(&one).await;
    connected(&other).await;
    one.put(&key, &token(1), None).await.unwrap();
    assert_eq!(other.get(&key).await.unwrap(), None);
    assert!(one.get(&key).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn many_processes_make_the_table_once() {
    let server = Postgres::start("").await;
    let starting: Vec<_> = (0..8)
        .map(|_| {
            let store = server.store();
            tokio::spawn(async move { crate::faults::found(&store, &a_key()).await })
        })
        .collect();
    for started in starting {
        assert_eq!(started.await.unwrap(), Ok(None));
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_table_that_is_not_to_be_made_is_named_and_one_of_another_layout_left_alone() {
    let server = Postgres::start("").await;
    let store = server.store().create(false);
    let error = crate::faults::found(&store, &a_key()).await.unwrap_err();
    assert!(
        error.contains("no table biped_tokens; create it"),
        "{error}"
    );

    server
        .run("CREATE TABLE old (); COMMENT ON TABLE old IS 'biped store, layout 0'")
        .await;
    let store = server.store().table("old").unwrap();
    let error = crate::faults::found(&store, &a_key()).await.unwrap_err();
    assert!(error.contains("another version of Biped"), "{error}");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn whoever_stores_a_token_removes_expired_rows_and_no_others() {
    let server = Postgres::start("").await;
    let (first, old, new) = (server.store(), a_key(), a_key());
    connected(&first).await;
    for at in 0..120 {
        let key = if at == 0 { old } else { a_key() };
        first.put(&key, &token(1), None).await.unwrap();
    }
    server
        .run("UPDATE biped_tokens SET expires = clock_timestamp() - interval '1 minute'")
        .await;
    let second = server.store();
    connected(&second).await;
    second.put(&new, &token(1), None).await.unwrap();
    let client = server.client().await;
    loop {
        let left = client.query_one("SELECT count(*) FROM biped_tokens", &[]);
        let left: i64 = left.await.unwrap().get(0);
        assert!(left > 0, "the new row is gone");
        if left == 1 {
            break;
        }
    }
    assert!(first.get(&new).await.unwrap().is_some());
    assert_eq!(first.get(&old).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_process_waits_for_no_lock_to_hear_that_another_has_the_lease() {
    let server = Postgres::start("").await;
    let (holder, other) = (server.store(), server.store());
    connected(&holder).await;
    connected(&other).await;
    let key = a_key();
    let ttl = Duration::from_secs(5);
    let granted = holder.lease(&key, ttl, None).await.unwrap();
    assert!(matches!(granted, Claim::Granted(_)));
    // Another session has the row: as the rest of a fleet has, one after another.
    let client = server.client().await;
    let lock = "BEGIN; SELECT FROM biped_tokens FOR UPDATE";
    client.batch_execute(lock).await.unwrap();
    let refused = other.lease(&key, ttl, None).await.unwrap();
    assert!(matches!(refused, Claim::Taken { .. }));
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_lease_asked_for_twice_by_one_holder_is_one_lease() {
    let server = Postgres::start("").await;
    let (store, key) = (server.store(), a_key());
    connected(&store).await;
    let five = Duration::from_secs(5);
    let Claim::Granted(lease) = store.lease(&key, five, None).await.unwrap() else {
        panic!("the lease is free");
    };
    let again = store.lease(&key, five, Some(&lease)).await.unwrap();
    assert_eq!(again, Claim::Granted(lease));
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn generations_are_times_of_the_servers_clock() {
    let server = Postgres::start("").await;
    let (store, key) = (server.store(), a_key());
    connected(&store).await;
    let client = server.client().await;
    let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let before: i64 = client.query_one(now, &[]).await.unwrap().get(0);
    let claim = store.lease(&key, Duration::from_secs(5), None).await;
    let Claim::Granted(lease) = claim.unwrap() else {
        panic!("the lease is free");
    };
    let after: i64 = client.query_one(now, &[]).await.unwrap().get(0);
    let between = before.unsigned_abs()..=after.unsigned_abs();
    assert!(between.contains(&lease.generation.0));
}

#[test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
fn a_store_works_on_one_runtime_after_another() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    let server = first.block_on(Postgres::start(""));
    let (store, key): (PostgresStore, _) = (server.store(), a_key());
    for generation in 1..4 {
        let runtime = runtime();
        runtime.block_on(async {
            connected(&store).await;
            assert!(store.put(&key, &token(generation), None).await.unwrap());
            store.changed(&key, Generation(0)).await.unwrap();
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_postgres_keeps_credentials() {
    let server = Postgres::start("").await;
    durable::run(async || server.store().durable().unwrap()).await;
    durable::run(async || server.store().pooler(true).durable().unwrap()).await;
    let named = async || {
        let store = server.store().table("mine").unwrap();
        SealedStore::new(Arc::new(store), SealKey::from_bytes([7; 32]))
            .durable()
            .unwrap()
    };
    durable::run(named).await;
}

/// A transaction of another connection sees what was committed, and no session holds the lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_lock_ends_with_its_lease_and_not_with_its_connection() {
    let server = Postgres::start("synchronous_commit = off").await;
    let store = server.store().durable().unwrap();
    let key = AccountKey::from_bytes([3; 32]);
    let lock = store.lock(&key).await.unwrap().unwrap();
    assert_eq!(lock.lease(), Some(Duration::from_secs(15)));
    drop((lock, store));
    let other = server.store().durable().unwrap();
    assert!(other.lock(&key).await.unwrap().is_none());
    let client = server.client().await;
    let lapse = "UPDATE biped_tokens_accounts SET lease_until = clock_timestamp()";
    client.batch_execute(lapse).await.unwrap();
    other.lock(&key).await.unwrap().unwrap();
}

/// A server that puts commits on its disk later loses them in a crash, but not this one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_credential_that_was_written_survives_a_crash_of_a_server_that_commits_later() {
    let later = "synchronous_commit = off\nwal_writer_delay = 10s";
    let mut server = Postgres::start(later).await;
    let key = AccountKey::from_bytes([3; 32]);
    for pooler in [false, true] {
        let store = server.store().pooler(pooler).durable().unwrap();
        let found = store.load(&key).await.unwrap();
        let revision = found.map_or(Revision::NONE, |entry| entry.revision);
        assert!(store.swap(&key, revision, b"new").await.unwrap());
        server.stop();
        server.restart().await;
        let store = server.store().durable().unwrap();
        let found = store.load(&key).await.unwrap().expect("it is kept");
        assert_eq!(found.revision.0, revision.0 + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_table_of_credentials_that_may_not_be_made_is_an_error() {
    let server = Postgres::start("").await;
    connected(&server.store()).await;
    let store = server.store().create(false).durable().unwrap();
    let key = AccountKey::from_bytes([3; 32]);
    store.load(&key).await.unwrap_err();
    server.store().durable().unwrap().load(&key).await.unwrap();
    assert_eq!(store.load(&key).await.unwrap(), None);
}
