//! Responses that are neither a token nor an error, and the check that they are read as an error.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use biped_core::{ErrorKind, Provider};

use super::{
    case::{Answer, Case},
    fetched::fetch,
};

/// A response that is neither a token nor an error is read as an error.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn garbage_is_an_error_and_never_a_panic(provider: &dyn Provider, case: &Case) {
    let others: &[&str] = match case.grants_plain_text() {
        true => &[],
        false => TEXTS,
    };
    for body in GARBAGE.iter().chain(others) {
        for status in [200, 201, 204, 299] {
            let answer = Answer::new(status, *body);
            let error = fetch(provider, case, &answer).await.error("garbage");
            assert_same!(
                error.kind(),
                ErrorKind::InvalidResponse,
                "{status}: {error}"
            );
        }
    }
    for body in GARBAGE.iter().chain(TEXTS) {
        for status in [400, 401, 403, 404, 499] {
            let answer = Answer::new(status, *body);
            let error = fetch(provider, case, &answer).await.error("garbage");
            assert_same!(error.kind(), ErrorKind::Refused, "{status}: {error}");
        }
    }
    for answer in damaged(case) {
        // Part of a response may be valid; the provider must only not panic.
        drop(fetch(provider, case, &answer).await);
    }
}

/// Bodies that are neither a token nor an error of any vendor.
const GARBAGE: &[&str] = &[
    "<!DOCTYPE html><html><body>Sign in</body></html>",
    "\u{feff}",
    "[]",
    "{}",
    "\0\0\0\0",
];

/// Bodies that are neither a token nor an error, unless the vendor's answers are the token itself.
const TEXTS: &[&str] = &[
    "not json",
    "null",
    "true",
    "0",
    "-1e999",
    "\"text\"",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{\"a\":",
    "{\"data\":null}",
    "{\"data\":\"{\"}",
    "{\"data\":{}}",
    "{\"access_token\":null}",
    "{\"access_token\":{}}",
];

/// The vendor's own responses, cut off and with other bytes in them.
pub(super) fn damaged(case: &Case) -> Vec<Answer> {
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
