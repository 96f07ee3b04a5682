//! What can happen to a server, and that the store is well again afterwards.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use biped_core::{Clock, Generation, StoreError, StoredToken, SystemClock, TokenKey, TokenStore};
use biped_postgres::PostgresStore;
use biped_testing::store::conformance::a_store_that_is_down_says_so_in_time;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    postgres::{PASSWORD, Postgres},
    promises::{a_key, connected, token},
};

/// What comes of looking a key up. On a machine that is busy, 250 ms may pass before the server's answer
/// is here: then once more.
pub(crate) async fn found(
    store: &PostgresStore,
    key: &TokenKey,
) -> Result<Option<StoredToken>, String> {
    loop {
        let found = store.get(key).await.map_err(|error| error.to_string());
        match found {
            Err(error) if error.contains("does not respond within") => {}
            found => return found,
        }
    }
}

/// Looks a key up until the store works.
pub(crate) async fn until_found(store: &PostgresStore, key: &TokenKey) -> StoredToken {
    for _ in 0..400 {
        if let Ok(Some(found)) = store.get(key).await {
            return found;
        }
        SystemClock.sleep(Duration::from_millis(25)).await;
    }
    panic!("the store is not well again: {:?}", store.get(key).await);
}

pub(crate) async fn stored(store: &PostgresStore) -> TokenKey {
    let key = a_key();
    connected(store).await;
    assert!(store.put(&key, &token(1), None).await.unwrap());
    key
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_server_that_stops_is_told_and_one_that_starts_again_is_used() {
    let mut server = Postgres::start("").await;
    let store = server.store();
    let key = stored(&store).await;
    server.stop();
    a_store_that_is_down_says_so_in_time(Arc::new(store.clone())).await;
    let error = found(&store, &key).await.unwrap_err();
    assert!(error.contains("can't be reached"), "{error}");
    assert!(!error.contains(PASSWORD), "{error}");
    server.restart().await;
    // A server that is killed loses the last moments.
    assert!(until_put(&store, &key, 2).await);
    assert_eq!(until_found(&store, &key).await.generation.0, 2);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_server_that_hangs_is_told_and_one_that_goes_on_is_used() {
    let server = Postgres::start("").await;
    let store = server.store();
    let key = stored(&store).await;
    server.signal_all("-STOP");
    a_store_that_is_down_says_so_in_time(Arc::new(store.clone())).await;
    server.signal_all("-CONT");
    until_found(&store, &key).await;
}

/// The way to a server, on which the connections of before are silent from now on: neither end learns that the
/// other is gone.
pub(crate) async fn losing(server: u16, lost: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let lost = lost.clone();
            let is_new = lost.load(SeqCst);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let mut bytes = vec![0; 64 * 1024];
                loop {
                    let mut answer = vec![0; 64 * 1024];
                    tokio::select! {
                        Ok(read @ 1..) = client.read(&mut bytes) => {
                            if is_new || !lost.load(SeqCst) {
                                server.write_all(&bytes[..read]).await.unwrap();
                            }
                        }
                        Ok(read @ 1..) = server.read(&mut answer) => {
                            client.write_all(&answer[..read]).await.unwrap();
                        }
                        else => break,
                    }
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_connection_that_is_silent_is_replaced() {
    let server = Postgres::start("").await;
    let lost = Arc::new(AtomicBool::new(false));
    let way = losing(server.port, lost.clone()).await;
    let url = server
        .url()
        .replace(&server.port.to_string(), &way.to_string());
    let store = PostgresStore::new(&url.into()).unwrap();
    let key = stored(&store).await;
    lost.store(true, SeqCst);
    let error = store.get(&key).await.unwrap_err().to_string();
    assert!(error.contains("does not respond"), "{error}");
    assert!(!error.contains("listens there"), "{error}");
    until_found(&store, &key).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_connection_that_the_server_ends_costs_no_operation() {
    let server = Postgres::start("").await;
    let store = server.store();
    let key = stored(&store).await;
    server
        .run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = 'biped'",
        )
        .await;
    assert!(found(&store, &key).await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_caller_that_waits_hears_that_the_connection_was_cut_and_of_news_on_the_next() {
    let server = Postgres::start("").await;
    let (store, direct, key) = (Arc::new(server.store()), server.store(), a_key());
    let hour = Duration::from_secs(3600);
    connected(&direct).await;
    connected(&*store).await;
    direct.lease(&key, hour, None).await.unwrap();
    let waiting = || {
        let store = store.clone();
        // On a machine that is busy, the connection may take longer than an operation.
        tokio::spawn(async move {
            loop {
                match store.changed(&key, Generation(1)).await {
                    Err(error) if error.to_string().contains("does not respond within") => {}
                    heard => return heard,
                }
            }
        })
    };
    let first = waiting();
    // Its last statement tells that it waits now.
    let client = server.client().await;
    let mut cut = 0;
    while cut == 0 {
        let ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE state = 'idle' AND query LIKE '%coalesce%'";
        cut = client.query(ends, &[]).await.unwrap().len();
    }
    in_time(first).await;

    let second = waiting();
    loop {
        let waits =
            "SELECT 1 FROM pg_stat_activity WHERE state = 'idle' AND query LIKE '%coalesce%'";
        if !client.query(waits, &[]).await.unwrap().is_empty() {
            break;
        }
    }
    direct.put(&key, &token(2), None).await.unwrap();
    in_time(second).await;
}

async fn in_time(waiting: tokio::task::JoinHandle<Result<(), StoreError>>) {
    tokio::select! {
        heard = waiting => heard.unwrap().unwrap(),
        () = SystemClock.sleep(Duration::from_secs(20)) => panic!("nothing was heard"),
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_server_without_a_connection_left_is_told_and_used_when_it_has_one() {
    let server = Postgres::start(
        "max_connections = 4\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0",
    )
    .await;
    let key = stored(&server.store()).await;
    let mut held = Vec::new();
    let mut error = String::new();
    let store = server.store();
    while !error.contains("53300") {
        held.push(tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await);
        error = found(&server.store(), &key).await.err().unwrap_or_default();
        assert!(held.len() < 20, "{error}");
    }
    assert!(error.contains("max_connections"), "{error}");
    drop(held);
    until_found(&store, &key).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_table_that_is_gone_is_made_again() {
    let server = Postgres::start("").await;
    let store = server.store();
    let key = stored(&store).await;
    server.run("DROP TABLE biped_tokens").await;
    assert_eq!(found(&store, &key).await, Ok(None));
    connected(&store).await;
    assert!(store.put(&key, &token(1), None).await.unwrap());
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_password_that_was_changed_is_told_and_works_when_it_is_changed_back() {
    let server = Postgres::start("").await;
    server
        .run("CREATE ROLE app LOGIN PASSWORD 'pl4nted'; GRANT CREATE ON SCHEMA public TO app")
        .await;
    let url = server.url().replace("biped:hunter2", "app:pl4nted");
    let store = PostgresStore::new(&url.into()).unwrap();
    let key = stored(&store).await;
    server
        .run(
            "ALTER ROLE app PASSWORD 'another'; SELECT pg_terminate_backend(pid) \
             FROM pg_stat_activity WHERE usename = 'app'",
        )
        .await;
    let error = found(&store, &key).await.unwrap_err();
    assert!(
        error.contains("28P01") && error.contains("password"),
        "{error}"
    );
    assert!(!error.contains("pl4nted"), "{error}");
    server.run("ALTER ROLE app PASSWORD 'pl4nted'").await;
    until_found(&store, &key).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_user_without_rights_is_told_which() {
    let server = Postgres::start("").await;
    server.run("CREATE ROLE app LOGIN PASSWORD 'pl4nted'").await;
    stored(&server.store()).await;
    let url = server.url().replace("biped:hunter2", "app:pl4nted");
    let store = PostgresStore::new(&url.into()).unwrap();
    let error = found(&store, &a_key()).await.unwrap_err();
    assert!(
        error.contains("42501") && error.contains("grant"),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_replica_is_told_and_the_primary_found_when_it_is_promoted() {
    let mut primary = Postgres::start("").await;
    let key = stored(&primary.store()).await;
    let replica = primary.replica().await;
    let error = found(&replica.store(), &key).await.unwrap_err();
    assert!(
        error.contains("25006") && error.contains("primary"),
        "{error}"
    );

    // The hosts in the order in which the first is the replica.
    let url = format!(
        "postgres://biped:{PASSWORD}@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
        replica.port, primary.port
    );
    let store = PostgresStore::new(&url.into()).unwrap();
    assert!(until_put(&store, &key, 3).await);
    primary.stop();
    replica.promote().await;
    assert!(until_put(&store, &key, 4).await);
    assert_eq!(until_found(&replica.store(), &key).await.generation.0, 4);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn the_primary_among_several_hosts_is_found_and_each_host_that_is_of_no_use_is_told() {
    let mut primary = Postgres::start("").await;
    let key = stored(&primary.store()).await;
    let replica = primary.replica().await;
    // Without target_session_attrs, a replica accepts the connection and refuses to write.
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", replica.port, primary.port);
    let any = format!("postgres://biped:{PASSWORD}@{hosts}/postgres");
    let store = PostgresStore::new(&any.clone().into()).unwrap();
    assert!(until_put(&store, &key, 3).await);

    primary.stop();
    let store = PostgresStore::new(&(any + "?target_session_attrs=read-write").into()).unwrap();
    let error = found(&store, &key).await.unwrap_err();
    let told = error.find(&format!("{} is a replica", replica.port));
    let unreachable = error.find(&format!("{} can't be reached", primary.port));
    assert!(told.is_some() && told < unreachable, "{error}");
    assert!(!error.contains(PASSWORD), "{error}");
}

#[tokio::test]
async fn a_server_that_has_never_answered_may_be_the_wrong_one() {
    // A server of another protocol waits for more, as this one does.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgres://biped:{PASSWORD}@127.0.0.1:{port}/postgres");
    let store = PostgresStore::new(&url.into()).unwrap();
    let error = store.get(&a_key()).await.unwrap_err().to_string();
    assert!(error.contains("PostgreSQL listens there"), "{error}");
    assert!(!error.contains(PASSWORD), "{error}");
}

#[test]
fn several_servers_are_asked_again_sooner_than_one() {
    let rest = |hosts: &str| {
        let url = format!("postgres://biped@{hosts}/postgres?target_session_attrs=read-write");
        let store = Arc::new(PostgresStore::new(&url.into()).unwrap());
        let key = biped_sealed::SealKey::from_bytes([7; 32]);
        // As it is used: what is around a store must not change its answer.
        biped_sealed::SealedStore::new(store, key).rest()
    };
    // A fleet is back within 2 s of the election of a primary.
    assert_eq!(rest("a,b"), Duration::from_secs(1));
    assert!(rest("a") > rest("a,b"));
}

/// Stores a token as soon as the store works.
pub(crate) async fn until_put(store: &PostgresStore, key: &TokenKey, generation: u64) -> bool {
    for _ in 0..400 {
        match store.put(key, &token(generation), None).await {
            Ok(stored) => return stored,
            Err(_) => SystemClock.sleep(Duration::from_millis(25)).await,
        }
    }
    false
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_statement_that_waits_for_a_lock_is_given_up_by_the_server_too() {
    let server = Postgres::start("").await;
    let store = server.store();
    let key = stored(&store).await;
    let client = server.client().await;
    client
        .batch_execute("BEGIN; LOCK TABLE biped_tokens")
        .await
        .unwrap();
    let error = store.get(&key).await.unwrap_err().to_string();
    assert!(
        error.contains("250 ms") || error.contains("57014"),
        "{error}"
    );
    let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let watch = server.client().await;
    while !watch.query(waits, &[]).await.unwrap().is_empty() {}
    client.batch_execute("ROLLBACK").await.unwrap();
    until_found(&store, &key).await;
}
