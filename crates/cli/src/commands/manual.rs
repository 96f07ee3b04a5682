//! `biped man`: a page of the manual, for `man -l -`.

use biped::{Error, config::nearest};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::{
    args::EXIT_STATUS,
    examples::{self, Example},
    failure::Outcome,
    output,
    session::Session,
};

/// The variables that the command reads.
const ENVIRONMENT: [(&str, &str); 6] = [
    (
        "BIPED_CONFIG",
        "The configuration file, if --config names none.",
    ),
    (
        "BIPED_PROVIDERS__NAME__KEY, BIPED_STORE__KEY, BIPED_HTTP__KEY, BIPED_ENGINE__KEY",
        "A value of the configuration, which overrides the file. It is taken as it is: a secret is the \
         secret itself and not a reference.",
    ),
    (
        "the variables that references name",
        "In the configuration, \"env:NAME\" is the value of the variable NAME.",
    ),
    (
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
        "The proxy, unless [http] proxy sets one.",
    ),
    (
        "NO_COLOR",
        "If it is set and not empty, the output has no colour.",
    ),
    (
        "XDG_CONFIG_HOME, XDG_STATE_HOME",
        "The directories of the files below; default: ~/.config and ~/.local/state.",
    ),
];

/// The files that the command reads and writes.
const FILES: [(&str, &str); 4] = [
    (
        "./biped.toml",
        "The configuration, if neither --config nor BIPED_CONFIG names a file. It must be trusted.",
    ),
    (
        "$XDG_CONFIG_HOME/biped/biped.toml",
        "The configuration, if there is no ./biped.toml.",
    ),
    (
        "$XDG_STATE_HOME/biped",
        "The tokens of the store of kind file, unless [store] path sets another directory.",
    ),
    (
        "$XDG_STATE_HOME/biped/trust",
        "Which configuration files are trusted.",
    ),
];

/// Prints the page of biped, or of one of its commands.
pub(crate) fn run(session: &Session, command: Option<&str>) -> Outcome {
    let mut biped = session.command_line();
    biped.build();
    let (page, examples): (_, &[Example]) = match command {
        None => (biped, &examples::OF_BIPED),
        Some(name) => match biped.find_subcommand(name) {
            Some(command) => (command.clone(), examples::of(name)),
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
    let has_commands = page.has_subcommands();
    // It has sections of its own here.
    let man = Man::new(page.after_help(None::<&str>));
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if has_commands {
        man.render_subcommands_section(&mut out)?;
    }
    sections(examples).to_writer(&mut out)?;
    output::data(&out)
}

/// What follows the options.
fn sections(examples: &[Example]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    // After the title, which the section has.
    for line in EXIT_STATUS.lines().skip(1) {
        match line.trim().split_once("  ") {
            Some((status, when)) => entry(&mut roff, status, when),
            None if !line.is_empty() => {
                roff.control("PP", []);
                roff.text([roman(line)]);
            }
            None => {}
        }
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, about) in ENVIRONMENT {
        entry(&mut roff, name, about);
    }
    roff.control("SH", ["FILES"]);
    for (path, about) in FILES {
        entry(&mut roff, path, about);
    }
    roff.control("SH", ["EXAMPLES"]);
    for (what, line) in examples {
        entry(&mut roff, what, line);
    }
    roff
}

/// A term, and what is said of it below.
fn entry(roff: &mut Roff, term: &str, about: &str) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    roff.text([roman(about)]);
}
