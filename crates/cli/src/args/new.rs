//! The arguments of `biped new`.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};

#[derive(Debug, Subcommand)]
pub(crate) enum New {
    /// Writes the crate of a provider: code that exchanges credentials for a token
    ///
    /// The crate compiles and passes the conformance suite of providers as written. Its TODO comments
    /// mark what depends on the vendor's documentation.
    Provider(NewCrate),
    /// Writes the crate of a store: code that keeps tokens
    ///
    /// The crate compiles and passes the conformance suite of stores as written. Its TODO comments
    /// mark what depends on your database.
    Store(NewCrate),
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewCrate {
    /// The name of the crate and of its directory, which must not exist; the kind has the same name,
    /// without biped- at its start
    pub(crate) name: String,
    /// Depends on the crates of this checkout of Biped instead of the published ones
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub(crate) biped_path: Option<PathBuf>,
}
