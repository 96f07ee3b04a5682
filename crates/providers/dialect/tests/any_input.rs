//! Whatever a file, a template or an answer holds: an error or a result, never a panic, and no
//! secret in any error. Ten thousand of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    borrow::Cow,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use biped_core::{
    ApiResponse, Error, FetchContext, HttpClient, IdentityRef, Provider as _, SecretRef,
    SystemClock, TokenRequest, async_trait,
};
use biped_dialect::{Dialect, Vendor, check_text};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

/// Every secret that is given.
const PLANTED: &str = "pl4nted";

/// Gives the same answer to every request.
#[derive(Debug)]
struct Always(u16, Bytes);

#[async_trait]
impl HttpClient for Always {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        Ok(http::Response::builder()
            .status(self.0)
            .header("X-Token", "t-1")
            .body(self.1.clone())
            .unwrap())
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
}

/// All that loading the file, fetching by it and judging an answer shows.
fn shown(text: &str, status: u16, body: &[u8]) -> String {
    let dialect = match Dialect::from_toml(text, "any.toml") {
        Ok(dialect) => Arc::new(dialect),
        Err(error) => return format!("{error} {error:?}"),
    };
    let mut vendor = Vendor::builder(dialect.clone())
        .client_id(SecretRef::inline("id"))
        .client_secret(SecretRef::inline(PLANTED));
    for param in dialect.params() {
        let value = match param.is_secret() {
            true => PLANTED,
            false => "v.example",
        };
        vendor = vendor.param(param.name(), SecretRef::inline(value));
    }
    if dialect.uses_client_certificate() {
        vendor = vendor.certificate(IdentityRef {
            certificate: SecretRef::inline(PLANTED),
            key: SecretRef::inline(PLANTED),
        });
    }
    let mut shown = format!("{vendor:?} {dialect:?}");
    let vendor = match vendor.build() {
        Ok(vendor) => vendor,
        Err(error) => return format!("{shown} {error} {error:?}"),
    };
    shown += &format!("{vendor:?}");
    let headers = http::HeaderMap::new();
    let at = biped_dialect::EXAMPLE_TIME;
    let code = http::StatusCode::from_u16(status).unwrap();
    vendor.judge(&ApiResponse::new(code, &headers, at));
    vendor.judge(&ApiResponse::new(code, &headers, at).with_body(body));
    let http = Always(status, Bytes::copy_from_slice(body));
    let cx = FetchContext::new(&http, &SystemClock);
    match now(vendor.fetch(&TokenRequest::new().scope("a b"), &cx)) {
        Ok(token) => shown + &format!("{token:?}"),
        Err(error) => format!("{shown} {error} {error:?}"),
    }
}

/// The files of the catalogue, and one with what they lack.
fn file() -> impl Strategy<Value = Cow<'static, str>> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/vendors");
    let mut files: Vec<Cow<'static, str>> = std::fs::read_dir(directory)
        .unwrap()
        .map(|file| {
            std::fs::read_to_string(file.unwrap().path())
                .unwrap()
                .into()
        })
        .collect();
    files.sort();
    files.push(
        r#"
        url = "https://{host}/{key|urlencode}?d={now+1d|%Y}"
        method = "PUT"
        encoding = "json"
        fields = { "/a/0/b" = [1, "{x}"], "/a/1" = { number = "{y}" }, z = 1.5 }
        headers = { X-Request-ID = "{uuid}", Y = "{z|b64}" }
        scope_separator = ";"

        [response]
        token = "/data/0/t"
        expires = { at = "/e", as = "local(%Y-%m-%d %H:%M, Europe/Berlin)" }
        base_url = "/u"
        base_url_hosts = ["*.{host}"]
        export = { e = "header:X-Token", f = "/f" }
        ok = { at = "/ok", equals = "yes", or_absent = true }

        [[then]]
        url = "https://{host}/{e}"
        headers = { A = "{token} {f}" }

        [[expired]]
        status = [200, 401]
        at = "/code"
        any_of = [1, "x", true, 0.5]
        "#
        .into(),
    );
    proptest::sample::select(files)
}

