//! `biped check`.

use std::{sync::Arc, time::Duration};

use biped::{
    ApiClient, Biped, CachedToken, Error, ErrorKind, Token, TokenRef, TokenSource,
    config::{MAX_FILE_SIZE, read_file_if},
    provider::{
        PlainHttp, Probe, Proof, Provider,
        wire::{Escaped, escaped},
    },
    store::Credential,
    token_error,
};
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use super::identity::{self, Reference, Shown};
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
    let sources = names.iter().map(|name| match names.len() {
        1 => args.selection.source(&biped, name),
        _ => args.selection.source_of_one(&biped, name),
    });
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
                    .unwrap_or_else(|_| Err(Error::internal("the fetch of a token panicked")))
            };
            let tried = match session.limited(name, flight).await {
                Ok(token) => Ok(token),
                Err(Failure::Biped(error)) => Err(error),
                Err(other) => return Err(other),
            };
            let client = || args.selection.client(&biped, name);
            let finding = finding(session, name, source, tried, client).await?;
            found.push(finding);
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
    failure::told(found.into_iter().filter_map(|finding| finding.cause))
}

/// What a provider's fetch shows, after the harmless request if there is one.
async fn finding(
    session: &Session,
    name: &str,
    source: &TokenSource,
    tried: Result<Arc<CachedToken>, Error>,
    client: impl FnOnce() -> Result<ApiClient, Error>,
) -> Outcome<Finding> {
    let proof = identity::proof_of(session, name, source).await;
    let mut finding = Finding::of(name, source, tried.as_deref(), &proof);
    let references = identity::references_of(session, name, source, finding.ok).await;
    finding.note_references(references);
    finding
        .warnings
        .extend(writable_by_others(&**source.provider()));
    if source.provider().account().is_some()
        && let Ok(Some(credential)) = session.limited(name, source.credential()).await
    {
        finding.note_credential(&credential);
    }
    if finding.ok
        && let Some(probe) = source.provider().probe()
        && finding.base_url.is_some()
    {
        let said = session.limited(name, probed(&client()?, &probe)).await?;
        finding.note_probe(said);
    }
    Ok(finding)
}

/// What a fetch from the only provider of `biped` shows.
pub(super) fn only(session: &Session, biped: &Biped, name: &str) -> Outcome<Finding> {
    let source = biped.token_source(name)?;
    session.block_on(async {
        let flight = async { source.fetch().await.map(TokenRef::into_owned) };
        let tried = match session.limited(name, flight).await {
            Ok(token) => Ok(token),
            Err(Failure::Biped(error)) => Err(error),
            Err(other) => return Err(other),
        };
        finding(session, name, &source, tried, || biped.client(name)).await
    })
}

/// The result for a provider.
#[derive(Serialize)]
pub(super) struct Finding {
    provider: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    pub(super) ok: bool,
    /// How the provider proves who it is.
    proof: Shown,
    /// Where its credentials are read from, and whether that worked.
    references: Vec<Reference>,
    scope: Option<String>,
    base_url: Option<String>,
    expires_in: Option<u64>,
    /// Whether the vendor's API accepts the token; null where no request is known that shows it.
    pub(super) verified: Option<bool>,
    /// What the API's acceptance shows.
    #[serde(skip)]
    verified_by: Option<String>,
    /// What the operator should know although the check succeeded.
    warnings: Vec<String>,
    error: Option<Described>,
    /// What the error means, in plain words.
    meaning: Option<String>,
    /// What to do about the error.
    remedy: Option<String>,
    #[serde(skip)]
    proof_lines: Vec<(&'static str, String)>,
    #[serde(skip)]
    pub(super) cause: Option<Error>,
}

impl Finding {
    fn of(
        name: &str,
        source: &TokenSource,
        tried: Result<&CachedToken, &Error>,
        proof: &Proof,
    ) -> Self {
        let provider = source.provider();
        let mut warnings: Vec<_> = provider.warning(now()).into_iter().collect();
        warnings.extend(provider.plain_http().and_then(PlainHttp::warning));
        warnings.extend(provider.request_warning(source.request()));
        warnings.extend(identity::warnings(proof));
        let cause = tried.err().map(|error| error.clone().with_provider(name));
        let clock = tried.err().and_then(Error::clock_warning);
        warnings.extend(clock.map(|clock| format!("{clock}; set it, or check the time service")));
        let token = tried.ok();
        if let Some(token) = token {
            warnings.extend(withheld(source, token));
            warnings.extend(assumed(token));
        }
        Self {
            provider: name.into(),
            tenant: provider.id().tenant().map(Into::into),
            ok: cause.is_none(),
            proof: Shown::of(proof),
            references: Vec::new(),
            proof_lines: identity::lines(proof),
            scope: token.and_then(|token| scope(source, token)),
            base_url: token.and_then(|token| base_url(source, token)),
            expires_in: token
                .and_then(|token| token.expires_at())
                .map(|expiry| expiry.since(now()).as_secs()),
            verified: None,
            verified_by: None,
            warnings,
            error: cause.as_ref().map(Described::of_error),
            meaning: cause.as_ref().map(meaning),
            remedy: cause.as_ref().and_then(remedy),
            cause,
        }
    }

