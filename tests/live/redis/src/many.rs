//! [`Cluster`] and [`Watched`]: several servers of Redis, of which one takes over from another.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use biped::provider::{Clock, SystemClock};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// How soon a server that is silent counts as gone, in milliseconds.
const SILENCE: &str = "1000";

/// A server of several.
struct Node {
    port: u16,
    child: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that are free now.
fn free_ports(count: usize) -> Vec<u16> {
    let open = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open: Vec<_> = (0..count).map(|_| open()).collect();
    let port = |listener: &std::net::TcpListener| listener.local_addr().unwrap().port();
    open.iter().map(port).collect()
}

/// Whether servers take TLS alone, and know the user that the documentation describes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    None,
    TlsAndUser,
}

/// What a guarded server is started with.
pub(crate) struct Files {
    directory: TempDir,
    /// The certificate of the authority, in PEM.
    pub(crate) ca: String,
}

impl Files {
    pub(crate) fn get() -> &'static Self {
        static FILES: OnceLock<Files> = OnceLock::new();
        FILES.get_or_init(Self::make)
    }

    fn make() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A certificate whose issuer has its own name would count as self-signed.
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "biped test authority");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        let documentation = include_str!("../../../../crates/stores/redis/src/lib.rs");
        let lines = documentation
            .lines()
            .map(|line| line.trim_start_matches("//!"));
        let lines = lines.skip_while(|line| !line.contains("ACL SETUSER biped"));
        let rights: String = lines.take_while(|line| !line.contains("```")).collect();
        let rights = rights.replace("ACL SETUSER biped", "");
        let rights: Vec<_> = rights.split_whitespace().collect();
        let rights = rights.join(" ").replace(">PASSWORD", ">secret");
        let users = format!("user default on nopass ~* &* +@all\nuser biped {rights}\n");
        let directory = TempDir::new().unwrap();
        for (name, text) in [
            ("ca.pem", ca.pem()),
            ("server.pem", certificate.pem()),
            ("server.key", key.serialize_pem()),
            ("users.acl", users),
            (
                "sentinels.acl",
                "user default on nopass ~* &* +@all\nuser biped on >secret +hello +role +sentinel|masters\n"
                    .into(),
            ),
        ] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let ca = ca.pem();
        Self { directory, ca }
    }

    fn path(&self, name: &str) -> String {
        self.directory
            .path()
            .join(name)
            .to_str()
            .unwrap()
            .to_owned()
    }
}

impl Guard {
    /// The settings of a server at a port.
    fn settings(self, port: u16) -> Vec<(&'static str, String)> {
        if self == Self::None {
            return vec![("port", port.to_string())];
        }
        let files = Files::get();
        vec![
            ("port", "0".into()),
            ("tls-port", port.to_string()),
            ("tls-auth-clients", "no".into()),
            ("tls-replication", "yes".into()),
            ("tls-cluster", "yes".into()),
            ("tls-ca-cert-file", files.path("ca.pem")),
            ("tls-cert-file", files.path("server.pem")),
            ("tls-key-file", files.path("server.key")),
            ("aclfile", files.path("users.acl")),
        ]
    }

    /// `redis-cli`, connecting as it must.
    fn cli(self) -> Command {
        // A server that stands still must not hold up the one that asks.
        self.cli_within("5")
    }

    /// The same, with so many seconds for what it does.
    fn cli_within(self, seconds: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args([seconds, "redis-cli"]);
        if self == Self::TlsAndUser {
            let ca = Files::get().path("ca.pem");
            command.args(["--tls", "--cacert", &ca]);
        }
        command
    }

    /// The URL of the server at a port.
    fn url(self, port: u16) -> String {
        match self {
            Self::None => format!("redis://127.0.0.1:{port}"),
            Self::TlsAndUser => format!("rediss://biped:secret@127.0.0.1:{port}"),
        }
    }

    /// What `redis-cli` prints.
    fn ask(self, port: u16, words: &[&str]) -> String {
        let port = port.to_string();
        let mut command = self.cli();
        command.args(["-h", "127.0.0.1", "-p", &port]).args(words);
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    }
}

fn spawn(guard: Guard, directory: &Path, port: u16, more: &[&str]) -> Child {
    let mut command = Command::new("redis-server");
    for (name, value) in guard.settings(port) {
        command.args([format!("--{name}"), value]);
    }
    command
        .args(["--bind", "127.0.0.1", "--save", ""])
        .args(["--dir", directory.to_str().unwrap()])
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("redis-server is installed")
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        SystemClock.sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came to pass that {what}");
}

fn signal(node: &Node, signal: &str) {
    let id = node.child.id().to_string();
    let done = Command::new("kill").args([signal, &id]).status();
    assert!(done.unwrap().success());
}

