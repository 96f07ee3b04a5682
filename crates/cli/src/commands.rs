//! The commands, a file each.

mod call;
mod check;
mod config;
mod exec;
mod forget;
mod init;
mod inspect;
mod list;
mod pages;
mod sandbox;
mod token;
mod trust;
mod vendors;

use biped::{Timestamp, Token, TokenSource};

use crate::{Outcome, args::Command, session::Session};

/// Does what a command is for.
pub(crate) fn run(session: &Session, command: &Command) -> Outcome {
    match command {
        Command::Init => init::run(session),
        Command::Token(args) => token::run(session, args),
        Command::Call(args) => call::run(session, args),
        Command::Exec(args) => exec::run(session, args),
        Command::List(args) => list::run(session, args),
        Command::Inspect(args) => inspect::run(session, args),
        Command::Check(args) => check::run(session, args),
        Command::Config { command } => config::run(session, command),
        Command::Vendors(args) => vendors::run(args),
        Command::Sandbox(args) => sandbox::run(session, args),
        Command::Forget(args) => forget::run(session, args),
        Command::Trust(args) => trust::run(session, args),
        Command::Completions { shell } => pages::completions(*shell),
        Command::Man { command } => pages::man(command.as_deref()),
    }
}

/// A point in time as RFC 3339, in whole seconds, rounded down.
fn rfc3339(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_second(at.unix_seconds()).ok()?;
    Some(at.to_string())
}

/// The scope of a token: as it was granted, else (RFC 6749 §5.1) as it was asked for.
fn scope(source: &TokenSource, token: &Token) -> Option<String> {
    let granted = token.scope().map(Into::into);
    granted.or_else(|| source.request().joined_scopes(" "))
}

/// Where a token's API is, without a slash at the end: a path is to follow.
fn base_url(source: &TokenSource, token: &Token) -> Option<String> {
    let url = source.base_url(token)?.as_str();
    Some(url.trim_end_matches('/').to_owned())
}

/// A length of time for people: its two largest units.
fn in_words(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days} d {} h", hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}
