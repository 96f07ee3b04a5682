//! The commands, one file each.

mod call;
mod check;
mod completions;
mod config;
mod exec;
mod forget;
mod identity;
mod init;
mod inspect;
mod list;
mod manual;
mod new;
mod ready;
mod sandbox;
mod seed;
mod serve;
mod signals;
mod systemd;
pub(crate) mod token;
mod trust;
mod vendors;

use biped::Error;

use crate::{args::Command, failure::Outcome, session::Session};

/// Runs a command.
pub(crate) fn run(session: &Session, command: &Command) -> Outcome {
    match command {
        Command::Init(args) => init::run(session, args),
        Command::Token(args) => token::run(session, args),
        Command::Call(args) => call::run(session, args),
        Command::Exec(args) => exec::run(session, args),
        Command::List(args) => list::run(session, args),
        Command::Inspect(args) => inspect::run(session, args),
        Command::Check(args) => check::run(session, args),
        Command::Identity(args) => identity::run(session, args),
        Command::Config { command } => config::run(session, command),
        Command::Vendors(args) => vendors::run(session, args),
        Command::New { what } => new::run(session, what),
        Command::Sandbox(args) => sandbox::run(session, args),
        Command::Serve(args) => serve::run(session, args),
        Command::Ready(args) => ready::run(session, args),
        Command::Watch { .. } => Err(reserved().into()),
        Command::Seed(args) => seed::run(session, args),
        Command::Forget(args) => forget::run(session, args),
        Command::Trust(args) => trust::run(session, args),
        Command::Completions(args) => completions::run(session, args),
        Command::Man { command } => manual::run(session, command.as_deref()),
    }
}

/// What `watch` says until it exists.
fn reserved() -> Error {
    let error = Error::configuration("watch is reserved; this release does not support it yet");
    error.with_remedy(
        "open the page /-/ of a running sidecar, or read its /-/status or /-/events (server-sent events)",
    )
}
