//! Calls under load, while everything around them changes.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use biped::{Biped, provider::Clock};
use biped_serve::{Running, Server, section};
use biped_testing::{ManualClock, TimeLimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use crate::{
    stage::{Caller, Stage, address, biped, provider, provider_of, until},
    vendor::{Act, Vendor, reply},
};

/// Calls until it is told to stop, on connections that it keeps and on new ones; returns what failed.
async fn application(at: SocketAddr, over: Arc<AtomicBool>, made: Arc<AtomicUsize>) -> Vec<String> {
    let (mut calls, mut failed) = (0, Vec::new());
    let mut kept = None;
    while !over.load(Ordering::SeqCst) {
        let mut caller = match kept.take() {
            Some(caller) if calls % 10 != 9 => caller,
            _ => match TcpStream::connect(at).await {
                Ok(stream) => Caller::new(stream),
                Err(error) => {
                    failed.push(format!("connect: {error}"));
                    continue;
                }
            },
        };
        let answer = caller
            .ask("POST /shop/x", "Content-Length: 3\r\n\r\nabc")
            .await;
        calls += 1;
        made.fetch_add(1, Ordering::SeqCst);
        if answer.status != 200 || answer.text() != "abc" {
            failed.push(format!("{answer:?}"));
        }
        if answer.header("connection") != Some("close") {
            kept = Some(caller);
        }
    }
    failed
}

/// Applications that call at the same time.
struct Applications {
    over: Arc<AtomicBool>,
    /// How many calls each has made.
    made: Vec<Arc<AtomicUsize>>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl Applications {
    fn start(at: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let made: Vec<Arc<AtomicUsize>> = (0..4).map(|_| Arc::default()).collect();
        let start = |made: &Arc<AtomicUsize>| application(at, over.clone(), made.clone());
        let tasks = made.iter().map(|made| tokio::spawn(start(made))).collect();
        Self { over, made, tasks }
    }

    fn calls(&self) -> usize {
        self.made
            .iter()
            .map(|made| made.load(Ordering::SeqCst))
            .sum()
    }

    /// Waits until each has made so many calls more: with two, one that began after this.
    async fn call(&self, more: usize) {
        let count = |made: &Arc<AtomicUsize>| made.load(Ordering::SeqCst);
        let wanted: Vec<_> = self.made.iter().map(|made| count(made) + more).collect();
        until("each application has called again", async || {
            let mut all = self.made.iter().zip(&wanted);
            all.all(|(made, wanted)| count(made) >= *wanted)
        })
        .await;
    }

    /// Ends them. No call has failed.
    async fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        for task in self.tasks {
            let failed = task.await.unwrap();
            assert!(failed.is_empty(), "{failed:#?}");
        }
    }
}

/// How long the tokens live, in seconds.
const LIFE: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_across_expiries_a_revocation_a_reload_and_a_graceful_stop() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let clock = Arc::new(ManualClock::new());
    let revoked = Arc::new(AtomicUsize::new(0));
    // The last token that the API got.
    let used = Arc::new(AtomicUsize::new(0));
    // When each token was issued.
    let issued: Arc<Mutex<Vec<Duration>>> = Arc::default();
    vendor.tokens({
        let (clock, issued) = (clock.clone(), issued.clone());
        move |_| {
            let mut issued = issued.lock().unwrap();
            issued.push(clock.now().mono);
            crate::vendor::token(&format!("token-{}", issued.len()), LIFE)
        }
    });
    vendor.api({
        let (clock, issued) = (clock.clone(), issued.clone());
        let (revoked, used) = (revoked.clone(), used.clone());
        move |got| {
            let token = got.header("authorization").unwrap();
            let number = token.strip_prefix("Bearer token-").unwrap();
            let number: usize = number.parse().unwrap();
            used.fetch_max(number, Ordering::SeqCst);
            if number <= revoked.load(Ordering::SeqCst) {
                return Act::Reply(reply("401 Unauthorized", "", "revoked"));
            }
            let age = clock.now().mono - issued.lock().unwrap()[number - 1];
            if age.as_secs() >= LIFE {
                return Act::Reply(reply("400 Bad Request", "", "expired"));
            }
            crate::vendor::ok(std::str::from_utf8(&got.body).unwrap())
        }
    });
    let count = || issued.lock().unwrap().len();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("biped.toml");
    let text = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\nlinger = '1h'\nstop_timeout = '1h'\n{}",
        provider(&vendor)
    );
    std::fs::write(&file, &text).unwrap();
    let read = {
        let (file, clock) = (file.clone(), clock.clone());
        move || {
            let builder = Biped::builder().section(section()).without_environment();
            builder.clock(clock.clone()).file(&file).build()
        }
    };
    let server = Server::new(read().unwrap());
    let server = server.reloading(None, read, |serve| serve, |_| {});
    let running = server.start().await.unwrap();
    running.warmed().await;
    let at = address(&running.addresses()[0]);
    let applications = Applications::start(at);
    // Several lives of a token. No call takes longer than a token is refreshed ahead of its end.
    while count() < 5 {
        clock.advance(Duration::from_secs(1));
        applications.call(2).await;
    }
    assert!(clock.now().mono >= Duration::from_secs(3 * LIFE));
    let last = count();
    until("the last token is used", async || {
        used.load(Ordering::SeqCst) == last
    })
    .await;
    // A key rests between two fetches.
    clock.advance(Duration::from_secs(1));
    // The calls that began with an older one have ended.
    applications.call(2).await;
    revoked.store(last, Ordering::SeqCst);
    until("a token replaces the revoked one", async || count() > last).await;
    applications.call(10).await;
    std::fs::write(&file, format!("{text}# changed\n")).unwrap();
    running.reload().await.unwrap();
    applications.call(10).await;
    // The applications still call while the sidecar lingers.
    let stopping = tokio::spawn(running.stop(true));
    until("readiness is gone", async || {
        let mut caller = Caller::new(TcpStream::connect(at).await.unwrap());
        caller.ask("GET /-/ready", "").await.status == 503
    })
    .await;
    applications.call(10).await;
    let calls = applications.calls();
    applications.end().await;
    // Without callers lingering ends early.
    stopping.await.unwrap();
    assert!(calls > 1000, "{calls}");
    assert_eq!(count(), last + 1);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_of_ten_thousand_fails_while_the_configuration_changes_in_every_way() {
    use std::os::unix::fs::symlink;

    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    vendor.api(|got| crate::vendor::ok(std::str::from_utf8(&got.body).unwrap()));
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    // As Kubernetes mounts a volume: a link to a link, which is swapped.
    let put = |number: usize, text: &str| {
        let version = format!("..{number}");
        std::fs::create_dir(path(&version)).unwrap();
        std::fs::write(path(&version).join("biped.toml"), text).unwrap();
        symlink(&version, path("..next")).unwrap();
        std::fs::rename(path("..next"), path("..data")).unwrap();
    };
    let text = format!("[serve]\nlisten = ['127.0.0.1:0']\n{}", provider(&vendor));
    put(0, &text);
    symlink("..data/biped.toml", path("biped.toml")).unwrap();
    let file = path("biped.toml");
    let read = move || {
        let builder = Biped::builder().section(section());
        builder.without_environment().file(&file).build()
    };
    let server = Server::new(read().unwrap()).reloading(None, read, |serve| serve, |_| {});
    let running = server.start().await.unwrap();
    running.warmed().await;
    let at = address(&running.addresses()[0]);
    let applications = Applications::start(at);

    let other = |secret: &str| {
        let other = provider(&vendor)
            .replace("shop", "other")
            .replace("'me'", "'other'");
        format!("{text}{}", other.replace("vendor-secret", secret))
    };
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap();
    let in_use = text.replace("['127.0.0.1:0']", &format!("['127.0.0.1:0', '{taken}']"));
    let changes = [
        // A provider is added, its secret changes, and it is removed.
        (other("first"), true),
        (other("second"), true),
        (text.clone(), true),
        ("[serve]\nnope = 1\n".to_owned(), false),
        ("not TOML".to_owned(), false),
        (in_use, false),
    ];
    let mut rounds = 0;
    while rounds < 3 || applications.calls() < 10_000 {
        for (change, is_good) in &changes {
            rounds += 1;
            put(rounds, change);
            assert_eq!(running.reload().await.is_ok(), *is_good, "{change}");
            applications.call(5).await;
        }
    }
    applications.end().await;
    // A token for the provider that stays, and in each round two for the other.
    assert_eq!(vendor.fetches(), 1 + rounds / changes.len() * 2);
}

