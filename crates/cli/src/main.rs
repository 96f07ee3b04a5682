//! The `biped` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    biped_cli::run(biped::Biped::builder())
}
