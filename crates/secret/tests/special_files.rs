//! A special file at a secret's path costs neither time nor a thread.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    path::Path,
    pin::Pin,
    sync::{Mutex, mpsc},
    time::Duration,
};

use biped_core::{Clock, ErrorKind, FILE_TIMEOUT, Now, SecretRef, SystemClock};
use biped_testing::pipe;
use tempfile::TempDir;

/// Does work that must not block. The long time is for a slow machine; the test doesn't take it.
fn promptly<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    let done = done.recv_timeout(Duration::from_secs(60));
    done.expect("the work blocks, or panicked")
}

#[test]
fn six_hundred_reads_of_a_pipe_leave_no_thread_and_a_runtime_that_works() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let secret = SecretRef::file(pipe(directory.path()));
    promptly(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let reads: Vec<_> = (0..600)
                .map(|_| {
                    let secret = secret.clone();
                    tokio::spawn(async move { secret.resolve(0, &SystemClock).await })
                })
                .collect();
            for read in reads {
                let error = read.await.unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Secret);
                assert!(!error.is_transient());
                assert!(error.to_string().contains("pipe"), "{error}");
            }
            assert_eq!(tokio::task::spawn_blocking(|| 1).await.unwrap(), 1);
        });
        // The end of the runtime would wait for its own threads that read the pipe.
        drop(runtime);
        while readers() > 0 {
            std::thread::yield_now();
        }
    });
}

/// The number of threads of this process that read a file.
fn readers() -> usize {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return 0;
    };
    let names = threads.flatten().map(|thread| thread.path().join("comm"));
    names
        .filter(|name| fs::read_to_string(name).is_ok_and(|name| name.trim() == "biped-file"))
        .count()
}

#[test]
fn a_client_id_in_a_pipe_holds_up_no_configuration() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let client_id = SecretRef::file(pipe(directory.path()));
    let shown = client_id.to_string();
    assert_eq!(promptly(move || client_id.identity()), shown);
}

#[test]
fn a_setting_that_is_read_at_once_is_not_read_from_a_pipe() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let secret = SecretRef::file(pipe(directory.path()));
    let error = promptly(move || secret.read_now()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(error.to_string().contains("cmd"), "{error}");
}

#[test]
fn an_identity_is_what_is_in_the_file_if_that_is_a_text_and_not_too_large() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("id");
    let reference = SecretRef::file(&path);
    for (content, read) in [
        (b"app\n".to_vec(), Some("app")),
        (b"app\xff".to_vec(), None),
        (vec![b'a'; 1024 * 1024 + 1], None),
    ] {
        fs::write(&path, content).unwrap();
        let shown = reference.to_string();
        assert_eq!(reference.identity(), read.unwrap_or(&shown));
    }
}

#[tokio::test]
async fn what_is_no_regular_file_is_named() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let large = directory.path().join("large");
    let file = fs::File::create(&large).unwrap();
    file.set_len(1024 * 1024 + 1).unwrap();
    for (path, word) in [
        (directory.path(), "directory"),
        (Path::new("/dev/zero"), "device"),
        (&socket, "socket"),
        (&large, "1048576 bytes"),
    ] {
        let secret = SecretRef::file(path);
        for error in [
            secret.resolve(0, &SystemClock).await.unwrap_err(),
            secret.read_now().unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Secret);
            assert!(!error.is_transient());
            assert!(error.to_string().contains(word), "{error}");
        }
        assert_eq!(secret.identity(), secret.to_string());
    }
}

/// A clock that records how long it is asked to sleep, and never wakes a sleeper.
#[derive(Debug, Default)]
struct Hourglass(Mutex<Vec<Duration>>);

impl Clock for Hourglass {
    fn now(&self) -> Now {
        SystemClock.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.lock().unwrap().push(duration);
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn the_time_for_a_file_is_the_clocks() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("secret");
    fs::write(&path, "hunter2").unwrap();
    let clock = Hourglass::default();
    SecretRef::file(path).resolve(0, &clock).await.unwrap();
    assert_eq!(*clock.0.lock().unwrap(), [FILE_TIMEOUT]);
}
