//! Checks of the promises of [`Provider`]: one function for each, named after its promise.
//!
//! A function panics if the provider breaks the promise. A [`Case`] describes the vendor's responses;
//! no request is sent over a network.
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
//! assert_eq!(report.unchecked(), [Gap::Lifetime, Gap::Rejection, Gap::Settings]);
//! # });
//! ```
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use biped_core::{
    ApiResponse, Clock as _, Error, ErrorKind, ExposeSecret as _, FetchContext, Provider, Verdict,
};
use bytes::Bytes;
use http::{StatusCode, header::CONTENT_TYPE};

pub use super::{
    base_urls::a_base_url_is_checked,
    case::{Case, SECRET, Sent},
    garbage::garbage_is_an_error_and_never_a_panic,
    leaks::{
        a_header_that_holds_the_secret_is_marked, a_header_that_holds_the_token_is_marked,
        a_repeated_secret_is_not_shown, no_answer_is_shown, no_secret_is_shown,
    },
    report::{Gap, Report},
    sharing::{another_secret_shares_nothing, another_setting_has_another_id},
    stored::a_stored_token_is_checked_like_an_answer,
};
use super::{
    case::Answer,
    fetched::{Fetched, fetch},
};
use crate::{ManualClock, Reply, ScriptedHttp};

/// One promise, and the function that checks it.
#[derive(Clone, Copy)]
pub struct Check {
    /// The function's name.
    pub name: &'static str,
    run: for<'c> fn(&'c dyn Provider, &'c Case) -> Checking<'c>,
}

type Checking<'c> = Pin<Box<dyn Future<Output = ()> + Send + 'c>>;

impl Check {
    /// Runs the check in its own task.
    ///
    /// # Errors
    /// Returns how the provider breaks the promise.
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

/// All checks.
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
    another_setting_has_another_id,
    a_base_url_is_checked,
    a_stored_token_is_checked_like_an_answer,
    an_expired_token_is_rejected_and_no_other,
];

/// Runs all checks, and returns what the case leaves unchecked. `inspect`, `revoke`, client
/// certificates, and the signatures of API calls with a body are never checked.
///
/// A provider with [`inputs`](Provider::inputs) or an [`account`](Provider::account) can't be checked: the
/// suite has no token of another provider, and no refresh token that changes. Check the same provider
/// without them, where it can be built so.
///
/// # Panics
/// Panics if the provider breaks a promise; the message lists all broken promises. Panics if the provider
/// has inputs or an account.
pub async fn run(case: Case) -> Report {
    let provider = case.provider();
    for (has_it, what) in [
        (!provider.inputs().is_empty(), "inputs"),
        (provider.account().is_some(), "an account"),
    ] {
        assert!(
            !has_it,
            "the suite does not support a provider with {what}; check one without, and test the rest \
             with a TokenManager"
        );
    }
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

/// The request equals the vendor's, including every byte and header. Its URL does not contain the
/// secret. A second fetch sends the same request.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn a_request_is_what_the_vendor_documents(provider: &dyn Provider, case: &Case) {
    let expected = case
        .sends
        .as_ref()
        .expect("the case has no request; call Case::sends");
    for _ in 0..2 {
        let fetched = fetch(provider, case, &case.granted().1).await;
        let [request] = &fetched.requests[..] else {
            panic!(
                "the provider sends {} requests for one token",
                fetched.requests.len()
            );
        };
        let sent = Sent::of(request);
        let hint = match sent.is_same_json(expected) {
            true => " in the order or the blanks of its JSON only; expect what the provider writes",
            false => "",
        };
        assert_same!(&sent, expected, "the request differs{hint}");
        assert!(!request.url.contains(SECRET), "the URL contains the secret");
    }
}

/// The token is that of the response. Its lifetime starts when the request is sent, so that a slow
/// response does not extend it.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn a_granted_token_is_taken_as_it_is(provider: &dyn Provider, case: &Case) {
    let (text, answer) = case.granted();
    let fetched = fetch(provider, case, answer).await;
    let token = match fetched.outcome {
        Ok(token) => token,
        Err(error) => panic!("a response with a token is read as an error: {error}"),
    };
    assert!(
        token.expose_secret() == text,
        "the token is not that of the response"
    );
    assert_same!(
        token.requested_at(),
        fetched.sent_at,
        "the lifetime does not start when the request is sent"
    );
    if let Some(lifetime) = case.lifetime {
        assert_same!(token.lifetime(), Some(lifetime));
    }
}

/// A refusal of the client's credentials is read as one, with its status and the vendor's error, and the
/// request is not sent again.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn a_refused_client_is_told_in_the_vendors_words(provider: &dyn Provider, case: &Case) {
    let answer = case.refused_client();
    let error = refusal(provider, case, answer).await;
    assert!(
        error.refuses_client(),
        "the error does not say that the client is refused"
    );
}

