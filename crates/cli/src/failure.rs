//! [`Failure`]: why a command failed, its description and its exit status.

use std::{io, process::ExitCode, time::Duration};

use biped::{Error, ErrorKind};
use serde::Serialize;

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of Biped.
    Biped(Error),
    /// An error of Biped that has been printed for people.
    Told(Error),
    /// The API returned an error.
    Api {
        provider: String,
        /// The method and the URL, which holds no secret.
        request: String,
        status: u16,
        retry_after: Option<Duration>,
    },
    /// The program that `exec` runs can't be run.
    Program { error: Error, is_missing: bool },
    /// The output can't be written.
    Output(io::Error),
}

/// The next run of a command asks at once, whatever this process would do next.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Biped(error.without_plan())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// The exit status.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Biped(error) | Self::Told(error) => ExitCode::from(status(error.kind())),
            Self::Api { .. } => ExitCode::from(5),
            // As a shell.
            Self::Program { is_missing, .. } => ExitCode::from(if *is_missing { 127 } else { 126 }),
            Self::Output(_) if self.is_broken_pipe() => ExitCode::SUCCESS,
            Self::Output(_) => ExitCode::FAILURE,
        }
    }

    /// Whether the vendor refused the request.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Biped(error) | Self::Told(error) if error.kind() == ErrorKind::Refused)
    }

    /// Whether the reader has closed stdout, which does not count as an error.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Biped(error) | Self::Told(error) | Self::Program { error, .. } => words(error),
            Self::Api {
                request, status, ..
            } if *status < 400 => format!(
                "the API returned HTTP {status} to {request}, a redirect that Biped does not follow; see \
                 its location with -i"
            ),
            Self::Api {
                request, status, ..
            } => format!("the API returned HTTP {status} to {request}"),
            Self::Output(error) => format!("stdout can't be written: {error}"),
        }
    }
}

/// The exit status for an error of this kind.
pub(crate) fn status(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Configuration | ErrorKind::Secret => 2,
        ErrorKind::Refused => 3,
        ErrorKind::Unreachable
        | ErrorKind::Unavailable
        | ErrorKind::InvalidResponse
        | ErrorKind::Store => 4,
        _ => 1,
    }
}

/// The outcome of a command that has shown what it found and these errors with it: the worst of them.
pub(crate) fn told(errors: impl IntoIterator<Item = Error>) -> Outcome {
    // By the exit status, and a bug is the worst.
    let severity = |error: &Error| match status(error.kind()) {
        1 => u8::MAX,
        status => status,
    };
    match errors.into_iter().max_by_key(severity) {
        Some(worst) => Err(Failure::Told(worst)),
        None => Ok(()),
    }
}

/// An error as JSON.
#[derive(Serialize)]
pub(crate) struct Described {
    kind: &'static str,
    provider: Option<String>,
    /// Where it failed, if not at the vendor: the source of an assertion or of another token.
    source: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    reason: Option<String>,
    message: String,
    retry_after: Option<u64>,
}

impl Described {
    pub(crate) fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Biped(error) | Failure::Told(error) | Failure::Program { error, .. } => {
                Self::of_error(error)
            }
            Failure::Api {
                provider,
                status,
                retry_after,
                ..
            } => Self {
                kind: "api",
                provider: Some(provider.clone()),
                source: None,
                status: Some(*status),
                code: None,
                reason: None,
                message: failure.message(),
                retry_after: retry_after.map(whole_seconds),
            },
            Failure::Output(_) => Self::of_error(&Error::internal(failure.message())),
        }
    }

    pub(crate) fn of_error(error: &Error) -> Self {
        let vendor = error.vendor();
        let said = vendor.and_then(|vendor| vendor.message.clone());
        let message = match said {
            Some(said) if error.says_more_than_vendor() => format!("{said} ({})", words(error)),
            Some(said) if error.kind() == ErrorKind::Refused => match error.clock_warning() {
                Some(warning) => format!("{said} ({warning})"),
                None => said,
            },
            // Keep the vendor's message beside Biped's own.
            Some(said) => format!("{}: {said}", words(error)),
            None => words(error),
        };
        Self {
            kind: error.kind().as_str(),
            provider: error.provider().map(Into::into),
            source: error.token_source().map(Into::into),
            status: vendor.and_then(|vendor| vendor.status),
            code: vendor.and_then(|vendor| vendor.code.clone()),
            reason: vendor.and_then(|vendor| vendor.reason.clone()),
            message,
            retry_after: error.retry_after().map(whole_seconds),
        }
    }
}

/// Seconds, rounded up: a shorter wait would be too short.
fn whole_seconds(wait: Duration) -> u64 {
    let started = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(started)
}

/// Biped's message and remedy, without what the JSON has in other fields.
fn words(error: &Error) -> String {
    let mut words = error.message().to_owned();
    if let Some(odd) = error.oddity() {
        words.insert_str(0, &format!("{odd}, and "));
    }
    if let Some(remedy) = error.remedy() {
        // The remedy for several lines is not that of the last one.
        let is_of_all = error.message().contains('\n');
        words += if is_of_all { "\n" } else { "; " };
        words += remedy;
    }
    if let Some(places) = error.credentials_from() {
        words += &format!(" (read from {places})");
    }
    if let Some(warning) = error.clock_warning() {
        words += &format!(" ({warning})");
    }
    words
}
