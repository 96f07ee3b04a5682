//! Which files are read, and how much of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, io};

use biped_io::{MAX_FILE_SIZE, read_file};

#[test]
fn a_file_is_read_up_to_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    for (size, limit, fits) in [
        (0, 0, true),
        (1, 0, false),
        (100_000, 100_000, true),
        (100_001, 100_000, false),
    ] {
        fs::write(&path, vec![7; size]).unwrap();
        match read_file(&path, limit) {
            Ok(content) => assert!(fits && *content == vec![7; size]),
            Err(error) => {
                assert!(!fits);
                assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
                assert!(error.to_string().contains(&limit.to_string()), "{error}");
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_larger_than_it_says_is_read_up_to_the_limit() {
    // Its metadata says 0 bytes, as of every file in /proc.
    let all = read_file("/proc/self/status", MAX_FILE_SIZE).unwrap();
    assert!(all.len() > 100);
    let error = read_file("/proc/self/status", 99).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_read_and_links_to_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("file"), "x").unwrap();
    std::os::unix::fs::symlink("file", path("link")).unwrap();
    assert_eq!(**read_file(path("link"), 9).unwrap(), *b"x");

    let made = std::process::Command::new("mkfifo")
        .arg(path("pipe"))
        .status();
    assert!(made.unwrap().success());

    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    std::os::unix::fs::symlink("pipe", path("link-to-pipe")).unwrap();
    for (path, kind, word) in [
        (path("pipe"), io::ErrorKind::InvalidInput, "pipe"),
        (path("link-to-pipe"), io::ErrorKind::InvalidInput, "pipe"),
        (path("socket"), io::ErrorKind::InvalidInput, "socket"),
        ("/dev/zero".into(), io::ErrorKind::InvalidInput, "device"),
        (path(""), io::ErrorKind::IsADirectory, "directory"),
        (path("gone"), io::ErrorKind::NotFound, ""),
    ] {
        let error = read_file(&path, MAX_FILE_SIZE).unwrap_err();
        assert_eq!(error.kind(), kind, "{path:?}: {error}");
        assert!(error.to_string().contains(word), "{path:?}: {error}");
    }
}
