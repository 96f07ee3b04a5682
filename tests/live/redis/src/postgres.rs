//! [`Postgres`]: a PostgreSQL on a free port, with a directory of its own.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use biped::{
    postgres::PostgresStore,
    provider::{Clock, SystemClock},
    store::{TokenKey, TokenStore},
};
use tempfile::TempDir;

/// A user that every system has. PostgreSQL doesn't run as root.
const NOBODY: u32 = 65534;

pub(crate) struct Postgres {
    port: u16,
    child: Child,
    _directory: TempDir,
}

impl Postgres {
    pub(crate) async fn start() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let directory = TempDir::new().unwrap();
        if is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = directory.path().join("data");
        let mut init = command("initdb");
        init.args(["--username=biped", "--auth=trust", "-D"]);
        assert!(init.arg(&data).status().unwrap().success());
        let mut server = command("postgres");
        server.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=500",
        ] {
            server.args(["-c", setting]);
        }
        let server = Self {
            port,
            child: server.spawn().unwrap(),
            _directory: directory,
        };
        let store = PostgresStore::new(&server.url().into()).unwrap();
        for _ in 0..400 {
            if store.get(&TokenKey::from_bytes([1; 32])).await.is_ok() {
                return server;
            }
            SystemClock.sleep(Duration::from_millis(50)).await;
        }
        panic!("the PostgreSQL doesn't start");
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://biped@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT: the server ends its processes, and SIGKILL would leave them.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &id]).status();
        let _ = self.child.wait();
    }
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
