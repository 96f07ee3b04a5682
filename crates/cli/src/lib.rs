//! The `biped` command as a library: an application that has providers of its own gets every
//! command for them, with a `main` of five lines.
//!
//! ```no_run
//! use std::process::ExitCode;
//! # mod acme { pub fn kind() -> biped::provider::ProviderKind {
//! #     biped::provider::ProviderKind::new("acme", |_| Err(biped::Error::internal("an example"))) } }
//!
//! fn main() -> ExitCode {
//!     biped_cli::run(biped::Biped::builder().provider_kind(acme::kind()))
//! }
//! ```
//!
//! # Contracts
//!
//! Scripts may rely on these:
//!
//! - Data is on stdout, everything else on stderr. A reader that closes stdout early ends the
//!   command quietly.
//! - A command ends within 15 s (`--timeout`); only `exec`'s own command and `sandbox` run on.
//! - A vendor's refusal is never asked about again.
//! - Colour is for terminals only, and `NO_COLOR` is honoured.
//!
//! # Whose configuration it is
//!
//! A `./biped.toml` that nobody named may be anybody's, so the command does nothing of what it says
//! until it is trusted: on a terminal it asks, `biped trust` says so, and `biped init` and `biped
//! sandbox --write` trust what they write. `--config FILE` and `BIPED_CONFIG` name a file and need no
//! trust, nor does the file in the platform's configuration directory. Trust is of the file's place,
//! its references, its hosts and the files it names ([`Reach`](biped::config::Reach)), and is kept in
//! the directory `biped/trust` of the platform's directory for a user's state. A `./biped.toml` that
//! somebody else could have written ([`OwnerCheck`](biped::config::OwnerCheck)) is refused in any
//! case; a file that was named costs a warning then.
//!
//! `list` runs no command, and resolves nothing of a file that is not trusted; where it can't tell how
//! a token stands without, its state is `unknown`. `config show`, `vendors` and the completions
//! resolve nothing at all.
//!
//! # Exit status
//!
//! | exit status | when |
//! | --- | --- |
//! | 0 | done |
//! | 1 | a bug, or stdout can't be written |
//! | 2 | usage or configuration: nothing was asked of the API |
//! | 3 | the vendor answered, and said no |
//! | 4 | the vendor is unreachable or failing, or its answer unusable |
//! | 5 | the API answered `call` with an error; its body is on stdout |
//!
//! With `--format json` an error is one JSON object on stderr:
//!
//! ```json
//! {"error":{"kind":"refused","provider":"shop","status":401,"code":"401021","reason":"invalid_client",
//!   "message":"Invalid client_id, client_secret, or session_key","retry_after":null}}
//! ```
//!
//! `kind` is the name of the [`ErrorKind`](biped::ErrorKind), or `api` at exit status 5; `status` is
//! the HTTP status or null; `code` and `reason` are the vendor's, as texts, or null; `message` is
//! the vendor's where it refused, else Biped's with the vendor's behind it; `retry_after` is in
//! seconds or null.

mod args;
mod commands;
mod complaint;
mod environment;
mod failure;
mod output;
mod selection;
mod session;
mod trust;
mod words;

use std::{ffi::OsString, process::ExitCode};

use biped::Builder;

use self::{args::Args, session::Session};

/// Runs the command that the process was started with, and says what to exit with.
///
/// `builder` brings what the application has of its own: kinds of provider, providers, a store.
/// The configuration file is added to it: `--config FILE`, else what `BIPED_CONFIG` names, else
/// `./biped.toml` where it is trusted, else `biped.toml` in the directory `biped` of the platform's
/// configuration directory.
#[must_use]
pub fn run(builder: Builder) -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    output::choose_color(args::written(&line, "--color"));
    let args = match Args::read(&builder, &line) {
        Ok(args) => args,
        Err(error) => return complaint::usage(&error, args::written(&line, "--format")),
    };
    let json = args.command.wants_json();
    output::log(args.global.verbose, json);
    let session = Session::new(builder, &args.global, json);
    match commands::run(&session, &args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(json, args.global.verbose > 0);
            failure.exit_code()
        }
    }
}
