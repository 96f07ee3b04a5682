//! [`Session`]: a connection to a server, made ready, and the task that drives it.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use biped_core::Clock;
use tokio::task::AbortHandle;
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, Error, Row, Socket, error::SqlState, types::Type,
};

use crate::{
    fault,
    table::{LAYOUT, MARK, Parameter, Table},
    tls::{Encrypted, Tls},
    waiters::Waiters,
};

/// The longest time that an operation takes.
pub const LIMIT: Duration = Duration::from_millis(250);

/// Commits do not wait for the disk or a replica, which may take longer than an operation has: the fleet
/// would go on without its store. A server that crashes loses the last moments, as a fail-over does.
const LOOSE: &str = "synchronous_commit = off";

/// A connection with the table checked and its changes heard.
pub(crate) struct Session {
    pub(crate) client: Client,
    driver: AbortHandle,
    /// Held while a transaction is sent.
    turn: Mutex<()>,
}

impl Drop for Session {
    /// A connection to a server that hangs would never end by itself.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// How a connection is made ready.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) tls: Tls,
    pub(crate) table: Table,
    pub(crate) create: bool,
    pub(crate) pooler: bool,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Session {
    /// Connects to one server. Returns why that failed.
    pub(crate) async fn connect(server: &Config, setup: &Setup) -> Result<Self, String> {
        let connected = server.connect(setup.tls.clone()).await;
        let (client, connection) = connected.map_err(|error| fault::why(&error))?;
        let driver = tokio::spawn(drive(connection, setup.waiters.clone()));
        let session = Self {
            client,
            driver: driver.abort_handle(),
            turn: Mutex::default(),
        };
        session.prepare(setup).await?;
        Ok(session)
    }

    async fn prepare(&self, setup: &Setup) -> Result<(), String> {
        let why = |error: Error| fault::why(&error);
        let Table { name, channel, .. } = &setup.table;
        // Behind a pooler, what a session sets would reach the transactions of others.
        let session = (!setup.pooler).then(|| {
            let limit = LIMIT.as_millis();
            format!("SET statement_timeout = {limit}; SET {LOOSE}; LISTEN \"{channel}\"")
        });
        let set = async {
            match &session {
                Some(session) => self.client.batch_execute(session).await.map_err(why),
                None => Ok(()),
            }
        };
        // Both are sent at once.
        let (is_set, is_there) = tokio::join!(biased; set, self.is_there(setup));
        is_set?;
        if is_there? {
            return Ok(());
        }
        if !setup.create {
            return Err(format!(
                "has no table {name}; create it with the SQL of biped-postgres's documentation, or \
                 remove create = false"
            ));
        }
        // Several statements in one message are a transaction.
        let make = format!("SET LOCAL {LOOSE}; {}", setup.table.schema());
        match self.client.batch_execute(&make).await {
            Ok(()) => Ok(()),
            // Another process has just made it.
            Err(error) if is_taken(&error) => match self.is_there(setup).await? {
                true => Ok(()),
                false => Err(why(error)),
            },
            Err(error) => Err(why(error)),
        }
    }

    /// Runs a statement that returns a row at most, for as long as an operation may take at the server.
    pub(crate) async fn run(
        &self,
        setup: &Setup,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, Error> {
        // Without a prepared statement, so that it is one message to the server, and a pooler may send the
        // next to another connection.
        let answer = self.client.query_typed_opt(statement, parameters);
        if !setup.pooler {
            return answer.await;
        }
        // The limit ends with a transaction of its own, all of which is sent at once.
        let limit = LIMIT.as_millis();
        let begin = format!("BEGIN; SET LOCAL statement_timeout = {limit}; SET LOCAL {LOOSE}");
        let mut all = pin!(async {
            tokio::join!(
                biased;
                self.client.batch_execute(&begin),
                answer,
                self.client.batch_execute("COMMIT"),
            )
        });
        let mut is_sent = false;
        let (begun, answer, ended) = poll_fn(|cx| {
            // The first poll sends: another thread's statements must not come in between.
            let turn = (!is_sent).then(|| self.turn.lock().unwrap_or_else(PoisonError::into_inner));
            is_sent = true;
            let polled = all.as_mut().poll(cx);
            drop(turn);
            polled
        })
        .await;
        begun?;
        let row = answer?;
        ended?;
        Ok(row)
    }

    /// Whether the table is there. Fails if it has another layout.
    async fn is_there(&self, setup: &Setup) -> Result<bool, String> {
        const FIND: &str = "SELECT obj_description(found, 'pg_class') \
                            FROM to_regclass($1) AS found WHERE found IS NOT NULL";
        let found = self
            .client
            .query_typed_opt(FIND, &[(&setup.table.quoted, Type::TEXT)])
            .await
            .map_err(|error| fault::why(&error))?;
        let Some(row) = found else {
            return Ok(false);
        };
        let comment: Option<String> = row.try_get(0).unwrap_or_default();
        let comment = comment.unwrap_or_default();
        if comment.starts_with(MARK) && comment != LAYOUT {
            let name = &setup.table.name;
            return Err(format!(
                "has a table {name} of another version of Biped; name another table"
            ));
        }
        Ok(true)
    }
}

fn is_taken(error: &Error) -> bool {
    let code = error.code();
    code.is_some_and(|code| [SqlState::DUPLICATE_TABLE, SqlState::UNIQUE_VIOLATION].contains(code))
}

/// Carries a connection until it ends, and hands on what it announces.
async fn drive(mut connection: Connection<Socket, Encrypted<Socket>>, waiters: Arc<Waiters>) {
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(news) = message {
            waiters.wake(news.payload());
        }
    }
    waiters.wake_all();
}
