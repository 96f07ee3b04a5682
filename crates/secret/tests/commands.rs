//! Commands that print secrets, and what happens to their processes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::Command,
    sync::{Arc, mpsc},
    time::Duration,
};

use biped_core::{COMMAND_TIMEOUT, ErrorKind, ExposeSecret, SecretRef, SystemClock};
use biped_testing::ManualClock;
use tempfile::TempDir;

/// Notices when a command and its children live and when all have ended, by a pipe that they hold open.
struct Watch {
    directory: TempDir,
    seen: mpsc::Receiver<&'static str>,
}

impl Watch {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let pipe = directory.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let (sender, seen) = mpsc::channel();
        std::thread::spawn(move || {
            // Opening waits for a writer, and reading ends when no process has the pipe open any more.
            let mut pipe = fs::File::open(pipe).unwrap();
            sender.send("alive").unwrap();
            pipe.read_to_end(&mut Vec::new()).unwrap();
            sender.send("gone").unwrap();
        });
        Self { directory, seen }
    }

    /// A command whose shell holds the pipe, as do its children.
    fn command(&self, script: &str) -> SecretRef {
        let pipe = self.directory.path().join("pipe");
        let script = format!("exec 3>'{}'; {script}", pipe.display());
        SecretRef::command(["sh", "-c", &script])
    }

    /// The long time is for a slow machine; the test doesn't take it.
    fn sees(&self) -> &'static str {
        let seen = self.seen.recv_timeout(Duration::from_secs(60));
        seen.expect("a process lives on")
    }
}

#[tokio::test]
async fn a_command_that_is_not_there_says_what_to_do() {
    let _limit = biped_testing::TimeLimit::start();
    let secret = SecretRef::command(["biped-no-such-program"]);
    let error = secret.resolve(0, &SystemClock).await.unwrap_err();
    assert!(!error.is_transient());
    assert!(error.remedy().unwrap().contains("whole path"), "{error}");
}

/// Outlives a failing test by far, but not forever.
const LIVES_ON: &str = "sleep 300 & sleep 300";

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_with_its_children() {
    let _limit = biped_testing::TimeLimit::start();
    let watch = Watch::new();
    let clock = Arc::new(ManualClock::new());
    let secret = watch.command(LIVES_ON);
    let read = tokio::spawn({
        let clock = clock.clone();
        async move { secret.resolve(0, &*clock).await }
    });
    while watch.seen.try_recv() != Ok("alive") {
        tokio::task::yield_now().await;
    }
    clock.advance(COMMAND_TIMEOUT);
    let error = read.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(error.is_transient());
    assert_eq!(watch.sees(), "gone");
}

#[tokio::test]
async fn a_command_without_a_waiting_caller_is_ended_with_its_children() {
    let _limit = biped_testing::TimeLimit::start();
    let watch = Watch::new();
    let secret = watch.command(LIVES_ON);
    let read = tokio::spawn(async move { secret.resolve(0, &SystemClock).await });
    while watch.seen.try_recv() != Ok("alive") {
        tokio::task::yield_now().await;
    }
    read.abort();
    assert!(read.await.unwrap_err().is_cancelled());
    assert_eq!(watch.sees(), "gone");
}

#[tokio::test]
async fn a_command_that_prints_too_much_is_ended_with_its_children() {
    let _limit = biped_testing::TimeLimit::start();
    let watch = Watch::new();
    let secret = watch.command("sleep 300 & cat /dev/zero");
    let error = secret.resolve(0, &SystemClock).await.unwrap_err();
    assert!(error.to_string().contains("bytes"), "{error}");
    assert_eq!(watch.sees(), "alive");
    assert_eq!(watch.sees(), "gone");
}

/// A script that leaves a process behind, which has the output open until the test removes a file.
fn leaving_one_behind(directory: &Path, script: &str) -> SecretRef {
    let file = directory.join("stay");
    fs::write(&file, "").unwrap();
    let file = file.display();
    let script = format!("while [ -e '{file}' ]; do sleep 0.05; done & {script}");
    SecretRef::command(["sh", "-c", &script])
}

#[tokio::test]
async fn a_process_that_a_command_leaves_behind_is_not_waited_for() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let long = "x".repeat(200_000);
    for (script, printed) in [
        ("echo hunter2", "hunter2"),
        ("printf %0200000d 0 | tr 0 x", &long),
    ] {
        let secret = leaving_one_behind(directory.path(), script);
        // The clock never moves, so that the command's time is never over.
        let read = secret.resolve(0, &ManualClock::new()).await.unwrap();
        assert_eq!(read.expose_secret(), printed);
        let now = secret.read_now().unwrap();
        assert_eq!(now.expose_secret(), printed);
    }
    let failing = leaving_one_behind(directory.path(), "echo hunter2; exit 3");
    let error = failing.resolve(0, &ManualClock::new()).await.unwrap_err();
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_command_that_closes_its_output_is_waited_for() {
    let _limit = biped_testing::TimeLimit::start();
    let secret = SecretRef::command(["sh", "-c", "echo hunter2; exec >&-; sleep 0.05; exit 3"]);
    let error = secret.resolve(0, &ManualClock::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(error.is_transient());
}
