//! What is left of a secret that a vendor repeats, and of text that would forge a line.

use std::{
    error::Error as _,
    fmt, io,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use biped_core::{
    Choice, Error, FetchContext, Inspection, Provider, ProviderId, SecretRef, Token, TokenRequest,
    VendorError, async_trait,
    wire::{self, Redactor, VENDOR_TEXT_LIMIT},
};
use biped_engine::TokenSource;
use biped_memory::MemoryStore;
use biped_testing::{
    ManualClock, Reply, TestProvider,
    secrets::{Parts, encodings},
};
use proptest::prelude::*;

use tracing::{Dispatch, subscriber::DefaultGuard};

use crate::stage::{Stage, failure, listen};

/// Has a character of every sort that some encoding changes.
const SECRET: &str = "S3/c+r\"e&t <é'\\=%>😀 K9~Z";

/// Reads its secret, and fails or tells of itself as it was told to.
struct Says {
    id: ProviderId,
    secret: SecretRef,
    answer: Box<dyn Fn() -> Result<Inspection, Error> + Send + Sync>,
}

impl Says {
    fn source(
        stage: &Stage,
        secret: &str,
        answer: impl Fn() -> Result<Inspection, Error> + Send + Sync + 'static,
    ) -> TokenSource {
        stage.http.answer_with(|_, _| Reply::status(400));
        let provider = Self {
            id: ProviderId::new("says", "https://login.example/token", "id"),
            secret: SecretRef::inline(secret),
            answer: Box::new(answer),
        };
        stage
            .manager
            .source(Arc::new(provider), TokenRequest::new())
    }
}

impl fmt::Debug for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Says")
    }
}

#[async_trait]
impl Provider for Says {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        cx.secret(&self.secret).await?;
        cx.post_form(self.id.token_endpoint(), []).await?;
        (self.answer)().and_then(|_| Err(Error::internal("there is no token")))
    }

    async fn inspect(
        &self,
        _: &TokenRequest,
        cx: &FetchContext<'_>,
    ) -> Result<Option<Inspection>, Error> {
        cx.secret(&self.secret).await?;
        (self.answer)().map(Some)
    }
}

/// All that can be read of an error.
fn shown(error: &Error) -> String {
    let mut shown = format!(
        "{error} {error:?} {:?} {:?}",
        error.message(),
        error.remedy()
    );
    if let Some(vendor) = error.vendor() {
        shown += &format!(" {vendor} {}", serde_json::to_string(vendor).unwrap());
        let words = [&vendor.code, &vendor.reason, &vendor.message, &vendor.uri];
        for word in words.into_iter().flatten() {
            shown += &format!(" {word}");
        }
    }
    let mut next = error.source();
    while let Some(error) = next {
        shown += &format!(" {error} {error:?}");
        next = error.source();
    }
    shown
}

/// What an error shows whose vendor repeats this in each of its words, with so much before it.
async fn told(secret: &str, echo: &str, before: usize) -> String {
    let stage = Stage::new();
    let words = format!("{}{echo}", ".".repeat(before));
    let source = Says::source(&stage, secret, move || {
        let vendor = VendorError::new(400)
            .code(&words)
            .reason(&words)
            .message(format!("{words} is wrong"))
            .uri(&words);
        let cut = wire::vendor_text(&words).unwrap_or_default();
        Err(Error::refused(vendor)
            .with_message(format!("the vendor named {cut}, which is none"))
            .with_remedy(format!("ask for another than {cut}"))
            .with_source(io::Error::other(cut)))
    });
    // Of what stands before the echo nothing has to be searched.
    shown(&failure(&source).await).replace("........", "")
}

#[tokio::test]
async fn a_secret_is_redacted_in_every_encoding_wherever_the_text_is_cut() {
    let _limit = biped_testing::TimeLimit::start();
    let parts = Parts::of(SECRET);
    for (encoding, echo) in encodings(SECRET) {
        for before in [VENDOR_TEXT_LIMIT - echo.len() - 2, 0, 5000] {
            let told = told(SECRET, &echo, before).await;
            assert_eq!(parts.find_in(&told), None, "{encoding}: {told}");
            assert_eq!(told.contains("[redacted]"), before < 5000, "{encoding}");
        }
        // Some of the places; the property below tries any.
        for before in (VENDOR_TEXT_LIMIT - echo.len()..=VENDOR_TEXT_LIMIT + 2).step_by(9) {
            let told = told(SECRET, &echo, before).await;
            assert_eq!(parts.find_in(&told), None, "{encoding}: {told}");
        }
    }
}

