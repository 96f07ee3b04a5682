//! [`Postgres`]: a PostgreSQL on a free port, with a directory of its own.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use biped::provider::{Clock, SystemClock};
use tempfile::TempDir;

use crate::{
    faulty::{Fault, Faulty},
    many::Many,
};

/// A user that every system has. PostgreSQL doesn't run as root.
const NOBODY: u32 = 65534;

pub(crate) struct Postgres {
    port: u16,
    child: Child,
    directory: TempDir,
}

impl Postgres {
    pub(crate) async fn start() -> Self {
        let directory = Self::directory();
        let mut init = command("initdb");
        init.args(["--username=biped", "--auth=trust", "-D"]);
        init.arg(directory.path().join("data"));
        assert!(init.status().unwrap().success());
        Self::serve(directory, free_port()).await
    }

    /// A replica of this server at a port, which streams from it.
    async fn replica(&self, port: u16) -> Self {
        let directory = Self::directory();
        let mut copy = command("pg_basebackup");
        copy.args(["--checkpoint=fast", "--write-recovery-conf", "-d"]);
        copy.arg(self.url()).arg("-D");
        copy.arg(directory.path().join("data"));
        assert!(copy.status().unwrap().success());
        Self::serve(directory, port).await
    }

    fn directory() -> TempDir {
        let directory = TempDir::new().unwrap();
        if is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        directory
    }

    async fn serve(directory: TempDir, port: u16) -> Self {
        let child = spawn(directory.path(), port);
        let server = Self {
            port,
            child,
            directory,
        };
        server.until_it_serves().await;
        server
    }

    async fn until_it_serves(&self) {
        for _ in 0..400 {
            if self.asked("SELECT 1").is_some() {
                return;
            }
            SystemClock.sleep(Duration::from_millis(50)).await;
        }
        panic!("the PostgreSQL doesn't start");
    }

    /// What `psql` prints.
    fn asked(&self, statement: &str) -> Option<String> {
        let mut ask = command("psql");
        ask.args(["--no-psqlrc", "--tuples-only", "--no-align"]);
        ask.args(["-c", statement]).arg(self.url());
        let answer = ask.stdout(Stdio::piped()).output().unwrap();
        let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        answer.status.success().then_some(text)
    }

    /// Ends it, and what it started, at once.
    fn stop(&mut self) {
        // SIGQUIT: the server ends its processes, and SIGKILL would leave them.
        signal("-QUIT", &self.child.id().to_string());
        self.child.wait().unwrap();
    }

    /// Sends a signal to the server and each of its processes.
    fn signal_all(&self, name: &str) {
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        signal(name, &id.to_string());
        for child in children.split_whitespace() {
            signal(name, child);
        }
    }

    pub(crate) fn url(&self) -> String {
        url(&[self.port])
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal_all("-CONT");
            self.stop();
        }
    }
}

impl Faulty for Postgres {
    const FAULTS: &[(Fault, &str)] = &[
        (Fault::Stopped, "PostgreSQL: stopped, and started again"),
        (Fault::Paused, "PostgreSQL: paused for 5 s"),
        (Fault::Full, "PostgreSQL: takes no more writes"),
        (Fault::Cut, "PostgreSQL: connections cut in answers"),
    ];

    fn port(&self) -> u16 {
        self.port
    }

    fn store(port: u16) -> String {
        url(&[port])
    }

    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Stopped => self.stop(),
            Fault::Paused => self.signal_all("-STOP"),
            Fault::Full => self.takes_writes(false),
            Fault::Cut => {}
        }
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Stopped => {
                self.child = spawn(self.directory.path(), self.port);
                self.until_it_serves().await;
            }
            Fault::Paused => self.signal_all("-CONT"),
            Fault::Full => self.takes_writes(true),
            Fault::Cut => {}
        }
    }
}

impl Postgres {
    /// As a server whose disk is full is made to do.
    fn takes_writes(&self, takes: bool) {
        let set = format!(
            "ALTER SYSTEM SET default_transaction_read_only = {}",
            !takes
        );
        self.asked(&set).expect("the setting is taken");
        self.asked("SELECT pg_reload_conf()").expect("it is read");
    }
}

/// A primary and its replica, which is promoted when the primary is killed.
pub(crate) struct Pair {
    primary: Postgres,
    replica: Postgres,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        let primary = Postgres::start().await;
        let replica = primary.replica(free_port()).await;
        Self { primary, replica }
    }
}

impl Many for Pair {
    const KIND: &str = "";

    fn store(&self) -> String {
        url(&[self.primary.port, self.replica.port]) + "&target_session_attrs=read-write"
    }

    fn urls(&self) -> Vec<String> {
        vec![self.primary.url(), self.replica.url()]
    }

    fn primary(&self) -> u16 {
        let follows = self.replica.asked("SELECT pg_is_in_recovery()");
        match follows.as_deref() {
            Some("f") => self.replica.port,
            _ => self.primary.port,
        }
    }

    fn signal(&self, _: u16, _: &str) {
        // SIGQUIT: the server ends its processes, and SIGKILL would leave them.
        signal("-QUIT", &self.primary.child.id().to_string());
        self.replica.asked("SELECT pg_promote()").unwrap();
    }

    /// It can't follow the other without being copied anew.
    async fn restart(&mut self, port: u16) {
        let replica = self.replica.replica(port).await;
        self.primary = std::mem::replace(&mut self.replica, replica);
    }

    fn hand_over(&self) {}
}

fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

fn url(ports: &[u16]) -> String {
    let hosts: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let hosts = hosts.join(",");
    format!("postgres://biped@{hosts}/postgres?sslmode=disable")
}

fn signal(name: &str, id: &str) {
    let mut kill = Command::new("kill");
    kill.args([name, id]).stderr(Stdio::null());
    // A process of the server may have ended meanwhile.
    kill.status().unwrap();
}

fn spawn(directory: &Path, port: u16) -> Child {
    let mut server = command("postgres");
    server.arg("-D").arg(directory.join("data"));
    server.args(["-p", &port.to_string()]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=500",
    ] {
        server.args(["-c", setting]);
    }
    server.spawn().unwrap()
}

/// One of PostgreSQL's programs. Debian keeps the servers' beside the path.
fn command(name: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let versions = versions.into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(name));
    let newest = found.filter(|path| Path::exists(path)).max();
    let mut command = Command::new(newest.unwrap_or_else(|| PathBuf::from(name)));
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
        .current_dir("/")
        .env("LC_ALL", "C")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}
