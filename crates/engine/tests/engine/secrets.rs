//! Where secrets come from, how often they are looked at, and what a change of them does.

use std::{fs, path::Path, sync::Arc, time::Duration};

use biped_core::{
    Clock as _, Error, ErrorKind, ExposeSecret, FetchContext, Provider, ProviderId, SecretRef,
    SystemClock, Token, TokenRequest, VendorError, async_trait, wire,
};
use biped_testing::{Reply, TestProvider};
use bytes::Bytes;
use tempfile::TempDir;

use crate::stage::{Stage, ask, failure, text};

fn secrets_sent(stage: &Stage) -> Vec<String> {
    let sent = |body: &[u8]| {
        url::form_urlencoded::parse(body)
            .find(|(name, _)| name == "client_secret")
            .map(|(_, value)| value.into_owned())
            .unwrap()
    };
    stage
        .http
        .requests()
        .iter()
        .map(|request| sent(&request.body))
        .collect()
}

fn file(directory: &TempDir, name: &str, content: &str) -> SecretRef {
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    SecretRef::file(path)
}

fn with(secret: SecretRef) -> TestProvider {
    TestProvider::default().secret(secret)
}

/// A vendor that knows one secret.
fn accepts(stage: &Stage, good: &'static str) {
    stage.http.answer_with(move |number, request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if body.contains(&format!("client_secret={good}")) {
            Reply::token(&format!("t-{number}"), 1000)
        } else {
            Reply::error(401, "invalid_client")
        }
    });
}

#[tokio::test]
async fn a_secret_is_read_at_each_fetch() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let stage = Stage::new();
    let source = stage.source_of(with(file(&directory, "secret", "one\n")));
    stage.http.answer_with(|_, _| Reply::token("t", 1000));
    text(&source).await;
    fs::write(directory.path().join("secret"), "two").unwrap();
    stage.advance(980.0);
    text(&source).await;
    assert_eq!(secrets_sent(&stage), ["one", "two"]);
}

#[tokio::test]
async fn a_wrong_secret_that_is_put_right_is_used_at_once() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let stage = Stage::new();
    let source = stage.source_of(with(file(&directory, "secret", "wrong")));
    accepts(&stage, "right");
    failure(&source).await;
    stage.advance(1.0);
    failure(&source).await;
    assert_eq!(stage.http.count(), 1, "looked at, and the same");
    fs::write(directory.path().join("secret"), "right").unwrap();
    failure(&source).await;
    assert_eq!(
        stage.http.count(),
        1,
        "looked at no more than once a second"
    );
    stage.advance(1.0);
    assert_eq!(text(&source).await, "t-2");
}

#[tokio::test]
async fn a_refusal_says_when_the_vendor_is_asked_again_also_after_a_look_at_the_secret() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let stage = Stage::new();
    let source = stage.source_of(with(file(&directory, "secret", "wrong")));
    accepts(&stage, "right");
    let first = failure(&source).await.retry_after().unwrap();
    stage.advance(1.0);
    let looked = failure(&source).await.retry_after().unwrap();
    assert_eq!(looked, first - Duration::from_secs(1));
    assert_eq!(stage.http.count(), 1);
}

#[tokio::test]
async fn another_wrong_secret_is_one_more_request_and_waits_again() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let stage = Stage::new();
    let source = stage.source_of(with(file(&directory, "secret", "wrong")));
    accepts(&stage, "right");
    failure(&source).await;
    fs::write(directory.path().join("secret"), "wronger").unwrap();
    for _ in 0..20 {
        stage.advance(1.0);
        failure(&source).await;
    }
    assert_eq!(secrets_sent(&stage), ["wrong", "wronger"]);
}

#[tokio::test]
async fn one_caller_looks_while_the_others_hear_no() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let stage = Stage::new();
    let source = stage.source_of(with(file(&directory, "secret", "wrong")));
    let others = source.param("tenant", 1);
    stage.http.push(Reply::error(401, "invalid_client"));
    failure(&source).await;
    stage.advance(1.0);
    fs::write(directory.path().join("secret"), "right").unwrap();
    stage.http.close_gate();
    stage.http.push(Reply::token("t-2", 1000));
    let looking = ask(&source);
    tokio::task::yield_now().await;
    assert_eq!(failure(&others).await.kind(), ErrorKind::Refused);
    stage.http.arrivals(2).await;
    stage.http.open_gate();
    assert_eq!(looking.await.unwrap().unwrap(), "t-2");
}

