//! `biped forget`.

use crate::{args, failure::Outcome, output, session::Session};

pub(crate) fn run(session: &Session, args: &args::Forget) -> Outcome {
    let biped = session.biped()?;
    let source = args.selection.source(&biped, &args.name)?;
    if args.credential {
        session.block_on(session.limited(&args.name, source.forget_credential()))?;
    }
    session.block_on(session.limited(&args.name, source.forget()))?;
    if !session.is_json() {
        let what = match args.credential {
            true => "neither a token nor a refresh token",
            false => "a token",
        };
        let not = if args.credential {
            "contains"
        } else {
            "does not contain"
        };
        output::note(&format!("{}: the store {not} {what} now", args.name));
    }
    Ok(())
}