/// A refusal of one request does not affect other requests of the client.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn a_refused_request_is_not_the_clients_fault(provider: &dyn Provider, case: &Case) {
    let Some(answer) = &case.refused_request else {
        return;
    };
    let error = refusal(provider, case, answer).await;
    assert!(
        !error.refuses_client(),
        "the error says that the client is refused"
    );
}

/// The error of a refusal, which is one.
async fn refusal(provider: &dyn Provider, case: &Case, answer: &Answer) -> Error {
    let error = without_retry(fetch(provider, case, answer).await).error("a refusal");
    assert_same!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(!error.is_transient(), "a refusal is transient");
    let vendor = error
        .vendor()
        .expect("the error does not contain the vendor's error");
    assert_same!(vendor.status, Some(answer.status));
    if !answer.body.is_empty() {
        assert!(vendor.has_words(), "the vendor's words are missing");
    }
    error
}

/// A fetch that sent no request twice. Another one may ask why the first was refused.
fn without_retry(fetched: Fetched) -> Fetched {
    let sent: Vec<_> = fetched.requests.iter().map(Sent::of).collect();
    for (at, request) in sent.iter().enumerate() {
        assert!(
            !sent[..at].contains(request),
            "the provider retries; only the manager may"
        );
    }
    fetched
}

/// The statuses 408, 425, 429 and 5xx are transient, whatever the body says, and `Retry-After` is
/// kept. The provider does not retry.
///
/// # Panics
/// Panics if the provider breaks the promise.
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
            let fetched = without_retry(fetch(provider, case, &answer).await);
            let error = fetched.error("a failure");
            assert_same!(error.kind(), ErrorKind::Unavailable, "{status}: {error}");
            assert!(error.is_transient(), "{status} is not transient");
            assert_same!(
                error.retry_after(),
                Some(Duration::from_secs(7)),
                "{status}: Retry-After is missing"
            );
            let vendor = error.vendor().and_then(|vendor| vendor.status);
            assert_same!(vendor, Some(status), "the status is missing");
        }
    }
}

/// The caller gets the HTTP client's error for a vendor that can't be reached.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn no_connection_is_no_answer(provider: &dyn Provider, case: &Case) {
    let clock = ManualClock::new();
    let http = ScriptedHttp::new();
    http.answer_with(|_, _| Reply::unreachable());
    let cx = FetchContext::new(&http, &clock).with_plain_http(provider.plain_http());
    let Err(error) = provider.fetch(&case.request, &cx).await else {
        panic!("the provider returns a token without a response");
    };
    assert_same!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.is_transient());
    assert_same!(
        http.count(),
        1,
        "the provider retries; only the manager may"
    );
}

/// A success without a body is a transient error.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn an_empty_answer_is_transient(provider: &dyn Provider, case: &Case) {
    let error = fetch(provider, case, &Answer::new(200, ""))
        .await
        .error("nothing");
    assert_same!(error.kind(), ErrorKind::InvalidResponse, "{error}");
    assert!(error.is_transient());
}

/// A redirect is an error, and no further request is sent: a redirect would take the secret elsewhere.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn a_redirect_is_not_followed(provider: &dyn Provider, case: &Case) {
    for status in [301, 302, 303, 307, 308] {
        let mut answer = case.granted().1.with_status(status);
        answer.headers.insert(
            http::header::LOCATION,
            http::HeaderValue::from_static("https://elsewhere.example/token"),
        );
        let fetched = fetch(provider, case, &answer).await;
        assert_same!(fetched.requests.len(), 1, "the provider follows {status}");
        let error = fetched.error("a redirect");
        assert!(!error.is_transient(), "{status} is transient: {error}");
    }
}

/// The same configuration has the same id.
///
/// # Panics
/// Panics if the provider breaks the promise.
#[allow(clippy::unused_async)] // so that all checks are called alike
pub async fn an_id_is_stable(provider: &dyn Provider, case: &Case) {
    for _ in 0..2 {
        assert_same!(case.provider().id(), provider.id(), "the id differs");
    }
    assert!(!provider.id().kind().is_empty(), "the id has an empty kind");
    let endpoint = provider.id().token_endpoint();
    assert!(
        url::Url::parse(endpoint).is_ok(),
        "the id does not contain the URL of the token endpoint"
    );
}

/// The API's response to an expired token rejects it; a success and a plain 403 do not. A failure whose
/// status alone rejects a token ([`Case::rejects`]) does, whichever it is.
///
/// # Panics
/// Panics if the provider breaks the promise.
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
    assert_same!(judge(rejected), Verdict::Rejected);
    let is_bare = matches!(&*rejected.body, b"" | b"{}")
        && rejected.headers.keys().all(|name| name == CONTENT_TYPE);
    let is_meant = |status| is_bare && status >= 400 && status == rejected.status;
    for status in [200, 204, 403, 404, 500] {
        if is_meant(status) {
            continue;
        }
        let verdict = judge(&Answer::new(status, "{}"));
        assert_same!(verdict, Verdict::Accepted, "{status}");
    }
}
