//! [`PostgresStore`]: tokens that a fleet shares.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use biped_core::{
    Claim, DurableStore, Error, Generation, Lease, LeaseFailure, LeaseId, SecretString, StoreError,
    StoredToken, SystemClock, TokenKey, TokenStore,
};
use tokio_postgres::{Config, Row, error::SqlState, types::Type};

use crate::{
    accounts::Accounts,
    address::Address,
    fault,
    link::Link,
    session::{LIMIT, Session, Setup},
    table::{BATCH, DEFAULT, Parameter, Table},
    waiters::Waiters,
};

/// The default name of the table.
pub const DEFAULT_TABLE: &str = DEFAULT;

/// How long the newest generation of a key is remembered, in seconds.
const NEWEST: f64 = 24.0 * 60.0 * 60.0;
/// How often a caller looks that can't be notified.
const POLL: Duration = Duration::from_millis(100);
/// How long a single server is left alone after it failed.
const REST_OF_ONE: Duration = Duration::from_secs(5);
/// How long several servers are left alone, of which another may take over.
const REST_OF_SEVERAL: Duration = Duration::from_secs(1);
/// How often a process removes expired rows.
const SWEEP: Duration = Duration::from_secs(60);

/// A store in PostgreSQL ([its contents](crate)).
///
/// It is cheap to clone. All clones share one connection, which the first operation makes, and which is
/// made again when it is lost.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    servers: Arc<[Config]>,
    /// The servers, without user and password.
    shown: String,
    setup: Setup,
    link: Arc<Link>,
    /// When expired rows are removed next, in milliseconds of the monotonic clock.
    sweep: Arc<AtomicU64>,
}

impl PostgresStore {
    /// The store at `postgres://user:password@host:5432/database`, with libpq's options. Nothing is sent
    /// yet.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for any other URL, and if TLS can't be
    /// set up.
    pub fn new(url: &SecretString) -> Result<Self, Error> {
        Self::of(Address::new(url, None)?)
    }

    /// The same, with certificates (PEM) of the authorities that may vouch for the server, instead of the
    /// platform's.
    ///
    /// # Errors
    /// Fails like [`new`](Self::new), for certificates that can't be read, and for a URL that does not
    /// require TLS.
    pub fn with_ca(url: &SecretString, pem: impl AsRef<[u8]>) -> Result<Self, Error> {
        Self::of(Address::new(url, Some(pem.as_ref()))?)
    }

    fn of(address: Address) -> Result<Self, Error> {
        let table = Table::new(DEFAULT).ok_or_else(|| Error::internal("the table has no name"))?;
        Ok(Self(Arc::new(Inner {
            servers: address.servers.into(),
            shown: address.shown,
            setup: Setup {
                tls: address.tls,
                table,
                create: true,
                pooler: false,
                waiters: Arc::default(),
                clock: Arc::new(SystemClock),
            },
            link: Arc::default(),
            sweep: Arc::default(),
        })))
    }

    /// Sets the name of the table: `table` or `schema.table`, of letters, digits and `_`. Upper and lower
    /// case are told apart. Default: `biped_tokens`. Fleets with the same table share their tokens.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for any other name.
    pub fn table(self, name: &str) -> Result<Self, Error> {
        let table = Table::new(name).ok_or_else(|| {
            Error::configuration("expected the name of a table, of letters, digits and _")
                .with_remedy("use table or schema.table")
        })?;
        Ok(self.with(|setup| setup.table = table))
    }

    /// Sets whether a missing table is made. Default: `true`.
    #[must_use]
    pub fn create(self, create: bool) -> Self {
        self.with(|setup| setup.create = create)
    }

    /// Sets whether there is a pooler in transaction mode, such as PgBouncer, in between. Then nothing
    /// rests on a session, and waiting callers look every 100 ms. Default: `false`.
    #[must_use]
    pub fn pooler(self, pooler: bool) -> Self {
        self.with(|setup| setup.pooler = pooler)
    }

    /// Changes the setup. What was made with the old one is left to its clones.
    fn with(self, change: impl FnOnce(&mut Setup)) -> Self {
        let mut inner = (*self.0).clone();
        inner.setup.waiters = Arc::<Waiters>::default();
        inner.link = Arc::default();
        change(&mut inner.setup);
        Self(Arc::new(inner))
    }

    fn sql(&self) -> &Table {
        &self.0.setup.table
    }

    async fn session(&self) -> Result<Arc<Session>, StoreError> {
        let Inner { servers, setup, .. } = &*self.0;
        let session = self.0.link.session(servers, setup).await;
        session.map_err(|why| self.fault(&why))
    }

