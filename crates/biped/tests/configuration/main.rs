//! What a configuration may say, and how Biped takes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod application;
mod built_in;
mod doors;
mod environment;
mod file;
mod http;
#[cfg(feature = "oauth2")]
mod plain_http;
mod reach;
mod remedies;
mod schema;
mod secrets;
mod sections;
mod sending;
mod store;
mod vendor;

use biped::{Biped, Builder, Error};

/// A builder that no variable of this machine reaches.
fn builder() -> Builder {
    Biped::builder()
        .without_environment()
        .provider_kind(vendor::kind())
}

/// The problems of a text, a line each.
fn problems(text: &str) -> Vec<String> {
    lines(builder().toml(text).build())
}

fn lines(built: Result<Biped, Error>) -> Vec<String> {
    let error = built.expect_err("this configuration is wrong");
    assert_eq!(error.kind(), biped::ErrorKind::Configuration);
    error.to_string().lines().map(Into::into).collect()
}

/// Whether one line starts so and holds each of these words.
#[track_caller]
fn assert_one(lines: &[String], start: &str, words: &[&str]) {
    let fitting =
        |line: &&String| line.starts_with(start) && words.iter().all(|word| line.contains(word));
    assert_eq!(
        lines.iter().filter(fitting).count(),
        1,
        "{start} {words:?} in {lines:#?}"
    );
}
