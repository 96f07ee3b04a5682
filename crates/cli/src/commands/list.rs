//! `biped list`.

use std::time::Duration;

use biped::{
    Biped, ConfiguredProvider, Error, ErrorKind, Token, TokenSource, TokenState,
    config::shown_endpoint, store::Credential,
};
use clap::builder::styling::AnsiColor;
use serde::Serialize;

use crate::words::{in_words, rfc3339};
use crate::{
    args::{Format, List},
    failure::{self, Failure, Outcome},
    output,
    selection::has_tenants,
    session::{Session, now},
};

pub(crate) fn run(session: &Session, args: &List) -> Outcome {
    let (biped, doubt) = session.shown()?;
    let unread = doubt.as_ref().or(biped.unread_store());
    if let Some(error) = unread.filter(|_| !session.is_json()) {
        let text = format!("STATE is {UNKNOWN}: {error}");
        output::marked("note", AnsiColor::Cyan, &text);
    }
    let reads_store = unread.is_none();
    let (rows, failed) = session.block_on_briefly(rows(session, args, &biped, reads_store))?;
    // A secret that is not there yet leaves a state unknown, and is no failure of the list.
    let (secrets, failed): (Vec<_>, Vec<_>) = failed
        .into_iter()
        .partition(|error| error.kind() == ErrorKind::Secret);
    let shown: Vec<_> = match (session.is_json(), failed.is_empty()) {
        // One object, and that of the status if it fails.
        (true, true) => secrets.iter().take(1).collect(),
        (true, false) => Vec::new(),
        (false, _) => secrets.iter().chain(&failed).collect(),
    };
    for error in shown {
        Failure::Biped(error.clone()).tell(session.is_json(), false);
    }
    match args.report.format {
        Format::Json => output::json(&rows)?,
        Format::Text => output::text(&table(&rows))?,
    }
    failure::told(failed)
}

/// Returns a row for each provider, or for each that can have the tenant that is named, and why rows lack
/// a state.
async fn rows(
    session: &Session,
    args: &List,
    biped: &Biped,
    reads_store: bool,
) -> Outcome<(Vec<Row>, Vec<Error>)> {
    let mut rows = Vec::new();
    let mut failed: Vec<Error> = Vec::new();
    // Why no provider so far can have the tenant that is named.
    let mut refused = args.tenant.is_named().then(no_tenants);
    for name in biped.names() {
        let provider = biped.provider(name)?;
        let all = biped.token_source(name)?;
        match (has_tenants(&all), args.tenant.is_named()) {
            (false, true) => continue,
            (true, false) => {
                // Which tenants there are, no store can tell.
                if reads_store && !session.is_json() {
                    let text = format!(
                        "STATE of {name} is {UNKNOWN}: it has tenants; name one with --tenant"
                    );
                    output::marked("note", AnsiColor::Cyan, &text);
                }
                rows.push(Row::unknown(provider, &all));
                continue;
            }
            _ => {}
        }
        if let Some(error) = args.tenant.refusal(&all) {
            refused = refused.map(|_| error);
            continue;
        }
        refused = None;
        let source = args.tenant.of(all);
        if !reads_store {
            rows.push(Row::unknown(provider, &source));
            continue;
        }
        let stored = async {
            let stored = source.stored().await?;
            Ok::<_, Error>((stored, source.credential().await?))
        };
        rows.push(match session.limited(name, stored).await {
            Ok((stored, credential)) => Row {
                credential: credential.map(Stored::from),
                ..Row::of(provider, &source, stored.as_ref())
            },
            Err(Failure::Biped(error)) => {
                // All providers share one store, so its error is printed once.
                let is_known = failed.iter().any(|known| {
                    known.kind() == ErrorKind::Store && error.kind() == ErrorKind::Store
                });
                if !is_known {
                    failed.push(error);
                }
                Row::unknown(provider, &source)
            }
            Err(other) => return Err(other),
        });
    }
    match refused {
        Some(error) => Err(error.into()),
        None => Ok((rows, failed)),
    }
}

