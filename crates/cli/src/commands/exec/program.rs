//! What `exec` and `exec --serve` have in common: the variables of providers, and the program that is run.

use std::{
    ffi::{OsStr, OsString},
    io,
};

use biped::Error;

use crate::{args, environment, failure::Failure};

/// Returns each provider with the prefix of its variables.
///
/// # Errors
/// Fails if two providers have the same prefix.
pub(super) fn prefixes(names: &[String]) -> Result<Vec<(String, String)>, Error> {
    let mut prefixes: Vec<(String, String)> = Vec::new();
    for name in names {
        let prefix = environment::prefix(name);
        match prefixes.iter().find(|(_, known)| *known == prefix) {
            Some((known, _)) if known == name => {}
            Some((known, _)) => {
                let message = format!("{known} and {name} both set the variables {prefix}_…");
                let remedy = "rename one of the two providers, or run exec for each";
                return Err(Error::configuration(message).with_remedy(remedy));
            }
            None => prefixes.push((name.clone(), prefix)),
        }
    }
    Ok(prefixes)
}

/// Returns the program to run and its arguments.
pub(super) fn arguments(args: &args::Exec) -> Result<(&OsStr, &[OsString]), Error> {
    match &args.command[..] {
        [program, arguments @ ..] => Ok((program, arguments)),
        [] => Err(Error::configuration("expected a command after --")),
    }
}

/// The failure of a program that can't be run.
pub(super) fn unusable(program: &OsStr, error: &io::Error) -> Failure {
    let shown = program.display();
    Failure::Program {
        error: Error::configuration(format!("{shown} can't be run: {error}")),
        is_missing: error.kind() == io::ErrorKind::NotFound,
    }
}