#[tokio::test]
async fn a_secret_beyond_what_is_kept_of_a_text_is_not_shown() {
    let _limit = biped_testing::TimeLimit::start();
    let parts = Parts::of(SECRET);
    for (encoding, echo) in encodings(SECRET) {
        let told = told(SECRET, &echo, 16 * 1024 - echo.len() / 2).await;
        assert_eq!(parts.find_in(&told), None, "{encoding}");
    }
}

#[test]
fn the_beginning_of_a_secret_that_somebody_else_cut_off_is_redacted() {
    let _limit = biped_testing::TimeLimit::start();
    let redactor = Redactor::new([SECRET]);
    let parts = Parts::of(SECRET);
    for (encoding, echo) in encodings(SECRET) {
        for mark in ["…", "..."] {
            let ends = echo.char_indices().map(|(at, _)| at);
            for end in ends {
                let text = format!("unknown {}{mark} (cut)", &echo[..end]);
                let shown = redactor.redacted(&text);
                assert_eq!(parts.find_in(&shown), None, "{encoding}: {shown}");
            }
        }
    }
}

#[test]
fn a_text_without_the_secret_is_left_as_it_is() {
    let _limit = biped_testing::TimeLimit::start();
    let redactor = Redactor::new([SECRET, "secret", "abc", "0123456789"]);
    for text in [
        "",
        "unknown secret…",
        "abc is not a client",
        "see https://vendor.example/errors?code=401&lang=en#a+b",
        "100% of 012345678 is wrong... \\ & more…",
    ] {
        assert_eq!(redactor.redacted(text), text);
    }
}

#[test]
fn a_search_that_would_take_too_long_redacts_the_rest() {
    let _limit = biped_testing::TimeLimit::start();
    let redactor = Redactor::new([&*"\\".repeat(10_000)]);
    let shown = redactor
        .redacted(&format!("{} {SECRET}", "\\".repeat(16_000)))
        .into_owned();
    assert!(shown.len() < 100, "{}", shown.len());
    assert_eq!(Parts::of(SECRET).find_in(&shown), None);
    assert_eq!(redactor.redacted("no\\ such thing"), "no\\ such thing");
}

#[test]
fn the_lines_of_a_key_are_redacted_one_by_one() {
    let _limit = biped_testing::TimeLimit::start();
    let pem =
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----\n";
    let redactor = Redactor::new([pem]);
    let shown = redactor.redacted("line 2 is kqhkiG9w0BAQEF and 1 MIIEvQIBADANBg; not a key");
    assert_eq!(shown, "line 2 is [redacted] and 1 [redacted]; not a key");
}

#[tokio::test]
async fn an_inspection_repeats_no_secret() {
    let _limit = biped_testing::TimeLimit::start();
    let parts = Parts::of(SECRET);
    for (encoding, echo) in encodings(SECRET) {
        let stage = Stage::new();
        let source = Says::source(&stage, SECRET, move || {
            let mut inspection = Inspection::default();
            inspection.scopes = vec![echo.clone()];
            inspection.choices = vec![
                Choice::new("project_id", 1, format!("of {echo}")),
                Choice::new(echo.clone(), echo.clone(), ""),
                Choice::new("tenant", vec![echo.clone()], ""),
            ];
            let details = serde_json::json!({ "list": [{ "key": echo }], echo.clone(): "name" });
            inspection.details = details.as_object().unwrap().clone();
            Ok(inspection)
        });
        let told = source.inspect().await.unwrap().unwrap();
        let details = serde_json::to_string(&told.details).unwrap();
        let told = format!("{told:?} {details}");
        assert_eq!(parts.find_in(&told), None, "{encoding}: {told}");
        assert!(told.contains("of [redacted]"), "{told}");
    }
}

#[tokio::test]
async fn what_is_written_down_for_the_fleet_holds_no_secret() {
    let _limit = biped_testing::TimeLimit::start();
    let parts = Parts::of(SECRET);
    for (encoding, echo) in encodings(SECRET) {
        let clock = Arc::new(ManualClock::new());
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        let words = format!("{}{echo}", ".".repeat(VENDOR_TEXT_LIMIT - echo.len() / 2));
        let answer = serde_json::json!({ "error": "invalid_scope", "error_description": words });
        let [first, second] = [(); 2].map(|()| {
            let stage = Stage::sharing(&clock, &store);
            let provider = TestProvider::default().secret(SecretRef::inline(SECRET));
            let source = stage.source_of(provider);
            (stage, source)
        });
        let busy = Reply::json(503, &answer.to_string()).with_header("retry-after", "60");
        first.0.http.push(busy);
        failure(&first.1).await;
        biped_testing::settle().await;
        let told = failure(&second.1).await;
        assert_eq!(second.0.http.count(), 0, "the failure is shared");
        let told = shown(&told);
        assert_eq!(parts.find_in(&told), None, "{encoding}: {told}");
    }
}

