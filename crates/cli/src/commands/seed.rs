//! `biped seed`.

#[cfg(unix)]
mod hidden;

use std::io::{self, BufRead as _, IsTerminal as _};

use biped::{Error, ExposeSecret as _, SecretString};

#[cfg(unix)]
use self::hidden::hide;
use crate::{args, failure::Outcome, output, session::Session};

/// The longest line that is read.
const LONGEST: u64 = 64 * 1024;

pub(crate) fn run(session: &Session, args: &args::Seed) -> Outcome {
    let biped = session.biped()?;
    let source = biped.token_source(&args.name)?;
    if source.provider().account().is_none() {
        let error = Error::configuration("this provider has no refresh token to store");
        let remedy = "set grant = \"refresh_token\", and remove rotates = false if it is set";
        let error = error.with_remedy(remedy);
        return Err(error.with_provider(&*args.name).into());
    }
    let seed = line(&args.name).map_err(|error| error.with_provider(&*args.name))?;
    // The time for the input does not count.
    session.start_time();
    let name = &args.name;
    session.block_on(session.limited(name, source.seed(seed, args.replace)))?;
    let note = |text: &str| {
        if !session.is_json() {
            output::note(&format!("{name}: {text}"));
        }
    };
    if args.no_check {
        // What an earlier refresh token brought may be another account's.
        session.block_on(session.limited(name, source.forget()))?;
        note("the refresh token is stored");
        return Ok(());
    }
    note("the refresh token is stored; using it once");
    session.block_on(session.limited(name, source.fetch()))?;
    note("the vendor accepted it");
    Ok(())
}

/// One line of stdin, which a terminal does not show.
fn line(name: &str) -> Result<SecretString, Error> {
    let _hidden = io::stdin().is_terminal().then(|| {
        output::note(&format!(
            "Enter the refresh token of {name}; it is not shown:"
        ));
        hide()
    });
    let mut text = String::new();
    let stdin = io::stdin().lock();
    io::Read::take(stdin, LONGEST)
        .read_line(&mut text)
        .map_err(|error| Error::secret(format!("stdin can't be read: {error}")))?;
    let seed = SecretString::from(text.trim());
    // Overwritten when it is dropped.
    drop(SecretString::from(text));
    match seed.expose_secret().is_empty() {
        true => Err(Error::configuration(
            "expected a refresh token on stdin, on one line",
        )),
        false => Ok(seed),
    }
}

/// Elsewhere the terminal shows it.
#[cfg(not(unix))]
fn hide() {}
