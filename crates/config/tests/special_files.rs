//! A kind that reads a file does not wait for a writer.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::mpsc, time::Duration};

use biped_config::{ConfigValue, Origin, ProviderConfig, Value};
use biped_testing::pipe;
use tempfile::TempDir;

/// Runs what must not wait. The time limit is for a busy machine.
fn promptly<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    let done = done.recv_timeout(Duration::from_secs(60));
    done.expect("it waits, or it panicked")
}

#[test]
fn a_kind_reads_no_file_of_its_own_from_a_pipe() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let origin = Origin::Variable("X".into());
    let value = ConfigValue {
        raw: Value::Text(pipe(directory.path()).display().to_string()),
        origin: origin.clone(),
    };
    let values = [("file".to_owned(), value)].into();
    let config = ProviderConfig::new("own", "own", origin, values);
    let read = promptly(move || config.text_of_file("file").unwrap());
    let error = read.unwrap_err();
    assert!(error.to_string().contains("pipe"), "{error}");
}
