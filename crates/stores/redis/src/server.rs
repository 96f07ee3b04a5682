//! [`Server`]: where the scripts run, and the connection to it.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

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
/// first one makes, which reconnects on its own, and which is replaced if it goes silent.
pub(crate) struct Server {
    pub(crate) target: Target,
    /// The URLs without users and passwords.
    pub(crate) shown: String,
    pub(crate) clock: Arc<dyn Clock>,
    /// The longest time that an operation takes.
    limit: Duration,
    link: Arc<Current>,
    /// Whether it has ever answered, on any connection.
    has_answered: AtomicBool,
}

/// An operation that waits for its answer, on the connection that it began with.
struct Waiting<'a> {
    server: &'a Server,
    link: Option<Arc<Link>>,
    since: Duration,
}

impl Drop for Waiting<'_> {
    /// An operation that its caller drops can't tell that nothing came.
    fn drop(&mut self) {
        let waited = self.server.clock.now().mono.saturating_sub(self.since);
        let link = self.link.take().filter(|link| link.has_answered());
        if let Some(link) = link.filter(|_| waited >= self.server.patience()) {
            self.server.part_with(&link);
        }
    }
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
            has_answered: AtomicBool::new(false),
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
            has_answered: AtomicBool::new(false),
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
        let answer = T::from_redis_value(done.await?);
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
        let done = self.bounded(listening).await;
        done?.map_err(|error| self.fault(&error))
    }

    /// How long an operation that its caller drops must have waited for the connection to be at fault. A
    /// caller's time may end a little earlier than the limit; one that polls drops what it waits for
    /// after 100 ms, however well the server does.
    fn patience(&self) -> Duration {
        self.limit * 4 / 5
    }

    /// Drops the connection that a failed operation began with. It may lead nowhere, and nobody tells: a
    /// firewall has forgotten it, or its server has lost power. A cluster's client learns nothing from a
    /// server that stands still either: it sends again what was not answered, to the same server. A
    /// connection to one server that has never answered may only need more time to connect.
    fn leave(&self, before: Option<Arc<Link>>) {
        if let Some(link) = before.filter(|link| self.may_move() || link.has_answered()) {
            self.part_with(&link);
        }
    }

    async fn once(&self, work: &Work) -> RedisResult<Value> {
        let link = self.link().await?;
        let answer = work.send(&mut link.connection()).await;
        let is_from_server = |error: &RedisError| error.code().is_some();
        if answer.as_ref().err().is_none_or(is_from_server) {
            link.answered();
            self.has_answered.store(true, Ordering::Relaxed);
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

    /// Does work within the limit. After a failure, the next operation makes another connection.
    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreError> {
        let mut waiting = Waiting {
            server: self,
            link: self.link.known(),
            since: self.clock.now().mono,
        };
        let done = tokio::select! {
            biased;
            done = work => done.map_err(|error| self.fault(&error)),
            () = self.clock.sleep(self.limit) => Err(self.silent()),
        };
        let before = waiting.link.take();
        if done.is_err() {
            self.leave(before);
        }
        done
    }

    fn silent(&self) -> StoreError {
        let mut why = format!("does not respond within {} ms", self.limit.as_millis());
        if !self.has_answered.load(Ordering::Relaxed) {
            why = format!("{why}: {}", fault::NEVER_ANSWERED);
        }
        self.refused(&why)
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

    /// Whether there is a connection, and the server has never answered on any.
    fn has_never_answered(&self) -> bool {
        self.link.known().is_some() && !self.has_answered.load(Ordering::Relaxed)
    }

    /// An error that says what is wrong with the server.
    pub(crate) fn refused(&self, why: &str) -> StoreError {
        StoreError::new(format!("the Redis server at {} {why}", self.shown))
    }
}

#[cfg(test)]
mod tests {
    use biped_testing::ManualClock;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    };

    use super::*;

    /// Far more than a busy machine takes: the connection itself has real time.
    const LIMIT: Duration = Duration::from_secs(60);

    /// Answers each request with its number, the second PING only after the next. Says when it got one.
    async fn answer(mut socket: TcpStream, heard: UnboundedSender<usize>) {
        let mut request = [0; 4096];
        for number in 0.. {
            let read = socket.read(&mut request).await;
            if read.is_err() || read.is_ok_and(|read| read == 0) {
                return;
            }
            heard.send(number).unwrap();
            let answer = match number {
                0 => "+OK\r\n".to_owned(),
                2 => continue,
                3 => ":2\r\n:3\r\n".to_owned(),
                number => format!(":{number}\r\n"),
            };
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    async fn served(clock: Arc<ManualClock>) -> (Server, UnboundedReceiver<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (heard, requests) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, heard.clone()));
            }
        });
        let mut server = Server::at(Address::new(&url.into(), None).unwrap(), LIMIT);
        server.clock = clock;
        (server, requests)
    }

    async fn ask(server: &Server) -> u8 {
        let mut ping = Pipeline::new();
        ping.cmd("PING");
        let [number]: [u8; 1] = server.ask(ping).await.unwrap();
        number
    }

    /// What answers after an operation was dropped that had waited.
    async fn next_after_one_dropped(waited: Duration) -> u8 {
        let clock = Arc::new(ManualClock::new());
        let (server, mut requests) = served(clock.clone()).await;
        assert_eq!(ask(&server).await, 1);
        let silent = async { while requests.recv().await != Some(2) {} };
        tokio::select! {
            answered = ask(&server) => panic!("it was answered: {answered}"),
            () = async { silent.await; clock.advance(waited) } => {}
        }
        ask(&server).await
    }

    #[tokio::test]
    async fn a_silent_connection_is_replaced_though_its_operations_are_dropped() {
        assert_eq!(next_after_one_dropped(LIMIT * 9 / 10).await, 1);
    }

    #[tokio::test]
    async fn an_operation_that_is_dropped_early_leaves_the_connection() {
        assert_eq!(next_after_one_dropped(LIMIT * 2 / 5).await, 3);
    }
}
