//! The `biped` command as a library: an application with providers of its own gets every command for
//! them, with a `main` of one line.
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
//! Scripts may rely on these rules:
//!
//! - Data goes to stdout, everything else to stderr. A reader that closes stdout early ends the
//!   command without an error.
//! - A command ends within 15 s (`--timeout`). The exceptions are `serve`, `sandbox`, `token --follow`,
//!   `ready --wait`, the program that `exec` runs, and what waits for a person.
//! - A request that the vendor has refused is not repeated.
//! - Colour is used on terminals only, and not if `NO_COLOR` is set.
//!
//! # Trust
//!
//! A `./biped.toml` that is found in the working directory may come from another person, so the
//! command does not use it until it is trusted. On a terminal the command asks; `biped trust` trusts
//! it without a question; `biped init` and `biped sandbox --write` trust the files that they write. A
//! file that `--config FILE` or `BIPED_CONFIG` names needs no trust, and neither does the file in the
//! platform's configuration directory. Trust covers the file's location, its references, its hosts and
//! the files that it names ([`Reach`](biped::config::Reach)). It is stored in the directory
//! `biped/trust` of the platform's directory for user state. A `./biped.toml` that another user can
//! have written ([`OwnerCheck`](biped::config::OwnerCheck)) is refused in any case; for a named file
//! this is a warning.
//!
//! `list` runs no command, and resolves nothing in an untrusted file; if it can't determine the state
//! of a token, the state is `unknown`. `config show`, `vendors` and the completions resolve nothing at
//! all.
//!
//! # Exit status
//!
//! | exit status | when |
//! | --- | --- |
//! | 0 | success |
//! | 1 | a bug, or stdout can't be written |
//! | 2 | a usage or configuration error, or a secret that can't be read |
//! | 3 | the vendor refused the request |
//! | 4 | the vendor is unreachable or unavailable, its response is invalid, or the token store fails where the command needs it |
//! | 5 | the API returned an error to `call`, or a redirect that is not followed; the response body is on stdout |
//! | 126, 127 | the program that `exec` runs can't be run, or does not exist; otherwise `exec` ends with the status of the program |
//!
//! With `--format json` an error is one JSON object on stderr:
//!
//! ```json
//! {"error":{"kind":"refused","provider":"shop","status":401,"code":"401021","reason":"invalid_client",
//!   "message":"Invalid client_id, client_secret, or session_key","retry_after":null}}
//! ```
//!
//! `kind` is the name of the [`ErrorKind`](biped::ErrorKind), or `api` at exit status 5; `status` is
//! the HTTP status or null; `code` and `reason` are the vendor's, as strings, or null; `message` is
//! the vendor's if it refused, else Biped's, followed by the vendor's; `retry_after` is in seconds or
//! null.

mod args;
mod commands;
mod complaint;
mod destination;
mod environment;
mod examples;
mod failure;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod output;
mod selection;
mod session;
mod threads;
mod trust;
mod words;

use std::{ffi::OsString, process::ExitCode};

use biped::Builder;

use self::{args::Args, session::Session};

/// Runs the command of the process's arguments, and returns its exit status.
///
/// `builder` contains what the application adds: kinds of providers, providers, a store. The command
/// adds the configuration file: the one that `--config FILE` names, else the one that `BIPED_CONFIG`
/// names, else `./biped.toml` if it is trusted, else `biped/biped.toml` in the platform's
/// configuration directory.
#[must_use]
pub fn run(builder: Builder) -> ExitCode {
    let builder = builder.section(biped_serve::section());
    let line: Vec<OsString> = std::env::args_os().collect();
    output::choose_color(args::written(&line, "--color"));
    let args = match Args::read(&builder, &line) {
        Ok(args) => args,
        Err(error) => return complaint::usage(&error, args::written(&line, "--format")),
    };
    let json = args.command.wants_json();
    if args.command.takes_calls() {
        output::never_wait();
    }
    output::log(args.global.verbose, json, args.command.serves());
    let session = Session::new(builder, &args);
    let code = match commands::run(&session, &args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(json, args.global.verbose > 0);
            failure.exit_code()
        }
    };
    output::flush();
    code
}
