//! Credentials that change with each use, on servers that the tests start themselves:
//! `tests/live/run redis`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use biped_core::{AccountKey, Clock, DurableStore, Revision, SystemClock, TokenKey, TokenStore};
use biped_redis::{RedisStore, Sentinel};
use biped_sealed::{SealKey, SealedStore};
use biped_testing::store::durable;

const KEY: AccountKey = AccountKey::from_bytes([3; 32]);

/// What a server needs for credentials.
const FIT: [(&str, &str); 3] = [
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("maxmemory-policy", "noeviction"),
];

/// A server with its own directory, which is started again in the same place.
struct Server {
    port: u16,
    settings: Vec<String>,
    directory: tempfile::TempDir,
    child: Child,
}

impl Server {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let setting = |(name, value): &(&str, &str)| [format!("--{name}"), (*value).to_owned()];
        let settings = settings.iter().flat_map(setting).collect();
        let directory = tempfile::tempdir().unwrap();
        let child = spawn(port, &settings, directory.path());
        let server = Self {
            port,
            settings,
            directory,
            child,
        };
        server.is_up().await;
        server
    }

    /// A sentinel that watches nothing.
    async fn sentinel() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let directory = tempfile::tempdir().unwrap();
        // It keeps what it learns in its configuration, and does not start without one.
        let file = directory.path().join("sentinel.conf");
        let place = directory.path().display();
        let settings = format!("port {port}\nbind 127.0.0.1\ndir {place}\n");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").stdout(Stdio::null());
        let server = Self {
            port,
            settings: Vec::new(),
            directory,
            child: command.spawn().unwrap(),
        };
        server.is_up().await;
        server
    }

    /// A server that is fit but for these settings.
    async fn fit_but(settings: &[(&str, &str)]) -> Self {
        Self::start(&[&FIT, settings].concat()).await
    }

    async fn is_up(&self) {
        while !["PONG", "NOAUTH"]
            .iter()
            .any(|it| self.ask(&["PING"]).contains(it))
        {
            SystemClock.sleep(Duration::from_millis(25)).await;
        }
    }

    async fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(self.port, &self.settings, self.directory.path());
        self.is_up().await;
    }

    /// What `redis-cli` prints.
    fn ask(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let mut command = Command::new("redis-cli");
        let output = command.args(["-p", &port]).args(words).output();
        String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
    }

    fn store(&self) -> RedisStore {
        self.store_of("")
    }

    fn store_of(&self, user: &str) -> RedisStore {
        RedisStore::new(&format!("redis://{user}127.0.0.1:{}", self.port).into()).unwrap()
    }

    fn accounts(&self) -> Arc<dyn DurableStore> {
        self.store().durable().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, settings: &Vec<String>, directory: &std::path::Path) -> Child {
    let mut command = Command::new("redis-server");
    command
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
        ])
        .arg(directory)
        .args(settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("redis-server is installed")
}

/// What each first use of the store says.
async fn refusals(open: impl Fn() -> Arc<dyn DurableStore>) -> Vec<String> {
    let loaded = open().load(&KEY).await.map(|_| ());
    let swapped = open().swap(&KEY, Revision::NONE, b"new").await.map(|_| ());
    let locked = open().lock(&KEY).await.map(|_| ());
    [loaded, swapped, locked]
        .map(|done| done.expect_err("the store is unfit").to_string())
        .into()
}

