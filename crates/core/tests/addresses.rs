//! Which addresses a provider may send a request to.
#![allow(clippy::unwrap_used, clippy::panic)]

use biped_core::{ErrorKind, FetchContext, check_secure};
use biped_testing::{ManualClock, Reply, ScriptedHttp};
use bytes::Bytes;
use url::Url;

#[tokio::test]
async fn a_secret_is_sent_only_where_it_may_be() {
    let _limit = biped_testing::TimeLimit::start();
    for (address, may_be_asked) in [
        ("https://login.example/token", true),
        ("https://login.example:8443", true),
        ("https://id:secret@login.example/token", false),
        ("http://login.example/token", false),
        ("http://127.0.0.1:7600/token", true),
        ("http://127.0.0.1/token", true),
        ("http://127.9.9.9:1/", true),
        ("http://0177.0.0.1:1/", true),
        ("http://128.0.0.1:1/", false),
        ("http://10.0.0.1:127/", false),
        ("http://127.0.0.1:1@evil.example/", false),
        ("http://127.0.0.1.evil.example:1/", false),
        ("http://localhost:7600/token", true),
        ("http://[::1]:7600/token", true),
        ("ftp://127.0.0.1:21/token", false),
        ("/token", false),
    ] {
        let http = ScriptedHttp::new();
        let clock = ManualClock::new();
        let request = http::Request::post(address).body(Bytes::new()).unwrap();
        let sent = FetchContext::new(&http, &clock).send(request).await;
        let refused = sent.is_err_and(|error| error.kind() == ErrorKind::Configuration);
        assert_eq!(!refused, may_be_asked, "{address}");
        assert_eq!(!http.requests().is_empty(), may_be_asked, "{address}");
        let whole = Url::parse(address).is_ok_and(|url| check_secure(&url).is_ok());
        assert_eq!(whole, may_be_asked, "{address}");
    }
}

#[tokio::test]
async fn a_platform_is_asked_at_its_own_addresses_only() {
    let _limit = biped_testing::TimeLimit::start();
    for (address, may_be_asked) in [
        ("https://vault.example/x", true),
        ("http://127.0.0.1:7600/token", true),
        ("http://169.254.169.254/metadata", true),
        ("http://169.254.130.3:8081/msi/token", true),
        ("http://metadata.google.internal/computeMetadata", true),
        ("http://metadata.google.internal:8080/", false),
        ("http://metadata.google.internal.evil.example/", false),
        ("http://id:secret@169.254.169.254/", false),
        ("http://169.253.1.1/", false),
        ("http://10.0.0.1/", false),
        ("ftp://169.254.169.254/", false),
    ] {
        let http = ScriptedHttp::new();
        let clock = ManualClock::new();
        let request = http::Request::get(address).body(Bytes::new()).unwrap();
        let sent = FetchContext::new(&http, &clock).ask_platform(request).await;
        let refused = sent.is_err_and(|error| error.kind() == ErrorKind::Configuration);
        assert_eq!(!refused, may_be_asked, "{address}");
        assert_eq!(!http.requests().is_empty(), may_be_asked, "{address}");
    }
}

#[tokio::test]
async fn a_platform_has_5_s_and_1_mib() {
    let _limit = biped_testing::TimeLimit::start();
    let ask = || {
        let request = http::Request::get("http://169.254.169.254/");
        request.body(Bytes::new()).unwrap()
    };
    let clock = ManualClock::new();
    let http = ScriptedHttp::new();
    http.push(Reply::json(200, &"x".repeat(1024 * 1024)));
    http.push(Reply::json(200, &"x".repeat(1024 * 1024 + 1)));
    let cx = FetchContext::new(&http, &clock);
    cx.ask_platform(ask()).await.unwrap();
    let large = cx.ask_platform(ask()).await.unwrap_err();
    assert_eq!(large.kind(), ErrorKind::InvalidResponse);

    let silent = Silent;
    let cx = FetchContext::new(&silent, &clock);
    let mut asking = Box::pin(cx.ask_platform(ask()));
    for wait in [4999, 1] {
        tokio::select! {
            biased;
            _ = &mut asking => panic!("it is given up before its time"),
            () = biped_testing::settle() => {}
        }
        clock.advance(std::time::Duration::from_millis(wait));
    }
    let late = asking.await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Unreachable);
}

/// A server that never answers.
#[derive(Debug)]
struct Silent;

#[biped_core::async_trait]
impl biped_core::HttpClient for Silent {
    async fn send(
        &self,
        _: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, biped_core::Error> {
        std::future::pending().await
    }
}

#[derive(Default)]
struct Log(std::sync::Mutex<Vec<String>>);

impl biped_core::RequestObserver for Log {
    fn sending(&self, method: &http::Method, url: &str, _: usize) {
        self.0.lock().unwrap().push(format!("{method} {url}"));
    }

    fn answered(
        &self,
        _: &http::Method,
        _: &str,
        answer: Result<(http::StatusCode, usize), &biped_core::Error>,
        _: std::time::Duration,
    ) {
        let status = answer.unwrap().0.as_u16();
        self.0.lock().unwrap().push(status.to_string());
    }
}

#[tokio::test]
async fn a_request_to_a_platform_is_logged_as_any_other() {
    let _limit = biped_testing::TimeLimit::start();
    let (http, clock, log) = (ScriptedHttp::new(), ManualClock::new(), Log::default());
    http.answer_with(|_, _| Reply::json(404, "no"));
    let cx = FetchContext::new(&http, &clock).observed_by(Some(&log));
    let request = http::Request::get("http://169.254.169.254/token?resource=x");
    cx.ask_platform(request.body(Bytes::new()).unwrap())
        .await
        .unwrap();
    let log = log.0.lock().unwrap();
    assert_eq!(*log, ["GET http://169.254.169.254/token", "404"]);
}
