//! [`Cluster`] and [`Watched`]: several servers of Redis, of which one takes over from another.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use biped::provider::{Clock, SystemClock};
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

fn spawn(directory: &Path, port: u16, more: &[&str]) -> Child {
    let mut command = Command::new("redis-server");
    let port = port.to_string();
    command
        .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
        .args(["--dir", directory.to_str().unwrap()])
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("redis-server is installed")
}

/// What `redis-cli` prints.
fn ask(port: u16, words: &[&str]) -> String {
    let port = port.to_string();
    // A server that stands still must not hold up the one that asks.
    let output = Command::new("timeout")
        .args(["1", "redis-cli", "-h", "127.0.0.1", "-p", &port])
        .args(words)
        .output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
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
    fn store(&self) -> String;
    /// The port of the primary that has the fleet's keys.
    fn primary(&self) -> u16;
    fn signal(&self, port: u16, signal: &str);
    /// Starts a killed server again.
    fn restart(&mut self, port: u16);
    /// Makes a replica the primary, with the primary's consent.
    fn hand_over(&self);
}

/// Three primaries with a replica each.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    directory: TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let ports = free_ports(12);
        let nodes: Vec<_> = (0..6)
            .map(|at| Node {
                port: ports[at],
                child: Self::spawn(directory.path(), ports[at], ports[at + 6]),
            })
            .collect();
        let cluster = Self { nodes, directory };
        for node in &cluster.nodes {
            until("a node answers", || {
                ask(node.port, &["PING"]).contains("PONG")
            })
            .await;
        }
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        for node in &cluster.nodes {
            create.arg(format!("127.0.0.1:{}", node.port));
        }
        create.args(["--cluster-replicas", "1", "--cluster-yes"]);
        assert!(create.stdout(Stdio::null()).status().unwrap().success());
        for node in &cluster.nodes {
            let is_well = || {
                let info = ask(node.port, &["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6")
            };
            until("the cluster is well", is_well).await;
        }
        let all_follow = || {
            let nodes = ask(cluster.nodes[0].port, &["CLUSTER", "NODES"]);
            nodes.matches("slave").count() == 3
        };
        until("each primary has a replica", all_follow).await;
        cluster
    }

    fn spawn(directory: &Path, port: u16, bus: u16) -> Child {
        let (file, bus) = (format!("nodes-{port}.conf"), bus.to_string());
        spawn(
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
        let is_master = |node: &&Node| ask(node.port, &["ROLE"]).starts_with("master");
        self.nodes.iter().filter(is_master).map(|node| node.port)
    }

    /// Moves the slot of the fleet's keys to another primary, while calls go on.
    pub(crate) fn move_slot(&self) {
        let from = self.primary();
        let to = self.masters().find(|port| *port != from).unwrap();
        let id = |port: u16| ask(port, &["CLUSTER", "MYID"]).trim().to_owned();
        let (from_id, to_id) = (id(from), id(to));
        // Entries expire, so there may be none for a moment.
        let key = loop {
            let keys = ask(from, &["--scan", "--count", "100"]);
            if let Some(key) = keys.lines().find(|key| !key.is_empty()) {
                break key.to_owned();
            }
        };
        let slot = ask(from, &["CLUSTER", "KEYSLOT", &key]).trim().to_owned();
        ask(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        ask(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
        loop {
            let keys = ask(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            if keys.trim().is_empty() {
                break;
            }
            for key in keys.lines().filter(|key| !key.is_empty()) {
                let to = to.to_string();
                ask(from, &["MIGRATE", "127.0.0.1", &to, key, "0", "1000"]);
            }
        }
        for port in [to, from] {
            ask(port, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        }
    }
}

impl Many for Cluster {
    fn store(&self) -> String {
        let urls = self.nodes.iter().take(3);
        let urls: Vec<_> = urls
            .map(|node| format!("redis://127.0.0.1:{}", node.port))
            .collect();
        format!("cluster {}", urls.join(" "))
    }

    fn primary(&self) -> u16 {
        let has_keys = |port: &u16| ask(*port, &["DBSIZE"]).trim() != "0";
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

    fn restart(&mut self, port: u16) {
        let bus = free_ports(1)[0];
        let directory = self.directory.path();
        let node = self.nodes.iter_mut().find(|node| node.port == port);
        let node = node.unwrap();
        let _ = node.child.wait();
        node.child = Self::spawn(directory, port, bus);
    }

    fn hand_over(&self) {
        let primary = self.primary();
        let follows = |node: &&Node| {
            let role = ask(node.port, &["ROLE"]);
            role.starts_with("slave") && role.contains(&primary.to_string())
        };
        let replica = self.nodes.iter().find(follows).unwrap();
        ask(replica.port, &["CLUSTER", "FAILOVER"]);
    }
}

/// A primary with two replicas, and three sentinels.
pub(crate) struct Watched {
    nodes: Vec<Node>,
    sentinels: Vec<Node>,
    directory: TempDir,
}

impl Watched {
    pub(crate) async fn start() -> Self {
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
                child: spawn(directory.path(), ports[at], more),
            }
        };
        let nodes: Vec<_> = (0..3).map(node).collect();
        for node in &nodes {
            until("a server answers", || {
                ask(node.port, &["PING"]).contains("PONG")
            })
            .await;
        }
        let sentinel = |at: usize| {
            let port = ports[at];
            let file = directory.path().join(format!("sentinel-{port}.conf"));
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor mymaster 127.0.0.1 {primary} 2\n\
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
                let info = ask(sentinel.port, &["INFO", "sentinel"]);
                info.contains("slaves=2,sentinels=3")
            };
            until("the sentinels know each other", knows_all).await;
        }
        Self {
            nodes,
            sentinels,
            directory,
        }
    }
}

impl Many for Watched {
    fn store(&self) -> String {
        let urls = self.sentinels.iter();
        let urls: Vec<_> = urls
            .map(|node| format!("redis://127.0.0.1:{}", node.port))
            .collect();
        format!("sentinel {}", urls.join(" "))
    }

    fn primary(&self) -> u16 {
        let words = ["SENTINEL", "get-master-addr-by-name", "mymaster"];
        let answer = ask(self.sentinels[0].port, &words);
        answer.lines().nth(1).unwrap().trim().parse().unwrap()
    }

    fn signal(&self, port: u16, name: &str) {
        let node = self.nodes.iter().find(|node| node.port == port);
        signal(node.unwrap(), name);
    }

    fn restart(&mut self, port: u16) {
        let directory = self.directory.path();
        let node = self.nodes.iter_mut().find(|node| node.port == port);
        let node = node.unwrap();
        let _ = node.child.wait();
        node.child = spawn(directory, port, &[]);
    }

    fn hand_over(&self) {
        ask(
            self.sentinels[0].port,
            &["SENTINEL", "FAILOVER", "mymaster"],
        );
    }
}
