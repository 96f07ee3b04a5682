//! Whatever Contentsquare answers, nothing panics and no error shows it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use biped_contentsquare::{Contentsquare, ContentsquareRequest as _, Scope};
use biped_core::{
    Error, FetchContext, HttpClient, Provider as _, SecretRef, SystemClock, TokenRequest,
    async_trait,
};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

/// Stands in every text that is neither a code nor a message of the vendor's. It starts with a digit
/// so that no text is a URL, which an error about a base URL shows on purpose.
const PLANTED: &str = "7pl4nted";

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

/// All that the errors of a fetch and of an inspection show.
fn shown(status: u16, body: Vec<u8>) -> String {
    let http = Always(status, body.into());
    let provider = Contentsquare::new(SecretRef::inline("id"), SecretRef::inline(PLANTED));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let cx = FetchContext::new(&http, &SystemClock);
        let request = TokenRequest::new().scope(Scope::DataExport);
        let mut shown = String::new();
        for request in [request.clone(), request.project(42)] {
            match provider.fetch(&request, &cx).await {
                Ok(token) => shown += &format!("{:?}", token.expires_at()),
                Err(error) => shown += &format!("{error} {error:?}"),
            }
        }
        if let Err(error) = provider.inspect(&TokenRequest::new(), &cx).await {
            shown += &format!("{error} {error:?}");
        }
        shown
    })
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![3 => Just(200), 1 => 200..600_u16]
}

/// Any JSON, its texts made of `text`.
fn json(text: &'static str) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(move |more| Value::from(format!("{text}{more}"))),
        Just(Value::from("")),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(vec![
            "access_token", "token_type", "expires_in", "scope", "project_id", "endpoint",
            "success", "scopes", "permissions", "projects", "id",
        ])
        .prop_map(str::to_owned),
        1 => "[a-z_]{1,8}".prop_map(|name| format!("x{name}")),
    ]
}

/// An object whose vendor's words are anything, and whose other fields hold planted texts.
fn answer() -> impl Strategy<Value = Value> {
    let words = proptest::sample::select(vec![
        "error",
        "error_description",
        "error_uri",
        "errorCode",
        "errorMessage",
    ]);
    let words = proptest::collection::btree_map(words.prop_map(str::to_owned), json("w"), 0..3);
    let others = proptest::collection::btree_map(name(), json(PLANTED), 0..8);
    (words, others, any::<bool>()).prop_map(|(words, others, with_words)| {
        let words = words.into_iter().filter(|_| with_words);
        Value::Object(others.into_iter().chain(words).collect())
    })
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
    fn json_is_shown_only_where_it_is_the_vendors_words(status in status(), answer in answer()) {
        prop_assert!(!shown(status, answer.to_string().into_bytes()).contains(PLANTED), "{answer}");
    }
}
