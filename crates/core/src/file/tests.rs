//! The reader on a file system that responds when the test says so.

use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

use super::*;
use crate::{Now, SystemClock};

/// A file system whose reads arrive, wait to be let go, and bring `read N`.
struct Slow {
    reader: Arc<Reader>,
    arrived: mpsc::Receiver<PathBuf>,
    go: HashMap<PathBuf, mpsc::Sender<()>>,
    running: Arc<AtomicUsize>,
}

impl Slow {
    fn new(paths: &[&str]) -> Self {
        let (arrive, arrived) = mpsc::channel();
        let (mut go, mut gates) = (HashMap::new(), HashMap::new());
        for path in paths {
            let (sender, receiver) = mpsc::channel();
            go.insert(absolute(Path::new(path)), sender);
            let gate = (Mutex::new(receiver), AtomicUsize::new(0));
            gates.insert(absolute(Path::new(path)), gate);
        }
        let running = Arc::new(AtomicUsize::new(0));
        let counted = running.clone();
        let reader = Reader::new(move |path: &Path, _| {
            let (gate, count) = &gates[path];
            counted.fetch_add(1, Ordering::SeqCst);
            arrive.send(path.to_owned()).unwrap();
            let released = gate.lock().unwrap().recv();
            counted.fetch_sub(1, Ordering::SeqCst);
            released.map_err(|_| Fault::interrupted())?;
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            Ok(Found {
                content: Zeroizing::new(format!("read {number}").into_bytes()),
                metadata: fs::metadata(".")?,
            })
        });
        Self {
            reader: Arc::new(reader),
            arrived,
            go,
            running,
        }
    }

    fn arrived(&self) -> PathBuf {
        self.arrived.recv().unwrap()
    }

    fn go(&self, path: &str) {
        self.go[&absolute(Path::new(path))].send(()).unwrap();
    }

    fn ask(&self, path: &'static str, clock: &Arc<Hourglass>) -> tokio::task::JoinHandle<Outcome> {
        let (reader, clock) = (self.reader.clone(), clock.clone());
        tokio::spawn(async move { reader.read(Path::new(path), 100, &*clock).await })
    }

    fn waiting(&self, path: &str) -> usize {
        let state = self.reader.state();
        let outstanding = state.outstanding.get(&absolute(Path::new(path)));
        outstanding.map_or(0, |outstanding| outstanding.next.len())
    }
}

/// All of a clock's sleeps end when it is turned.
#[derive(Debug, Default)]
struct Hourglass(Arc<Notify>);

