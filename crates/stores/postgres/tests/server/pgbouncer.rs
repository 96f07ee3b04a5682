//! PgBouncer in transaction mode between a process and its PostgreSQL.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use biped_core::{AccountKey, Clock, Generation, SystemClock, TokenStore};
use biped_postgres::PostgresStore;
use biped_sealed::{SealKey, SealedStore};
use biped_testing::store::{Alternating, durable, fetches_once};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::{
    faults::{until_found, until_put},
    postgres::{PASSWORD, Postgres, as_server},
    promises::{ITS_REPLICA_IS_GONE, a_key, connected, keeps_every_promise, token},
};

/// A real PgBouncer on a free port of loopback.
struct PgBouncer {
    port: u16,
    child: Child,
    /// Its configuration, which it reads again when it starts again.
    configuration: PathBuf,
}

impl PgBouncer {
    /// Has fewer connections to the server than there are stores, so that they share sessions.
    async fn before(server: &Postgres) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let configuration = server.file(
            "pgbouncer.ini",
            &format!(
                "[databases]\npostgres = host=127.0.0.1 port={} user=biped password={PASSWORD}\n\
                 [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n",
                server.port
            ),
        );
        let child = spawn(&configuration);
        let bouncer = Self {
            port,
            child,
            configuration,
        };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {}
        connected(&bouncer.store()).await;
        bouncer
    }

    fn store(&self) -> PostgresStore {
        let url = format!("postgres://biped@127.0.0.1:{}/postgres", self.port);
        PostgresStore::new(&url.into()).unwrap().pooler(true)
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(configuration: &Path) -> Child {
    // Debian has it where only root's path leads.
    let there = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
    let there = there.into_iter().find(|path| fs::exists(path).unwrap());
    let mut command = Command::new(there.unwrap_or("pgbouncer"));
    as_server(&mut command);
    command.arg("--quiet").arg(configuration);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL and a PgBouncer: tests/live/run postgres"]
async fn every_promise_is_kept_behind_a_pooler() {
    let server = Postgres::start("").await;
    let bouncer = PgBouncer::before(&server).await;
    let other = Arc::new(bouncer.store());
    connected(&*other).await;
    keeps_every_promise(Arc::new(Alternating::new(
        Arc::new(bouncer.store()),
        vec![other],
    )))
    .await;
    durable::run(async || bouncer.store().durable().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL and a PgBouncer: tests/live/run postgres"]
async fn behind_a_pooler_no_replica_is_waited_for_either() {
    let server = Postgres::start(ITS_REPLICA_IS_GONE).await;
    let bouncer = PgBouncer::before(&server).await;
    keeps_every_promise(Arc::new(bouncer.store())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL and a PgBouncer: tests/live/run postgres"]
async fn processes_behind_a_pooler_fetch_once() {
    let server = Postgres::start("").await;
    let bouncer = PgBouncer::before(&server).await;
    let process = || -> Arc<dyn TokenStore> {
        let key = SealKey::from_bytes([7; 32]);
        Arc::new(SealedStore::new(Arc::new(bouncer.store()), key))
    };
    fetches_once((0..8).map(|_| process()).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL and a PgBouncer: tests/live/run postgres"]
async fn a_pooler_that_was_away_is_used_again() {
    let server = Postgres::start("").await;
    let mut bouncer = PgBouncer::before(&server).await;
    let (store, key) = (bouncer.store(), a_key());
    connected(&store).await;
    assert!(store.put(&key, &token(1), None).await.unwrap());
    bouncer.stop();
    store.get(&key).await.unwrap_err();
    bouncer.child = spawn(&bouncer.configuration);
    until_found(&store, &key).await;
    // Another process's session is as good as its own.
    let direct = server.store();
    connected(&direct).await;
    assert!(direct.put(&key, &token(2), None).await.unwrap());
    assert_eq!(until_found(&store, &key).await.generation.0, 2);
}

/// What a session keeps would reach the transactions of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL and a PgBouncer: tests/live/run postgres"]
async fn nothing_is_left_in_the_sessions_of_a_pooler() {
    let server = Postgres::start("").await;
    let bouncer = PgBouncer::before(&server).await;
    let (store, key) = (Arc::new(bouncer.store()), a_key());
    assert!(until_put(&store, &key, 1).await);
    store.changed(&key, Generation(0)).await.unwrap();
    let accounts = bouncer.store().durable().unwrap();
    accounts
        .load(&AccountKey::from_bytes([3; 32]))
        .await
        .unwrap();

    let url = format!("postgres://other@127.0.0.1:{}/postgres", bouncer.port);
    let mut others = Vec::new();
    // As many transactions at once as there are sessions.
    for _ in 0..2 {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("BEGIN").await.unwrap();
        let left = "SELECT pg_backend_pid()::text, current_setting('statement_timeout'), \
                    current_setting('synchronous_commit'), \
                    (SELECT count(*) FROM pg_listening_channels())::text";
        let rows = client.simple_query(left).await.unwrap();
        let row = rows.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let row = row.unwrap();
        let left = [1, 2, 3].map(|at| row.get(at).unwrap());
        assert_eq!(left, ["0", "on", "0"]);
        others.push((row.get(0).unwrap().to_owned(), client));
    }
    assert_ne!(others[0].0, others[1].0);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL and a PgBouncer: tests/live/run postgres"]
async fn a_credential_that_waits_behind_a_pooler_is_given_up_by_the_server_too() {
    let server = Postgres::start("").await;
    let bouncer = PgBouncer::before(&server).await;
    let accounts = bouncer.store().durable().unwrap();
    let key = AccountKey::from_bytes([3; 32]);
    accounts.load(&key).await.unwrap();
    let (holder, watch) = (server.client().await, server.client().await);
    let lock = "BEGIN; LOCK TABLE biped_tokens_accounts";
    holder.batch_execute(lock).await.unwrap();
    accounts.load(&key).await.unwrap_err();
    given_up(&watch).await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    accounts.load(&key).await.unwrap();
}

/// Waits until no statement waits for a lock.
async fn given_up(watch: &Client) {
    let start = SystemClock.now().mono;
    let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while !watch.query(waits, &[]).await.unwrap().is_empty() {
        let waited = SystemClock.now().mono - start;
        assert!(waited < Duration::from_secs(20), "it waits for ever");
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL and a PgBouncer: tests/live/run postgres"]
async fn a_statement_that_waits_behind_a_pooler_is_given_up_by_the_server_too() {
    let server = Postgres::start("").await;
    let bouncer = PgBouncer::before(&server).await;
    let (store, key) = (bouncer.store(), a_key());
    connected(&store).await;
    let (holder, watch) = (server.client().await, server.client().await);
    let lock = "BEGIN; LOCK TABLE biped_tokens";
    holder.batch_execute(lock).await.unwrap();
    store.get(&key).await.unwrap_err();
    given_up(&watch).await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert!(until_put(&store, &key, 1).await);
}
