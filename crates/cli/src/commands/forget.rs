//! `biped forget`.

use crate::{args, failure::Outcome, output, session::Session};

pub(crate) fn run(session: &Session, args: &args::Forget) -> Outcome {
    let biped = session.biped()?;
    let source = args.selection.source(&biped, &args.name)?;
    session.block_on(session.limited(&args.name, source.forget()))?;
    if !session.is_json() {
        output::note(&format!(
            "{}: the store does not contain a token now",
            args.name
        ));
    }
    Ok(())
}
