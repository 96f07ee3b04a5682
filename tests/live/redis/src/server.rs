//! [`Server`]: a Redis that can be stopped, paused and filled up.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use biped::provider::{Clock, SystemClock};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use crate::faulty::{Fault, Faulty};

pub(crate) struct Server {
    port: u16,
    directory: TempDir,
    child: Child,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let directory = TempDir::new().unwrap();
        let child = spawn(port, directory.path());
        let server = Self {
            port,
            directory,
            child,
        };
        server.connection().await;
        server
    }

    /// Where it writes its dump.
    pub(crate) fn dump(&self) -> std::path::PathBuf {
        self.directory.path().join("dump.rdb")
    }

    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        for _ in 0..200 {
            if let Ok(connection) = client.get_multiplexed_async_connection().await {
                return connection;
            }
            SystemClock.sleep(Duration::from_millis(25)).await;
        }
        panic!("the Redis doesn't start");
    }

    pub(crate) fn url(&self) -> String {
        Self::store(self.port)
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, empty.
    async fn restart(&mut self) {
        self.child = spawn(self.port, self.directory.path());
        self.connection().await;
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    async fn memory(&self, bytes: &str) {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(bytes);
        set.exec_async(&mut self.connection().await).await.unwrap();
    }
}

impl Faulty for Server {
    const FAULTS: &[(Fault, &str)] = &[
        (Fault::Stopped, "stopped, and started again empty"),
        (Fault::Paused, "paused for 5 s"),
        (Fault::Full, "out of memory"),
        (Fault::Cut, "connections cut in the middle of answers"),
    ];

    fn port(&self) -> u16 {
        self.port
    }

    fn store(port: u16) -> String {
        format!("redis://127.0.0.1:{port}")
    }

    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Stopped => self.stop(),
            Fault::Paused => self.signal("-STOP"),
            Fault::Full => self.memory("1").await,
            Fault::Cut => {}
        }
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Stopped => self.restart().await,
            Fault::Paused => self.signal("-CONT"),
            Fault::Full => self.memory("0").await,
            Fault::Cut => {}
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, directory: &Path) -> Child {
    let mut command = Command::new("redis-server");
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
    ]);
    command.args([
        "--maxmemory-policy",
        "noeviction",
        "--rdbcompression",
        "no",
        "--dir",
    ]);
    command
        .arg(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("redis-server is installed")
}
