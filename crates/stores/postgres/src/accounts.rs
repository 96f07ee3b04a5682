//! [`Accounts`]: credentials that change with each use, in a table of their own.
//!
//! Each operation is a transaction with `synchronous_commit` on a connection that tokens don't use. A lock
//! is a lease in the row: nothing rests on a session, so that a pooler may be in between.

use std::{
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use biped_core::{AccountKey, DurableEntry, DurableLock, DurableStore, Revision, StoreError};
use tokio::sync::Mutex;
use tokio_postgres::{Config, Row, error::SqlState, types::Type};

use crate::{
    fault,
    link::Link,
    session::{Session, Setup},
    table::{Parameter, Table},
};

/// How long a lock lasts.
const LEASE: Duration = Duration::from_secs(15);
/// The longest time that an operation takes. It is longer than that of tokens: a commit waits for the
/// disk, and maybe for another server.
const LIMIT: Duration = Duration::from_secs(4);

/// The accounts of a store.
#[derive(Debug)]
pub(crate) struct Accounts(Arc<Inner>);

struct Inner {
    servers: Arc<[Config]>,
    /// The servers, without user and password.
    shown: String,
    setup: Setup,
    sql: Statements,
    link: Arc<Link>,
    /// One transaction at a time is on the connection.
    turn: Mutex<()>,
}

/// The statements on the table. `{table}` has the alias `s`.
struct Statements {
    schema: String,
    load: String,
    first: String,
    next: String,
    lock: String,
    unlock: String,
}

struct Lock {
    accounts: Weak<Inner>,
    key: AccountKey,
    id: [u8; 16],
}

/// A transaction under way, unless it is over.
struct Open<'a> {
    accounts: &'a Inner,
    session: Option<&'a Arc<Session>>,
}

impl Drop for Open<'_> {
    /// A caller that leaves in the middle leaves no transaction to the next operation: it ends with its
    /// connection. The server took the caller's time and may hang.
    fn drop(&mut self) {
        if let Some(session) = self.session {
            let Inner { link, setup, .. } = self.accounts;
            link.pass_over(session, setup);
        }
    }
}

impl Statements {
    fn of(table: &Table) -> Self {
        let quoted = table.accounts();
        let with = |statement: &str| statement.replace("{table}", &quoted);
        Self {
            schema: include_str!("accounts.sql").replace("biped_tokens_accounts", &quoted),
            load: with(
                "SELECT s.revision, s.entry FROM {table} s WHERE s.key = $1 AND s.revision > 0",
            ),
            first: with(
                "INSERT INTO {table} AS s (key, revision, entry) VALUES ($1, 1, $3) \
                 ON CONFLICT (key) DO UPDATE SET revision = 1, entry = excluded.entry \
                 WHERE s.revision = 0 AND $2::bigint = 0 RETURNING true",
            ),
            next: with(
                "UPDATE {table} AS s SET revision = s.revision + 1, entry = $3 \
                 WHERE s.key = $1 AND s.revision = $2 RETURNING true",
            ),
            // The caller chooses the identifier, so that asking twice is asking once.
            lock: with(
                "INSERT INTO {table} AS s (key, revision, lease, lease_until) \
                 VALUES ($1, 0, $2, clock_timestamp() + make_interval(secs => $3)) \
                 ON CONFLICT (key) DO UPDATE SET lease = excluded.lease, \
                 lease_until = clock_timestamp() + make_interval(secs => $3) \
                 WHERE s.lease IS NULL OR s.lease = $2 OR s.lease_until <= clock_timestamp() \
                 RETURNING true",
            ),
            unlock: with(
                "UPDATE {table} AS s SET lease = NULL WHERE s.key = $1 AND s.lease = $2 RETURNING true",
            ),
        }
    }
}

impl Accounts {
    pub(crate) fn of(servers: Arc<[Config]>, shown: String, setup: Setup) -> Arc<dyn DurableStore> {
        let sql = Statements::of(&setup.table);
        Arc::new(Self(Arc::new(Inner {
            servers,
            shown,
            setup,
            sql,
            link: Arc::default(),
            turn: Mutex::default(),
        })))
    }
}

