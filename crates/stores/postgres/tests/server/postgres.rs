//! [`Postgres`]: a real server on a free port of loopback, with a directory of its own.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use biped_core::{Clock, SystemClock};
use biped_postgres::PostgresStore;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// A user that every system has. PostgreSQL doesn't run as root.
const NOBODY: u32 = 65534;
pub(crate) const PASSWORD: &str = "hunter2";

pub(crate) struct Postgres {
    pub(crate) port: u16,
    directory: TempDir,
    child: Child,
}

impl Postgres {
    /// Starts a server with these settings, one in each line.
    pub(crate) async fn start(settings: &str) -> Self {
        let directory = TempDir::new().unwrap();
        give(directory.path());
        let password = directory.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        give(&password);
        let data = directory.path().join("data");
        let mut init = command("initdb");
        init.args(["--no-sync", "--username=biped", "--auth=scram-sha-256"]);
        init.arg(format!("--pwfile={}", password.display()));
        assert!(init.arg("-D").arg(&data).status().unwrap().success());
        Self::serve(directory, settings).await
    }

    /// A replica of this server, which streams from it.
    pub(crate) async fn replica(&self) -> Self {
        let directory = TempDir::new().unwrap();
        give(directory.path());
        let mut copy = command("pg_basebackup");
        copy.args([
            "--no-sync",
            "--checkpoint=fast",
            "--write-recovery-conf",
            "-d",
        ]);
        copy.arg(self.url()).arg("-D");
        copy.arg(directory.path().join("data"));
        assert!(copy.status().unwrap().success());
        Self::serve(directory, "").await
    }

    async fn serve(directory: TempDir, settings: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let file = directory.path().join("data/postgresql.auto.conf");
        let own = format!(
            "\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n\
             fsync = off\nshared_buffers = 16MB\n{settings}\n"
        );
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, before + &own).unwrap();
        give(&file);
        let child = spawn(directory.path());
        let server = Self {
            port,
            directory,
            child,
        };
        server.client().await;
        server
    }

    /// A file in its directory, which only it can read.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join("data").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        give(&path);
        path
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://biped:{PASSWORD}@127.0.0.1:{}/postgres",
            self.port
        )
    }

    pub(crate) fn store(&self) -> PostgresStore {
        PostgresStore::new(&self.url().into()).unwrap()
    }

    /// A connection of the test's own, as soon as the server accepts one.
    pub(crate) async fn client(&self) -> Client {
        let mut last = None;
        for _ in 0..1200 {
            match tokio_postgres::connect(&self.url(), NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return client;
                }
                Err(error) => last = Some(error),
            }
            SystemClock.sleep(Duration::from_millis(25)).await;
        }
        panic!("the PostgreSQL doesn't start: {last:?}");
    }

    pub(crate) async fn run(&self, statements: &str) {
        self.client().await.batch_execute(statements).await.unwrap();
    }

    /// Ends it, and what it started, at once.
    pub(crate) fn stop(&mut self) {
        // SIGQUIT: the server ends its processes, and SIGKILL would leave them.
        self.signal("-QUIT");
        self.child.wait().unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.child = spawn(self.directory.path());
        self.client().await;
    }

    /// Sends a signal to the server alone.
    pub(crate) fn signal(&self, signal: &str) {
        kill(signal, &self.child.id().to_string());
    }

    /// Sends a signal to the server and each of its processes.
    pub(crate) fn signal_all(&self, signal: &str) {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        self.signal(signal);
        for child in children.split_whitespace() {
            // One may have ended meanwhile.
            let mut kill = Command::new("kill");
            kill.args([signal, child]).stderr(Stdio::null());
            kill.status().unwrap();
        }
    }

    /// Makes a replica the primary.
    pub(crate) async fn promote(&self) {
        self.run("SELECT pg_promote()").await;
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

fn kill(signal: &str, id: &str) {
    let sent = Command::new("kill").args([signal, id]).status();
    assert!(sent.unwrap().success());
}

fn spawn(directory: &Path) -> Child {
    let mut server = command("postgres");
    server.arg("-D").arg(directory.join("data"));
    server.spawn().unwrap()
}

/// One of PostgreSQL's programs. Debian keeps the servers' beside the path.
fn command(name: &str) -> Command {
    let mut found: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|version| version.unwrap().path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    let mut command = Command::new(found.pop().unwrap_or_else(|| name.into()));
    as_server(&mut command);
    command
        .current_dir("/")
        .env("LC_ALL", "C")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Lets a server run as a user that is not root.
pub(crate) fn as_server(command: &mut Command) {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Gives a file to the user that runs the server.
fn give(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}
