//! `biped token`.

use biped::{ExposeSecret, Token, TokenSource};
use serde::Serialize;

use crate::words::{base_url, rfc3339, scope};
use crate::{
    args::{self, TokenFormat},
    environment,
    failure::Outcome,
    output,
    session::{Session, now},
};

pub(crate) fn run(session: &Session, args: &args::Token) -> Outcome {
    let biped = session.biped()?;
    let source = args.selection.source(&biped, &args.name)?;
    session.warn(&source);
    let asked = async {
        if args.fresh {
            source.fetch().await
        } else {
            source.token().await
        }
    };
    let token = session.block_on(session.limited(&args.name, asked))?;
    let text = token.expose_secret();
    match args.format {
        TokenFormat::Plain => output::data(format!("{text}\n").as_bytes()),
        TokenFormat::Json => output::json(&Printed::of(&args.name, &source, &token)),
        TokenFormat::Header => {
            let line = [b"Authorization: ", token.header().as_bytes(), b"\n"].concat();
            output::data(&line)
        }
        TokenFormat::Env => {
            let name = environment::prefix(&args.name);
            let line = format!("{name}_ACCESS_TOKEN={}\n", environment::quoted(text));
            output::data(line.as_bytes())
        }
    }
}

/// A token as JSON.
#[derive(Serialize)]
struct Printed<'t> {
    access_token: &'t str,
    token_type: &'t str,
    /// RFC 3339; null if the token lives until it is rejected.
    expires_at: Option<String>,
    /// Whole seconds left, rounded down.
    expires_in: Option<u64>,
    scope: Option<String>,
    base_url: Option<String>,
    provider: &'t str,
}

impl<'t> Printed<'t> {
    fn of(provider: &'t str, source: &TokenSource, token: &'t Token) -> Self {
        let expires_at = token.expires_at();
        Self {
            access_token: token.expose_secret(),
            token_type: token.token_type(),
            expires_at: expires_at.and_then(rfc3339),
            expires_in: expires_at.map(|expiry| expiry.since(now()).as_secs()),
            scope: scope(source, token),
            base_url: base_url(source, token),
            provider,
        }
    }
}
