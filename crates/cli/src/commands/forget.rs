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
            true => "contains neither the token nor a refresh token",
            false => "does not contain the token",
        };
        output::note(&format!("{}: the store {what} now", args.name));
    }
    Ok(())
}