/// A command that prints what is in a file, and how often it ran.
fn command(directory: &Path) -> (SecretRef, impl Fn() -> usize + use<>) {
    let (runs, secret) = (directory.join("runs"), directory.join("secret"));
    let script = format!("echo run >> {}; cat {}", runs.display(), secret.display());
    let count = move || fs::read_to_string(&runs).map_or(0, |text| text.lines().count());
    (SecretRef::command(["sh", "-c", &script]), count)
}

#[tokio::test]
async fn a_command_is_looked_at_no_more_than_once_in_thirty_seconds() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let stage = Stage::new();
    let (secret, runs) = command(directory.path());
    fs::write(directory.path().join("secret"), "wrong").unwrap();
    let source = stage.source_of(with(secret));
    accepts(&stage, "right");
    failure(&source).await;
    assert_eq!(runs(), 1);
    for _ in 0..29 {
        stage.advance(1.0);
        failure(&source).await;
    }
    assert_eq!(runs(), 1);
    fs::write(directory.path().join("secret"), "right").unwrap();
    stage.advance(1.0);
    assert_eq!(text(&source).await, "t-2");
    // Once to look, once for the fetch.
    assert_eq!(runs(), 3);
}

#[tokio::test]
async fn a_command_that_fails_is_left_alone_for_thirty_seconds() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let stage = Stage::new();
    let (secret, runs) = command(directory.path());
    let source = stage.source_of(with(secret));
    stage.http.push(Reply::token("t-1", 1000));
    for _ in 0..29 {
        assert_eq!(failure(&source).await.kind(), ErrorKind::Secret);
        stage.advance(1.0);
    }
    assert_eq!(runs(), 1);
    fs::write(directory.path().join("secret"), "right").unwrap();
    stage.advance(1.0);
    assert_eq!(text(&source).await, "t-1");
}

#[tokio::test]
async fn of_several_secrets_the_next_is_tried_on_invalid_client_and_the_good_one_remembered() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let secret = SecretRef::inline("new").or(&SecretRef::inline("old"));
    let source = stage.source_of(with(secret));
    accepts(&stage, "old");
    assert_eq!(text(&source).await, "t-2");
    assert_eq!(secrets_sent(&stage), ["new", "old"]);
    stage.advance(980.0);
    text(&source).await;
    assert_eq!(secrets_sent(&stage), ["new", "old", "old"]);
    // When the old one is turned off, the new one gets its turn.
    accepts(&stage, "new");
    stage.advance(980.0);
    text(&source).await;
    assert_eq!(secrets_sent(&stage), ["new", "old", "old", "old", "new"]);
}

#[tokio::test]
async fn of_several_secrets_no_other_is_tried_for_any_other_failure() {
    let _limit = biped_testing::TimeLimit::start();
    for reply in [
        Reply::error(400, "invalid_scope"),
        Reply::status(302),
        Reply::json(200, "no"),
    ] {
        let stage = Stage::new();
        let secret = SecretRef::inline("new").or(&SecretRef::inline("old"));
        let source = stage.source_of(with(secret));
        stage.http.push(reply);
        failure(&source).await;
        assert_eq!(secrets_sent(&stage), ["new"]);
    }
}

#[tokio::test]
async fn a_secret_of_a_list_that_is_not_there_does_not_hide_the_refusal_of_the_other() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let stage = Stage::new();
    let secret = SecretRef::inline("new").or(&SecretRef::file(directory.path().join("gone")));
    let source = stage.source_of(with(secret));
    accepts(&stage, "right");
    for _ in 0..50 {
        assert_eq!(failure(&source).await.kind(), ErrorKind::Refused);
        stage.advance(1.0);
    }
    assert_eq!(stage.http.count(), 1);
}

/// A variable that no environment has.
fn unset(name: &str) -> SecretRef {
    SecretRef::env(format!("BIPED_UNSET_IN_TESTS_{name}"))
}

#[tokio::test]
async fn a_list_goes_on_past_a_member_that_is_missing_or_empty() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let (gone, empty) = (
        directory.path().join("gone"),
        directory.path().join("empty"),
    );
    fs::write(&empty, "").unwrap();
    let stage = Stage::new();
    let secret = SecretRef::file(&gone)
        .or(&SecretRef::file(&empty))
        .or(&unset("SECRET"))
        .or(&SecretRef::inline("old"));
    let source = stage.source_of(with(secret));
    accepts(&stage, "old");
    assert_eq!(text(&source).await, "t-1");
    assert_eq!(secrets_sent(&stage), ["old"]);

    // The one that worked last is tried first, and what comes before it when it is refused.
    fs::write(&gone, "new").unwrap();
    accepts(&stage, "new");
    stage.advance(1100.0);
    text(&source).await;
    assert_eq!(secrets_sent(&stage), ["old", "old", "new"]);
}

