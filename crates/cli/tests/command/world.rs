//! A sandbox, a directory of its own, and the binary run in it.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    net::TcpListener,
    ops::RangeInclusive,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread::JoinHandle,
    time::Duration,
};

use biped::provider::{Clock, SystemClock};
use biped_sandbox::Sandbox;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A sandbox, and a directory whose biped.toml is for it.
pub(crate) struct World {
    runtime: Runtime,
    sandbox: Option<Sandbox>,
    directory: TempDir,
}

impl World {
    /// With the sandbox's own five entries.
    pub(crate) fn new() -> Self {
        let world = Self::empty();
        world.write("biped.toml", &world.sandbox().config_toml());
        world
    }

    /// Without a biped.toml.
    pub(crate) fn empty() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let lifetime = Duration::from_secs(3600);
        let sandbox = runtime.block_on(Sandbox::builder().lifetime(lifetime).start());
        Self {
            runtime,
            sandbox: Some(sandbox.unwrap()),
            directory: TempDir::new().unwrap(),
        }
    }

    /// With entries where `from` is `to`.
    pub(crate) fn with(from: &str, to: &str) -> Self {
        let world = Self::new();
        let config = world.sandbox().config_toml();
        assert!(config.contains(from), "{from} is not in {config}");
        world.write("biped.toml", &config.replace(from, to));
        world
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().unwrap()
    }

    pub(crate) fn stop_sandbox(&mut self) {
        let sandbox = self.sandbox.take().unwrap();
        self.runtime.block_on(sandbox.stop());
    }

    /// Starts another sandbox, whose tokens live for ten minutes.
    pub(crate) fn shorten_tokens(&mut self) {
        let lifetime = Duration::from_secs(600);
        let sandbox = self
            .runtime
            .block_on(Sandbox::builder().lifetime(lifetime).start());
        self.sandbox = Some(sandbox.unwrap());
        self.write("biped.toml", &self.sandbox().config_toml());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file; a biped.toml is trusted, as far as it can be.
    pub(crate) fn write(&self, name: &str, text: &str) {
        self.write_untrusted(name, text);
        if name == "biped.toml" {
            self.run("trust");
        }
    }

    pub(crate) fn write_untrusted(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The binary, in the directory, with nothing of the environment that it was started in.
    pub(crate) fn command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_biped"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .env("PATH", std::env::var_os("PATH").unwrap())
            // What a test says of stored tokens must not depend on how busy the disk is.
            .env("BIPED_ENGINE__STORE_WAIT", "60s")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command line whose words have no spaces.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.run_words(line.split_whitespace())
    }

    pub(crate) fn run_words<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs a command line with something on stdin.
    pub(crate) fn feed(&self, line: &str, stdin: &[u8]) -> Ran {
        let mut command = self.command(line.split_whitespace());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }

    pub(crate) fn token_requests(&self) -> u64 {
        self.sandbox().stats().counts.token_requests.total
    }
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// stdout of a command that did what it should.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.stdout
    }

    /// stdout of such a command, as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// stderr of a command that ended with `status` and printed nothing else.
    #[track_caller]
    pub(crate) fn failed(self, status: i32) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_ne!(self.stderr, "", "{self:?}");
        self.stderr
    }

    /// The one JSON object on stderr of such a command.
    #[track_caller]
    pub(crate) fn error(self, status: i32) -> Value {
        error_of(&self.failed(status))
    }
}

/// The error in the one JSON object that `stderr` is.
#[track_caller]
pub(crate) fn error_of(stderr: &str) -> Value {
    let object: Value = serde_json::from_str(stderr).unwrap_or_else(|_| panic!("{stderr}"));
    assert_eq!(object.as_object().unwrap().len(), 1);
    let error = &object["error"];
    let mut keys: Vec<_> = error.as_object().unwrap().keys().collect();
    keys.sort();
    let expected = [
        "code",
        "kind",
        "message",
        "provider",
        "reason",
        "retry_after",
        "source",
        "status",
    ];
    assert_eq!(keys, expected);
    error.clone()
}

/// A server that answers one request with `answer`, and tells what it was.
pub(crate) struct OneRequest {
    pub(crate) url: String,
    server: JoinHandle<String>,
}

impl OneRequest {
    pub(crate) fn answered(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !is_whole(&request) {
                let read = connection.read(&mut buffer).unwrap();
                assert_ne!(read, 0, "the request was cut off");
                request.extend(&buffer[..read]);
            }
            connection.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        Self { url, server }
    }

    pub(crate) fn request(self) -> String {
        self.server.join().unwrap()
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

/// What may be left, in whole seconds, of a lifetime that began after `started`, a time of the monotonic clock.
pub(crate) fn left_of(lifetime: i64, started: Duration) -> RangeInclusive<i64> {
    let passed = SystemClock.now().mono - started;
    let passed = i64::try_from(passed.as_secs()).unwrap() + 1;
    lifetime - passed..=lifetime
}
