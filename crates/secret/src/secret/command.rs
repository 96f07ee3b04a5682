//! Secrets that a command prints.

use std::{io, time::Duration};

use biped_io::{before, block_on, run_command};
use secrecy::{ExposeSecret, SecretString};

use super::places::text;
use biped_error::{Clock, Error, SystemClock};

/// How long a command may take to print a secret.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest secret that a command may print, in bytes.
const LARGEST: usize = 1024 * 1024;

/// How long after a failure or a refusal a command is run again.
pub(crate) const COMMAND_REST: Duration = Duration::from_secs(30);

pub(super) async fn from_command(
    argv: &[String],
    clock: &dyn Clock,
) -> Result<SecretString, Error> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(
            Error::secret("cmd is an empty list").with_remedy("give a program and its arguments")
        );
    };
    let failed = |what: String| Error::secret(format!("the secret command {program} {what}"));
    let may_work_later = |error: Error| error.transient(true).with_next_attempt(Some(COMMAND_REST));
    let timeout = clock.sleep(COMMAND_TIMEOUT);
    let Some(ran) = before(timeout, run_command(program, arguments, LARGEST)).await else {
        let seconds = COMMAND_TIMEOUT.as_secs();
        return Err(may_work_later(failed(format!(
            "took more than {seconds} s"
        ))));
    };
    let (status, printed) = ran.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => failed(format!("printed more than {LARGEST} bytes")),
        io::ErrorKind::NotFound => failed(format!("can't be run: {error}"))
            .with_remedy("install the program, or write its whole path"),
        _ => failed(format!("can't be run: {error}")),
    })?;
    if !status.success() {
        let error = failed(format!("failed ({status})"));
        return Err(may_work_later(
            error.with_remedy("run it by hand to see why"),
        ));
    }
    match text(&printed) {
        Some(secret) if !secret.expose_secret().is_empty() => Ok(secret),
        Some(_) => Err(may_work_later(failed("printed nothing".into()))),
        None => Err(failed("printed text that is not UTF-8".into())),
    }
}

/// The same for callers without a runtime, or on a thread of one, which must not block on itself.
pub(super) fn from_command_now(argv: &[String]) -> Result<SecretString, Error> {
    block_on(from_command(argv, &SystemClock))
        .unwrap_or_else(|error| Err(Error::internal(format!("a command can't be run: {error}"))))
}
