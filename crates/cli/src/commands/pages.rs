//! `biped completions` and `biped man`.

use biped::{Error, config::nearest};
use clap_complete::Shell;

use crate::{failure::Outcome, output, session::Session};

/// Prints completions for the program's name, as it was started.
pub(crate) fn completions(session: &Session, shell: Shell) -> Outcome {
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

/// Prints a page of the manual, for `man -l -`.
pub(crate) fn man(session: &Session, command: Option<&str>) -> Outcome {
    let mut biped = session.command_line();
    biped.build();
    let page = match command {
        None => biped,
        Some(name) => match biped.find_subcommand(name) {
            Some(command) => command.clone(),
            None => {
                let known = biped.get_subcommands().map(clap::Command::get_name);
                let error = Error::configuration(format!("unknown command {name}"));
                return Err(match nearest(name, known) {
                    Some(meant) => error.with_remedy(format!("did you mean {meant}?")).into(),
                    None => error.into(),
                });
            }
        },
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page).render(&mut roff)?;
    output::data(&roff)
}