    /// Runs a statement that returns a row at most. It is tried again if the connection is broken, since
    /// all statements may run twice.
    async fn run(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, StoreError> {
        let session = self.session().await?;
        match self.once(&session, statement, parameters).await {
            Err(error) if error.as_db_error().is_none() || is_ending(&error) => {
                let session = self.session().await?;
                let again = self.once(&session, statement, parameters).await;
                again.map_err(|error| self.fault(&fault::why(&error)))
            }
            answer => answer.map_err(|error| self.fault(&fault::why(&error))),
        }
    }

    async fn once(
        &self,
        session: &Arc<Session>,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, tokio_postgres::Error> {
        let answer = session.run(&self.0.setup, statement, parameters).await;
        let Inner { link, setup, .. } = &*self.0;
        match answer.as_ref().map_err(tokio_postgres::Error::code) {
            Ok(_) | Err(Some(&SqlState::QUERY_CANCELED)) => {}
            Err(Some(&SqlState::READ_ONLY_SQL_TRANSACTION)) => link.pass_over(session, setup),
            // A replica may have been promoted, and a table removed: a new connection looks again.
            Err(_) => link.part_with(session, setup),
        }
        answer
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let Inner { setup, link, .. } = &*self.0;
        let waiting = link.watch(setup);
        let done = tokio::select! {
            biased;
            done = work => done,
            () = setup.clock.sleep(LIMIT) => {
                // The server may hang; the next operation asks on a new connection.
                let mut why = format!("does not respond within {} ms", LIMIT.as_millis());
                if !link.part(setup) {
                    why = format!("{why}: {}", fault::SILENT);
                }
                Err(self.fault(&why))
            }
        };
        waiting.end();
        done
    }

    fn fault(&self, why: &str) -> StoreError {
        StoreError::new(format!("the PostgreSQL server at {} {why}", self.0.shown))
    }

    /// The error for a row with other types than the statement has.
    fn strange(&self) -> StoreError {
        self.fault("has a table of another layout; name another table")
    }

    /// Removes expired rows in the background, in small batches, at most once a minute.
    fn sweep(&self) {
        let now = self.0.setup.clock.now().mono;
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let due = self.0.sweep.load(Ordering::Relaxed);
        let next = now.saturating_add(u64::try_from(SWEEP.as_millis()).unwrap_or(u64::MAX));
        let turn = (Ordering::Relaxed, Ordering::Relaxed);
        let taken = now < due
            || self
                .0
                .sweep
                .compare_exchange(due, next, turn.0, turn.1)
                .is_err();
        if taken {
            return;
        }
        let store = self.clone();
        tokio::spawn(async move {
            let sweep = &store.sql().sweep;
            while let Ok(session) = store.session().await {
                let batch = session.run(&store.0.setup, sweep, &[(&BATCH, Type::INT8)]);
                let swept = batch.await.ok().flatten();
                // What remains after an error is left to the next sweep.
                if swept.is_none_or(|row| row.try_get(0).unwrap_or(0) < BATCH) {
                    break;
                }
            }
        });
    }

    /// Why a lease was not granted.
    async fn refusal(&self, key: &TokenKey) -> Result<Claim, StoreError> {
        let key = &key.as_bytes()[..];
        let found = self
            .run(&self.sql().refusal, &[(&key, Type::BYTEA)])
            .await?;
        let free = Claim::Taken {
            left: Duration::ZERO,
        };
        let Some(row) = found else {
            return Ok(free);
        };
        let (taken, cooling) = (row.try_get(0), row.try_get(1));
        let (Ok(taken), Ok(cooling)) = (taken, cooling) else {
            return Err(self.strange());
        };
        let (taken, cooling): (Option<f64>, Option<f64>) = (taken, cooling);
        Ok(match (taken, cooling) {
            (Some(left), _) => Claim::Taken {
                left: duration(left),
            },
            (None, Some(left)) => Claim::CoolingDown {
                left: duration(left),
                why: row.try_get(2).unwrap_or_default(),
            },
            (None, None) => free,
        })
    }

    /// Whether a process holds the lease, and there is no token after a generation yet.
    async fn is_awaited(&self, key: &TokenKey, after: Generation) -> Result<bool, StoreError> {
        let (key, after) = (&key.as_bytes()[..], number(after.0));
        let parameters: [Parameter<'_>; 2] = [(&key, Type::BYTEA), (&after, Type::INT8)];
        let found = self.bounded(self.run(&self.sql().is_awaited, &parameters));
        Ok(found.await?.is_some())
    }
}

#[async_trait]
impl TokenStore for PostgresStore {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        let key = &key.as_bytes()[..];
        let parameters: [Parameter<'_>; 1] = [(&key, Type::BYTEA)];
        let found = self.bounded(self.run(&self.sql().get, &parameters));
        let Some(row) = found.await? else {
            return Ok(None);
        };
        let (generation, bytes, left) = (row.try_get(0), row.try_get(1), row.try_get(2));
        let (Ok(generation), Ok(bytes), Ok(left)) = (generation, bytes, left) else {
            return Err(self.strange());
        };
        let generation: i64 = generation;
        Ok(Some(StoredToken {
            generation: Generation(generation.unsigned_abs()),
            keep: duration(left),
            bytes,
        }))
    }

    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        let (key, generation) = (&key.as_bytes()[..], number(token.generation.0));
        let (bytes, keep) = (&token.bytes[..], seconds(token.keep));
        let lease = lease.map(|lease| lease.id.0.to_be_bytes().to_vec());
        let channel = &self.sql().channel;
        let put: [Parameter<'_>; 7] = [
            (&key, Type::BYTEA),
            (&generation, Type::INT8),
            (&bytes, Type::BYTEA),
            (&keep, Type::FLOAT8),
            (&NEWEST, Type::FLOAT8),
            (&lease, Type::BYTEA),
            (channel, Type::TEXT),
        ];
        let end: [Parameter<'_>; 3] = [
            (&key, Type::BYTEA),
            (&lease, Type::BYTEA),
            (channel, Type::TEXT),
        ];
        let stored = self
            .bounded(async {
                let stored = self.run(&self.sql().put, &put).await?.is_some();
                if !stored && lease.is_some() {
                    self.run(&self.sql().end_lease, &end).await?;
                }
                Ok(stored)
            })
            .await?;
        self.sweep();
        Ok(stored)
    }

    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let (key, through) = (&key.as_bytes()[..], number(through.0));
        let keep = seconds(keep);
        let parameters: [Parameter<'_>; 5] = [
            (&key, Type::BYTEA),
            (&through, Type::INT8),
            (&keep, Type::FLOAT8),
            (&NEWEST, Type::FLOAT8),
            (&self.sql().channel, Type::TEXT),
        ];
        let done = self.bounded(self.run(&self.sql().forget, &parameters));
        done.await.map(drop)
    }

    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        let id = renew.map_or_else(|| LeaseId(fastrand::u128(..)), |lease| lease.id);
        let (bytes, ttl) = (&key.as_bytes()[..], seconds(ttl));
        let written = id.0.to_be_bytes().to_vec();
        let parameters: [Parameter<'_>; 4] = [
            (&bytes, Type::BYTEA),
            (&written, Type::BYTEA),
            (&ttl, Type::FLOAT8),
            (&NEWEST, Type::FLOAT8),
        ];
        let sql = self.sql();
        let (statement, parameters) = match renew {
            None => (&sql.lease, &parameters[..]),
            Some(_) => (&sql.renew, &parameters[..3]),
        };
        self.bounded(async {
            let Some(row) = self.run(statement, parameters).await? else {
                return self.refusal(key).await;
            };
            let generation: i64 = row.try_get(0).map_err(|_| self.strange())?;
            Ok(Claim::Granted(Lease {
                id,
                generation: Generation(generation.unsigned_abs()),
            }))
        })
        .await
    }

    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        let (key, id) = (&key.as_bytes()[..], lease.id.0.to_be_bytes().to_vec());
        let cool_down = failed.as_ref().map(|failed| seconds(failed.cool_down));
        let why = failed.map(|failed| failed.why);
        let parameters: [Parameter<'_>; 5] = [
            (&key, Type::BYTEA),
            (&id, Type::BYTEA),
            (&why, Type::BYTEA),
            (&cool_down, Type::FLOAT8),
            (&self.sql().channel, Type::TEXT),
        ];
        let done = self.bounded(self.run(&self.sql().release, &parameters));
        done.await.map(drop)
    }

    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        let Setup {
            waiters,
            clock,
            pooler,
            ..
        } = &self.0.setup;
        let waiter = waiters.enter(key);
        let mut arrival = std::pin::pin!(waiter.arrivals.notified());
        arrival.as_mut().enable();
        // What is announced from now on is noticed; check whether the change came before.
        while self.is_awaited(key, after).await? {
            if !pooler {
                arrival.await;
                break;
            }
            clock.sleep(POLL).await;
        }
        Ok(())
    }

    fn rest(&self) -> Duration {
        match *self.0.servers {
            [_] => REST_OF_ONE,
            _ => REST_OF_SEVERAL,
        }
    }

    fn durable(&self) -> Option<Arc<dyn DurableStore>> {
        let Inner {
            servers,
            shown,
            setup,
            ..
        } = &*self.0;
        Some(Accounts::of(servers.clone(), shown.clone(), setup.clone()))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("servers", &self.0.shown)
            .field("table", &self.sql().name)
            .finish_non_exhaustive()
    }
}

/// Whether the server ends the connection with this response.
fn is_ending(error: &tokio_postgres::Error) -> bool {
    let ending = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::UNDEFINED_TABLE,
    ];
    error.code().is_some_and(|code| ending.contains(code))
}

/// A number as a `bigint`.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Seconds, at most ten years.
fn seconds(duration: Duration) -> f64 {
    const MOST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    duration.min(MOST).as_secs_f64()
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
}
