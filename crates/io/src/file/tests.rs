//! The reader with a file system that responds when the test tells it to.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;

/// A file system whose reads arrive, wait for `go`, and return `read N`.
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

    /// A caller whose time is over when `timeout` is notified.
    fn ask(&self, path: &'static str, timeout: &Arc<Notify>) -> tokio::task::JoinHandle<Outcome> {
        let (reader, timeout) = (self.reader.clone(), timeout.clone().notified_owned());
        tokio::spawn(async move { reader.read(Path::new(path), 100, timeout).await })
    }

    fn waiting(&self, path: &str) -> usize {
        let state = self.reader.state();
        let outstanding = state.outstanding.get(&absolute(Path::new(path)));
        outstanding.map_or(0, |outstanding| outstanding.next.len())
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
    let timeout = Arc::default();
    let first = slow.ask("a", &timeout);
    until(|| slow.running.load(Ordering::SeqCst) == 1).await;
    let others: Vec<_> = (0..50).map(|_| slow.ask("a", &timeout)).collect();
    until(|| slow.waiting("a") == 50).await;
    assert_eq!(slow.running.load(Ordering::SeqCst), 1);
    slow.go("a");
    assert_eq!(text(first.await.unwrap()), "read 1");
    slow.go("a");
    for other in others {
        assert_eq!(text(other.await.unwrap()), "read 2");
    }
    // No state is left, and the next caller starts a read.
    let next = slow.ask("a", &timeout);
    slow.go("a");
    assert_eq!(text(next.await.unwrap()), "read 3");
}

#[tokio::test]
async fn a_path_that_does_not_respond_costs_one_thread_and_one_wait() {
    let slow = Slow::new(&["hung", "other"]);
    let timeout = Arc::default();
    let first = slow.ask("hung", &timeout);
    until(|| slow.running.load(Ordering::SeqCst) == 1).await;
    timeout.notify_waiters();
    let fault = first.await.unwrap().err().unwrap();
    assert_eq!(fault.kind, io::ErrorKind::TimedOut);
    for _ in 0..600 {
        // Its time is never over, so it must not wait.
        let fault = slow.ask("hung", &timeout).await.unwrap().err().unwrap();
        assert_eq!(fault.kind, io::ErrorKind::TimedOut);
        assert!(fault.message.contains("earlier read"), "{}", fault.message);
    }
    let now = slow.reader.read_now(Path::new("hung"), 100, FILE_TIMEOUT);
    assert_eq!(now.err().unwrap().kind, io::ErrorKind::TimedOut);
    assert_eq!(slow.running.load(Ordering::SeqCst), 1);
    // Another path is not affected.
    let other = slow.ask("other", &timeout);
    slow.go("other");
    assert_eq!(text(other.await.unwrap()), "read 1");
    // When it responds again, reads succeed.
    slow.go("hung");
    until(|| slow.running.load(Ordering::SeqCst) == 0).await;
    until(|| slow.reader.state().outstanding.is_empty()).await;
    let later = slow.ask("hung", &timeout);
    slow.go("hung");
    assert_eq!(text(later.await.unwrap()), "read 2");
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_behind() {
    let slow = Slow::new(&["a"]);
    let timeout = Arc::default();
    let first = slow.ask("a", &timeout);
    until(|| slow.running.load(Ordering::SeqCst) == 1).await;
    for round in 0..100 {
        let other = slow.ask("a", &timeout);
        until(|| slow.waiting("a") > 0 || round > 0).await;
        other.abort();
        assert!(other.await.err().unwrap().is_cancelled());
    }
    assert!(slow.waiting("a") <= 4, "{}", slow.waiting("a"));
    first.abort();
    slow.go("a");
    // A second read would never return, so there is none.
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

#[test]
fn a_thread_that_comes_during_a_read_gets_the_next() {
    let slow = Slow::new(&["a"]);
    let read = || {
        let reader = slow.reader.clone();
        // The long time is for a slow machine; the test doesn't take it.
        let patient = Duration::from_secs(60);
        std::thread::spawn(move || reader.read_now(Path::new("a"), 100, patient))
    };
    let first = read();
    slow.arrived();
    let second = read();
    while slow.waiting("a") == 0 {
        std::thread::yield_now();
    }
    slow.go("a");
    slow.go("a");
    assert_eq!(text(first.join().unwrap()), "read 1");
    assert_eq!(text(second.join().unwrap()), "read 2");
}

#[tokio::test]
async fn callers_that_share_a_read_are_told_of_their_own_limits() {
    let (go, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let reader = Arc::new(Reader::new(move |_: &Path, limit| {
        gate.lock().unwrap().recv().unwrap();
        Err(Fault::too_large(limit))
    }));
    let ask = |limit| {
        let reader = reader.clone();
        tokio::spawn(async move {
            let read = reader.read(Path::new("a"), limit, std::future::pending());
            read.await.err().unwrap().message
        })
    };
    let waiting = || {
        let state = reader.state();
        let mut outstanding = state.outstanding.values();
        outstanding.next().map(|it| it.next.len())
    };
    let first = ask(1);
    until(|| waiting().is_some()).await;
    let (small, large) = (ask(50), ask(900));
    until(|| waiting() == Some(2)).await;
    go.send(()).unwrap();
    go.send(()).unwrap();
    for (caller, limit) in [(first, " 1 "), (small, " 50 "), (large, " 900 ")] {
        let told = caller.await.unwrap();
        assert!(told.contains(limit), "{limit}: {told}");
    }
}

#[tokio::test]
async fn each_caller_has_a_limit_of_its_own() {
    let slow = Slow::new(&["a"]);
    for (limit, fits) in [(6, true), (5, false)] {
        slow.go("a");
        let read = slow
            .reader
            .read(Path::new("a"), limit, std::future::pending())
            .await;
        assert_eq!(read.is_ok(), fits);
        assert!(fits || read.err().unwrap().kind == io::ErrorKind::FileTooLarge);
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_became_a_pipe_is_opened_without_waiting_and_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    // If it had been a file at the check, it would be opened.
    let (sender, opened) = mpsc::channel();
    std::thread::spawn(move || sender.send(open(&pipe)));
    let opened = opened.recv_timeout(Duration::from_secs(60));
    let metadata = opened.expect("it waits").unwrap().metadata().unwrap();
    assert!(require_regular(&metadata).is_err());
}
