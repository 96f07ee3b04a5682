//! `biped token`.

mod curl;
pub(crate) mod kubernetes;

use std::{path::Path, time::Duration};

use biped::{
    Error, ExposeSecret, Token, TokenSource,
    config::replace_file_durably,
    provider::{Clock, SystemClock},
};
use serde::Serialize;

use crate::words::{base_url, rfc3339, scope};
use crate::{
    args::{self, TokenFormat},
    destination, environment,
    failure::Outcome,
    output,
    session::{Session, now},
};

use super::signals::endings;

/// How often a followed token is looked at.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) fn run(session: &Session, args: &args::Token) -> Outcome {
    if let Some(path) = &args.write {
        destination::check(path)?;
    }
    let biped = session.biped()?;
    let source = args.selection.source(&biped, &args.name)?;
    session.warn(&source);
    if args.follow {
        return session.block_on(follow(args, &source));
    }
    let asked = async {
        match args.fresh {
            true => source.fetch().await,
            false => source.token().await,
        }
    };
    let token = session.block_on_briefly(session.limited(&args.name, asked))?;
    match &args.write {
        Some(path) => written(path, &printed(args, &source, &token)?),
        // On several lines for a terminal.
        None if args.format == TokenFormat::Json => {
            output::json(&Printed::of(&args.name, &source, &token))
        }
        None => output::data(&printed(args, &source, &token)?),
    }
}

/// The output for a token.
fn printed(args: &args::Token, source: &TokenSource, token: &Token) -> Outcome<Vec<u8>> {
    let text = token.expose_secret();
    Ok(match args.format {
        // A file holds the token and nothing else.
        TokenFormat::Plain if args.write.is_some() => text.into(),
        TokenFormat::Plain => format!("{text}\n").into_bytes(),
        TokenFormat::Json => {
            let object = Printed::of(&args.name, source, token);
            let mut json = serde_json::to_vec(&object).map_err(|error| {
                Error::internal(format!("the token can't be shown as JSON: {error}"))
            })?;
            json.push(b'\n');
            json
        }
        TokenFormat::Header => [b"Authorization: ", token.header().as_bytes(), b"\n"].concat(),
        TokenFormat::Env => {
            let name = environment::prefix(&args.name);
            let value = environment::quoted(text);
            format!("{name}_ACCESS_TOKEN={value}\n").into_bytes()
        }
        TokenFormat::Curl => {
            let header = str::from_utf8(token.header().as_bytes())
                .map_err(|_| Error::internal("the header is not UTF-8"))?;
            curl::config(header).into_bytes()
        }
        TokenFormat::ExecCredential => kubernetes::credential(token)?.into_bytes(),
    })
}

fn written(path: &Path, printed: &[u8]) -> Outcome {
    destination::check(path)?;
    let failed = |error: std::io::Error| {
        Error::configuration(format!("{} can't be written: {error}", path.display()))
    };
    Ok(replace_file_durably(path, printed, 0o600).map_err(failed)?)
}

/// Writes the file anew whenever there is another token. The first one must be had. A signal ends it at any
/// time: what is being fetched then is waited for as at the end of every command.
async fn follow(args: &args::Token, source: &TokenSource) -> Outcome {
    let mut ending = endings()?();
    let mut is_fresh = args.fresh;
    let path = args.write.as_deref().unwrap_or(Path::new(""));
    let (mut last, mut expiry, mut is_written) = (None, None, false);
    loop {
        let least = last.as_ref().map_or(Duration::ZERO, |(_, least)| *least);
        let asked = async {
            match std::mem::take(&mut is_fresh) {
                true => source.fetch().await,
                false => source.token_with(least).await,
            }
        };
        let asked = tokio::select! {
            biased;
            _ = &mut ending => return Ok(()),
            asked = asked => asked,
        };
        match asked {
            Ok(token) => {
                let generation = token.generation();
                if last.as_ref().is_none_or(|(known, _)| *known != generation) || !path.exists() {
                    written(path, &printed(args, source, &token)?)?;
                }
                // A reader has a tenth of its life.
                let tenth = token.lifetime().map_or(Duration::ZERO, |life| life / 10);
                expiry = token.expires_at();
                last = Some((generation, tenth));
            }
            Err(error) if last.is_none() && !is_written => return Err(error.into()),
            Err(error) => {
                output::note(&format!("can't renew the token yet: {error}"));
                // A token that is good still stays in its file.
                if last.is_some() && expiry.is_some_and(|expiry| expiry <= now()) {
                    let _ = std::fs::remove_file(path);
                    last = None;
                }
            }
        }
        is_written |= last.is_some();
        tokio::select! {
            _ = &mut ending => return Ok(()),
            () = SystemClock.sleep(LOOK) => {}
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
