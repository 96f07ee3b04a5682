//! The promises of [`Provider`], one function each, named for what it checks.
//!
//! A function panics where the provider breaks the promise. What a vendor's answers look like is
//! told once, in a [`Case`]; nothing is sent anywhere.
//!
//! ```
//! use std::sync::Arc;
//! use biped_core::{SecretRef, TokenRequest};
//! use biped_testing::{Reply, TestProvider, provider::conformance::{self, Case, Sent}};
//!
//! let case = Case::new(
//!     |secret| Arc::new(TestProvider::new("client-7").secret(SecretRef::inline(secret))),
//!     TokenRequest::new().scope("read"),
//! )
//! .sends(
//!     Sent::post("https://login.example/token")
//!         .header("content-type", "application/x-www-form-urlencoded")
//!         .header("accept", "application/json")
//!         .body("client_id=client-7&client_secret=S3cret-of-the-suite&scope=read"),
//! )
//! .grants("t-1", Reply::token("t-1", 3600))
//! .refuses_client(Reply::error(401, "invalid_client"))
//! .refuses_request(Reply::error(400, "invalid_scope"));
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let report = conformance::run(case).await;
//! use conformance::Gap;
//! assert_eq!(report.unchecked(), [Gap::Lifetime, Gap::Rejection]);
//! # });
//! ```
// A check says what is wrong by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use biped_core::{
    ApiRequest, ApiResponse, Clock as _, Error, ErrorKind, ExposeSecret as _, FetchContext,
    Provider, Verdict, wire::VENDOR_TEXT_LIMIT,
};
use biped_engine::TokenManager;
use bytes::Bytes;
use http::{StatusCode, header::AUTHORIZATION};

pub use super::{
    base_urls::a_base_url_is_checked,
    case::{Case, SECRET, Sent},
    report::{Gap, Report},
    sharing::another_secret_shares_nothing,
    stored::a_stored_token_is_checked_like_an_answer,
};
use super::{
    case::{Answer, ApiCall},
    fetched::fetch,
};
use crate::{
    ManualClock, Reply, ScriptedHttp,
    secrets::{Parts, encodings},
};

/// One that most encodings change, for vendors that repeat it.
const REPEATED: &str = "S3/c+r\"e&t <K9>'\\=%~Z";

/// Stands in answers, where neither a token nor the vendor's words belong.
const PLANTED: &str = "pl4nted";

/// One promise, and the function that checks it.
#[derive(Clone, Copy)]
pub struct Check {
    /// The function's name.
    pub name: &'static str,
    run: for<'c> fn(&'c dyn Provider, &'c Case) -> Checking<'c>,
}

type Checking<'c> = Pin<Box<dyn Future<Output = ()> + Send + 'c>>;

impl Check {
    /// Runs the check in a task of its own, and says what is wrong.
    ///
    /// # Errors
    /// What the provider did wrong.
    pub async fn run(&self, case: &Arc<Case>) -> Result<(), String> {
        let (check, case) = (self.run, case.clone());
        crate::verdict(tokio::spawn(async move {
            let provider = case.provider();
            check(&*provider, &case).await;
        }))
        .await
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({})", self.name)
    }
}

macro_rules! checks {
    ($($check:ident),* $(,)?) => {
        &[$(Check {
            name: stringify!($check),
            run: |provider, case| Box::pin($check(provider, case)),
        }),*]
    };
}

/// Every check there is.
pub const CHECKS: &[Check] = checks![
    a_request_is_what_the_vendor_documents,
    a_granted_token_is_taken_as_it_is,
    a_refused_client_is_told_in_the_vendors_words,
    a_refused_request_is_not_the_clients_fault,
    a_failing_vendor_is_transient,
    no_connection_is_no_answer,
    an_empty_answer_is_transient,
    garbage_is_an_error_and_never_a_panic,
    no_answer_is_shown,
    no_secret_is_shown,
    a_repeated_secret_is_not_shown,
    a_header_that_holds_the_secret_is_marked,
    a_header_that_holds_the_token_is_marked,
    a_redirect_is_not_followed,
    an_id_is_stable,
    another_secret_shares_nothing,
    a_base_url_is_checked,
    a_stored_token_is_checked_like_an_answer,
    an_expired_token_is_rejected_and_no_other,
];

/// Runs every check, and tells what the case left unchecked. Never checked are `inspect`, `revoke`,
/// client certificates, and how an API call with a body is signed.
///
/// # Panics
/// Where the provider breaks promises: with all that it breaks.
pub async fn run(case: Case) -> Report {
    let case = Arc::new(case);
    let mut broken = Vec::new();
    for check in CHECKS {
        if let Err(why) = check.run(&case).await {
            broken.push(format!("{}: {why}", check.name));
        }
    }
    let report = Report::of(&case).await;
    assert!(
        broken.is_empty(),
        "broken promises:\n{}\n{report}",
        broken.join("\n")
    );
    report
}

