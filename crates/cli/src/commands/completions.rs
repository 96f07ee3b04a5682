//! `biped completions`.

use clap_complete::Shell;

use crate::{failure::Outcome, output, session::Session};

/// Prints completions for the program's name, as it was started.
pub(crate) fn run(session: &Session, shell: Shell) -> Outcome {
    let program = std::env::args_os().next();
    let program = program.as_deref().map(std::path::Path::new);
    let program = program.and_then(|path| path.file_stem()?.to_str().map(str::to_owned));
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut session.command_line(),
        program.unwrap_or_else(|| "biped".into()),
        &mut script,
    );
    output::data(&script)
}