impl Inner {
    /// Runs a statement that returns a row at most, in a transaction of its own that is on the disk when
    /// it returns.
    async fn run(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, StoreError> {
        let _turn = self.turn.lock().await;
        let work = async {
            match self.once(statement, parameters).await? {
                Err(error) if is_missing(&error) && self.setup.create => {
                    self.make().await?;
                    self.once(statement, parameters).await?
                }
                answer => answer,
            }
            .map_err(|error| self.fault(&fault::why(&error)))
        };
        self.bounded(work).await
    }

    async fn once(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Result<Option<Row>, tokio_postgres::Error>, StoreError> {
        let session = self.session().await?;
        let mut open = Open {
            accounts: self,
            session: Some(&session),
        };
        let answer = transaction(&session, statement, parameters).await;
        open.session = None;
        if answer.is_err() {
            // The transaction ends with its connection.
            self.link.part_with(&session, &self.setup);
        }
        Ok(answer)
    }

    /// Makes the table.
    async fn make(&self) -> Result<(), StoreError> {
        let session = self.session().await?;
        match session.client.batch_execute(&self.sql.schema).await {
            Err(error) if !is_made(&error) => Err(self.fault(&fault::why(&error))),
            _ => Ok(()),
        }
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.setup.clock.sleep(LIMIT) => {
                self.link.part(&self.setup);
                let millis = LIMIT.as_millis();
                Err(self.fault(&format!("does not respond within {millis} ms")))
            }
        }
    }

    async fn session(&self) -> Result<Arc<Session>, StoreError> {
        let session = self.link.session(&self.servers, &self.setup).await;
        session.map_err(|why| self.fault(&why))
    }

    fn fault(&self, why: &str) -> StoreError {
        StoreError::new(format!("the PostgreSQL server at {} {why}", self.shown))
    }
}

async fn transaction(
    session: &Session,
    statement: &str,
    parameters: &[Parameter<'_>],
) -> Result<Option<Row>, tokio_postgres::Error> {
    let limit = LIMIT.as_millis();
    // The last is for a process that stands still: it must not keep the row locked.
    let begin = format!(
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL statement_timeout = {limit}; \
         SET LOCAL idle_in_transaction_session_timeout = {limit}"
    );
    session.client.batch_execute(&begin).await?;
    let row = session
        .client
        .query_typed_opt(statement, parameters)
        .await?;
    session.client.batch_execute("COMMIT").await?;
    Ok(row)
}

#[async_trait]
impl DurableStore for Accounts {
    async fn load(&self, key: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
        let key = &key.as_bytes()[..];
        let found = self.0.run(&self.0.sql.load, &[(&key, Type::BYTEA)]).await?;
        let Some(row) = found else { return Ok(None) };
        let (revision, bytes): (Result<i64, _>, _) = (row.try_get(0), row.try_get(1));
        let (Ok(revision), Ok(bytes)) = (revision, bytes) else {
            return Err(self
                .0
                .fault("has a table of another layout; name another table"));
        };
        Ok(Some(DurableEntry {
            revision: Revision(revision.unsigned_abs()),
            bytes,
        }))
    }

    async fn swap(
        &self,
        key: &AccountKey,
        expected: Revision,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let key = &key.as_bytes()[..];
        let number = i64::try_from(expected.0)
            .map_err(|_| self.0.fault("has a revision number that is too large"))?;
        let statement = match expected {
            Revision::NONE => &self.0.sql.first,
            _ => &self.0.sql.next,
        };
        let parameters: [Parameter<'_>; 3] = [
            (&key, Type::BYTEA),
            (&number, Type::INT8),
            (&bytes, Type::BYTEA),
        ];
        Ok(self.0.run(statement, &parameters).await?.is_some())
    }

    async fn lock(&self, key: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
        let lock = Lock {
            accounts: Arc::downgrade(&self.0),
            key: *key,
            id: fastrand::u128(..).to_be_bytes(),
        };
        let (key, id) = (&key.as_bytes()[..], &lock.id[..]);
        let seconds = LEASE.as_secs_f64();
        let parameters: [Parameter<'_>; 3] = [
            (&key, Type::BYTEA),
            (&id, Type::BYTEA),
            (&seconds, Type::FLOAT8),
        ];
        let taken = self.0.run(&self.0.sql.lock, &parameters).await?.is_some();
        Ok(taken.then(|| Box::new(lock) as Box<dyn DurableLock>))
    }
}

#[async_trait]
impl DurableLock for Lock {
    fn lease(&self) -> Option<Duration> {
        Some(LEASE)
    }

    async fn unlock(self: Box<Self>) {
        let Some(accounts) = self.accounts.upgrade() else {
            return;
        };
        let (key, id) = (&self.key.as_bytes()[..], &self.id[..]);
        let parameters: [Parameter<'_>; 2] = [(&key, Type::BYTEA), (&id, Type::BYTEA)];
        // One that can't be given back ends by itself.
        let _ = accounts.run(&accounts.sql.unlock, &parameters).await;
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts")
            .field("servers", &self.shown)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lock")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn is_missing(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::UNDEFINED_TABLE)
}

/// Another process has just made the table.
fn is_made(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code.is_some_and(|code| [SqlState::DUPLICATE_TABLE, SqlState::UNIQUE_VIOLATION].contains(code))
}