async fn is_refused(server: &Server, words: &[&str]) {
    for error in refusals(|| server.accounts()).await {
        for word in words {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
    }
    assert_eq!(
        server.ask(&["DBSIZE"]).trim(),
        "0",
        "an unfit server was written to"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn a_redis_keeps_credentials() {
    let server = Server::start(&FIT).await;
    durable::run(async || server.accounts()).await;
    durable::run(async || server.store().prefix("mine").unwrap().durable().unwrap()).await;
    let sealed = async || {
        SealedStore::new(Arc::new(server.store()), SealKey::from_bytes([7; 32]))
            .durable()
            .unwrap()
    };
    durable::run(sealed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn an_entry_outlives_a_server_that_is_killed_after_it_was_written() {
    let mut server = Server::start(&FIT).await;
    let accounts = server.accounts();
    for revision in 0..5 {
        let bytes = [b'a', revision];
        let at = Revision(revision.into());
        assert!(accounts.swap(&KEY, at, &bytes).await.unwrap());
        server.kill_and_restart().await;
        // The first operation may meet the connection that was cut.
        let found = loop {
            if let Ok(found) = accounts.load(&KEY).await {
                break found.expect("the entry is kept");
            }
        };
        assert_eq!(found.revision, at.next());
        assert_eq!(found.bytes, bytes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn an_entry_never_expires_and_a_lock_does() {
    let server = Server::start(&FIT).await;
    let accounts = server.accounts();
    assert!(accounts.swap(&KEY, Revision::NONE, b"kept").await.unwrap());
    let lock = accounts.lock(&KEY).await.unwrap().unwrap();
    assert_eq!(lock.lease(), Some(Duration::from_secs(15)));
    let [account, name] = ["account", "lock"].map(|what| format!("biped:{{{KEY}}}:1:{what}"));
    assert_eq!(server.ask(&["PTTL", &account]).trim(), "-1");
    let left: i64 = server.ask(&["PTTL", &name]).trim().parse().unwrap();
    assert!((1..=15_000).contains(&left), "{left}");
    // A holder that is gone leaves its lock to the lease.
    drop((lock, accounts));
    let other = server.accounts();
    assert!(other.lock(&KEY).await.unwrap().is_none());
    server.ask(&["DEL", &name]);
    other.lock(&KEY).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn a_lock_that_has_passed_to_another_is_not_given_back() {
    let server = Server::start(&FIT).await;
    let accounts = server.accounts();
    let late = accounts.lock(&KEY).await.unwrap().unwrap();
    server.ask(&["FLUSHALL"]);
    let _lock = accounts.lock(&KEY).await.unwrap().unwrap();
    late.unlock().await;
    assert!(accounts.lock(&KEY).await.unwrap().is_none());
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn weaker_persistence_is_refused_at_the_first_use() {
    for (settings, words) in [
        (&[("appendonly", "no")][..], ["appendonly", "always"]),
        (&[("appendfsync", "everysec")], ["appendfsync", "always"]),
        (&[("appendfsync", "no")], ["appendfsync", "always"]),
        (
            &[("no-appendfsync-on-rewrite", "yes")],
            ["no-appendfsync-on-rewrite", "set it to no"],
        ),
    ] {
        is_refused(&Server::fit_but(settings).await, &words).await;
    }
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn a_policy_that_evicts_is_refused_at_the_first_use() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let server = Server::fit_but(&[("maxmemory-policy", policy)]).await;
        is_refused(&server, &["maxmemory-policy", "noeviction"]).await;
    }
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn a_node_of_a_cluster_is_refused_at_the_first_use() {
    let server = Server::fit_but(&[("cluster-enabled", "yes")]).await;
    is_refused(&server, &["cluster"]).await;
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn a_replica_is_refused_at_the_first_use() {
    let primary = Server::start(&FIT).await;
    let port = primary.port.to_string();
    let replica = Server::fit_but(&[("replicaof", &format!("127.0.0.1 {port}"))]).await;
    is_refused(&replica, &["primary"]).await;
}

#[tokio::test]
async fn servers_that_others_take_over_from_are_refused_without_asking_them() {
    let urls = ["redis://127.0.0.1:1".to_owned().into()];
    let open = || {
        let store = RedisStore::sentinel(&urls, None, Sentinel::new("mymaster"));
        store.unwrap().durable().unwrap()
    };
    for error in refusals(open).await {
        assert!(
            error.contains("sentinels") && error.contains("postgres"),
            "{error}"
        );
    }
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_cluster_is_refused_without_asking_it() {
    let urls = ["redis://127.0.0.1:1".to_owned().into()];
    let open = || RedisStore::cluster(&urls, None).unwrap().durable().unwrap();
    for error in refusals(open).await {
        assert!(
            error.contains("cluster") && error.contains("postgres"),
            "{error}"
        );
    }
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn a_server_that_becomes_unfit_is_refused_at_the_next_lock_and_takes_what_was_received() {
    let server = Server::start(&FIT).await;
    let accounts = server.accounts();
    let lock = accounts.lock(&KEY).await.unwrap().unwrap();
    server.ask(&["CONFIG", "SET", "appendfsync", "everysec"]);
    // To refuse it now would lose it.
    assert!(
        accounts
            .swap(&KEY, Revision::NONE, b"received")
            .await
            .unwrap()
    );
    lock.unlock().await;
    accounts.lock(&KEY).await.unwrap_err();
    accounts.load(&KEY).await.unwrap_err();
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn a_user_who_may_not_ask_how_the_server_persists_is_told_the_rights() {
    let server = Server::start(&FIT).await;
    let tokens = "+hello +select +evalsha +eval +hget +hmget +hset +get +set +del";
    let rights = |more: &str| format!("on nopass ~biped:* {tokens} {more}");
    let allow = |more: &str| {
        let rights = rights(more);
        let words: Vec<_> = ["ACL", "SETUSER", "biped"].into_iter().collect();
        let words: Vec<_> = words.into_iter().chain(rights.split(' ')).collect();
        assert_eq!(server.ask(&words).trim(), "OK");
    };
    let open = || server.store_of("biped:any@").durable().unwrap();
    allow("");
    for error in refusals(open).await {
        assert!(
            error.contains("+role") && error.contains("+config|get"),
            "{error}"
        );
    }
    allow("+role +config|get");
    assert!(open().swap(&KEY, Revision::NONE, b"kept").await.unwrap());
    open().lock(&KEY).await.unwrap().unwrap().unlock().await;
    assert!(open().load(&KEY).await.unwrap().is_some());
}

/// Why a store behind this server, which is asked as a sentinel, can't be used.
async fn as_sentinel(server: &Server, password: &str) -> String {
    let url = format!("redis://:{password}@127.0.0.1:{}", server.port);
    let sentinel = Sentinel::new("mymaster");
    refusal(&RedisStore::sentinel(&[url.into()], None, sentinel).unwrap()).await
}

/// Why a store can't be used.
async fn refusal(store: &RedisStore) -> String {
    loop {
        let error = store.get(&TokenKey::from_bytes([3; 32])).await;
        let error = error.unwrap_err().to_string();
        // On a machine that is busy, an answer may be late.
        if !error.contains("does not respond within") && !error.contains("timed out") {
            return error;
        }
    }
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn what_a_sentinel_says_of_a_wrong_password_is_told_and_not_that_it_wants_one() {
    let server = Server::start(&[("requirepass", "another")]).await;
    let error = as_sentinel(&server, "hunter2").await;
    assert!(error.contains("sentinel_password"), "{error}");
    assert!(!error.contains("the URL has none"), "{error}");
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn a_primary_that_the_sentinels_do_not_know_is_told_as_such() {
    let server = Server::sentinel().await;
    let error = as_sentinel(&server, "hunter2").await;
    assert!(error.contains("correct sentinel"), "{error}");
}

#[tokio::test]
#[ignore = "needs a Redis: tests/live/run redis"]
async fn a_url_that_leads_to_another_kind_of_server_is_told_with_what_to_do() {
    let single = Server::start(&[]).await;
    let guarded = Server::start(&[("requirepass", "another")]).await;
    let node = Server::start(&[("cluster-enabled", "yes")]).await;
    let sentinel = Server::sentinel().await;

    for server in [&single, &node] {
        let error = as_sentinel(server, "").await;
        assert!(
            error.contains("is not a sentinel") && error.contains("remove sentinel"),
            "{error}"
        );
    }
    let as_cluster = |server: &Server, user: &str| {
        let url = format!("redis://{user}127.0.0.1:{}", server.port);
        RedisStore::cluster(&[url.into()], None).unwrap()
    };
    for (store, words) in [
        (sentinel.store(), "list of the sentinels"),
        (as_cluster(&sentinel, ""), "list of the sentinels"),
        (node.store(), "list of the cluster's nodes"),
        (as_cluster(&node, ""), "slots"),
        (as_cluster(&guarded, ":hunter2@"), "password"),
        (guarded.store(), "the URL has none"),
        (guarded.store_of(":hunter2@"), "WRONGPASS"),
    ] {
        let error = refusal(&store).await;
        assert!(error.contains(words), "{words} is not in: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