/// The request is the vendor's, to the byte and the header, and its URL holds no secret. Asking
/// again asks the same.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn a_request_is_what_the_vendor_documents(provider: &dyn Provider, case: &Case) {
    let expected = case
        .sends
        .as_ref()
        .expect("the case tells no request; see Case::sends");
    for _ in 0..2 {
        let fetched = fetch(provider, case, &case.granted().1).await;
        let [request] = &fetched.requests[..] else {
            panic!("{} requests are sent for one token", fetched.requests.len());
        };
        assert_eq!(&Sent::of(request), expected);
        assert!(!request.url.contains(SECRET), "the URL holds the secret");
    }
}

/// The token is the one in the answer, and its life starts when it was asked for: a slow answer
/// never stretches it.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn a_granted_token_is_taken_as_it_is(provider: &dyn Provider, case: &Case) {
    let (text, answer) = case.granted();
    let fetched = fetch(provider, case, answer).await;
    let token = match fetched.outcome {
        Ok(token) => token,
        Err(error) => panic!("a granting answer is taken for an error: {error}"),
    };
    assert!(token.expose_secret() == text, "the token is another one");
    assert_eq!(
        token.requested_at(),
        fetched.sent_at,
        "its life starts when its request was sent"
    );
    if let Some(lifetime) = case.lifetime {
        assert_eq!(token.lifetime(), Some(lifetime));
    }
}

/// A refusal of the client's credentials is one, with the status and the vendor's words.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn a_refused_client_is_told_in_the_vendors_words(provider: &dyn Provider, case: &Case) {
    let answer = case.refused_client();
    let error = fetch(provider, case, answer).await.error("a refusal");
    assert_refused(&error, answer);
    assert!(error.refuses_client(), "it is the client that is refused");
}

/// A refusal of one request leaves the client's others alone.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn a_refused_request_is_not_the_clients_fault(provider: &dyn Provider, case: &Case) {
    let Some(answer) = &case.refused_request else {
        return;
    };
    let error = fetch(provider, case, answer).await.error("a refusal");
    assert_refused(&error, answer);
    assert!(!error.refuses_client(), "other requests may be granted");
}

fn assert_refused(error: &Error, answer: &Answer) {
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(!error.is_transient(), "asking again won't help");
    let vendor = error.vendor().expect("the error has the vendor's words");
    assert_eq!(vendor.status, Some(answer.status));
    if !answer.body.is_empty() {
        assert!(vendor.has_words(), "the vendor's words are lost");
    }
}

/// 408, 425, 429 and 5xx may be different later, whatever the body says, and `Retry-After` is
/// kept.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn a_failing_vendor_is_transient(provider: &dyn Provider, case: &Case) {
    let bodies = [
        case.refused_client().body.clone(),
        Bytes::new(),
        Bytes::from_static(b"<html>Bad gateway</html>"),
    ];
    for status in [408, 425, 429, 500, 502, 503, 504] {
        for body in &bodies {
            let mut answer = Answer::new(status, body.clone());
            answer.headers.insert(
                http::header::RETRY_AFTER,
                http::HeaderValue::from_static("7"),
            );
            let error = fetch(provider, case, &answer).await.error("a failure");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{status}: {error}");
            assert!(error.is_transient(), "{status} may be different later");
            assert_eq!(
                error.retry_after(),
                Some(Duration::from_secs(7)),
                "{status}: Retry-After is lost"
            );
            let vendor = error.vendor().and_then(|vendor| vendor.status);
            assert_eq!(vendor, Some(status), "the status is lost");
        }
    }
}

/// What the HTTP client says of a vendor that can't be reached is what the caller gets.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn no_connection_is_no_answer(provider: &dyn Provider, case: &Case) {
    let clock = ManualClock::new();
    let http = ScriptedHttp::new();
    http.answer_with(|_, _| Reply::unreachable());
    let cx = FetchContext::new(&http, &clock);
    let Err(error) = provider.fetch(&case.request, &cx).await else {
        panic!("there is a token without a vendor");
    };
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.is_transient());
    assert_eq!(http.count(), 1, "trying again is the manager's part");
}

/// A success without a body is a vendor that stumbled.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn an_empty_answer_is_transient(provider: &dyn Provider, case: &Case) {
    let error = fetch(provider, case, &Answer::new(200, ""))
        .await
        .error("nothing");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{error}");
    assert!(error.is_transient());
}

