//! [`Link`]: the connection of a process, and its subscriptions. [`Current`]: the one that is used now.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use biped_core::{Clock, TokenKey};
use redis::{
    Client, PushInfo, PushKind, RedisResult, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::{runtime, sync::Notify};

#[cfg(feature = "cluster")]
use crate::cluster::Nodes;
use crate::connection::Connection;

/// The longest time that an operation on tokens takes.
pub const LIMIT: Duration = Duration::from_millis(250);

/// How long a subscription without waiting callers is kept.
const LINGER: Duration = Duration::from_secs(2);

/// A connection, which reconnects on its own, and its subscriptions.
pub(crate) struct Link {
    /// The runtime that drives the connection. On another runtime it would never respond.
    runtime: runtime::Id,
    connection: Connection,
    channels: Arc<Channels>,
    has_answered: AtomicBool,
    /// Held while a subscription is made or ended, so that the commands are in order.
    subscribing: tokio::sync::Mutex<()>,
}

/// The waiting callers, by the name of the channel.
#[derive(Default)]
struct Channels(Mutex<HashMap<Vec<u8>, Channel>>);

#[derive(Default)]
struct Channel {
    arrivals: Arc<Notify>,
    waiters: usize,
    subscription: Subscription,
}

/// What the server knows of a channel.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Subscription {
    #[default]
    None,
    /// It was asked for and may come about, even if the caller that asked is gone.
    Asked,
    Confirmed,
}

