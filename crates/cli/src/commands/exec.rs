//! `biped exec`.

mod program;
mod served;

use std::{io, process::Command, time::Duration};

use biped::{Error, ExposeSecret, Token, TokenSource};

use self::program::{arguments, prefixes, unusable};
use crate::words::{base_url, rfc3339, scope};
use crate::{args, failure::Outcome, output, session::Session};

/// The life of a token below which a command may need another.
const SHORT: Duration = Duration::from_secs(3600);

pub(crate) fn run(session: &Session, args: &args::Exec) -> Outcome {
    if args.serving.serve {
        return served::run(session, args);
    }
    let biped = session.biped()?;
    let mut sources: Vec<(String, String, TokenSource)> = Vec::new();
    for (name, prefix) in prefixes(&args.names)? {
        let source = match args.names.len() {
            1 => args.selection.source(&biped, &name)?,
            _ => args.selection.source_of_one(&biped, &name)?,
        };
        session.warn(&source);
        sources.push((name, prefix, source));
    }
    let (program, arguments) = arguments(args)?;
    let mut command = Command::new(program);
    command.args(arguments);
    session.block_on(async {
        // All fetches run at the same time; their results are awaited in order.
        let flights: Vec<_> = sources
            .iter()
            .map(|(_, _, source)| {
                let source = source.clone();
                tokio::spawn(async move { source.token().await.map(biped::TokenRef::into_owned) })
            })
            .collect();
        for ((name, prefix, source), flight) in sources.iter().zip(flights) {
            let flight = async {
                flight
                    .await
                    .unwrap_or_else(|_| Err(Error::internal("the fetch of a token panicked")))
            };
            let token = session.limited(name, flight).await?;
            if token.lifetime().is_some_and(|life| life < SHORT) && !session.is_json() {
                output::note(&format!(
                    "{name}: the token expires in less than an hour, and the command can't get another; \
                     use --serve if it runs longer"
                ));
            }
            set(&mut command, prefix, source, &token);
        }
        Ok(())
    })?;
    become_of(command).map_err(|error| unusable(program, &error))
}

/// Sets the variables of a token. A variable without a value is removed: an inherited value would
/// belong to another token.
fn set(command: &mut Command, prefix: &str, source: &TokenSource, token: &Token) {
    let variables = [
        ("ACCESS_TOKEN", Some(token.expose_secret().to_owned())),
        ("TOKEN_TYPE", scheme(token)),
        ("BASE_URL", base_url(source, token)),
        ("EXPIRES_AT", token.expires_at().and_then(rfc3339)),
        ("SCOPE", scope(source, token)),
    ];
    for (name, value) in variables {
        let name = format!("{prefix}_{name}");
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// Returns the token type as the header has it: a vendor that says `bearer` may accept only `Bearer`.
fn scheme(token: &Token) -> Option<String> {
    let (scheme, _) = token.header().to_str().ok()?.split_once(' ')?;
    Some(scheme.to_owned())
}

/// Replaces this process by the command, which then receives signals and sets the exit status.
#[cfg(unix)]
fn become_of(mut command: Command) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec())
}

/// Runs the command, and exits with its status.
#[cfg(not(unix))]
fn become_of(mut command: Command) -> io::Result<()> {
    let status = command.status()?;
    std::process::exit(status.code().unwrap_or(1));
}