/// An answer that is neither token nor error is an error, whatever it is.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn garbage_is_an_error_and_never_a_panic(provider: &dyn Provider, case: &Case) {
    for body in GARBAGE {
        for status in [200, 201, 204, 299] {
            let answer = Answer::new(status, *body);
            let error = fetch(provider, case, &answer).await.error("garbage");
            assert_eq!(
                error.kind(),
                ErrorKind::InvalidResponse,
                "{status}: {error}"
            );
        }
        for status in [400, 401, 403, 404, 499] {
            let answer = Answer::new(status, *body);
            let error = fetch(provider, case, &answer).await.error("garbage");
            assert_eq!(error.kind(), ErrorKind::Refused, "{status}: {error}");
        }
    }
    for answer in damaged(case) {
        // Part of an answer may still be one; it must only not panic.
        drop(fetch(provider, case, &answer).await);
    }
}

/// No error shows what an answer held, but for the vendor's own words.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn no_answer_is_shown(provider: &dyn Provider, case: &Case) {
    for status in [200, 302, 400, 401, 500] {
        for body in [
            format!("<html>{PLANTED}</html>"),
            PLANTED.to_owned(),
            format!("[\"{PLANTED}\"]"),
            format!("{{\"x-{PLANTED}\":\"{PLANTED}\"}}"),
        ] {
            let error = fetch(provider, case, &Answer::new(status, body))
                .await
                .error("garbage");
            assert!(
                !shown(&error).contains(PLANTED),
                "{status}: the body is shown"
            );
        }
    }
    let (text, answer) = case.granted();
    let mut parts = damaged(case);
    parts.push(answer.clone());
    for answer in parts {
        let part = match fetch(provider, case, &answer).await.outcome {
            Ok(token) => format!("{token:?}"),
            Err(error) => shown(&error),
        };
        assert!(!part.contains(text.as_str()), "the token is shown");
    }
}

/// Neither errors nor `Debug` show the secret.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn no_secret_is_shown(provider: &dyn Provider, case: &Case) {
    assert!(!format!("{provider:?}").contains(SECRET), "Debug shows it");
    let id = format!("{:?} {}", provider.id(), provider.id().client());
    assert!(!id.contains(SECRET), "the id shows it");
    let mut answers = damaged(case);
    answers.push(case.refused_client().clone());
    answers.extend(case.refused_request.clone());
    for status in [200, 302, 404, 429, 500] {
        answers.push(Answer::new(status, ""));
    }
    for answer in answers {
        if let Err(error) = fetch(provider, case, &answer).await.outcome {
            assert!(!shown(&error).contains(SECRET), "an error shows it");
        }
    }
}

/// A vendor that repeats the secret doesn't get it into an error of the token manager, however it is
/// encoded and wherever the vendor's text is cut: a provider hands on whole texts
/// ([`VendorError`](biped_core::VendorError)), or cuts them by
/// [`wire::vendor_text`](biped_core::wire::vendor_text), which marks the cut.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn a_repeated_secret_is_not_shown(_: &dyn Provider, case: &Case) {
    let parts = Parts::of(REPEATED);
    for (encoding, echo) in encodings(REPEATED) {
        for before in [VENDOR_TEXT_LIMIT - echo.len() / 2, VENDOR_TEXT_LIMIT - 6] {
            let words = format!("{}{echo}", ".".repeat(before));
            for answer in super::repeating::answers(case, &words) {
                let http = ScriptedHttp::new();
                http.answer_with(move |_, _| answer.reply());
                let manager = TokenManager::builder(Arc::new(http))
                    .clock(Arc::new(ManualClock::new()))
                    .build();
                let source = manager.source((case.make)(REPEATED), case.request.clone());
                let Err(error) = source.token().await else {
                    continue;
                };
                let shown = shown(&error).replace("........", "");
                let part = parts.find_in(&shown);
                assert!(part.is_none(), "an error shows a part of it ({encoding})");
            }
        }
    }
}

/// A header of the token request that holds the secret is marked sensitive, so that nobody's `Debug`
/// of it shows it.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn a_header_that_holds_the_secret_is_marked(provider: &dyn Provider, case: &Case) {
    for request in fetch(provider, case, &case.granted().1).await.requests {
        for (name, value) in &request.headers {
            let holds_it = contains(value.as_bytes(), SECRET) || name == AUTHORIZATION;
            assert!(
                !holds_it || value.is_sensitive(),
                "the header {name} holds the secret and is not marked sensitive"
            );
        }
    }
}

