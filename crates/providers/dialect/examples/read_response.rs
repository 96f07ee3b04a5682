//! What it costs to read a token response through a dialect, beside a struct written by hand for it.
//!
//! `cargo run --release -p biped-dialect --example read_response` prints the medians, and fails
//! where the dialect takes more than twice as long.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::disallowed_methods)]

use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use biped_core::{Error, Timestamp, Token};
use biped_dialect::Dialect;
use bytes::Bytes;

const DIALECT: &str = "url = \"https://vendor.example/token\"";
const SENT_AT: Timestamp = Timestamp::from_unix_seconds(1_795_305_600);
const LIMIT: f64 = 2.0;
const ROUNDS: usize = 201;
const READS: u32 = 2_000;

#[derive(serde::Deserialize)]
struct ByHand {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<u64>,
    scope: Option<String>,
}

fn by_hand(response: &http::Response<Bytes>) -> Result<Token, Error> {
    let answer: ByHand =
        serde_json::from_slice(response.body()).map_err(|_| Error::invalid_response("no token"))?;
    Token::new(answer.access_token, SENT_AT)
        .token_type(answer.token_type.as_deref())
        .expires_in(answer.expires_in.map(Duration::from_secs))
        .scope(answer.scope)
        .build()
}

fn main() -> ExitCode {
    let dialect = Dialect::from_toml(DIALECT, "example").expect("a dialect");
    let mut worst: f64 = 0.0;
    for (name, token) in [
        ("opaque token", "2YotnFZFEjr1zCsicMWpAA".to_owned()),
        (
            "JWT of 1 KiB",
            format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", "e".repeat(1000)),
        ),
    ] {
        let body = serde_json::json!({
            "access_token": token, "token_type": "Bearer", "expires_in": 3600,
            "scope": "read write", "issued_at": "1795305600000", "id": "https://vendor.example/7"
        });
        let response = http::Response::new(Bytes::from(body.to_string()));
        let (mut hand, mut read) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            hand.push(time(|| by_hand(&response)));
            read.push(time(|| dialect.read_token(&response, SENT_AT)));
        }
        let (hand, read) = (median(hand), median(read));
        let ratio = read / hand;
        worst = worst.max(ratio);
        println!("{name}: by hand {hand:.0} ns, dialect {read:.0} ns, {ratio:.2} ×");
    }
    if worst <= LIMIT {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Nanoseconds for one read.
fn time(read: impl Fn() -> Result<Token, Error>) -> f64 {
    let start = Instant::now();
    for _ in 0..READS {
        drop(black_box(read().expect("a token")));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(READS)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