impl Clock for Hourglass {
    fn now(&self) -> Now {
        SystemClock.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        assert_eq!(duration, FILE_TIMEOUT);
        let turned = self.0.clone().notified_owned();
        Box::pin(turned)
    }
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

fn text(outcome: Outcome) -> String {
    String::from_utf8(outcome.unwrap().content.to_vec()).unwrap()
}

#[tokio::test]
async fn callers_of_a_path_share_the_read_that_begins_after_they_came() {
    let slow = Slow::new(&["a"]);
    let clock = Arc::default();
    let first = slow.ask("a", &clock);
    until(|| slow.running.load(Ordering::SeqCst) == 1).await;
    let others: Vec<_> = (0..50).map(|_| slow.ask("a", &clock)).collect();
    until(|| slow.waiting("a") == 50).await;
    assert_eq!(slow.running.load(Ordering::SeqCst), 1);
    slow.go("a");
    assert_eq!(text(first.await.unwrap()), "read 1");
    slow.go("a");
    for other in others {
        assert_eq!(text(other.await.unwrap()), "read 2");
    }
    // Nothing of it is left, and the next caller reads for itself.
    let next = slow.ask("a", &clock);
    slow.go("a");
    assert_eq!(text(next.await.unwrap()), "read 3");
}

#[tokio::test]
async fn a_path_that_does_not_respond_costs_one_thread_and_one_wait() {
    let slow = Slow::new(&["hung", "other"]);
    let clock = Arc::default();
    let first = slow.ask("hung", &clock);
    until(|| slow.running.load(Ordering::SeqCst) == 1).await;
    clock.0.notify_waiters();
    let fault = first.await.unwrap().err().unwrap();
    assert_eq!(fault.kind, io::ErrorKind::TimedOut);
    for _ in 0..600 {
        // On a clock that stands still: it doesn't wait.
        let fault = slow.ask("hung", &clock).await.unwrap().err().unwrap();
        assert_eq!(fault.kind, io::ErrorKind::TimedOut);
        assert!(fault.message.contains("earlier read"), "{}", fault.message);
    }
    let now = slow.reader.read_now(Path::new("hung"), 100, FILE_TIMEOUT);
    assert_eq!(now.err().unwrap().kind, io::ErrorKind::TimedOut);
    assert_eq!(slow.running.load(Ordering::SeqCst), 1);
    // Another path is none the slower.
    let other = slow.ask("other", &clock);
    slow.go("other");
    assert_eq!(text(other.await.unwrap()), "read 1");
    // Once it responds, all is well.
    slow.go("hung");
    until(|| slow.running.load(Ordering::SeqCst) == 0).await;
    until(|| slow.reader.state().outstanding.is_empty()).await;
    let later = slow.ask("hung", &clock);
    slow.go("hung");
    assert_eq!(text(later.await.unwrap()), "read 2");
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_behind() {
    let slow = Slow::new(&["a"]);
    let clock = Arc::default();
    let first = slow.ask("a", &clock);
    until(|| slow.running.load(Ordering::SeqCst) == 1).await;
    for round in 0..100 {
        let other = slow.ask("a", &clock);
        until(|| slow.waiting("a") > 0 || round > 0).await;
        other.abort();
        assert!(other.await.err().unwrap().is_cancelled());
    }
    assert!(slow.waiting("a") <= 4, "{}", slow.waiting("a"));
    first.abort();
    slow.go("a");
    // There is no second read, which would wait for ever.
    until(|| slow.reader.state().outstanding.is_empty()).await;
    assert_eq!(slow.running.load(Ordering::SeqCst), 0);
}

#[test]
fn a_thread_waits_no_longer_than_it_has_time() {
    let slow = Slow::new(&["hung"]);
    let read = || {
        let reader = &slow.reader;
        reader.read_now(Path::new("hung"), 100, Duration::from_millis(1))
    };
    for _ in 0..3 {
        assert_eq!(read().err().unwrap().kind, io::ErrorKind::TimedOut);
    }
    assert_eq!(slow.arrived(), absolute(Path::new("hung")));
    assert!(slow.arrived.try_recv().is_err(), "it is read once");
    slow.go("hung");
    while !slow.reader.state().outstanding.is_empty() {
        std::thread::yield_now();
    }
    slow.go("hung");
    let reader = &slow.reader;
    let read = reader.read_now(Path::new("hung"), 100, FILE_TIMEOUT);
    assert_eq!(text(read), "read 2");
}

#[tokio::test]
async fn each_caller_has_a_limit_of_its_own() {
    let slow = Slow::new(&["a"]);
    let clock: Arc<Hourglass> = Arc::default();
    for (limit, fits) in [(6, true), (5, false)] {
        slow.go("a");
        let read = slow.reader.read(Path::new("a"), limit, &*clock).await;
        assert_eq!(read.is_ok(), fits);
        assert!(fits || read.err().unwrap().kind == io::ErrorKind::FileTooLarge);
    }
}

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

#[test]
fn a_buffer_that_grows_keeps_what_was_in_it() {
    let mut content = Zeroizing::new(Vec::new());
    for part in ["a", "bc", "", "defghijklmnop"] {
        append(&mut content, part.as_bytes());
    }
    assert_eq!(**content, *b"abcdefghijklmnop");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_larger_than_it_says_is_read_up_to_the_limit() {
    // Its size is 0, as that of everything in /proc.
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
    // Had it been a file when it was looked at, it would be opened.
    let (sender, opened) = mpsc::channel();
    let pipe = path("pipe");
    std::thread::spawn(move || sender.send(open(&pipe)));
    let opened = opened.recv_timeout(Duration::from_secs(60));
    let metadata = opened.expect("it waits").unwrap().metadata().unwrap();
    assert!(require_regular(&metadata).is_err());

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
