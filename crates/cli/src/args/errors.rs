//! How a command prints errors.

use clap::ValueEnum;

/// The format of errors, for commands without other formatted output.
#[derive(Debug, clap::Args)]
pub(crate) struct Errors {
    /// The format of errors
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}