/// Several servers as a fleet sees them.
pub(crate) trait Many {
    /// What a worker is told.
    fn store(&self) -> String {
        format!("{} {}", Self::KIND, self.urls().join(" "))
    }
    const KIND: &str;
    fn urls(&self) -> Vec<String>;
    /// The port of the primary that has the fleet's keys.
    fn primary(&self) -> u16;
    fn signal(&self, port: u16, signal: &str);
    /// Starts a killed server again.
    async fn restart(&mut self, port: u16);
    /// Makes a replica the primary, with the primary's consent.
    fn hand_over(&self);
    /// Signals as many of those who watch the servers, the first that the fleet asks.
    fn signal_watchers(&self, _: usize, _: &str) {}
}

/// Three primaries with a replica each.
pub(crate) struct Cluster {
    guard: Guard,
    nodes: Vec<Node>,
    directory: TempDir,
}

impl Cluster {
    pub(crate) async fn start(guard: Guard) -> Self {
        let directory = TempDir::new().unwrap();
        let ports = free_ports(12);
        let nodes: Vec<_> = (0..6)
            .map(|at| Node {
                port: ports[at],
                child: Self::spawn(guard, directory.path(), ports[at], ports[at + 6]),
            })
            .collect();
        let cluster = Self {
            guard,
            nodes,
            directory,
        };
        for node in &cluster.nodes {
            until("a node answers", || {
                guard.ask(node.port, &["PING"]).contains("PONG")
            })
            .await;
        }
        // On a machine that is busy, the servers take their time to agree.
        let mut create = guard.cli_within("60");
        create.args(["--cluster", "create"]);
        for node in &cluster.nodes {
            create.arg(format!("127.0.0.1:{}", node.port));
        }
        create.args(["--cluster-replicas", "1", "--cluster-yes"]);
        assert!(create.stdout(Stdio::null()).status().unwrap().success());
        for node in &cluster.nodes {
            let is_well = || {
                let info = guard.ask(node.port, &["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6")
            };
            until("the cluster is well", is_well).await;
        }
        let all_follow = || {
            let nodes = guard.ask(cluster.nodes[0].port, &["CLUSTER", "NODES"]);
            nodes.matches("slave").count() == 3
        };
        until("each primary has a replica", all_follow).await;
        cluster
    }

    fn spawn(guard: Guard, directory: &Path, port: u16, bus: u16) -> Child {
        let (file, bus) = (format!("nodes-{port}.conf"), bus.to_string());
        spawn(
            guard,
            directory,
            port,
            &[
                "--cluster-enabled",
                "yes",
                "--cluster-config-file",
                &file,
                "--cluster-node-timeout",
                SILENCE,
                "--cluster-port",
                &bus,
                "--cluster-replica-validity-factor",
                "0",
            ],
        )
    }

    fn masters(&self) -> impl Iterator<Item = u16> + '_ {
        let is_master = |node: &&Node| self.guard.ask(node.port, &["ROLE"]).starts_with("master");
        self.nodes.iter().filter(is_master).map(|node| node.port)
    }

    /// Removes all keys: the primary is found by the fleet's.
    pub(crate) fn clear(&self) {
        for port in self.masters() {
            self.guard.ask(port, &["FLUSHALL"]);
        }
    }