/// So is a header that `attach` puts the token in.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn a_header_that_holds_the_token_is_marked(_: &dyn Provider, case: &Case) {
    let (text, answer) = case.granted();
    let http = Arc::new(ScriptedHttp::new());
    http.push(answer.reply());
    let manager = TokenManager::builder(http)
        .clock(Arc::new(ManualClock::new()))
        .build();
    let source = manager.source(case.provider(), case.request.clone());
    let token = match source.token().await {
        Ok(token) => token.into_owned(),
        Err(error) => panic!("a granting answer is taken for an error: {error}"),
    };
    let mut call = ApiCall::default();
    if let Err(error) = source.attach(&token, &mut ApiRequest::new(&mut call)) {
        panic!("the token can't be attached to a plain GET: {error}");
    }
    for (name, value) in &call.headers {
        assert!(
            value.is_sensitive() || !contains(value.as_bytes(), text),
            "the header {name} holds the token and is not marked sensitive"
        );
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn shown(error: &Error) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        shown += &format!(" {error} {error:?}");
        source = error.source();
    }
    shown
}

/// A redirect would take the secret elsewhere: it is an error, and nothing else is sent.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn a_redirect_is_not_followed(provider: &dyn Provider, case: &Case) {
    for status in [301, 302, 303, 307, 308] {
        let mut answer = case.granted().1.with_status(status);
        answer.headers.insert(
            http::header::LOCATION,
            http::HeaderValue::from_static("https://elsewhere.example/token"),
        );
        let fetched = fetch(provider, case, &answer).await;
        assert_eq!(fetched.requests.len(), 1, "{status} is followed");
        let error = fetched.error("a redirect");
        assert!(!error.is_transient(), "{status} won't go away: {error}");
    }
}

/// The same configuration gives the same id.
///
/// # Panics
/// Where the provider breaks the promise.
#[allow(clippy::unused_async)] // so that all checks are called alike
pub async fn an_id_is_stable(provider: &dyn Provider, case: &Case) {
    for _ in 0..2 {
        assert_eq!(case.provider().id(), provider.id(), "the id differs");
    }
    assert!(!provider.id().kind().is_empty(), "the id has no kind");
    let endpoint = provider.id().token_endpoint();
    assert!(url::Url::parse(endpoint).is_ok(), "the id tells no place");
}

/// What the API says of an expired token rejects it; a good answer and a plain 403 don't.
///
/// # Panics
/// Where the provider breaks the promise.
#[allow(clippy::unused_async)] // so that all checks are called alike
pub async fn an_expired_token_is_rejected_and_no_other(provider: &dyn Provider, case: &Case) {
    let judge = |answer: &Answer| {
        let status = StatusCode::from_u16(answer.status).unwrap();
        let now = ManualClock::new().now().wall;
        let seen = || ApiResponse::new(status, &answer.headers, now);
        match provider.judge(&seen()) {
            Verdict::NeedsBody { .. } => provider.judge(&seen().with_body(&answer.body)),
            verdict => verdict,
        }
    };
    let empty = Answer::new(401, "");
    let rejected = case.rejected.as_ref().unwrap_or(&empty);
    assert_eq!(judge(rejected), Verdict::Rejected);
    for status in [200, 204, 403, 404, 500] {
        let verdict = judge(&Answer::new(status, "{}"));
        assert_eq!(verdict, Verdict::Accepted, "{status}");
    }
}

/// What is neither a token nor an error of any vendor.
const GARBAGE: &[&str] = &[
    "<!DOCTYPE html><html><body>Sign in</body></html>",
    "not json",
    "\u{feff}",
    "null",
    "true",
    "0",
    "-1e999",
    "\"text\"",
    "[]",
    "{}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{\"a\":",
    "\0\0\0\0",
    "{\"data\":null}",
    "{\"data\":\"{\"}",
    "{\"data\":{}}",
    "{\"access_token\":null}",
    "{\"access_token\":{}}",
];

/// The vendor's own answers, cut off and with bytes of another sort in them.
fn damaged(case: &Case) -> Vec<Answer> {
    let (_, granted) = case.granted();
    let refused = case.refused_client();
    let mut all = Vec::new();
    for answer in [granted, refused] {
        let body = &answer.body;
        for at in 0..body.len() {
            all.push(answer.with_body(body.slice(..at)));
            for byte in [0, b'"', b'{', b'0', 0xff] {
                let mut changed = body.to_vec();
                changed[at] = byte;
                all.push(answer.with_body(changed));
            }
        }
        all.push(answer.with_status(200));
        all.push(answer.with_status(400));
    }
    all
}