fn no_tenants() -> Error {
    Error::configuration("no provider has tenants").with_remedy(
        "set tenant to a pattern in a provider's configuration, such as \"[a-z0-9-]{1,40}\", or leave \
         --tenant out",
    )
}

/// The state of a token whose store can't or may not be read, or whose tenant is not named.
const UNKNOWN: &str = "unknown";

/// A configured provider, and the token that is stored for it.
#[derive(Serialize)]
struct Row {
    provider: String,
    kind: String,
    token_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// The scopes and parameters of the token request, in one text.
    request: String,
    state: &'static str,
    /// RFC 3339; null without a token, and for a token that lives until it is rejected.
    expires_at: Option<String>,
    /// Whole seconds left, rounded down.
    expires_in: Option<u64>,
    /// The refresh token, if the vendor replaces it at each use and one is stored.
    credential: Option<Stored>,
}

/// A refresh token that is stored.
#[derive(Serialize)]
struct Stored {
    state: &'static str,
    /// RFC 3339.
    since: Option<String>,
    rotations: u64,
}

impl From<Credential> for Stored {
    fn from(credential: Credential) -> Self {
        Self {
            state: credential.state.as_str(),
            since: rfc3339(credential.since),
            rotations: credential.rotations,
        }
    }
}

impl Row {
    fn unknown(provider: &ConfiguredProvider, source: &TokenSource) -> Self {
        Self {
            state: UNKNOWN,
            ..Self::of(provider, source, None)
        }
    }

    fn of(
        provider: &ConfiguredProvider,
        source: &TokenSource,
        stored: Option<&(Token, TokenState)>,
    ) -> Self {
        let expires_at = stored.and_then(|(token, _)| token.expires_at());
        let left = expires_at.map(|expiry| expiry.since(now()));
        let state = stored.map_or_else(|| source.status().state, |(_, state)| *state);
        Self {
            provider: provider.name().into(),
            kind: provider.kind().into(),
            token_endpoint: shown_endpoint(source.provider().id().token_endpoint()),
            tenant: source.provider().id().tenant().map(Into::into),
            request: source.request().to_string(),
            state: state.as_str(),
            expires_at: expires_at.and_then(rfc3339),
            expires_in: left.map(|left| left.as_secs()),
            credential: None,
        }
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = output::Table::new();
    let titles = ["NAME", "KIND", "TOKEN ENDPOINT", "FOR", "STATE", "LEFT"];
    // Few providers have one.
    let has_credentials = rows.iter().any(|row| row.credential.is_some());
    let credential = has_credentials.then_some("REFRESH TOKEN");
    table.titles(titles.into_iter().chain(credential));
    for row in rows {
        let left = row.expires_in.map(Duration::from_secs).map(in_words);
        let cells = [
            &*row.provider,
            &row.kind,
            &row.token_endpoint,
            &row.request,
            row.state,
            left.as_deref().unwrap_or("-"),
        ];
        let stored = row.credential.as_ref().map_or("-", |it| it.state);
        let credential = has_credentials.then_some(stored);
        table.row(cells.into_iter().chain(credential));
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_stored_token_is_in_whole_seconds_and_never_negative() {
        const HOUR: Duration = Duration::from_secs(3600);
        let biped = Biped::builder().without_environment().toml(
            "providers.shop = { kind = 'envelope', base_url = 'http://127.0.0.1:1', \
             client_id = 'a', client_secret = 'b' }",
        );
        let biped = biped.build().unwrap();
        let source = biped.token_source("shop").unwrap();
        let row = |age: u64, state| {
            let age = Duration::from_secs(age);
            let token = Token::new("t", now().before(age)).expires_in(Some(HOUR));
            let stored = (token.build().unwrap(), state);
            Row::of(biped.provider("shop").unwrap(), &source, Some(&stored))
        };
        let started = now();
        let fresh = row(60, TokenState::Fresh);
        assert_eq!(fresh.state, "fresh");
        let passed = now().since(started).as_secs() + 1;
        assert!((3540 - passed..=3540).contains(&fresh.expires_in.unwrap()));
        let expired = row(4000, TokenState::Expired);
        assert_eq!((expired.state, expired.expires_in), ("expired", Some(0)));
    }
}
