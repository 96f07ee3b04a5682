//! Printing a failure to stderr: for people, or as JSON.

use std::process::ExitCode;

use biped::{Error, provider::wire::Escaped};
use clap::builder::styling::AnsiColor;
use serde::Serialize;

use crate::{
    failure::{Described, Failure},
    output,
};

impl Failure {
    /// Prints the failure to stderr: as one JSON object, or for people.
    pub(crate) fn tell(&self, json: bool, verbose: bool) {
        if self.is_broken_pipe() {
            return;
        }
        if json {
            let told = Object {
                error: Described::of(self),
            };
            output::json_note(&told);
            return;
        }
        match self {
            Self::Told(_) => {}
            Self::Biped(error) | Self::Program { error, .. } => {
                let mut lines: Vec<_> = error.to_string().lines().map(str::to_owned).collect();
                if let several @ 2.. = error.message().lines().count() {
                    lines.insert(0, format!("{several} problems:"));
                }
                complain(lines, verbose.then_some(error));
            }
            Self::Api { provider, .. } => {
                let line = format!("{}: {}", Escaped(provider), self.message());
                complain(vec![line], None);
            }
            Self::Output(_) => complain(vec![self.message()], None),
        }
    }
}

/// Prints the error of an invalid command line, or the requested help.
pub(crate) fn usage(error: &clap::Error, format: Option<&str>) -> ExitCode {
    if error.use_stderr() && format == Some("json") {
        let text = error.render().to_string();
        let lines = text.trim().trim_start_matches("error: ").lines();
        let failure = Failure::Biped(Error::configuration_lines(lines));
        failure.tell(true, false);
        return failure.exit_code();
    }
    // A closed pipe is not an error.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[derive(Serialize)]
struct Object {
    error: Described,
}

fn complain(mut lines: Vec<String>, error: Option<&Error>) {
    let mut cause = error.and_then(std::error::Error::source);
    while let Some(error) = cause {
        lines.push(format!("because: {error}"));
        cause = error.source();
    }
    output::marked_lines("error", AnsiColor::Red, &lines);
}
