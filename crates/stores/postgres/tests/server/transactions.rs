//! Behind a pooler, each statement is in a transaction of its own, which sets its limit. Each is sent as three
//! messages on the connection that all tasks share.

use std::{
    collections::HashSet,
    hint::spin_loop,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, yield_now},
};

use biped_core::{TokenKey, TokenStore};
use biped_postgres::PostgresStore;
use tokio::runtime::Handle;

use crate::{
    faults::until_put,
    postgres::Postgres,
    promises::{a_key, connected, token},
};

/// Refuses what is written without the limit that its transaction sets.
const GUARD: &str = "
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('statement_timeout') <> '250ms' THEN
        RAISE EXCEPTION 'outside of its transaction';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER guard BEFORE INSERT ON biped_tokens FOR EACH STATEMENT EXECUTE FUNCTION guard()";

/// Notes with which limit rows are removed.
const NOTES: &str = "
CREATE TABLE notes (\"limit\" text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO notes VALUES (current_setting('statement_timeout'));
    RETURN NULL;
END $$;
CREATE TRIGGER note BEFORE DELETE ON biped_tokens FOR EACH STATEMENT EXECUTE FUNCTION note()";

/// More rows than one sweep removes at once.
const EXPIRED: &str = "
INSERT INTO biped_tokens (key, newest, expires)
SELECT decode(md5(n::text), 'hex'), 1, clock_timestamp() - interval '1 minute'
FROM generate_series(1, 120) AS n";

const THREADS: usize = 2;
const ROUNDS: usize = 3000;

/// Stores a token a round, each when all threads are at their round. Returns the keys, or what is wrong.
fn write(
    store: &PostgresStore,
    runtime: &Handle,
    arrived: &AtomicUsize,
) -> Result<Vec<TokenKey>, String> {
    let mut stored = Vec::new();
    for round in 1..=ROUNDS {
        let (key, new) = (a_key(), token(1));
        arrived.fetch_add(1, Ordering::SeqCst);
        let mut looked = 0;
        while arrived.load(Ordering::SeqCst) < THREADS * round {
            looked += 1;
            // The machine may be busy, and the others not on a processor.
            if looked > 10_000 {
                yield_now();
            }
            spin_loop();
        }
        match runtime.block_on(store.put(&key, &new, None)) {
            Ok(_) => stored.push(key),
            // On a machine that is busy, an answer may be late.
            Err(error) if is_late(&error.to_string()) => {}
            Err(error) => {
                arrived.store(THREADS * ROUNDS, Ordering::SeqCst);
                return Err(format!("round {round}: {error}"));
            }
        }
    }
    Ok(stored)
}

fn is_late(error: &str) -> bool {
    error.contains("does not respond within") || error.contains("57014")
}

/// It fails where one thread's messages come in between those of another, as soon as that happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn statements_of_threads_that_write_at_once_are_each_in_their_own_transaction() {
    let server = Postgres::start("").await;
    let store = server.store().pooler(true);
    connected(&store).await;
    server.run(GUARD).await;
    let arrived = AtomicUsize::new(0);
    let runtime = Handle::current();
    let written = tokio::task::block_in_place(|| {
        thread::scope(|scope| {
            let all = [(); THREADS].map(|()| scope.spawn(|| write(&store, &runtime, &arrived)));
            all.map(|one| one.join().unwrap())
        })
    });
    let client = server.client().await;
    let rows = client.query("SELECT key FROM biped_tokens", &[]).await;
    let there: HashSet<Vec<u8>> = rows.unwrap().iter().map(|row| row.get(0)).collect();
    for keys in written {
        let mut keys = keys.unwrap().into_iter();
        assert!(keys.all(|key| there.contains(&key.as_bytes()[..])));
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_sweep_behind_a_pooler_has_the_limit_that_a_statement_has() {
    let server = Postgres::start("").await;
    let store = server.store().pooler(true);
    connected(&store).await;
    server.run(EXPIRED).await;
    server.run(NOTES).await;
    assert!(until_put(&store, &a_key(), 1).await);
    let client = server.client().await;
    let left = "SELECT count(*) FROM biped_tokens";
    while client.query_one(left, &[]).await.unwrap().get::<_, i64>(0) > 1 {}
    let limits = client
        .query("SELECT DISTINCT \"limit\" FROM notes", &[])
        .await;
    let limits: Vec<String> = limits.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(limits, ["250ms"]);
}
