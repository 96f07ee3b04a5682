//! The `biped` command.

use std::process::ExitCode;

/// The static binary's own allocator (musl's) has one lock for all threads.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    biped_cli::run(biped::Biped::builder())
}