impl Link {
    /// Prepares a connection, which the first command makes. Needs a runtime.
    pub(crate) fn new(client: Client, limit: Duration) -> RedisResult<Self> {
        let channels = Arc::new(Channels::default());
        let heard = channels.clone();
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(limit))
            .set_response_timeout(Some(limit))
            // Each operation tries twice. After more tries the time limit would hide the error.
            .set_number_of_retries(0)
            .set_push_sender(move |push: PushInfo| {
                heard.hear(&push);
                Ok::<_, std::convert::Infallible>(())
            })
            .set_automatic_resubscription();
        let connection = ConnectionManager::new_lazy_with_config(client, config)?;
        Ok(Self::over(Connection::One(connection), channels))
    }

    /// Prepares connections to the primaries of a cluster. Needs a runtime.
    #[cfg(feature = "cluster")]
    pub(crate) fn to_cluster(nodes: &Nodes, limit: Duration) -> RedisResult<Self> {
        let channels = Arc::new(Channels::default());
        let heard = channels.clone();
        let connection = nodes.connect(limit, move |push| heard.hear(&push))?;
        Ok(Self::over(Connection::Cluster(connection), channels))
    }

    fn over(connection: Connection, channels: Arc<Channels>) -> Self {
        Self {
            runtime: runtime::Handle::current().id(),
            connection,
            channels,
            has_answered: AtomicBool::new(false),
            subscribing: tokio::sync::Mutex::default(),
        }
    }

    /// Wakes all waiting callers, since nothing more is heard here.
    pub(crate) fn end(&self) {
        self.channels.wake();
    }

    /// Waits until the server answers, whatever it says.
    #[cfg(feature = "sentinel")]
    pub(crate) async fn reach(&self) -> RedisResult<()> {
        let said: RedisResult<Value> = redis::cmd("PING").query_async(&mut self.connection()).await;
        match said {
            Err(error) if error.code().is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// Notes that the server has answered, whatever it said.
    pub(crate) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    /// Whether the server has ever answered on this connection.
    pub(crate) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Whether the current runtime drives the connection.
    fn is_driven(&self) -> bool {
        runtime::Handle::try_current().is_ok_and(|current| current.id() == self.runtime)
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Listens for changes of a key until the listener is dropped.
    pub(crate) async fn listen(
        self: &Arc<Self>,
        channel: &str,
        clock: &Arc<dyn Clock>,
    ) -> RedisResult<Listener> {
        let arrivals = self.channels.enter(channel.as_bytes());
        let listener = Listener {
            link: self.clone(),
            clock: clock.clone(),
            channel: channel.to_owned(),
            arrivals,
        };
        let _turn = self.subscribing.lock().await;
        if !self.channels.is_subscribed(channel.as_bytes()) {
            self.subscribe(channel).await?;
        }
        Ok(listener)
    }

    async fn subscribe(&self, channel: &str) -> RedisResult<()> {
        let note = |subscription| self.channels.note(channel.as_bytes(), subscription);
        // The caller may be gone before the answer is here.
        note(Subscription::Asked);
        let asked = self.connection().subscribe(channel).await;
        match &asked {
            Ok(()) => note(Subscription::Confirmed),
            Err(error) if error.code().is_some() => note(Subscription::None),
            Err(_) => {}
        }
        asked
    }

    async fn leave(&self, channel: &str) {
        let _turn = self.subscribing.lock().await;
        if self.channels.close(channel.as_bytes()) {
            // A server that is gone has forgotten the subscription anyway.
            let _ = self.connection().unsubscribe(channel).await;
        }
    }
}

impl Channels {
    fn enter(&self, name: &[u8]) -> Arc<Notify> {
        let mut channels = self.lock();
        let channel = channels.entry(name.to_vec()).or_default();
        channel.waiters += 1;
        channel.arrivals.clone()
    }

    fn exit(&self, name: &[u8]) {
        if let Some(channel) = self.lock().get_mut(name) {
            channel.waiters = channel.waiters.saturating_sub(1);
        }
    }

    fn is_subscribed(&self, name: &[u8]) -> bool {
        self.lock()
            .get(name)
            .is_some_and(|channel| channel.subscription == Subscription::Confirmed)
    }

    fn note(&self, name: &[u8], subscription: Subscription) {
        if let Some(channel) = self.lock().get_mut(name) {
            channel.subscription = subscription;
        }
    }

    /// Forgets a channel without waiting callers. Returns whether its subscription has to be ended.
    fn close(&self, name: &[u8]) -> bool {
        let mut channels = self.lock();
        match channels.get(name) {
            Some(channel) if channel.waiters == 0 => channels
                .remove(name)
                .is_some_and(|channel| channel.subscription != Subscription::None),
            _ => false,
        }
    }

    fn hear(&self, push: &PushInfo) {
        let channels = self.lock();
        match (&push.kind, push.data.first()) {
            (PushKind::Message, Some(Value::BulkString(name))) => {
                if let Some(channel) = channels.get(name) {
                    channel.arrivals.notify_waiters();
                }
            }
            // Messages may have been lost meanwhile, so all waiting callers check.
            (PushKind::Disconnection, _) => {
                drop(channels);
                self.wake();
            }
            _ => {}
        }
    }

    fn wake(&self) {
        for channel in self.lock().values() {
            channel.arrivals.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Channel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection, once there is one.
#[derive(Default)]
pub(crate) struct Current {
    link: Mutex<Option<Arc<Link>>>,
    /// Held by the task that asks the sentinels.
    #[cfg(feature = "sentinel")]
    pub(crate) asking: Arc<tokio::sync::Mutex<()>>,
}

impl Current {
    /// The connection, if the present runtime drives it.
    pub(crate) fn known(&self) -> Option<Arc<Link>> {
        self.lock().clone().filter(|link| link.is_driven())
    }

    /// Keeps a connection, unless another was faster. Returns the one that is kept.
    pub(crate) fn keep(&self, new: Link) -> Arc<Link> {
        let mut current = self.lock();
        match current.clone().filter(|link| link.is_driven()) {
            Some(link) => link,
            None => current.insert(Arc::new(new)).clone(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Arc<Link>>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A waiting caller.
pub(crate) struct Listener {
    link: Arc<Link>,
    clock: Arc<dyn Clock>,
    channel: String,
    arrivals: Arc<Notify>,
}

impl Listener {
    pub(crate) fn arrivals(&self) -> &Notify {
        &self.arrivals
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.link.channels.exit(self.channel.as_bytes());
        let Ok(runtime) = runtime::Handle::try_current() else {
            return;
        };
        let (link, clock) = (Arc::downgrade(&self.link), self.clock.clone());
        let channel = std::mem::take(&mut self.channel);
        // The subscription is kept for a while, for a caller that waits again soon.
        runtime.spawn(async move {
            clock.sleep(LINGER).await;
            if let Some(link) = link.upgrade() {
                link.leave(&channel).await;
            }
        });
    }
}

/// The names under which a key's data is stored.
pub(crate) struct Names {
    pub(crate) keys: [String; 5],
    pub(crate) channel: String,
}

impl Names {
    /// The braces make a cluster keep all data of a token on one node.
    pub(crate) fn new(prefix: &str, key: &TokenKey) -> Self {
        let channel = format!("{prefix}:{{{key}}}:1");
        let keys = ["token", "forgotten", "lease", "failure", "newest"]
            .map(|what| format!("{channel}:{what}"));
        Self { keys, channel }
    }
}

#[cfg(test)]
mod tests {
    use biped_testing::ManualClock;
    use redis::{IntoConnectionInfo, ProtocolVersion};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::mpsc::{UnboundedSender, unbounded_channel},
    };

    use super::*;

    /// Answers commands, but a SUBSCRIBE only with the next command. Says which it got.
    async fn serve(listener: TcpListener, heard: UnboundedSender<&'static str>) {
        const SUBSCRIBED: &str = ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
        const UNSUBSCRIBED: &str = ">3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n";
        let (mut socket, _) = listener.accept().await.unwrap();
        let (mut request, mut late) = ([0; 4096], "");
        while let Ok(length @ 1..) = socket.read(&mut request).await {
            let text = String::from_utf8_lossy(&request[..length]);
            let known = [
                ("UNSUBSCRIBE", UNSUBSCRIBED),
                ("SUBSCRIBE", SUBSCRIBED),
                ("PING", "+PONG\r\n"),
                ("HELLO", "+OK\r\n"),
            ];
            let (name, answer) = known.into_iter().find(|(it, _)| text.contains(it)).unwrap();
            heard.send(name).unwrap();
            let before = std::mem::take(&mut late);
            if name == "SUBSCRIBE" {
                late = answer;
            } else {
                let both = format!("{before}{answer}");
                socket.write_all(both.as_bytes()).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_subscription_whose_caller_left_before_the_answer_is_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let info = url.into_connection_info().unwrap();
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let info = info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3));
        let (heard, mut commands) = unbounded_channel();
        tokio::spawn(serve(listener, heard));
        // Far more than a busy machine takes: the connection itself has real time.
        let limit = Duration::from_secs(60);
        let link = Arc::new(Link::new(Client::open(info).unwrap(), limit).unwrap());
        let manual = Arc::new(ManualClock::new());
        let clock: Arc<dyn Clock> = manual.clone();

        let is_sent = async { while commands.recv().await != Some("SUBSCRIBE") {} };
        tokio::select! {
            _ = link.listen("c", &clock) => panic!("it was answered"),
            () = is_sent => {}
        }
        // The channel is closed after LINGER, and then its subscription is ended in the same turn.
        while !link.channels.lock().is_empty() {
            manual.advance(LINGER);
            tokio::task::yield_now().await;
        }
        drop(link.subscribing.lock().await);
        let pong: RedisResult<Value> = redis::cmd("PING").query_async(&mut link.connection()).await;
        pong.unwrap();
        assert_eq!(commands.recv().await, Some("UNSUBSCRIBE"));
    }
}
