//! `biped check`.

use biped::{CachedToken, Error, ErrorKind, Token, TokenRef, TokenSource, provider::wire::Escaped};
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use crate::words::{base_url, in_words, scope};
use crate::{
    args::{self, Format},
    failure::{self, Described, Failure, Outcome},
    output,
    session::{Session, now},
};

pub(crate) fn run(session: &Session, args: &args::Check) -> Outcome {
    let biped = session.biped()?;
    let names: Vec<&str> = match &args.names[..] {
        [] => biped.names().collect(),
        names => names.iter().map(String::as_str).collect(),
    };
    let sources = names.iter().map(|name| args.selection.source(&biped, name));
    let sources: Vec<_> = sources.collect::<Result<_, _>>()?;
    let found = session.block_on(async {
        let flights: Vec<_> = sources
            .iter()
            .map(|source| {
                let source = source.clone();
                tokio::spawn(async move { source.fetch().await.map(TokenRef::into_owned) })
            })
            .collect();
        let mut found = Vec::new();
        for ((name, source), flight) in names.iter().zip(&sources).zip(flights) {
            let flight = async {
                flight
                    .await
                    .unwrap_or_else(|_| Err(Error::internal("asking for a token panicked")))
            };
            let tried = match session.limited(name, flight).await {
                Ok(token) => Ok(token),
                Err(Failure::Biped(error)) => Err(error),
                Err(other) => return Err(other),
            };
            found.push(Finding::of(name, source, tried.as_deref()));
        }
        Ok(found)
    })?;
    match args.report.format {
        Format::Json => output::json(&found)?,
        Format::Text => {
            let text: String = found.iter().map(Finding::to_text).collect();
            output::text(&text)?;
        }
    }
    let errors = found.into_iter().filter_map(|finding| finding.cause);
    match errors.max_by_key(|error| severity(error.kind())) {
        Some(worst) => Err(Failure::Told(worst)),
        None => Ok(()),
    }
}

/// How bad an error is: by its exit status, and a bug is the worst.
fn severity(kind: ErrorKind) -> u8 {
    match failure::status(kind) {
        1 => u8::MAX,
        status => status,
    }
}

/// What was found out about a provider.
#[derive(Serialize)]
struct Finding {
    provider: String,
    ok: bool,
    scope: Option<String>,
    base_url: Option<String>,
    expires_in: Option<u64>,
    /// What the operator should know, though nothing is wrong.
    warnings: Vec<String>,
    error: Option<Described>,
    /// What it means, in plain words.
    meaning: Option<&'static str>,
    /// What to do about it, where that is known.
    remedy: Option<String>,
    #[serde(skip)]
    cause: Option<Error>,
}

impl Finding {
    fn of(name: &str, source: &TokenSource, tried: Result<&CachedToken, &Error>) -> Self {
        let mut warnings: Vec<_> = source.provider().warning(now()).into_iter().collect();
        let cause = tried.err().map(|error| error.clone().with_provider(name));
        let token = tried.ok();
        if let Some(token) = token {
            warnings.extend(withheld(source, token));
        }
        Self {
            provider: name.into(),
            ok: cause.is_none(),
            scope: token.and_then(|token| scope(source, token)),
            base_url: token.and_then(|token| base_url(source, token)),
            expires_in: token
                .and_then(|token| token.expires_at())
                .map(|expiry| expiry.since(now()).as_secs()),
            warnings,
            error: cause.as_ref().map(Described::of_error),
            meaning: cause.as_ref().map(meaning),
            remedy: cause.as_ref().and_then(Error::remedy).map(Into::into),
            cause,
        }
    }

    fn to_text(&self) -> String {
        let mut lines = Vec::new();
        let (state, color) = match &self.cause {
            None => ("ok", AnsiColor::Green),
            Some(error) => (error.kind().as_str(), AnsiColor::Red),
        };
        match &self.cause {
            None => {
                let life = self.expires_in.map(std::time::Duration::from_secs);
                let life = life.map_or("good until it is rejected".into(), |life| {
                    format!("good for {}", in_words(life))
                });
                let scope = self.scope.as_deref().map(|scope| format!(" for {scope}"));
                lines.push(("token", format!("{life}{}", scope.unwrap_or_default())));
                let nowhere = "unknown: `call` with a path needs api_base_url";
                lines.push(("API", self.base_url.as_deref().unwrap_or(nowhere).into()));
            }
            Some(error) => {
                // Of several problems the first stands behind the word, the others below it.
                let mut names = std::iter::once("what").chain(std::iter::repeat(""));
                let problems = error.message().lines().map(str::to_owned);
                lines.extend(problems.map(|problem| (names.next().unwrap_or_default(), problem)));
                if let Some(vendor) = error.vendor() {
                    lines.push(("vendor", vendor.to_string()));
                }
                if let Some(page) = error.vendor().and_then(|vendor| vendor.uri.clone()) {
                    lines.push(("see", page));
                }
                lines.push(("means", meaning(error).into()));
                if let Some(remedy) = error.remedy() {
                    lines.push(("to do", remedy.into()));
                }
            }
        }
        lines.extend(self.warnings.iter().map(|text| ("warning", text.clone())));
        let style = Style::new().bold().fg_color(Some(color.into()));
        let lines = lines
            .iter()
            .map(|(name, text)| format!("  {name:<8} {}\n", Escaped(text)));
        format!(
            "{}: {style}{state}{style:#}\n{}",
            Escaped(&self.provider),
            lines.collect::<String>()
        )
    }
}

/// What was asked for and not granted.
fn withheld(source: &TokenSource, token: &Token) -> Option<String> {
    let granted: Vec<_> = token.scope()?.split_whitespace().collect();
    let asked = source.request().scope_names();
    let missing: Vec<_> = asked.filter(|scope| !granted.contains(scope)).collect();
    (!missing.is_empty()).then(|| format!("asked for, but not granted: {}", missing.join(" ")))
}

/// What an error means, in plain words.
fn meaning(error: &Error) -> &'static str {
    let status = error.vendor().and_then(|vendor| vendor.status);
    match error.kind() {
        ErrorKind::Configuration => {
            "a setting, or what was asked for, breaks a rule; nothing was sent"
        }
        ErrorKind::Secret => "a secret could not be read; nothing was sent",
        ErrorKind::Refused if error.refuses_client() => {
            "the vendor doesn't know this client_id, or its secret is wrong, replaced or expired"
        }
        ErrorKind::Refused if status == Some(404) => {
            "a server answers, but it has no token endpoint at this address"
        }
        ErrorKind::Refused => {
            "the vendor won't give this token to this client: its scope, its project or another \
             parameter is missing or not permitted"
        }
        ErrorKind::Unreachable => {
            "no answer came: the address, the network, a firewall, the proxy or TLS is in the way"
        }
        ErrorKind::Unavailable if status == Some(429) => {
            "the vendor gets more requests than it allows; wait, and ask less often"
        }
        ErrorKind::Unavailable => "the vendor has a problem of its own; try again later",
        ErrorKind::InvalidResponse => {
            "what answers is no token endpoint of this kind: the address may be wrong, or a proxy's \
             page is in the way"
        }
        ErrorKind::Store => "the place where tokens are kept fails",
        _ => "Biped has a bug",
    }
}