/// What is told of any secret, whether it is cut or not.
static OWN_WORDS: LazyLock<String> = LazyLock::new(|| {
    let told = [0, VENDOR_TEXT_LIMIT].map(|before| block_on(told("zzzzzzzz", "zzzzzzzz", before)));
    told.concat()
});

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_of_any_secret_is_shown_whatever_its_encoding_and_wherever_the_cut(
        secret in "([A-Z0-9]{0,2}[-/+\"&<>'=%\\\\~{}:;é😀 ]){3,12}[A-Z0-9]{2}",
        encoding in any::<prop::sample::Index>(),
        beyond in any::<prop::sample::Index>(),
    ) {
        let _limit = biped_testing::TimeLimit::start();
        // A part of it that stands in the words of every error says nothing.
        prop_assume!(Parts::of(&secret).find_in(&OWN_WORDS).is_none());
        let all = encodings(&secret);
        let (encoding, echo) = &all[encoding.index(all.len())];
        let before = VENDOR_TEXT_LIMIT + 3 - beyond.index(echo.len() + 6);
        let told = block_on(told(&secret, echo, before));
        prop_assert_eq!(Parts::of(&secret).find_in(&told), None, "{}: {}", encoding, told);
    }
}

/// What is logged, a line a record.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> (DefaultGuard, Dispatch) {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(move || log.clone())
            .finish();
        listen(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins another line, or what a terminal or a reader takes for one.
const FORGED: [&str; 6] = [
    "\n2026-01-01T00:00:00Z ERROR forged",
    "\r\u{1b}[2J\u{1b}[1mERROR forged",
    "\u{9b}2J ERROR forged",
    "\u{2028}ERROR forged",
    "\u{2029}ERROR forged",
    "\u{202e}ERROR forged\u{2066}",
];

fn assert_one_line(text: &str) {
    let is_odd = |character: char| {
        character.is_control() || "\u{2028}\u{2029}\u{202e}\u{2066}".contains(character)
    };
    assert!(!text.contains(is_odd), "{text:?}");
    assert!(text.contains("forged"), "{text:?}");
}

#[tokio::test]
async fn no_name_parameter_scope_or_vendors_text_forges_a_line() {
    let _limit = biped_testing::TimeLimit::start();
    for forged in FORGED {
        let log = Log::default();
        let listening = log.listen();
        let Stage {
            clock,
            http,
            manager,
        } = Stage::new();
        let scope = forged.replace(' ', "_");
        let request = TokenRequest::new()
            .scope(format!(
                "read{}",
                scope.replace('\n', "\u{85}").replace('\r', "")
            ))
            .param(format!("name{forged}"), format!("value{forged}"))
            .param("list", vec![format!("one{forged}"), "two".to_owned()]);
        let provider = TestProvider::default().named(&format!("shop{forged}"));
        let source = manager.source(Arc::new(provider), request.clone());
        http.push(Reply::token("t-1", 1000));
        let token = source.token().await.unwrap().into_owned();
        clock.advance(Duration::from_secs(2000));
        let words = serde_json::json!({
            "error": format!("invalid_scope{forged}"), "error_description": format!("x{forged}"),
        });
        http.push(Reply::json(400, &words.to_string()));
        let error = failure(&source).await;
        source.reject(&token);
        drop(listening);
        let logged = log.text();
        // Two for each request, and what came of them.
        assert_eq!(logged.lines().count(), 7, "{logged}");
        logged.lines().for_each(assert_one_line);

        assert_one_line(&request.to_string());
        assert_one_line(&format!("{error} {error:?}"));
        assert_one_line(&format!("{:?} {source:?} {request:?}", source.status()));
        let vendor = error.vendor().unwrap();
        assert_one_line(&format!(
            "{vendor} {vendor:?} {}",
            vendor.message.as_ref().unwrap()
        ));
        for error in [
            Error::configuration(format!("no {forged}")).with_remedy(format!("not {forged}")),
            Error::internal("").with_message(format!("no {forged}")),
            biped_core::StoreError::new(format!("no {forged}")).into(),
        ] {
            assert_one_line(&format!("{error} {error:?} {}", error.message()));
        }
        let several = Error::configuration_lines([format!("one {forged}"), "two".to_owned()]);
        assert_eq!(several.message().lines().count(), 2);
        several.message().lines().take(1).for_each(assert_one_line);
    }
}