/// A sidecar for an API that is not the vendor's own.
async fn sidecar_of(stage: &Stage, api: SocketAddr) -> Running {
    let provider = provider_of(stage.vendor.address, &api.to_string());
    let toml = format!("[serve]\nlisten = ['127.0.0.1:0']\n{provider}");
    Server::new(biped(&toml)).start().await.unwrap()
}

#[tokio::test]
async fn each_piece_of_an_answer_comes_as_it_is_sent() {
    let stage = Stage::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = listener.local_addr().unwrap();
    let (next, mut wanted) = tokio::sync::mpsc::channel::<()>(1);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        while wanted.recv().await.is_some() {
            stream.write_all(b"7\r\ndata:x\n\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    });
    let running = sidecar_of(&stage, api).await;
    let at = address(&running.addresses()[0]);
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream
        .write_all(b"GET /shop/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    for count in 1..=5 {
        // The next event is sent when the last one was seen.
        next.send(()).await.unwrap();
        while text.matches("data:x").count() < count {
            let mut piece = [0; 1024];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0);
            text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
    }
}

#[tokio::test]
async fn trailers_pass_both_ways_where_they_are_announced() {
    let stage = Stage::new().await;
    stage.vendor.api(|_| {
        Act::Reply(
            b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 7\r\n\r\n"
                .to_vec(),
        )
    });
    let mut caller = stage.caller().await;
    caller
        .write("GET /shop/x HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
        .await;
    let text = caller.rest().await;
    assert!(
        text.to_ascii_lowercase()
            .ends_with("2\r\nab\r\n0\r\nx-sum: 7\r\n\r\n"),
        "{text:?}"
    );
    let got = stage.vendor.only();
    assert_eq!(got.header("te"), Some("trailers"));
    assert_eq!(got.trailers, "");
    let mut caller = stage.caller().await;
    caller
        .write(
            "POST /shop/x HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE\r\n\
             Trailer: X-Up\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Up: 8\r\n\r\n",
        )
        .await;
    assert!(caller.head().await.unwrap().starts_with("HTTP/1.1 200"));
    let up = &stage.vendor.got()[1];
    assert_eq!(
        (&*up.body, &*up.trailers.to_ascii_lowercase()),
        (&b"ab"[..], "x-up: 8")
    );
    // Without the wish they are dropped, and the body ends well.
    let plain = stage.get("/shop/x").await;
    assert_eq!((plain.status, &*plain.text()), (200, "ab"));
}

#[tokio::test]
async fn an_upload_goes_on_while_nobody_reads_the_answer() {
    // More than the connections hold.
    const SIZE: usize = 32 << 20;
    let stage = Stage::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = listener.local_addr().unwrap();
    let got = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut from, mut to) = stream.into_split();
        tokio::spawn(async move {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
            to.write_all(head.as_bytes()).await.unwrap();
            to.write_all(&vec![b'a'; SIZE]).await.unwrap();
        });
        let (mut got, mut piece) = (0, vec![0; 1 << 16]);
        while got < SIZE {
            let read = from.read(&mut piece).await.unwrap();
            assert!(read > 0, "after {got}");
            got += piece[..read].iter().filter(|byte| **byte == 0).count();
        }
        got
    });
    let running = sidecar_of(&stage, api).await;
    let at = address(&running.addresses()[0]);
    let mut caller = Caller::new(TcpStream::connect(at).await.unwrap());
    caller
        .write(format!(
            "POST /shop/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {SIZE}\r\n\r\n"
        ))
        .await;
    caller.write(vec![0; SIZE]).await;
    // The head holds no such byte.
    assert_eq!(got.await.unwrap(), SIZE);
    let answer = caller.answer().await;
    assert_eq!((answer.status, answer.body.len()), (200, SIZE));
}
