//! Checks that no error, `Debug` output or header shows a secret, a token or a response.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use biped_core::{ApiRequest, Error, Provider, wire::VENDOR_TEXT_LIMIT};
use http::header::AUTHORIZATION;

use super::{
    case::{Answer, ApiCall, Case, SECRET},
    fetched::{fetch, manager},
    garbage::damaged,
    repeating::{self, REPEATED},
};
use crate::{
    ManualClock, ScriptedHttp,
    secrets::{Parts, encodings, whole},
};

/// A mark for the parts of a response that are neither token nor error.
const PLANTED: &str = "pl4nted";

/// An error shows nothing of a response except the vendor's error.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn no_answer_is_shown(provider: &dyn Provider, case: &Case) {
    for status in [200, 302, 400, 401, 500] {
        let mut bodies = vec![
            format!("<html>{PLANTED}</html>"),
            format!("[\"{PLANTED}\"]"),
        ];
        if status != 200 || !case.grants_plain_text() {
            bodies.push(PLANTED.to_owned());
            bodies.push(format!("{{\"x-{PLANTED}\":\"{PLANTED}\"}}"));
        }
        for body in bodies {
            let error = fetch(provider, case, &Answer::new(status, body))
                .await
                .error("garbage");
            assert!(
                !shown(&error).contains(PLANTED),
                "{status}: the error shows the body"
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
        assert!(!part.contains(text.as_str()), "the error shows the token");
    }
}

/// Neither errors nor `Debug` output show the secret.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn no_secret_is_shown(provider: &dyn Provider, case: &Case) {
    assert!(
        !format!("{provider:?}").contains(SECRET),
        "Debug shows the secret"
    );
    let id = format!("{:?} {}", provider.id(), provider.id().client());
    assert!(!id.contains(SECRET), "the id shows the secret");
    let mut answers = damaged(case);
    answers.push(case.refused_client().clone());
    answers.extend(case.refused_request.clone());
    for status in [200, 302, 404, 429, 500] {
        answers.push(Answer::new(status, ""));
    }
    for answer in answers {
        if let Err(error) = fetch(provider, case, &answer).await.outcome {
            assert!(!shown(&error).contains(SECRET), "an error shows the secret");
        }
    }
}

/// If the vendor repeats the secret, no error of the token manager shows it, whatever its encoding and
/// wherever the vendor's text is cut. A provider passes on whole texts
/// ([`VendorError`](biped_core::VendorError)), or cuts them with
/// [`wire::vendor_text`](biped_core::wire::vendor_text), which marks the cut.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn a_repeated_secret_is_not_shown(_: &dyn Provider, case: &Case) {
    let parts = Parts::of(REPEATED);
    for (encoding, echo) in encodings(REPEATED) {
        for before in [VENDOR_TEXT_LIMIT - echo.len() / 2, VENDOR_TEXT_LIMIT - 6] {
            let words = format!("{}{echo}", ".".repeat(before));
            for answer in repeating::answers(case, &words) {
                let (_, Some(error)) = repeating::ask(case, answer).await else {
                    continue;
                };
                let shown = shown(&error).replace("........", "");
                let part = parts.find_in(&shown);
                assert!(
                    part.is_none(),
                    "an error shows a part of the secret ({encoding})"
                );
            }
        }
    }
}

/// A header of the token request that contains the secret, encoded or not, is marked as sensitive, so
/// that its `Debug` output does not show the secret.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn a_header_that_holds_the_secret_is_marked(provider: &dyn Provider, case: &Case) {
    let forms = whole(SECRET);
    for request in fetch(provider, case, &case.granted().1).await.requests {
        for (name, value) in &request.headers {
            let mut all = forms.iter();
            let holds_it =
                all.any(|form| contains(value.as_bytes(), form)) || name == AUTHORIZATION;
            assert!(
                !holds_it || value.is_sensitive(),
                "the header {name} contains the secret and is not marked as sensitive"
            );
        }
    }
}

/// A header with the token, from `attach`, is marked as sensitive.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn a_header_that_holds_the_token_is_marked(_: &dyn Provider, case: &Case) {
    let (text, answer) = case.granted();
    let http = Arc::new(ScriptedHttp::new());
    http.push(answer.reply());
    let manager = manager(&http, &Arc::new(ManualClock::new())).build();
    let source = manager.source(case.provider(), case.request.clone());
    let token = match source.token().await {
        Ok(token) => token.into_owned(),
        Err(error) => panic!("a response with a token is read as an error: {error}"),
    };
    let mut call = ApiCall::default();
    if let Err(error) = source.attach(&token, &mut ApiRequest::new(&mut call)) {
        panic!("the token can't be attached to a plain GET: {error}");
    }
    for (name, value) in &call.headers {
        assert!(
            value.is_sensitive() || !contains(value.as_bytes(), text),
            "the header {name} contains the token and is not marked as sensitive"
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
