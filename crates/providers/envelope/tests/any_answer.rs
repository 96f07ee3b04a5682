//! Whatever the vendor answers, nothing panics and no error shows it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use biped_core::{
    Error, FetchContext, HttpClient, Provider as _, SecretRef, SystemClock, TokenRequest,
    async_trait,
};
use biped_envelope::Envelope;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

/// Stands in every text that is neither a code nor a message of the vendor's.
const PLANTED: &str = "pl4nted";

/// Gives the same answer to every request.
#[derive(Debug)]
struct Always(u16, Bytes);

#[async_trait]
impl HttpClient for Always {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        Ok(http::Response::builder()
            .status(self.0)
            .body(self.1.clone())
            .unwrap())
    }
}

/// All that the outcome of a fetch shows.
fn shown(status: u16, body: impl Into<Bytes>) -> String {
    let http = Always(status, body.into());
    let base_url = Url::parse("https://api.vendor.example").unwrap();
    let secret = SecretRef::inline(PLANTED);
    let provider = Envelope::new(&base_url, SecretRef::inline("id"), secret);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let cx = FetchContext::new(&http, &SystemClock);
    match runtime.block_on(provider.fetch(&TokenRequest::new(), &cx)) {
        Ok(token) => format!("{:?}", token.expires_at()),
        Err(error) => format!("{error} {error:?}"),
    }
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![3 => Just(200), 1 => 200..600_u16]
}

fn text(start: &'static str) -> impl Strategy<Value = Value> {
    "\\PC{0,20}".prop_map(move |more| Value::from(format!("{start}{more}")))
}

/// Any JSON, its texts begun with `start`, and some of it as JSON in a string.
fn any_json(start: &'static str) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text(start),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let object = proptest::collection::btree_map(name(), inner.clone(), 0..6)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()));
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            (object, any::<bool>()).prop_map(|(object, in_a_string)| {
                if in_a_string {
                    Value::from(object.to_string())
                } else {
                    object
                }
            }),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    let known = [
        "access_token",
        "token_type",
        "expires_in",
        "scope",
        "code",
        "message",
        "data",
    ];
    prop_oneof![
        4 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => "x[a-z_]{1,8}",
    ]
}

proptest! {
    #[test]
    fn bytes_that_are_no_json_are_not_shown(
        status in status(),
        html in any::<bool>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let start = if html { "<p>" } else { "" };
        let body = [start.as_bytes(), PLANTED.as_bytes(), &bytes].concat();
        prop_assert!(!shown(status, body).contains(PLANTED));
    }

    #[test]
    fn an_answer_of_any_bytes_shows_no_secret(
        status in status(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        prop_assert!(!shown(status, bytes).contains(PLANTED));
    }

    #[test]
    fn json_is_shown_only_where_it_is_the_vendors_words(
        status in status(),
        data in any_json(PLANTED),
        error in any_json("w"),
        more in any_json(PLANTED),
        with_error in any::<bool>(),
    ) {
        let mut answer = json!({ "data": data, "more": more, "code_reason": [PLANTED] });
        if with_error {
            answer["error"] = error;
        }
        prop_assert!(!shown(status, answer.to_string()).contains(PLANTED), "{answer}");
    }

    #[test]
    fn an_answer_of_any_json_shows_no_secret(status in status(), answer in any_json("")) {
        prop_assert!(!shown(status, answer.to_string()).contains(PLANTED), "{answer}");
    }
}