    /// Notes where the credentials are read from.
    fn note_references(&mut self, references: Vec<Reference>) {
        let lines = references.iter().map(|it| ("reads", it.line()));
        self.proof_lines.extend(lines);
        self.references = references;
    }

    /// Notes the refresh token that is stored.
    fn note_credential(&mut self, credential: &Credential) {
        let since = credential.since;
        let times = match credential.rotations {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let state = credential.state.as_str();
        let text = format!("{state} since {since}, replaced {times}");
        self.proof_lines.push(("refresh token", text));
    }

    /// Notes what the vendor's API says to the token.
    fn note_probe(&mut self, said: Result<String, String>) {
        self.verified = Some(said.is_ok());
        match said {
            Ok(shows) => self.verified_by = Some(shows),
            Err(warning) => self.warnings.push(warning),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut lines = self.proof_lines.clone();
        let (state, color) = match &self.cause {
            None => ("ok", AnsiColor::Green),
            Some(error) => (state(error.kind()), AnsiColor::Red),
        };
        match &self.cause {
            None => {
                let life = self.expires_in.map(Duration::from_secs);
                let life = life.map_or("valid until it is rejected".into(), |life| {
                    format!("valid for {}", in_words(life))
                });
                let scope = self.scope.as_deref().map(|scope| format!(" for {scope}"));
                lines.push(("token", format!("{life}{}", scope.unwrap_or_default())));
                let nowhere = "unknown; set api_base_url to call paths";
                lines.push(("API", self.base_url.as_deref().unwrap_or(nowhere).into()));
                lines.extend(
                    self.verified_by
                        .iter()
                        .map(|shows| ("verified", shows.clone())),
                );
            }
            Some(error) => {
                // The first problem is on the line of the word, the others follow below.
                let mut names = std::iter::once("what").chain(std::iter::repeat(""));
                let problems = error.message().lines().map(str::to_owned);
                lines.extend(problems.map(|problem| (names.next().unwrap_or_default(), problem)));
                if let Some(vendor) = error.vendor() {
                    lines.push(("vendor", vendor.to_string()));
                }
                if let Some(page) = error.vendor().and_then(|vendor| vendor.uri.clone()) {
                    lines.push(("see", page));
                }
                lines.push(("means", meaning(error)));
                lines.extend(remedy(error).map(|remedy| ("to do", remedy)));
            }
        }
        lines.extend(self.warnings.iter().map(|text| ("warning", text.clone())));
        let style = Style::new().bold().fg_color(Some(color.into()));
        let lines = lines
            .iter()
            .map(|(name, text)| output::hanging(&format!("  {name:<8} "), &escaped(text)));
        format!(
            "{}: {style}{state}{style:#}\n{}",
            Escaped(&self.provider),
            lines.collect::<String>()
        )
    }
}

/// A warning for each secret file that other users can write, who could have another secret sent to the
/// vendor. Others may read it: in containers, mounted secrets are usually readable for all.
#[cfg(unix)]
fn writable_by_others(provider: &dyn Provider) -> Vec<String> {
    use std::os::unix::fs::MetadataExt as _;

    let files = provider.id().references().filter_map(|place| place.file());
    let exposed = files.filter_map(|file| {
        let mut mode = 0;
        let note = |found: &std::fs::Metadata| {
            mode = found.mode() & 0o7777;
            Ok(())
        };
        read_file_if(&file, MAX_FILE_SIZE, note).ok()?;
        let shown = file.display();
        (mode & 0o002 != 0).then(|| {
            format!(
                "other users can write the secret file {shown} (its mode is {mode:04o}); run chmod \
                 o-w {shown}"
            )
        })
    });
    exposed.collect()
}

#[cfg(not(unix))]
fn writable_by_others(_: &dyn Provider) -> Vec<String> {
    Vec::new()
}

/// Sends the harmless request; returns what it proves, or else a warning.
async fn probed(client: &ApiClient, probe: &Probe) -> Result<Result<String, String>, Error> {
    let Probe {
        method,
        path,
        status: expected,
        ..
    } = probe;
    let what = format!("{method} {path}");
    let status = match client.request(method.clone(), path).send().await {
        Ok(response) => response.status().as_u16(),
        Err(error) => {
            // The client's own errors may contain a URL with the token.
            let why = token_error(&error).map(ToString::to_string);
            let why = why.unwrap_or_else(|| "the API did not respond".to_owned());
            return Ok(Err(format!("{what} failed: {why}")));
        }
    };
    Ok(if status == *expected {
        Ok(format!(
            "{what} returned {status}: the API accepts this token"
        ))
    } else {
        Err(format!(
            "{what} returned {status} instead of {expected}: the vendor issues a token, but this does not \
             prove that the API accepts it"
        ))
    })
}

/// The requested scopes that were not granted.
fn withheld(source: &TokenSource, token: &Token) -> Option<String> {
    let granted: Vec<_> = token.scope()?.split_whitespace().collect();
    let asked = source.request().scope_names();
    let missing: Vec<_> = asked.filter(|scope| !granted.contains(scope)).collect();
    (!missing.is_empty()).then(|| format!("requested, but not granted: {}", missing.join(" ")))
}

/// That nothing tells how long the token lives.
fn assumed(token: &Token) -> Option<String> {
    let (why, life) = (token.assumed_lifetime()?, token.lifetime()?);
    Some(format!(
        "the lifetime of {} is assumed: {why}",
        in_words(life)
    ))
}

/// What to do about an error, and where the refused credentials are from.
fn remedy(error: &Error) -> Option<String> {
    let remedy = error.remedy()?;
    Some(match error.credentials_from() {
        Some(places) => format!("{remedy} (read from {places})"),
        None => remedy.into(),
    })
}

/// What is wrong, in a few words.
fn state(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Configuration => "not configured correctly",
        ErrorKind::Secret => "a secret can't be read",
        ErrorKind::Refused => "refused",
        ErrorKind::Unreachable => "unreachable",
        ErrorKind::Unavailable => "temporarily unavailable",
        ErrorKind::InvalidResponse => "the response can't be used",
        ErrorKind::Store => "the token store is not working",
        _ => "a bug in Biped or in the provider",
    }
}

/// What an error means, in plain words. An odd credential is the likeliest reason.
fn meaning(error: &Error) -> String {
    match error.oddity() {
        Some(odd) => format!("{odd}; that is probably why the vendor refuses"),
        None if error.is_unsent() || error.token_source().is_some() => {
            format!("{}; nothing was sent to the vendor", usual_meaning(error))
        }
        None => usual_meaning(error).into(),
    }
}

/// Whether a source is that of a token, and not of a secret.
fn is_assertion(source: &str) -> bool {
    !source.starts_with("vault:")
}

fn usual_meaning(error: &Error) -> &'static str {
    let status = error.vendor().and_then(|vendor| vendor.status);
    match error.kind() {
        ErrorKind::Refused if error.token_source().is_some() => {
            "another provider, whose token this one needs, was refused"
        }
        ErrorKind::Secret if error.token_source().is_some_and(is_assertion) => {
            "the source of the assertion gave no token (see biped identity)"
        }
        ErrorKind::Unreachable | ErrorKind::Unavailable | ErrorKind::InvalidResponse
            if error.token_source().is_some() =>
        {
            "the source of a secret or an assertion does not respond, or its response can't be used"
        }
        ErrorKind::Configuration => "the configuration or the request is not valid",
        ErrorKind::Secret => "a secret can't be read",
        ErrorKind::Refused if error.refuses_client() => {
            "the vendor does not know these credentials, or they were replaced or have expired"
        }
        ErrorKind::Refused if status == Some(404) => {
            "a server responds, but this URL is not a token endpoint"
        }
        ErrorKind::Refused => {
            "the vendor refused the request; check the scope, the project and the other parameters, and \
             the credentials"
        }
        ErrorKind::Unreachable => {
            "the vendor does not respond; check the URL, the network, firewalls, the proxy and TLS"
        }
        ErrorKind::Unavailable if status == Some(429) => {
            "the vendor limits the number of requests; wait, and send fewer"
        }
        ErrorKind::Unavailable => "the vendor is temporarily unavailable; try again later",
        ErrorKind::InvalidResponse => {
            "the response is not that of a token endpoint of this kind; check the URL, and whether a \
             proxy responds instead"
        }
        ErrorKind::Store => {
            "the token store is not working; check [store], and its server or directory"
        }
        _ => "this is a bug in Biped or in the provider; report it",
    }
}