    /// Moves the slot of the fleet's keys to another primary, while calls go on.
    pub(crate) fn move_slot(&self) {
        let from = self.primary();
        let to = self.masters().find(|port| *port != from).unwrap();
        let id = |port: u16| self.guard.ask(port, &["CLUSTER", "MYID"]).trim().to_owned();
        let (from_id, to_id) = (id(from), id(to));
        // Entries expire, so there may be none for a moment.
        let key = loop {
            let keys = self.guard.ask(from, &["--scan"]);
            if let Some(key) = keys.lines().find(|key| !key.is_empty()) {
                break key.to_owned();
            }
        };
        let slot = self
            .guard
            .ask(from, &["CLUSTER", "KEYSLOT", &key])
            .trim()
            .to_owned();
        self.guard
            .ask(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        self.guard
            .ask(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
        loop {
            let keys = self
                .guard
                .ask(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            if keys.trim().is_empty() {
                break;
            }
            for key in keys.lines().filter(|key| !key.is_empty()) {
                let to = to.to_string();
                self.guard
                    .ask(from, &["MIGRATE", "127.0.0.1", &to, key, "0", "1000"]);
            }
        }
        for port in [to, from] {
            self.guard
                .ask(port, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        }
    }
}

impl Many for Cluster {
    const KIND: &str = "cluster";

    fn urls(&self) -> Vec<String> {
        let urls = self.nodes.iter().take(3);
        urls.map(|node| self.guard.url(node.port)).collect()
    }

    fn primary(&self) -> u16 {
        let has_keys = |port: &u16| self.guard.ask(*port, &["DBSIZE"]).trim() != "0";
        loop {
            if let Some(port) = self.masters().find(has_keys) {
                return port;
            }
        }
    }

    fn signal(&self, port: u16, name: &str) {
        let node = self.nodes.iter().find(|node| node.port == port);
        signal(node.unwrap(), name);
    }

    async fn restart(&mut self, port: u16) {
        let bus = free_ports(1)[0];
        let directory = self.directory.path();
        let node = self.nodes.iter_mut().find(|node| node.port == port);
        let node = node.unwrap();
        let _ = node.child.wait();
        node.child = Self::spawn(self.guard, directory, port, bus);
    }

    fn hand_over(&self) {
        let primary = self.primary();
        let follows = |node: &&Node| {
            let role = self.guard.ask(node.port, &["ROLE"]);
            role.starts_with("slave") && role.contains(&primary.to_string())
        };
        let replica = self.nodes.iter().find(follows).unwrap();
        self.guard.ask(replica.port, &["CLUSTER", "FAILOVER"]);
    }
}

/// A primary with two replicas, and three sentinels.
pub(crate) struct Watched {
    guard: Guard,
    nodes: Vec<Node>,
    sentinels: Vec<Node>,
    directory: TempDir,
}

impl Watched {
    pub(crate) async fn start(guard: Guard) -> Self {
        let directory = TempDir::new().unwrap();
        let ports = free_ports(6);
        let primary = ports[0].to_string();
        let node = |at: usize| {
            let more: &[&str] = match at {
                0 => &[],
                _ => &["--replicaof", "127.0.0.1", &primary],
            };
            Node {
                port: ports[at],
                child: spawn(guard, directory.path(), ports[at], more),
            }
        };
        let nodes: Vec<_> = (0..3).map(node).collect();
        for node in &nodes {
            until("a server answers", || {
                guard.ask(node.port, &["PING"]).contains("PONG")
            })
            .await;
        }
        let sentinel = |at: usize| {
            let port = ports[at];
            let file = directory.path().join(format!("sentinel-{port}.conf"));
            let settings = guard.settings(port).into_iter();
            let settings: String = settings
                .filter(|(name, _)| *name != "tls-cluster")
                .map(|(name, value)| format!("{name} {value}\n").replace("users", "sentinels"))
                .collect();
            let text = format!(
                "{settings}bind 127.0.0.1\ndir {}\nsentinel monitor mymaster 127.0.0.1 {primary} 2\n\
                 sentinel down-after-milliseconds mymaster {SILENCE}\n\
                 sentinel failover-timeout mymaster 4000\n",
                directory.path().display()
            );
            std::fs::write(&file, text).unwrap();
            let mut command = Command::new("redis-server");
            command.arg(&file).arg("--sentinel");
            command.stdout(Stdio::null()).stderr(Stdio::null());
            Node {
                port,
                child: command.spawn().unwrap(),
            }
        };
        let sentinels: Vec<_> = (3..6).map(sentinel).collect();
        for sentinel in &sentinels {
            let knows_all = || {
                let info = guard.ask(sentinel.port, &["INFO", "sentinel"]);
                info.contains("slaves=2,sentinels=3")
            };
            until("the sentinels know each other", knows_all).await;
        }
        Self {
            guard,
            nodes,
            sentinels,
            directory,
        }
    }
}

impl Many for Watched {
    const KIND: &str = "sentinel";

    fn urls(&self) -> Vec<String> {
        let urls = self.sentinels.iter();
        urls.map(|node| self.guard.url(node.port)).collect()
    }

    fn primary(&self) -> u16 {
        let words = ["SENTINEL", "get-master-addr-by-name", "mymaster"];
        // The first ones may be stopped.
        let answer = self.guard.ask(self.sentinels[2].port, &words);
        answer.lines().nth(1).unwrap().trim().parse().unwrap()
    }

    fn signal(&self, port: u16, name: &str) {
        let node = self.nodes.iter().find(|node| node.port == port);
        signal(node.unwrap(), name);
    }

    async fn restart(&mut self, port: u16) {
        let directory = self.directory.path();
        let node = self.nodes.iter_mut().find(|node| node.port == port);
        let node = node.unwrap();
        let _ = node.child.wait();
        node.child = spawn(self.guard, directory, port, &[]);
    }

    fn hand_over(&self) {
        self.guard.ask(
            self.sentinels[0].port,
            &["SENTINEL", "FAILOVER", "mymaster"],
        );
    }

    fn signal_watchers(&self, count: usize, name: &str) {
        for sentinel in &self.sentinels[..count] {
            signal(sentinel, name);
        }
    }
}