#[tokio::test]
async fn of_a_list_that_can_not_be_read_all_members_are_told() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source_of(with(unset("ONE").or(&unset("TWO"))));
    let error = failure(&source).await;
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(error.is_unsent());
    let message = error.message();
    assert!(
        message.contains("ONE") && message.contains("TWO"),
        "{message}"
    );

    // A place of another reference is no substitute.
    let secret = SecretRef::inline("a").or(&SecretRef::inline("b"));
    let pairs = Arc::new(Pairs::new(unset("CLIENT"), secret));
    let source = stage.manager.source(pairs, TokenRequest::new());
    let message = failure(&source).await.message().to_owned();
    assert_eq!(message.matches("CLIENT").count(), 1, "{message}");
    assert_eq!(stage.http.count(), 0);
}

#[tokio::test]
async fn a_refusal_tells_which_secret_of_the_list_was_missing() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source_of(with(unset("NEW").or(&SecretRef::inline("old"))));
    accepts(&stage, "new");
    let error = failure(&source).await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.oddity().unwrap().contains("UNSET_IN_TESTS_NEW"),
        "{error}"
    );
    assert_eq!(secrets_sent(&stage), ["old"]);
}

#[tokio::test]
async fn a_secret_file_in_the_middle_of_a_swap_leaves_the_token_in_use() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("secret");
    for missing in [true, false] {
        let stage = Stage::new();
        let source = stage.source_of(with(file(&directory, "secret", "one")));
        stage
            .http
            .answer_with(|number, _| Reply::token(&format!("t-{number}"), 1000));
        text(&source).await;
        stage.advance(860.0);
        if missing {
            fs::remove_file(&path).unwrap();
        } else {
            fs::write(&path, "").unwrap();
        }
        assert_eq!(text(&source).await, "t-1");
        while source.status().fetching {
            tokio::task::yield_now().await;
        }
        let error = source.status().last_error.unwrap();
        assert_eq!(
            (error.kind(), error.is_transient()),
            (ErrorKind::Secret, true)
        );
        assert_eq!(text(&source).await, "t-1");
        fs::write(&path, "two").unwrap();
        stage.advance(1.0);
        text(&source).await;
        stage.http.arrivals(2).await;
        while source.status().fetching {
            tokio::task::yield_now().await;
        }
        assert_eq!(text(&source).await, "t-2");
        assert_eq!(secrets_sent(&stage), ["one", "two"]);
    }
}

/// A provider whose client identifier is at a place of its own.
#[derive(Debug)]
struct Pairs {
    id: ProviderId,
    client: SecretRef,
    secret: SecretRef,
}

impl Pairs {
    fn new(client: SecretRef, secret: SecretRef) -> Self {
        let id = ProviderId::new("pairs", "https://login.example/token", "app");
        Self { id, client, secret }
    }
}

#[async_trait]
impl Provider for Pairs {
    fn id(&self) -> &ProviderId {
        &self.id
    }
    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let (client, secret) = (
            cx.secret(&self.client).await?,
            cx.secret(&self.secret).await?,
        );
        let fields = [
            ("client_id", client.expose_secret()),
            ("client_secret", secret.expose_secret()),
        ];
        let response = cx.post_form(self.id.token_endpoint(), fields).await?;
        if !response.status().is_success() {
            let vendor = biped_core::VendorError::new(401).code("invalid_client");
            return Err(wire::failure(&response, vendor, cx.now()));
        }
        Token::new("t", cx.sent_at()).build()
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_place_that_hangs_does_not_keep_a_change_at_another_from_being_seen() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let shell = |script: String| SecretRef::command(["sh", "-c", &script]);
    let hang = path("hang");
    // Hangs once, when it is told to; the other answers while it does.
    let client = format!("if [ -e {hang} ]; then rm {hang}; exec sleep 300; fi; echo app");
    let secret = format!(
        "while [ -e {hang} ]; do sleep 0.01; done; cat {}",
        path("secret")
    );
    fs::write(path("secret"), "wrong").unwrap();
    let stage = Stage::new();
    let provider = Arc::new(Pairs::new(shell(client), shell(secret)));
    let source = stage.manager.source(provider, TokenRequest::new());
    stage.http.push(Reply::status(401));
    failure(&source).await;

    fs::write(path("hang"), "").unwrap();
    fs::write(path("secret"), "right").unwrap();
    stage.advance(30.0);
    stage.http.push(Reply::status(200));
    // The clock stands still from here on.
    tokio::select! {
        token = text(&source) => assert_eq!(token, "t"),
        () = SystemClock.sleep(Duration::from_secs(60)) => panic!("it waits for the one that hangs"),
    }
    assert_eq!(secrets_sent(&stage), ["wrong", "right"]);
}

