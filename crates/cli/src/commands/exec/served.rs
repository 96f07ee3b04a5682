//! `biped exec --serve`.

use std::process::ExitStatus;

use biped::{Biped, Error};
use biped_serve::{Running, Serve, Server};
use tokio::process::Command;

use super::{
    super::signals::Forwarded,
    program::{arguments, prefixes, unusable},
};
use crate::{
    args,
    failure::{Failure, Outcome},
    output,
    selection::has_tenants,
    session::Session,
};

/// Variables of other programs that hold secrets with which Biped gets tokens.
const SECRETS: [&str; 4] = [
    "VAULT_TOKEN",
    "BAO_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "IDENTITY_HEADER",
];

pub(super) fn run(session: &Session, args: &args::Exec) -> Outcome {
    if let Some(error) = args.selection.unserved() {
        return Err(error.into());
    }
    #[cfg(unix)]
    if std::process::id() == 1
        && let Ok(own) = std::env::current_exe()
    {
        return first_process(session, &own);
    }
    let biped = session.biped()?;
    let prefixes = prefixes(&args.names)?;
    for (name, _) in &prefixes {
        biped.provider(name)?;
    }
    let status = session.block_on(async {
        let caller = caller_token()?;
        let running = start(&biped, args, &caller).await?;
        running.warmed().await;
        if !args.serving.start_anyway {
            have_tokens(session, &biped, &args.names).await?;
        }
        let (program, arguments) = arguments(args)?;
        let mut command = Command::new(program);
        command.args(arguments);
        if !args.serving.keep_env {
            for name in secret_variables(&biped) {
                command.env_remove(name);
            }
        }
        set(&mut command, &running, args, &prefixes, &caller);
        let signals = Forwarded::listen()?;
        let child = command.spawn();
        let mut child = child.map_err(|error| unusable(program, &error))?;
        let status = signals.wait(&mut child).await?;
        // Calls under way are dropped with their caller.
        drop(running);
        Ok(status)
    })?;
    output::flush();
    std::process::exit(code(status));
}

/// Waits until each of these providers has a token. Each that has none is told; the first that the vendor refused
/// sets the exit status, else the first.
async fn have_tokens(session: &Session, biped: &Biped, names: &[String]) -> Outcome {
    let mut flights = Vec::new();
    for name in names {
        let source = biped.token_source(name)?;
        // With tenants, each request names its own.
        if !has_tenants(&source) {
            let flight = async move { source.token().await.map(drop) };
            flights.push((name, tokio::spawn(flight)));
        }
    }
    let mut failures = Vec::new();
    for (name, flight) in flights {
        let flight = async {
            flight
                .await
                .unwrap_or_else(|_| Err(Error::internal("the fetch of a token panicked")))
        };
        failures.extend(session.limited(name, flight).await.err());
    }
    if !session.is_json() {
        for failure in &failures {
            failure.tell(false, session.is_verbose());
        }
    }
    let refused = failures.iter().position(Failure::is_refused);
    match failures.into_iter().nth(refused.unwrap_or_default()) {
        None => Ok(()),
        Some(Failure::Biped(error)) => Err(Failure::Told(error)),
        Some(other) => Err(other),
    }
}

/// Runs this command in a process below, and waits for orphans as the first process of a container must. It is
/// a process of its own, because the one that serves waits for the commands that secrets come from.
#[cfg(unix)]
fn first_process(session: &Session, own: &std::path::Path) -> Outcome {
    let status = session.block_on(async {
        let mut command = Command::new(own);
        command.args(std::env::args_os().skip(1));
        let signals = Forwarded::listen()?;
        let child = command.spawn();
        let child = child.map_err(|error| unusable(own.as_os_str(), &error))?;
        Ok(signals.wait_for_all(&child).await?)
    })?;
    std::process::exit(code(status));
}

/// 256 random bits.
fn caller_token() -> Result<String, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::internal(format!("the system provides no random numbers: {error}"))
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn start(biped: &Biped, args: &args::Exec, caller: &str) -> Result<Running, Error> {
    let serving = &args.serving;
    let listen = match &serving.socket {
        Some(path) => format!("unix:{}", path.display()),
        None => "127.0.0.1:0".into(),
    };
    let (caller, names) = (caller.to_owned(), args.names.clone());
    let tokens = serving.tokens;
    Server::new(biped.clone())
        .settings(move |serve: Serve| serve.for_one(caller, listen, names, tokens))
        .start()
        .await
}

/// The variables of this process that may hold secrets.
fn secret_variables(biped: &Biped) -> impl Iterator<Item = String> {
    let is_secret = |name: &String| {
        SECRETS.contains(&&**name)
            || (name.starts_with("BIPED_") && name.contains("__"))
            || biped.refers_to_variable(name)
    };
    // A reference can't name a variable whose name is not UTF-8.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(is_secret)
}

fn set(
    command: &mut Command,
    running: &Running,
    args: &args::Exec,
    prefixes: &[(String, String)],
    caller: &str,
) {
    let address = running.addresses().into_iter().next().unwrap_or_default();
    // A program reaches a socket by its own means, at any host.
    let url = match address.strip_prefix("unix:") {
        Some(path) => {
            command.env("BIPED_SOCKET", path);
            "http://localhost"
        }
        None => {
            command.env_remove("BIPED_SOCKET");
            address.as_str()
        }
    };
    command
        .env("BIPED_URL", url)
        .env("BIPED_CALLER_TOKEN", caller);
    for (name, prefix) in prefixes {
        command
            .env(format!("{prefix}_BASE_URL"), format!("{url}/{name}"))
            .env(format!("{prefix}_ACCESS_TOKEN"), caller)
            .env(format!("{prefix}_TOKEN_TYPE"), "Bearer")
            .env_remove(format!("{prefix}_EXPIRES_AT"))
            .env_remove(format!("{prefix}_SCOPE"));
        if args.serving.tokens {
            command
                .env(
                    format!("{prefix}_TOKEN_URL"),
                    format!("{url}/-/oauth/{name}/token"),
                )
                .env(format!("{prefix}_CLIENT_ID"), name)
                .env(format!("{prefix}_CLIENT_SECRET"), caller);
        }
    }
}

/// The child's status, or 128 and its signal, as shells say.
fn code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return 128 + signal;
        }
    }
    status.code().unwrap_or(1)
}
