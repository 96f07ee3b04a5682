//! A process that is killed with SIGKILL while its statement waits at the server for a lock.
//!
//! This binary is that process: [`process`] is a test, which does what its environment says.
#![allow(clippy::print_stdout)] // what the process is doing, for the test that reads it

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _, stdin},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use biped_core::{
    AccountKey, Claim, Clock, DurableStore, Generation, Lease, Revision, StoreError, StoredToken,
    SystemClock, TokenKey, TokenStore,
};
use biped_postgres::PostgresStore;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
};
use tokio_postgres::Client;

use crate::{
    faults::{found, until_found},
    postgres::Postgres,
    promises::{connected, token},
};

const URL: &str = "BIPED_PROCESS_URL";
const STATEMENT: &str = "BIPED_PROCESS_STATEMENT";

const KEY: TokenKey = TokenKey::from_bytes([4; 32]);
const ACCOUNT: AccountKey = AccountKey::from_bytes([5; 32]);
/// How long the lease of a token lasts.
const TTL: Duration = Duration::from_secs(2);

/// What waits at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statement {
    Lease,
    Put,
    Lock,
    Swap,
}

const ALL: [Statement; 4] = [
    Statement::Lease,
    Statement::Put,
    Statement::Lock,
    Statement::Swap,
];