#[tokio::test]
async fn pairs_of_id_and_secret_are_tried_together() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let provider = Pairs::new(
        SecretRef::inline("id-1").or(&SecretRef::inline("id-2")),
        SecretRef::inline("s-1").or(&SecretRef::inline("s-2")),
    );
    let source = stage
        .manager
        .source(std::sync::Arc::new(provider), TokenRequest::new());
    stage.http.push(Reply::status(401));
    stage.http.push(Reply::status(200));
    text(&source).await;
    let bodies: Vec<_> = stage
        .http
        .requests()
        .iter()
        .map(|request| request.body.clone())
        .collect();
    assert_eq!(bodies[0], "client_id=id-1&client_secret=s-1");
    assert_eq!(bodies[1], "client_id=id-2&client_secret=s-2");
}

#[cfg(unix)]
#[tokio::test]
async fn a_place_that_never_ends_is_no_secret() {
    let _limit = biped_testing::TimeLimit::start();
    for (endless, word) in [
        (SecretRef::file("/dev/zero"), "device"),
        (SecretRef::command(["cat", "/dev/zero"]), "bytes"),
    ] {
        let stage = Stage::new();
        let source = stage.source_of(with(endless));
        let error = failure(&source).await;
        assert_eq!(error.kind(), ErrorKind::Secret);
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(stage.http.count(), 0);
    }
}

#[test]
fn what_a_command_prints_can_be_read_at_once_with_a_runtime_and_without() {
    let _limit = biped_testing::TimeLimit::start();
    let prints = |text: &str| SecretRef::command(["printf", text]);
    let read = || {
        let secret = prints("hunter2\n").read_now().unwrap();
        secret.expose_secret().to_owned()
    };
    assert_eq!(read(), "hunter2");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    assert_eq!(runtime.unwrap().block_on(async { read() }), "hunter2");
    for failing in [prints(""), SecretRef::command(["false"])] {
        let error = failing.read_now().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Secret);
    }
}

#[tokio::test]
async fn a_secret_that_the_vendor_repeats_is_blacked_out_in_every_shape() {
    let _limit = biped_testing::TimeLimit::start();
    let secret = "s3cret with /+\"\u{e9}";
    for shape in [
        "s3cret with /+\"\u{e9}",
        "s3cret%20with%20%2F%2B%22%C3%A9",
        "s3cret+with+%2F%2B%22%C3%A9",
        "s3cret with /+\\\"\u{e9}",
        "czNjcmV0IHdpdGggLysiw6k=",
    ] {
        let stage = Stage::new();
        let source = stage.source_of(with(SecretRef::inline(secret)));
        let words = serde_json::json!({
            "error": "invalid_client", "error_description": format!("what is {shape}?"),
        });
        stage.http.push(Reply::json(401, &words.to_string()));
        let error = failure(&source).await;
        let message = error.vendor().unwrap().message.as_deref();
        assert_eq!(message, Some("what is [redacted]?"), "{shape}");
    }
}

#[tokio::test]
async fn a_secret_that_is_a_short_plain_word_takes_none_from_the_vendors_sentence() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let source = stage.source_of(with(SecretRef::inline("secret")));
    let words = r#"{"error":"invalid_client","error_description":"unknown secret"}"#;
    stage.http.push(Reply::json(401, words));
    let error = failure(&source).await;
    assert_eq!(
        error.vendor().unwrap().message.as_deref(),
        Some("unknown secret")
    );
}

/// A provider that sends its credentials as `Authorization` header.
#[derive(Debug)]
struct ByHeader(TestProvider);

#[async_trait]
impl Provider for ByHeader {
    fn id(&self) -> &ProviderId {
        self.0.id()
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let request = http::Request::post(self.id().token_endpoint())
            .header("authorization", "Basic aWQ6aHVudGVyMg==")
            .body(Bytes::new());
        let response = cx.send(request.unwrap()).await?;
        let words = wire::json(&response)?["message"].to_string();
        Err(wire::failure(
            &response,
            VendorError::new(400).message(words),
            cx.now(),
        ))
    }
}

#[tokio::test]
async fn credentials_in_a_header_that_the_vendor_repeats_are_blacked_out() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let provider = Arc::new(ByHeader(TestProvider::default()));
    let source = stage.manager.source(provider, TokenRequest::new());
    let words = r#"{"message":"what is Basic aWQ6aHVudGVyMg==?"}"#;
    stage.http.push(Reply::json(400, words));
    let error = failure(&source).await;
    let message = error.vendor().unwrap().message.as_deref().unwrap();
    assert!(message.contains("Basic [redacted]"), "{message}");
}
