//! [`Server`]: where the scripts run, and the connection to it.

use std::{future::Future, sync::Arc, time::Duration};

use biped_core::{Clock, StoreError, SystemClock};
use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
};

use crate::{
    address::{Address, Target},
    connection::Connection,
    fault,
    link::{Current, Link, Listener},
    scripts::Source,
};

/// One server, a cluster, or the primary that sentinels name. Its operations share a connection, which the
/// first one makes, and which reconnects on its own.
pub(crate) struct Server {
    pub(crate) target: Target,
    /// The URLs without users and passwords.
    pub(crate) shown: String,
    pub(crate) clock: Arc<dyn Clock>,
    /// The longest time that an operation takes.
    limit: Duration,
    link: Arc<Current>,
}

/// What is sent, maybe twice.
enum Work {
    /// The commands for a server that knows the script, and for one that doesn't.
    Script {
        known: Cmd,
        whole: Cmd,
    },
    Commands(Pipeline),
}

impl Work {
    async fn send(&self, connection: &mut Connection) -> RedisResult<Value> {
        match self {
            Self::Commands(all) => all.query_async(connection).await,
            Self::Script { known, whole } => match known.query_async(connection).await {
                // The server has just started, or is new.
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    whole.query_async(connection).await
                }
                answer => answer,
            },
        }
    }
}

impl Server {
    /// The server at an address, for operations that take `limit` at most.
    pub(crate) fn at(address: Address, limit: Duration) -> Self {
        let Address { target, shown } = address;
        Self {
            target,
            shown,
            clock: Arc::new(SystemClock),
            limit,
            link: Arc::default(),
        }
    }

    /// The same server, with a connection of its own for operations that take `limit` at most.
    pub(crate) fn apart(&self, limit: Duration) -> Self {
        Self {
            target: self.target.clone(),
            shown: self.shown.clone(),
            clock: self.clock.clone(),
            limit,
            link: Arc::default(),
        }
    }

    /// The connection. It is made anew where another runtime drives the present one.
    pub(crate) async fn link(&self) -> RedisResult<Arc<Link>> {
        if let Some(link) = self.link.known() {
            return Ok(link);
        }
        let new = match &self.target {
            Target::One(client) => Link::new(client.clone(), self.limit)?,
            #[cfg(feature = "cluster")]
            Target::Cluster(nodes) => Link::to_cluster(nodes, self.limit)?,
            #[cfg(feature = "sentinel")]
            Target::Sentinel(sentinels) => {
                return sentinels.link(self.link.clone(), self.clock.clone()).await;
            }
        };
        Ok(self.link.keep(new))
    }

    /// Whether another server may have taken over from the one that failed.
    pub(crate) fn may_move(&self) -> bool {
        !matches!(self.target, Target::One(_))
    }

    /// Runs a script. It is tried again if the connection is broken, since all scripts may run twice.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &Source,
        keys: &[String],
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<T, StoreError> {
        let [mut known, mut whole] = script.commands(keys);
        let mut given = Cmd::new();
        arguments(&mut given);
        for argument in given.args_iter() {
            if let redis::Arg::Simple(argument) = argument {
                known.arg(argument);
                whole.arg(argument);
            }
        }
        self.twice(&Work::Script { known, whole }).await
    }

    /// Sends commands that may be sent twice.
    pub(crate) async fn ask<T: FromRedisValue>(&self, all: Pipeline) -> Result<T, StoreError> {
        self.twice(&Work::Commands(all)).await
    }

    async fn twice<T: FromRedisValue>(&self, work: &Work) -> Result<T, StoreError> {
        let before = self.link.known();
        let done = self.bounded(async {
            match self.once(work).await {
                Err(error)
                    if error.is_unrecoverable_error()
                        || error.is_io_error()
                        || error.code() == Some("READONLY") && self.may_move() =>
                {
                    self.once(work).await
                }
                answer => answer,
            }
        });
        let done = done.await;
        if done.is_err() {
            self.leave(before);
        }
        let answer = T::from_redis_value(done?);
        answer.map_err(|error| self.fault(&error.into()))
    }

    /// Listens for changes of a key until the listener is dropped.
    pub(crate) async fn listen(&self, channel: &str) -> Result<Listener, StoreError> {
        let listening = async {
            match self.link().await?.listen(channel, &self.clock).await {
                // The connection works, and the user may not listen.
                Err(error) if error.code().is_some() => Ok(Err(error)),
                listening => listening.map(Ok),
            }
        };
        let before = self.link.known();
        let done = self.bounded(listening).await;
        if done.is_err() {
            self.leave(before);
        }
        done?.map_err(|error| self.fault(&error))
    }

    /// Drops the connection that an operation began with, where another server may have taken over. A
    /// cluster's client learns nothing from a server that stands still: it sends again what was not
    /// answered, to the same server. A connection that is new may not have had the time to connect.
    fn leave(&self, before: Option<Arc<Link>>) {
        if let Some(link) = before.filter(|_| self.may_move()) {
            self.part_with(&link);
        }
    }

    async fn once(&self, work: &Work) -> RedisResult<Value> {
        let link = self.link().await?;
        let answer = work.send(&mut link.connection()).await;
        let is_from_server = |error: &RedisError| error.code().is_some();
        if answer.as_ref().err().is_none_or(is_from_server) {
            link.answered();
        }
        if let Err(error) = &answer
            && (!error.is_io_error() || self.may_move())
        {
            self.part_with(&link);
        }
        answer
    }

    /// Drops the connection, so that the next operation makes another. A connection reconnects on its own
    /// after it was cut, but not after the server refused it, for example for a wrong password.
    fn part_with(&self, link: &Arc<Link>) {
        let parted = self
            .link
            .lock()
            .take_if(|current| Arc::ptr_eq(current, link));
        parted.iter().for_each(|link| link.end());
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreError> {
        tokio::select! {
            biased;
            done = work => done.map_err(|error| self.fault(&error)),
            () = self.clock.sleep(self.limit) => {
                let mut why = format!("does not respond within {} ms", self.limit.as_millis());
                if !self.link.known().is_some_and(|link| link.has_answered()) {
                    why = format!("{why}: {}", fault::NEVER_ANSWERED);
                }
                Err(self.refused(&why))
            }
        }
    }

    /// The error of a command, without what was sent: a server may repeat that.
    pub(crate) fn fault(&self, error: &RedisError) -> StoreError {
        match error.code() {
            Some("CLUSTERDOWN") if self.may_move() => self.refused(
                "responds with CLUSTERDOWN: another server takes over, or slots have no server, \
                 which CLUSTER INFO tells",
            ),
            Some(code @ ("MOVED" | "ASK" | "TRYAGAIN")) if self.may_move() => self.refused(
                &format!("responds with {code}: another server takes over, or slots move"),
            ),
            _ if fault::is_hang_up(error) && self.has_never_answered() => {
                self.refused(fault::HANGS_UP)
            }
            _ => self.refused(&fault::why(error)),
        }
    }

    /// Whether there is a connection, and the server has never answered on it.
    fn has_never_answered(&self) -> bool {
        self.link.known().is_some_and(|link| !link.has_answered())
    }

    /// An error that says what is wrong with the server.
    pub(crate) fn refused(&self, why: &str) -> StoreError {
        StoreError::new(format!("the Redis server at {} {why}", self.shown))
    }
}