struct Started {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Started {
    fn start(server: &Postgres, statement: Statement) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["killed::process", "--exact", "--ignored"])
            .args(["--nocapture", "--test-threads=1"])
            .env(URL, server.url())
            .env(STATEMENT, format!("{statement:?}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut started = Self { child, lines };
        started.wait_until_it_is_ready();
        started
    }

    fn wait_until_it_is_ready(&mut self) {
        let mut line = String::new();
        while line.trim() != "ready" {
            line.clear();
            let length = self.lines.read_line(&mut line).unwrap();
            assert!(length > 0, "the process ended too early");
        }
    }

    fn go_on(&mut self) {
        let mut stdin = self.child.stdin.as_ref().unwrap();
        stdin.write_all(b"\n").unwrap();
    }
}

impl Drop for Started {
    /// Kills it with SIGKILL.
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
#[ignore = "the process that other tests start"]
async fn process() {
    let Ok(url) = env::var(URL) else { return };
    let store = PostgresStore::new(&url.into()).unwrap();
    connected(&store).await;
    let statement = env::var(STATEMENT).unwrap();
    match &*statement {
        "Lease" => {
            wait_for_the_test();
            until(async || store.lease(&KEY, TTL, None).await).await;
        }
        "Put" => {
            let lease = leased(&store).await;
            let new = token(lease.generation.0);
            wait_for_the_test();
            until(async || store.put(&KEY, &new, Some(&lease)).await).await;
        }
        _ => {
            let durable = store.durable().unwrap();
            until(async || durable.load(&ACCOUNT).await).await;
            if statement == "Lock" {
                wait_for_the_test();
                until(async || durable.lock(&ACCOUNT).await).await;
            } else {
                let _lock = durable.lock(&ACCOUNT).await.unwrap().unwrap();
                wait_for_the_test();
                let one = Revision(1);
                until(async || durable.swap(&ACCOUNT, one, b"new").await).await;
            }
        }
    }
    std::future::pending::<()>().await;
}

fn wait_for_the_test() {
    println!("\nready");
    stdin().read_line(&mut String::new()).unwrap();
}

/// Tries an operation until the store works.
async fn until<T>(mut operation: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
    loop {
        if let Ok(done) = operation().await {
            return done;
        }
    }
}

async fn write(accounts: &dyn DurableStore, expected: Revision, bytes: &[u8]) {
    // The first connection may take longer than an operation.
    until(async || accounts.load(&ACCOUNT).await).await;
    let written = accounts.swap(&ACCOUNT, expected, bytes).await;
    assert!(written.unwrap());
}

/// Asks for the lease until it is granted. Another's never lasts longer than it was asked for.
async fn leased(store: &PostgresStore) -> Lease {
    loop {
        match store.lease(&KEY, TTL, None).await {
            Ok(Claim::Granted(lease)) => return lease,
            Ok(Claim::Taken { left }) => {
                assert!(left <= TTL, "{left:?}");
                SystemClock.sleep(left).await;
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => assert!(error.to_string().contains("does not respond"), "{error}"),
        }
    }
}

/// The statements that wait for a lock: the process at the server, and since when.
async fn waiting(watch: &Client) -> Vec<(i32, String)> {
    let waiting = "SELECT pid, query_start::text FROM pg_stat_activity \
                   WHERE application_name = 'biped' AND wait_event_type = 'Lock'";
    let rows = watch.query(waiting, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

impl Statement {
    fn is_of_a_token(self) -> bool {
        matches!(self, Self::Lease | Self::Put)
    }

    /// Kills a process while its statement waits for the session `holder`, which has locked all rows.
    /// Returns whether the statement still waited when the process was gone.
    async fn kill(self, server: &Postgres, holder: &Client, watch: &Client) -> bool {
        let mut started = Started::start(server, self);
        let table = match self.is_of_a_token() {
            true => "biped_tokens",
            false => "biped_tokens_accounts",
        };
        let lock = format!("BEGIN; SELECT FROM {table} FOR UPDATE");
        holder.batch_execute(&lock).await.unwrap();
        started.go_on();
        let mut before = waiting(watch).await;
        while before.is_empty() {
            before = waiting(watch).await;
        }
        drop(started);
        waiting(watch).await == before
    }

    /// Kills a process while its statement waits, and sees that the others go on. `is_released` says
    /// whether the rows are released before the server gives the statement up.
    async fn round(self, is_released: bool) {
        let server = Postgres::start("").await;
        let (holder, watch) = (server.client().await, server.client().await);
        let others = server.store();
        connected(&others).await;
        assert!(others.put(&KEY, &token(1), None).await.unwrap());
        let accounts = others.durable().unwrap();
        write(&*accounts, Revision::NONE, b"old").await;

        while !self.kill(&server, &holder, &watch).await {
            holder.batch_execute("ROLLBACK").await.unwrap();
            lapse(&watch).await;
        }
        if !is_released {
            while !waiting(&watch).await.is_empty() {}
        }
        let meanwhile = found(&others, &KEY).await.unwrap().unwrap();
        assert!(meanwhile.generation >= Generation(1), "{self:?}");
        holder.batch_execute("ROLLBACK").await.unwrap();
        while !waiting(&watch).await.is_empty() {}

        if self.is_of_a_token() {
            self.others_renew(&others).await;
        } else {
            self.others_rotate(&*accounts, &watch).await;
        }
    }

    async fn others_renew(self, others: &PostgresStore) {
        until_found(others, &KEY).await;
        let lease = leased(others).await;
        let new = StoredToken {
            bytes: b"renewed".to_vec(),
            ..token(lease.generation.0)
        };
        assert!(until(async || others.put(&KEY, &new, Some(&lease)).await).await);
        let found = until_found(others, &KEY).await;
        assert_eq!(found.bytes, b"renewed", "{self:?}");
    }

    async fn others_rotate(self, others: &dyn DurableStore, watch: &Client) {
        let entry = until(async || others.load(&ACCOUNT).await).await.unwrap();
        let known: [(_, &[u8]); 2] = [(Revision(1), b"old"), (Revision(2), b"new")];
        assert!(known.contains(&(entry.revision, &entry.bytes)), "{self:?}");
        let left = "SELECT coalesce(max(lease_until) FILTER (WHERE lease IS NOT NULL) \
                    <= clock_timestamp() + interval '15 s', true) FROM biped_tokens_accounts";
        let ends: bool = watch.query_one(left, &[]).await.unwrap().get(0);
        assert!(ends, "{self:?}");
        lapse(watch).await;
        let lock = until(async || others.lock(&ACCOUNT).await).await;
        let lock = lock.expect("it is free");
        write(others, entry.revision, b"newer").await;
        lock.unlock().await;
        let entry = until(async || others.load(&ACCOUNT).await).await.unwrap();
        assert_eq!(entry.bytes, b"newer");
    }
}

/// Ends the leases of accounts, as 15 s would.
async fn lapse(client: &Client) {
    let lapse = "UPDATE biped_tokens_accounts SET lease_until = clock_timestamp()";
    client.batch_execute(lapse).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_process_that_is_killed_while_its_statement_waits_holds_nobody_up() {
    for statement in ALL {
        for is_released in [true, false] {
            statement.round(is_released).await;
        }
    }
}

/// The way to a server, on which no `COMMIT` arrives and no connection ends: as if the process stood still
/// in front of it.
async fn without_commits(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
                    if bytes[..read].windows(6).any(|word| word == b"COMMIT") {
                        break;
                    }
                    to_server.write_all(&bytes[..read]).await.unwrap();
                }
                std::future::pending::<()>().await;
            });
            tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_process_that_stands_still_in_a_transaction_holds_the_others_up_for_seconds() {
    let server = Postgres::start("").await;
    let others = server.store().durable().unwrap();
    write(&*others, Revision::NONE, b"old").await;
    let way = without_commits(server.port).await;
    let (port, way) = (server.port.to_string(), way.to_string());
    let url = server.url().replace(&port, &way);
    let still = PostgresStore::new(&url.into()).unwrap().durable().unwrap();
    let error = still.lock(&ACCOUNT).await.unwrap_err().to_string();
    assert!(error.contains("does not respond"), "{error}");
    let mut attempts = 0;
    let lock = loop {
        match others.lock(&ACCOUNT).await {
            Ok(lock) => break lock,
            Err(error) => assert!(attempts < 5, "{error}"),
        }
        attempts += 1;
    };
    lock.expect("the lock that was not committed is nobody's");
}
