//! A test that hangs ends its process, and is named.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{process::Command, thread, time::Duration};

use biped_testing::TimeLimit;

const CHILD: &str = "BIPED_TEST_HANGS";

/// The end of a process can't be seen from within, so the test runs once more in one of its own.
#[test]
fn a_test_that_hangs_ends_its_process_and_is_named() {
    const NAME: &str = "a_test_that_hangs_ends_its_process_and_is_named";
    if std::env::var_os(CHILD).is_some() {
        let _limit = TimeLimit::of(Duration::from_millis(50));
        loop {
            thread::park();
        }
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--test-threads", "2"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(!child.status.success());
    let told = String::from_utf8_lossy(&child.stderr);
    assert!(
        told.contains(NAME) && told.contains("time_limit.rs"),
        "{told}"
    );
}
