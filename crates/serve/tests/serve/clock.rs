//! What only time brings, on a clock that the test moves.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use biped::{Biped, provider::Clock};
use biped_serve::{Running, Server, section};
use biped_testing::{ManualClock, TimeLimit};
use http::Request;
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};

use crate::{
    http2,
    stage::{Answer, Caller, address, provider},
    vendor::{Act, Got, Vendor, reply, token},
};

/// How long the tokens of these tests live, in seconds.
const LIFE: u64 = 60;

/// A sidecar whose tokens live on a clock of the test's own.
struct Clocked {
    vendor: Vendor,
    clock: Arc<ManualClock>,
    /// When each token was issued. The vendor's own clock is that of a machine that never sleeps.
    issued: Arc<Mutex<Vec<Duration>>>,
    /// For how long this machine has slept.
    slept: Arc<Mutex<Duration>>,
    is_down: Arc<AtomicBool>,
    _running: Running,
    at: SocketAddr,
    _limit: TimeLimit,
}

impl Clocked {
    async fn new() -> Self {
        Self::with(str::to_owned).await
    }

    /// With a change of the configuration.
    async fn with(change: impl FnOnce(&str) -> String) -> Self {
        let limit = TimeLimit::start();
        let vendor = Vendor::start().await;
        let clock = Arc::new(ManualClock::new());
        let issued: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let slept: Arc<Mutex<Duration>> = Arc::default();
        let is_down = Arc::new(AtomicBool::new(false));
        let now = {
            let (clock, slept) = (clock.clone(), slept.clone());
            move || clock.now().mono + *slept.lock().unwrap()
        };
        vendor.tokens({
            let (now, issued, is_down) = (now.clone(), issued.clone(), is_down.clone());
            move |_| {
                if is_down.load(Ordering::SeqCst) {
                    return Act::Last(Vec::new());
                }
                let mut issued = issued.lock().unwrap();
                issued.push(now());
                token(&(issued.len() - 1).to_string(), LIFE)
            }
        });
        vendor.api({
            let issued = issued.clone();
            move |got| {
                let token = got.header("authorization").unwrap();
                let number: usize = token.strip_prefix("Bearer ").unwrap().parse().unwrap();
                let age = now() - issued.lock().unwrap()[number];
                crate::vendor::ok(&age.as_secs().to_string())
            }
        });
        let text = format!(
            "[serve]\nlisten = ['127.0.0.1:0']\nwarm = []\n{}",
            provider(&vendor)
        );
        let builder = Biped::builder().section(section()).without_environment();
        let biped = builder.clock(clock.clone()).toml(change(&text)).build();
        let running = Server::new(biped.unwrap()).start().await.unwrap();
        Self {
            at: address(&running.addresses()[0]),
            _running: running,
            vendor,
            clock,
            issued,
            slept,
            is_down,
            _limit: limit,
        }
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn caller(&self) -> Caller<TcpStream> {
        Caller::new(TcpStream::connect(self.at).await.unwrap())
    }

    async fn call(&self) -> Answer {
        self.caller().await.ask("GET /shop/x", "").await
    }

    /// Calls, and returns the age of the token that the API got, in seconds.
    async fn age(&self) -> u64 {
        let answer = self.call().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let age = answer.text().parse().unwrap();
        assert!(age < LIFE, "a token of {age} s");
        age
    }

    /// Lets exactly this time pass, while something is waited for that needs no more.
    async fn within<T>(&self, time: Duration, what: impl Future<Output = T>) -> T {
        let mut left = time;
        let mut what = pin!(what);
        let done = loop {
            tokio::select! {
                biased;
                done = &mut what => break done,
                () = tokio::task::yield_now() => {}
            }
            let step = left.min(Duration::from_millis(100));
            left -= step;
            self.clock.advance(step);
        };
        self.clock.advance(left);
        done
    }
}

#[tokio::test]
async fn an_expired_token_is_never_sent() {
    let stage = Clocked::new().await;
    for second in 0..150 {
        let age = stage.age().await;
        // Sometimes it expires before the next call.
        stage.advance(if second % 50 == 49 { LIFE - age } else { 1 });
    }
    // The first one, and one for each that had expired.
    let fetches = stage.vendor.fetches();
    assert!(fetches >= 3, "{fetches}");
}

#[tokio::test]
async fn no_expired_token_is_sent_after_a_step_of_the_clock_or_a_suspension() {
    const HOUR: Duration = Duration::from_secs(3600);
    type Step = fn(&Clocked);
    let steps: [(&str, Step); 4] = [
        ("back", |stage| stage.clock.step_wall_back(HOUR)),
        ("ahead", |stage| stage.clock.step_wall_ahead(HOUR)),
        ("suspended", |stage| {
            stage.clock.suspend(HOUR);
            *stage.slept.lock().unwrap() += HOUR;
        }),
        ("suspended for less than a life", |stage| {
            let nap = Duration::from_secs(LIFE - 10);
            stage.clock.suspend(nap);
            *stage.slept.lock().unwrap() += nap;
        }),
    ];
    for (name, step) in steps {
        let stage = Clocked::new().await;
        for second in 0..3 * LIFE {
            // In the middle of the life of the first token.
            if second == LIFE / 2 {
                step(&stage);
            }
            stage.age().await;
            stage.advance(1);
        }
        let fetches = stage.issued.lock().unwrap().len();
        assert!((3..=6).contains(&fetches), "{name}: {fetches}");
    }
}

#[tokio::test]
async fn while_the_token_endpoint_is_down_a_token_serves_until_it_expires_and_no_longer() {
    let stage = Clocked::new().await;
    assert_eq!(stage.age().await, 0);
    stage.is_down.store(true, Ordering::SeqCst);
    // Beyond where it would have been renewed, up to the margin before its end.
    for age in 1..LIFE - LIFE / 10 {
        stage.advance(1);
        assert_eq!(stage.age().await, age);
    }
    stage.advance(LIFE / 10 + 1);
    let (before, max_wait) = (stage.vendor.got().len(), Duration::from_secs(10));
    // Expired, and gone.
    for _ in 0..2 {
        let answer = stage.within(max_wait, stage.call()).await;
        assert_eq!(answer.problem(), (503, "no-token".into(), false));
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(after >= 1, "{after}");
    }
    assert_eq!(stage.vendor.got().len(), before);
    stage.is_down.store(false, Ordering::SeqCst);
    // At the latest so long after the last try it is asked again.
    stage.advance(60);
    while stage.within(max_wait, stage.call()).await.status != 200 {}
}

#[tokio::test]
async fn a_stream_of_events_goes_on_while_its_token_expires() {
    let events = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = events.local_addr().unwrap();
    let stage = Clocked::with(|text| {
        let (_, own) = text.split_once("[providers.shop]").unwrap();
        let (before, _) = own.split_once("api_base_url").unwrap();
        let after = own.split_once("client_id").unwrap().1;
        // Of the same token, with an API of its own.
        format!("{text}[providers.events]{before}api_base_url = 'http://{at}'\nclient_id{after}")
    })
    .await;
    let (next, mut wanted) = mpsc::channel::<u64>(1);
    tokio::spawn(async move {
        let (mut stream, _) = events.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        let begin = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                     Transfer-Encoding: chunked\r\n\r\n";
        stream.write_all(begin.as_bytes()).await.unwrap();
        while let Some(number) = wanted.recv().await {
            let event = format!("data: {number}\n\n");
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            stream.write_all(chunk.as_bytes()).await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    });
    let mut caller = stage.caller().await;
    caller
        .write("GET /events/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(caller.head().await.unwrap().starts_with("HTTP/1.1 200"));
    // An event a second for five minutes.
    for number in 0..300 {
        stage.advance(1);
        stage.age().await;
        next.send(number).await.unwrap();
        // The next one is sent when this one was seen.
        let piece = caller.piece().await.unwrap();
        assert_eq!(piece, format!("data: {number}\n\n"));
    }
    drop(next);
    assert_eq!(caller.piece().await, None);
    assert!(stage.issued.lock().unwrap().len() > 2);
}

fn refused(_: &Got) -> Act {
    let json = "Content-Type: application/json\r\n";
    let body = "{\"error\":\"invalid_client\",\"error_description\":\"no such client\"}";
    Act::Reply(reply("401 Unauthorized", json, body))
}

#[tokio::test]
async fn a_wrong_secret_is_asked_once_for_a_thousand_callers_and_a_new_one_serves_within_two_seconds()
 {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "wrong").unwrap();
    let stage = Clocked::with(|text| {
        let file = format!("'file:{}'", secret.display());
        text.replace("'vendor-secret'", &file)
    })
    .await;
    stage.vendor.tokens(|got| {
        let basic = BASE64_STANDARD.encode("me:right");
        match got.head.contains(&basic) {
            true => token("0", LIFE),
            false => refused(got),
        }
    });
    stage.vendor.api(|_| crate::vendor::ok("hello"));
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let sender = http2::connect(stage.at).await;
        for _ in 0..100 {
            let mut sender = sender.clone();
            calls.spawn(async move {
                let request = Request::get("http://localhost/shop/x").body(http2::body(""));
                let answer = sender.send_request(request.unwrap()).await.unwrap();
                let (parts, body) = answer.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                (
                    parts,
                    serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
                )
            });
        }
    }
    let mut count = 0;
    while let Some(answer) = calls.join_next().await {
        let (parts, json) = answer.unwrap();
        assert_eq!(parts.status, 502, "{json}");
        assert!(parts.headers.contains_key("retry-after"), "{parts:?}");
        for (key, value) in [
            ("problem", "refused"),
            ("provider", "shop"),
            ("kind", "refused"),
        ] {
            assert_eq!(json[key], value, "{json}");
        }
        assert_eq!(json["sent"], false);
        assert_eq!(json["vendor"]["code"], "invalid_client");
        assert_eq!(json["vendor"]["message"], "no such client");
        count += 1;
    }
    assert_eq!(count, 1000);
    assert_eq!(stage.vendor.fetches(), 1);
    assert!(stage.vendor.got().is_empty());

    std::fs::write(&secret, "right").unwrap();
    let begun = stage.clock.now().mono;
    while stage.call().await.status != 200 {
        let passed = stage.clock.now().mono - begun;
        assert!(passed < Duration::from_secs(2), "{passed:?}");
        stage.clock.advance(Duration::from_millis(100));
    }
    assert_eq!(stage.vendor.fetches(), 2);
}

#[tokio::test]
async fn a_refusal_says_when_the_vendor_is_asked_again_also_after_the_secret_was_read_again() {
    let stage = Clocked::new().await;
    stage.vendor.tokens(refused);
    // A secret is read again a second after its refusal.
    for _ in 0..30 {
        let answer = stage.call().await;
        assert_eq!(answer.problem().1, "refused");
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&after), "{after}");
        assert_eq!(answer.json()["retry_after"], after);
        stage.clock.advance(Duration::from_millis(50));
    }
    assert_eq!(stage.vendor.fetches(), 1);
}

#[tokio::test]
async fn a_hundred_callers_of_an_api_that_rejects_everything_cost_two_fetches_in_ten_seconds() {
    let stage = Clocked::new().await;
    stage.age().await;
    let before = stage.vendor.fetches();
    stage
        .vendor
        .api(|_| Act::Reply(reply("401 Unauthorized", "", "no")));
    let mut callers = Vec::new();
    for _ in 0..100 {
        callers.push(stage.caller().await);
    }
    // A key is not fetched twice within a second.
    stage.advance(1);
    for _ in 0..5 {
        let calls = callers.iter_mut().map(|it| it.ask("GET /shop/x", ""));
        let answers = futures_util::future::join_all(calls);
        for answer in stage.within(Duration::from_secs(2), answers).await {
            assert_eq!((answer.status, &*answer.text()), (401, "no"));
            assert_eq!(answer.header("proxy-status"), None);
        }
    }
    let fetches = stage.vendor.fetches() - before;
    assert!(fetches <= 2, "{fetches}");
}
