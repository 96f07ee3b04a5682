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
        Command::Seed(args) => seed::run(session, args),
        Command::Forget(args) => forget::run(session, args),
        Command::Trust(args) => trust::run(session, args),
        Command::Completions(args) => completions::run(session, args),
        Command::Man { command } => manual::run(session, command.as_deref()),
    }
}