/// One change: bytes taken out, put in, doubled, or words exchanged.
fn mutated(text: &str, changes: &[(u8, usize, usize, String)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (kind, at, length, more) in changes {
        if chars.is_empty() {
            break;
        }
        let at = at % chars.len();
        let end = (at + length % 12).min(chars.len());
        match kind % 4 {
            0 => drop(chars.drain(at..end)),
            1 => drop(chars.splice(at..at, more.chars())),
            2 => drop(chars.splice(at..end, more.chars())),
            _ => {
                let part = chars[at..end].to_vec();
                drop(chars.splice(at..at, part));
            }
        }
    }
    chars.into_iter().collect()
}

fn changes() -> impl Strategy<Value = Vec<(u8, usize, usize, String)>> {
    let words = [
        "{",
        "}",
        "{{",
        "\"",
        "\"\"",
        "'",
        "\n",
        "[",
        "]",
        "[[",
        "]]",
        "=",
        ".",
        ",",
        "#",
        "|",
        "/",
        "~",
        "{token}",
        "{now}",
        "{uuid|b64}",
        "header:",
        "local(",
        "true",
        "false",
        "0",
        "-1",
        "1e400",
        "99999999999999999999",
        "2026-11-22",
        "\u{0}",
        "\u{7f}",
        "é",
        "𝕏",
        "[then]",
        "[[then]]",
        "[jwt]",
        "text",
        "none",
        "json",
        "/0",
        "%",
    ];
    let more = prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ];
    proptest::collection::vec((any::<u8>(), any::<usize>(), any::<usize>(), more), 1..6)
}

fn name() -> impl Strategy<Value = String> {
    let known = [
        "access_token",
        "token",
        "token_type",
        "expires_in",
        "expires",
        "expiresAt",
        "scope",
        "data",
        "error",
        "errors",
        "code",
        "message",
        "errcode",
        "success",
        "instance_url",
        "endpoint",
        "sessionId",
        "t",
        "e",
        "u",
        "f",
        "ok",
    ];
    prop_oneof![
        6 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => "[a-z_]{1,8}",
    ]
}

/// Any JSON, with the planted secret nowhere in it.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(Value::from("https://api.v.example/x")),
        Just(Value::from("2027-01-01T00:00:00Z")),
        Just(Value::from("3600")),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let object = proptest::collection::btree_map(name(), inner.clone(), 0..8)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()));
        prop_oneof![
            1 => proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            3 => (object, 0..4_u8).prop_map(|(object, how)| match how {
                0 => Value::from(object.to_string()),
                _ => object,
            }),
        ]
    })
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![3 => Just(200), 1 => 200..600_u16]
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn changed_files(file in file(), changes in changes(), status in status(), json in any_json()) {
        let text = mutated(&file, &changes);
        let shown = shown(&text, status, json.to_string().as_bytes());
        prop_assert!(!shown.contains(PLANTED), "{text}\n{shown}");
    }

    #[test]
    fn any_answers(file in file(), status in status(), json in any_json()) {
        let shown = shown(&file, status, json.to_string().as_bytes());
        prop_assert!(!shown.contains(PLANTED), "{shown}");
    }

    #[test]
    fn any_templates(template in "([a-z{}|%+: -]|now|uuid|token|b64|\\PC){0,24}", place in 0..4) {
        let quoted = Value::from(template.as_str()).to_string();
        let text = match place {
            0 => format!("url = {quoted}"),
            1 => format!("url = \"https://v.example\"\nfields = {{ a = {quoted} }}"),
            2 => format!("url = \"https://v.example\"\nheaders = {{ a = {quoted} }}"),
            _ => format!("url = \"https://v.example\"\nencoding = \"text\"\nbody = {quoted}"),
        };
        let shown = shown(&text, 200, b"{\"access_token\": \"t\"}");
        prop_assert!(!shown.contains(PLANTED), "{text}\n{shown}");
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn any_text_is_no_file(text in "\\PC{0,200}") {
        let error = Dialect::from_toml(&text, "any.toml").unwrap_err();
        prop_assert!(error.to_string().contains("any.toml"), "{error}");
    }

    #[test]
    fn changed_examples_are_compared(file in file(), changes in changes()) {
        // Keys for examples take long to make.
        let file = file.replace("generate:rsa", "none");
        let report = check_text(&mutated(&file, &changes), "any.toml");
        for difference in report.differences() {
            prop_assert!(!difference.to_string().is_empty());
        }
    }
}
